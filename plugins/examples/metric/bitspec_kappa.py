"""A metric: `metric = kappa` scores a task of one's own by Cohen's kappa, agreement beyond chance."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from bitspec.plugins import Metric


def compute(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> float:
    """Cohen's kappa: 1 is full agreement, 0 what chance gives. Where all is of one class, agreement is no news: 0."""
    from sklearn.metrics import cohen_kappa_score

    if len({*labels.tolist(), *predictions.tolist()}) < 2:
        return 0.0
    return float(cohen_kappa_score(labels, predictions))


PLUGIN = Metric(surface=1, summary="Cohen's kappa", version="1", compute=compute)
