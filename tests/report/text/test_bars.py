"""Scores as text: tables of every number, and strips that fit a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from bitspec.diagnostics import columns as width_of
from bitspec.report.scores import Scores
from bitspec.report.text.bars import as_text, show
from tests.report.test_scores import MANY, SPEC, TABLE, Table, by_number, made
from tests.report.text.terminal import printed

REPORTED = """
reported "a paper" { bitfit: cola 61, rte 75  gammas: cola 50 }
reported "another" { bitfit: rte 69 }
"""

ONE_TASK = SPEC.replace("cola, rte", "rte")

#: The interval of two runs two points apart is 12.7 to each side of their mean.
WIDE: Table = {("bitfit", "rte"): (60, 62), ("gammas", "rte"): (58, 58.1)}


def shown(scores: Scores, **options: Any) -> str:
    return printed(lambda console: show(console, scores), **options)


def line_of(text: str, strategy: str, place: int = 0) -> str:
    return [line for line in text.splitlines() if line.startswith(strategy)][place]


def test_numbers() -> None:
    # 62 ± 4.303 · 2 / √3, 56 ± 12.706 · 1, 72 as 62, 63 ± 12.706 · 2; the averages of both,
    # 67 ± 2.776 · √(4/3 + 4/3) / 2 and, as the gammas have 25/17 degrees of freedom, 59.5 ± 6.190 · √5 / 2.
    assert (
        as_text(made(spec=SPEC + REPORTED))
        == """\
A made-up study
score in points
study made, model nano, n beside each strategy
average: the mean of the tasks' means; its runs are the seeds that are finished on every task

cola, accuracy
strategy       n   mean    sd   95 % interval  seed 0  seed 1  seed 2  a paper
Frozen         3  50.00  0.00  50.00 to 50.00   50.00   50.00   50.00
BitFit         3  62.00  2.00  57.03 to 66.97   60.00   62.00   64.00    61.00
Gammas    2 of 3  56.00  1.41  43.29 to 68.71   55.00   57.00            50.00

rte, accuracy
strategy       n   mean    sd   95 % interval  seed 0  seed 1  seed 2  a paper  another
Frozen         3  50.00  0.00  50.00 to 50.00   50.00   50.00   50.00
BitFit         3  72.00  2.00  67.03 to 76.97   70.00   72.00   74.00    75.00    69.00
Gammas    2 of 3  63.00  2.83  37.59 to 88.41           61.00   65.00

average over 2 tasks
strategy       n   mean    sd   95 % interval  seed 0  seed 1  seed 2  a paper
Frozen         3  50.00  0.00  50.00 to 50.00   50.00   50.00   50.00
BitFit         3  67.00  2.00  64.73 to 69.27   65.00   67.00   69.00    68.00
Gammas    1 of 3  59.00                                 59.00
"""
    )


def test_single_seeds_have_no_spread() -> None:
    text = as_text(made(spec=ONE_TASK.replace("seeds 0..2", "seeds 4"), score=lambda *_: 60.0))
    assert text.splitlines()[-4:] == [
        "strategy  n   mean  seed 4",
        "Frozen    1  60.00   60.00",
        "BitFit    1  60.00   60.00",
        "Gammas    1  60.00   60.00",
    ]


def test_the_tables_leave_nothing_out() -> None:
    text = as_text(made(by_number, MANY))
    assert "left out" not in text
    assert "not finished yet: s_57" in text
    assert len([line for line in text.splitlines() if line.startswith("s_")]) == 57


def test_a_strip_a_strategy() -> None:
    # From 50 to 60, with room of 3 % at each end: 49.7 to 60.3. Of 41 columns one is 0.265 points.
    text = shown(made({("bitfit", "rte"): (50, 54, 60), ("gammas", "rte"): (55,)}, ONE_TASK, seeds=range(3)), width=80)
    assert line_of(text, "Gammas").split() == ["Gammas", "●", "1", "of", "3", "55.0"]
    strip = line_of(text, "BitFit")
    assert strip.count("∙") == 3
    assert strip.index("∙") < strip.index("●") < strip.rindex("∙")
    assert strip.split()[-5:] == ["3", "54.7", "42.2", "to", "67.2"]
    assert "● mean of the runs   ∙ a run   ├─┤ 95 % interval of the mean, ‹ › where it goes on" in text


def test_places_on_the_axis() -> None:
    table: Table = {("frozen", "rte"): (50,), ("bitfit", "rte"): (60,), ("gammas", "rte"): (54,)}
    text = shown(made(table, ONE_TASK, seeds=[0]), width=200)
    heading = next(line for line in text.splitlines() if "mean" in line and "n" in line and "49.7" in line)
    first, last = heading.index("49.7"), heading.index("60.3") + 3
    assert last - first == 59  # sixty columns, and no more
    for strategy, score in (("Frozen", 50), ("BitFit", 60), ("Gammas", 54)):
        assert line_of(text, strategy).index("●") == first + round((score - 49.7) / 10.6 * 59)


def test_an_interval_that_goes_on() -> None:
    strip = line_of(shown(made(WIDE, ONE_TASK), width=100), "BitFit")
    assert "‹" in strip
    assert "›" in strip
    assert "├" not in strip
    assert line_of(shown(made(WIDE, ONE_TASK), width=100), "Gammas").count("├") == 1


def test_reported_scores_have_marks() -> None:
    text = shown(made(spec=SPEC + REPORTED), width=120)
    bitfit = line_of(text, "BitFit", 1)
    assert bitfit.count("◇") == 1
    assert bitfit.count("△") == 1
    assert bitfit.index("△") < bitfit.index("◇")  # 69 and 75
    assert bitfit.split()[-2:] == ["75.0", "69.0"]
    assert text.splitlines()[-1].endswith("◇ reported by a paper   △ reported by another")


def test_models_of_one_task_have_the_same_axis() -> None:
    text = shown(made(models=("nano", "large")), width=100)
    titles = [line for line in text.splitlines() if " · " in line]
    assert titles == [
        f"{task} · {model}{metric}"
        for model in ("nano", "large")
        for task, metric in (("cola", ", accuracy"), ("rte", ", accuracy"), ("average over 2 tasks", ""))
    ]
    axes = [line.split()[:2] for line in text.splitlines() if line.endswith("95 % interval")]
    assert axes[:3] == axes[3:]
    assert axes[0] != axes[1]


def test_ascii_where_there_are_no_marks() -> None:
    text = shown(made(WIDE, ONE_TASK + 'reported "a paper" { bitfit: rte 63 }'), width=100, encoding="ascii")
    strip = line_of(text, "BitFit")
    for mark in "<>#o-a":
        assert mark in strip
    assert text.splitlines()[-1] == (
        "# mean of the runs   o a run   |-| 95 % interval of the mean, < > where it goes on   a reported by a paper"
    )


def test_single_seeds_are_told_of_no_interval() -> None:
    text = shown(made(seeds=[0]), width=100)
    assert text.splitlines()[-1] == "● mean of the runs   ∙ a run"
    assert "95 %" not in text


@pytest.mark.parametrize("width", [72, 80, 100, 200])
def test_lines_fit_a_terminal(width: int) -> None:
    text = shown(made(spec=(SPEC + REPORTED).replace('"BitFit"', '"' + "BitFit " * 9 + '"')), width=width)
    strips = [line for line in text.splitlines() if line.startswith(("Frozen ", "BitFit ", "Gammas "))]
    assert any(line.startswith("BitFit BitF") for line in strips)
    assert len(strips) == 9
    assert max(map(width_of, strips)) <= width


def test_the_lowest_of_many_are_left_out_and_counted() -> None:
    text = shown(made(by_number, MANY), width=100)
    assert "left out: 20 strategies with the lowest means; choose with --strategy" in text
    assert len([line for line in text.splitlines() if line.startswith("s_")]) == 40
    assert not any(line.startswith("s_16 ") for line in text.splitlines())


def test_what_has_no_run_has_an_empty_strip() -> None:
    line = line_of(shown(made(TABLE | {("gammas", "rte"): ()}, ONE_TASK), width=100), "Gammas")
    assert line.split() == ["Gammas", "0", "of", "3"]


def test_colours_where_there_are_some() -> None:
    text = shown(made(spec=SPEC + REPORTED), width=100, color_system="truecolor")
    assert "\x1b[35m◇" in text


def test_hostile_titles() -> None:
    evil = "[bold]x[/bold] | " * 20
    spec = ONE_TASK.replace('"BitFit"', f'"{evil}"').replace('"Gammas"', '"偏置 偏置"').replace("A made-up", "[red]A")
    text = shown(made(spec=spec), width=120)
    assert text.startswith("[red]A study\n")
    assert line_of(text, "[bold]").startswith(evil[:35] + "…  ")
    assert width_of(line_of(text, "偏置").split("3  63")[0]) == width_of(line_of(text, "Frozen").split("3  50")[0])
    numbers = as_text(made(spec=spec))
    assert evil in numbers
    ends = {width_of(line) for line in numbers.splitlines() if line.startswith(("Frozen", "偏置"))}
    assert len(ends) == 1
