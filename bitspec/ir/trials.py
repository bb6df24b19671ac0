"""Trials: what a study runs, one by one, and the key by which a trial is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from bitspec.ir.base import Noun
from bitspec.ir.canonical import Canonical
from bitspec.ir.cascade import given, resolve
from bitspec.ir.settings import Settings
from bitspec.ir.study import Model, Study, Task

#: A new one whenever the same trial would come out with other numbers.
NUMERICS_VERSION = 2


class Trial(Noun):
    """One training run: model × task × selection × seed × settings.

    `strategy` is the name under which this study runs it; `selection` is the canonical text, which is what counts.
    """

    model: Model
    task: Task
    strategy: str
    selection: str
    seed: int
    settings: Settings

    def key(self, model_fingerprint: str, data_fingerprint: str) -> str:
        """The sha256, in hex, of all that the trial's numbers depend on.

        Names, labels, comments and order are not in it, nor are device, runner and pack: they are provenance. The
        fingerprints stand for the model's weights and the task's examples, wherever they were read from.
        """
        return _sha256(self._content(model_fingerprint, data_fingerprint) | {"seed": self.seed})

    def variant(self, model_fingerprint: str, data_fingerprint: str) -> str:
        """The same without the seed: trials of one variant are repetitions of each other."""
        return _sha256(self._content(model_fingerprint, data_fingerprint))

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
        }


class Planned(Noun):
    """A trial in its place in a study: the cell model × task × strategy × seed that it fills.

    Several cells may have one key: it is trained once. `title` is what reports call the strategy, `position` its
    place in the spec.
    """

    trial: Trial
    key: str
    variant: str
    title: str
    position: int


def _sha256(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def trials(study: Study) -> Iterator[Trial]:
    """Every trial of a study: models, tasks, strategies and seeds in their order. It must have passed its check."""
    canonical = Canonical(study.selections)
    selections: Mapping[str, str] = {strategy.name: canonical.text(strategy.selection) for strategy in study.strategies}
    blocks = given(study)
    for model in study.models:
        for task in study.tasks:
            for name, selection in selections.items():
                settings = resolve(study, name, task.name, blocks)
                for seed in study.seeds:
                    yield Trial(
                        model=model,
                        task=task,
                        strategy=name,
                        selection=selection,
                        seed=seed,
                        settings=settings,
                    )
