"""The sampling error of a validation set, against a bootstrap over examples with scikit-learn's and SciPy's metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from bitspec.report.sampling import Floats, standard_error

EXAMPLES = 300

METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "accuracy": metrics.accuracy_score,
    "f1": metrics.f1_score,
    "matthews": metrics.matthews_corrcoef,
    "pearson": lambda labels, predictions: float(stats.pearsonr(labels, predictions).statistic),
    "spearman": lambda labels, predictions: float(stats.spearmanr(labels, predictions).statistic),
}


def classes(seed: int, right: float) -> tuple[Floats, Floats]:
    """Labels of two classes, and predictions of which so many are right."""
    draws = np.random.default_rng(seed)
    labels = (np.random.default_rng(0).random(EXAMPLES) < 0.6).astype(np.float64)
    return labels, np.where(draws.random(EXAMPLES) < right, labels, 1 - labels)


def values(seed: int, noise: float) -> tuple[Floats, Floats]:
    """Labels of a regression, rounded as people give them, and predictions with noise."""
    labels = np.random.default_rng(0).uniform(0, 5, EXAMPLES).round(1)
    return labels, labels + np.random.default_rng(seed).normal(0, noise, EXAMPLES)


def bootstrapped(metric: str, labels: Floats, runs: list[Floats], less: list[Floats], times: int = 500) -> float:
    """The standard error by drawing examples anew."""
    draws = np.random.default_rng(7)
    found = []
    for _ in range(times):
        chosen = draws.integers(0, len(labels), len(labels))
        both = [
            np.mean([METRICS[metric](labels[chosen], run[chosen]) for run in side] or [0.0]) for side in (runs, less)
        ]
        found.append(100 * (both[0] - both[1]))
    return float(np.std(found))


@pytest.mark.parametrize(("times", "error"), [(100, 0.2), pytest.param(500, 0.12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews"])
def test_of_classes(metric: str, times: int, error: float) -> None:
    labels, first = classes(1, 0.8)
    more = [first, classes(2, 0.8)[1]]
    less = [classes(3, 0.7)[1]]
    for left, right in (([first], []), (more, less)):
        found = standard_error(metric, labels, left, right)
        assert found == pytest.approx(bootstrapped(metric, labels, left, right, times), rel=error)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_of_a_regression(metric: str) -> None:
    labels, first = values(1, 1.0)
    second = values(2, 2.0)[1]
    for left, right in (([first], []), ([first], [second])):
        found = standard_error(metric, labels, left, right)
        assert found == pytest.approx(bootstrapped(metric, labels, left, right), rel=0.12)


def test_accuracy_is_the_binomial_error() -> None:
    labels, predictions = classes(1, 0.7)
    accuracy = np.mean(labels == predictions)
    expected = 100 * np.sqrt(accuracy * (1 - accuracy) / EXAMPLES)
    assert standard_error("accuracy", labels, [predictions]) == pytest.approx(expected)


def test_what_both_find_hard_cancels() -> None:
    labels, predictions = classes(1, 0.7)
    almost = predictions.copy()
    almost[:6] = 1 - almost[:6]
    apart = standard_error("accuracy", labels, [predictions])
    paired = standard_error("accuracy", labels, [predictions], [almost])
    assert apart is not None
    assert paired is not None
    assert paired < apart / 2
    assert standard_error("accuracy", labels, [predictions], [predictions]) == 0


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews", "pearson", "spearman"])
def test_what_is_constant_has_no_error(metric: str) -> None:
    zeros = np.zeros(10)
    assert standard_error(metric, zeros, [zeros]) == 0


def test_what_is_not_known() -> None:
    assert standard_error("bleu", np.zeros(3), [np.zeros(3)]) is None
    assert standard_error("accuracy", np.zeros(0), [np.zeros(0)]) is None
