"""A batch in its bucket against the same batch as it is: the same tokens, positions, ends, attention and dropout."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitspec.training.attention import _Unpadded
from bitspec.training.buckets import Bucket, Fixed, rounded, totals
from bitspec.training.layout import Layout, Ragged
from bitspec.training.noise import Noise

CPU = torch.device("cpu")
HEADS = 3


@st.composite
def batches(draw: st.DrawFn) -> tuple[Fixed, Ragged]:
    count = draw(st.integers(1, 5))
    length = st.integers(1, draw(st.sampled_from([3, 40])))
    streams = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.lists(length, min_size=count, max_size=count), min_size=streams, max_size=streams))
    own = list(range(streams)) + draw(st.lists(st.integers(0, streams - 1), max_size=2))
    causal = draw(st.booleans())
    squares = [[length**2 for length in stream] for stream in lengths]
    fixed = Fixed(Bucket.of(lengths), totals(lengths), totals(squares), own, causal=causal)
    return fixed, Ragged(lengths, own, CPU, causal=causal)


def real(layout: Ragged) -> list[slice]:
    """Of each fed row the tokens that are of an example."""
    return [slice(layout.counts[stream]) for stream in layout.fed]


@settings(max_examples=60, deadline=None)
@given(batches())
def test_positions_and_ends(made: tuple[Fixed, Ragged]) -> None:
    fixed, ragged = made
    assert (fixed.trials, fixed.examples, fixed.fed) == (ragged.trials, ragged.examples, ragged.fed)
    assert fixed.tokens > ragged.tokens
    for row, tokens in enumerate(real(ragged)):
        assert torch.equal(fixed.positions()[row, tokens], ragged.positions()[row, tokens])
        assert not fixed.positions()[row, tokens.stop :].any()
    for last in (False, True):
        rows = torch.arange(ragged.trials).repeat_interleave(ragged.examples)
        assert torch.equal(fixed.ends(last=last) - rows * fixed.tokens, ragged.ends(last=last) - rows * ragged.tokens)


@settings(max_examples=60, deadline=None)
@given(batches(), st.booleans(), st.sampled_from([0.0, 0.1, 1.0]))
def test_attention_and_its_dropout(made: tuple[Fixed, Ragged], apart: bool, dropout: float) -> None:
    fixed, ragged = made
    rows = ragged.trials if apart or not ragged.is_shared else 1
    torch.manual_seed(0)
    shape = (3, rows, HEADS, fixed.tokens, 4)
    whole = torch.randn(shape, dtype=torch.float64)
    gradient = torch.randn(rows, fixed.tokens, HEADS, 4, dtype=torch.float64)
    found = {}
    for name, layout in (("fixed", fixed), ("ragged", ragged)):
        inputs = whole[..., : layout.tokens, :].clone().requires_grad_()
        out = attend(layout, inputs, rows, dropout)
        # What fills a row is read by nothing.
        is_real = torch.zeros(rows, layout.tokens, 1, 1)
        for row in range(rows):
            is_real[row, : ragged.counts[0 if ragged.is_shared else ragged.streams[row]]] = 1
        (out * is_real * gradient[:, : layout.tokens]).sum().backward()
        assert inputs.grad is not None
        found[name] = (out, inputs.grad)
    for row in range(rows):
        tokens = slice(ragged.counts[0 if ragged.is_shared else ragged.streams[row]])
        torch.testing.assert_close(found["fixed"][0][row, tokens], found["ragged"][0][row, tokens], atol=1e-12, rtol=0)
        torch.testing.assert_close(
            found["fixed"][1][:, row, :, tokens], found["ragged"][1][:, row, :, tokens], atol=1e-12, rtol=0
        )
        assert not found["fixed"][1][:, row, :, tokens.stop :].any()  # no gradient reaches what fills


def attend(layout: Layout, inputs: Tensor, rows: int, dropout: float) -> Tensor:
    noise = Noise()
    noise.begin_step(5, layout)
    plan = layout.attention(rows, HEADS)
    noise._seeds = tuple(range(len(layout.counts)))
    keeps = noise.attention_keeps(plan, rows, HEADS, dropout, "site") if dropout else None
    out: Tensor = _Unpadded.apply(*inputs, plan, 0.5, keeps)
    return out


@pytest.mark.parametrize("steps", [4, 8])
def test_sizes_of_buckets_are_few_and_never_much_larger(steps: int) -> None:
    sizes = [rounded(size, steps, 8) for size in range(1, 5000)]
    assert all(size <= found for size, found in enumerate(sizes, 1))
    assert sizes == sorted(sizes)
    assert all(found - size < max(8, size / steps) for size, found in enumerate(sizes, 1))
    assert len({found for found in sizes if 1024 < found <= 2048}) == steps


def test_there_is_always_a_token_that_fills() -> None:
    assert Bucket.of([[16, 16]]) == Bucket(examples=2, longest=16, tokens=64)
    assert Bucket.of([[16, 15], [3, 3]]) == Bucket(examples=2, longest=16, tokens=32)
