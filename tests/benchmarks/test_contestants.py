"""The contestants of the benchmark compute the same: else their times could not be compared."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bitspec.ir.masks import Cols, Entries, Mask, Rows, Whole
from bitspec.ir.settings import Settings
from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.engine import prepared_model, training
from tests.benchmarks.models import (
    Cell,
    first_of,
    head_of,
    linear_entries,
    make_folder,
    plain_model,
    random_examples,
    selection,
    with_head,
)
from tests.benchmarks.reference import Reference, padded

BATCH, STEPS = 4, 3
# The gradient of the key's bias is rounding alone, which a small eps would make as large as any other.
SETTINGS = Settings(epochs=1, batch_size=BATCH, learning_rate=1e-2, dropout=0.0, eps=1e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model"), "tiny")


def engine(folder: Path, masks: dict[str, Mask]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All values of a model before and after bitspec trained some steps of it."""
    prepared = prepared_model(folder, torch.device("cpu"))
    data = random_examples(folder, BATCH * STEPS, 9)
    run = training(prepared, [("trial", 0, masks, SETTINGS)], data)
    before = {name: value.clone() for name, value in prepared.model.state_dict().items()}
    run.rehearse(STEPS)
    after = {name: value.clone() for name, value in before.items()}
    for name, tensor in run.trials[0].state.trained().tensors.items():
        match tensor.mask:
            case Whole():
                after[name].view(-1).copy_(torch.from_numpy(tensor.values))
            case Rows(indices=indices):
                after[name][torch.from_numpy(indices.copy())] = torch.from_numpy(tensor.values).view(len(indices), -1)
            case Cols(indices=indices):
                after[name][:, torch.from_numpy(indices.copy())] = torch.from_numpy(tensor.values).view(
                    -1, len(indices)
                )
            case _:
                after[name].view(-1)[torch.from_numpy(tensor.mask.indices.copy())] = torch.from_numpy(tensor.values)
    run.close()
    return before, after


def contestant(folder: Path, name: str, masks: dict[str, Mask], before: dict[str, Tensor]) -> dict[str, Tensor]:
    model = plain_model(folder, "cpu")
    model.load_state_dict(before)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    data = random_examples(folder, BATCH * STEPS, 9)
    if name == "reference":
        trial = Reference(model, Cell("x", "x", 0, masks, SETTINGS), data)
        for number in range(STEPS):
            trial.step(number)
        return dict(model.state_dict())
    from bitspec.training.noise import batch_order

    weights = dict(model.named_parameters())
    contender = CONTESTANTS[name](model, with_head(masks, head_of(model)), SETTINGS)
    for chosen in batch_order(0, 1, len(data)).split(BATCH):
        contender.step(data.batch(chosen, model.device))
    after = {key: value.detach().clone() for key, value in weights.items()}
    for key, value in getattr(contender, "adapters", {}).items():
        mask = masks[f"{key}.weight"]
        assert isinstance(mask, Entries)
        after[f"{key}.weight"].view(-1)[torch.from_numpy(mask.indices.copy())] += value.detach()
    return after


def parts(folder: Path) -> dict[str, Mask]:
    """Entries, embeddings' too, rows, columns, and a vector."""
    masks = dict(selection("rand(all, 5%) - (matrix | gamma)", folder))
    shapes = {name: tuple(value.shape) for name, value in plain_model(folder, "cpu").named_parameters()}
    matrices = [name for name in shapes if name.endswith("dense.weight") and ".layer." in name]
    masks |= {
        matrices[0]: Rows(np.array([0, 3])),
        matrices[1]: Cols(np.array([1, 5])),
        matrices[2]: Entries(np.arange(7)),
    }
    vector = next(name for name in shapes if "LayerNorm.weight" in name)
    return {**masks, vector: Whole()}


def compare(expected: dict[str, Tensor], found: dict[str, Tensor], before: dict[str, Tensor]) -> None:
    moved = 0
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=2e-5, rtol=0), name
        moved += not torch.equal(tensor, before[name])
    assert moved > 4


@pytest.mark.parametrize("name", ["mask, floats", "mask, booleans", "gather in a hook", "reference"])
def test_dense_gradients_give_what_bitspec_gives(folder: Path, name: str) -> None:
    masks = parts(folder)
    before, after = engine(folder, masks)
    compare(after, contestant(folder, name, masks, before), before)


@pytest.mark.parametrize("name", ["plain", "gather in a hook", "reference"])
def test_whole_parameters_give_what_bitspec_gives(folder: Path, name: str) -> None:
    masks = dict(selection("bias", folder))
    before, after = engine(folder, masks)
    compare(after, contestant(folder, name, masks, before), before)


@pytest.mark.skipif(find_spec("peft") is None, reason="PEFT is not installed")
def test_shira_gives_what_bitspec_gives(folder: Path) -> None:
    masks: dict[str, Mask] = dict(linear_entries(plain_model(folder, "cpu")))
    before, after = engine(folder, masks)
    compare(after, contestant(folder, "SHiRA", masks, before), before)


def test_the_reference_pads(folder: Path) -> None:
    data = first_of(random_examples(folder, 6, 5), 4)
    batch = padded(data, torch.arange(2), torch.device("cpu"))
    assert batch.inputs["input_ids"].shape == (2, 128)
    assert batch.inputs["attention_mask"].sum(1).tolist() == [5, 5]
    assert len(data) == 4
