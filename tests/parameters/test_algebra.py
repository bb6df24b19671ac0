from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Selected, Shape, Whole
from bitspec.parameters import algebra
from bitspec.parameters.algebra import (
    difference,
    intersection,
    mask_difference,
    mask_intersection,
    mask_union,
    normalised,
    union,
)
from tests.parameters.handmade import Dense, dense, int64, masks, selections, steady

SHAPES: list[Shape] = [(4, 3), (3, 5), (1, 4), (4, 1), (1, 1), (6,), (2, 2, 2)]
MODEL: dict[str, Shape] = {"a": (3, 2), "b": (4,), "c": (1, 2)}

Operation = Callable[[Mask | None, Mask | None, Shape], Mask | None]

OPERATIONS: list[tuple[Operation, Callable[[Dense, Dense], Dense]]] = [
    (mask_union, np.logical_or),
    (mask_intersection, np.logical_and),
    (mask_difference, lambda left, right: left & ~right),
]


def is_normal(mask: Mask | None, shape: Shape) -> bool:
    if mask is None or isinstance(mask, Whole):
        return True
    count, size = mask.count(shape), math.prod(shape)
    if isinstance(mask, Rows | Cols):
        return 0 < count < size
    return 0 < count < size and isinstance(mask, AllBut) == (2 * count > size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [2, 1 << 18])
@steady
@given(data=st.data())
def test_operations_are_those_of_dense_masks(shape: Shape, chunk: int, data: st.DataObject) -> None:
    left, right = data.draw(masks(shape)), data.draw(masks(shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algebra, "CHUNK", chunk)
        for operation, oracle in OPERATIONS:
            result = operation(left, right, shape)
            assert np.array_equal(dense(result, shape), oracle(dense(left, shape), dense(right, shape)))
            assert is_normal(result, shape)


@pytest.mark.parametrize("shape", SHAPES)
@steady
@given(data=st.data())
def test_normalised_picks_the_same(shape: Shape, data: st.DataObject) -> None:
    mask = data.draw(masks(shape))
    result = normalised(mask, shape)
    assert np.array_equal(dense(result, shape), dense(mask, shape))
    assert is_normal(result, shape)
    assert normalised(result, shape) == result


def test_normal_forms() -> None:
    shape = (4, 3)
    assert normalised(Rows(np.arange(4)), shape) == Whole()
    assert normalised(Cols(np.arange(3)), shape) == Whole()
    assert normalised(Entries(np.arange(12)), shape) == Whole()
    assert normalised(AllBut(np.arange(12)), shape) is None
    assert normalised(AllBut(np.arange(11)), shape) == Entries(int64(11))
    assert normalised(Entries(np.arange(11)), shape) == AllBut(int64(11))
    assert normalised(Entries(np.arange(6)), shape) == Entries(np.arange(6))


@pytest.mark.parametrize("form", [Rows, Cols])
def test_lines_stay_lines(form: type[Rows] | type[Cols]) -> None:
    shape = (5, 5)
    left, right = form(int64(0, 1, 2)), form(int64(2, 3))
    assert mask_union(left, right, shape) == form(int64(0, 1, 2, 3))
    assert mask_intersection(left, right, shape) == form(int64(2))
    assert mask_difference(left, right, shape) == form(int64(0, 1))
    assert mask_difference(Whole(), left, shape) == form(int64(3, 4))
    assert mask_union(left, form(int64(3, 4)), shape) == Whole()
    assert mask_difference(left, left, shape) is None
    assert mask_union(None, left, shape) == left
    assert mask_intersection(Whole(), left, shape) == left


@steady
@given(data=st.data())
def test_laws(data: st.DataObject) -> None:
    a, b, c = (data.draw(selections(MODEL)) for _ in range(3))
    everything = Selected({name: Whole() for name in MODEL}, MODEL)
    nothing = Selected({}, MODEL)

    def same(left: Selected, right: Selected) -> bool:
        return left.digest() == right.digest() and left.count == right.count

    assert same(union(a, b), union(b, a))
    assert same(intersection(a, b), intersection(b, a))
    assert same(union(a, union(b, c)), union(union(a, b), c))
    assert same(intersection(a, intersection(b, c)), intersection(intersection(a, b), c))
    assert same(intersection(a, union(b, c)), union(intersection(a, b), intersection(a, c)))
    assert same(union(a, intersection(b, c)), intersection(union(a, b), union(a, c)))
    assert same(difference(a, union(b, c)), intersection(difference(a, b), difference(a, c)))
    assert same(difference(a, b), difference(a, intersection(a, b)))
    assert same(union(difference(a, b), intersection(a, b)), a)
    assert same(difference(everything, difference(everything, a)), a)
    assert same(union(a, nothing), a)
    assert same(intersection(a, everything), a)
    assert difference(a, a) == nothing
    assert union(a, everything) == everything
    assert union(a, b).count == a.count + b.count - intersection(a, b).count


def test_few_entries_out_of_billions_cost_little() -> None:
    """Nothing here is as long as a tensor."""
    shape = (2**31, 2**31)
    missing = int64(5, 2**40, 2**61)
    everything_else = mask_difference(Whole(), Entries(missing), shape)
    assert everything_else == AllBut(missing)
    assert mask_union(everything_else, Entries(int64(5)), shape) == AllBut(int64(2**40, 2**61))
    assert mask_intersection(everything_else, Entries(int64(4, 5)), shape) == Entries(int64(4))
    assert mask_difference(Entries(int64(4, 5)), everything_else, shape) == Entries(int64(5))
    assert mask_intersection(Entries(missing), Rows(int64(0)), shape) == Entries(int64(5))
    assert mask_union(everything_else, Cols(int64(5)), shape) == AllBut(int64(2**40, 2**61))
