"""Quantiles of Student's t against SciPy's."""

from __future__ import annotations

import pytest
from scipy import stats

from bitspec.query.student import EXACT, expansion, quantiles


@pytest.mark.parametrize("probability", [0.6, 0.9, 0.95, 0.975, 0.995])
def test_few_degrees_of_freedom(probability: float) -> None:
    found = quantiles(probability)
    assert len(found) == EXACT
    assert found == pytest.approx([stats.t.ppf(probability, freedom) for freedom in range(1, EXACT + 1)], rel=1e-12)


@pytest.mark.parametrize("freedom", [EXACT + 1, 60, 100, 1000, 10**6, 10**9])
def test_many_degrees_of_freedom(freedom: int) -> None:
    found = sum(coefficient / freedom**power for power, coefficient in enumerate(expansion(0.975)))
    assert found == pytest.approx(stats.t.ppf(0.975, freedom), rel=5e-9)


def test_the_two_meet() -> None:
    found = sum(coefficient / EXACT**power for power, coefficient in enumerate(expansion(0.975)))
    assert found == pytest.approx(quantiles(0.975)[-1], rel=5e-9)
