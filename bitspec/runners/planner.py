"""Chooses the packs of a run: those that were begun before, and for all other trials what measures best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import mean
from typing import Final

from bitspec.diagnostics import BitspecError
from bitspec.ir.trials import Planned
from bitspec.parameters.cache import cache_folder
from bitspec.parameters.models import read_config
from bitspec.runners.packing import Extent, Group, extent, groups, in_order, split, spread
from bitspec.runners.plan import Plan
from bitspec.runners.protocol import Pack
from bitspec.runners.selections import Selections
from bitspec.runners.timings import Cache, Stopwatch, Timing, best_size, group_key, measure, speeds
from bitspec.training.architectures import is_unpadded

#: Steps of all trials from which on it is worth to load the model only to measure, where other processes train.
LONG: Final = 20_000

#: Of a trial that no other can join, whatever it trains.
_ALONE: Final = Extent(1.0, has_parts=False, is_alone=True)


@dataclass(frozen=True)
class Packing:
    """How trials are to be packed: at most so many together, or as many as measures best if `most` is None.

    `earlier` are packs, by the keys of their trials, that are kept where all of their trials are still to be trained:
    those of a run that was interrupted or, where `is_forced`, of the study that is to be repeated. `saved` are the
    trials of each checkpoint, those that have come furthest first.
    """

    most: int | None = None
    earlier: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_forced: bool = False
    saved: tuple[tuple[str, ...], ...] = ()

    def takes(self, keys: Sequence[str]) -> bool:
        """Whether trials that were saved together may go on together."""
        if self.is_forced:
            return tuple(self.earlier.get(keys[0], ())) == tuple(keys)
        return self.most is None or len(keys) <= self.most


@dataclass(frozen=True)
class Division:
    """The trials of a plan: packs that are there already, and groups of what can go together.

    The first so many packs (`stopped`) go on where they were saved. They may have trials that are finished.
    """

    plan: Plan
    packs: tuple[Pack, ...]
    groups: tuple[Group, ...]
    stopped: int = 0

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose: a group of more than one trial."""
        return any(len(group.trials) > 1 for group in self.groups)

    @property
    def kept(self) -> int:
        """Number of trials that are trained together as they were begun before, from the beginning."""
        return sum(len(pack) for pack in self.packs[self.stopped :] if len(pack) > 1)

    @property
    def going_on(self) -> int:
        """Number of trials that go on where they were saved."""
        new = {planned.key for planned in self.plan.new}
        return sum(planned.key in new for pack in self.packs[: self.stopped] for planned in pack)

    def into_packs(
        self, sizes: Sequence[int], *, workers: int = 1, seconds: Callable[[Group, Pack], float] | None = None
    ) -> tuple[Pack, ...]:
        """All packs in the order of the study, those of each group of at most the size given for it; see `spread`."""
        made = spread(self.groups, sizes, workers=workers, seconds=seconds)
        return in_order([*self.packs, *made], self.plan.trials)


def divide(plan: Plan, packing: Packing, extent_of: Callable[[Planned], Extent]) -> Division:
    """Divide the trials that are to be trained. `extent_of` is not asked where each is to be alone."""
    stopped = tuple(_stopped(plan, packing))
    taken = {planned.key for pack in stopped for planned in pack}
    kept = (*stopped, *_kept(plan, packing, taken))
    done = {planned.key for pack in kept for planned in pack}
    rest = [planned for planned in plan.new if planned.key not in done]
    extents = {planned.key: _ALONE if packing.most == 1 else extent_of(planned) for planned in rest}
    return Division(plan, kept, groups(rest, extents), len(stopped))


def _stopped(plan: Plan, packing: Packing) -> Iterator[Pack]:
    # Trials that end together are kept one by one: those that were go along with the others once more.
    trials, new = {planned.key: planned for planned in plan.trials}, {planned.key for planned in plan.new}
    failed = {key for key, status in plan.statuses.items() if status == "failed" and not packing.is_forced}
    taken: set[str] = set()
    for keys in packing.saved:
        if len(keys) > 1 and not failed.isdisjoint(keys):  # it may have failed because of the pack
            continue
        if taken.isdisjoint(keys) and trials.keys() >= set(keys) and not new.isdisjoint(keys) and packing.takes(keys):
            taken |= set(keys)
            yield tuple(trials[key] for key in keys)


def _kept(plan: Plan, packing: Packing, taken: set[str]) -> Iterator[Pack]:
    # Those all of whose trials are still to be trained. What failed in a pack may do so because of it.
    new = {planned.key: planned for planned in plan.new}
    if not packing.is_forced:
        new = {key: planned for key, planned in new.items() if plan.statuses.get(key) != "failed"}
    taken = set(taken)
    for key in list(new):
        keys = packing.earlier.get(key, ())
        if key not in keys or len(set(keys)) < len(keys):
            continue
        if not all(one in new and one not in taken for one in keys):
            continue
        # Who asks for packs of N now is not held to trials that were alone when nobody had asked.
        if packing.is_forced or packing.most is None or 1 < len(keys) <= packing.most:
            taken |= set(keys)
            yield tuple(new[one] for one in keys)


class Extents:
    """The extents of a study's trials; what is the same for several of them is worked out once."""

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._known: dict[object, Extent] = {}

    def __call__(self, planned: Planned) -> Extent:
        """The extent of a trial; one that cannot be set up is alone, so that it fails alone."""
        trial = planned.trial
        is_drawn = self._selections.is_random(planned)
        same = (trial.model, trial.selection, trial.seed if is_drawn else None, trial.settings.pooler)
        if same not in self._known:
            self._known[same] = self._extent(planned)
        return self._known[same]

    def _extent(self, planned: Planned) -> Extent:
        model = planned.trial.model
        if not is_unpadded(read_config(model.source, model.revision, base=self._selections.base)):
            return _ALONE
        try:
            selected = self._selections.select(planned)
        except BitspecError:
            return _ALONE
        facts = self._selections.catalogue(model)
        return extent(selected, facts, trains_pooler=planned.trial.settings.pooler == "trained")


def choose(
    division: Division,
    packing: Packing,
    *,
    workers: int,
    stopwatch: Stopwatch,
    cache: Cache | None = None,
    on_measure: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[Pack, ...]:
    """The packs of a division: of at most so many trials as asked for, or as many as measures best.

    What is measured is kept. A measurement that fails says nothing: then trials of its group are alone, and tell
    themselves what is wrong. `on_measure` is entered while something is measured.
    """
    if packing.most is not None or not division.is_open:
        return division.into_packs([packing.most or 1] * len(division.groups), workers=workers)
    cache = Cache(cache_folder()) if cache is None else cache
    with on_measure():
        timings = list(_timings(division, stopwatch, cache, workers))
    found = {group.trials[0].key: speeds(group, one) for group, one in zip(division.groups, timings, strict=True)}
    sizes = [best_size(found[group.trials[0].key]) for group in division.groups]
    return division.into_packs(sizes, workers=workers, seconds=partial(_seconds, found))


def _timings(division: Division, stopwatch: Stopwatch, cache: Cache, workers: int) -> Iterator[Timing | None]:
    """The timings of each group, what is missing measured now; None where it is not worth it."""
    # Other processes would wait for this one to load a model that it does not need itself.
    is_worth = workers == 1 or _steps(division, stopwatch) >= LONG
    for group in division.groups:
        key = _key(group, division.plan)
        timing = known = next((one for one in cache.recall(key) if one.is_of(stopwatch)), None)
        if is_worth and len(group.trials) > 1:
            with suppress(Exception):
                timing = measure(group, stopwatch, known)
            if timing is not None and timing != known:
                cache.keep(key, timing)
        yield timing


def _steps(division: Division, stopwatch: Stopwatch) -> int:
    """Steps of all trials; 0 where their data cannot be read."""
    with suppress(Exception):
        return sum(len(group.trials) * stopwatch.steps(group.trials[0]) for group in division.groups)
    return 0


def _key(group: Group, plan: Plan) -> str:
    trial = group.trials[0].trial
    return group_key(group, plan.models[trial.model.name], plan.data[trial.task.name])


def _seconds(found: Mapping[str, Mapping[int, float]], group: Group, pack: Pack) -> float:
    """How long a pack of a group may take: its steps, where they were measured; else as those of all others do.

    `found` are the speeds of groups, by the keys of their first trials.
    """
    known = found[group.trials[0].key] or {1: mean([one[1] for one in found.values() if one] or [1.0])}
    size = max(size for size in known if size <= len(pack))
    return known[size] * len(pack) * pack[0].trial.settings.epochs


@dataclass(frozen=True)
class Outlook:
    """What is known of packs before a run begins.

    `most` is the largest pack that is still to be made, 0 if there is none, and `place` where that was measured; both
    are None where it is still to be measured.
    """

    most: int | None
    place: str | None = None


def outlook(division: Division, packing: Packing, cache: Cache | None = None) -> Outlook:
    """What is known before anything is loaded: sizes that were asked for, or were measured before on any device."""
    if packing.most is not None or not division.is_open:
        packs = [pack for group in division.groups for pack in split(group.trials, packing.most or 1)]
        return Outlook(max(map(len, packs), default=0))
    cache = Cache(cache_folder()) if cache is None else cache
    found: list[tuple[int, str]] = []
    for group in division.groups:
        if len(group.trials) > 1:
            timings = cache.recall(_key(group, division.plan))
            if not timings:
                return Outlook(None)
            found.append((best_size(speeds(group, timings[-1])), timings[-1].place))
    return Outlook(*max(found))
