"""The scores of a study: what each strategy comes to on each task, and on average."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from bitspec.ir.study import Study
from bitspec.report.choices import Choice
from bitspec.report.runs import Run, Runs, read_runs
from bitspec.report.statistics import Interval, mean_interval

#: Panels, and strategies in each, that a person can read.
MOST_PANELS: Final = 12
MOST_STRATEGIES: Final = 40


@dataclass(frozen=True)
class Reported:
    """A score from elsewhere, in points, and where from."""

    source: str
    score: float


@dataclass(frozen=True)
class Score:
    """The runs of a strategy on one model and task, by seed, with what is reported elsewhere.

    `planned` is how many runs the study has here, finished or not.
    """

    model: str
    task: str
    strategy: str
    title: str
    runs: tuple[Run, ...]
    planned: int
    reported: tuple[Reported, ...] = ()

    @property
    def seeds(self) -> int:
        """How many runs are finished."""
        return len(self.runs)

    @property
    def values(self) -> tuple[float, ...]:
        """The score of each run, in points."""
        return tuple(run.score for run in self.runs)

    @cached_property
    def mean(self) -> float | None:
        """Their mean; None without runs."""
        return float(np.mean(self.values)) if self.runs else None

    @cached_property
    def sd(self) -> float | None:
        """Their standard deviation, n − 1 below; None for fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.runs) > 1 else None

    @cached_property
    def interval(self) -> Interval | None:
        """The t interval of their mean; None for fewer than two."""
        return mean_interval([self.values]) if len(self.runs) > 1 else None

    @cached_property
    def percent(self) -> float | None:
        """The share of the base model that is trained, in percent: a mean, as a sample's may depend on the seed."""
        return float(np.mean([run.percent for run in self.runs])) if self.runs else None

    def reported_by(self, source: str) -> float | None:
        """What a source reports, in points: the first where it has several; None where it has nothing."""
        return next((one.score for one in self.reported if one.source == source), None)


@dataclass(frozen=True)
class Average:
    """A strategy over all tasks of a model; `scores` are its own on each of them, `tasks` is how many they are.

    It is over the seeds that are finished on every task, so that its numbers are all of the same runs.
    """

    model: str
    strategy: str
    title: str
    scores: tuple[Score, ...]
    tasks: int

    @cached_property
    def mean(self) -> float | None:
        """The mean over those seeds of the mean over tasks, in points; None without such a seed."""
        return float(np.mean(self.values)) if self.by_seed else None

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """The average of each seed that is finished on every task."""
        if not self.scores or len(self.scores) < self.tasks:
            return {}
        by_task = [{run.seed: run.score for run in score.runs} for score in self.scores]
        seeds = sorted(set.intersection(*map(set, by_task)))
        return {seed: float(np.mean([scores[seed] for scores in by_task])) for seed in seeds}

    @property
    def seeds(self) -> int:
        """How many seeds are finished on every task."""
        return len(self.by_seed)

    @property
    def planned(self) -> int:
        """How many seeds the study has for every task, finished or not."""
        return min((score.planned for score in self.scores), default=0)

    @property
    def values(self) -> tuple[float, ...]:
        """The average of each of those seeds, in points."""
        return tuple(self.by_seed.values())

    @cached_property
    def sd(self) -> float | None:
        """Their standard deviation, n − 1 below; None for fewer than two."""
        return float(np.std(self.values, ddof=1)) if self.seeds > 1 else None

    @cached_property
    def interval(self) -> Interval | None:
        """The interval of the mean over tasks; None for fewer than two seeds."""
        if self.seeds < 2:
            return None
        return mean_interval([[run.score for run in score.runs if run.seed in self.by_seed] for score in self.scores])

    @cached_property
    def percent(self) -> float | None:
        """The share of the base model that is trained, in percent; None without such a seed."""
        shares = [run.percent for score in self.scores for run in score.runs if run.seed in self.by_seed]
        return float(np.mean(shares)) if shares else None

    @cached_property
    def reported(self) -> tuple[Reported, ...]:
        """The average of each source that reports every task."""
        sources = dict.fromkeys(one.source for score in self.scores for one in score.reported)
        found: list[Reported] = []
        for source in sources:
            cells = [score.reported_by(source) for score in self.scores]
            known = [cell for cell in cells if cell is not None]
            if len(known) == self.tasks:
                found.append(Reported(source, float(np.mean(known))))
        return tuple(found)


#: What a strategy comes to, on one task or on average over all.
Standing: TypeAlias = Score | Average


@dataclass(frozen=True)
class Panel:
    """What strategies come to on one task of a model; without a task, on average over all of them."""

    model: str
    task: str | None
    standings: tuple[Standing, ...]

    @cached_property
    def front(self) -> tuple[Standing, ...]:
        """The strategies that none beats, by their share of the parameters (the Pareto front).

        One beats another that scores no higher and trains no fewer parameters, unless they are alike in both.
        """
        best: list[Standing] = []
        for one in self.by_percent:
            here = _trade(one)
            if not best or here[1] > _trade(best[-1])[1] or here == _trade(best[-1]):
                best.append(one)
        return tuple(best)

    @property
    def by_percent(self) -> list[Standing]:
        """Those that have a mean, by their share of the parameters, the highest mean first where it is the same."""
        there = [one for one in self.standings if one.mean is not None]
        return sorted(there, key=lambda one: (_trade(one)[0], -_trade(one)[1]))


def _trade(standing: Standing) -> tuple[float, float]:
    """Share and mean, without the last digits: the mean of equal shares differs there with the number of runs."""
    assert standing.percent is not None
    assert standing.mean is not None
    return float(f"{standing.percent:.12g}"), float(f"{standing.mean:.12g}")


@dataclass(frozen=True)
class Scores:
    """All scores of a study, in the order of the spec: models, strategies, tasks."""

    runs: Runs
    all: tuple[Score, ...]

    @property
    def title(self) -> str:
        """What a figure of them is called."""
        return self.runs.chosen.heading

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The tasks."""
        return self.runs.chosen.tasks

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models."""
        return self.runs.chosen.models

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """The strategies."""
        return self.runs.chosen.strategies

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], Score]:
        return {(score.model, score.task, score.strategy): score for score in self.all}

    def at(self, model: str, task: str, strategy: str) -> Score | None:
        """The score of a strategy on a task; None where the study has no such cell."""
        return self._by_place.get((model, task, strategy))

    @cached_property
    def averages(self) -> tuple[Average, ...]:
        """Each strategy over all tasks, for each model."""
        return tuple(
            Average(model, strategy, self.runs.titles[strategy], self._on_tasks(model, strategy), len(self.tasks))
            for model in self.models
            for strategy in self.strategies
        )

    def _on_tasks(self, model: str, strategy: str) -> tuple[Score, ...]:
        return tuple(one for task in self.tasks if (one := self.at(model, task, strategy)) is not None)

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        """For each model its tasks, and the averages over them where there are several."""
        found: list[Panel] = []
        for model in self.models:
            own = tuple(one for one in self.averages if one.model == model and one.scores)
            for task in self.tasks:
                on_task = tuple(score for one in own for score in one.scores if score.task == task)
                found.append(Panel(model, task, on_task))
            if len(self.tasks) > 1:
                found.append(Panel(model, None, own))
        return tuple(panel for panel in found if panel.standings)

    @cached_property
    def overall(self) -> tuple[Panel, ...]:
        """The panels that sum up each model: its average over tasks, or if no strategy is finished on all, its tasks.

        Only strategies that have a mean are in them.
        """
        fewer = (replace(panel, standings=tuple(panel.by_percent)) for panel in self.panels)
        there = [panel for panel in fewer if panel.standings]
        averaged = {panel.model for panel in there if panel.task is None}
        return tuple(panel for panel in there if (panel.task is None) == (panel.model in averaged))


@dataclass(frozen=True)
class Figure:
    """What a figure shows of some scores: its panels, and how many panels and strategies it leaves out."""

    scores: Scores
    panels: tuple[Panel, ...]
    panels_left_out: int
    strategies_left_out: int

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """From where the scores are reported that stand beside those of its panels."""
        every = (one.source for panel in self.panels for standing in panel.standings for one in standing.reported)
        return tuple(dict.fromkeys(every))


def read(store: Path, choice: Choice) -> Scores:
    """The scores of a study. Raises BitspecError if nothing of what was chosen is finished."""
    return scores(read_runs(store, choice))


def scores(runs: Runs) -> Scores:
    """The scores of all cells that were chosen."""
    return Scores(
        runs,
        tuple(
            Score(
                cells.model,
                cells.task,
                cells.strategy,
                cells.title,
                tuple(runs.at(cells.model, cells.task, cells.strategy)),
                cells.planned,
                reported(runs.study, cells.strategy, cells.task),
            )
            for cells in runs.chosen.cells
        ),
    )


def reported(study: Study | None, strategy: str, task: str) -> tuple[Reported, ...]:
    """What a study says is reported elsewhere of a strategy on a task."""
    if study is None:
        return ()
    return tuple(
        Reported(block.source, cell.score)
        for block in study.reported
        for cell in block.scores
        if cell.strategy.name == strategy and study.task_called(cell.task.name) == task
    )


def figure(scores: Scores, *, is_overall: bool = False, is_whole: bool = False) -> Figure:
    """The panels of a figure of scores: all of them, or those that sum up; and no more than can be read, or the whole.

    Strategies that are left out are those with the lowest means; of panels that sum up, those on a front come last.
    """
    first = {one.strategy for panel in scores.overall for one in panel.front} if is_overall else set()
    part = scores if is_whole else _best(scores, MOST_STRATEGIES, first)
    panels = part.overall if is_overall else part.panels
    shown = panels if is_whole else panels[:MOST_PANELS]
    return Figure(scores, shown, len(panels) - len(shown), len(scores.strategies) - len(part.strategies))


def _best(whole: Scores, most: int, first: Collection[str]) -> Scores:
    """The scores of so many strategies, these first, then those with the highest means, in the order of the spec.

    A strategy that is finished on more tasks goes before one that is finished on fewer.
    """
    if len(whole.strategies) <= most:
        return whole
    means: dict[str, list[float]] = {strategy: [] for strategy in whole.strategies}
    for score in whole.all:
        if score.mean is not None:
            means[score.strategy].append(score.mean)
    kept = set(sorted(means, key=lambda one: (one in first, _rank(means[one])), reverse=True)[:most])
    chosen = whole.runs.chosen
    fewer = replace(chosen, cells=tuple(cells for cells in chosen.cells if cells.strategy in kept))
    return Scores(replace(whole.runs, chosen=fewer), tuple(score for score in whole.all if score.strategy in kept))


def _rank(means: Sequence[float]) -> tuple[int, float]:
    return len(means), sum(means) / len(means) if means else 0.0
