"""From a selection to the training state of a very large model: Llama with 7 billion parameters, on the meta device.

Weights and state have no memory there, so what is measured is what bitspec itself takes: the draw, the masks, and the
indices that training needs. Nothing is read but the catalogue, which is cached.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bitspec
from tests.benchmarks.language import LLAMA_7B
from tests.benchmarks.measure import Held, Limit, Machine, in_process, median, megabytes, milliseconds, print_table
from tests.benchmarks.models import head_of, selection, with_head

SELECTION: Final = "rand(all, 0.09%)"

CONFIG: Final[dict[str, Any]] = {**LLAMA_7B, "num_labels": 2, "pad_token_id": 0}

#: For a quick look.
SMALL: Final = {**CONFIG, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "vocab_size": 1000}


@dataclass(frozen=True)
class Row:
    """Seconds and bytes (the peak of the process above its imports and the model on the meta device)."""

    parameters: int
    selected: int
    masks: float
    state: float
    memory: float


def measure(folder: Path, machine: Machine, repetitions: int, config: dict[str, Any]) -> Row:
    """Median of several processes; the first, which fills the cache of catalogues, does not count."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    found = [in_process(_one, folder, machine) for _ in range(repetitions + 1)][1:]
    return Row(
        found[0].parameters,
        found[0].selected,
        median([row.masks for row in found]),
        median([row.state for row in found]),
        median([row.memory for row in found]),
    )


def _one(folder: Path, machine: Machine) -> Row:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from bitspec.ir.settings import Settings
    from bitspec.training.binding import Binding
    from bitspec.training.course import Recipe, Trial
    from bitspec.training.state import Trainable

    machine.begin()
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder))
    blocks = list(model.get_submodule("model.layers").children())
    held = Held(Machine("cpu", machine.threads))
    began = time.perf_counter()
    masks = with_head(selection(SELECTION, folder), head_of(model))
    drawn = time.perf_counter()
    state = Trainable(model, masks)
    trial = Trial(Recipe("trial", 0, Settings(learning_rate=1e-3), masks), state)
    Binding(model, [trial.state], blocks=blocks)
    ready = time.perf_counter()
    size = sum(parameter.numel() for parameter in model.parameters())
    count = sum(mask.count(tuple(model.get_parameter(name).shape)) for name, mask in masks.items())
    assert bitspec.catalogue(str(folder)).size <= size
    return Row(size, count, drawn - began, ready - drawn, held.peak())


def show(row: Row) -> None:
    """Print it."""
    print_table(
        f"{SELECTION} of {row.parameters:,} parameters: {row.selected:,} values, the head's among them",
        ("", "drawing the masks", "to the training state", "both", "memory"),
        [
            (
                "",
                milliseconds(row.masks),
                milliseconds(row.state),
                milliseconds(row.masks + row.state),
                megabytes(row.memory),
            )
        ],
    )


def limits(rows: Sequence[Row]) -> Iterator[Limit]:
    """What must hold."""
    for row in rows:
        yield Limit("from the selection to the training state", 2, row.masks + row.state, "s", least=False)
        yield Limit("its memory", 500, row.memory / 1e6, "MB", least=False)
