"""The rows of a forest plot: what is drawn of each finding, in words and in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitspec.language.load import loads
from bitspec.report.choices import Choice
from bitspec.report.forest import Row, axis, groups, part_titles
from bitspec.report.statistics import Interval
from bitspec.report.verdicts import Verdicts, judge, read
from tests.report.made import QUESTIONS, ScoreOf, runs_of


def rows_of(store: Path) -> list[Row]:
    return [row for group in groups(read(store, Choice())) for row in group.rows]


def made(score: ScoreOf, spec: str = QUESTIONS, **options: Any) -> list[Row]:
    study = loads(spec)
    runs = runs_of(study, score, **options)
    return [row for group in groups(Verdicts(runs, tuple(judge(study, runs)))) for row in group.rows]


def test_rows_by_question(asked: Path) -> None:
    found = groups(read(asked, Choice()))
    assert [(group.question, [row.wording for row in group.rows]) for group in found] == [
        ("Is BitFit better?", ["BitFit > Gammas", "BitFit >= Sample - 1", "Gammas > Frozen on rte"]),
        ("Does a larger change mean a better score?", ["change correlates with score"]),
    ]


def test_a_difference(asked: Path) -> None:
    row, margin, single, _ = rows_of(asked)
    # Seeds 0, 1, 2: 10, 10, 8.75 points on each of two tasks.
    assert row.mean == pytest.approx(9.58333)
    assert row.margin is None
    assert [(part.title, part.count) for part in row.parts] == [("builtin/cola", 3), ("builtin/rte", 3)]
    assert [part.value for part in row.parts] == pytest.approx([9.58333, 9.58333])
    assert row.interval is not None
    assert row.estimate == f"+9.6 ({row.interval.low:.1f} to {row.interval.high:.1f})"
    assert (row.count, row.verdict) == ("6 pairs", "undecided")
    assert row.sampling is not None
    assert row.mean is not None
    assert row.sampling.high - row.mean == pytest.approx(row.mean - row.sampling.low)
    assert margin.margin == -1.0
    assert single.parts == ()  # one task is its own mean
    assert single.verdict == "undecided (too few runs)"


def test_a_correlation(asked: Path) -> None:
    *_, row = rows_of(asked)
    assert row.is_correlation
    assert row.mean == pytest.approx(0.8)
    assert [part.title for part in row.parts] == ["builtin/cola", "builtin/rte"]
    assert (row.estimate, row.count, row.sampling) == ("0.80", "4 strategies", None)


def test_one_seed() -> None:
    found = made(lambda _task, strategy, _seed: 60 + len(strategy), seeds=[0])
    assert {row.verdict for row in found} == {"undecided (one seed)"}
    assert {row.p for row in found} == {"–"}
    assert {row.interval for row in found} == {None}


def test_no_runs() -> None:
    row, *_ = made(lambda _task, strategy, _seed: None if strategy == "full_ft" else 60.0)
    assert (row.mean, row.estimate, row.verdict) == (None, "–", "undecided (no runs)")


def test_an_axis_shows_all_means_and_not_all_of_wide_intervals() -> None:
    spec = QUESTIONS.replace("task cola, mrpc, rte", "task rte")  # two pairs: Student's t of one degree of freedom
    found = made(
        lambda _task, strategy, seed: 60 + len(strategy) + 20 * seed * (strategy == "bitfit"), spec, seeds=[0, 1]
    )
    shown = [row for row in found if not row.is_correlation]
    reach = axis(shown)
    means = [row.mean for row in shown if row.mean is not None]
    assert reach.low < min(0, *means)
    assert reach.high > max(0, *means)
    widest = max(row.interval.high - row.interval.low for row in shown if row.interval is not None)
    assert reach.high - reach.low < widest / 2


def test_an_axis_of_nothing_is_as_wide_as_the_narrowest() -> None:
    assert axis([]) == Interval(-1.0, 1.0)


def test_the_tasks_of_rows(asked: Path) -> None:
    assert part_titles(rows_of(asked)) == ["builtin/cola", "builtin/rte"]
