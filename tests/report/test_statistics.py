"""The statistics, against SciPy, against enumeration by hand, and by how often they are right in simulations."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from bitspec.report.statistics import (
    LEVEL,
    Interval,
    holm,
    mean_interval,
    mean_of,
    pairs_needed,
    rank_correlation,
    ranks,
    seeds_needed,
    sign_flips,
    smallest_p,
)

#: Differences in points, as of accuracies on a few examples: many are equal, some are none.
DIFFERENCES = st.lists(st.integers(-8, 8).map(lambda value: value / 4), min_size=1, max_size=5)


@given(st.lists(DIFFERENCES, min_size=1, max_size=3).filter(lambda strata: sum(map(len, strata)) <= 10))
@example([[1.0, 2.0], [3.0]])
@example([[0.0, 0.0]])
def test_sign_flips_are_all_of_them(strata: list[list[float]]) -> None:
    weights = [value / len(stratum) for stratum in strata for value in stratum]
    observed = abs(sum(weights))
    sums = [abs(sum(sign * one for sign, one in zip(signs, weights, strict=True))) for signs in _signs(len(weights))]
    expected = np.mean([one >= observed - 1e-9 for one in sums])
    found = sign_flips(strata)
    assert found.is_exact
    assert found.p == pytest.approx(expected, abs=1e-12)


def _signs(count: int) -> list[tuple[int, ...]]:
    return list(product((-1, 1), repeat=count))


@pytest.mark.parametrize("count", [5, 9, 12])
def test_sign_flips_are_scipys_where_there_is_one_stratum(count: int) -> None:
    values = np.random.default_rng(count).normal(0.6, 1, count)
    theirs = stats.permutation_test(
        (values,), lambda sample: np.mean(sample), permutation_type="samples", n_resamples=10**6
    )
    assert sign_flips([values.tolist()]).p == pytest.approx(theirs.pvalue)


def test_many_differences_are_drawn() -> None:
    values = np.random.default_rng(1).normal(0.25, 1, 60)
    found = sign_flips([values.tolist()])
    assert not found.is_exact
    z = values.sum() / np.sqrt((values**2).sum())  # which is close to normal for so many
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.01)
    assert sign_flips([values.tolist()]) == found  # the draws are the same every time


@pytest.mark.parametrize("pairs", range(1, 16))
def test_the_smallest_p(pairs: int) -> None:
    values = np.arange(1.0, pairs + 1)
    assert sign_flips([values.tolist()]).p == smallest_p(pairs) == min(1.0, 2 / 2**pairs)


def test_fewer_than_six_pairs_reach_nothing() -> None:
    assert smallest_p(5) > LEVEL > smallest_p(6)
    assert pairs_needed(LEVEL) == 6
    assert pairs_needed(LEVEL / 13) == 10
    assert smallest_p(10) * 13 < LEVEL < smallest_p(9) * 13


def test_the_interval_of_one_stratum_is_the_paired_t_interval() -> None:
    values = [1.2, -0.4, 2.2, 0.9, 1.5]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_interval([values])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_the_interval_of_two_strata_is_welchs() -> None:
    first, second = [1.2, -0.4, 2.2, 0.9, 1.5], [4.0, 9.0, 2.0, 7.5, 8.0, 1.0]
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = mean_interval([first, [-value for value in second]])
    assert found is not None
    assert (2 * found.low, 2 * found.high) == pytest.approx((theirs.low, theirs.high))


def test_without_repetitions_there_is_no_interval() -> None:
    assert mean_interval([]) is None
    assert mean_interval([[1.0]]) is None
    assert mean_interval([[1.0, 2.0], [3.0]]) is None
    assert mean_interval([[1.0, 1.0], [3.0, 3.0]]) == Interval(2.0, 2.0)


@pytest.mark.parametrize(
    ("seeds", "spreads", "means"),
    [
        (5, (1.0,), (0.0,)),
        (6, (1.0,), (0.7,)),
        (15, (1.0,), (0.0,)),
        (5, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        (5, (2.0, 0.5, 3.0), (1.0, 0.2, -3.0)),  # tasks differ in noise, and in what the difference is
        (5, (6.0, 0.5, 0.5), (0.0, 0.0, 0.0)),
        (3, (1.0, 2.0, 1.5), (0.0, 1.0, 0.0)),
    ],
)
def test_intervals_cover_what_they_say(seeds: int, spreads: tuple[float, ...], means: tuple[float, ...]) -> None:
    draws = np.random.default_rng(seeds)
    covered = 0
    for _ in range(3000):
        strata = [draws.normal(mean, spread, seeds).tolist() for mean, spread in zip(means, spreads, strict=True)]
        found = mean_interval(strata)
        assert found is not None
        covered += int(found.low <= np.mean(means) <= found.high)
    assert 0.93 <= covered / 3000 <= 0.97


def test_the_mean_gives_every_stratum_the_same_weight() -> None:
    assert mean_of([[1.0, 1.0, 1.0, 1.0], [3.0]]) == 2.0


def test_holms_correction() -> None:
    assert holm([]) == []
    assert holm([0.02]) == [0.02]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_bonferroni_step_by_step(ps: list[float]) -> None:
    corrected = holm(ps)
    rejected: set[int] = set()
    for place in sorted(range(len(ps)), key=ps.__getitem__):  # Holm's own wording: go on until one fails
        if ps[place] > LEVEL / (len(ps) - len(rejected)):
            break
        rejected.add(place)
    near = any(abs(one - LEVEL) < 1e-12 for one in corrected)
    assert near or {place for place, one in enumerate(corrected) if one <= LEVEL} == rejected


@pytest.mark.parametrize(
    ("effects", "level"),
    [
        ((1.0, 1.0, 1.0), LEVEL),
        ((0.6, 0.6, 0.6), LEVEL),
        ((1.0, 1.0, 1.0), LEVEL / 12),
        ((1.5,), LEVEL),
        ((1.0,), LEVEL / 12),
        ((10.0, -2.0, 0.0), LEVEL),  # tasks differ, which to a flip of signs is noise
        ((4.0, 0.2, -1.0), LEVEL),
        ((3.0, 3.0, -1.0), LEVEL / 13),
    ],
)
def test_so_many_seeds_find_the_difference_eight_times_of_ten(effects: tuple[float, ...], level: float) -> None:
    # Tasks whose observed means and spreads are exactly these.
    shape = np.array([-1.0, 0.0, 1.0])
    needed = seeds_needed([(effect + shape).tolist() for effect in effects], level)
    assert needed is not None
    draws = np.random.default_rng(0)

    def found(seeds: int) -> float:
        studies = [[draws.normal(effect, 1.0, seeds).tolist() for effect in effects] for _ in range(200)]
        return float(np.mean([sign_flips(strata).p < level for strata in studies]))

    assert found(needed) > 0.72
    fewest = max(2, -(-pairs_needed(level) // len(effects)))
    assert needed == fewest or found(max(fewest, int(0.6 * needed))) < 0.9


def test_what_no_number_of_seeds_would_find() -> None:
    assert seeds_needed([[1.0, -1.0, 1.0, -1.0]]) is None
    assert seeds_needed([[1.0, -1.0, 1.01, -1.0]]) is None
    assert seeds_needed([[1.0]]) is None
    assert seeds_needed([[1.0, 1.0]]) == 6  # without any spread, what sign flips need
    assert seeds_needed([[1.0, 1.0]] * 3) == 2


def test_rank_correlations_are_scipys() -> None:
    draws = np.random.default_rng(3)
    left, right = draws.normal(size=(2, 12)).round(1), draws.normal(size=(2, 12)).round(1)
    found = rank_correlation(left, right)
    assert found is not None
    theirs = [stats.spearmanr(one, other).statistic for one, other in zip(left, right, strict=True)]
    assert found.strata == pytest.approx(tuple(theirs))
    assert found.mean == pytest.approx(np.mean(theirs))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_are_scipys(values: list[int]) -> None:
    assert ranks(np.array(values, np.float64)).tolist() == stats.rankdata(values).tolist()


def test_the_permutations_of_few_units_are_all_of_them() -> None:
    left = np.array([[1.0, 2, 3, 4, 5, 6], [2.0, 1, 3, 4, 6, 5]])
    right = np.array([[1.0, 2, 3, 4, 6, 5], [1.0, 3, 2, 4, 5, 6]])
    found = rank_correlation(left, right)
    assert found is not None
    assert found.test.is_exact
    means = [
        np.mean([stats.spearmanr(one, other[list(order)]).statistic for one, other in zip(left, right, strict=True)])
        for order in permutations(range(6))
    ]
    assert found.test.p == pytest.approx(np.mean(np.abs(means) >= found.mean - 1e-9))


def test_the_drawn_permutations_agree_with_scipy() -> None:
    draws = np.random.default_rng(5)
    left = draws.normal(size=(1, 10))
    right = left + draws.normal(size=(1, 10))
    found = rank_correlation(left, right)
    assert found is not None
    theirs = stats.permutation_test(
        (left[0],),
        lambda one: stats.spearmanr(one, right[0]).statistic,
        permutation_type="pairings",
        n_resamples=3000,
        rng=np.random.default_rng(1),
    )
    assert found.test.p == pytest.approx(theirs.pvalue, abs=0.02)
    assert found.interval is not None
    assert found.interval.low < found.mean < found.interval.high


def test_ties_and_too_few_units_have_no_ranks() -> None:
    assert rank_correlation(np.zeros((1, 2)), np.zeros((1, 2))) is None
    assert rank_correlation(np.zeros((1, 5)), np.arange(5.0)[None]) is None
    some = rank_correlation(np.array([[0.0] * 5, [1.0, 2, 3, 4, 5]]), np.array([[1.0, 2, 3, 4, 5]] * 2))
    assert some is not None
    assert some.strata[0] is None
    assert some.strata[1] == pytest.approx(1.0)
    assert some.mean == pytest.approx(1.0)
    assert some.interval is None  # of a perfect correlation
