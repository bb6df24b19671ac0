"""Labels of points: near them where there is room, else at the end of a line, and never on top of each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bitspec.report.charts.labels import Spot, spots, text_width

SIZE = (380.0, 300.0)


def box(text: str, spot: Spot) -> tuple[float, float, float, float]:
    return (spot.x, spot.y - 5, spot.x + text_width(text), spot.y + 5)


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_lonely_point_has_its_label_to_the_right() -> None:
    (spot,) = spots([(100, 100)], ["BitFit"], SIZE)
    assert spot is not None
    assert not spot.is_away
    assert 104 < spot.x < 110
    assert spot.y == 100


def test_at_the_right_edge_it_stands_to_the_left() -> None:
    (spot,) = spots([(375, 100)], ["BitFit"], SIZE)
    assert spot is not None
    assert not spot.is_away
    assert spot.x + text_width("BitFit") < 372


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [3.0, 15.0, 80.0])
def test_no_label_covers_another_or_a_point(seed: int, spread: float) -> None:
    draws = np.random.default_rng(seed)
    points = [(190 + spread * x, 150 + spread * y) for x, y in np.clip(draws.normal(size=(14, 2)), -1.7, 1.7)]
    texts = [f"g_LN1, g_LN2, {number}" for number in range(14)]
    found = spots(points, texts, SIZE)
    assert None not in found
    boxes = [box(text, spot) for text, spot in zip(texts, found, strict=True) if spot is not None]
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    around = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    assert not [(one, other) for one in boxes for other in around if overlap(one, other)]
    assert all(one[0] >= 0 and one[1] >= 0 and one[2] <= SIZE[0] and one[3] <= SIZE[1] for one in boxes)


def test_a_label_that_stands_away_has_a_line_to_it() -> None:
    found = spots([(190, 150)] * 14, [f"strategy {number}" for number in range(14)], SIZE)
    away = [spot for spot in found if spot is not None and spot.is_away]
    assert away
    for spot in away:
        right = spot.x + text_width("strategy 10")
        assert spot.x - 1 <= spot.end[0] <= right + 1
        assert abs(spot.end[1] - spot.y) <= 6


def test_dots_are_covered_only_where_there_is_no_better_place() -> None:
    dots = [(100.0 + step, 100.0) for step in range(5, 60, 3)]
    (spot,) = spots([(100, 100)], ["BitFit"], SIZE, dots)
    assert spot is not None
    assert spot.x < 100


def test_a_label_that_fits_nowhere_has_no_place() -> None:
    assert spots([(100, 100)], ["x" * 300], SIZE) == [None]


def test_points_without_labels_are_kept_free_too() -> None:
    (spot,) = spots([(100, 100), (120, 100)], ["BitFit"], SIZE)
    assert spot is not None
    assert not overlap(box("BitFit", spot), (117, 97, 123, 103))
