"""Learning curves as text: sparklines that fit a terminal, and numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitspec.report.choices import Choice
from bitspec.report.curves import read
from bitspec.report.text.curves import as_text, show
from tests.report.conftest import ASKED, MINIMAL
from tests.report.text.terminal import printed

Answer = Callable[..., Path]


def shown(store: Path, choice: Choice = Choice(tasks=("rte",)), **options: Any) -> str:  # noqa: B008 - frozen
    curves = read(store, choice)
    return printed(lambda console: show(console, curves), **options)


def test_numbers(asked: Path) -> None:
    assert (
        as_text(read(asked, Choice(tasks=("rte",), strategies=("bitfit", "gammas"))))
        == """\
What was asked
score and loss after each epoch: means over seeds, in a band from the lowest to the highest
study asked, model nano, task builtin/rte, n = 3 seeds

builtin/rte
strategy  epoch  n  score (points)  lowest  highest  training loss  lowest  highest  validation loss  lowest  highest
BitFit        1  3           62.08   61.75    62.50         0.7100  0.7000   0.7200           0.8100  0.8000   0.8200
BitFit        2  3           66.08   65.75    66.50         0.6100  0.6000   0.6200           0.7100  0.7000   0.7200
BitFit        3  3           70.08   69.75    70.50         0.5100  0.5000   0.5200           0.6100  0.6000   0.6200
Gammas        1  3           52.50   52.00    53.00         0.7100  0.7000   0.7200           0.8100  0.8000   0.8200
Gammas        2  3           56.50   56.00    57.00         0.6100  0.6000   0.6200           0.7100  0.7000   0.7200
Gammas        3  3           60.50   60.00    61.00         0.5100  0.5000   0.5200           0.6100  0.6000   0.6200
"""
    )


def test_one_seed_has_no_spread(answer: Answer) -> None:
    text = as_text(read(answer(ASKED.replace("seeds 0..2", "seeds 0")), Choice(tasks=("rte",), strategies=("bitfit",))))
    assert "strategy  epoch  n  score (points)  training loss  validation loss\n" in text
    assert "BitFit        3  1           70.00         0.5000           0.6000\n" in text


def test_sparklines(asked: Path) -> None:
    lines = shown(asked, width=120).splitlines()
    bitfit = next(line for line in lines if line.startswith("BitFit"))
    assert bitfit.split("  ")[1:] == [
        "▆▇█ 62.1 → 70.1",
        "▆▃▁ 0.71 → 0.51",
        "█▆▃ 0.81 → 0.61",
    ]
    frozen = next(line for line in lines if line.startswith("Frozen"))
    assert "▁▂▃ 42.5 → 50.5" in frozen
    assert "score (points)" in "\n".join(lines)


def test_ascii_where_there_are_no_blocks(asked: Path) -> None:
    said = shown(asked, width=120, encoding="ascii")
    assert "62.1 -> 70.1" in said
    assert "▁" not in said


def test_lines_fit_a_terminal_of_eighty_columns(answer: Answer) -> None:
    said = shown(
        answer(ASKED.replace("epochs = 3", "epochs = 40").replace('"BitFit"', '"' + "long " * 20 + '"')), width=80
    )
    strategies = [line for line in said.splitlines() if "→" in line]
    assert len(strategies) == 5
    assert max(map(len, strategies)) <= 100  # a name that is cut, and three short sparklines


def test_a_single_epoch_is_a_number(answer: Answer) -> None:
    said = shown(answer(ASKED.replace("epochs = 3", "epochs = 1")), width=120)
    line = next(line for line in said.splitlines() if line.startswith("BitFit"))
    assert line.split() == ["BitFit", "62.1", "0.71", "0.81"]


def test_seeds_stand_beside_names_where_they_differ(answer: Answer) -> None:
    said = shown(answer(skip=lambda cell: cell.trial.strategy == "gammas" and cell.trial.seed == 2), width=120)
    assert any(line.startswith("Gammas") and "2 of 3 seeds" in line for line in said.splitlines())


def test_more_strategies_than_a_screen_has_are_counted(answer: Answer) -> None:
    spec = MINIMAL + "for n in 1..50 { strategy s_$n = rand(bias, $n) }"
    folder = answer(spec)
    assert "and 15 strategies more" in shown(folder, width=120)
    assert "s_50" in as_text(read(folder, Choice()))
