"""Times packs on the bench where they are to be trained: the device, the threads and the data of the study."""

from __future__ import annotations

import mmap
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from bitspec.ir.trials import Planned
from bitspec.runners.bench import Bench
from bitspec.runners.protocol import Pack
from bitspec.runners.timings import timed

#: The part of the memory that is free which the packs of all workers may take.
ROOM: Final = 0.5


class BenchStopwatch:
    """Times packs on a bench, with so many threads (torch's own number, if None), for so many workers beside it."""

    def __init__(self, bench: Bench, *, threads: int | None = None, workers: int = 1) -> None:
        from bitspec.training import devices

        self.device = bench.place
        self.threads = devices.threads() if threads is None else threads
        self._bench, self._workers = bench, workers
        self._needed = 0.0  # bytes for a trial

    def steps(self, planned: Planned) -> int:
        """Steps that a trial takes."""
        return self._bench.steps(planned)

    def seconds(self, pack: Pack, steps: int, repeats: int) -> float | None:
        """Seconds of a step of a pack, the mean of the first so many, in the quickest of some repeats.

        None if there is not enough memory.
        """
        from bitspec.training.devices import is_out_of_memory, threads, use_threads

        is_cpu = self._bench.device.type == "cpu"
        # A GPU says that its memory is full; a machine whose memory is full ends the program instead.
        if is_cpu and self._needed * len(pack) * self._workers > ROOM * _free():
            return None
        before, used = threads(), _used()
        use_threads(self.threads)
        try:
            with closing(self._bench.rehearsal(pack)) as training:
                return timed(training.rehearse, steps, repeats)
        except (RuntimeError, MemoryError) as problem:
            if is_out_of_memory(problem):
                return None
            raise
        finally:
            use_threads(before)
            if len(pack) > 1:  # of the first one, the model too is loaded meanwhile
                self._needed = max(self._needed, (_peak() - used) / len(pack))


def _used() -> float:
    """Bytes of memory that this process has now; 0 where the system does not tell."""
    return float(_number(Path("/proc/self/statm"), 1) * mmap.PAGESIZE)


def _free() -> float:
    """Bytes of memory that are free on this machine, or in this container; without end where nobody knows."""
    machine = _number(Path("/proc/meminfo"), 7) * 1024.0  # MemAvailable
    limit, used = (_number(Path("/sys/fs/cgroup") / name, 0) for name in ("memory.max", "memory.current"))
    found = [machine] if machine else []
    return min([*found, limit - used + _cached()] if limit else found, default=float("inf"))


def _cached() -> float:
    """Bytes that a container counts as used, and that hold nothing but what was read from files."""
    with suppress(OSError, ValueError):
        for line in Path("/sys/fs/cgroup/memory.stat").read_text("ascii").splitlines():
            name, _, size = line.partition(" ")
            if name == "inactive_file":
                return float(size)
    return 0.0


def _number(path: Path, place: int) -> int:
    try:
        return int(path.read_text("ascii").split()[place])
    except (OSError, ValueError, IndexError):
        return 0


def _peak() -> float:
    """The most bytes of memory that this process ever had; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)
