"""What stands below figures: n is always there, and what is left out is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.language.load import loads
from bitspec.report.associations import association
from bitspec.report.captions import (
    association_caption,
    correlation_text,
    curves_caption,
    rho_text,
    seeds_of,
    span,
    stratum_title,
    verdict_counts,
    verdicts_caption,
)
from bitspec.report.choices import Cells, Choice, Chosen
from bitspec.report.curves import read as read_curves
from bitspec.report.verdicts import judge
from bitspec.report.verdicts import read as read_verdicts
from tests.report.made import QUESTIONS, runs_of

Answer = Callable[..., Path]


def cells(finished: int, planned: int, model: str = "nano", task: str = "rte") -> Cells:
    return Cells(model, task, "a", "A", 0, planned, finished)


def test_learning_curves(asked: Path) -> None:
    assert curves_caption(read_curves(asked, Choice(tasks=("rte",)))) == [
        "score and loss after each epoch: means over seeds, in a band from the lowest to the highest",
        "study asked, model nano, task builtin/rte, n = 3 seeds",
    ]


def test_change_against_score() -> None:
    runs = runs_of(loads(QUESTIONS), lambda *_: 60.0, lambda *_: 0.1)
    lines = association_caption(association(runs))
    assert lines[1] == "study made, model nano, n = 5 seeds"
    assert lines[2] == "Spearman's ρ: none, as 13 strategies cannot be ranked"
    assert lines[3].endswith("another strategy's: frozen")


def test_a_correlation_on_one_task() -> None:
    runs = runs_of(loads(QUESTIONS), lambda _t, s, _: float(len(s)), lambda _t, s, _: -float(len(s)))
    found = association(runs, ["rte"])
    assert correlation_text(found).startswith("Spearman's ρ: −1.00, over 13 strategies, p < 0.001")


def test_verdicts(asked: Path) -> None:
    whole = read_verdicts(asked, Choice())
    assert verdicts_caption(whole)[-1] == "4 undecided; a verdict takes p < 0.05, corrected by Holm for 4 tests"
    assert "n beside each row" in verdicts_caption(whole)[-2]


def test_verdicts_of_one_seed() -> None:
    study = loads(QUESTIONS)
    findings = judge(study, runs_of(study, lambda *_: 60.0, seeds=[0]))
    assert verdict_counts(findings) == "13 undecided"


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ([cells(5, 5), cells(5, 5)], "5 seeds"),
        ([cells(1, 1)], "1 seed"),
        ([cells(3, 5)], "3 of 5 seeds"),
        ([cells(3, 5), cells(5, 5)], "3 to 5 seeds"),
    ],
)
def test_seeds(own: list[Cells], text: str) -> None:
    assert seeds_of(own) == text


def test_numbers() -> None:
    assert span([3, 1, 2]) == "1 to 3"
    assert span([2, 2]) == "2"
    assert rho_text(-0.314) == "−0.31"
    assert rho_text(None) == "–"


def test_a_task_is_called_with_its_model_where_there_are_several() -> None:
    one = Chosen("s", None, "s.bspec", (cells(1, 1),))
    two = Chosen("s", None, "s.bspec", (cells(1, 1), cells(1, 1, model="other")))
    assert stratum_title(one, "nano", "rte") == "rte"
    assert stratum_title(two, "nano", "rte") == "rte · nano"
