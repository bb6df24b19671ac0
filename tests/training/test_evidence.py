"""Gradients for rankings, against one backward pass of torch for each example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bitspec.training.evidence import Before
from bitspec.training.loop import losses_of
from bitspec.training.model import prepare
from bitspec.training.noise import batch_order
from tests.training.small import encoded, model_folder


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
@pytest.mark.parametrize("outputs", [2, 1])
def test_they_are_those_of_single_examples(model_type: str, outputs: int, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", model_type)
    prepared = prepare(folder, outputs, dtype=torch.float64)
    data = encoded("training", 21, outputs=outputs)
    names = [
        name
        for name, parameter in prepared.model.base_model.named_parameters(prefix=prepared.model.base_model_prefix)
        if parameter.ndim < 3
    ]
    before = Before(prepared, data, "task", 3, 8)
    gradient, fisher = before.gradient(names, 13), before.fisher(names, 13)
    assert not any(parameter.requires_grad for parameter in prepared.model.parameters())

    oracle = prepare(folder, outputs, dtype=torch.float64)
    oracle.new_head(3, "task")
    oracle.model.requires_grad_(True)
    singles: list[dict[str, torch.Tensor]] = []
    for number in batch_order(3, 1, 21)[:13]:
        batch = data.batch(number[None], torch.device("cpu"))
        oracle.model.zero_grad()
        oracle.noise.begin_step(0, batch.inputs["attention_mask"])
        losses_of(oracle.model(**batch.inputs).logits[None], batch.labels_B[None]).sum().backward()
        found = dict(oracle.model.named_parameters())
        gradients = {name: found[name].grad for name in names}
        singles.append(
            {name: torch.zeros_like(found[name]) if one is None else one.clone() for name, one in gradients.items()}
        )
    for name in names:
        stacked = torch.stack([single[name] for single in singles])
        np.testing.assert_allclose(gradient[name], stacked.mean(0).numpy(), atol=1e-12)
        np.testing.assert_allclose(fisher[name], stacked.square().mean(0).numpy(), atol=1e-12)


def test_of_more_examples_than_there_are_all_are_taken(tmp_path: Path) -> None:
    prepared = prepare(model_folder(tmp_path / "model", "bert"), 2)
    before = Before(prepared, encoded("training", 5), "task", 0, 2)
    name = "bert.pooler.dense.bias"
    assert np.array_equal(before.fisher([name], 5)[name], before.fisher([name], 500)[name])
