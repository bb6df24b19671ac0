"""The chart, in a terminal and as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

SPEC = """
study example
model "builtin/nano"
task builtin/rte
train { epochs = 1 }
strategy bitfit = bias
strategy frozen = none
"""


def test_it_is_drawn(bitspec: Callable[..., str], tmp_path: Path) -> None:
    bitspec("check", "study.bspec", spec=SPEC)
    bitspec("run", "study.bspec", "--workers", "1")
    assert "lollipop" in bitspec("plot", "--help")
    text = bitspec("plot", "lollipop")
    assert "builtin/rte bitfit" in text
    assert "example" in text  # the study, and how many runs are behind it
    assert "frozen" not in bitspec("plot", "lollipop", "--strategy", "bitfit", "--task", "rte")
    for ending in ("svg", "html", "json", "png"):
        bitspec("plot", "lollipop", "-o", f"chart.{ending}")
        assert (tmp_path / f"chart.{ending}").stat().st_size > 1000


def test_it_can_only_be_narrowed_to_what_it_shows(bitspec: Callable[..., str]) -> None:
    bitspec("check", "study.bspec", spec=SPEC)
    bitspec("run", "study.bspec", "--workers", "1", "--only", "frozen")
    said = bitspec("plot", "lollipop", "--model", "builtin/nano", code=2)
    assert "does not tell one model from another" in said
    said = bitspec("plot", "lollipop", "--strategy", "frosen", code=2)
    assert "did you mean `frozen`?" in said
