"""How long a step takes with so many trials in a pack: measured once on a device, kept in the cache, and judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from pydantic import RootModel

from bitspec.ir.base import Noun
from bitspec.ir.trials import Planned
from bitspec.parameters.cache import write
from bitspec.runners.packing import Group, split
from bitspec.runners.protocol import Pack

#: Raised by one when packs are timed in another way.
FORMAT: Final = 1

#: How much faster, a trial, packs must be than one trial at a time to be worth it.
WORTH: Final = 1.05

#: How much slower, a trial, a size may be than the best before larger ones are not tried: about what chance does.
SLOWER: Final = 1.02

#: Of the time that a group takes, one trial at a time, the part that its measurement may take; and seconds at most.
SHARE: Final = 0.03
MOST_SECONDS: Final = 12.0

#: Steps, of one trial, for which there must be time: less would tell nothing.
FEWEST: Final = 7

#: Steps that are timed in one go: as many as there is time for.
MOST_STEPS: Final = 10

#: Times that these steps are timed; the quickest counts, since all else that a machine does only takes time away. Where
#: there is no time for that, they are timed once.
REPEATS: Final = 3

#: Devices whose timings of one group are kept.
_KEPT: Final = 8

#: What the speed of a step depends on, beside all that is ours.
_PACKAGES: Final = ("bitspec", "torch", "transformers")


class Timing(Noun):
    """Timings of the packs of one group, on one device with so many threads.

    `seconds` are those of a step, by what is in a pack (`8/1` are eight trials of one seed); null where there was not
    enough memory. `steps` is how many steps they are the mean of, always the first ones, for the same batches; they
    were timed so many times (`repeats`).
    """

    device: str
    threads: int
    steps: int
    repeats: int
    seconds: dict[str, float | None]

    @property
    def place(self) -> str:
        """Where it was measured, in words."""
        return f"{self.device}, {self.threads} thread{'s' if self.threads != 1 else ''}"

    def is_of(self, watch: Stopwatch) -> bool:
        """Whether it was measured where a stopwatch measures."""
        return (self.device, self.threads) == (watch.device, watch.threads)


class _Timings(RootModel[tuple[Timing, ...]]):
    """A file of the cache: the timings of one group, the latest last."""


class Stopwatch(Protocol):
    """Times steps of packs on a device, with as many threads as the study will have."""

    device: str
    threads: int

    def steps(self, planned: Planned) -> int:
        """Steps that a trial takes."""
        ...

    def seconds(self, pack: Pack, steps: int, repeats: int) -> float | None:
        """Seconds of a step of a pack, the mean of the first so many, in the quickest of some repeats.

        None if there is not enough memory.
        """
        ...


@dataclass(frozen=True)
class Cache:
    """The timings that are kept in a folder; None keeps nothing."""

    folder: Path | None

    def recall(self, key: str) -> tuple[Timing, ...]:
        """The timings of a group, of every device, the latest last."""
        if self.folder is None:
            return ()
        try:
            return _Timings.model_validate_json(self._path(self.folder, key).read_bytes()).root
        except (OSError, ValueError):
            return ()

    def keep(self, key: str, timing: Timing) -> None:
        """Keep timings in place of those of the same device; that memory was short may be otherwise next time."""
        timing = timing.model_copy(
            update={"seconds": {pack: seconds for pack, seconds in timing.seconds.items() if seconds is not None}}
        )
        if self.folder is not None and timing.seconds:
            others = [one for one in self.recall(key) if one.place != timing.place]
            content = _Timings((*others, timing)[-_KEPT:])
            write(self._path(self.folder, key), content.model_dump_json())

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / "packs" / f"{key}.json"


def group_key(group: Group, model_fingerprint: str, data_fingerprint: str) -> str:
    """All that a group's timings depend on, but the device and what is in a pack, as a sha256."""
    settings = group.trials[0].trial.settings
    content = [
        FORMAT,
        [_version(package) for package in _PACKAGES],
        [model_fingerprint, data_fingerprint],
        [settings.batch_size, settings.max_length, settings.precision, settings.dropout],
        # How much of matrices is trained, to the next power of 2: products with entries take time by their number.
        [round(group.extent.depth, 2), group.extent.has_parts, group.extent.entries.bit_length()],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _sizes(trials: Sequence[Planned]) -> Iterator[tuple[int, Pack]]:
    # 1, 2, 4 … until all are in as few packs as they can be, each with the largest pack that there would be.
    for power in count():
        packs = split(trials, 2**power)
        yield 2**power, max(packs, key=len)
        if 2**power >= len(trials):
            return


def _content(pack: Pack) -> str:
    return f"{len(pack)}/{len({planned.trial.seed for planned in pack})}"


def speeds(group: Group, timing: Timing | None) -> dict[int, float]:
    """Seconds of a step, a trial, by the size of a group's packs: as far as was measured, and up to the best one."""
    found: dict[int, float] = {}
    if timing is not None:
        for size, pack in _sizes(group.trials):
            seconds = timing.seconds.get(_content(pack))
            if seconds is None or (found and seconds / len(pack) > SLOWER * min(found.values())):
                break
            found[size] = seconds / len(pack)
    return found


def best_size(speeds: Mapping[int, float]) -> int:
    """The size that takes least time: 1, unless another is better by WORTH."""
    best = min(speeds, key=lambda size: speeds[size], default=1)
    return best if best > 1 and speeds[1] >= WORTH * speeds[best] else 1


def measure(group: Group, watch: Stopwatch, known: Timing | None = None) -> Timing | None:
    """Time larger and larger packs of a group, as long as they get better and it is worth the time.

    What is `known` is not timed again. None if the group is too small for any of it.
    """
    steps_of_all = len(group.trials) * watch.steps(group.trials[0])
    if known is None and SHARE * steps_of_all < FEWEST:
        return None
    timing = _first(group, watch, steps_of_all) if known is None else known
    seconds = dict(timing.seconds)
    alone = seconds[_content(group.trials[:1])]
    if alone is None:
        return timing
    budget = _budget(alone, steps_of_all)
    best, spent, last = float("inf"), 0.0, 0.0
    runs = 1 + timing.repeats * timing.steps
    for _, pack in _sizes(group.trials):
        content = _content(pack)
        if content not in seconds:
            if spent + 2 * last * runs > budget:
                break
            seconds[content] = watch.seconds(pack, timing.steps, timing.repeats)
        found = seconds[content]
        if found is None or found / len(pack) > SLOWER * best:
            break
        best, last, spent = min(best, found / len(pack)), found, spent + found * runs
    found_all = timing.model_copy(update={"seconds": seconds})
    if len(seconds) > len(timing.seconds) and best_size(speeds(group, found_all)) > 1:
        # What was timed first may have had a slow start: packs must be better than the best that one trial does.
        once_more = watch.seconds(group.trials[:1], timing.steps, timing.repeats)
        seconds[_content(group.trials[:1])] = min(alone, once_more or alone)
    return found_all


def _first(group: Group, watch: Stopwatch, steps_of_all: int) -> Timing:
    # One step of one trial tells how long all others take, and so how many of them there is time for.
    alone = group.trials[:1]
    steps, repeats, seconds = 1, 1, watch.seconds(group.trials[:1], 1, 1)
    if seconds is not None:
        # If twice as many trials took twice as long, sizes up to 8 would take 15 times as long, and up to 4 7 times.
        budget = _budget(seconds, steps_of_all) / max(seconds, 1e-9)
        affordable = next((runs for times in (15, 7) if (runs := int(budget / times) - 1) >= REPEATS), 0)
        if affordable:
            steps, repeats = min(MOST_STEPS, affordable // REPEATS), REPEATS
            seconds = watch.seconds(alone, steps, repeats)
    return Timing(
        device=watch.device, threads=watch.threads, steps=steps, repeats=repeats, seconds={_content(alone): seconds}
    )


def _budget(seconds: float, steps_of_all: int) -> float:
    return min(MOST_SECONDS, SHARE * seconds * steps_of_all)


def timed(step: Callable[[int], float], steps: int, repeats: int) -> float:
    """Seconds of a step, once it has warmed up, in the quickest of some repeats; `step` runs so many of them."""
    step(1)
    return min(step(steps) for _ in range(repeats))
