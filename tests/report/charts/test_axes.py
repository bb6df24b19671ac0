"""Axes: room around values, whole ticks, numbers that are the same on every machine."""

from __future__ import annotations

import pytest

from bitspec.report.charts.axes import domain, named_scale, rounded, whole_ticks


@pytest.mark.parametrize(
    ("last", "most", "ticks"),
    [
        (1, 8, [1]),
        (3, 8, [1, 2, 3]),
        (16, 8, [2, 4, 6, 8, 10, 12, 14, 16]),
        (16, 5, [5, 10, 15]),
        (100, 5, [20, 40, 60, 80, 100]),
        (1000, 8, [200, 400, 600, 800, 1000]),
    ],
)
def test_ticks(last: int, most: int, ticks: list[int]) -> None:
    assert whole_ticks(last, most) == ticks


def test_a_domain_has_room_at_both_ends() -> None:
    low, high = domain([50.0, 60.0], 2.0)
    assert 49 < low < 50
    assert 60 < high < 61


def test_a_domain_is_never_too_narrow() -> None:
    assert domain([50.0], 2.0) == (49.0, 51.0)


def test_rounding_hides_the_order_of_a_sum() -> None:
    assert rounded(0.1 + 0.2 + 0.3) == rounded(0.3 + 0.2 + 0.1) == 0.6


def test_as_many_values_as_names() -> None:
    scale = named_scale(["a", "b"], ["red", "blue", "green"]).to_dict()
    assert scale == {"domain": ["a", "b"], "range": ["red", "blue"]}
