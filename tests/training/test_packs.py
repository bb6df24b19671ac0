"""Trials that are trained together: each comes out as if it were alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bitspec.ir.events import EpochEnded, Failed, Started
from bitspec.ir.masks import Mask, Whole
from bitspec.ir.settings import Settings
from bitspec.training.capture import Capture
from bitspec.training.course import Recipe, Trial
from bitspec.training.encoding import Batch
from bitspec.training.layout import Tokens
from bitspec.training.loop import Training, TrainingEvent
from bitspec.training.model import Prepared, prepare
from tests.training.small import CONFIGS, encoded, masks_of_every_kind
from tests.training.test_loop import accuracy, values

#: 3 epochs of 7 steps: padding in every batch, dropout on.
SETTINGS = Settings(epochs=3, batch_size=4, learning_rate=3e-3, weight_decay=0.1, clip_norm=0.5)


def recipes_of(
    prepared: Prepared, masks: Mapping[str, Mapping[str, Mask]], seeds: Sequence[int], rate: float = 1e-3
) -> list[Recipe]:
    """A trial of each selection, with settings of its own; learning rates are multiples of `rate`."""
    head = {name: Whole() for name in prepared.head}
    found = []
    for number, (kind, own) in enumerate(masks.items()):
        settings = SETTINGS.model_copy(
            update={
                "learning_rate": rate * (1 + number),
                "weight_decay": 0.05 * number,
                "clip_norm": (0.5, "off", 0.1)[number % 3],
                "schedule": ("constant", "linear")[number % 2],
                "eps": 10.0 ** -(4 + number % 3),
            }
        )
        found.append(Recipe(kind, seeds[number % len(seeds)], settings, {**own, **head}))
    return found


def train(
    prepared: Prepared, recipes: Sequence[Recipe], capture: Callable[[], Capture] | None = None
) -> tuple[list[Trial], list[TrainingEvent]]:
    before = values(prepared.model)
    run = Training(
        prepared,
        recipes,
        task="task",
        training=encoded("training", 26),
        validation=(encoded("validation", 17, seed=1), encoded("other", 9, seed=2)),
        metrics=accuracy,
        main="accuracy",
        capture=capture,
    )
    events = list(run.run())
    run.close()
    after = values(prepared.model)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if name not in prepared.head)
    return run.trials, events


def assert_alike(packed: Trial, alone: Trial, tolerance: float) -> None:
    assert packed.key == alone.key
    torch.testing.assert_close(packed.state.vector, alone.state.vector, atol=tolerance, rtol=0)
    assert not torch.equal(alone.state.vector, torch.zeros_like(alone.state.vector))
    for one, other in zip(packed.epochs, alone.epochs, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=100 * tolerance, rel=0)
        assert one.validation_loss == pytest.approx(other.validation_loss, abs=100 * tolerance, rel=0)
    for split, expected in zip(packed.predictions, alone.predictions, strict=True):
        assert split.margins == pytest.approx(expected.margins, abs=1000 * tolerance, rel=0)


SEEDS = {"one seed": (3,), "two seeds": (3, 4), "all seeds": tuple(range(9))}


@pytest.mark.parametrize(
    ("model_type", "seeds"),
    [
        ("bert", "two seeds"),
        ("gpt2", "all seeds"),
        pytest.param("bert", "one seed", marks=pytest.mark.slow),
        *(pytest.param(name, "two seeds", marks=pytest.mark.slow) for name in CONFIGS if name != "bert"),
    ],
)
def test_a_trial_in_a_pack_equals_the_trial_alone(folders: dict[str, Path], model_type: str, seeds: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), SEEDS[seeds])
    packed, events = train(prepared, recipes)
    assert [event.key for event in events if isinstance(event, Started)] == [recipe.key for recipe in recipes]
    for recipe, trial in zip(recipes, packed, strict=True):
        (alone,), _ = train(prepared, [recipe])
        # Llama normalises in float32 whatever it computes in: what differs in the last bit there is larger.
        assert_alike(trial, alone, 1e-6 if model_type == "llama" else 1e-10)
        assert trial.pack == tuple(other.key for other in recipes)
        assert alone.pack == (recipe.key,)


@pytest.mark.parametrize(
    "model_type", ["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("roberta", "distilbert", "gpt2"))]
)
def test_a_trial_in_a_pack_equals_the_trial_alone_in_float32(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"))
    # Rates as people use them: AdamW divides rounding errors by the size of the gradient, and multiplies by the rate.
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4), rate=1e-4)
    packed, _ = train(prepared, recipes)
    for recipe, trial in zip(recipes, packed, strict=True):
        (alone,), _ = train(prepared, [recipe])
        assert_alike(trial, alone, 1e-5)


def test_trials_that_share_the_lower_layers(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
    every = masks_of_every_kind(prepared.model)
    last = {name: mask for name, mask in every["vectors"].items() if ".layer.1." in name or "pooler" in name}
    several: tuple[dict[str, dict[str, Mask]], ...] = (
        {"none": {}, "again": {}},
        {"none": {}, "last": last, "rows": dict(list(every["rows"].items())[-2:])},
    )
    for masks in several:
        recipes = recipes_of(prepared, masks, (3,))
        packed, _ = train(prepared, recipes)
        for recipe, trial in zip(recipes, packed, strict=True):
            assert_alike(trial, train(prepared, [recipe])[0][0], 1e-10)


def test_trials_that_are_told_apart_by_a_projection_of_embeddings(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["electra"], 2, torch.device("cpu"))
    own: dict[str, Mask] = {"electra.embeddings_project.bias": Whole()}
    recipes = recipes_of(prepared, {"one": own, "other": own}, (3,), rate=1e-4)
    packed, _ = train(prepared, recipes)
    for recipe, trial in zip(recipes, packed, strict=True):
        assert_alike(trial, train(prepared, [recipe])[0][0], 1e-5)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_the_same_pack_twice_is_equal_bit_for_bit(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4))
    first, second = train(prepared, recipes)[0], train(prepared, recipes)[0]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.state.vector, other.state.vector)
        assert one.predictions == other.predictions
        assert [epoch.loss for epoch in one.epochs] == [epoch.loss for epoch in other.epochs]


def test_a_trial_that_diverges_ends_alone(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "rows", "entries")}, (3,))
    mad = recipes[1].settings.model_copy(update={"learning_rate": 1e200, "clip_norm": "off"})
    recipes[1] = dataclasses.replace(recipes[1], settings=mad)
    packed, events = train(prepared, recipes)
    (failure,) = [event for event in events if isinstance(event, Failed)]
    assert (failure.key, failure.status) == ("rows", "diverged")
    assert packed[1].epochs == []
    assert packed[0].pack == packed[2].pack == ("vectors", "entries")
    for place in (0, 2):
        assert_alike(packed[place], train(prepared, [recipes[place]])[0][0], 1e-10)


def test_all_trials_may_diverge(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)
    recipes = [
        dataclasses.replace(
            recipe, settings=recipe.settings.model_copy(update={"learning_rate": 1e38, "clip_norm": "off"})
        )
        for recipe in recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "rows")}, (3,))
    ]
    _, events = train(prepared, recipes)
    assert [event.key for event in events if isinstance(event, Failed)] == ["vectors", "rows"]
    assert not any(isinstance(event, EpochEnded) for event in events)


def test_a_pack_that_does_not_fit_into_memory_is_halved(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(
        prepared, {kind: masks[kind] for kind in ("vectors", "rows", "entries", "cols", "none")}, (3, 4)
    )
    logits, calls = Training._logits, []

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        together = len(self._binding.trials)  # type: ignore[union-attr]
        found = logits(self, batch, step)
        calls.append(together)
        if together > 2 and len(calls) > 12:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(Training, "_logits", too_large)
    packed, events = train(prepared, recipes)
    monkeypatch.undo()
    assert not any(isinstance(event, Failed) for event in events)
    assert set(calls) == {5, 3, 2, 1}
    assert [len(trial.pack) for trial in packed] == [2, 2, 1, 2, 2]
    for recipe, trial in zip(recipes, packed, strict=True):
        assert_alike(trial, train(prepared, [recipe])[0][0], 1e-10)


def test_a_trial_that_is_alone_and_does_not_fit_says_so(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))

    def too_large(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(Training, "_logits", too_large)
    with pytest.raises(RuntimeError, match="allocate"):
        train(prepared, recipes_of(prepared, {"none": {}}, (3,)))


def test_what_does_not_go_together_is_refused(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    one, other = recipes_of(prepared, {"one": {}, "other": {}}, (3,))
    longer = dataclasses.replace(other, settings=other.settings.model_copy(update={"epochs": 4}))
    with pytest.raises(ValueError, match="same epochs"):
        train(prepared, [one, longer])
