"""Common random numbers: what is random in a trial depends on its seed and its place, and on nothing else.

Head initialisation is keyed by (seed, task), batch order by (seed, epoch), dropout by (seed, step, site). Dropout is
drawn for real tokens only, in the order of the batch, so that neither padding nor the strategy changes what a trial
sees: strategies are compared on the same noise.

Shapes: B examples, T tokens padded to the longest, D features, H attention heads, N real tokens of the batch.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: The name of our attention function among those of transformers.
ATTENTION: Final = "bitspec"


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

    `attach` puts it in the place of the model's own. `begin_trial` and `begin_step` say what the draws are keyed by.
    """

    def __init__(self) -> None:
        self._generators: dict[torch.device, torch.Generator] = {}
        self._seed = 0
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
                setattr(model.get_submodule(parent), name, Dropout(module.p, noise, path))
        return noise

    def begin_trial(self, model: nn.Module, seed: int, dropout: float | Literal["config"]) -> None:
        """What follows belongs to a trial with this seed, and to this probability instead of the config's."""
        self._seed = seed
        for module in model.modules():
            if isinstance(module, Dropout):
                module.p = module.configured if dropout == "config" else dropout
            # Attention that keeps its probability as a number, as in Llama.
            own = getattr(module, "attention_dropout", None)
            if isinstance(own, float):
                configured = self._configured.setdefault(module, own)
                setattr(module, "attention_dropout", configured if dropout == "config" else dropout)  # noqa: B010 - typed

    def begin_step(self, step: int, real_BT: Tensor) -> None:
        """What follows belongs to this step of the trial; `real_BT` is 1 where a token is no padding."""
        self._step = step
        self._places.clear()
        self._real_BT = None if bool(real_BT.all()) else real_BT.bool()
        # For what draws from torch's own generators, in architectures that we do not reach into.
        torch.manual_seed(keyed("other", self._seed, step))

    def drop(self, x: Tensor, p: float, site: str) -> Tensor:
        """Inverted dropout: a share p of the entries of x becomes 0, the others are divided by 1 - p.

        x may be of shape BTD (tokens), BHTT (attention) or any other, which is taken as it lies in memory.
        """
        generator = self._generators.get(x.device)
        if generator is None:
            generator = self._generators[x.device] = torch.Generator(x.device)
        generator.manual_seed(keyed("dropout", self._seed, self._step, site))
        places = self._real_places(x)
        if places is None:
            return x * _draw(x.shape, p, generator, x)
        keep = torch.zeros(x.numel() // places[1], places[1], dtype=x.dtype, device=x.device)
        keep.index_copy_(0, places[0], _draw((places[0].numel(), places[1]), p, generator, x))
        return x * keep.view(x.shape)

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


def _draw(shape: tuple[int, ...], p: float, generator: torch.Generator, like: Tensor) -> Tensor:
    # Drawn in float32 whatever the model computes in: the same entries fall in each.
    kept = torch.empty(shape, device=like.device).bernoulli_(1 - p, generator=generator)
    return kept.to(like.dtype).div_(1 - p)


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


def attention(
    module: nn.Module,
    query_BHTK: Tensor,
    key_BHTK: Tensor,
    value_BHTK: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **other: Any,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1) whose dropout draws from the model's Noise.

    The signature is that of transformers' attention functions; `attention_mask` is added to the scores. Without
    dropout it is torch's own. Returns BTHK, and the weights where they were formed.
    """
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    if dropout == 0:
        # The type of the mask's padding differs from query's in autocast.
        mask = attention_mask.to(query_BHTK.dtype) if attention_mask is not None else None
        out: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query_BHTK, key_BHTK, value_BHTK, mask, dropout=0.0, scaling=scaling, **other
        )
        return out
    if other.get("softcap") is not None or other.get("s_aux") is not None:
        raise NotImplementedError("attention with soft caps or sinks")
    groups = getattr(module, "num_key_value_groups", 1)
    key_BHTK, value_BHTK = repeat_kv(key_BHTK, groups), repeat_kv(value_BHTK, groups)
    scores_BHTT = query_BHTK @ key_BHTK.transpose(2, 3) * (query_BHTK.shape[-1] ** -0.5 if scaling is None else scaling)
    if other.get("position_bias") is not None:
        scores_BHTT = scores_BHTT + other["position_bias"]
    if attention_mask is not None:
        scores_BHTT = scores_BHTT + attention_mask[..., : scores_BHTT.shape[-1]]
    weights_BHTT = scores_BHTT.softmax(-1, dtype=torch.promote_types(torch.float32, query_BHTK.dtype))
    noise: Noise = module._bitspec_noise  # type: ignore[assignment]
    weights_BHTT = noise.drop(weights_BHTT, dropout, str(module._bitspec_site))
    out_BTHK = (weights_BHTT.to(value_BHTK.dtype) @ value_BHTK).transpose(1, 2).contiguous()
    return out_BTHK, weights_BHTT


def register() -> None:
    """Make our attention known to transformers, with a mask function: without one it would drop the padding mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

    AttentionInterface.register(ATTENTION, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, eager_mask)
