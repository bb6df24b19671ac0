"""Where the tokens of a batch lie: the examples one after the other, with no padding between them.

Trials of a pack with the same seed see the same batches: they share a stream of tokens. Shapes: K trials, S streams
(S = 1, or one for each trial), B examples, N tokens of the longest stream, H attention heads. Shorter streams are
filled up to N; what stands there is computed, attended to by nothing, and read by nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

#: Entries of padded attention weights that cost as much time as one more group of examples does (measured on a CPU).
_GROUP_COST: Final = 15_000

#: What a batch has many of; pairs are those of tokens of one example.
Unit: TypeAlias = Literal["tokens", "examples", "pairs"]
Counts: TypeAlias = Mapping[Unit, int]


@dataclass(frozen=True)
class Example:
    """An example of a batch: its row of tokens (of a trial, or 0), where it starts there, and how long it is.

    `pairs` counts the pairs of tokens of the examples before it in its stream: where its attention dropout is drawn.
    """

    row: int
    start: int
    length: int
    pairs: int


@dataclass(frozen=True)
class Group:
    """Examples of like length, padded to the longest for the sake of one product: A examples, T tokens.

    `index` says which of the (R·N·H) rows of queries, keys and values go into (A, H, T); `bias` is 0 or -inf for the
    scores, (A, 1, 1 or T, T), None where everything is attended to; `padding` are the places of (A·H·T) that hold no
    token and must be given no gradient, None if there are none.
    """

    examples: tuple[Example, ...]
    longest: int
    index: Tensor
    bias: Tensor | None
    padding: Tensor | None


@dataclass(frozen=True)
class Attention:
    """How attention goes through a batch: by groups, and `places` to put their results back, shape (R·N·H)."""

    groups: tuple[Group, ...]
    places: Tensor


class Layout(ABC):
    """Where the tokens of one batch of every stream lie.

    `counts` are the tokens of each stream, and `tokens` those of a row; `streams` says for each trial which stream is
    its own.
    """

    def __init__(
        self, counts: Sequence[int], tokens: int, examples: int, streams: Sequence[int], device: torch.device
    ) -> None:
        self.counts, self.tokens, self.examples = tuple(counts), tokens, examples
        self.streams, self.device = tuple(streams), device
        self._attention: dict[tuple[int, int], Attention] = {}

    @property
    def trials(self) -> int:
        """Number of trials, K."""
        return len(self.streams)

    @property
    def is_shared(self) -> bool:
        """Whether all trials see the same batch."""
        return len(self.counts) == 1

    @property
    def fed(self) -> tuple[int, ...]:
        """Streams that are fed into the model, one for each row: one row for all trials, or one for each."""
        return (0,) if self.is_shared else self.streams

    @property
    @abstractmethod
    def pairs(self) -> tuple[int, ...]:
        """Of each stream, for how many pairs of tokens dropout is drawn."""

    def count(self, stream: int, unit: Unit) -> int:
        """How many units of a stream dropout is drawn for."""
        match unit:
            case "tokens":
                return self.counts[stream]
            case "examples":
                return self.examples
            case "pairs":
                return self.pairs[stream]

    def draws(self, heads: int) -> Tensor | None:  # noqa: ARG002 - `Fixed` looks them up by heads
        """Where the dropout of attention weights is among what was drawn; None where the groups' examples tell."""
        return None

    @abstractmethod
    def positions(self) -> Tensor:
        """Of each fed token its place in its example, shape (rows, N)."""

    @abstractmethod
    def ends(self, *, last: bool) -> Tensor:
        """Where the first or the last token of each example is, among the (K·N) tokens of all trials; shape (K·B)."""

    def attention(self, rows: int, heads: int) -> Attention:
        """How attention goes through `rows` rows of tokens (1 or K) with so many heads."""
        if (rows, heads) not in self._attention:
            self._attention[rows, heads] = self._plan(rows, heads)
        return self._attention[rows, heads]

    @abstractmethod
    def _plan(self, rows: int, heads: int) -> Attention: ...


class Ragged(Layout):
    """A batch as it is: `lengths` are those of the B examples of each stream."""

    def __init__(
        self, lengths: Sequence[Sequence[int]], streams: Sequence[int], device: torch.device, *, causal: bool
    ) -> None:
        counts = [sum(stream) for stream in lengths]
        super().__init__(counts, max(counts), len(lengths[0]), streams, device)
        self._lengths, self.causal = lengths, causal

    @property
    def pairs(self) -> tuple[int, ...]:
        """Of each stream, the number of pairs of tokens that may attend to each other."""
        return tuple(sum(length * length for length in stream) for stream in self._lengths)

    def positions(self) -> Tensor:
        """Of each fed token its place in its example, shape (rows, N)."""
        found = torch.zeros(len(self.fed), self.tokens, dtype=torch.int64)
        for row, stream in enumerate(self.fed):
            found[row, : self.counts[stream]] = torch.cat([torch.arange(length) for length in self._lengths[stream]])
        return send(found, self.device)

    def ends(self, *, last: bool) -> Tensor:
        """Where the first or the last token of each example is, among the (K·N) tokens of all trials; shape (K·B)."""
        starts = [torch.tensor([0, *stream]).cumsum(0) for stream in self._lengths]
        places = [start[1:] - 1 if last else start[:-1] for start in starts]
        found = [row * self.tokens + places[stream] for row, stream in enumerate(self.streams)]
        return send(torch.cat(found), self.device)

    def _plan(self, rows: int, heads: int) -> Attention:
        # On a GPU every group is launches to wait for, and padding is cheap.
        price = _GROUP_COST if self.device.type == "cpu" else math.inf
        own = [0] * rows if self.is_shared else list(self.streams)
        batches = [examples(row, self._lengths[stream]) for row, stream in enumerate(own)]
        if self.is_shared:  # the same groups in every row, row by row, so that their dropout can be shared
            cost = price / (heads * rows)
            parted = [[batch[place] for batch in batches for place in chosen] for chosen in by_length(batches[0], cost)]
        else:
            everything = [example for batch in batches for example in batch]
            parted = [[everything[place] for place in chosen] for chosen in by_length(everything, price / heads)]
        size = sum(len(part) * max(example.length for example in part) for part in parted) * heads
        # Tokens that fill a stream up get the row of zeros at the end.
        places = torch.full((rows * self.tokens, heads), size, dtype=torch.int64)
        groups, base = [], 0
        for part in parted:
            group, taken = _group(part, self.tokens, heads, causal=self.causal)
            tokens, spots = taken
            places[tokens] = base + spots[:, None] + torch.arange(heads)[None, :] * group.longest
            base += len(part) * heads * group.longest
            groups.append(_to(group, self.device))
        return Attention(tuple(groups), send(places.flatten(), self.device))


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch: their numbers, and their types where the model has them; (rows, N) each."""

    ids: Tensor
    types: Tensor | None
    layout: Layout


def examples(row: int, lengths: Sequence[int]) -> list[Example]:
    """The examples of a row of tokens."""
    found, start, pairs = [], 0, 0
    for length in lengths:
        found.append(Example(row, start, length, pairs))
        start, pairs = start + length, pairs + length * length
    return found


def by_length(batch: Sequence[Example], cost: float) -> list[list[int]]:
    """Places of examples in groups of like length: a group ends where padding to its longest costs more than a new one.

    `cost` is that of a group, in pairs of tokens.
    """
    order = sorted(range(len(batch)), key=lambda place: -batch[place].length)
    groups: list[list[int]] = []
    wasted = 0
    for place in order:
        longest = batch[groups[-1][0]].length if groups else 0
        wasted += longest**2 - batch[place].length ** 2
        if not groups or wasted > cost:
            groups.append([])
            wasted = 0
        groups[-1].append(place)
    return [sorted(group) for group in groups]


def _group(part: list[Example], tokens: int, heads: int, *, causal: bool) -> tuple[Group, tuple[Tensor, Tensor]]:
    # Also which tokens are in it, and where each lies among its (A, H, T) rows at head 0.
    longest = max(example.length for example in part)
    starts = torch.tensor([example.row * tokens + example.start for example in part])
    lengths = torch.tensor([example.length for example in part])
    steps = torch.arange(longest)
    real = steps[None, :] < lengths[:, None]
    token = torch.where(real, starts[:, None] + steps[None, :], starts[:, None])
    index = token[:, None, :] * heads + torch.arange(heads)[None, :, None]
    spots = torch.arange(len(part))[:, None] * (heads * longest) + steps[None, :]
    is_full = bool(real.all())
    allowed = real[:, None, None, :]
    if causal:
        allowed = allowed & (steps[None, :] <= steps[:, None])[None, None]
    bias = None
    if causal or not is_full:
        bias = torch.zeros(allowed.shape).masked_fill_(~allowed, -torch.inf)
    padding = None if is_full else (~real[:, None, :]).expand(-1, heads, -1).flatten().nonzero().squeeze(1)
    return Group(tuple(part), longest, index.flatten(), bias, padding), (token[real], spots[real])


def _to(group: Group, device: torch.device) -> Group:
    return replace(
        group,
        index=send(group.index, device),
        bias=None if group.bias is None else send(group.bias, device),
        padding=None if group.padding is None else send(group.padding, device),
    )


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on a device, without waiting for what the device is doing."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
