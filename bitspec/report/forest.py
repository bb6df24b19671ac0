"""Findings as the rows of a forest plot: where each difference lies, how far it may lie from there, and what it takes.

Differences are in points; the correlation of change with score has rows of its own kind, from −1 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bitspec.diagnostics import counted
from bitspec.ir.study import Comparison
from bitspec.report.associations import Association
from bitspec.report.captions import rho_text, stratum_title
from bitspec.report.differences import Difference
from bitspec.report.sentences import TWO_SIDED, interval_text, p_text, signed
from bitspec.report.statistics import Interval
from bitspec.report.verdicts import Finding, Verdicts, Why, by_question, wording
from bitspec.report.words import labels

#: Why a verdict is open, as it stands beside it.
_WHY: Final = {
    Why.NO_RUNS: "no runs",
    Why.SAME_TRIALS: "the same trials",
    Why.ONE_SEED: "one seed",
    Why.TOO_FEW: "too few runs",
}


@dataclass(frozen=True)
class Part:
    """What one task (and model) comes to, of so many pairs of runs, or seeds."""

    title: str
    value: float
    count: int


@dataclass(frozen=True)
class Row:
    """A finding in a forest plot.

    `mean`, `interval`, `sampling` (the validation sets' own 95 % around the mean) and `margin` are in points, or rank
    correlations; each is None where there is none. `parts` are the tasks behind the mean, where there are several.
    """

    finding: Finding
    wording: str
    mean: float | None
    interval: Interval | None
    sampling: Interval | None
    margin: float | None
    parts: tuple[Part, ...]

    @property
    def is_correlation(self) -> bool:
        """Whether its numbers are rank correlations."""
        return isinstance(self.finding.found, Association)

    @property
    def estimate(self) -> str:
        """The mean and its interval in words: `+1.3 (−0.3 to 2.9)`."""
        if self.mean is None:
            return "–"
        text, decimals = (rho_text(self.mean), 2) if self.is_correlation else (signed(self.mean), 1)
        return text if self.interval is None else f"{text} ({interval_text(self.interval, decimals)})"

    @property
    def count(self) -> str:
        """What the mean is over: `15 pairs`, `13 strategies`."""
        found = self.finding.found
        return counted(found.pairs, "pair") if isinstance(found, Difference) else counted(found.strategies, "strategy")

    @property
    def p(self) -> str:
        """The corrected p; a dash where nothing is tested."""
        return "–" if self.finding.corrected is None else p_text(self.finding.corrected)

    @property
    def verdict(self) -> str:
        """The verdict, and what keeps it open if that is no chance: `undecided (one seed)`."""
        why = self.finding.why_open
        if why is Why.TOO_FEW and self.is_correlation:
            return f"{self.finding.verdict} (too few strategies)"
        return f"{self.finding.verdict}" + ("" if why is None else f" ({_WHY[why]})")


@dataclass(frozen=True)
class Group:
    """A question and its expectations."""

    question: str
    rows: tuple[Row, ...]


def groups(verdicts: Verdicts) -> list[Group]:
    """The rows of each question, in their order."""
    names = labels(verdicts.runs.chosen)
    return [
        Group(question, tuple(_row(finding, names, verdicts) for finding in findings))
        for question, findings in by_question(verdicts.findings)
    ]


def _row(finding: Finding, names: Mapping[str, str], verdicts: Verdicts) -> Row:
    found = finding.found
    text = wording(finding.expectation, names)
    if isinstance(found, Association):
        correlation = found.correlation
        if correlation is None:
            return Row(finding, text, None, None, None, None, ())
        parts = tuple(
            Part(stratum_title(verdicts.runs.chosen, *stratum), rho, len(points))
            for stratum, rho, points in zip(found.strata, correlation.strata, found.points, strict=True)
            if rho is not None
        )
        interval = correlation.interval if found.seeds > 1 else None
        return Row(finding, text, correlation.mean, interval, None, None, parts if len(found.strata) > 1 else ())
    assert isinstance(finding.expectation, Comparison)
    margin = finding.expectation.margin or None
    if not found.strata:
        return Row(finding, text, None, None, None, margin, ())
    parts = tuple(
        Part(stratum_title(verdicts.runs.chosen, one.model, one.task), one.mean, len(one.pairs)) for one in found.strata
    )
    return Row(
        finding,
        text,
        found.mean,
        found.interval,
        _sampling(found),
        margin,
        parts if len(parts) > 1 else (),
    )


def _sampling(found: Difference) -> Interval | None:
    if found.sampling is None:
        return None
    half = TWO_SIDED * found.sampling
    return Interval(found.mean - half, found.mean + half)


def axis(rows: Iterable[Row], narrowest: float = 2.0) -> Interval:
    """The part of an axis on which rows are drawn: all means, and of the intervals what is not far beyond them.

    With two seeds a 95 % interval is twenty times as wide as the differences: drawn whole, it would leave nothing of
    them to be seen.
    """
    shown = [row for row in rows if row.mean is not None]
    values = [0.0]
    ends: list[float] = []
    for row in shown:
        assert row.mean is not None
        values += [row.mean, *(part.value for part in row.parts), *([] if row.margin is None else [row.margin])]
        ends += [end for one in (row.interval, row.sampling) if one is not None for end in (one.low, one.high)]
    low, high = min(values), max(values)
    beyond = max(high - low, narrowest / 2)
    low = min(low, max(low - beyond, min(ends, default=low)))
    high = max(high, min(high + beyond, max(ends, default=high)))
    room = max(0.04 * (high - low), (narrowest - (high - low)) / 2)
    return Interval(low - room, high + room)


def part_titles(rows: Sequence[Row]) -> list[str]:
    """The tasks that rows have parts of, in their order."""
    return list(dict.fromkeys(part.title for row in rows for part in row.parts))
