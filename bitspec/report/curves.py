"""Learning curves: the score and the losses of a strategy after each epoch, as means over its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, error
from bitspec.report.choices import Ask, Cells, Choice, Chosen, asking, choose
from bitspec.store.views import VIEWS

#: What is followed from epoch to epoch, as the store calls it.
_FOLLOWED: Final = ("score", "loss", "validation_loss")

#: Losses that are no numbers are left out: a store may have them, a chart has no place for them.
_EPOCHS: Final = (
    "SELECT model, task, strategy, epoch, count(*), "  # noqa: S608
    + ", ".join(f"{what}({one}) FILTER (isfinite({one}))" for one in _FOLLOWED for what in ("avg", "min", "max"))
    + f" FROM ({VIEWS['epochs'].of_study()}) GROUP BY ALL ORDER BY model, task, strategy, epoch"
)


@dataclass(frozen=True)
class Spread:
    """Values of several seeds: their mean, the lowest and the highest of them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Epoch:
    """A strategy after an epoch, counted from 1, over so many seeds.

    `score` is in points; `training` is the mean loss of the epoch, with dropout, `validation` that of the validation
    set. None where no seed has a number.
    """

    number: int
    seeds: int
    score: Spread | None
    training: Spread | None
    validation: Spread | None


@dataclass(frozen=True)
class Curve:
    """A strategy on a model and task, epoch by epoch; there is at least one."""

    cells: Cells
    epochs: tuple[Epoch, ...]

    @property
    def last(self) -> Epoch:
        """Its last epoch."""
        return self.epochs[-1]


@dataclass(frozen=True)
class Curves:
    """The curves of a study, in the order of the spec: models, strategies, tasks.

    `unfinished` are the titles of strategies without a finished trial on some task or model.
    """

    chosen: Chosen
    all: tuple[Curve, ...]
    unfinished: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a figure of them is called."""
        return self.chosen.heading

    @cached_property
    def strata(self) -> tuple[tuple[str, str], ...]:
        """Every model and task that has a curve."""
        return tuple(dict.fromkeys((curve.cells.model, curve.cells.task) for curve in self.all))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that have a curve."""
        return tuple(dict.fromkeys(curve.cells.strategy for curve in self.all))

    @cached_property
    def by_stratum(self) -> dict[tuple[str, str], list[Curve]]:
        """The curves of each model and task."""
        found: defaultdict[tuple[str, str], list[Curve]] = defaultdict(list)
        for curve in self.all:
            found[curve.cells.model, curve.cells.task].append(curve)
        return found

    @cached_property
    def by_strategy(self) -> dict[str, list[Curve]]:
        """The curves of each strategy."""
        found: defaultdict[str, list[Curve]] = defaultdict(list)
        for curve in self.all:
            found[curve.cells.strategy].append(curve)
        return found


def read(store: Path, choice: Choice) -> Curves:
    """The learning curves of a study. Raises BitspecError if nothing of what was chosen is finished."""
    return asking(store, lambda ask: curves(ask, choose(ask, choice)))


def curves(ask: Ask, chosen: Chosen) -> Curves:
    """The learning curves of the cells that were chosen. Raises BitspecError if the store has none of their epochs."""
    places = {(cells.model, cells.task, cells.strategy) for cells in chosen.cells}
    epochs: defaultdict[tuple[str, str, str], list[Epoch]] = defaultdict(list)
    for model, task, strategy, number, seeds, *values in ask(_EPOCHS, (chosen.study,)):
        if (model, task, strategy) in places:
            spreads = (_spread(values[place : place + 3]) for place in range(0, len(values), 3))
            epochs[model, task, strategy].append(Epoch(number, seeds, *spreads))
    found = tuple(
        Curve(cells, tuple(epochs[cells.model, cells.task, cells.strategy]))
        for cells in chosen.cells
        if (cells.model, cells.task, cells.strategy) in epochs
    )
    if not found:
        message = f"no epoch of the study `{chosen.study}` is in the store"
        raise BitspecError(error("nothing-finished", message, help=f"train it with `bitspec run {chosen.spec}`"))
    unfinished = dict.fromkeys(cells.title for cells in chosen.cells if not cells.finished)
    return Curves(chosen, found, tuple(unfinished))


def _spread(values: Sequence[Any]) -> Spread | None:
    mean, low, high = values
    return None if mean is None else Spread(mean, low, high)
