"""What a runner is: it takes packs of trials and says what happens. It stores nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from bitspec.ir.events import Event
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedValues

if TYPE_CHECKING:
    from bitspec.runners.planner import Division, Packing

#: Trials that are trained together.
Pack: TypeAlias = tuple[Planned, ...]

#: What the trials trained by whose changes others are selected: their values, by their keys.
Known: TypeAlias = Mapping[str, TrainedValues]

#: Whether a run is to come to its end: what is under way is saved after its step, and nothing else is begun.
Stop: TypeAlias = Callable[[], bool]

#: Seconds after which a runner with room asks once more whether there is a pack.
PAUSE: Final = 1.0

#: Trained values are kept when the selection is at most this part of the model, in percent.
KEPT: Final = 5.0


@dataclass(frozen=True)
class Work:
    """What the packs of a study have in common; plain data, so that it can be sent to another process.

    Paths in the spec are relative to `base`; `data_dir` is a folder in the GLUE layout, or None for the hub.
    `device` is a name of torch's (`cpu`, `cuda:1`), or None for the best there is. Trained values are kept where they
    are at most KEPT percent of the model, where other trials select by them, or with `keep_values`. Trials under way
    are saved in the folder `checkpoints`, at the ends of epochs or, if it is given, every `save_every` seconds; without
    a folder they are not. With `allow_pickle`, models may have their weights in pickle files. With `graphs`, steps on a
    GPU are captured and replayed as CUDA graphs.
    """

    study: Study
    base: Path
    data_dir: Path | None = None
    device: str | None = None
    keep_values: bool = False
    checkpoints: Path | None = None
    save_every: float | None = None
    allow_pickle: bool = False
    graphs: bool = False


def never() -> bool:
    """Of a run that nobody stops."""
    return False


class Packs(Protocol):
    """Packs that are to be trained, handed out one by one to whoever has room for them."""

    def __len__(self) -> int:
        """How many packs may still come."""
        ...

    @property
    def trials(self) -> int:
        """How many trials there are in them."""
        ...

    def take(self) -> Pack | None:
        """The next pack; None if there is none now, though one may come while `len` is not 0."""
        ...

    def known(self, pack: Pack) -> Known:
        """What must be known of other trials to train a pack that was taken; it goes to where that is done."""
        ...


class Queue:
    """Packs that are all there, in their order."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._waiting = deque(packs)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def trials(self) -> int:
        """How many trials there are in them."""
        return sum(map(len, self._waiting))

    def take(self) -> Pack | None:
        """The next pack; None if there are no more."""
        return self._waiting.popleft() if self._waiting else None

    def known(self, pack: Pack) -> Known:  # noqa: ARG002 - they follow no others
        """Nothing."""
        return {}


def handed_out(packs: Packs, stop: Stop = never) -> Iterator[Pack]:
    """One pack after the other, until there are no more or `stop` says so; it waits where there is none just now."""
    while len(packs) and not stop():
        pack = packs.take()
        if pack is None:
            time.sleep(PAUSE)
        else:
            yield pack


class Trains(Protocol):
    """Trains packs, and tells events as they happen: for each trial Started … Finished, or Failed.

    A trial that fails does not stop the others. Nothing is stored here.
    """

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        """Run all packs; each is taken when there is somebody to train it.

        Once `stop` says so, trials that are not finished end without an event. The caller may end it between two
        events, too: then nothing is saved.
        """
        ...


class Runner(Trains, Protocol):
    """What trains the packs of a study, and says where and in which packs it would."""

    def device(self, work: Work) -> str:
        """What provenance calls the device. Raises BitspecError if there is none: nothing is put down then."""
        ...

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Pack, ...]:
        """The packs in which it best trains a division of a study's trials; `planner.choose` serves all runners.

        What takes seconds is done inside the context that `on_measure` gives: it tells the user so.
        """
        ...
