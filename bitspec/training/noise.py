"""Common random numbers: what is random in a trial depends on its seed and its place, and on nothing else.

Head initialisation is keyed by (seed, task), batch order by (seed, epoch), dropout by (seed, step, site). Dropout is
drawn for real tokens only, in the order of the batch, so that neither padding nor the strategy nor the pack changes
what a trial sees: strategies are compared on the same noise.

Shapes: B examples, T tokens padded to the longest, D features, H attention heads; K trials, S streams of N tokens.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from bitspec.training.layout import Attention, Counts, Group, Layout, Unit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Dropout is decided by 16 random bits an entry: probabilities are rounded to multiples of 1 / _LANE.
_LANE: Final = 1 << 16


def keyed(*parts: int | str) -> int:
    """A seed for a generator, made from what the draw is for: a number below 2^63."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def batch_order(seed: int, epoch: int, examples: int) -> Tensor:
    """The order in which an epoch (from 1) goes through the training set: a permutation, shape (examples,)."""
    generator = torch.Generator().manual_seed(keyed("order", seed, epoch))
    return torch.randperm(examples, generator=generator)


@dataclass(frozen=True)
class Draw:
    """What a site draws of a stream: so many entries (`width`) for each of the units of a batch."""

    stream: int
    site: str
    unit: Unit
    width: int


class Ahead:
    """Places for all that the steps of a pack draw, filled before each step: a step that is captured reads there.

    A place is made when its site first asks, with `room` for so many units. `counts` are those of each stream in the
    step that is next, or under way.
    """

    def __init__(self, room: Counts) -> None:
        self.places: dict[Draw, Tensor] = {}
        self.counts: tuple[Counts, ...] = ()
        self._room = room

    def make_place(self, draw: Draw, device: torch.device) -> None:
        """Make a place for a draw."""
        count = self._room[draw.unit] * draw.width
        self.places[draw] = torch.zeros(_words(count), dtype=torch.int64, device=device)


class Noise:
    """The dropout of one model: all its sites, keyed by (seed, step, site).

    `attach` puts it in the place of the model's own. `begin_trials` and `begin_step` say what the draws are keyed by.
    `layout` is that of the batch where it is not padded. With `ahead`, what is drawn has its places there.
    """

    def __init__(self) -> None:
        self.layout: Layout | None = None
        self.ahead: Ahead | None = None
        self._generators: dict[torch.device, torch.Generator] = {}
        self._seeds: tuple[int, ...] = (0,)
        self._step = 0
        self._real_BT: Tensor | None = None
        self._places: dict[int, Tensor] = {}
        self._configured: dict[nn.Module, float] = {}

    @classmethod
    def attach(cls, model: PreTrainedModel) -> Noise:
        """Replace every dropout of a model, that of attention included where it uses our attention function."""
        noise = cls()
        for path, module in list(model.named_modules()):
            module._bitspec_site = path
            module._bitspec_noise = noise
            if isinstance(module, nn.Dropout):
                parent, _, name = path.rpartition(".")
                own = Dropout(module.p, noise, path).train(module.training)
                setattr(model.get_submodule(parent), name, own)
        return noise

    def begin_trials(self, model: nn.Module, seeds: Sequence[int], dropout: float | Literal["config"]) -> None:
        """What follows belongs to trials with these seeds (one a stream), and to this probability instead of the
        config's.
        """
        self._seeds = tuple(seeds)
        for module in model.modules():
            if isinstance(module, Dropout):
                module.p = module.configured if dropout == "config" else dropout
            # Attention that keeps its probability as a number, as in Llama.
            own = getattr(module, "attention_dropout", None)
            if isinstance(own, int | float):
                configured = self._configured.setdefault(module, own)
                setattr(module, "attention_dropout", configured if dropout == "config" else dropout)  # noqa: B010 - typed

    def begin_step(self, step: int, batch: Layout | Tensor) -> None:
        """What follows belongs to this step of the trials: to a batch without padding, or to a padded one.

        Of a padded batch it takes the attention mask (BT), which is 1 where a token is no padding.
        """
        self._step = step
        self._places.clear()
        self.layout, self._real_BT = None, None
        if isinstance(batch, Layout):
            self.layout = batch
            return
        self._real_BT = None if bool(batch.all()) else batch.bool()
        # For what draws from torch's own generators, in architectures that we do not reach into.
        torch.manual_seed(keyed("other", self._seeds[0], step))

    def draw_ahead(self, step: int, counts: Sequence[Counts]) -> None:
        """Draw all that the `ahead` has places for, before a step of batches of so many tokens; one a stream."""
        assert self.ahead is not None
        self._step = step
        self.ahead.counts = tuple(counts)
        for draw in self.ahead.places:
            self._draw_into(draw, self.ahead)

    def drop(self, x: Tensor, p: float, site: str) -> Tensor:
        """Inverted dropout: a share p of the entries of x becomes 0, the others are divided by 1 - p.

        With a layout, x is of shape (rows, N, D), or holds the examples of all trials, (K·B, …). Padded, it may be of
        shape BTD (tokens), BHTT (attention) or any other, which is taken as it lies in memory.
        """
        if self.layout is not None:
            return self._drop_unpadded(self.layout, x, p, site)
        places = self._real_places(x)
        if places is None:
            return x * _keep(self._bits(0, site, x.numel(), x.device), p).view(x.shape).to(x.dtype)
        keep = torch.zeros(x.numel() // places[1], places[1], device=x.device)
        drawn = _keep(self._bits(0, site, places[0].numel() * places[1], x.device), p)
        keep.index_copy_(0, places[0], drawn.view(-1, places[1]))
        return x * keep.view(x.shape).to(x.dtype)

    def _drop_unpadded(self, layout: Layout, x: Tensor, p: float, site: str) -> Tensor:
        is_tokens = x.dim() == 3 and x.shape[1] == layout.tokens
        rows = x if is_tokens else x.view(layout.trials, layout.examples, -1)
        length, features = rows.shape[1:]
        drawn = [
            _keep(self._drawn(Draw(stream, site, "tokens" if is_tokens else "examples", features), x.device), p)
            for stream in range(len(layout.counts))
        ]
        if layout.is_shared:
            return (rows * drawn[0].view(length, features).to(x.dtype)).view(x.shape)
        keep = torch.zeros(len(drawn), length, features, dtype=x.dtype, device=x.device)
        for stream, part in enumerate(drawn):
            keep[stream].view(-1)[: len(part)] = part
        own = keep if len(drawn) == layout.trials else torch.stack([keep[stream] for stream in layout.streams])
        return (rows * own).view(x.shape)

    def attention_keeps(self, plan: Attention, rows: int, heads: int, p: float, site: str) -> list[Tensor]:
        """The dropout of attention weights for each group of examples: (A, H, T, T) for the A examples of one row.

        Where trials share their tokens they share it too; else the A examples are those of all rows.
        """
        layout = self.layout
        assert layout is not None
        draws = [Draw(stream, site, "pairs", heads) for stream in range(len(layout.counts))]
        lanes = [self._drawn(draw, plan.places.device) for draw in draws]
        places = layout.draws(heads)
        if places is not None:  # a batch in its bucket
            (group,) = plan.groups
            found = [own.index_select(0, its) for own, its in zip(lanes, places, strict=True)]
            fed = torch.stack([found[stream] for stream in layout.fed])
            return [_keep(fed, p).view(-1, heads, group.longest, group.longest)]
        drawn, kept = [_keep(own, p) for own in lanes], []
        for group in plan.groups:
            own = group.examples[: len(group.examples) // rows] if layout.is_shared else group.examples
            parts = [
                drawn[layout.fed[example.row]][heads * example.pairs :][: heads * example.length**2].view(
                    heads, example.length, example.length
                )
                for example in own
            ]
            kept.append(_padded(parts, group, heads))
        return kept

    def _drawn(self, draw: Draw, device: torch.device) -> Tensor:
        """Random bits for a site, for all of the batch: 16 for each entry, (count · width)."""
        assert self.layout is not None
        count = self.layout.count(draw.stream, draw.unit) * draw.width
        if self.ahead is None:
            return self._bits(draw.stream, draw.site, count, device)
        if draw not in self.ahead.places:
            self.ahead.make_place(draw, device)
            self._draw_into(draw, self.ahead)
        return self.ahead.places[draw].view(torch.int16)[:count]

    def _draw_into(self, draw: Draw, ahead: Ahead) -> None:
        bits = ahead.places[draw]
        count = ahead.counts[draw.stream][draw.unit] * draw.width
        self._fill(bits[: _words(count)], draw.stream, draw.site)

    def _bits(self, stream: int, site: str, count: int, device: torch.device) -> Tensor:
        bits = torch.empty(_words(count), dtype=torch.int64, device=device)
        self._fill(bits, stream, site)
        return bits.view(torch.int16)[:count]

    def _fill(self, bits: Tensor, stream: int, site: str) -> None:
        device = bits.device
        generator = self._generators.get(device)
        if generator is None:
            generator = self._generators[device] = torch.Generator(device)
        generator.manual_seed(keyed("dropout", self._seeds[stream], self._step, site))
        # 64 random bits at a time, for four entries: several times faster than a number for each.
        bits.random_(-(2**63), None, generator=generator)

    def _real_places(self, x: Tensor) -> tuple[Tensor, int] | None:
        # Which pieces of x belong to real tokens, in the order of the batch, and the size of a piece.
        real_BT = self._real_BT
        if real_BT is None:
            return None
        batch, tokens = real_BT.shape
        if x.dim() == 3 and x.shape[:2] == (batch, tokens):
            if 0 not in self._places:
                self._places[0] = real_BT.flatten().nonzero().squeeze(1)
            return self._places[0], x.shape[2]
        if x.dim() == 4 and x.shape[0] == batch and x.shape[2:] == (tokens, tokens):
            heads = x.shape[1]
            if heads not in self._places:
                real_BHTT = (real_BT[:, None, :, None] & real_BT[:, None, None, :]).expand(x.shape)
                self._places[heads] = real_BHTT.flatten().nonzero().squeeze(1)
            return self._places[heads], 1
        return None


def _words(count: int) -> int:
    # Numbers of 64 bits for so many entries of 16.
    return math.ceil(count / 4)


def _keep(lanes: Tensor, p: float) -> Tensor:
    # Zeros, and 1 / (1 - p) where an entry is kept; the same entries whatever the model computes in.
    kept = round((1 - p) * _LANE)
    if kept in {0, _LANE}:
        return torch.full(lanes.shape, float(kept == _LANE), device=lanes.device)
    return (lanes < kept - _LANE // 2).float().mul_(_LANE / kept)


def _padded(parts: Sequence[Tensor], group: Group, heads: int) -> Tensor:
    # Draws of examples, each (H, n, n), as one tensor (A, H, T, T).
    if len(parts) == 1:
        return parts[0][None]
    keep = torch.zeros(len(parts), heads, group.longest, group.longest, device=parts[0].device)
    for place, part in enumerate(parts):
        keep[place, :, : part.shape[1], : part.shape[2]] = part
    return keep


class Dropout(nn.Module):
    """Dropout that draws from a Noise instead of torch's global generator."""

    def __init__(self, p: float, noise: Noise, site: str) -> None:
        super().__init__()
        self.p = self.configured = p
        self.site = site
        self._noise = noise

    def forward(self, x: Tensor) -> Tensor:
        """Drops in training, and leaves x as it is in evaluation."""
        return self._noise.drop(x, self.p, self.site) if self.training and self.p > 0 else x
