"""Union, intersection and difference of masks, without ever writing out a whole tensor.

A mask is read as a set of indices that may be complemented: `all` is the complement of nothing. Every
operation is then an intersection (A | B is not (not A & not B), A - B is A & not B), and an intersection of
two sets, either of which may be complemented, is an intersection, a difference or a union of the sets
themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bitspec.ir.masks import (
    CHUNK,
    AllBut,
    Cols,
    Entries,
    Indices,
    Mask,
    Rows,
    Selected,
    Shape,
    Whole,
    complement,
    matrix_shape,
)


@dataclass(frozen=True)
class _Set:
    # Indices of rows, columns or entries, which may be complemented: everything is the complement of no
    # entry.
    form: Literal["rows", "cols", "entries"]
    indices: Indices
    complemented: bool = False

    def flipped(self) -> _Set:
        return replace(self, complemented=not self.complemented)


def union(left: Selected, right: Selected) -> Selected:
    """Entries of either."""
    return _by_tensor(mask_union, left, right)


def intersection(left: Selected, right: Selected) -> Selected:
    """Entries of both."""
    return _by_tensor(mask_intersection, left, right)


def difference(left: Selected, right: Selected) -> Selected:
    """Entries of the first that are not in the second."""
    return _by_tensor(mask_difference, left, right)


def mask_union(left: Mask | None, right: Mask | None, shape: Shape) -> Mask | None:
    """Entries of either mask of a tensor; None is nothing."""
    met = _meet(_read(left, shape).flipped(), _read(right, shape).flipped(), shape)
    return _write(met.flipped(), shape)


def mask_intersection(left: Mask | None, right: Mask | None, shape: Shape) -> Mask | None:
    """Entries of both masks of a tensor; None is nothing."""
    return _write(_meet(_read(left, shape), _read(right, shape), shape), shape)


def mask_difference(left: Mask | None, right: Mask | None, shape: Shape) -> Mask | None:
    """Entries of the first mask of a tensor that are not in the second; None is nothing."""
    return _write(_meet(_read(left, shape), _read(right, shape).flipped(), shape), shape)


def normalised(mask: Mask | None, shape: Shape) -> Mask | None:
    """The same entries: None for nothing, Whole for everything, AllBut only where more than half is picked.

    Lines stay lines; entries that happen to be whole lines stay entries.
    """
    return _write(_read(mask, shape), shape)


_Operation: TypeAlias = Callable[[Mask | None, Mask | None, Shape], Mask | None]


def _by_tensor(operation: _Operation, left: Selected, right: Selected) -> Selected:
    shapes = {**left.shapes, **right.shapes}
    masks = {name: operation(left.get(name), right.get(name), shape) for name, shape in shapes.items()}
    return Selected({name: mask for name, mask in masks.items() if mask is not None}, shapes)


def _read(mask: Mask | None, shape: Shape) -> _Set:
    match mask:
        case None:
            return _Set("entries", np.empty(0, np.int64))
        case Whole():
            return _Set("entries", np.empty(0, np.int64), complemented=True)
        case Entries(indices):
            return _Set("entries", indices)
        case AllBut(indices):
            return _Set("entries", indices, complemented=True)
        case Rows(indices):
            return _read_lines("rows", indices, matrix_shape(shape)[0])
        case Cols(indices):
            return _read_lines("cols", indices, matrix_shape(shape)[1])


def _read_lines(form: Literal["rows", "cols"], indices: Indices, lines: int) -> _Set:
    # Most lines are the complement of few, which may have to be written out as entries.
    if 2 * indices.size > lines:
        return _Set(form, complement(indices, lines), complemented=True)
    return _Set(form, indices)


def _write(given: _Set, shape: Shape) -> Mask | None:
    if given.form == "entries":
        size = math.prod(shape)
        count = size - given.indices.size if given.complemented else given.indices.size
        if count == 0:
            return None
        if count == size:
            return Whole()
        most = 2 * count > size
        indices = given.indices if given.complemented == most else complement(given.indices, size)
        return AllBut(indices) if most else Entries(indices)
    lines = shape[0] if given.form == "rows" else shape[1]
    indices = complement(given.indices, lines) if given.complemented else given.indices
    if indices.size == 0:
        return None
    if indices.size == lines:
        return Whole()
    return Rows(indices) if given.form == "rows" else Cols(indices)


def _meet(left: _Set, right: _Set, shape: Shape) -> _Set:
    # Nothing and everything have no form of their own: they must not turn lines into entries.
    if left.indices.size == 0:
        return right if left.complemented else left
    if right.indices.size == 0:
        return left if right.complemented else right
    if left.complemented and right.complemented:
        return _joined(left, right, shape).flipped()
    if left.complemented:
        return _filtered(right, left, shape, keep=False)
    if right.complemented:
        return _filtered(left, right, shape, keep=False)
    # Writing lines out as entries costs as much as they hold, so the smaller set is the one to be filtered.
    small, large = sorted((left, right), key=lambda given: _entries(given, shape))
    return _filtered(small, large, shape, keep=True)


def _joined(left: _Set, right: _Set, shape: Shape) -> _Set:
    left, right = replace(left, complemented=False), replace(right, complemented=False)
    added = _filtered(right, left, shape, keep=False)
    if added.form != left.form:
        left, added = _flat(left, shape), _flat(added, shape)
    # Two sorted runs: the stable sort merges them.
    merged = np.concatenate((left.indices, added.indices))
    merged.sort(kind="stable")
    return _Set(left.form, merged)


def _filtered(given: _Set, by: _Set, shape: Shape, *, keep: bool) -> _Set:
    # What of `given` is in `by` (keep) or is not; neither is taken as complemented.
    if given.form != by.form:
        given = _flat(given, shape)
    parts = []
    for start in range(0, given.indices.size, CHUNK):
        part = given.indices[start : start + CHUNK]
        parts.append(part[_among(part, given.form, by, shape) == keep])
    return _Set(given.form, np.concatenate(parts))


def _among(indices: Indices, form: str, by: _Set, shape: Shape) -> npt.NDArray[np.bool_]:
    if form != by.form:  # entries, and the lines that they may lie in
        rows, cols = matrix_shape(shape)
        table = np.zeros(rows if by.form == "rows" else cols, dtype=bool)
        table[by.indices] = True
        return table[indices // cols if by.form == "rows" else indices % cols]
    places = np.searchsorted(by.indices, indices)
    places[places == by.indices.size] = 0
    return np.equal(by.indices[places], indices)


def _entries(given: _Set, shape: Shape) -> int:
    if given.form == "entries":
        return given.indices.size
    return given.indices.size * matrix_shape(shape)[1 if given.form == "rows" else 0]


def _flat(given: _Set, shape: Shape) -> _Set:
    if given.form == "entries":
        return given
    rows, cols = matrix_shape(shape)
    if given.form == "rows":
        flat = given.indices[:, None] * cols + np.arange(cols)
    else:
        flat = np.arange(rows)[:, None] * cols + given.indices
    return _Set("entries", flat.ravel(), given.complemented)
