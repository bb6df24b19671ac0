"""The sampling rules: which entries of a pool a draw takes.

A pool is a selection that is already known; its entries are numbered from 0 through its tensors in order of
name, and through each tensor in row-major order. Amounts are whole numbers from 1 to the size of the pool.
What is random depends on the `Randomness` alone.

A *row* is the set of weights into one output unit, a *column* the set of those from one input unit. Where a
matrix is stored as (in, out), as in GPT-2, a row is therefore a stored column. A row of an embedding is one
token's vector.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from bitspec.ir.masks import AllBut, Cols, Entries, Indices, Mask, Rows, Selected, Shape, Whole, matrix_shape
from bitspec.parameters.algebra import difference, normalised
from bitspec.parameters.draws import Randomness, Stream

#: A tensor's values by its name; any floating point type.
Values: TypeAlias = Callable[[str], npt.NDArray[np.floating]]

Per: TypeAlias = Literal["pool", "tensor"]
LineRule: TypeAlias = Literal["rows", "cols", "rowcol"]


def rand(pool: Selected, amount: int, per: Per, randomness: Randomness) -> Selected:
    """Exactly `amount` entries of the pool, drawn without replacement.

    Per tensor, each tensor has its share by its number of entries in the pool.
    """
    if per == "pool":
        return _draw(pool, amount, randomness.stream("entries"))
    shares = _random_shares(amount, list(pool.counts.values()), randomness)
    parts = (
        _draw(pool.only([name]), share, randomness.stream("entries", name))
        for name, share in zip(pool, shares, strict=True)
        if share
    )
    return _together(parts, pool)


def draw_lines(
    pool: Selected, rule: LineRule, amount: int, per: Per, randomness: Randomness, transposed: Collection[str]
) -> Selected:
    """Whole rows or columns of a pool of whole matrices: at most `amount` entries; nothing if no line fits.

    `rowcol` takes either rows or columns of each matrix. `transposed` names the tensors stored as (in, out).

    Per model, the lines come in one random order and each is taken if it still fits; `rowcol` tosses a coin
    for each matrix first. Per tensor, the amount is shared by the tensors' numbers of rows and each takes
    as many lines as fit into its share; there `rowcol` tosses a coin only where a row fits as well as a
    column.
    """
    matrices = [_Matrix(name, matrix_shape(pool.shapes[name]), name in transposed) for name in pool]
    if per == "pool":
        taken = _lines_per_pool(matrices, rule, amount, randomness)
    else:
        taken = _lines_per_tensor(matrices, rule, amount, randomness)
    masks = {name: normalised(mask, pool.shapes[name]) for name, mask in taken}
    return Selected({name: mask for name, mask in masks.items() if mask is not None}, pool.shapes)


def topk(pool: Selected, amount: int, per: Per, scores: Values) -> Selected:
    """Exactly `amount` entries: those of the highest scores; of equals, the first in order of name and place.

    Per tensor, each tensor has its share by its number of entries in the pool; where parts are equal the
    first tensors have more. A score that is not a number ranks last.
    """
    if per == "pool":
        return _largest(pool, amount, scores)
    sizes = list(pool.counts.values())
    shares = shared(amount, sizes, range(len(sizes)))
    parts = (_largest(pool.only([name]), share, scores) for name, share in zip(pool, shares, strict=True) if share)
    return _together(parts, pool)


def shared(amount: int, weights: Sequence[int], order: Sequence[int]) -> list[int]:
    """Whole shares of an amount in proportion to whole weights, by largest remainder; they add up to it.

    `order` ranks the parts for the case of equal remainders: order[0] is the first to be given one more.
    Exact integer arithmetic. With amount <= sum(weights) no share is above its weight.
    """
    total = sum(weights)
    shares = [amount * weight // total for weight in weights]
    remainders = [amount * weight % total for weight in weights]
    first = sorted(order, key=lambda part: -remainders[part])  # stable: equals stay in `order`
    for part in first[: amount - sum(shares)]:
        shares[part] += 1
    return shares


def shortest_line(pool: Selected, rule: str, transposed: Collection[str]) -> int:
    """Number of entries of the shortest line that a rule could take of a pool of whole matrices."""
    matrices = (_Matrix(name, matrix_shape(pool.shapes[name]), name in transposed) for name in pool)
    return min(matrix.length(way) for matrix in matrices for way in _ways(rule))


def _random_shares(amount: int, weights: Sequence[int], randomness: Randomness) -> list[int]:
    return shared(amount, weights, randomness.stream("shares").permutation(len(weights)).tolist())


def _together(parts: Iterator[Selected], pool: Selected) -> Selected:
    return Selected({name: mask for part in parts for name, mask in part.items()}, pool.shapes)


# Entries ------------------------------------------------------------------------------------------------


def _draw(pool: Selected, amount: int, stream: Stream) -> Selected:
    # Most of a pool is drawn as the little that is left out.
    if 2 * amount > pool.count:
        return difference(pool, pick(pool, stream.sample(pool.count, pool.count - amount)))
    return pick(pool, stream.sample(pool.count, amount))


def pick(pool: Selected, positions: Indices) -> Selected:
    """The entries at sorted, distinct positions of a pool, which it takes over: they become the masks' own memory."""
    masks: dict[str, Mask] = {}
    offset = low = 0
    for name, count in pool.counts.items():
        high = int(np.searchsorted(positions, offset + count))
        if high > low:
            local = positions[low:high]
            local -= offset
            shape = pool.shapes[name]
            mask = normalised(Entries(_located(pool[name], shape, local)), shape)
            if mask is not None:
                masks[name] = mask
        offset, low = offset + count, high
    return Selected(masks, pool.shapes)


def _located(mask: Mask, shape: Shape, positions: Indices) -> Indices:
    # Flat indices of the entries at sorted positions among those that a mask selects.
    match mask:
        case Whole():
            return positions
        case Entries(indices):
            return indices[positions]
        case AllBut(missing):
            # missing[j] - j entries are selected before the j-th missing one.
            before = missing - np.arange(missing.size)
            return positions + np.searchsorted(before, positions, side="right")
        case Rows(rows):
            width = matrix_shape(shape)[1]
            line, place = np.divmod(positions, width)
            return rows[line] * width + place
        case Cols(cols):
            width = matrix_shape(shape)[1]
            line, place = np.divmod(positions, cols.size)
            return line * width + cols[place]


# Lines --------------------------------------------------------------------------------------------------


class _Matrix(NamedTuple):
    name: str
    shape: tuple[int, int]
    transposed: bool

    def number(self, way: str) -> int:
        # How many rows (output units) or columns (input units) there are.
        return self.shape[0 if (way == "rows") != self.transposed else 1]

    def length(self, way: str) -> int:
        return self.shape[1 if (way == "rows") != self.transposed else 0]

    def mask(self, way: str, lines: Indices) -> Rows | Cols:
        return Rows(lines) if (way == "rows") != self.transposed else Cols(lines)


_Taken: TypeAlias = Iterator[tuple[str, Rows | Cols]]


def _ways(rule: str) -> tuple[str, ...]:
    return (rule,) if rule in {"rows", "cols"} else ("rows", "cols")


def _tossed(ways: Sequence[str], matrix: _Matrix, randomness: Randomness) -> str:
    if len(ways) == 1:
        return ways[0]
    return ways[randomness.stream("way", matrix.name).coin()]


def _lines_per_pool(matrices: Sequence[_Matrix], rule: LineRule, amount: int, randomness: Randomness) -> _Taken:
    ways = [_tossed(_ways(rule), matrix, randomness) for matrix in matrices]
    numbers = [matrix.number(way) for matrix, way in zip(matrices, ways, strict=True)]
    lengths = [matrix.length(way) for matrix, way in zip(matrices, ways, strict=True)]
    order = randomness.stream("lines").permutation(sum(numbers))
    lines = np.sort(order[_fitting(np.repeat(lengths, numbers)[order], amount)])
    offset = low = 0
    for matrix, way, number in zip(matrices, ways, numbers, strict=True):
        high = int(np.searchsorted(lines, offset + number))
        if high > low:
            yield matrix.name, matrix.mask(way, lines[low:high] - offset)
        offset, low = offset + number, high


def _fitting(lengths: Indices, amount: int) -> Indices:
    # Positions of the lines that are taken when each in turn is taken if it fits into what is left of the
    # amount. What is left never grows, so one line that is too long rules out all that are as long: one
    # round a length.
    taken = [np.empty(0, np.int64)]
    waiting = np.flatnonzero(lengths <= amount)
    while waiting.size:
        ends = np.cumsum(lengths[waiting])
        fit = int(np.searchsorted(ends, amount, side="right"))
        taken.append(waiting[:fit])
        amount -= int(ends[fit - 1]) if fit else 0
        waiting = waiting[fit:]
        waiting = waiting[lengths[waiting] <= amount]
    return np.concatenate(taken)


def _lines_per_tensor(matrices: Sequence[_Matrix], rule: LineRule, amount: int, randomness: Randomness) -> _Taken:
    shares = _random_shares(amount, [matrix.number("rows") for matrix in matrices], randomness)
    for matrix, share in zip(matrices, shares, strict=True):
        ways = [way for way in _ways(rule) if matrix.length(way) <= share]
        if ways:
            way = _tossed(ways, matrix, randomness)
            number = matrix.number(way)
            take = min(share // matrix.length(way), number)
            lines = randomness.stream("lines", matrix.name).sample(number, take)
            yield matrix.name, matrix.mask(way, lines)


# Ranks --------------------------------------------------------------------------------------------------


def _largest(pool: Selected, amount: int, scores: Values) -> Selected:
    # One tensor at a time: the best so far, in order of position, against the next tensor's.
    best = np.empty(0, np.float64)
    positions = np.empty(0, np.int64)
    offset = 0
    for name, count in pool.counts.items():
        found = _scores(pool[name], pool.shapes[name], scores(name))
        if best.size < amount:
            worth = _first_largest(found, amount)
        else:  # a later one that only equals the worst of a full set loses to it
            worth = np.flatnonzero(found > best.min())
        best = np.concatenate((best, found[worth]))
        positions = np.concatenate((positions, worth + offset))
        if best.size > amount:
            kept = _first_largest(best, amount)
            best, positions = best[kept], positions[kept]
        offset += count
    return pick(pool, positions)


def _scores(mask: Mask, shape: Shape, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    if values.shape != shape:
        raise ValueError(f"scores of shape {values.shape} for a tensor of shape {shape}")
    match mask:
        case Whole():
            chosen = values.ravel()
        case Entries(indices):
            chosen = values.ravel()[indices]
        case AllBut(missing):
            chosen = np.delete(values.ravel(), missing)
        case Rows(rows):
            chosen = values[rows].ravel()
        case Cols(cols):
            chosen = values[:, cols].ravel()
    return np.where(np.isnan(chosen), -np.inf, chosen)


def _first_largest(scores: npt.NDArray[np.floating], count: int) -> Indices:
    # Sorted positions of the `count` largest, or of all; of those that equal the smallest of them, the first.
    if count >= scores.size:
        return np.arange(scores.size)
    cut = np.partition(scores, scores.size - count)[scores.size - count]
    above = np.flatnonzero(scores > cut)
    equal = np.flatnonzero(scores == cut)[: count - above.size]
    return np.sort(np.concatenate((above, equal)))
