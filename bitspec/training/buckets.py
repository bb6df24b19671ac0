"""Batches of fixed shapes: those of like size share a bucket, whatever the lengths of their examples are.

Where tokens lie follows from tensors alone, so that all of a step that depends on the batch is computed on the device:
a step that was captured once can be replayed for every batch of its bucket. Shapes as in `layout`; a bucket has room
for N tokens of a stream, one at least of them filling, and for examples of up to T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from bitspec.training.layout import Attention, Group, Layout

#: Buckets between a size and its double: of tokens, each of which is computed, and of lengths, which attention squares.
_STEPS_OF_TOKENS: Final = 8
_STEPS_OF_LENGTHS: Final = 4

#: Sizes are multiples of these at least, for the sake of matrix products.
_FEWEST_TOKENS: Final = 32
_FEWEST_LENGTHS: Final = 8


@dataclass(frozen=True)
class Bucket:
    """The shapes of a batch: B examples of up to T tokens, in a row of N tokens for each stream."""

    examples: int
    longest: int
    tokens: int

    @classmethod
    def of(cls, lengths: Sequence[Sequence[int]]) -> Bucket:
        """The bucket of a batch, by the lengths of the B examples of each stream."""
        return cls(
            len(lengths[0]),
            rounded(max(map(max, lengths)), _STEPS_OF_LENGTHS, _FEWEST_LENGTHS),
            rounded(max(map(sum, lengths)) + 1, _STEPS_OF_TOKENS, _FEWEST_TOKENS),
        )


def rounded(size: int, steps: int, least: int) -> int:
    """The next size of a bucket that is no smaller: of those between two powers of two there are so many."""
    step = max(least, (1 << (size - 1).bit_length()) // (2 * steps))
    return -(-size // step) * step


def totals(numbers: Iterable[Sequence[int]]) -> Tensor:
    """Of each stream the sum of the numbers before each of its B examples, and of all of them: (S, B + 1)."""
    return torch.tensor([[0, *stream] for stream in numbers]).cumsum(1)


class Fixed(Layout):
    """A batch in its bucket.

    Of each stream, `starts` says where its examples start and where the last ends, and `pairs_before` how many pairs of
    tokens come before each example, (S, B + 1) both. Rows are filled up with tokens of no example, which nothing
    attends to and nothing reads; the last one of a row also stands for the padding of its examples, so that their
    padding has no gradient.
    """

    def __init__(
        self, bucket: Bucket, starts_SB: Tensor, pairs_before_SB: Tensor, streams: Sequence[int], *, causal: bool
    ) -> None:
        count = len(starts_SB)
        super().__init__((bucket.tokens,) * count, bucket.tokens, bucket.examples, streams, starts_SB.device)
        self._longest, self.causal = bucket.longest, causal
        self._starts_SB, self._pairs_before_SB = starts_SB, pairs_before_SB
        self._draws: dict[int, Tensor] = {}

    @property
    def pairs(self) -> tuple[int, ...]:
        """Of each stream, the number of pairs of tokens that there is room for."""
        return (self.examples * self._longest**2,) * len(self.counts)

    def positions(self) -> Tensor:
        """Of each fed token its place in its example, 0 of those that fill; shape (rows, N)."""
        _, place_SN, is_real_SN = self._examples
        return self._rows(place_SN.masked_fill(~is_real_SN, 0), len(self.fed))

    def ends(self, *, last: bool) -> Tensor:
        """Where the first or the last token of each example is, among the (K·N) tokens of all trials; shape (K·B)."""
        places_SB = self._starts_SB[:, 1:] - 1 if last else self._starts_SB[:, :-1]
        firsts_K = self._steps(self.trials)[:, None] * self.tokens
        return (self._rows(places_SB, self.trials) + firsts_K).flatten()

    def _plan(self, rows: int, heads: int) -> Attention:
        longest, tokens = self._longest, self.tokens
        steps_T, heads_H, rows_R = self._steps(longest), self._steps(heads), self._steps(rows)
        starts_RB = self._rows(self._starts_SB, rows)
        lengths_A = starts_RB.diff(dim=1).flatten()
        real_AT = steps_T < lengths_A[:, None]
        firsts_A = (starts_RB[:, :-1] + rows_R[:, None] * tokens).flatten()
        fillers_A = ((rows_R + 1) * tokens - 1)[:, None].expand(-1, self.examples).flatten()
        token_AT = torch.where(real_AT, firsts_A[:, None] + steps_T, fillers_A[:, None])
        index_AHT = token_AT[:, None, :] * heads + heads_H[None, :, None]
        allowed = real_AT[:, None, None, :]
        if self.causal:
            allowed = allowed & (steps_T[None, :] <= steps_T[:, None])
        bias = torch.zeros(allowed.shape, device=self.device).masked_fill_(~allowed, -torch.inf)
        group = Group((), longest, index_AHT.flatten(), bias, None)
        return Attention((group,), self._places(rows, heads))

    def _places(self, rows: int, heads: int) -> Tensor:
        # Where the result of each token is among those of the group, (R·N·H): that of filling is the row of zeros.
        size = rows * self.examples * heads * self._longest
        example_SN, place_SN, is_real_SN = self._examples
        own_SN = example_SN * heads * self._longest + place_SN
        base_R = self._steps(rows) * self.examples * heads * self._longest
        own_RN = self._rows(own_SN, rows) + base_R[:, None]
        own_RN = own_RN.masked_fill(~self._rows(is_real_SN, rows), size)
        places_RNH = own_RN[:, :, None] + self._steps(heads) * self._longest
        return places_RNH.clamp_(max=size).flatten()

    def draws(self, heads: int) -> Tensor:
        """Where the dropout of attention weights is among what was drawn for each stream, (S, B·H·T·T).

        Example after example, head after head, each is drawn as its own square; see `Noise.attention_keeps`.
        """
        if heads not in self._draws:
            steps_T = self._steps(self._longest)
            lengths = self._starts_SB.diff(dim=1)[:, :, None, None, None]
            before = self._pairs_before_SB[:, :-1, None, None, None] * heads
            rows = self._steps(heads)[:, None, None] * lengths**2 + steps_T[:, None] * lengths
            is_real = (steps_T < lengths) & (steps_T[:, None] < lengths)
            self._draws[heads] = torch.where(is_real, before + rows + steps_T, 0).flatten(1)
        return self._draws[heads]

    @cached_property
    def _examples(self) -> tuple[Tensor, Tensor, Tensor]:
        # Of each token of a stream the example that it is of, its place there, and whether it is of one: (S, N) each.
        steps_SN = self._steps(self.tokens).expand(len(self.counts), -1).contiguous()
        found_SN = torch.searchsorted(self._starts_SB[:, 1:].contiguous(), steps_SN, right=True)
        example_SN = found_SN.clamp(max=self.examples - 1)
        return example_SN, steps_SN - self._starts_SB.gather(1, example_SN), found_SN < self.examples

    def _rows(self, of_streams: Tensor, rows: int) -> Tensor:
        # What streams have, for each row: one row for all trials, or one for each.
        if self.is_shared:
            return of_streams.expand(rows, *of_streams.shape[1:])
        return torch.stack([of_streams[stream] for stream in self.streams])

    def _steps(self, count: int) -> Tensor:
        return torch.arange(count, device=self.device)
