"""bitspec's engine as the benchmarks drive it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

from bitspec.ir.settings import Settings
from bitspec.training.capture import capture_on
from bitspec.training.course import Recipe
from bitspec.training.encoding import Encoded
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from tests.benchmarks.models import Masks, first_of, own_weights, with_head

#: A trial: its name, its seed, its masks without the head, its settings.
Trial: TypeAlias = tuple[str, int, Masks, Settings]


def prepared_model(folder: Path, device: torch.device) -> Prepared:
    """A model with a head for two classes, its weights in memory of its own."""
    prepared = prepare(folder, 2, device)
    own_weights(prepared.model)
    return prepared


def training(
    prepared: Prepared,
    trials: Sequence[Trial],
    data: Encoded,
    validation: tuple[Encoded, ...] = (),
    *,
    graphs: bool = False,
    **metrics: Any,
) -> Training:
    """A pack of trials, ready to be trained; with `graphs`, its steps are captured and replayed."""
    recipes = [
        Recipe(key=key, seed=seed, settings=settings, masks=with_head(masks, prepared.head))
        for key, seed, masks, settings in trials
    ]
    return Training(
        prepared,
        recipes,
        task="task",
        training=data,
        validation=validation or (first_of(data, 1),),
        metrics=metrics.get("metrics", _accuracy),
        main=metrics.get("main", "accuracy"),
        capture=capture_on(prepared.device) if graphs else None,
    )


def _accuracy(_split: str, labels: list[float], predictions: list[float]) -> dict[str, float]:
    return {"accuracy": sum(a == b for a, b in zip(labels, predictions, strict=True)) / len(labels)}
