"""Where the tokens of a batch lie: nothing lost, nothing twice, nothing attended to that is of another example."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.training.encoding import encode
from bitspec.training.examples import Split
from bitspec.training.layout import Ragged, by_length, examples

CPU = torch.device("cpu")


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Ragged, list[list[int]]]:
    count = draw(st.integers(1, 5))
    length = st.integers(1, draw(st.sampled_from([3, 90])))
    streams = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.lists(length, min_size=count, max_size=count), min_size=streams, max_size=streams))
    own = list(range(streams)) + draw(st.lists(st.integers(0, streams - 1), max_size=2))
    return Ragged(lengths, own, CPU, causal=draw(st.booleans())), lengths


@settings(max_examples=100, deadline=None)
@given(layouts(), st.integers(1, 3), st.booleans())
def test_every_token_is_in_one_group_once(made: tuple[Ragged, list[list[int]]], heads: int, apart: bool) -> None:
    layout, lengths = made
    rows = layout.trials if apart or not layout.is_shared else 1
    plan = layout.attention(rows, heads)
    taken = torch.cat([group.index for group in plan.groups] + [torch.tensor([-1])])
    streams = [0] * rows if layout.is_shared else list(layout.streams)
    for row, stream in enumerate(streams):
        for example in examples(row, lengths[stream]):
            first = (row * layout.tokens + example.start) * heads
            own = torch.arange(first, first + example.length * heads)
            assert torch.equal(taken[plan.places[own]], own)  # put back where it came from
        filling = slice((row * layout.tokens + sum(lengths[stream])) * heads, (row + 1) * layout.tokens * heads)
        assert (taken[plan.places[filling]] == -1).all()
    real = sum(sum(lengths[stream]) for stream in streams) * heads
    padded = sum(0 if group.padding is None else len(group.padding) for group in plan.groups)
    assert len(taken) - 1 - padded == real


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_a_token_attends_to_its_own_example_alone(made: tuple[Ragged, list[list[int]]]) -> None:
    layout, _ = made
    for group in layout.attention(layout.trials, 1).groups:
        for place, example in enumerate(group.examples):
            seen = torch.ones(group.longest, group.longest, dtype=torch.bool)
            if group.bias is not None:
                seen = group.bias.expand(-1, 1, group.longest, group.longest)[place, 0] == 0
            expected = torch.arange(group.longest).expand(group.longest, -1) < example.length
            if layout.causal:
                expected = expected & torch.ones_like(expected).tril()
            assert torch.equal(seen, expected)


def test_positions_and_ends() -> None:
    layout = Ragged([[2, 3], [1, 1]], [1, 0, 1], CPU, causal=False)
    assert (layout.trials, layout.examples, layout.tokens, layout.counts) == (3, 2, 5, (5, 2))
    assert layout.positions().tolist() == [[0, 0, 0, 0, 0], [0, 1, 0, 1, 2], [0, 0, 0, 0, 0]]
    assert layout.ends(last=False).tolist() == [0, 1, 5, 7, 10, 11]
    assert layout.ends(last=True).tolist() == [0, 1, 6, 9, 10, 11]


@pytest.mark.parametrize(
    ("lengths", "cost", "expected"),
    [
        ([5, 5, 5], 0, [[0, 1, 2]]),
        ([5, 4, 5], 8, [[0, 2], [1]]),
        ([5, 4, 5], 9, [[0, 1, 2]]),
        ([3, 9, 3, 9], 10, [[1, 3], [0, 2]]),
        ([3, 9, 3, 9], 1000, [[0, 1, 2, 3]]),
    ],
)
def test_groups_are_of_like_length(lengths: list[int], cost: float, expected: list[list[int]]) -> None:
    assert by_length(examples(0, lengths), cost) == expected


class NoTokens:
    """A tokenizer that adds nothing of its own, as that of GPT-2: an empty text is no token."""

    pad_token_id = 9

    def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(word) for word in text.split()] for text in texts]}


def test_an_empty_text_is_one_token_of_padding() -> None:
    split = Split("training", (("",), ("1 2",), ("",)), (0, 1, 0))
    found = encode(split, NoTokens(), 8, regression=False)  # type: ignore[arg-type]
    assert found.lengths_N.tolist() == [1, 2, 1]
    tokens, labels = found.tokens([torch.arange(3)], [0], CPU, causal=True)
    assert tokens.ids.tolist() == [[9, 1, 2, 9]]
    assert tokens.layout.ends(last=True).tolist() == [0, 2, 3]
    assert labels.tolist() == [[0, 1, 0]]
