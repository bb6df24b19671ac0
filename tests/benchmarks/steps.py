"""Training steps of a large model: bitspec against the best that dense gradients can do, time and memory.

BERT-base with random weights, batch 8, all examples of full length, dropout as in the config, AdamW, clipping. Every
figure is from a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bitspec.ir.settings import Settings
from tests.benchmarks.measure import (
    Held,
    Limit,
    Machine,
    alternating,
    console,
    in_process,
    median,
    megabytes,
    milliseconds,
    print_table,
    seconds,
    tell,
)
from tests.benchmarks.models import head_of, linear_entries, plain_model, random_examples, selection, with_head

if TYPE_CHECKING:
    from torch import Tensor

BATCH: Final = 8
_SETTINGS: Final = {"epochs": 1, "batch_size": BATCH, "learning_rate": 7e-4}

#: What is trained, and by whom it can be trained.
STRATEGIES: Final = {
    "BitFit": ("bias", ("bitspec", "plain")),
    "entries": ("rand(all, 0.09%)", ("bitspec", "mask, floats", "mask, booleans", "gather in a hook")),
    "rows and columns": (
        "rowcol(matrix, size(bias))",
        ("bitspec", "mask, floats", "mask, booleans", "gather in a hook"),
    ),
    "entries of linear layers": ("", ("bitspec", "SHiRA")),
}


@dataclass(frozen=True)
class Steps:
    """What to measure: so many steps after a warm-up, in so many processes a contestant."""

    machine: Machine
    lengths: tuple[int, ...] = (16, 128)
    steps: int = 5
    repetitions: int = 5
    precision: str = "float32"

    @property
    def settings(self) -> Settings:
        """The settings of all contestants."""
        return Settings.model_validate({**_SETTINGS, "precision": self.precision})


@dataclass(frozen=True)
class Row:
    """A contestant's median seconds a step, the fastest and the slowest, and memory in bytes above the weights."""

    tokens: int
    strategy: str
    contestant: str
    seconds: float
    fastest: float
    slowest: float
    memory: float


def measure(folder: Path, asked: Steps) -> list[Row]:
    """Measure all contestants on the model in a folder, those of one strategy by turns."""
    rows = []
    for tokens in asked.lengths:
        for strategy, (_, contestants) in STRATEGIES.items():
            if "SHiRA" in contestants and find_spec("peft") is None:
                continue
            found: dict[str, list[tuple[float, int]]] = {name: [] for name in contestants}
            for name in alternating(contestants, asked.repetitions):
                figures = in_process(_one, folder, asked, strategy, name, tokens)
                found[name].append(figures)
                tell(f"{tokens} tokens, {strategy}: {name} {milliseconds(figures[0])}, {megabytes(figures[1])}")
            for name, all_of_it in found.items():
                times, memory = zip(*all_of_it, strict=True)
                rows.append(Row(tokens, strategy, name, median(times), min(times), max(times), median(memory)))
    return rows


def _one(folder: Path, asked: Steps, strategy: str, contestant: str, tokens: int) -> tuple[float, int]:
    asked.machine.begin()
    text = STRATEGIES[strategy][0]
    if contestant == "bitspec":
        return _bitspec(folder, asked, text, tokens)
    import torch

    from tests.benchmarks.contestants import CONTESTANTS

    model = plain_model(folder, asked.machine.device, "eager" if asked.machine.device == "cpu" else "sdpa")
    masks = with_head(selection(text, folder) if text else linear_entries(model), head_of(model))
    data = random_examples(folder, BATCH * asked.steps, tokens)
    batches = [data.batch(chosen, model.device) for chosen in _places(len(data))]
    with torch.no_grad():  # what libraries set up once is no memory of a step
        model(**batches[0].inputs)
    held = Held(asked.machine)
    contender = CONTESTANTS[contestant](model, masks, asked.settings)
    for batch in batches[:2]:
        contender.step(batch)
    took = seconds(asked.machine, asked.steps, lambda number: contender.step(batches[number]))
    return took, held.peak()


def _places(count: int) -> Sequence[Tensor]:
    import torch

    return tuple(torch.arange(count).split(BATCH))


def _bitspec(folder: Path, asked: Steps, text: str, tokens: int) -> tuple[float, int]:
    import torch

    from tests.benchmarks.engine import prepared_model, training

    prepared = prepared_model(folder, torch.device(asked.machine.device))
    masks = selection(text, folder) if text else linear_entries(prepared.model)
    data = random_examples(folder, BATCH * asked.steps, tokens)
    held = Held(asked.machine)
    run = training(prepared, [("trial", 0, masks, asked.settings)], data, graphs=asked.machine.graphs)
    try:
        run.rehearse(2)
        took = run.rehearse(asked.steps)
    finally:
        run.close()
    return took, held.peak()


# What came out --------------------------------------------------------------------------------------------


def show(rows: Sequence[Row]) -> None:
    """Print the figures, with bitspec's as the unit."""
    for tokens in dict.fromkeys(row.tokens for row in rows):
        print_table(
            f"A training step of {BATCH} × {tokens} tokens",
            ("what is trained, and how", "a step", "fastest", "slowest", "× bitspec's", "memory", "× bitspec's"),
            _lines([row for row in rows if row.tokens == tokens]),
        )
    if find_spec("peft") is None:
        console.print("PEFT is not installed: SHiRA was not measured")


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    ours = {row.strategy: row for row in rows if row.contestant == "bitspec"}
    for row in rows:
        mine = ours[row.strategy]
        yield (
            f"{row.strategy}: {row.contestant}",
            milliseconds(row.seconds),
            milliseconds(row.fastest),
            milliseconds(row.slowest),
            f"{row.seconds / mine.seconds:.2f}",
            megabytes(row.memory),
            f"{row.memory / mine.memory:.1f}",
        )


def limits(rows: Sequence[Row]) -> Iterator[Limit]:
    """What must hold on a CPU, at 16 and at 128 tokens."""
    found = {(row.tokens, row.strategy, row.contestant): row for row in rows}
    for tokens, faster, part in ((128, 1.35, 45), (16, 2.3, 15)):
        if (tokens, "entries", "bitspec") not in found:
            continue
        at = f"at {tokens} tokens"
        entries, lines, bitfit = (found[tokens, name, "bitspec"] for name in ("entries", "rows and columns", "BitFit"))
        for mine, limit in ((entries, faster), (lines, 1.4)):
            dense = [row for row in rows if row.tokens == tokens and row.strategy == mine.strategy and row is not mine]
            best = min(dense, key=lambda row: row.seconds)
            yield Limit(
                f"{mine.strategy} {at}, faster than the best dense one ({best.contestant})",
                limit,
                best.seconds / mine.seconds,
            )
        for kind in ("mask, floats", "mask, booleans"):
            share = 100 * entries.memory / found[tokens, "entries", kind].memory
            yield Limit(f"entries {at}, memory beside that of {kind}", part, share, "%", least=False)
        for mine in (entries, lines):
            share = 100 * (mine.seconds / bitfit.seconds - 1)
            yield Limit(f"{mine.strategy} {at}, slower than BitFit", 12, share, "%", least=False)
        shira = found.get((tokens, "entries of linear layers", "SHiRA"))
        if shira is not None:
            mine = found[tokens, "entries of linear layers", "bitspec"]
            yield Limit(f"entries of linear layers {at}, faster than SHiRA", 1, shira.seconds / mine.seconds)
            yield Limit(
                f"the same, memory beside SHiRA's {at}", 100, 100 * mine.memory / shira.memory, "%", least=False
            )


def run(folder: Path, asked: Steps) -> list[Row]:
    """Measure and print."""
    rows = measure(folder, asked)
    show(rows)
    return rows
