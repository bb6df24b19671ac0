"""The whole paper on one device: 14 strategies × 3 tasks × 16 epochs, with one seed and with five.

The shape is BERT-base with random weights, which serve for speed; the texts are real. Both sides are timed as in
`study` and extrapolated, evaluation included. The share of the device's speed is that of its own matrix products in
bf16, of which bitspec's steps make so many: 2 per weight of the layers and token forward, 2 more backward, 2 more for
a dense gradient; attention's own products are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Limit, Machine, in_process, median, print_table, seconds
from tests.benchmarks.models import head_of, plain_model
from tests.benchmarks.study import Inputs, Known, Row, speedup
from tests.benchmarks.study import measure as measure_study

EPOCHS: Final = 16

#: How many times faster than the reference, by the number of seeds: what is aimed at on a GPU.
AIMS: Final = {1: 20.0, 5: 50.0}


@dataclass(frozen=True)
class Paper:
    """The paper with so many seeds: its packs, and the share of the device's speed that bitspec's steps reach."""

    seeds: int
    rows: list[Row]
    share: float


def measure(inputs: Inputs, seeds: Sequence[int]) -> list[Paper]:
    """Measure the paper with each number of seeds."""
    size = 8192 if inputs.machine.device != "cpu" else 512
    speed = in_process(_speed, inputs.machine, size)
    weights = in_process(_weights, inputs.model)
    papers: list[Paper] = []
    known: Known = {}
    for count in seeds:
        rows = measure_study(replace(inputs, seeds=tuple(range(count))), known)
        products = sum(_products(inputs, row, weights) for row in rows)
        papers.append(Paper(count, rows, products / sum(row.training for row in rows) / speed))
    return papers


def _speed(machine: Machine, size: int) -> float:
    """Floating point operations a second of a product of two square matrices in bf16, the best of several."""
    import torch

    machine.begin()
    left, right = (torch.randn(size, size, device=machine.device, dtype=torch.bfloat16) for _ in range(2))
    seconds(machine, 3, lambda _: left @ right)
    return 2 * size**3 / median([seconds(machine, 10, lambda _: left @ right) for _ in range(5)])


def _weights(folder: Path) -> int:
    """Weights of the linear layers through which every token goes."""
    model = plain_model(folder, "cpu")
    outside = {*head_of(model)}
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name not in outside and parameter.dim() == 2 and "embeddings" not in name and "pooler" not in name
    )


def _products(inputs: Inputs, row: Row, weights: int) -> float:
    """Floating point operations of an epoch of a pack, by what its strategies must compute."""
    tokens = float(inputs.data(row.task).training.lengths_N.sum())
    total = 0.0
    for cell in inputs.cells(row.task, list(zip(row.strategies, row.seeds, strict=True))):
        passes = 1 if not cell.masks else 3 if cell.strategy == "full_ft" else 2
        total += 2.0 * passes * weights * tokens
    return total


def show(papers: Sequence[Paper], device: str) -> None:
    """Print hours and how much faster."""
    lines = [
        (
            f"{paper.seeds} seed{'s' * (paper.seeds > 1)}",
            _hours(sum(row.reference_training + row.reference_evaluation for row in paper.rows)),
            _hours(sum(row.training + row.evaluation for row in paper.rows)),
            f"{speedup(paper.rows):.1f} ×",
            f"{speedup(paper.rows, evaluation=True):.1f} ×",
            str(max(len(row.strategies) for row in paper.rows)),
            f"{100 * paper.share:.0f} %",
        )
        for paper in papers
    ]
    columns = ("", "reference", "bitspec", "training faster", "all faster", "largest pack", "of bf16 products")
    print_table(f"The whole paper on {device}, {EPOCHS} epochs", columns, lines)


def _hours(epoch: float) -> str:
    return f"{EPOCHS * epoch / 3600:,.2f} h"


def limits(papers: Sequence[Paper]) -> Iterator[Limit]:
    """What is aimed at on a GPU."""
    for paper in papers:
        if paper.seeds in AIMS:
            found = speedup(paper.rows, evaluation=True)
            yield Limit(f"the paper with {paper.seeds} seeds, faster than the reference", AIMS[paper.seeds], found)
        yield Limit(f"share of bf16 products, {paper.seeds} seeds", 50, 100 * paper.share, "%")
