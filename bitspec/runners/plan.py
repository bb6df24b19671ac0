"""What is to be done for a study: its cells, their keys, and which of them are done already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitspec.ir.study import Model, Study, Task, followed
from bitspec.ir.trials import Planned, trials
from bitspec.parameters.cache import cache_folder
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.models import model_folder
from bitspec.runners.protocol import Pack
from bitspec.store.lookups import Durations
from bitspec.training.tasks import OnFetch, read_task, task_fingerprint

#: Stands for a fingerprint that is not known before something is fetched.
UNKNOWN = "unknown"

#: The status of a trial that is finished, but whose values are asked for and were not kept.
VALUES_NOT_KEPT = "values not kept"


@dataclass(frozen=True)
class Plan:
    """The cells of a study, and what the store knows of their trials.

    `statuses` says `finished`, `failed`, `diverged` or VALUES_NOT_KEPT by key. `models` and `data` are the fingerprints
    of models and tasks by their names in the spec. `absent` are those that are not on this machine yet; their cells
    count as new.
    """

    cells: tuple[Planned, ...]
    statuses: Mapping[str, str]
    models: Mapping[str, str]
    data: Mapping[str, str]
    absent: tuple[str, ...] = ()

    @property
    def trials(self) -> tuple[Planned, ...]:
        """One cell for each key, in order: cells that say the same are trained once."""
        first: dict[str, Planned] = {}
        for cell in self.cells:
            first.setdefault(cell.key, cell)
        return tuple(first.values())

    @property
    def done(self) -> tuple[Planned, ...]:
        """Trials that are finished."""
        return tuple(trial for trial in self.trials if self.statuses.get(trial.key) == "finished")

    @property
    def new(self) -> tuple[Planned, ...]:
        """Trials that are to be trained; those that failed or diverged are tried again."""
        return tuple(trial for trial in self.trials if self.statuses.get(trial.key) != "finished")

    @property
    def shared(self) -> int:
        """Number of cells that need no trial of their own, because another cell has the same key."""
        return len(self.cells) - len(self.trials)

    def reason(self, planned: Planned) -> str:
        """Why a trial is new."""
        status = self.statuses.get(planned.key, "never trained")
        return f"{status} last time" if status in {"failed", "diverged"} else status

    def time(self, durations: Durations) -> tuple[float, int]:
        """Seconds that the new trials may take, and of how many of them earlier trials tell."""
        known = [seconds for planned in self.new if (seconds := self._seconds(planned, durations)) is not None]
        return sum(known), len(known)

    def _seconds(self, planned: Planned, durations: Durations) -> float | None:
        trial = planned.trial
        epoch = durations.seconds(self.models[trial.model.name], self.data[trial.task.name], trial.selection)
        return None if epoch is None else epoch * trial.settings.epochs

    def packs(self) -> tuple[Pack, ...]:
        """The trials to be trained, each alone; which of them are better trained together, a runner knows."""
        return tuple((trial,) for trial in self.new)


def plan(
    study: Study,
    statuses: Mapping[str, str],
    *,
    base: Path,
    data_dir: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    fetch: bool = False,
    on_fetch: OnFetch | None = None,
    allow_pickle: bool = False,
    kept: Callable[[], frozenset[str]] = frozenset,
) -> Plan:
    """The plan of a study that passed its check.

    `settings` take the place of those of the spec, for every trial. `only` names strategies and tasks; with none of
    a sort, all of it. Strategies by whose changes others select are always with them, and are trained again where
    their values are not among those that `kept` tells. With `fetch`, models and data are fetched where they are not on
    this machine. With `allow_pickle`, models may have their weights in pickle files.

    Raises BitspecError where a model or data cannot be had.
    """
    absent: dict[str, None] = {}

    def known(name: str, fingerprint: str | None) -> str:
        if fingerprint is None:
            absent[name] = None
        return fingerprint or UNKNOWN

    strategies = _with_followed({name for name in only if name in study.strategy_names}, study)
    tasks = {study.task_called(name) for name in only} - {None}
    models = {
        model.name: known(model.source, _model_fingerprint(model, base, fetch, on_fetch, allow_pickle))
        for model in study.models
    }
    data = {
        task.name: known(task.name, _task_fingerprint(task, base, data_dir, fetch, on_fetch))
        for task in study.tasks
        if not tasks or task.name in tasks
    }
    positions = {strategy.name: place for place, strategy in enumerate(study.strategies)}
    titles = {strategy.name: strategy.title for strategy in study.strategies}
    cells = []
    followed_keys: set[str] = set()
    for trial in trials(study, settings):
        if trial.task.name not in data:
            continue
        prints = models[trial.model.name], data[trial.task.name]
        followed_keys |= {other.key(*prints) for other in trial.after}
        if strategies and trial.strategy not in strategies:
            continue
        cells.append(
            Planned(
                trial=trial,
                key=trial.key(*prints),
                variant=trial.variant(*prints),
                title=titles[trial.strategy],
                position=positions[trial.strategy],
                follows={other.strategy: other.key(*prints) for other in trial.after},
            )
        )
    cells = [cell.model_copy(update={"is_followed": True}) if cell.key in followed_keys else cell for cell in cells]
    return Plan(tuple(cells), _with_values(cells, statuses, kept), models, data, tuple(absent))


def _with_values(
    cells: Sequence[Planned], statuses: Mapping[str, str], kept: Callable[[], frozenset[str]]
) -> Mapping[str, str]:
    """The statuses, where trials whose values are needed and were not kept are not finished."""
    if not any(cell.follows for cell in cells):
        return statuses
    found, values = dict(statuses), kept()
    for cell in sorted(cells, key=lambda cell: -cell.trial.stage):  # what is trained again needs others in its turn
        if found.get(cell.key) != "finished":
            lost = [key for key in cell.follows.values() if found.get(key) == "finished" and key not in values]
            found |= dict.fromkeys(lost, VALUES_NOT_KEPT)
    return found


def _with_followed(strategies: set[str], study: Study) -> set[str]:
    """Strategies with all those by whose changes they select."""
    before, waiting = followed(study), list(strategies)
    while waiting:
        new = set(before[waiting.pop()]) - strategies
        strategies |= new
        waiting += new
    return strategies


def _model_fingerprint(
    model: Model, base: Path, fetch: bool, on_fetch: OnFetch | None, allow_pickle: bool
) -> str | None:
    folder = model_folder(
        model.source, model.revision, base=base, fetch=fetch, on_fetch=on_fetch, allow_pickle=allow_pickle
    )
    return None if folder is None else model_fingerprint(folder, cache=cache_folder(), allow_pickle=allow_pickle)


def _task_fingerprint(
    task: Task,
    base: Path,
    data_dir: Path | None,
    fetch: bool,
    on_fetch: OnFetch | None,
) -> str | None:
    found = task_fingerprint(task, base=base, data_dir=data_dir, cache=cache_folder())
    if found is None and fetch:
        found = read_task(task, base=base, data_dir=data_dir, cache=cache_folder(), on_fetch=on_fetch).fingerprint
    return found
