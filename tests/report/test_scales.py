"""Axes of scores: all values are on them, and of wide intervals a part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bitspec.report.scales import Scale, scale_for, scale_of
from bitspec.report.scores import Panel, Reported
from bitspec.report.statistics import Interval
from tests.report.test_scores import made, score_of


def ends(scale: Scale) -> tuple[float, float]:
    return scale.low, scale.high


def test_the_part_of_an_axis() -> None:
    scale = Scale(50, 60)
    assert [scale.part(value) for value in (50, 52.5, 60, 65)] == [0, 0.25, 1, 1.5]


def test_an_interval_is_cut_to_the_axis() -> None:
    scale = Scale(50, 60)
    assert scale.cut(Interval(40, 70)) == Interval(50, 60)
    assert scale.cut(Interval(52, 55)) == Interval(52, 55)


@pytest.mark.parametrize(
    ("values", "intervals", "low", "high"),
    [
        # Room is 3 % of the axis at each end.
        ([50, 60], [], 49.7, 60.3),
        ([-20, 20], [], -21.2, 21.2),
        # An axis is two points wide at least.
        ([60], [], 59 - 0.06, 61 + 0.06),
        ([60, 61], [], 59.5 - 0.06, 61.5 + 0.06),
        # Intervals are on it whole where they reach beyond the values by less than half of what those span, here 2.
        ([60, 64], [Interval(59, 65)], 59 - 0.18, 65 + 0.18),
        ([60, 64], [Interval(61, 63), None], 60 - 0.12, 64 + 0.12),
        ([60, 64], [Interval(30, 90)], 58 - 0.24, 66 + 0.24),
        ([60, 64], [Interval(59.5, 62), Interval(62, 90)], 59.5 - 0.195, 66 + 0.195),
        # No score is above 100, and so is no end of an interval, but for a metric that has such scores.
        ([96, 100], [Interval(90, 106)], 94 - 0.18, 100 + 0.18),
        ([100], [], 99 - 0.03, 100 + 0.03),
        ([96, 104], [], 96 - 0.24, 104 + 0.24),
    ],
)
def test_an_axis(values: list[float], intervals: list[Interval | None], low: float, high: float) -> None:
    assert ends(scale_of(values, intervals)) == pytest.approx((low, high))


def test_without_values_it_is_of_all_scores() -> None:
    assert ends(scale_of([], [])) == (0, 100)
    assert ends(scale_for([Panel("nano", "rte", (score_of(),))], ())) == (0, 100)


def test_an_axis_of_several_panels_is_over_all_of_them() -> None:
    panels = [Panel("nano", "rte", (score_of(50),)), Panel("large", "rte", (score_of(), score_of(60)))]
    assert ends(scale_for(panels, ())) == pytest.approx((49.7, 60.3))


def test_an_average_without_a_seed_on_every_task_is_not_on_it() -> None:
    found = made({("bitfit", "cola"): (60,), ("bitfit", "rte"): (None, 70)})
    assert ends(scale_for(found.panels[-1:], ())) == (0, 100)


def test_only_reported_scores_that_are_shown_are_on_it() -> None:
    score = replace(score_of(60), reported=(Reported("shown", 70), Reported("other", 10)))
    assert ends(scale_for([Panel("nano", "rte", (score,))], ["shown"])) == pytest.approx((59.7, 70.3))
