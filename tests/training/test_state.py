"""The trained vector: bound to a model's tensors and given back, whatever the masks are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole
from bitspec.training.binding import Binding
from bitspec.training.state import Trainable, apply
from tests.training.small import dense


class Model(nn.Module):
    def __init__(self, rows: int, cols: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(rows, cols))
        self.vector = nn.Parameter(torch.randn(rows))
        self.frozen = nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.matrix.T + self.vector).square().sum() + self.frozen.sum()


def indices(size: int, most: int) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    return st.sets(st.integers(0, size - 1), min_size=1, max_size=most).map(lambda found: np.array(sorted(found)))


@st.composite
def models(draw: st.DrawFn) -> tuple[Model, dict[str, Mask]]:
    rows, cols = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    size = rows * cols
    matrix = draw(
        st.one_of(
            st.just(Whole()),
            indices(rows, rows).map(Rows),
            indices(cols, cols).map(Cols),
            indices(size, size).map(Entries),
            indices(size, size - 1).map(AllBut),
        )
    )
    masks: dict[str, Mask] = {"matrix": matrix}
    if draw(st.booleans()):
        masks["vector"] = draw(st.one_of(st.just(Whole()), indices(rows, rows).map(Entries)))
    torch.manual_seed(draw(st.integers(0, 1000)))
    return Model(rows, cols), masks


@settings(max_examples=150, deadline=None)
@given(models(), st.floats(-2, 2))
def test_the_vector_is_the_selected_entries(made: tuple[Model, dict[str, Mask]], amount: float) -> None:
    model, masks = made
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    x = torch.randn(5, model.matrix.shape[1])
    loss = model(x)
    gradients = dict(zip(before, torch.autograd.grad(loss, list(model.parameters())), strict=True))

    state = Trainable(model, masks)
    binding = Binding(model, [state], blocks=None)
    state.zero_grad()
    model(x).backward()
    state.settle_gradient()
    assert state.vector.grad is not None
    chosen = {name: dense(masks.get(name), tuple(tensor.shape)) for name, tensor in before.items()}
    masked = sum(float((gradients[name][chosen[name]] ** 2).sum()) for name in before)
    assert float((state.vector.grad**2).sum()) == pytest.approx(masked, rel=1e-5)

    with torch.no_grad():
        state.vector.add_(torch.sign(state.vector.grad), alpha=amount)
    binding.write()
    for name, parameter in model.named_parameters():
        expected = before[name] + amount * torch.sign(gradients[name]) * chosen[name]
        torch.testing.assert_close(parameter.detach(), expected)
        assert torch.equal(parameter[~chosen[name]], before[name][~chosen[name]])

    trained = state.trained()
    assert trained.count == sum(int(mask.sum()) for mask in chosen.values())
    for slot in state.slots:
        distance = (dict(model.named_parameters())[slot.name].detach() - before[slot.name]).abs().double().sum()
        assert state.distance(slot) == pytest.approx(float(distance), rel=1e-5, abs=1e-6)
    after = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    binding.close()
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())

    apply(model, trained)
    assert all(torch.equal(parameter, after[name]) for name, parameter in model.named_parameters())


def test_what_does_not_fit_is_refused() -> None:
    model, other = Model(3, 4), Model(4, 3)
    state = Trainable(model, {"matrix": Rows(np.array([1]))})
    trained = state.trained()
    with pytest.raises(ValueError, match="shape"):
        apply(other, trained)
    with pytest.raises(KeyError):
        Trainable(model, {"nothing": Whole()})


def test_no_dense_gradient_is_kept_between_steps() -> None:
    model = Model(6, 5)
    state = Trainable(model, {"matrix": Entries(np.array([3, 7]))})
    Binding(model, [state], blocks=None)
    model(torch.randn(2, 5)).backward()
    assert model.matrix.grad is None
    assert model.vector.grad is None
    assert not model.frozen.requires_grad
    assert state.vector.numel() == 16  # two values, and padding
