"""Where the labels of points stand, so that none covers another label or a point.

Vega-Lite leaves that to whoever draws (vega/vega-lite issue 7228), so it is done here: the labels are put down one
after the other, each at the best place that is still free. Pixels, from the upper left corner of a panel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bitspec.diagnostics import columns as width_of

#: Pixels: of a character at the size of labels, of a label's height, from a point to its label.
_CHARACTER: Final = 5.6
_HEIGHT: Final = 11.0
_GAP: Final = 6.0

#: Half the size of the box around a point, a single run's dot, a leader line, into which no label should reach.
_POINT: Final = 4.0
_DOT: Final = 2.0
_LINE: Final = 1.0

#: Pixels from a point at which a label needs a line to it, and the directions in which places are looked for.
_AWAY: Final = (20.0, 32.0, 46.0, 62.0, 80.0, 100.0, 130.0, 165.0)
_DIRECTIONS: Final = 16

#: What a place costs: for each dot that it covers, for each pixel of its line. Places that cover more are not taken.
_COVERED: Final = 1.0
_PIXEL: Final = 0.08

#: Left, top, right, bottom, one row a box.
Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """Where a label stands: its left end, the middle of its height, and where a line from its point would end.

    `is_away`: so far from the point that it needs the line.
    """

    x: float
    y: float
    end: tuple[float, float]
    is_away: bool


@dataclass(frozen=True)
class _Place:
    spot: Spot
    box: tuple[float, float, float, float]
    cost: float


def spots(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    size: tuple[float, float],
    dots: Sequence[tuple[float, float]] = (),
) -> list[Spot | None]:
    """A place for the label of each of the first points, as many as there are texts; None where there is none free.

    Labels stand inside a panel of this size, cover no point and no label, and of the dots as few as may be.
    """
    taken = _around(points, _POINT)
    crowd = _around(dots, _DOT)
    found: list[Spot | None] = []
    for point, text in zip(points, texts, strict=False):
        best = _best(list(_places(point, text, size)), taken, crowd)
        found.append(None if best is None else best.spot)
        if best is not None:
            line = _along(point, best.spot.end) if best.spot.is_away else []
            taken = np.concatenate([taken, [best.box], _around(line, _LINE)])
    return found


def text_width(text: str) -> float:
    """About how many pixels a label takes."""
    return _CHARACTER * width_of(text)


def _places(point: tuple[float, float], text: str, size: tuple[float, float]) -> Iterator[_Place]:
    """The places for a label inside a panel, with what each costs before anything else is there."""
    x, y = point
    width = text_width(text)
    near = [(_GAP, 0.0), (-_GAP - width, 0.0), (-width / 2, -11.0), (-width / 2, 11.0)]
    near += [(dx, dy) for dy in (-8.0, 8.0) for dx in (_GAP - 2, -_GAP + 2 - width)]
    for rank, (dx, dy) in enumerate(near):
        yield from _inside(x + dx, y + dy, width, (x, y), False, rank / 10, size)
    for distance in _AWAY:
        for step in range(_DIRECTIONS):
            angle = 2 * math.pi * step / _DIRECTIONS
            end = (x + distance * math.cos(angle), y + distance * math.sin(angle))
            # The label goes on in the direction of its line.
            left = end[0] - width / 2 * (1 - round(math.cos(angle), 6))
            middle = end[1] + _HEIGHT / 2 * math.sin(angle)
            yield from _inside(left, middle, width, end, True, 1 + _PIXEL * distance, size)


def _inside(
    left: float,
    middle: float,
    width: float,
    end: tuple[float, float],
    is_away: bool,
    cost: float,
    size: tuple[float, float],
) -> Iterator[_Place]:
    box = (left, middle - _HEIGHT / 2, left + width, middle + _HEIGHT / 2)
    if min(box) >= 0 and box[2] <= size[0] and box[3] <= size[1]:
        yield _Place(Spot(left, middle, end, is_away), box, cost)


def _best(places: Sequence[_Place], taken: Boxes, crowd: Boxes) -> _Place | None:
    if not places:
        return None
    boxes = np.array([place.box for place in places])
    costs = np.array([place.cost for place in places]) + _COVERED * _overlaps(boxes, crowd).sum(axis=1)
    costs[_overlaps(boxes, taken).any(axis=1)] = np.inf
    best = int(costs.argmin())
    return places[best] if np.isfinite(costs[best]) else None


def _overlaps(boxes: Boxes, others: Boxes) -> npt.NDArray[np.bool_]:
    """Which of the boxes (N rows) reach into which of the others (M rows): a table N × M."""
    left, top, right, bottom = (boxes[:, None, side] for side in range(4))
    found: npt.NDArray[np.bool_] = (
        (left < others[:, 2]) & (right > others[:, 0]) & (top < others[:, 3]) & (bottom > others[:, 1])
    )
    return found


def _around(points: Sequence[tuple[float, float]], half: float) -> Boxes:
    centres = np.asarray(points, np.float64).reshape(-1, 2)
    return np.concatenate([centres - half, centres + half], axis=1)


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points on a line, a few pixels from each other, without its ends."""
    count = int(math.dist(start, end) // 6)
    return [
        (start[0] + (end[0] - start[0]) * step / count, start[1] + (end[1] - start[1]) * step / count)
        for step in range(1, count)
    ]
