"""Score against share as text: strategies by their share, the front marked."""

from __future__ import annotations

from typing import Any

from bitspec.report.scores import Scores
from bitspec.report.text.pareto import as_text, show
from tests.report.test_scores import MANY, SPEC, TABLE, by_number, made
from tests.report.text.terminal import printed

PERCENTS = {"frozen": 0.0, "bitfit": 0.1234567, "gammas": 0.02}

ONE_TASK = SPEC.replace("cola, rte", "rte")

FRONT = (
    "on the front: no other strategy scores as high with fewer parameters, or higher with as many, by the means of the "
    "runs"
)


def shown(scores: Scores, **options: Any) -> str:
    return printed(lambda console: show(console, scores), **options)


def strips(text: str) -> list[list[str]]:
    """The words of each strategy's line."""
    return [line.split() for line in text.splitlines() if line.startswith(("Frozen", "BitFit", "Gammas"))]


def test_numbers() -> None:
    assert (
        as_text(made(percents=PERCENTS))
        == f"""\
A made-up study
score in points, and % of the base model's parameters that are trained
{FRONT}
study made, model nano, n beside each strategy
average: the mean of the tasks' means; its runs are the seeds that are finished on every task

average over 2 tasks
strategy  % trained       n   mean    sd   95 % interval  front
Frozen            0       3  50.00  0.00  50.00 to 50.00    yes
Gammas         0.02  1 of 3  59.00                          yes
BitFit     0.123457       3  67.00  2.00  64.73 to 69.27    yes
"""
    )


def test_strategies_stand_by_their_share() -> None:
    text = shown(made(percents={"frozen": 0, "bitfit": 0.02, "gammas": 0.1234567}, seeds=[0, 1]), width=100)
    assert [words[0] for words in strips(text)] == ["Frozen", "BitFit", "Gammas"]
    text = shown(made(percents=PERCENTS), width=100)
    assert [words[0] for words in strips(text)] == ["Frozen", "Gammas", "BitFit"]
    assert strips(text)[2][-7:] == ["0.123", "3", "67.0", "64.7", "to", "69.3", "★"]


def test_only_the_front_is_marked() -> None:
    text = shown(made(spec=ONE_TASK, percents={"frozen": 0, "bitfit": 0.02, "gammas": 0.1}), width=100)
    assert [(words[0], words[-1] == "★") for words in strips(text)] == [
        ("Frozen", True),
        ("BitFit", True),
        ("Gammas", False),
    ]
    assert text.splitlines()[-1].endswith("   ★ on the front")
    assert FRONT in text
    table = as_text(made(spec=ONE_TASK, percents={"frozen": 0, "bitfit": 0.02, "gammas": 0.1}))
    assert [line.endswith("  yes") for line in table.splitlines()[-3:]] == [True, True, False]


def test_ascii_where_there_is_no_star() -> None:
    text = shown(made(percents=PERCENTS), width=100, encoding="ascii")
    assert all(words[-1] == "*" for words in strips(text))
    assert text.splitlines()[-1].endswith("   * on the front")


def test_what_is_not_finished_on_every_task_is_named() -> None:
    text = as_text(made(TABLE | {("gammas", "rte"): ()}, percents=PERCENTS))
    assert "not finished yet: Gammas on rte" in text
    assert [words[0] for words in strips(text)] == ["Frozen", "BitFit"]


def test_models_have_panels_on_the_same_axis() -> None:
    text = shown(made(percents=PERCENTS, models=("nano", "large")), width=120)
    assert [line for line in text.splitlines() if "tasks ·" in line] == [
        "average over 2 tasks · nano",
        "average over 2 tasks · large",
    ]
    first, second = (line for line in text.splitlines() if "% trained" in line)
    assert first == second


def test_the_lowest_of_many_are_left_out_but_for_the_front() -> None:
    scores = made(lambda task, name, seed: 30.0 if name == "frozen" else by_number(task, name, seed), MANY)
    text = shown(scores, width=120)
    assert len([line for line in text.splitlines() if line.startswith(("s_", "Frozen "))]) == 40
    assert "left out: 20 strategies with the lowest means, those on the front last; choose with --strategy" in text
    assert strips(text)[0][-1] == "★"
    assert "left out" not in as_text(scores)


def test_shares_that_are_small() -> None:
    percents = {"frozen": 0.0, "bitfit": 100.0, "gammas": 0.000001}
    scores = made({("gammas", "rte"): (60,), ("bitfit", "rte"): (70,)}, ONE_TASK, percents, seeds=[0])
    assert [words[1] for words in strips(as_text(scores))] == ["1e-06", "100"]
    assert [words[-4:] for words in strips(shown(scores, width=100))] == [
        ["<0.00001", "1", "60.0", "★"],
        ["100", "1", "70.0", "★"],
    ]


def test_hostile_titles() -> None:
    evil = "[bold]x[/bold] | " * 20
    scores = made(spec=SPEC.replace('"BitFit"', f'"{evil}"'), percents=PERCENTS)
    assert evil[:35] + "…" in shown(scores, width=120)
    assert evil in as_text(scores)
