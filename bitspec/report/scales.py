"""The part of an axis of scores that a figure shows: small enough for differences of a point to be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bitspec.report.scores import Panel
from bitspec.report.statistics import Interval

#: Points that the values of the narrowest axis span.
_NARROWEST: Final = 2.0

#: How far intervals may reach beyond the values, as a share of what those span.
_BEYOND: Final = 0.5

#: Room at both ends, as a share of the axis.
_ROOM: Final = 0.03

#: The highest score that there is, of nearly every metric.
_PERFECT: Final = 100.0


@dataclass(frozen=True)
class Scale:
    """An axis from one score to another, in points."""

    low: float
    high: float

    def part(self, value: float) -> float:
        """Where a value lies on it: 0 at its low end, 1 at its high one."""
        return (value - self.low) / (self.high - self.low)

    def cut(self, interval: Interval) -> Interval:
        """The part of an interval that lies on it."""
        return Interval(max(interval.low, self.low), min(interval.high, self.high))


def scale_for(panels: Sequence[Panel], sources: Collection[str]) -> Scale:
    """One axis for panels: their runs, means and what these sources report, and what fits of their intervals."""
    standings = [one for panel in panels for one in panel.standings]
    values = [value for one in standings for value in one.values]
    values += [one.mean for one in standings if one.mean is not None]
    values += [other.score for one in standings for other in one.reported if other.source in sources]
    return scale_of(values, (one.interval for one in standings))


def scale_of(values: Iterable[float], intervals: Iterable[Interval | None]) -> Scale:
    """An axis for these values and intervals.

    All values are on it. Intervals of two or three runs may be ten times as wide as what is to be seen: they are cut
    where they reach beyond the values by more than half of what those span.
    """
    there = list(values)
    if not there:
        return Scale(0.0, _PERFECT)
    low, high = min(there), max(there)
    missing = max(0.0, _NARROWEST - (high - low)) / 2
    low, high = low - missing, high + missing
    beyond = _BEYOND * (high - low)
    known = [interval for interval in intervals if interval is not None]
    lowest = max(low - beyond, min((interval.low for interval in known), default=low))
    highest = min(high + beyond, max((interval.high for interval in known), default=high))
    low, high = min(low, lowest), max(high, highest)
    if max(there) <= _PERFECT:
        high = min(high, _PERFECT)
    room = _ROOM * (high - low)
    return Scale(low - room, high + room)
