"""Tasks of one's own for tests, and what is said when one cannot be read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.ir.study import Task
from bitspec.language.load import loads
from bitspec.training.examples import Examples
from bitspec.training.tasks import read_task, task_fingerprint

NOWHERE = Path("/nowhere")


def own_task(
    training: str = "train.csv",
    validation: str = "dev.csv",
    text: Sequence[str] = ("text",),
    metric: str = "accuracy",
) -> Task:
    """A task of one's own, as a spec declares it."""
    study = loads(
        f"""
        study s  model "m"  strategy a = bias
        task own {{
          training = "{training}"  validation = "{validation}"
          text = {", ".join(text)}  label = label  metric = {metric}
        }}
    """,
        allow_outside=True,
    )
    return study.tasks[0]


def write_table(path: Path, labels: Sequence[Any], texts: Sequence[str] | None = None) -> None:
    """A file with these labels."""
    rows = [("text", "label"), *zip(texts or [f"text {i}" for i in range(len(labels))], labels, strict=True)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def own_examples(
    folder: Path, training: Sequence[Any], validation: Sequence[Any], metric: str = "accuracy"
) -> Examples:
    write_table(folder / "train.csv", training)
    write_table(folder / "dev.csv", validation)
    return read_task(own_task(metric=metric), base=folder, data_dir=None)


def refusal(task: Task, base: Path = NOWHERE, data_dir: Path | None = None) -> Diagnostic:
    found = []
    for read in (read_task, task_fingerprint):
        with pytest.raises(BitspecError) as raised:
            read(task, base=base, data_dir=data_dir)
        found.append(raised.value.diagnostics)
    assert found[0] == found[1]
    (diagnostic,) = found[0]
    assert diagnostic.help
    assert diagnostic.span is task.span
    return diagnostic
