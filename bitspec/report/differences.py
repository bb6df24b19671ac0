"""Two strategies beside each other: paired by model, task and seed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from bitspec.report import statistics
from bitspec.report.choices import Ask
from bitspec.report.runs import Run, Runs
from bitspec.report.sampling import Floats, standard_error
from bitspec.report.statistics import Interval, Significance

#: Predictions of trials, example by example; a trial may stand in several cells.
_PREDICTIONS: Final = (
    "SELECT key, list(label ORDER BY example), list(prediction ORDER BY example) FROM "
    "(SELECT DISTINCT key, example, label, prediction FROM all_predictions "
    "WHERE split = 'validation' AND key IN (SELECT unnest($1::VARCHAR[]))) GROUP BY key"
)


@dataclass(frozen=True)
class Pair:
    """A run of each of two strategies, on the same model, task and seed."""

    left: Run
    right: Run

    @property
    def difference(self) -> float:
        """Left less right, in points."""
        return self.left.score - self.right.score


@dataclass(frozen=True)
class Stratum:
    """The pairs on one model and task; there is at least one.

    `sampling` is the standard error, in points, that the validation set itself gives their mean difference; None
    where predictions are not kept or the metric is not known.
    """

    model: str
    task: str
    pairs: tuple[Pair, ...]
    sampling: float | None = None

    @property
    def differences(self) -> tuple[float, ...]:
        """Left less right for each seed, in points."""
        return tuple(pair.difference for pair in self.pairs)

    @property
    def mean(self) -> float:
        """The mean difference, in points."""
        return float(np.mean(self.differences))

    @property
    def interval(self) -> Interval | None:
        """The paired t interval of the mean difference."""
        return statistics.mean_interval([self.differences])


@dataclass(frozen=True)
class Difference:
    """The scores of a strategy less those of another. `without` are models and tasks on which there is no pair."""

    left: str
    right: str
    strata: tuple[Stratum, ...]
    without: tuple[tuple[str, str], ...] = ()

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return sum(len(stratum.pairs) for stratum in self.strata)

    @property
    def seeds(self) -> int:
        """The most seeds that any model and task has pairs for."""
        return max((len(stratum.pairs) for stratum in self.strata), default=0)

    @property
    def fewest_seeds(self) -> int:
        """The fewest seeds that any model and task has pairs for."""
        return min((len(stratum.pairs) for stratum in self.strata), default=0)

    @property
    def is_of_itself(self) -> bool:
        """Whether both strategies are the same trials."""
        return all(pair.left.key == pair.right.key for stratum in self.strata for pair in stratum.pairs)

    @property
    def values(self) -> list[tuple[float, ...]]:
        """Left less right for each pair, in points, by stratum."""
        return [stratum.differences for stratum in self.strata]

    @cached_property
    def mean(self) -> float:
        """The mean over models and tasks of the mean differences, in points."""
        return statistics.mean_of(self.values)

    @cached_property
    def interval(self) -> Interval | None:
        """The interval of the mean; None where a model and task has a single pair."""
        return statistics.mean_interval(self.values)

    def test(self, margin: float = 0.0) -> Significance:
        """Tests that the difference is `margin` points."""
        return statistics.sign_flips(self.beyond(margin))

    def beyond(self, margin: float) -> list[list[float]]:
        """The differences less a margin."""
        return [[value - margin for value in stratum] for stratum in self.values]

    @property
    def sampling(self) -> float | None:
        """The standard error, in points, that the validation sets themselves give the mean; None if one is unknown."""
        errors = [stratum.sampling for stratum in self.strata]
        known = [one for one in errors if one is not None]
        if not known or len(known) < len(errors):
            return None
        # Models of one task share its examples: their errors are taken to be the same, those of tasks to be apart.
        by_task: dict[str, list[float]] = {}
        for stratum, one in zip(self.strata, known, strict=True):
            by_task.setdefault(stratum.task, []).append(one)
        return float(np.sqrt(sum(sum(one) ** 2 for one in by_task.values()))) / len(errors)


@dataclass(frozen=True)
class Predicted:
    """The right answers of a validation set, and what one run says."""

    labels: Floats
    predictions: Floats


def difference(
    runs: Runs,
    left: str,
    right: str,
    tasks: Collection[str] = (),
    predicted: Mapping[str, Predicted] | None = None,
) -> Difference:
    """One strategy beside another on these tasks, or on all. `predicted` are predictions of runs by key."""
    strata: list[Stratum] = []
    without: list[tuple[str, str]] = []
    for model, task in runs.strata:
        if tasks and task not in tasks:
            continue
        by_seed = {run.seed: run for run in runs.at(model, task, right)}
        pairs = tuple(Pair(run, by_seed[run.seed]) for run in runs.at(model, task, left) if run.seed in by_seed)
        if pairs:
            strata.append(Stratum(model, task, pairs, _sampling(pairs, predicted or {})))
        else:
            without.append((model, task))
    return Difference(left, right, tuple(strata), tuple(without))


def predictions_of(ask: Ask, runs: Iterable[Run]) -> dict[str, Predicted]:
    """What runs predict for the validation set, by key; runs whose predictions are not there are left out."""
    keys = sorted({run.key for run in runs})
    rows: list[tuple[Any, ...]] = ask(_PREDICTIONS, (keys,)) if keys else []
    return {
        key: Predicted(np.asarray(labels, np.float64), np.asarray(predictions, np.float64))
        for key, labels, predictions in rows
        if None not in labels and None not in predictions
    }


def _sampling(pairs: Sequence[Pair], predicted: Mapping[str, Predicted]) -> float | None:
    both = [(predicted.get(pair.left.key), predicted.get(pair.right.key)) for pair in pairs]
    known = [(left, right) for left, right in both if left is not None and right is not None]
    metric = pairs[0].left.metric
    if len(known) < len(both) or metric is None:
        return None
    labels = known[0][0].labels
    everything = [one for pair in known for one in pair]
    if any(not np.array_equal(one.labels, labels) for one in everything):
        return None  # other data under the same name: nothing can be paired by example
    return standard_error(
        metric, labels, [left.predictions for left, _ in known], [right.predictions for _, right in known]
    )
