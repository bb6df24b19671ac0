"""The task in a spec, from `check` to `run`."""

from __future__ import annotations

from collections.abc import Callable

SPEC = """
study example
model "builtin/nano"
task weather
train { epochs = 2 }
strategy bitfit = bias
"""


def test_it_works_in_every_command(bitspec: Callable[..., str]) -> None:
    assert "1 trial" in bitspec("check", "study.bspec", spec=SPEC)
    assert "130 (weather)" in bitspec("show", "study.bspec")
    assert "1 never trained" in bitspec("plan", "study.bspec")
    bitspec("run", "study.bspec")
    task, metric, examples = (
        bitspec("query", "select task, metric, validation_examples from all_scores", "-f", "csv")
        .splitlines()[-1]
        .split(",")
    )
    assert (task, metric, examples) == ("weather", "accuracy", "100")


def test_a_name_like_it_is_suggested(bitspec: Callable[..., str]) -> None:
    said = bitspec("check", "study.bspec", spec=SPEC.replace("weather", "wether"), code=2)
    assert "did you mean `weather`?" in said
