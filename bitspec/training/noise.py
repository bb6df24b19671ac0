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
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from bitspec.training.layout import Attention, Group, Layout

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


class Noise:
    """The dropout of one model: all its sites, keyed by (seed, step, site).

    `attach` puts it in the place of the model's own. `begin_trials` and `begin_step` say what the draws are keyed by.
    `layout` is that of the batch where it is not padded.
    """

    def __init__(self) -> None:
        self.layout: Layout | None = None
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

    def drop(self, x: Tensor, p: float, site: str) -> Tensor:
        """Inverted dropout: a share p of the entries of x becomes 0, the others are divided by 1 - p.

        With a layout, x is of shape (rows, N, D), or holds the examples of all trials, (K·B, …). Padded, it may be of
        shape BTD (tokens), BHTT (attention) or any other, which is taken as it lies in memory.
        """
        if self.layout is not None:
            return self._drop_unpadded(self.layout, x, p, site)
        places = self._real_places(x)
        if places is None:
            return x * self._draw(0, x.numel(), p, site, x.device).view(x.shape).to(x.dtype)
        keep = torch.zeros(x.numel() // places[1], places[1], device=x.device)
        drawn = self._draw(0, places[0].numel() * places[1], p, site, x.device)
        keep.index_copy_(0, places[0], drawn.view(-1, places[1]))
        return x * keep.view(x.shape).to(x.dtype)

    def _drop_unpadded(self, layout: Layout, x: Tensor, p: float, site: str) -> Tensor:
        if x.dim() == 3 and x.shape[1] == layout.tokens:
            counts, length, rows = layout.counts, layout.tokens, x
        else:
            counts, length = (layout.examples,) * len(layout.counts), layout.examples
            rows = x.view(layout.trials, length, -1)
        features = rows.shape[2]
        drawn = [
            self._draw(stream, count * features, p, site, x.device).view(count, features)
            for stream, count in enumerate(counts)
        ]
        if layout.is_shared:
            return (rows * drawn[0].to(x.dtype)).view(x.shape)
        keep = torch.zeros(len(drawn), length, features, dtype=x.dtype, device=x.device)
        for stream, part in enumerate(drawn):
            keep[stream, : len(part)] = part
        own = keep if len(drawn) == layout.trials else torch.stack([keep[stream] for stream in layout.streams])
        return (rows * own).view(x.shape)

    def attention_keeps(self, plan: Attention, rows: int, heads: int, p: float, site: str) -> list[Tensor]:
        """The dropout of attention weights for each group of examples: (A, H, T, T) for the A examples of one row.

        Where trials share their tokens they share it too; else the A examples are those of all rows.
        """
        layout = self.layout
        assert layout is not None
        device = plan.places.device
        drawn = [self._draw(stream, heads * pairs, p, site, device) for stream, pairs in enumerate(layout.pairs)]
        keeps = []
        for group in plan.groups:
            own = group.examples[: len(group.examples) // rows] if layout.is_shared else group.examples
            parts = [
                drawn[layout.fed[example.row]][heads * example.pairs :][: heads * example.length**2].view(
                    heads, example.length, example.length
                )
                for example in own
            ]
            keeps.append(_padded(parts, group, heads))
        return keeps

    def _draw(self, stream: int, count: int, p: float, site: str, device: torch.device) -> Tensor:
        # Zeros, and 1 / (1 - p) where an entry is kept; the same entries whatever the model computes in.
        kept = round((1 - p) * _LANE)
        if kept in {0, _LANE}:
            return torch.full((count,), float(kept == _LANE), device=device)
        generator = self._generators.get(device)
        if generator is None:
            generator = self._generators[device] = torch.Generator(device)
        generator.manual_seed(keyed("dropout", self._seeds[stream], self._step, site))
        # 64 random bits at a time, for four entries: several times faster than a number for each.
        bits = torch.empty(math.ceil(count / 4), dtype=torch.int64, device=device)
        lanes = bits.random_(-(2**63), None, generator=generator).view(torch.int16)[:count]
        return (lanes < kept - _LANE // 2).float().mul_(_LANE / kept)

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
