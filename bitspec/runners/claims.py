"""Packs as a run claims them in the store, one after the other: of what several runs plan, each trial goes to one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bitspec.diagnostics import BitspecError
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedValues
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
        self._waiting = [part for pack in packs for part in _by_stage(pack)]
        self._orphans: list[tuple[Planned, str]] = []
        self._again = frozenset(key for key, status in plan.statuses.items() if status == VALUES_NOT_KEPT)
        self.company = {planned.key for planned in plan.done}
        # How trials ended that others may follow; where none does, nobody asks.
        self._has_followers = any(planned.follows for pack in packs for planned in pack)
        self._ends = dict.fromkeys(self.company, "finished")
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
        known = -1
        while known < len(self.elsewhere):  # what others ended meanwhile may let others begin
            known = len(self.elsewhere)
            pack, held = self._first()
            if pack is not None:
                return pack
        self._set_apart()
        if held and not self._has_waited:
            self._has_waited = True
            self._on_wait(held)
        return None

    def _first(self) -> tuple[Pack | None, dict[str, str]]:
        """The first pack of which something can be claimed, and who holds what stands before it."""
        held: dict[str, str] = {}
        first = 0
        while first < len(self._waiting):
            window = self._waiting[first : first + _MANY]
            packs = [pack for pack in window if self._is_ready(pack)]
            claim = self._claim(packs) if packs else Claim()
            held |= claim.held
            taken = None if claim.place is None else packs[claim.place]
            gone = {id(packs[place]) for place in (*claim.over, *([] if claim.place is None else [claim.place]))}
            left = [pack for pack in window if id(pack) not in gone]
            self._waiting[first : first + _MANY] = left
            if taken is not None:
                return self._taken(taken, claim), held
            first += len(left)
        return None, held

    def ended(self, key: str, status: str) -> None:
        """Take down how a trial of this run ended: others may follow it, or cannot any more."""
        self._ends[key] = status

    def orphans(self) -> tuple[tuple[Planned, str], ...]:
        """Trials that cannot be trained, since one that they follow was not, with its strategy; each is told once."""
        self._set_apart()
        found, self._orphans = tuple(self._orphans), []
        return found

    def _set_apart(self) -> None:
        """What waits for a trial that has failed, here or elsewhere, does not wait any more."""
        known = -1 if self._has_followers else len(self._orphans)
        while known < len(self._orphans):  # what follows those is lost with them
            known = len(self._orphans)
            for place, pack in enumerate(self._waiting):
                lost = [(planned, self._missing(planned)) for planned in pack]
                self._orphans += [(planned, strategy) for planned, strategy in lost if strategy is not None]
                self._ends |= {planned.key: "failed" for planned, strategy in lost if strategy is not None}
                self._waiting[place] = tuple(planned for planned, strategy in lost if strategy is None)
            self._waiting = [pack for pack in self._waiting if pack]

    def _end(self, key: str) -> str | None:
        """How a trial ended, here or elsewhere; None if it has not."""
        return self.elsewhere.get(key) or self._ends.get(key)

    def _missing(self, planned: Planned) -> str | None:
        followed = planned.follows.items()
        return next((strategy for strategy, key in followed if self._end(key) not in {None, "finished"}), None)

    def _is_ready(self, pack: Pack) -> bool:
        """Whether all that its trials follow is trained."""
        return all(self._end(key) == "finished" for planned in pack for key in planned.follows.values())

    def known(self, pack: Pack) -> Known:
        """The trained values of what the trials of a pack follow, as far as they can be read."""
        found: dict[str, TrainedValues] = {}
        for key in dict.fromkeys(key for planned in pack for key in planned.follows.values()):
            with suppress(BitspecError):  # the trial that needs them will tell
                values = self._store.values(key)
                found |= {} if values is None else {key: values}
        return found

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


def _by_stage(pack: Pack) -> Iterator[Pack]:
    """A pack in parts of which no trial follows another; packs of older runs may have been made otherwise."""
    keys = {planned.key for planned in pack}
    if keys.isdisjoint(key for planned in pack for key in planned.follows.values()):
        yield pack
        return
    for stage in sorted({planned.trial.stage for planned in pack}):
        yield tuple(planned for planned in pack if planned.trial.stage == stage)
