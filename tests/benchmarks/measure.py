"""Processes to measure in, memory, and tables: what all benchmarks of training share."""

from __future__ import annotations

import ctypes
import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

_Answer = TypeVar("_Answer")

console = Console(width=140)

_progress = Console(stderr=True, width=140)


def tell(text: str) -> None:
    """Say on standard error how far a long measurement is."""
    _progress.print(text, style="dim", highlight=False)


@dataclass(frozen=True)
class Machine:
    """Where to compute, on how many threads, and whether bitspec's steps are replayed as CUDA graphs."""

    device: str
    threads: int
    graphs: bool = False

    def begin(self) -> None:
        """Make a fresh process ready."""
        import torch

        torch.set_num_threads(self.threads)

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        import torch

        if self.device != "cpu":
            torch.cuda.synchronize()

    def describe(self) -> dict[str, str]:
        """What the figures hold for; asked in a process of its own."""
        import torch
        import transformers

        name = _processor() if self.device == "cpu" else torch.cuda.get_device_name()
        return {
            "device": self.device if self.device == name else f"{self.device}: {name}",
            "threads": str(self.threads),
            **({"graphs": "CUDA graphs of bitspec's steps"} if self.graphs else {}),
            "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
        }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


# Processes ------------------------------------------------------------------------------------------------


def in_process(function: Callable[..., _Answer], *arguments: Any) -> _Answer:
    """What a function says in a fresh process, which nothing before has left memory or caches in."""
    return in_processes(1, function, *arguments)[0]


def in_processes(count: int, function: Callable[..., _Answer], *arguments: Any) -> list[_Answer]:
    """The same in several fresh processes at once."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(function, *arguments) for _ in range(count)]]


def alternating(names: Sequence[str], repetitions: int) -> Iterable[str]:
    """Each name so many times, there and back, so that a machine that gets slower is unfair to none."""
    for repetition in range(repetitions):
        yield from names if repetition % 2 == 0 else names[::-1]


# Time and memory ------------------------------------------------------------------------------------------


def seconds(machine: Machine, steps: int, step: Callable[[int], Any]) -> float:
    """Mean seconds of steps 0, 1, …"""
    machine.wait()
    began = time.perf_counter()
    for number in range(steps):
        step(number)
    machine.wait()
    return (time.perf_counter() - began) / steps


class Held:
    """Memory in bytes above what this process (on a GPU: its tensors) holds now."""

    def __init__(self, machine: Machine) -> None:
        self._is_cpu = machine.device == "cpu"
        gc.collect()
        if self._is_cpu:
            _give_back()
            Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak begins anew: see `man proc`
            self._before = _status("VmRSS")
        else:
            import torch

            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()

    def peak(self) -> int:
        """The most since then."""
        if self._is_cpu:
            return _status("VmHWM") - self._before
        import torch

        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - self._before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}: memory is measured on Linux only")


def _give_back() -> None:
    # What was freed while a model was loaded must not hide what is taken later.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


# Figures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """A figure that must hold, and what came out. `least`: the figure is to be at least the limit, else at most."""

    what: str
    limit: float
    measured: float
    unit: str = "×"
    least: bool = True

    @property
    def holds(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def median(values: Iterable[float]) -> float:
    """The median; of an even number, the mean of the two in the middle."""
    return statistics.median(values)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def print_limits(limits: Iterable[Limit]) -> None:
    """Print what must hold, beside what was measured."""
    rows = [
        (
            one.what,
            f"{'≥' if one.least else '≤'} {one.limit:g} {one.unit}",
            f"{one.measured:.2f} {one.unit}",
            "yes" if one.holds else "NO",
        )
        for one in limits
    ]
    if rows:
        print_table("Must hold", ("what", "limit", "measured", "holds"), rows)


def milliseconds(value: float) -> str:
    """Seconds as text."""
    return f"{value * 1000:,.0f} ms" if value < 10 else f"{value:,.1f} s"


def megabytes(value: float) -> str:
    """Bytes as text."""
    return f"{value / 1e6:,.0f} MB"
