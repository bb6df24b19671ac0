"""Packs as a run claims them in the store, one after the other: of what several runs plan, each trial goes to one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bitspec.diagnostics import BitspecError
from bitspec.runners.plan import VALUES_NOT_KEPT, Plan
from bitspec.runners.protocol import Known, Pack
from bitspec.store.leases import RENEWAL, Claim, Holder
from bitspec.store.store import Store
from bitspec.training import checkpoints

#: Seconds for which a store that is in use is asked again where nothing depends on it.
_BRIEF: Final = 2.0

#: Packs that are asked for at once: of thousands the first few are nearly always to be had.
_MANY: Final = 200


class Claims:
    """The packs of a run, each claimed when it is taken. Others may have been quicker: then it is smaller, or gone.

    `elsewhere` says how the trials ended that another run took, by key. `company` are finished trials that go along
    with others of a pack that was saved in the folder `saved`. `on_wait` is told once who trains what is left, by
    key and in words, when there is nothing else to do; `on_gone` how many trials others have taken to their end.
    """

    def __init__(
        self,
        store: Store,
        run: int,
        plan: Plan,
        packs: Sequence[Pack],
        *,
        device: str | None = None,
        saved: Path | None = None,
        on_wait: Callable[[Mapping[str, str]], None] = lambda _held: None,
        on_gone: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._store, self._run, self._device = store, run, device
        self._saved, self._on_wait, self._on_gone = saved, on_wait, on_gone
        self._holder = Holder(run)
        self._brief = Store(store.folder, patience=_BRIEF)
        self._waiting = list(packs)
        self._again = frozenset(key for key, status in plan.statuses.items() if status == VALUES_NOT_KEPT)
        self.company = {planned.key for planned in plan.done}
        self.elsewhere: dict[str, str] = {}
        self._has_waited = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def trials(self) -> int:
        """How many trials there are in the packs that may still come."""
        return sum(map(len, self._waiting))

    def take(self) -> Pack | None:
        """Claim a pack; None if others are training all that is left.

        Raises BitspecError if the store cannot be written to.
        """
        held: dict[str, str] = {}
        first = 0
        while first < len(self._waiting):
            packs = self._waiting[first : first + _MANY]
            claim = self._claim(packs)
            held |= claim.held
            taken = None if claim.place is None else packs[claim.place]
            gone = {*claim.over, claim.place}
            left = [pack for place, pack in enumerate(packs) if place not in gone]
            self._waiting[first : first + _MANY] = left
            if taken is not None:
                return self._taken(taken, claim)
            first += len(left)
        if self._waiting and not self._has_waited:
            self._has_waited = True
            self._on_wait(held)
        return None

    def known(self, pack: Pack) -> Known:  # noqa: ARG002
        """What the trials of a pack that was taken select by what others changed."""
        return {}

    def _claim(self, packs: Sequence[Pack]) -> Claim:
        claim = self._store.claim(
            self._holder,
            [[planned.key for planned in pack] for pack in packs],
            # Another run may have kept the values meanwhile.
            again=self._again - self._store.kept() if self._again else (),
            company=self.company,
            is_saved=self._is_saved,
        )
        gone = claim.elsewhere.keys() - self.elsewhere.keys()
        self.elsewhere |= claim.elsewhere
        if gone:
            self._on_gone(len(gone))
        return claim

    def _is_saved(self, keys: Sequence[str]) -> bool:
        return self._saved is not None and checkpoints.place(self._saved, keys).exists()

    def _taken(self, taken: Pack, claim: Claim) -> Pack:
        self.company |= self.elsewhere.keys() & set(claim.keys)
        pack = tuple(planned for planned in taken if planned.key in claim.keys)
        if len(pack) < len(taken):
            # Others are training the rest: if they do not come to an end, it is to be had later.
            rest = tuple(
                planned
                for planned in taken
                if planned.key not in claim.keys
                and planned.key not in self.elsewhere
                and planned.key not in self.company
            )
            self._waiting += [rest] if rest else []
            self._store.begin_packs(self._run, [claim.keys], self._device)
        return pack

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside of it, what is claimed stays claimed; afterwards others may have what was not ended."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RENEWAL):
                with suppress(Exception):  # whoever writes a result will tell what is wrong
                    self._brief.renew(self._holder)

        threading.Thread(target=renew, name="leases", daemon=True).start()
        try:
            yield
        finally:
            over.set()
            with suppress(BitspecError):  # they end by themselves
                self._brief.release(self._holder)
