"""Two strategies beside each other as tables: two of them to read, or one for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from bitspec.diagnostics import counted
from bitspec.query.answer import Answer
from bitspec.query.compile import Column
from bitspec.query.formats import number_text
from bitspec.query.functions import Kind
from bitspec.report.compare import Row, Side, Strategies
from bitspec.report.sentences import TWO_SIDED, interval_text, p_text, sentence, signed
from bitspec.report.statistics import Significance
from bitspec.report.verdicts import wording
from bitspec.report.words import labels

#: The last line of a table.
AVERAGE: Final = "average"

#: Cells, or trials, that a note names.
_NAMED: Final = 3


def tables(found: Strategies) -> list[Answer]:
    """The scores and costs of both, and their differences with what can be said of them below."""
    return [_scores(found), _differences(found)]


def for_programs(found: Strategies) -> Answer:
    """Both strategies and their difference, a row for each task; where `task` or `model` is null, for all of them."""
    sides = ("score", "sd", "n", "percent_min", "percent_max", "change", "seconds")
    numbers = [f"{side}_{name}" for side in ("a", "b") for name in sides]
    tested = ("pairs", "difference", "low", "high", "p", "sampling")
    columns = (
        *(Column(name, Kind.TEXT) for name in ("model", "task", "a", "b")),
        *(Column(name, Kind.NUMBER, name.endswith(("_score", "_sd"))) for name in (*numbers, *tested)),
        Column("is_exact", Kind.TRUTH),
    )
    rows = [
        (
            row.model,
            row.task,
            found.left,
            found.right,
            *(value for side in row.sides or (None, None) for value in _numbers(side)),
            *_tested(row),
        )
        for row in found.rows
    ]
    return Answer(columns, rows, tuple(_notes(found)))


def _numbers(side: Side | None) -> tuple[Any, ...]:
    if side is None:
        return (None,) * 7
    return (side.mean, side.sd, side.n, *(side.percent or (None, None)), side.change, side.seconds)


def _tested(row: Row) -> tuple[Any, ...]:
    difference, test = row.difference, row.test
    if not difference.strata:
        return (0, *(None,) * 6)
    interval = difference.interval
    return (
        difference.pairs,
        difference.mean,
        None if interval is None else interval.low,
        None if interval is None else interval.high,
        None if test is None else test.p,
        difference.sampling,
        None if test is None else test.is_exact,
    )


# To read --------------------------------------------------------------------------------------------------------------


def _scores(found: Strategies) -> Answer:
    several = len(found.scores.models) > 1
    columns = (
        *_where(several),
        Column("strategy", Kind.TEXT),
        *(Column(name, Kind.NUMBER) for name in ("score (points)", "runs", "% of parameters", "change", "seconds")),
    )
    titles = labels(found.runs.chosen)
    rows = [
        (*_place(row, several), titles[name], *_cells(side))
        for row in found.rows
        if row.sides is not None
        for name, side in zip((found.left, found.right), row.sides, strict=True)
    ]
    return Answer(columns, rows)


def _cells(side: Side) -> tuple[Any, ...]:
    sd = f" ± {number_text(side.sd, 1)}" if side.sd is not None else ""
    score = None if side.mean is None else f"{number_text(side.mean, 1)}{sd}"
    percent: Any = None
    if side.percent is not None:
        low, high = side.percent
        percent = low if low == high else f"{number_text(low, None)} to {number_text(high, None)}"
    return (score, side.n, percent, side.change, side.seconds)


def _differences(found: Strategies) -> Answer:
    several = len(found.scores.models) > 1
    headings = ("difference (points)", "95 % interval", "p", "pairs", "validation set")
    columns = (*_where(several), *(Column(name, Kind.NUMBER) for name in headings))
    rows = [(*_place(row, several), *_tests(row)) for row in found.rows]
    return Answer(columns, rows, tuple(_notes(found)))


def _tests(row: Row) -> tuple[Any, ...]:
    difference = row.difference
    if not difference.strata:
        return (None, None, None, 0, None)
    interval, sampling = difference.interval, difference.sampling
    return (
        signed(difference.mean),
        None if interval is None else interval_text(interval),
        None if row.test is None else _p(row.test),
        difference.pairs,
        None if sampling is None else f"± {TWO_SIDED * sampling:.1f}",
    )


def _p(test: Significance) -> str:
    """A p without the letter: `0.032`, `< 0.001`, `≈ 0.03` where it is estimated."""
    text = p_text(test.p).removeprefix("p ").removeprefix("= ")
    return text if test.is_exact else f"≈ {text}"


def _where(several: bool) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.TEXT) for name in (("model", "task") if several else ("task",)))


def _place(row: Row, several: bool) -> tuple[str, ...]:
    task = AVERAGE if row.task is None else row.task
    return (row.model or "all models", task) if several else (task,)


# What is said below ---------------------------------------------------------------------------------------------------


def _notes(found: Strategies) -> Iterable[str]:
    titles = labels(found.runs.chosen)
    left, right = titles[found.left], titles[found.right]
    yield f"{found.runs.chosen.study}: {left} less {right}, {_pairs(found)}"
    asked = wording(found.finding.expectation)
    yield f"expect {asked}, asked alone: {sentence(found.finding, titles)}"
    tests = [row.test for row in found.rows if row.test is not None]
    if tests:
        drawn = "" if all(test.is_exact for test in tests) else "; where it stands with ≈, from random flips"
        alone = "; those of single tasks are not corrected for their number" if len(tests) > 1 else ""
        yield f"p: by sign flips, two-sided{drawn}{alone}"
    if found.difference.sampling is not None:
        yield "validation set: what other examples like these would move the difference by, ± 1.96 standard errors"
    if found.same:
        pairs = counted(found.difference.pairs, "pair")
        yield f"{found.same:,} of {pairs} are one trial: there {left} and {right} train the same"
    for setting, ours, theirs in found.other_settings:
        yield f"{setting}: {_values(ours)} for {left}, {_values(theirs)} for {right}"
    for name, count in found.unpaired.items():
        of = f"{counted(count, 'run')} of {titles[name]}"
        yield f"{of} without a partner of the same seed: in its mean, and in no difference"
    yield from _unfinished(found)


def _pairs(found: Strategies) -> str:
    counts = {len(stratum.pairs) for stratum in found.difference.strata}
    if not counts:
        return "without a pair"
    least, most = min(counts), max(counts)
    pairs = counted(most, "pair") if least == most else f"{least:,} to {counted(most, 'pair')}"
    return f"paired by seed: n = {pairs} on each task"


def _values(values: set[str]) -> str:
    return " or ".join(sorted(values)) or "none"


def _unfinished(found: Strategies) -> Iterable[str]:
    lacking = [score for score in found.scores.all if len(score.runs) < score.planned]
    if not lacking:
        return
    named = [f"{one.title} on {one.task} ({len(one.runs)} of {counted(one.planned, 'run')})" for one in lacking]
    yield f"not finished: {few(named)}"


def few(named: Sequence[str]) -> str:
    """What a note names, and how many more there are."""
    more = f"; and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return f"{'; '.join(named[:_NAMED])}{more}"
