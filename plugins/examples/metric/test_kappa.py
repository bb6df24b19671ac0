"""The metric in a spec, from `check` to `run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from bitspec_kappa import compute

SPEC = """
study example
model "builtin/nano"
task own { training = "train.csv" validation = "train.csv" text = text label = label metric = kappa }
train { epochs = 1 }
strategy bitfit = bias
"""


def test_it_works_in_every_command(bitspec: Callable[..., str], tmp_path: Path) -> None:
    lines = [f"{word} {number},{label}" for number in range(8) for word, label in (("red", "a"), ("blue", "b"))]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    assert "1 trial" in bitspec("check", "study.bspec", spec=SPEC)
    bitspec("run", "study.bspec")
    metric, score, kappa = (
        bitspec("query", "select metric, score, metrics['kappa'] from all_scores", "-f", "csv")
        .splitlines()[-1]
        .split(",")
    )
    assert metric == "kappa"
    assert float(score) == round(100 * float(kappa), 10)


def test_a_name_like_it_is_suggested(bitspec: Callable[..., str]) -> None:
    said = bitspec("check", "study.bspec", spec=SPEC.replace("kappa", "kapa"), code=2)
    assert "did you mean `kappa`?" in said


def test_what_it_computes() -> None:
    assert compute(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1])) == 1
    assert compute(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0])) == 0
    assert compute(np.array([1, 1]), np.array([1, 1])) == 0
