"""A forest plot as text: intervals on one axis, and numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import columns as width_of
from bitspec.language.load import loads
from bitspec.report.choices import Choice
from bitspec.report.text.forest import as_text, show
from bitspec.report.verdicts import Verdicts, judge, read
from tests.report.conftest import ASKED
from tests.report.made import QUESTIONS, ScoreOf, runs_of
from tests.report.text.terminal import printed

Answer = Callable[..., Path]


def made(score: ScoreOf, spec: str = QUESTIONS, **options: Any) -> Verdicts:
    study = loads(spec)
    runs = runs_of(study, score, lambda _task, strategy, _seed: 0.01 * len(strategy), **options)
    return Verdicts(runs, tuple(judge(study, runs)))


def lead(_task: str, strategy: str, seed: int) -> float:
    return 60 + 6 * (strategy == "bitfit") + (seed * 7 + len(strategy) * 3) % 5 / 10


def lines_of(verdicts: Verdicts, **options: Any) -> list[str]:
    return printed(lambda console: show(console, verdicts), **options).splitlines()


def test_numbers(asked: Path) -> None:
    text = as_text(read(asked, Choice()))
    assert "\nIs BitFit better?\nexpectation " in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["BitFit > Gammas"][-2:] == ["+9.6", "+9.6"]  # each task
    assert "+9.6" in rows["BitFit > Gammas"][4]
    assert rows["Gammas > Frozen on rte"][5:10] == ["undecided", "(too", "few", "runs)", "+10.0"]
    assert rows["change correlates with score"][4:9] == ["undecided", "(too", "few", "strategies)", "0.80"]
    assert "validation set 95 %" in text


def test_an_interval_a_line(asked: Path) -> None:
    lines = lines_of(read(asked, Choice()), width=140)
    line = next(line for line in lines if line.startswith("BitFit > Gammas"))
    assert "├" in line
    assert "□" in line
    assert line.endswith("undecided")
    assert "6 pairs" in line
    margin = next(line for line in lines if line.startswith("BitFit >= Sample - 1"))
    assert "┊" in margin
    axis = next(line for line in lines if " 0 " in line and "+" in line and "pairs" not in line)
    assert axis.index("0") == line.index("│")


def test_verdicts_are_told_by_words_and_marks() -> None:
    verdicts = made(lead)
    lines = lines_of(verdicts, width=160)
    decided = [line for line in lines if line.startswith("bitfit > ")]
    assert all("■" in line and line.endswith("supported") for line in decided)
    colored = printed(lambda console: show(console, verdicts), width=160, color_system="truecolor")
    assert "\x1b[1;34msupported" in colored


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_lines_fit_a_terminal(width: int) -> None:
    lines = lines_of(made(lead), width=width)
    plots = [line for line in lines if "□" in line and "undecided  " not in line and "mean" not in line]
    assert plots
    assert max(map(width_of, plots)) <= width


def test_ascii_where_there_are_no_lines(asked: Path) -> None:
    said = "\n".join(lines_of(read(asked, Choice()), width=140, encoding="ascii"))
    assert "--" in said
    assert "□" not in said
    assert "o mean, undecided" in said


def test_one_seed_has_no_interval() -> None:
    lines = lines_of(made(lead, seeds=[0]), width=160)
    rows = [line for line in lines if line.endswith("undecided (one seed)")]
    assert len(rows) == 13
    assert not any("├" in line for line in rows)


def test_an_interval_that_goes_on() -> None:
    def score(_task: str, strategy: str, seed: int) -> float:
        return 60 + len(strategy) / 10 + seed * (strategy == "bitfit")

    spec = QUESTIONS.replace("task cola, mrpc, rte", "task rte")  # two pairs: Student's t of one degree of freedom
    assert any("‹" in line and "›" in line for line in lines_of(made(score, spec, seeds=[0, 1]), width=160)[:-1])


def test_nothing_to_compare() -> None:
    verdicts = made(lambda task, strategy, seed: None if strategy == "full_ft" else lead(task, strategy, seed))
    assert "undecided (no runs)" in as_text(verdicts)
    assert any(line.endswith("undecided (no runs)") for line in lines_of(verdicts, width=160))


def test_more_expectations_than_a_screen_has_are_counted() -> None:
    more = "".join(f"expect bitfit > full_ft + {number}.5\n" for number in range(100))
    verdicts = made(lead, QUESTIONS + 'question "And by how much?" {\n' + more + "}")
    assert "and 53 expectations more" in "\n".join(lines_of(verdicts, width=160))
    assert "bitfit > full_ft + 99.5" in as_text(verdicts)


def test_hostile_texts(answer: Answer) -> None:
    evil = "[bold]x[/bold] | " * 20
    found = read(answer(ASKED.replace('"BitFit"', f'"{evil}"')), Choice())
    assert "[bold]x[/bold] |" in "\n".join(lines_of(found, width=120))
