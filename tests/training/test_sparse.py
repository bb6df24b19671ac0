"""Products with a part of a matrix against products with all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bitspec.ir.masks import Cols, Entries, Rows, places
from bitspec.training.sparse import Lookup, Part, SparseEmbedding, SparseLinear, Trained


def indices(size: int) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    return st.sets(st.integers(0, size - 1), min_size=1, max_size=size).map(lambda found: np.array(sorted(found)))


@st.composite
def parts(draw: st.DrawFn) -> Part:
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    mask: Rows | Cols | Entries = draw(
        st.one_of(indices(shape[0]).map(Rows), indices(shape[1]).map(Cols), indices(shape[0] * shape[1]).map(Entries))
    )
    return Part.of(mask, shape, torch.device("cpu"))


def chosen(part: Part) -> Tensor:
    return torch.from_numpy(places(part.mask, part.shape))


def as_matrix(part: Part, values: Tensor) -> Tensor:
    full = torch.zeros(part.shape, dtype=values.dtype)
    full.view(-1)[chosen(part)] = values
    return full


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@settings(max_examples=150, deadline=None)
@given(parts(), st.sampled_from([1, 3, 300]))
def test_the_gradient_of_a_part_is_that_part_of_the_gradient(part: Part, tokens: int) -> None:
    left, right = random(tokens, part.shape[0]), random(tokens, part.shape[1])
    torch.testing.assert_close(part.gradient(left, right), (left.t() @ right).view(-1)[chosen(part)])


@settings(max_examples=150, deadline=None)
@given(parts(), st.sampled_from([1, 3, 300]), st.booleans())
def test_the_product_with_a_part(part: Part, tokens: int, transposed: bool) -> None:
    values = random(len(chosen(part)))
    matrix = as_matrix(part, values)
    matrix = matrix.t() if transposed else matrix
    x, out = random(tokens, matrix.shape[0]), random(tokens, matrix.shape[1])
    expected = out + x @ matrix
    part.add_product(out, x, values, transposed=transposed)
    torch.testing.assert_close(out, expected)


@settings(max_examples=100, deadline=None)
@given(parts(), st.booleans(), st.booleans(), st.booleans())
def test_a_layer_of_which_a_part_is_trained(part: Part, out_in: bool, alone: bool, has_bias: bool) -> None:
    weight = random(*part.shape)
    before = weight.view(-1)[chosen(part)].clone()
    values = (before + random(len(before))).requires_grad_()
    size_in, size_out = part.shape[::-1] if out_in else part.shape
    trials = 1 if alone else 3
    x = random(trials, 4, size_in).requires_grad_()
    bias = random(trials, size_out).requires_grad_() if has_bias else None

    changed = weight + as_matrix(part, values - before)
    weights = [changed if trial == trials - 1 else weight for trial in range(trials)]
    expected = torch.stack(
        [
            functional.linear(x[k], w if out_in else w.t(), None if bias is None else bias[k])
            for k, w in enumerate(weights)
        ]
    )
    asked = [x, values] if bias is None else [x, values, bias]
    upstream = random(*expected.shape)
    gradients = torch.autograd.grad(expected, asked, upstream)

    own = changed.detach() if alone else weight
    trained = (Trained(trials - 1, part, None if alone else before),)
    out = SparseLinear.apply(x, own, bias, trained, out_in, values)
    torch.testing.assert_close(out, expected)
    for found, gradient in zip(torch.autograd.grad(out, asked, upstream), gradients, strict=True):
        torch.testing.assert_close(found, gradient)


@settings(max_examples=100, deadline=None)
@given(parts(), st.data(), st.booleans(), st.booleans(), st.booleans())
def test_an_embedding_of_which_a_part_is_trained(
    part: Part, data: st.DataObject, alone: bool, shares_tokens: bool, has_padding: bool
) -> None:
    weight = random(*part.shape)
    before = weight.view(-1)[chosen(part)].clone()
    values = (before + random(len(before))).requires_grad_()
    trials = 1 if alone else 3
    rows = 1 if shares_tokens else trials
    word = st.integers(0, part.shape[0] - 1)
    ids = torch.tensor(data.draw(st.lists(st.lists(word, min_size=5, max_size=5), min_size=rows, max_size=rows)))
    padding = data.draw(word) if has_padding else None

    changed = weight + as_matrix(part, values - before)
    weights = [changed if trial == trials - 1 else weight for trial in range(trials)]
    expected = torch.stack([functional.embedding(ids[k % rows], w, padding) for k, w in enumerate(weights)])
    upstream = random(*expected.shape)
    (gradient,) = torch.autograd.grad(expected, [values], upstream)

    own = changed.detach() if alone else weight
    trained = ((Trained(trials - 1, part, None if alone else before), Lookup.of(part)),)
    out = SparseEmbedding.apply(ids, own, padding, trained, trials, values)
    torch.testing.assert_close(out, expected)
    (found,) = torch.autograd.grad(out, [values], upstream)
    torch.testing.assert_close(found, gradient)
