"""Masks: which entries of a tensor are selected, kept as sorted indices and never as a dense boolean tensor.

Rows and columns are those of the tensor as it is stored; entries are flat, row-major positions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.int64]
Shape: TypeAlias = tuple[int, ...]

#: Elements that one step of a chunked pass over indices handles (2 MB of int64).
CHUNK: Final = 1 << 18


@dataclass(frozen=True)
class Whole:
    """Every entry of a tensor."""

    def count(self, shape: Shape) -> int:
        """Number of entries selected in a tensor of this shape."""
        return math.prod(shape)


@dataclass(frozen=True, eq=False)
class _Indexed:
    # The array is taken over, not copied, and made read-only.
    indices: Indices

    def __post_init__(self) -> None:
        indices = np.ascontiguousarray(self.indices)
        if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in "iu":
            raise ValueError("a mask needs a vector of at least one whole number")
        indices = indices.astype(np.int64, copy=False)
        if indices[0] < 0 or not all(bool(np.all(part[1:] > part[:-1])) for part in _overlapping(indices)):
            raise ValueError("the indices of a mask must be sorted, unique and not negative")
        indices.flags.writeable = False
        object.__setattr__(self, "indices", indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Indexed):
            return NotImplemented
        return type(self) is type(other) and np.array_equal(self.indices, other.indices)

    def __hash__(self) -> int:
        # Size and ends are enough: equal masks agree in them, and millions of indices are not worth reading.
        return hash((type(self).__name__, self.indices.size, int(self.indices[0]), int(self.indices[-1])))

    def __reduce__(self) -> tuple[type[_Indexed], tuple[Indices]]:
        return type(self), (self.indices,)  # through the constructor, so that a copy is read-only too


class Rows(_Indexed):
    """Whole rows of a 2-D tensor as it is stored: `indices` are sorted, unique, int64 and read-only."""

    def count(self, shape: Shape) -> int:
        """Number of entries selected in a tensor of this shape."""
        return self.indices.size * matrix_shape(shape)[1]


class Cols(_Indexed):
    """Whole columns of a 2-D tensor as it is stored: `indices` are sorted, unique, int64 and read-only."""

    def count(self, shape: Shape) -> int:
        """Number of entries selected in a tensor of this shape."""
        return self.indices.size * matrix_shape(shape)[0]


class Entries(_Indexed):
    """Single entries: `indices` are flat row-major positions, sorted, unique, int64 and read-only."""

    def count(self, shape: Shape) -> int:  # noqa: ARG002 - every mask is asked in the same way
        """Number of entries selected in a tensor of this shape."""
        return self.indices.size


class AllBut(_Indexed):
    """Everything except single entries; `indices`, as in Entries, are those that are *not* selected."""

    def count(self, shape: Shape) -> int:
        """Number of entries selected in a tensor of this shape."""
        return math.prod(shape) - self.indices.size


Mask: TypeAlias = Whole | Rows | Cols | Entries | AllBut


class Selected(Mapping[str, Mask]):
    """What a selection picks in one model: the mask of each tensor that it touches, in order of name.

    `shapes` holds the shapes of these tensors. No mask is empty. Raises ValueError for a mask that picks
    nothing or does not fit into its tensor. Two are equal when their masks are; `digest` tells whether they
    pick the same entries, however their masks were made.
    """

    def __init__(self, masks: Mapping[str, Mask], shapes: Mapping[str, Shape]) -> None:
        self._masks = {name: masks[name] for name in sorted(masks)}
        self.shapes: Mapping[str, Shape] = {name: shapes[name] for name in self._masks}
        for name, mask in self._masks.items():
            _check_fit(name, mask, self.shapes[name])

    def __getitem__(self, name: str) -> Mask:
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selected):
            return NotImplemented
        return self._masks == other._masks and self.shapes == other.shapes

    def __hash__(self) -> int:
        return hash(tuple(self._masks.items()))

    def __repr__(self) -> str:
        return f"Selected({self.count:,} entries of {len(self):,} tensors)"

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Number of selected entries of each tensor."""
        return {name: mask.count(self.shapes[name]) for name, mask in self._masks.items()}

    @cached_property
    def count(self) -> int:
        """Number of selected entries."""
        return sum(self.counts.values())

    @cached_property
    def stored(self) -> int:
        """Number of indices that the masks hold: what they take of memory, in 8 bytes."""
        return sum(mask.indices.size for mask in self._masks.values() if isinstance(mask, _Indexed))

    def only(self, names: Iterable[str]) -> Selected:
        """The same masks, for some of the tensors; names that are not in the selection are passed over."""
        return Selected({name: self._masks[name] for name in names if name in self._masks}, self.shapes)

    def digest(self) -> str:
        """Sha256 of the picked entries: the same for the same entries, whatever masks they are written as."""
        digest = hashlib.sha256()
        for name, mask in self._masks.items():
            shape = self.shapes[name]
            form = canonical(mask, shape)
            indices = np.empty(0, np.int64) if isinstance(form, Whole) else form.indices
            # The head says how many bytes follow, so that no two selections run into the same bytes.
            head = json.dumps([name, shape, type(form).__name__, indices.size])
            digest.update(head.encode() + b"\n")
            digest.update(np.ascontiguousarray(indices, dtype="<i8").data)
        return digest.hexdigest()


def matrix_shape(shape: Shape) -> tuple[int, int]:
    """Rows and columns of a 2-D shape. Raises ValueError for any other."""
    if len(shape) != 2:
        raise ValueError(f"rows and columns are of 2-D tensors, not of shape {shape}")
    return shape[0], shape[1]


def complement(indices: Indices, size: int) -> Indices:
    """The members of range(size) that are not among sorted, unique indices; sorted, in windows of CHUNK."""
    missing = np.empty(size - indices.size, np.int64)
    filled = 0
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        low, high = np.searchsorted(indices, (start, stop))
        free = np.ones(stop - start, dtype=bool)
        free[indices[low:high] - start] = False
        found = np.flatnonzero(free)
        missing[filled : filled + found.size] = found
        missing[filled : filled + found.size] += start
        filled += found.size
    return missing


def canonical(mask: Mask, shape: Shape) -> Mask:
    """The one mask that stands for all that pick the same, non-empty set of entries.

    Whole if it is everything; else Rows, else Cols, if it is a set of whole lines; else Entries, or AllBut
    where more than half is picked.
    """
    size = math.prod(shape)
    count = mask.count(shape)
    if isinstance(mask, Whole) or count == size:
        return Whole()
    if isinstance(mask, Rows | Cols):
        # A row of a matrix with one column is an entry, and so is a column of a matrix with one row: both are
        # written as the only kind of line that is not the whole.
        return mask
    lines = _as_lines(mask.indices, shape)
    if lines is not None:
        return lines if isinstance(mask, Entries) else _other_lines(lines, shape)
    if isinstance(mask, Entries) == (2 * count <= size):
        return mask
    rest = complement(mask.indices, size)
    return AllBut(rest) if isinstance(mask, Entries) else Entries(rest)


def _as_lines(indices: Indices, shape: Shape) -> Rows | Cols | None:
    # Flat positions as whole rows or whole columns, if they are; without making a second set of them.
    if len(shape) != 2:
        return None
    rows, cols = shape
    if indices.size % cols == 0:
        # Sorted and unique: a run of `cols` whose ends are `cols - 1` apart has no hole.
        firsts, lasts = indices[::cols], indices[cols - 1 :: cols]
        if np.all(firsts % cols == 0) and np.all(lasts - firsts == cols - 1):
            return Rows(firsts // cols)
    if indices.size % rows == 0:
        width = indices.size // rows
        by_row = indices.reshape(rows, width)
        step = max(1, CHUNK // width)
        if by_row[0, -1] < cols and all(
            np.array_equal(by_row[start : start + step], by_row[0] + _starts(start, step, rows, cols))
            for start in range(0, rows, step)
        ):
            return Cols(by_row[0].copy())
    return None


def _starts(start: int, step: int, rows: int, cols: int) -> Indices:
    # Flat positions at which some rows begin, as a column vector.
    return np.arange(start, min(start + step, rows), dtype=np.int64)[:, None] * cols


def _other_lines(lines: Rows | Cols, shape: Shape) -> Rows | Cols:
    if isinstance(lines, Rows):
        return Rows(complement(lines.indices, shape[0]))
    return Cols(complement(lines.indices, shape[1]))


def _check_fit(name: str, mask: Mask, shape: Shape) -> None:
    if mask.count(shape) <= 0:
        raise ValueError(f"the mask of {name} picks nothing")
    if isinstance(mask, Whole):
        return
    size = math.prod(shape)
    limit = shape[0] if isinstance(mask, Rows) else shape[1] if isinstance(mask, Cols) else size
    if mask.indices[-1] >= limit:
        raise ValueError(f"the mask of {name} reaches {mask.indices[-1]}, beyond shape {shape}")


def _overlapping(indices: Indices) -> Iterator[Indices]:
    # Chunks that share their ends, so that neighbours are compared across chunks too.
    for start in range(0, indices.size, CHUNK):
        yield indices[start : start + CHUNK + 1]


def places(mask: Mask, shape: Shape) -> Indices:
    """The flat positions that a mask picks in a tensor of this shape, in the order of its values."""
    size = math.prod(shape)
    match mask:
        case Whole():
            return np.arange(size, dtype=np.int64)
        case Rows(indices=indices):
            return (indices[:, None] * shape[1] + np.arange(shape[1])).reshape(-1)
        case Cols(indices=indices):
            return (np.arange(shape[0], dtype=np.int64)[:, None] * shape[1] + indices).reshape(-1)
        case Entries(indices=indices):
            return indices.copy()
        case AllBut(indices=indices):
            return complement(indices, size)
