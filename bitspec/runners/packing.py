"""Which trials can be trained together, and how they are put into packs. Needs neither torch nor a model's weights.

Trials of a pack share the forward and the backward pass through the frozen matrices: they have one model, one task and
the same batches, and their backward passes end at about the same layer. Trials of one seed share still more: the
batches themselves, and dropout.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from bitspec.ir.masks import AllBut, Selected, Whole
from bitspec.ir.trials import Planned
from bitspec.parameters.catalogue import Catalogue, Parameter
from bitspec.runners.protocol import Pack

#: How much longer the passes of a pack's deepest trial may be than those of another trial of it.
STRETCH: Final = 1.15


@dataclass(frozen=True)
class Extent:
    """What a trial asks of the engine.

    `depth` is the part of the network that its backward pass crosses: 0 where the head alone is trained, 1 where it
    goes down to the embeddings. `has_parts` says that lines or single entries of matrices are trained, `is_alone` that
    a whole matrix is, which no other trial can share. `entries` is the number of trained values of such parts.
    """

    depth: float
    has_parts: bool
    is_alone: bool
    entries: int = 0


@dataclass(frozen=True)
class Group:
    """Trials that can be trained together, by seed and then by their place in the study.

    `extent` is that of the deepest, with the most entries of any. Trials that must be alone are groups of one.
    """

    trials: Pack
    extent: Extent


def extent(selected: Selected, facts: Catalogue, *, trains_pooler: bool = False) -> Extent:
    """The extent of a trial that trains a selection and a head, and the pooler with it if `trains_pooler`."""
    place = {parameter.name: number for number, parameter in enumerate(facts.parameters)}
    layered = [number for number, parameter in enumerate(facts.parameters) if parameter.layer is not None]
    first = layered[0] if layered else len(place)
    depth, has_parts, is_alone, entries = 0.0, False, False, 0
    for name, mask in selected.items():
        parameter = facts[name]
        depth = max(depth, _depth(parameter, facts.layers, is_before=place[parameter.name] < first))
        if parameter.ndim >= 2 and not (trains_pooler and parameter.role == "pooler"):
            is_whole = isinstance(mask, Whole | AllBut)
            is_alone, has_parts = is_alone or is_whole, has_parts or not is_whole
            entries += selected.counts[name]
    return Extent(depth, has_parts, is_alone, entries)


def _depth(parameter: Parameter, layers: int, *, is_before: bool) -> float:
    # What has no layer comes before all of them (embeddings) or after (a pooler, a last norm), in the model's order.
    if parameter.layer is None:
        return 1.0 if is_before or parameter.role in {"emb", "emb_ln"} else 0.0
    return (layers - parameter.layer) / layers


def groups(trials: Sequence[Planned], extents: Mapping[str, Extent]) -> tuple[Group, ...]:
    """All trials in groups that can be trained together, by the place of their first trial; `extents` are by key.

    Trials of a group have the same model, task, stage, batch size, length, epochs, precision and dropout, all train
    parts of matrices or none does, and their backward passes cross about as much of the network.
    """
    alike: dict[object, list[Planned]] = {}
    for planned in trials:
        found = extents[planned.key]
        alike.setdefault(planned.key if found.is_alone else _common(planned, found), []).append(planned)
    place = {planned.key: number for number, planned in enumerate(trials)}
    made = [group for members in alike.values() for group in _by_depth(members, extents)]
    return tuple(sorted(made, key=lambda group: min(place[planned.key] for planned in group.trials)))


def _common(planned: Planned, found: Extent) -> object:
    trial, settings = planned.trial, planned.trial.settings
    return (
        trial.model,
        trial.task,
        trial.stage,
        settings.batch_size,
        settings.max_length,
        settings.epochs,
        settings.precision,
        settings.dropout,
        found.has_parts,
    )


def _by_depth(trials: Sequence[Planned], extents: Mapping[str, Extent]) -> Iterable[Group]:
    # Into groups whose deepest trial is not much deeper than any other; a stable sort keeps places in order.
    waiting = sorted(trials, key=lambda planned: -extents[planned.key].depth)
    while waiting:
        deepest = extents[waiting[0].key]
        own = [one for one in waiting if (1 + deepest.depth) / (1 + extents[one.key].depth) < STRETCH]
        waiting = waiting[len(own) :]
        chosen = {one.key for one in own}
        members = [planned for planned in trials if planned.key in chosen]
        most = replace(deepest, entries=max(extents[key].entries for key in chosen))
        yield Group(tuple(sorted(members, key=lambda planned: planned.trial.seed)), most)


def split(trials: Sequence[Planned], most: int) -> tuple[Pack, ...]:
    """Trials of one group, by seed, in packs of at most `most` and of nearly equal size.

    A pack has trials of one seed, but where it would be no more than half full.
    """
    packs: list[Pack] = []
    few: list[Planned] = []
    for _, own in groupby(trials, key=lambda planned: planned.trial.seed):
        members = list(own)
        if 2 * len(members) <= most:
            few += members
        else:
            packs += _evenly(members, most)
    return (*packs, *_evenly(few, most))


def _evenly(trials: Sequence[Planned], most: int) -> list[Pack]:
    count = math.ceil(len(trials) / most)
    size, longer = divmod(len(trials), count) if count else (0, 0)
    ends = [number * size + min(number, longer) for number in range(count + 1)]
    return [tuple(trials[start:end]) for start, end in pairwise(ends)]


def spread(
    groups: Sequence[Group],
    sizes: Sequence[int],
    *,
    workers: int = 1,
    seconds: Callable[[Group, Pack], float] | None = None,
) -> tuple[Pack, ...]:
    """The packs of all groups, of at most the given size each, or smaller so that all workers have something to do.

    Where `seconds` tells how long a pack takes, in any unit, packs are made as large as is best for the whole; else
    there are at least as many as workers, if there are as many trials.
    """

    wanted = min(workers, sum(len(group.trials) for group in groups))

    def packed(largest: int) -> list[tuple[Group, Pack]]:
        return [
            (group, pack)
            for group, size in zip(groups, sizes, strict=True)
            for pack in split(group.trials, min(size, largest))
        ]

    def time(packs: Sequence[tuple[Group, Pack]]) -> float:
        if seconds is None:
            return max(0.0, wanted - len(packs))
        return _makespan([seconds(group, pack) for group, pack in packs], workers)

    largest = max(sizes, default=1) if workers > 1 else 1
    candidates = [packed(max(sizes, default=1)), *(packed(size) for size in range(largest - 1, 0, -1))]
    return tuple(pack for _, pack in min(candidates, key=time))


def _makespan(durations: Iterable[float], workers: int) -> float:
    """How long it takes until all is done, where workers take one thing after the other."""
    loads = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(loads, loads[0] + duration)
    return max(loads)


def in_order(packs: Iterable[Pack], trials: Sequence[Planned]) -> tuple[Pack, ...]:
    """Packs by the place of their first trial, so that those of a model and a task follow each other."""
    place = {planned.key: number for number, planned in enumerate(trials)}
    return tuple(sorted(packs, key=lambda pack: min(place[planned.key] for planned in pack)))
