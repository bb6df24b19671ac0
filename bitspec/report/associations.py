"""Does a larger change go with a better score? Each strategy is a point: its mean change, its mean score."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from bitspec.diagnostics import BitspecError, error
from bitspec.report.choices import Choice
from bitspec.report.runs import Runs, read_runs
from bitspec.report.statistics import Correlation, rank_correlation


@dataclass(frozen=True)
class Point:
    """A strategy on one model and task: means over its seeds, and how many there are."""

    strategy: str
    change: float
    score: float
    seeds: int


@dataclass(frozen=True)
class Association:
    """How change and score of some runs go together: points for each model and task, the same strategies in all.

    `correlation` is None where there are too few points. `left_out` are strategies that have no change, are not
    finished on every task, or are the same trials as another.
    """

    runs: Runs
    strata: tuple[tuple[str, str], ...]
    points: tuple[tuple[Point, ...], ...]
    correlation: Correlation | None
    left_out: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a figure of it is called."""
        return self.runs.chosen.heading

    @property
    def strategies(self) -> int:
        """How many strategies there are."""
        return len(self.points[0]) if self.points else 0

    @property
    def seeds(self) -> int:
        """The most seeds of any point."""
        return max((point.seeds for points in self.points for point in points), default=0)

    @property
    def fewest_seeds(self) -> int:
        """The fewest seeds of any point."""
        return min((point.seeds for points in self.points for point in points), default=0)


def read(store: Path, choice: Choice) -> Association:
    """Change against score in a study. Raises BitspecError if no strategy that is finished has a change."""
    found = association(read_runs(store, choice))
    if not found.points:
        message = "no strategy that is finished trained anything of the base model, so there is no change to compare"
        raise BitspecError(error("nothing-trained", message, help="choose other strategies, or finish the study"))
    return found


def association(runs: Runs, tasks: Collection[str] = ()) -> Association:
    """Change against score on these tasks, or on all."""
    strata = tuple(
        (model, task)
        for model, task in runs.strata
        if (not tasks or task in tasks) and any(runs.at(model, task, strategy) for strategy in runs.titles)
    )
    rows: dict[str, list[Point]] = {}
    trained: set[frozenset[str]] = set()
    left_out: list[str] = []
    for strategy in runs.titles:
        found = [_point(runs, model, task, strategy) for model, task in strata]
        points = [point for point in found if point is not None]
        keys = frozenset(run.key for model, task in strata for run in runs.at(model, task, strategy))
        if len(points) < len(strata) or not points or keys in trained:
            left_out.append(strategy)
            continue
        trained.add(keys)
        rows[strategy] = points
    columns = tuple(zip(*rows.values(), strict=True))
    changes = np.array([[point.change for point in column] for column in columns])
    scores = np.array([[point.score for point in column] for column in columns])
    correlation = rank_correlation(changes, scores) if columns else None
    return Association(runs, strata, columns, correlation, tuple(left_out))


def _point(runs: Runs, model: str, task: str, strategy: str) -> Point | None:
    own = [run for run in runs.at(model, task, strategy) if run.change is not None]
    if not own:
        return None
    changes = [run.change for run in own if run.change is not None]
    return Point(strategy, fmean(changes), fmean(run.score for run in own), len(own))
