"""The validation set's own sampling error: how far a difference would move on other examples of the same kind.

The standard error is the infinitesimal jackknife's (Jaeckel 1972; Efron 1982, chapter 6): se² = Σᵢ uᵢ², with uᵢ the
derivative of the score by the weight of example i. Two strategies are paired by example, and the mean over seeds is
one number for each example, so that what both find hard cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bitspec.report.statistics import ranks

Floats: TypeAlias = npt.NDArray[np.float64]


def standard_error(metric: str, labels: Floats, left: Sequence[Floats], right: Sequence[Floats] = ()) -> float | None:
    """The standard error, in points, of the mean score of `left` less that of `right`.

    Each is the predictions of one run for the same (N) examples with these labels. Without `right` it is that of the
    score itself. None if the metric is not known.
    """
    influence = _INFLUENCES.get(metric)
    if influence is None or not len(labels):
        return None
    moved = _mean([influence(labels, one) for one in left])
    if right:
        moved = moved - _mean([influence(labels, one) for one in right])
    return 100 * math.sqrt(float(moved @ moved))


def _mean(rows: Sequence[Floats]) -> Floats:
    found: Floats = np.mean(np.stack(rows), axis=0)
    return found


# Influences: the derivative of a metric, as a fraction, by the weight of each example --------------------------------


def _accuracy(labels: Floats, predictions: Floats) -> Floats:
    right = (labels == predictions).astype(np.float64)
    found: Floats = (right - right.mean()) / len(labels)
    return found


def _f1(labels: Floats, predictions: Floats) -> Floats:
    positive, found = labels == 1, predictions == 1
    tp = int((positive & found).sum())
    whole = int(positive.sum() + found.sum())  # 2 TP + FP + FN
    if whole == 0:
        return np.zeros(len(labels))
    f1 = 2 * tp / whole
    moved: Floats = (2.0 * (positive & found) - f1 * (positive.astype(np.float64) + found)) / whole
    return moved


def _matthews(labels: Floats, predictions: Floats) -> Floats:
    # Of two classes it is Pearson's correlation of the 0/1 labels and predictions.
    return _pearson((labels == 1).astype(np.float64), (predictions == 1).astype(np.float64))


def _pearson(labels: Floats, predictions: Floats) -> Floats:
    x, y = labels - labels.mean(), predictions - predictions.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    if spread == 0:
        return np.zeros(len(labels))
    rho = float(x @ y) / spread
    found: Floats = x * y / spread - rho / 2 * (x * x / float(x @ x) + y * y / float(y @ y))
    return found


def _spearman(labels: Floats, predictions: Floats) -> Floats:
    """12 (F(x)G(y) + E[G(Y); X > x] + E[F(X); Y > y]), centred (Croux & Dehon 2010, section 2)."""
    count = len(labels)
    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return np.zeros(count)
    f, g = (ranks(labels) - 0.5) / count, (ranks(predictions) - 0.5) / count
    moved: Floats = f * g + _above(labels, g) + _above(predictions, f)
    found: Floats = 12 * (moved - moved.mean()) / count
    return found


def _above(values: Floats, weights: Floats) -> Floats:
    """For each value the sum of the weights of those above it, and half of those equal to it, over their number."""
    levels, places = np.unique(values, return_inverse=True)
    at = np.bincount(places, weights, len(levels))
    found: Floats = (at[::-1].cumsum()[::-1] - at / 2)[places] / len(values)
    return found


_INFLUENCES: Final[Mapping[str, Callable[[Floats, Floats], Floats]]] = MappingProxyType(
    {"accuracy": _accuracy, "f1": _f1, "matthews": _matthews, "pearson": _pearson, "spearman": _spearman}
)
