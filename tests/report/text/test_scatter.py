"""Change against score as text: the largest change first, with the score beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bitspec.report.associations import read
from bitspec.report.choices import Choice
from bitspec.report.text.scatter import as_text, show
from tests.report.conftest import ASKED, MINIMAL
from tests.report.text.terminal import printed

Answer = Callable[..., Path]


def test_numbers(asked: Path) -> None:
    assert (
        as_text(read(asked, Choice()))
        == """\
What was asked
mean absolute change of the trained entries, and score, of each strategy: means over seeds
study asked, model nano, n = 3 seeds
Spearman's ρ: builtin/cola 0.80, builtin/rte 0.80; mean 0.80, over 4 strategies, p = 0.33 by permuting them
left out, as nothing is trained, a task is not finished, or the trials are another strategy's: Frozen

builtin/cola  ρ = 0.80
strategy  mean |Δ|  score (points)  n
BitFit       0.088           50.08  3
Upper        0.066           45.50  3
Sample       0.044           50.00  3
Gammas       0.022           40.50  3

builtin/rte  ρ = 0.80
strategy  mean |Δ|  score (points)  n
BitFit       0.088           70.08  3
Upper        0.066           65.50  3
Sample       0.044           70.00  3
Gammas       0.022           60.50  3
"""
    )


def test_bars(asked: Path) -> None:
    found = read(asked, Choice(tasks=("rte",)))
    lines = printed(lambda console: show(console, found), width=100).splitlines()
    bars = {line.split()[0]: (line.split()[2].count("█"), line.split()[4].count("█")) for line in lines if "█" in line}
    assert bars == {"BitFit": (24, 24), "Upper": (18, 13), "Sample": (12, 24), "Gammas": (6, 1)}
    assert any(line == "builtin/rte  ρ = 0.80" for line in lines)


def test_ascii_where_there_are_no_blocks(asked: Path) -> None:
    found = read(asked, Choice(tasks=("rte",)))
    assert "########" in printed(lambda console: show(console, found), encoding="ascii")


def test_lines_fit_a_terminal_of_eighty_columns(answer: Answer) -> None:
    found = read(answer(ASKED.replace('"BitFit"', '"' + "long " * 20 + '"')), Choice(tasks=("rte",)))
    said = printed(lambda console: show(console, found), width=80)
    assert max(len(line) for line in said.splitlines() if "█" in line) <= 80


def test_more_strategies_than_a_screen_has_are_counted(answer: Answer) -> None:
    spec = MINIMAL + "for n in 11..60 { strategy s_$n = rand(bias, $n) }"
    found = read(answer(spec), Choice(tasks=("rte",)))
    assert "and 14 strategies more" in printed(lambda console: show(console, found))
    assert "s_60" in as_text(found)


def test_one_seed(answer: Answer) -> None:
    found = read(answer(ASKED.replace("seeds 0..2", "seeds 0")), Choice(tasks=("rte",)))
    assert "over 4 strategies, no p of a single seed" in as_text(found)
    assert "n = 1 seed\n" in as_text(found)


def test_changes_of_nothing(answer: Answer) -> None:
    from tests.report.conftest import asked_result, change

    folder = answer(
        result=lambda cell: (
            asked_result(cell)
            | ({} if cell.trial.strategy == "frozen" else {"changes": (change("q", "q", 0, "bias", 4, 0.0),)})
        )
    )
    found = read(folder, Choice(tasks=("rte",)))
    assert "cannot be ranked" in as_text(found)
    assert printed(lambda console: show(console, found))
