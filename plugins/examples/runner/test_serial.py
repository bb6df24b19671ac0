"""The runner: equal numbers, and an option of its own."""

from __future__ import annotations

from collections.abc import Callable

SPEC = """
study example
model "builtin/nano"
task builtin/rte
train { epochs = 1 }
strategy bitfit = bias
strategy most = topk(bias, 10% of bias, by = change(bitfit))
"""
SCORES = ("query", "select max(score), max(loss) by strategy", "-f", "csv")


def test_its_results_are_those_of_the_local_runner(bitspec: Callable[..., str]) -> None:
    bitspec("check", "study.bspec", spec=SPEC)
    bitspec("run", "study.bspec", "--runner", "serial", "--rest", "0.1", "--store", "serial")
    bitspec("run", "study.bspec", "--pack", "off", "--workers", "1", "--store", "local")
    assert bitspec(*SCORES, "--store", "serial").splitlines() == bitspec(*SCORES, "--store", "local").splitlines()


def test_its_options_are_in_the_help_and_checked(bitspec: Callable[..., str]) -> None:
    assert "Seconds between two trials." in bitspec("run", "--runner", "serial", "--help")
    assert "--workers" not in bitspec("run", "--runner", "serial", "--help")
    assert "--rest" in bitspec("run", "study.bspec", "--runner", "serial", "--rest", "-1", spec=SPEC, code=2)
