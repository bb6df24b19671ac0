"""Trials: what a study runs, one by one, and the key by which a trial is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from bitspec import plugins, registry
from bitspec.ir.base import Noun
from bitspec.ir.canonical import Canonical
from bitspec.ir.cascade import given, resolve
from bitspec.ir.selection import Draw, Selection, Top, walk
from bitspec.ir.settings import Settings
from bitspec.ir.study import Model, Study, Task, followed
from bitspec.plugins import Kind

#: A new one whenever the same trial would come out with other numbers.
NUMERICS_VERSION = 2


class Trial(Noun):
    """One training run: model × task × selection × seed × settings.

    `strategy` is the name under which this study runs it; `selection` is the canonical text, which is what counts.
    `after` are the trials whose changes decide what it selects: they are trained first. `versions` are those of the
    plugins that influence it, such as `rule block`.
    """

    model: Model
    task: Task
    strategy: str
    selection: str
    seed: int
    settings: Settings
    after: tuple[Trial, ...] = ()
    versions: Mapping[str, str] = {}

    def __hash__(self) -> int:
        return hash((self.strategy, self.selection, self.seed))

    def __copy__(self) -> Trial:
        copied = super().__copy__()
        for worked_out in ("stage", "_digests"):
            copied.__dict__.pop(worked_out, None)
        return copied

    @cached_property
    def _digests(self) -> dict[tuple[str, ...], str]:
        # Trials that many follow are asked for their keys many times.
        return {}

    @cached_property
    def stage(self) -> int:
        """How many trials must be trained before it, one after the other."""
        return 1 + max((trial.stage for trial in self.after), default=-1)

    def key(self, model_fingerprint: str, data_fingerprint: str) -> str:
        """The sha256, in hex, of all that the trial's numbers depend on.

        Names, labels, comments and order are not in it, nor are device, runner and pack: they are provenance. The
        fingerprints stand for the model's weights and the task's examples, wherever they were read from.
        """
        asked = ("key", model_fingerprint, data_fingerprint)
        if asked not in self._digests:
            content = self._content(*asked[1:]) | {"seed": self.seed}
            if self.after:
                content["after"] = sorted({trial.key(*asked[1:]) for trial in self.after})
            self._digests[asked] = _sha256(content)
        return self._digests[asked]

    def variant(self, model_fingerprint: str, data_fingerprint: str) -> str:
        """The same without the seed: trials of one variant are repetitions of each other."""
        asked = ("variant", model_fingerprint, data_fingerprint)
        if asked not in self._digests:
            content = self._content(*asked[1:])
            if self.after:
                content["after"] = sorted({trial.variant(*asked[1:]) for trial in self.after})
            self._digests[asked] = _sha256(content)
        return self._digests[asked]

    def _content(self, model_fingerprint: str, data_fingerprint: str) -> dict[str, Any]:
        return {
            "numerics": NUMERICS_VERSION,
            "model": model_fingerprint,
            "data": data_fingerprint,
            "task": self.task.data.model_dump(mode="json", include={"text", "label", "metric"})
            if self.task.data is not None
            else self.task.name,
            "selection": self.selection,
            "settings": self.settings.model_dump(mode="json"),
            **({"plugins": dict(self.versions)} if self.versions else {}),
        }


class Planned(Noun):
    """A trial in its place in a study: the cell model × task × strategy × seed that it fills.

    Several cells may have one key: it is trained once. `title` is what reports call the strategy, `position` its
    place in the spec. `follows` has the keys of the trials that it is trained after, by their strategies;
    `is_followed` says that others are trained after it.
    """

    trial: Trial
    key: str
    variant: str
    title: str
    position: int
    follows: Mapping[str, str] = {}
    is_followed: bool = False

    def __hash__(self) -> int:
        return hash(self.key)


def _sha256(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def trials(study: Study, overrides: Mapping[str, Any] | None = None) -> Iterator[Trial]:
    """Every trial of a study: models, tasks, strategies and seeds in their order. It must have passed its check.

    `overrides` are settings that take the place of the study's own, for every trial.
    """
    follow, versions = followed(study), _versions(study)
    blocks = given(study)
    # What is trained first is made first.
    order = list(TopologicalSorter(follow).static_order())
    for model in study.models:
        for task in study.tasks:
            own = _versions_of_task(task)
            settings = {
                name: resolve(study, name, task.name, blocks).model_copy(update=dict(overrides or {}))
                for name in follow
            }
            trainings = {other: training_text(settings[other]) for others in follow.values() for other in others}
            canonical = Canonical(study.selections, trainings)
            texts = {strategy.name: canonical.text(strategy.selection) for strategy in study.strategies}
            made: dict[tuple[str, int], Trial] = {}
            for name in order:
                for seed in study.seeds:
                    made[name, seed] = Trial(
                        model=model,
                        task=task,
                        strategy=name,
                        selection=texts[name],
                        seed=seed,
                        settings=settings[name],
                        after=tuple(made[other, seed] for other in follow[name]),
                        versions=own | versions[name],
                    )
            yield from (made[name, seed] for name in follow for seed in study.seeds)


def canonical_for(study: Study, task: Task) -> Canonical:
    """The canonical texts of a study's selections on a task.

    They depend on the task only where a selection ranks by what a strategy changed: then, on its settings there.
    """
    trained = {name for names in followed(study).values() for name in names}
    blocks = given(study) if trained else {}
    return Canonical(
        study.selections, {name: training_text(resolve(study, name, task.name, blocks)) for name in trained}
    )


def canonical_of(study: Study, trial: Trial) -> Canonical:
    """The canonical texts of a study's selections as one of its trials has them."""
    trainings, waiting = {}, list(trial.after)
    while waiting:
        other = waiting.pop()
        if other.strategy not in trainings:
            trainings[other.strategy] = training_text(other.settings)
            waiting += other.after
    return Canonical(study.selections, trainings)


def training_text(settings: Settings) -> str:
    """Stands for what a strategy is trained with, where others rank by its changes."""
    return f"sha256:{_sha256(settings.model_dump(mode='json'))}"


def _versions(study: Study) -> dict[str, dict[str, str]]:
    """The versions of all plugins in each strategy's selection; bitspec's own go with the version of the numerics."""

    def of_node(node: Selection) -> dict[str, str]:
        if isinstance(node, Draw):
            return _version("rule", node.rule)
        return _version("ranking", node.by.name) if isinstance(node, Top) else {}

    if not any(of_node(node) for named in study.named for node in walk(named.selection)):
        return {strategy.name: {} for strategy in study.strategies}
    return {
        strategy.name: {
            name: version
            for node in walk(strategy.selection, study.selections)
            for name, version in of_node(node).items()
        }
        for strategy in study.strategies
    }


def _versions_of_task(task: Task) -> dict[str, str]:
    if task.data is not None:
        return _version("metric", task.data.metric)
    found = _version("task", task.name)
    return found | _version("metric", registry.find(plugins.Task, task.name).metric) if found else {}


def _version(kind: Kind, name: str) -> dict[str, str]:
    try:
        version = registry.version(kind, name)
    except KeyError:  # no plugin
        return {}
    return {} if version is None else {f"{kind} {name}": version}
