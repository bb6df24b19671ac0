"""Two stores beside each other: cells of the same model, task and strategy, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bitspec.diagnostics import BitspecError, error, listed
from bitspec.query.connection import database
from bitspec.report.choices import Ask, Choice, Chosen, asking, choose
from bitspec.report.runs import Place
from bitspec.report.statistics import Interval, mean_interval
from bitspec.report.words import labels
from bitspec.store.views import VIEWS

#: The finished trials of a study by cell. What numbers they have, and how they were trained, goes by its hash: there
#: may be a hundred thousand of them.
_TRIALS: Final = (
    "SELECT score.model, score.task, score.strategy, list(score.seed ORDER BY score.seed), "  # noqa: S608
    "list(score.key ORDER BY score.seed), list(score.score ORDER BY score.seed), "
    "list(hash(score.score, score.best_score, score.best_epoch, score.loss, score.change, score.trainable, score.head, "
    "score.metrics::VARCHAR) ORDER BY score.seed), "
    "list(hash(trial.device, trial.threads, trial.pack::VARCHAR) ORDER BY score.seed) "
    f"FROM ({VIEWS['scores'].of_study()}) AS score JOIN trials AS trial ON trial.key = score.key "
    "WHERE isfinite(score.score) GROUP BY ALL"
)

#: Names that a message lists.
_NAMED: Final = 4


class Trained(NamedTuple):
    """A finished trial: `numbers` stands for all numbers of its result, `how` for device, threads and pack."""

    seed: int
    key: str
    score: float
    numbers: int
    how: int


@dataclass(frozen=True)
class Held:
    """What a store holds of a study: the finished trials of each model, task and strategy, by seed."""

    path: Path
    chosen: Chosen
    cells: Mapping[Place, tuple[Trained, ...]]

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """What strategies are called."""
        return {cells.strategy: cells.title for cells in self.chosen.cells}

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return sum(map(len, self.cells.values()))


@dataclass(frozen=True)
class Both:
    """A model, task and strategy that both stores have."""

    place: Place
    title: str
    left: tuple[Trained, ...]
    right: tuple[Trained, ...]

    @cached_property
    def pairs(self) -> tuple[tuple[Trained, Trained], ...]:
        """A trial of each store, of the same seed."""
        others = {trial.seed: trial for trial in self.right}
        return tuple((trial, others[trial.seed]) for trial in self.left if trial.seed in others)

    @property
    def means(self) -> tuple[float, float]:
        """The mean score of all trials in each store, in points."""
        return _mean(self.left), _mean(self.right)

    @property
    def difference(self) -> float | None:
        """Left less right, the mean over pairs, in points; None without pairs."""
        return float(np.mean(self._differences)) if self.pairs else None

    @property
    def interval(self) -> Interval | None:
        """The paired t interval of the difference; None for fewer than two pairs."""
        return mean_interval([self._differences]) if self.pairs else None

    @property
    def same(self) -> int:
        """Pairs that are the same trial, by their keys."""
        return sum(left.key == right.key for left, right in self.pairs)

    @property
    def identical(self) -> int:
        """Those of them that have the same numbers, to the last bit."""
        return sum(left.key == right.key and left.numbers == right.numbers for left, right in self.pairs)

    @cached_property
    def _differences(self) -> list[float]:
        return [left.score - right.score for left, right in self.pairs]


@dataclass(frozen=True)
class Unlike:
    """A trial whose numbers are not the same in both stores. `is_repeated`: on the same device, threads and pack."""

    place: Place
    left: Trained
    right: Trained
    is_repeated: bool


@dataclass(frozen=True)
class Stores:
    """Two stores: the cells that both have, in the order of the left one's spec, and those that one alone has."""

    left: Held
    right: Held
    both: tuple[Both, ...]
    only_left: tuple[Place, ...]
    only_right: tuple[Place, ...]

    @property
    def pairs(self) -> int:
        """Pairs of trials of the same model, task, strategy and seed."""
        return sum(len(one.pairs) for one in self.both)

    @property
    def same(self) -> int:
        """Pairs that are the same trial."""
        return sum(one.same for one in self.both)

    @cached_property
    def unlike(self) -> tuple[Unlike, ...]:
        """The same trials with other numbers; those that were trained in the same way come first."""
        found = [
            Unlike(one.place, left, right, left.how == right.how)
            for one in self.both
            for left, right in one.pairs
            if left.key == right.key and left.numbers != right.numbers
        ]
        return tuple(sorted(found, key=lambda one: (not one.is_repeated, -abs(one.left.score - one.right.score))))


def read(left: Path, right: Path, choice: Choice) -> Stores:
    """Two stores, each with the study that is chosen, or its latest.

    Raises BitspecError if one of them cannot be read or has nothing of what is chosen, if they are the same, or if no
    cell is finished in both.
    """
    if database(left).resolve() == database(right).resolve():
        message = f"`{left}` and `{right}` are the same store"
        raise BitspecError(error("bad-comparison", message, help="name two stores, or two strategies of one"))
    return beside(_held(left, choice), _held(right, choice))


def beside(left: Held, right: Held) -> Stores:
    """Two stores that were read."""
    order = [(cells.model, cells.task, cells.strategy) for cells in left.chosen.cells]
    titles = labels(left.chosen)
    shared = [place for place in order if place in left.cells and place in right.cells]
    if not shared:
        message = f"no cell (model × task × strategy) is finished in both `{left.path}` and `{right.path}`"
        raise BitspecError(error("nothing-finished", message, help=_apart(left, right)))
    return Stores(
        left,
        right,
        tuple(Both(place, titles[place[2]], left.cells[place], right.cells[place]) for place in shared),
        tuple(place for place in order if place in left.cells and place not in right.cells),
        tuple(place for place in right.cells if place not in left.cells),
    )


def _held(path: Path, choice: Choice) -> Held:
    try:
        return asking(path, lambda ask: _read(ask, path, choice))
    except BitspecError as problem:  # which of the two it is about
        told = [replace(one, message=f"in `{path}`: {one.message}") for one in problem.diagnostics]
        raise BitspecError(*told) from problem


def _read(ask: Ask, path: Path, choice: Choice) -> Held:
    chosen = choose(ask, choice)
    rows: list[tuple[Any, ...]] = ask(_TRIALS, (chosen.study,))
    cells = {(model, task, strategy): tuple(map(Trained, *lists)) for model, task, strategy, *lists in rows}
    places = [(one.model, one.task, one.strategy) for one in chosen.cells]
    return Held(path, chosen, {place: cells[place] for place in places if place in cells})


def _mean(trials: Sequence[Trained]) -> float:
    return float(np.mean([trial.score for trial in trials]))


def _apart(left: Held, right: Held) -> str:
    """What keeps two stores apart: cells go by the names of their model, task and strategy."""
    for what, ours, theirs in (
        ("model", left.chosen.models, right.chosen.models),
        ("task", left.chosen.tasks, right.chosen.tasks),
        ("strategy", left.chosen.strategies, right.chosen.strategies),
    ):
        if not {*ours} & {*theirs}:
            return f"they have no {what} in common: `{left.path}` has {_few(ours)}, `{right.path}` has {_few(theirs)}"
    return "finish the same model, task and strategy in both, or choose another study with `--study`"


def _few(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return listed(names, "and")
    return f"{', '.join(f'`{name}`' for name in names[:_NAMED])} and {len(names) - _NAMED:,} more"
