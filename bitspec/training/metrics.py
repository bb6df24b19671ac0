"""The metrics of tasks: an `evaluate.Metric` of our own, as those of the hub need the network."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bitspec import plugins, registry
from bitspec.guard import guarded

if TYPE_CHECKING:
    import evaluate


def scores(outputs: int, split: str, labels: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """Every metric that fits a task, as a fraction, by its name in the language.

    `outputs` is the number of classes: for two, accuracy, F1 of class 1 and Matthews correlation; for more, accuracy.
    It is 1 for a regression: Pearson and Spearman correlation. For a second validation set, such as
    `validation_mismatched`, the names end like that of the set: `accuracy_mismatched`.

    Where a metric is not defined it is 0: a correlation with what is constant, F1 without a positive class.

    Raises ValueError if there are no examples, or as many labels as predictions are wanting, or one is no number.
    """
    if len(labels) != len(predictions) or not len(labels):
        raise ValueError(f"{len(labels)} labels and {len(predictions)} predictions cannot be compared")
    if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
        raise ValueError("labels and predictions must be finite")
    found: dict[str, float] = metric(outputs).compute(predictions=predictions, references=labels)
    suffix = split.removeprefix("validation")
    return {f"{name}{suffix}": value for name, value in found.items()}


def all_scores(
    metric: str, outputs: int, split: str, labels: Sequence[float], predictions: Sequence[float]
) -> dict[str, float]:
    """Every metric that fits a task, and that of a plugin by which it is scored; see `scores` and `score_of`."""
    found = scores(outputs, split, labels, predictions)
    return found | score_of(metric, split, labels, predictions) if metric in registry.names("metric") else found


def score_of(name: str, split: str, labels: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
    """The metric of a plugin on a validation set, by its name with the set's ending.

    Raises BitspecError where the plugin fails, or returns no finite number.
    """
    plugin, one = registry.find(plugins.Metric, name), registry.of_package("metric", name)
    kind = np.float64 if plugin.is_regression else np.int64
    with guarded(one, "score"):
        found = float(plugin.compute(np.asarray(labels, kind), np.asarray(predictions, kind)))
        if not np.isfinite(found):
            raise ValueError(f"it returned {found}")
    return {f"{name}{split.removeprefix('validation')}": found}


@cache
def metric(outputs: int) -> evaluate.Metric:
    """The metric of tasks with so many outputs. Making the first takes seconds, for `evaluate` is imported then."""
    import datasets
    import evaluate

    class TaskMetric(evaluate.Metric):  # type: ignore[misc]
        """All metrics that fit a head with so many outputs."""

        def _info(self) -> evaluate.MetricInfo:
            number = datasets.Value("float64" if outputs == 1 else "int64")
            return evaluate.MetricInfo(
                description="The metrics of a task of bitspec.",
                citation="",
                inputs_description="predictions and references: numbers of classes, or numbers of a regression",
                # No format: the library's for NumPy has 32 bits.
                features=datasets.Features({"predictions": number, "references": number}),
            )

        def compute(
            self,
            *,
            predictions: Sequence[float] | None = None,
            references: Sequence[float] | None = None,
            **others: Any,
        ) -> dict[str, float] | None:
            """The metrics of these predictions, or of those that were added."""
            if predictions is None or references is None:
                added: dict[str, float] | None = super().compute(**others)
                return added
            # The library would first write them to a table of Arrow and hash that, which takes longer than the rest.
            return self._compute(predictions, references)

        def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
            if outputs == 1:
                return _correlations(np.asarray(references), np.asarray(predictions))
            return _of_classes(outputs, np.asarray(references, np.int64), np.asarray(predictions, np.int64))

    # It wants a folder for what is added, though nothing is kept in one.
    with tempfile.TemporaryDirectory() as folder:
        return TaskMetric(keep_in_memory=True, cache_dir=folder)


def _of_classes(classes: int, labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> dict[str, float]:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predictions, labels=range(classes))
    accuracy = int(counts.trace()) / len(labels)
    if classes != 2:
        return {"accuracy": accuracy}
    # One table for all three: scikit-learn's own functions would each count again.
    (tn, fp), (fn, tp) = counts.tolist()
    return {
        "accuracy": accuracy,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "matthews": _ratio(tp * tn - fp * fn, sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _correlations(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> dict[str, float]:
    from scipy import stats

    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return {"pearson": 0.0, "spearman": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        pearson = stats.pearsonr(labels, predictions).statistic
    return {"pearson": float(pearson), "spearman": float(stats.spearmanr(labels, predictions).statistic)}
