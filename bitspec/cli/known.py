"""What is known of selections that weights or data decide, once their trials were run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitspec.api import Shown
    from bitspec.ir.study import Study
    from bitspec.parameters.summary import StrategySummary, Summary
    from bitspec.store.store import Store


def with_picked(shown: Shown, study: Study, store: Store) -> Shown:
    """What strategies train, with the entries that finished trials picked where nothing else tells.

    Of each such strategy those of one trial: the first task's, with the lowest seed.
    """
    from bitspec.diagnostics import BitspecError
    from bitspec.ir.trials import canonical_for
    from bitspec.parameters.summary import Cell

    tasks = {task.name: canonical_for(study, task) for task in study.tasks}

    def known(strategy: StrategySummary, model: Summary) -> StrategySummary:
        texts = {task: canonical.text(study.selections[strategy.name]) for task, canonical in tasks.items()}
        try:
            found = store.picked(model.model, model.revision, texts)
        except BitspecError:  # a store that cannot be read says nothing of the spec
            found = None
        if found is None:
            return strategy
        cells = tuple(Cell(role=role, layer=layer, entries=entries) for role, layer, entries in found.entries)
        return strategy.model_copy(update={"cells": cells, "trained_as": f"{found.task}, seed {found.seed}"})

    models = []
    for summary in shown.models:
        strategies = (known(one, summary) if one.needs_weights else one for one in summary.strategies)
        models.append(summary.model_copy(update={"strategies": tuple(strategies)}))
    return shown.model_copy(update={"models": tuple(models)})
