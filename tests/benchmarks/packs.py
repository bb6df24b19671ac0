"""Packed against separate: a grid of trials K, batch and length, cells in which packing loses included.

The trials are the strategies of the paper that train vectors, of one seed. A cell is timed in a process of its own,
several times over; separate trials take the sum of their steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bitspec
from bitspec.ir.settings import Settings
from tests.benchmarks.measure import Machine, in_process, median, milliseconds, print_table, tell
from tests.benchmarks.models import Cell, cells, random_examples

#: Strategies of the paper's spec, in the order in which packs take them in.
STRATEGIES: Final = (
    "bitfit", "bm2_bq", "no_bm2_bq", "gammas_bitfit", "gammas_bm2_bq", "bias_ln", "gammas", "rand_bias",
)  # fmt: skip

_MOST_STEPS: Final = 20


@dataclass(frozen=True)
class Grid:
    """Which cells, and for how many seconds each of their figures is measured, after a first step."""

    machine: Machine
    spec: Path
    trials: tuple[int, ...] = (1, 2, 4, 8)
    batches: tuple[int, ...] = (8, 32)
    lengths: tuple[int, ...] = (16, 64, 128)
    seconds: float = 3.0
    repetitions: int = 3
    precision: str = "float32"


@dataclass(frozen=True)
class Row:
    """Seconds of a step of so many trials, packed, and of one after the other; None where memory did not suffice."""

    model: str
    trials: int
    batch: int
    tokens: int
    packed: float | None
    separate: float

    @property
    def faster(self) -> float | None:
        """How many times faster packed is."""
        return None if self.packed is None else self.separate / self.packed


def measure(name: str, folder: Path, grid: Grid) -> list[Row]:
    """All cells of a model."""
    rows = []
    for batch, tokens in itertools.product(grid.batches, grid.lengths):
        found = [in_process(_cell, folder, grid, batch, tokens, place % 2 == 1) for place in range(grid.repetitions)]
        tell(f"{name}, {batch} × {tokens} tokens")
        for count in grid.trials:
            separate = median([sum(alone[:count]) for alone, _ in found])
            times = [time for _, packed in found if (time := packed[count]) is not None]
            rows.append(Row(name, count, batch, tokens, median(times) if times else None, separate))
    return rows


def _cell(
    folder: Path, grid: Grid, batch: int, tokens: int, packed_first: bool
) -> tuple[list[float], dict[int, float | None]]:
    """Seconds of a step of each trial alone, and of packs by their size."""
    import torch

    from bitspec.training.devices import is_out_of_memory
    from tests.benchmarks.engine import Trial, prepared_model, training

    grid.machine.begin()
    settings = Settings(epochs=1, batch_size=batch, learning_rate=7e-4, precision=grid.precision)
    prepared = prepared_model(folder, torch.device(grid.machine.device))
    names = STRATEGIES[: max(grid.trials)]
    own = cells(bitspec.load(grid.spec), folder, "cola", (0,), names)
    trials: list[Trial] = [(cell.key, 0, cell.masks, settings) for cell in sorted(own, key=_place)]
    data = random_examples(folder, batch * _MOST_STEPS, tokens)

    def timed(chosen: Sequence[Trial]) -> float | None:
        run = training(prepared, chosen, data, graphs=grid.machine.graphs)
        try:
            first = run.rehearse(1)
            return run.rehearse(max(1, min(_MOST_STEPS, int(grid.seconds / first))))
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            return None
        finally:
            run.close()

    packed: dict[int, float | None] = {}
    if packed_first:
        packed = {count: timed(trials[:count]) for count in reversed(grid.trials)}
    alone = [time for trial in trials if (time := timed([trial])) is not None]
    if not packed_first:
        packed = {count: timed(trials[:count]) for count in grid.trials}
    return alone, packed


def _place(cell: Cell) -> int:
    return STRATEGIES.index(cell.strategy)


def show(rows: Sequence[Row]) -> None:
    """Print the grid of each model: how many times faster packed is than separate."""
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        sizes = sorted({row.trials for row in own})
        columns = ("batch × tokens", "one trial alone", *(f"{size} packed" for size in sizes))
        print_table(f"{model}: how many times faster packed than separate", columns, _lines(own, sizes))


def _lines(rows: Sequence[Row], sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    found = {(row.batch, row.tokens, row.trials): row for row in rows}
    for batch, tokens in dict.fromkeys((row.batch, row.tokens) for row in rows):
        own = [found[batch, tokens, size] for size in sizes]
        times = ["no memory" if row.faster is None else f"{row.faster:.2f} ×" for row in own]
        yield (f"{batch} × {tokens}", milliseconds(own[0].separate / own[0].trials), *times)
