"""The statistics behind the verdicts: sign flips, intervals, Holm's correction, rank correlation, numbers of seeds.

Nothing here knows of studies: numbers come in, numbers go out. A *stratum* is a group of repetitions whose own mean
counts for itself: here the seeds of one task and model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

#: Of a verdict: the chance that any of a report's is wrong where there is no difference at all.
LEVEL: Final = 0.05

#: Of an interval: how often it covers what it is of.
CONFIDENCE: Final = 0.95

#: Of a number of seeds: how often a difference as large as the observed one would then be found.
POWER: Final = 0.8

#: Seeds beyond which their number is not worked out.
MOST_SEEDS: Final = 1000

#: Values whose sign flips are enumerated: both halves of them are, and then put together.
_ENUMERATED: Final = 36

#: Units that can be ranked against each other at all.
FEWEST_UNITS: Final = 3

#: Units whose permutations are enumerated: 7! of them.
_PERMUTED: Final = 7

#: Flips or permutations that are drawn where there are too many to enumerate.
_DRAWN: Final = 19_999

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An interval that covers the truth CONFIDENCE of the time."""

    low: float
    high: float


@dataclass(frozen=True)
class Significance:
    """A two-sided p, and whether it was enumerated (exact) or estimated from random draws."""

    p: float
    is_exact: bool


@dataclass(frozen=True)
class Correlation:
    """A rank correlation: in each stratum (None where all ranks are tied), their mean, its test and interval."""

    strata: tuple[float | None, ...]
    mean: float
    test: Significance
    interval: Interval | None


# Differences --------------------------------------------------------------------------------------------------------


def sign_flips(strata: Sequence[Sequence[float]]) -> Significance:
    """Tests that differences are symmetric about zero, by flipping their signs (Fisher 1935).

    The statistic is the mean over strata of their means, so every stratum weighs the same. Up to 36 differences all
    flips are enumerated: n of them cannot give a p below 2/2ⁿ.
    """
    values = np.concatenate([np.asarray(stratum, np.float64) / len(stratum) for stratum in strata])
    sizes = np.abs(values[values != 0])
    reached = abs(float(values.sum())) - 1e-9 * float(sizes.sum())  # what is equal counts, rounding aside
    if reached <= 0:
        return Significance(1.0, is_exact=True)
    if len(sizes) > _ENUMERATED:
        draws = np.random.default_rng(0)
        signs = (np.unpackbits(np.frombuffer(draws.bytes(_DRAWN // 8 + 1), np.uint8))[:_DRAWN] for _ in sizes)
        sums = 2 * sum(size * sign for size, sign in zip(sizes, signs, strict=True)) - sizes.sum()
        return Significance((1 + int((np.abs(sums) >= reached).sum())) / (1 + _DRAWN), is_exact=False)
    # Every sum of all values is one of the first half's and one of the second's.
    half = len(sizes) // 2
    first, second = _signed_sums(sizes[:half]), np.sort(_signed_sums(sizes[half:]))
    above = len(second) - np.searchsorted(second, reached - first)
    return Significance(min(1.0, 2 * int(above.sum()) / 2.0 ** len(sizes)), is_exact=True)


def _signed_sums(sizes: Floats) -> Floats:
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate((sums - size, sums + size))
    return sums


def smallest_p(pairs: int) -> float:
    """The smallest p that sign flips of so many pairs, none of them zero, can give."""
    return min(1.0, 2.0 ** (1 - pairs)) if pairs <= _ENUMERATED else 1 / (1 + _DRAWN)


def smallest_p_of_ranks(units: int) -> float:
    """The smallest p that permutations of so many units, none of them tied, can give."""
    return min(1.0, 2 / math.factorial(units)) if units <= _PERMUTED else 1 / (1 + _DRAWN // 2)


def pairs_needed(level: float) -> int:
    """The fewest pairs whose sign flips can give a p of at most `level`."""
    return math.ceil(1 - math.log2(level))


def mean_interval(strata: Sequence[Sequence[float]]) -> Interval | None:
    """The interval of the mean over strata of their means, by Student's t; None if a stratum has a single value.

    Variances may differ between strata; degrees of freedom are Welch's and Satterthwaite's (Welch 1947). Of a single
    stratum it is the paired t interval.
    """
    if not strata or any(len(stratum) < 2 for stratum in strata):
        return None
    from scipy.special import stdtrit

    variances = [float(np.var(stratum, ddof=1)) / len(stratum) for stratum in strata]
    total = sum(variances)
    mean = mean_of(strata)
    if total == 0:
        return Interval(mean, mean)
    freedom = total**2 / sum(
        variance**2 / (len(stratum) - 1) for variance, stratum in zip(variances, strata, strict=True)
    )
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(total) / len(strata)
    return Interval(mean - half, mean + half)


def mean_of(strata: Sequence[Sequence[float]]) -> float:
    """The mean over strata of their means."""
    return float(np.mean([np.mean(stratum) for stratum in strata]))


def seeds_needed(strata: Sequence[Sequence[float]], level: float = LEVEL) -> int | None:
    """How many values each stratum needs for sign flips to find a difference such as the observed, POWER of the time.

    It takes the observed means and spreads for the true ones. A flipped value has the variance of its square, in which
    what strata differ in counts too: with n values each, the test at `level` asks for |mean| ≥ z √(Q / n), Q being the
    sum of variance + mean² over strata, by their number squared (normal approximation: Cohen 1988, chapter 2). Never
    fewer than sign flips need. None if MOST_SEEDS do not do, or the spread is unknown.
    """
    mean = abs(mean_of(strata))
    if mean == 0 or any(len(stratum) < 2 for stratum in strata):
        return None
    from scipy.special import ndtri

    count = len(strata)
    spread = sum(float(np.var(stratum, ddof=1)) for stratum in strata) / count**2
    flipped = spread + sum(float(np.mean(stratum)) ** 2 for stratum in strata) / count**2
    reach = float(ndtri(1 - level / 2)) * math.sqrt(flipped) + float(ndtri(POWER)) * math.sqrt(spread)
    needed = max(2, math.ceil(pairs_needed(level) / count), math.ceil((reach / mean) ** 2))
    return needed if needed <= MOST_SEEDS else None


# Several tests ------------------------------------------------------------------------------------------------------


def holm(ps: Sequence[float]) -> list[float]:
    """The p of each of several tests, corrected for their number (Holm 1979): the chance of any error stays LEVEL."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected = [1.0] * len(ps)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected


# Correlation --------------------------------------------------------------------------------------------------------


def rank_correlation(left: Floats, right: Floats) -> Correlation | None:
    """Spearman's correlation of two (strata, units) tables within each stratum, and its mean over strata.

    The test permutes the units, the same way in all strata, as one unit's values there belong together: all
    permutations of up to 7 units, else random ones. The interval is that of Fisher's z with the variance of Fieller,
    Hartley & Pearson (1957), and takes the strata for copies of each other, which is cautious. None if there are
    fewer than three units, or all ranks of all strata are tied.
    """
    units = left.shape[1]
    if units < FEWEST_UNITS:
        return None
    first, second = _standardised_ranks(left), _standardised_ranks(right)
    there = np.asarray(first.any(axis=1) & second.any(axis=1))
    if not there.any():
        return None
    found = (first * second).sum(axis=1)
    # One product for all strata: what unit i's left value gives together with unit j's right value.
    together = first[there].T @ second[there] / int(there.sum())
    mean = float(np.trace(together))
    return Correlation(
        tuple(float(rho) if one else None for rho, one in zip(found, there, strict=True)),
        mean,
        _permuted(together, mean),
        _fisher(mean, units),
    )


def _standardised_ranks(table: Floats) -> Floats:
    """The ranks within each row, of mean 0 and square sum 1; a row of zeros where all are tied."""
    ranked = np.stack([ranks(row) for row in table])
    ranked = ranked - ranked.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranked, axis=1, keepdims=True)
    found: Floats = np.divide(ranked, norms, out=np.zeros_like(ranked), where=norms > 1e-9)
    return found


def ranks(values: Floats) -> Floats:
    """The rank of each value, from 1; those that are tied share the mean of their ranks.

    `scipy.stats.rankdata` does the same, but its import takes longer than a whole chart may.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = (counts.cumsum() - (counts - 1) / 2)[places]
    return found


def _permuted(together: Floats, observed: float) -> Significance:
    units = len(together)
    is_exact = units <= _PERMUTED
    if is_exact:
        orders = np.array(list(permutations(range(units))))
    else:
        orders = np.random.default_rng(0).permuted(np.tile(np.arange(units), (_DRAWN // 2, 1)), axis=1)
    reached = int((np.abs(together[np.arange(units), orders].sum(axis=1)) >= abs(observed) - 1e-9).sum())
    return Significance(reached / len(orders) if is_exact else (1 + reached) / (1 + len(orders)), is_exact)


def _fisher(rho: float, units: int) -> Interval | None:
    if units < 5 or abs(rho) >= 1 - 1e-9:
        return None
    half = 1.959964 * math.sqrt(1.06 / (units - 3))
    return Interval(math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))
