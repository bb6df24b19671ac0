"""Two strategies of a study beside each other: their scores, what they cost, and the one test between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import altsep, sep
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.study import Comparison, Name, Question, Study
from bitspec.query.connection import database
from bitspec.report.choices import Ask, Choice, asking, choose, printable
from bitspec.report.differences import Difference, predictions_of
from bitspec.report.runs import Run, Runs, runs_of
from bitspec.report.scores import Scores, scores
from bitspec.report.statistics import Significance
from bitspec.report.stores import Stores
from bitspec.report.stores import read as read_stores
from bitspec.report.verdicts import Finding, judge
from bitspec.store.views import VIEWS

#: What strategies were trained with.
_SETTINGS: Final = (
    f"SELECT DISTINCT strategy, settings FROM ({VIEWS['scores'].of_study()}) "  # noqa: S608
    "WHERE strategy IN (SELECT unnest($2::VARCHAR[])) AND task IN (SELECT unnest($3::VARCHAR[])) "
    "AND model IN (SELECT unnest($4::VARCHAR[])) ORDER BY ALL"
)

#: The values of each setting, as texts; several where tasks are trained differently.
Settings: TypeAlias = dict[str, set[str]]


@dataclass(frozen=True)
class Side:
    """A strategy on one task or over several: its score in points, and what it costs.

    `n` are its runs, over several tasks the seeds that are finished on all of them. `percent` is the least and the
    greatest share of the base model's entries that a run trained. `change` (mean absolute change of the trained
    entries) and `seconds` are means over runs; `change` is None where nothing of the base model was trained.
    """

    mean: float | None
    sd: float | None
    n: int
    percent: tuple[float, float] | None
    change: float | None
    seconds: float | None


@dataclass(frozen=True)
class Row:
    """Both strategies on a task of a model; over all tasks where `task` is None, over all models where `model` is.

    `sides` is None over all models, whose scores have no common mean worth naming.
    """

    model: str | None
    task: str | None
    sides: tuple[Side, Side] | None
    difference: Difference

    @property
    def test(self) -> Significance | None:
        """The test of the difference by sign flips; None with a single seed."""
        return self.difference.test() if self.difference.seeds > 1 else None


@dataclass(frozen=True)
class Strategies:
    """Two strategies of a study.

    `left` and `right` are their names, `finding` is what `expect left > right` comes to, `settings` what each was
    trained with.
    """

    scores: Scores
    left: str
    right: str
    finding: Finding
    settings: Mapping[str, Settings]

    @property
    def runs(self) -> Runs:
        """The runs of both."""
        return self.scores.runs

    @property
    def difference(self) -> Difference:
        """The scores of `left` less those of `right`."""
        assert isinstance(self.finding.found, Difference)
        return self.finding.found

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Each task, then the average over tasks, for each model; then that over models."""
        found: list[Row] = []
        models, tasks = self.scores.models, self.scores.tasks
        for model in models:
            found += [self._row(model, task) for task in tasks if self._is_there(model, task)]
            if len(tasks) > 1:
                found.append(self._row(model, None))
        if len(models) > 1:
            found.append(self._row(None, None))
        return tuple(found)

    @cached_property
    def same(self) -> int:
        """Pairs that are one trial: both strategies select and set the same there."""
        return sum(pair.left.key == pair.right.key for stratum in self.difference.strata for pair in stratum.pairs)

    @cached_property
    def unpaired(self) -> dict[str, int]:
        """How many runs of each strategy have no partner of the same seed; a strategy without such is left out."""
        found = {name: sum(1 for _ in self.runs.of(name)) - self.difference.pairs for name in (self.left, self.right)}
        return {name: count for name, count in found.items() if count}

    @property
    def other_settings(self) -> list[tuple[str, set[str], set[str]]]:
        """Settings that the two were not trained with alike, and the values that each of them has."""
        left, right = self.settings[self.left], self.settings[self.right]
        return [
            (name, left.get(name, set()), right.get(name, set()))
            for name in dict.fromkeys([*left, *right])
            if left.get(name) != right.get(name)
        ]

    def _is_there(self, model: str, task: str) -> bool:
        return any(self.scores.at(model, task, name) is not None for name in (self.left, self.right))

    def _row(self, model: str | None, task: str | None) -> Row:
        strata = tuple(
            stratum
            for stratum in self.difference.strata
            if model in {None, stratum.model} and task in {None, stratum.task}
        )
        sides = None if model is None else (self._side(model, task, self.left), self._side(model, task, self.right))
        return Row(model, task, sides, Difference(self.left, self.right, strata))

    def _side(self, model: str, task: str | None, name: str) -> Side:
        if task is not None:
            own = self.scores.at(model, task, name)
            runs: Sequence[Run] = () if own is None else own.runs
            return _side(None if own is None else own.mean, None if own is None else own.sd, len(runs), [runs])
        average = next(one for one in self.scores.averages if (one.model, one.strategy) == (model, name))
        by_task = [self.runs.at(model, each, name) for each in self.scores.tasks]
        return _side(average.mean, average.sd, average.seeds, by_task)


def read(left: str, right: str, store: Path, choice: Choice) -> Strategies | Stores:
    """Two strategies of the study that is chosen, by name or title; or two stores, by folder or database.

    A name that is both is a strategy, unless it has a path separator or ends as a database does. Of two stores,
    `choice` holds for both. Raises BitspecError if they cannot be compared.
    """
    names = (left, right)
    are_stores = [_has_results(Path(name)) for name in names]
    are_paths = [_is_path(name) for name in names]
    if all(is_store and is_path for is_store, is_path in zip(are_stores, are_paths, strict=True)) or (
        not _has_results(store) and (any(are_stores) or all(are_paths))  # no strategy can be meant
    ):
        return read_stores(Path(left), Path(right), choice)
    found = asking(store, lambda ask: _strategies(ask, names, are_stores, choice))
    return found if found is not None else read_stores(Path(left), Path(right), choice)


def _strategies(ask: Ask, names: tuple[str, str], are_stores: Sequence[bool], choice: Choice) -> Strategies | None:
    """The comparison of two strategies; None if both names turn out to be those of stores."""
    left, right = names
    are_meant = [_is_store(ask, name, is_store, choice) for name, is_store in zip(names, are_stores, strict=True)]
    if all(are_meant):
        return None
    if any(are_meant):
        store, strategy = (left, right) if are_meant[0] else (right, left)
        message = f"`{store}` is a store, and `{strategy}` is none"
        raise BitspecError(error("bad-comparison", message, help="name two strategies, or two stores"))
    if choice.strategies:
        message = "`--strategy` chooses what two stores are compared by, and these are two strategies"
        raise BitspecError(error("bad-comparison", message, help="leave it out"))
    chosen = choose(ask, Choice(choice.tasks, (left, right), choice.models, choice.study))
    by_title = {cells.title: cells.strategy for cells in chosen.cells}
    first, second = (name if name in chosen.strategies else by_title[name] for name in names)
    if first == second:
        message = f"`{left}` and `{right}` are one strategy" if left != right else f"`{left}` is named twice"
        raise BitspecError(error("bad-comparison", message, help="name two strategies of the study"))
    return strategies(ask, runs_of(ask, chosen), first, second)


def strategies(ask: Ask, runs: Runs, left: str, right: str) -> Strategies:
    """Two strategies, by their names, whose runs are given."""
    asked = Comparison(left=Name(name=left), operator=">", right=Name(name=right))
    study = Study(questions=(Question(text="", expectations=(asked,)),))
    (finding,) = judge(study, runs, predictions_of(ask, runs.all))
    chosen = runs.chosen
    settings: dict[str, Settings] = {left: {}, right: {}}
    for strategy, text in ask(_SETTINGS, (chosen.study, [left, right], list(chosen.tasks), list(chosen.models))):
        for name, value in _settings(text).items():
            settings[strategy].setdefault(name, set()).add(value)
    return Strategies(scores(runs), left, right, finding, settings)


def _settings(text: str) -> dict[str, str]:
    try:
        found = printable(json.loads(text))
    except ValueError:  # not of bitspec's making
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _is_store(ask: Ask, name: str, is_store: bool, choice: Choice) -> bool:
    """Whether a name stands for a store; of one that has results, or is written as a path, the study has a say too."""
    if not is_store and not _is_path(name):
        return False
    try:
        cells = choose(ask, Choice(study=choice.study)).cells
    except BitspecError:  # nothing in it that could be meant
        cells = ()
    if any(name in {one.strategy, one.title} for one in cells):
        return is_store and _is_path(name)
    database(Path(name))  # a path without results is told of as such
    return True


def _is_path(name: str) -> bool:
    return any(separator in name for separator in (sep, altsep) if separator) or name.endswith(".duckdb")


def _has_results(path: Path) -> bool:
    try:
        return database(path).is_file()
    except (BitspecError, OSError, ValueError):
        return False


def _side(mean: float | None, sd: float | None, n: int, by_task: Iterable[Sequence[Run]]) -> Side:
    """A side whose costs are means over tasks of the means over their runs."""
    tasks = [runs for runs in by_task if runs]
    percents = [run.percent for runs in tasks for run in runs]
    changes = [[run.change for run in runs if run.change is not None] for runs in tasks]
    moved = [float(np.mean(of_task)) for of_task in changes if of_task]
    return Side(
        mean,
        sd,
        n,
        (min(percents), max(percents)) if percents else None,
        float(np.mean(moved)) if moved else None,
        float(np.mean([np.mean([run.seconds for run in runs]) for runs in tasks])) if tasks else None,
    )
