"""The finished runs of a study: what every answer but the heatmap is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from bitspec.ir.study import Study
from bitspec.report.choices import Ask, Choice, Chosen, asking, choose
from bitspec.report.study import read_study
from bitspec.store.views import VIEWS

_COLUMNS: Final = (
    "key", "model", "task", "strategy", "seed", "score", "change", "trainable", "percent", "head", "metric",
    "learning_rate", "epochs", "seconds", "device",
)  # fmt: skip

#: A change that is no number is none, and a trial without a score is no run.
_SELECTED: Final = ", ".join(_COLUMNS).replace("change", "CASE WHEN isfinite(change) THEN change END")

_FINISHED: Final = (
    f"SELECT {_SELECTED} FROM ({VIEWS['scores'].of_study()}) WHERE model IN (SELECT unnest($2::VARCHAR[])) "  # noqa: S608
    "AND task IN (SELECT unnest($3::VARCHAR[])) AND strategy IN (SELECT unnest($4::VARCHAR[])) AND isfinite(score) "
    "ORDER BY seed"
)


class Run(NamedTuple):  # there may be a hundred thousand of them
    """A finished trial in its cell. `score` is in points; `change` is None where nothing of the base model is trained.

    `seconds` are those of training and evaluation; of a pack, its share of them.
    """

    key: str
    model: str
    task: str
    strategy: str
    seed: int
    score: float
    change: float | None
    trainable: int
    percent: float
    head: int
    metric: str | None
    learning_rate: float
    epochs: int
    seconds: float
    device: str


#: A model, a task and a strategy.
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Runs:
    """All finished runs that were chosen, and the study that they are of, where the store has it."""

    chosen: Chosen
    all: tuple[Run, ...]
    study: Study | None

    @cached_property
    def by_place(self) -> Mapping[Place, Sequence[Run]]:
        """The runs that differ only in their seed, by seed; places without a run are left out."""
        found: dict[Place, list[Run]] = {(one.model, one.task, one.strategy): [] for one in self.chosen.cells}
        for run in self.all:
            found.setdefault((run.model, run.task, run.strategy), []).append(run)
        return {place: own for place, own in found.items() if own}

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """What strategies are called."""
        return {cells.strategy: cells.title for cells in self.chosen.cells}

    @property
    def strata(self) -> list[tuple[str, str]]:
        """Every model and task."""
        return list(dict.fromkeys((cells.model, cells.task) for cells in self.chosen.cells))

    def at(self, model: str, task: str, strategy: str) -> Sequence[Run]:
        """The runs of a strategy on a task; empty where none is finished."""
        return self.by_place.get((model, task, strategy), ())

    def of(self, strategy: str) -> Iterable[Run]:
        """All runs of a strategy."""
        return (run for model, task in self.strata for run in self.at(model, task, strategy))


def read_runs(store: Path, choice: Choice) -> Runs:
    """The finished runs of a study. Raises BitspecError if there are none of what was chosen."""
    return asking(store, lambda ask: runs_of(ask, choose(ask, choice)))


def runs_of(ask: Ask, chosen: Chosen) -> Runs:
    """The finished runs of the cells that were chosen."""
    places = {(cells.model, cells.task, cells.strategy) for cells in chosen.cells}
    found = map(Run._make, ask(_FINISHED, (chosen.study, chosen.models, chosen.tasks, chosen.strategies)))
    runs = tuple(run for run in found if (run.model, run.task, run.strategy) in places)
    return Runs(chosen, runs, read_study(ask, chosen.study))
