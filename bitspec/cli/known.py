"""What is known of selections that weights or data decide, once their trials were run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitspec.api import Shown
    from bitspec.ir.canonical import Canonical
    from bitspec.ir.study import Study
    from bitspec.parameters.summary import StrategySummary
    from bitspec.store.store import Store


def with_picked(shown: Shown, study: Study, store: Store) -> Shown:
    """What strategies train, with the entries that finished trials picked where nothing else tells.

    Of each such strategy those of one trial: the first task's, with the lowest seed.
    """
    from bitspec.ir.trials import canonical_for

    texts = {task.name: canonical_for(study, task) for task in study.tasks}
    models = [
        summary.model_copy(
            update={
                "strategies": tuple(
                    _known(strategy, summary.model, study, texts, store) if strategy.needs_weights else strategy
                    for strategy in summary.strategies
                )
            }
        )
        for summary in shown.models
    ]
    return shown.model_copy(update={"models": tuple(models)})


def _known(
    strategy: StrategySummary, model: str, study: Study, texts: Mapping[str, Canonical], store: Store
) -> StrategySummary:
    from bitspec.diagnostics import BitspecError
    from bitspec.parameters.summary import Cell

    for task, canonical in texts.items():
        try:
            found = store.picked(model, task, canonical.text(study.selections[strategy.name]))
        except BitspecError:  # a store that cannot be read says nothing of the spec
            return strategy
        if found is not None:
            cells = tuple(Cell(role=role, layer=layer, entries=entries) for role, layer, entries in found.entries)
            return strategy.model_copy(update={"cells": cells, "trained_as": f"{task}, seed {found.seed}"})
    return strategy
