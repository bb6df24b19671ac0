from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from bitspec.ir.selection import (
    Difference,
    Intersection,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Union,
)
from bitspec.parameters.select import NotKnown
from tests.parameters.handmade import (
    BIAS,
    GAMMA,
    GROUPS,
    MATRIX,
    QUERY,
    TINY,
    VALUES,
    compares,
    count,
    dense_all,
    draw_of,
    message_of,
    selector,
    shapes_of,
    where,
)

TOP = Top(of=BIAS, amount=count(5))


def test_topk_needs_weights() -> None:
    with pytest.raises(NotKnown, match="depends on the model's weights") as raised:
        selector().select(Union(parts=(GAMMA, TOP)))
    assert raised.value.node == TOP


def test_topk_with_weights() -> None:
    taken = selector(values=VALUES.__getitem__).select(TOP)
    magnitudes = np.concatenate([np.abs(VALUES[one.name]) for one in TINY.parameters if one.kind == "bias"])
    picked = np.concatenate(
        [VALUES[name][picked] for name, picked in dense_all(taken, shapes_of(TINY)).items() if picked.any()]
    )
    assert sorted(np.abs(picked)) == sorted(magnitudes)[-5:]


@pytest.mark.parametrize(
    ("selection", "bounds"),
    [
        (BIAS, (20, 20)),
        (TOP, (5, 5)),
        (Ref(name="top"), (20, 20)),
        (where(TOP, compares("role", "==", "q")), (0, 5)),
        (where(Top(of=BIAS, amount=count(18)), compares("role", "==", "q")), (4, 6)),
        (Union(parts=(GAMMA, TOP)), (6, 11)),
        (Union(parts=(QUERY, TOP)), (6, 11)),
        (Union(parts=(BIAS, TOP)), (20, 20)),
        (Intersection(parts=(QUERY, TOP)), (0, 5)),
        (Intersection(parts=(QUERY, Top(of=BIAS, amount=count(18)))), (4, 6)),
        (Difference(left=BIAS, right=TOP), (15, 15)),
        (Difference(left=QUERY, right=TOP), (1, 6)),
        (Difference(left=TOP, right=QUERY), (0, 5)),
        (Difference(left=TOP, right=GAMMA), (5, 5)),
        (draw_of(TOP, count(3)), (3, 3)),
        (draw_of(GAMMA, SizeOf(of=Difference(left=QUERY, right=TOP))), (1, 6)),
        (draw_of(MATRIX, SizeOf(of=TOP), "rows"), (5, 5)),
        (Top(of=GAMMA, amount=Share(percent=Decimal(50), of=Difference(left=QUERY, right=TOP))), (0, 3)),
        (Top(of=TOP, amount=count(2), per="tensor"), (2, 2)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_size_bounds(selection: Selection, bounds: tuple[int, int]) -> None:
    assert selector(groups=GROUPS).size_bounds(selection) == bounds


def test_size_bounds_raise_as_select_does() -> None:
    assert message_of(Top(of=TOP, amount=count(6)), bounds=True) == (
        "amount-too-large: the amount comes to 6 entries, but the selection has only 5\nhelp: draw from more, or ask for less"
    )
    assert message_of(Top(of=TOP, amount=Share(percent=Decimal("0.1"), of=TOP)), bounds=True) == (
        "amount-zero: 0.1% of the selection comes to 0 entries, so there is nothing to select\n"
        "help: write `none` where nothing is to be selected"
    )
    assert message_of(where(TOP, compares("role", "==", "qkv")), bounds=True).startswith("matches-nothing")
