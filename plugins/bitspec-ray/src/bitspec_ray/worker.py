"""What runs on the nodes: workers, each a process that trains one pack after the other on what it was given."""

from __future__ import annotations

import os
import platform
import queue
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from bitspec import registry
from bitspec.ir.events import Event
from bitspec.ir.study import Model
from bitspec.ir.trials import NUMERICS_VERSION
from bitspec.plugins import GROUPS
from bitspec.runners.protocol import Known, Pack, Work

if TYPE_CHECKING:
    from bitspec.runners.bench import Bench
    from bitspec_ray.parcels import Parcel, UnpackedInputs

#: Packages on which numbers depend, or what is sent between nodes.
_PACKAGES: Final = ("bitspec", "numpy", "ray", "safetensors", "tokenizers", "torch", "transformers")

#: Seconds in which a worker that is asked for events answers, if only with none.
PATIENCE: Final = 20.0


@dataclass(frozen=True)
class Passport:
    """Versions of what numbers depend on, by name."""

    versions: dict[str, str]

    def misfits(self, other: Passport) -> list[str]:
        """How a node with another passport differs, in words."""
        names = sorted({*self.versions, *other.versions})
        pairs = [(name, other.versions.get(name, "none"), self.versions.get(name, "none")) for name in names]
        return [f"it has {name} {there}, and here is {here}" for name, there, here in pairs if here != there]


def passport() -> Passport:
    """The passport of the machine where this runs."""
    plugins = {one.package for kind in GROUPS for own in registry.installed(kind).values() for one in own}
    found = {name: _version(name) for name in sorted({*_PACKAGES, *plugins})}
    python = ".".join(platform.python_version_tuple()[:2])
    return Passport({**found, "Python": python, "numerics": str(NUMERICS_VERSION)})


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # what follows is for which device it was built
    except PackageNotFoundError:
        return "none"


@dataclass(frozen=True)
class Hello:
    """What a worker says of itself: what provenance calls its device, and whether it sees the checkpoints' folder."""

    host: str
    process: int
    device: str
    sees_checkpoints: bool


@dataclass(frozen=True)
class Lacks:
    """A worker cannot begin: its node lacks the files of some models."""

    models: tuple[Model, ...]


class Done:
    """All that there is to say of a pack was said."""


#: What a worker says, in order.
Said: TypeAlias = "Event | Done"


class Worker:
    """Trains packs of one study, one at a time, on one thread of its own; its methods are called on others.

    The work's `device` is `cpu`, or `cuda` for the GPU that Ray gives it; `threads` are for torch. `marker` is a file
    in the folder of checkpoints, and what is in it.
    """

    def __init__(self, work: Work, threads: int, marker: tuple[Path, str] | None) -> None:
        from bitspec_ray.parcels import UnpackedInputs

        is_seen = marker is not None and _read(marker[0]) == marker[1]
        self._work = replace(work, checkpoints=work.checkpoints if is_seen else None)
        self._threads = threads
        self._inputs: UnpackedInputs = UnpackedInputs(self._work)
        self._bench: Bench | None = None
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._is_stopped = False
        # One thread for all packs: torch keeps its own for each that it computes on.
        self._training = ThreadPoolExecutor(1, "training")

    def hello(self) -> Hello:
        """Load what is needed to train. Raises BitspecError if the device cannot be used."""
        return self._training.submit(self._begin).result()

    def train(self, pack: Pack, known: Known, parcel: Parcel) -> Lacks | list[Said]:
        """Begin a pack, and say what there is to say so far; `more` says the rest, up to Done."""
        lacking = self._inputs.lacking(parcel)
        if lacking:
            return Lacks(lacking)
        self._training.submit(self._train, pack, known, parcel)
        return self.more()

    def more(self) -> list[Said]:
        """What there is to say since the last time: it waits until there is something, or PATIENCE is over."""
        said: list[Said] = []
        try:
            said.append(self._said.get(timeout=PATIENCE))
            while True:
                said.append(self._said.get_nowait())
        except queue.Empty:
            return said

    def stop(self) -> None:
        """Save what is under way after its step, and end it."""
        self._is_stopped = True

    def seconds(self, pack: Pack, steps: int, repeats: int, parcel: Parcel, beside: int) -> Lacks | float | None:
        """Seconds of a step of a pack, with so many workers on the node; see `Stopwatch.seconds`."""
        lacking = self._inputs.lacking(parcel)
        return (
            Lacks(lacking)
            if lacking
            else self._training.submit(self._time, pack, steps, repeats, parcel, beside).result()
        )

    def _begin(self) -> Hello:
        import bitspec.training.model  # noqa: F401 - the first pack would wait for it
        from bitspec.training.devices import use_threads

        use_threads(self._threads)
        device = self._bench_().place
        return Hello(socket.gethostname(), os.getpid(), device, self._work.checkpoints is not None)

    def _bench_(self) -> Bench:
        from bitspec.runners.bench import Bench

        if self._bench is None:
            self._bench = Bench(self._work, self._inputs)
        return self._bench

    def _train(self, pack: Pack, known: Known, parcel: Parcel) -> None:
        from bitspec.runners.bench import failure, run_pack

        self._inputs.parcel = parcel
        try:
            for event in run_pack(self._bench_(), pack, lambda: self._is_stopped, known):
                self._said.put(event)
        except Exception as problem:  # whoever waits for events would wait for ever
            for planned in pack:
                self._said.put(failure(planned.key, problem))
        self._said.put(Done())

    def _time(self, pack: Pack, steps: int, repeats: int, parcel: Parcel, beside: int) -> float | None:
        from bitspec.runners.stopwatch import BenchStopwatch

        self._inputs.parcel = parcel
        return BenchStopwatch(self._bench_(), threads=self._threads, workers=beside).seconds(pack, steps, repeats)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return None
