"""What axes run from and to, where their ticks are, and numbers that come out alike on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import altair as alt

#: Room at both ends of an axis, as a share of what its values span.
_ROOM: Final = 0.04


def rounded(value: float) -> float:
    """A number to six digits: sums that were taken in another order make the same chart."""
    return float(f"{value:.6g}")


def domain(values: Iterable[float], narrowest: float) -> tuple[float, float]:
    """From the lowest to the highest of some values with room at both ends; never narrower than so much."""
    there = list(values)
    low, high = min(there), max(there)
    room = max(_ROOM * (high - low), (narrowest - (high - low)) / 2)
    return rounded(low - room), rounded(high + room)


def whole_ticks(last: int, most: int) -> list[int]:
    """Whole numbers up to the last, evenly apart, and not more than so many."""
    steps = (step * 10**power for power in range(20) for step in (1, 2, 5))
    step = next(step for step in steps if last / step <= most)
    return list(range(step, last + 1, step))


def named_scale(names: Sequence[str], values: Sequence[str]) -> alt.Scale:
    """A colour or a shape for each name."""
    return alt.Scale(domain=list(names), range=list(values[: len(names)]))
