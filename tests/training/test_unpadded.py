"""Batches without padding, and products with the selected part alone, against padded batches and dense gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from bitspec.ir.masks import Entries, Mask, Whole
from bitspec.training.course import Recipe, rate
from bitspec.training.flat import is_causal
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from bitspec.training.noise import batch_order
from tests.training.small import CONFIGS, UNLIKE, dense, encoded, masks_of_every_kind, model_folder
from tests.training.test_loop import KINDS, accuracy
from tests.training.test_packs import assert_alike, recipes_of, train


@pytest.mark.parametrize(
    ("model_type", "kinds"),
    [
        *((model_type, ("none", "rows", "mixture")) for model_type in UNLIKE),
        *(pytest.param(model_type, KINDS, marks=pytest.mark.slow) for model_type in CONFIGS),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} kinds",
)
def test_equals_padded_batches_and_dense_gradients_with_dropout(
    folders: dict[str, Path], model_type: str, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    unknown = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    assert known.architecture is not None
    monkeypatch.setitem(unknown.__dict__, "architecture", None)
    masks = masks_of_every_kind(known.model)
    assert set(masks) == set(KINDS)
    for recipe in recipes_of(known, {kind: masks[kind] for kind in kinds}, (3, 4)):
        (sparse,), _ = train(known, [recipe])
        (masked,), _ = train(unknown, [recipe])
        assert_alike(sparse, masked, 1e-6 if model_type == "llama" else 1e-10)


def test_dropout_does_something(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
    (recipe,) = recipes_of(prepared, {"none": {}}, (3,))
    off = Recipe("off", 3, recipe.settings.model_copy(update={"dropout": 0.0}), recipe.masks)
    (with_dropout,), _ = train(prepared, [recipe])
    (without,), _ = train(prepared, [off])
    assert not torch.allclose(with_dropout.state.vector, without.state.vector, atol=1e-5)


def vmapped(plain: PreTrainedModel, recipes: list[Recipe], heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All trials as one function of all their parameters, stacked: `vmap` of `grad` of a padded forward pass, dense
    gradients, masks of zeros and ones, and AdamW by its formula (Loshchilov and Hutter 2019, algorithm 2).
    """
    data, settings = encoded("training", 26), recipes[0].settings
    parameters = dict(plain.named_parameters())
    stacked = {
        name: torch.stack([parameter.detach()] * len(recipes)) if name not in heads else heads[name]
        for name, parameter in parameters.items()
    }
    masks = {
        name: torch.stack([dense(recipe.masks.get(name), tuple(parameter.shape)) for recipe in recipes])
        for name, parameter in parameters.items()
    }
    first = {name: torch.zeros_like(tensor) for name, tensor in stacked.items()}
    second = {name: torch.zeros_like(tensor) for name, tensor in stacked.items()}

    def loss(values: dict[str, Tensor], ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        logits = functional_call(plain, values, kwargs={"input_ids": ids, "attention_mask": mask}).logits
        return nn.functional.cross_entropy(logits, labels)

    def each(numbers: list[float], like: Tensor) -> Tensor:
        return torch.tensor(numbers, dtype=like.dtype).view(-1, *[1] * (like.dim() - 1))

    per_epoch = -(-len(data) // settings.batch_size)
    for step in range(settings.epochs * per_epoch):
        epoch, place = divmod(step, per_epoch)
        batches = []
        for recipe in recipes:
            order = batch_order(recipe.seed, epoch + 1, len(data))
            picked = order[place * settings.batch_size :][: settings.batch_size]
            ids = data.columns["input_ids"][picked].long()
            steps = torch.arange(ids.shape[1])
            seen = (steps < data.lengths_N[picked, None])[:, None, None]
            seen = seen & (steps <= steps[:, None]) if is_causal(plain) else seen
            # Of four dimensions, so that transformers takes it as it is: what it makes of others branches on values.
            mask = torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, -1e9)
            batches.append((ids, mask, data.labels_N[picked]))
        gradients = vmap(grad(loss))(stacked, *(torch.stack(part) for part in zip(*batches, strict=True)))
        gradients = {name: gradient * masks[name] for name, gradient in gradients.items()}
        norms = sum(gradient.flatten(1).square().sum(1) for gradient in gradients.values()).sqrt()
        clips = [
            1.0 if own.settings.clip_norm == "off" else min(1.0, own.settings.clip_norm / (float(norm) + 1e-6))
            for own, norm in zip(recipes, norms, strict=True)
        ]
        rates = [own.settings.learning_rate * rate(step, settings.epochs * per_epoch, own.settings) for own in recipes]
        for name, values in stacked.items():
            gradient = gradients[name] * each(clips, values)
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            root = (second[name] / (1 - 0.999 ** (step + 1))).sqrt() + each(
                [own.settings.eps for own in recipes], values
            )
            decay = each([own.settings.weight_decay for own in recipes], values) * values
            moved = values - each(rates, values) * (decay + first[name] / (1 - 0.9 ** (step + 1)) / root)
            stacked[name] = torch.where(masks[name], moved, values)
    return stacked


@pytest.mark.parametrize(
    "model_type", [*UNLIKE, *(pytest.param(name, marks=pytest.mark.slow) for name in ("roberta", "distilbert"))]
)
def test_equals_vmap_over_functional_call(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    recipes = [
        Recipe(recipe.key, recipe.seed, recipe.settings.model_copy(update={"dropout": 0.0}), recipe.masks)
        for recipe in recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4))
    ]
    heads: dict[str, list[Tensor]] = {name: [] for name in prepared.head}
    for recipe in recipes:
        prepared.new_head(recipe.seed, "task")
        for name, drawn in heads.items():
            drawn.append(prepared.model.get_parameter(name).detach().clone())
    plain = AutoModelForSequenceClassification.from_pretrained(
        folders[model_type], num_labels=2, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    expected = vmapped(plain, recipes, {name: torch.stack(drawn) for name, drawn in heads.items()})
    trials, _ = train(prepared, recipes)
    for number, trial in enumerate(trials):
        for slot in trial.state.slots:
            values, oracle = trial.state.values(slot), slot.gather(expected[slot.name][number])
            torch.testing.assert_close(values, oracle, atol=1e-10, rtol=0)


class Shapes(TorchDispatchMode):
    """Notes the shape of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        pointers = {arg.data_ptr() for arg in args if isinstance(arg, Tensor)}
        if isinstance(found, Tensor) and found.data_ptr() not in pointers:
            self.seen.add(tuple(found.shape))
        return found


#: Sizes that nothing else in a step has: 4 examples of 11 tokens.
ODD = {
    "bert": {"hidden_size": 23, "intermediate_size": 37, "num_attention_heads": 1, "max_position_embeddings": 41},
    "gpt2": {"n_embd": 23, "n_head": 1, "n_positions": 41},
}


def shapes_of_a_step(prepared: Prepared, masks: Mapping[str, Mask]) -> set[tuple[int, ...]]:
    (recipe,) = recipes_of(prepared, {"own": masks}, (3,))
    data = encoded("training", 8, longest=11)
    data = dataclasses.replace(data, lengths_N=torch.full_like(data.lengths_N, 11))
    run = Training(prepared, [recipe], task="t", training=data, validation=(), metrics=accuracy, main="accuracy")
    run.rehearse(1)
    with Shapes() as shapes:
        run.rehearse(2)
    run.close()
    return {shape[::turn] for shape in shapes.seen for turn in (1, -1)}


@pytest.mark.parametrize("model_type", list(ODD))
def test_no_dense_gradient_is_formed_of_what_is_partly_selected(tmp_path: Path, model_type: str) -> None:
    prepared = prepare(model_folder(tmp_path, model_type, **ODD[model_type]), 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)
    shapes = {name: tuple(prepared.model.get_parameter(name).shape) for name in masks["rows"]}
    matrices = {shape for shape in shapes.values() if len(shape) == 2 and shape[0] > 2}
    for kind in ("rows", "cols", "entries"):
        own = {name: mask for name, mask in masks[kind].items() if name in shapes}
        found = matrices & shapes_of_a_step(prepared, own)
        assert not found, (kind, found)
    # What the test looks for is there where a whole matrix is selected.
    name, shape = next((name, shape) for name, shape in shapes.items() if shape[0] > 50 or shape == (37, 23))
    assert shape in shapes_of_a_step(prepared, {name: Whole()})


def test_a_tied_tensor_gets_the_gradient_of_both_places(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tied() -> Prepared:
        prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
        first, second = (
            prepared.model.get_submodule(f"bert.encoder.layer.{number}.attention.self.query") for number in range(2)
        )
        second.weight, second.bias = first.weight, first.bias
        return prepared

    masks: dict[str, Mask] = {
        "bert.encoder.layer.0.attention.self.query.weight": Entries(masks_indices(256, 40)),
        "bert.encoder.layer.0.attention.self.query.bias": Entries(masks_indices(16, 5)),
    }
    known, unknown = tied(), tied()
    monkeypatch.setitem(unknown.__dict__, "architecture", None)
    recipes = recipes_of(known, {"one": masks, "other": masks}, (3,))
    packed, _ = train(known, recipes)
    for recipe, trial in zip(recipes, packed, strict=True):
        assert_alike(trial, train(known, [recipe])[0][0], 1e-10)
        assert_alike(trial, train(unknown, [recipe])[0][0], 1e-10)


def masks_indices(size: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.sort(np.random.default_rng(1).permutation(size)[:count])
