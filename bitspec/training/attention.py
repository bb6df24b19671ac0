"""Attention over real tokens only, with the model's own Noise for its dropout.

Shapes: R rows of tokens (one for each trial, or one for all), N tokens, H heads, K features of a head; of a group of
examples, A examples of T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from bitspec.training.layout import Attention, Group

if TYPE_CHECKING:
    from bitspec.training.noise import Noise

#: The name of our attention function among those of transformers.
ATTENTION: Final = "bitspec"


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

    The signature is that of transformers' attention functions; `attention_mask` is added to the scores. Where the
    model's Noise has a layout, the tokens are those of a batch without padding, and the mask is the layout's. Without
    dropout, padded attention is torch's own. Returns BTHK, and the weights where they were formed.
    """
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    noise: Noise | None = getattr(module, "_bitspec_noise", None)
    site = getattr(module, "_bitspec_site", "")
    scale = query_BHTK.shape[-1] ** -0.5 if scaling is None else scaling
    groups = getattr(module, "num_key_value_groups", 1)
    if noise is not None and noise.layout is not None:
        rows, heads = query_BHTK.shape[:2]
        plan = noise.layout.attention(rows, heads)
        keeps = noise.attention_keeps(plan, rows, heads, dropout, site) if dropout > 0 else None
        # Rotary positions leave queries and keys in float32 where the rest is in bf16.
        query, key = (part.to(value_BHTK.dtype) for part in (query_BHTK, key_BHTK))
        out = _Unpadded.apply(query, repeat_kv(key, groups), repeat_kv(value_BHTK, groups), plan, scale, keeps)
        return out, None
    if dropout == 0:
        # The type of the mask's padding differs from query's in autocast.
        mask = attention_mask.to(query_BHTK.dtype) if attention_mask is not None else None
        padded: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query_BHTK, key_BHTK, value_BHTK, mask, dropout=0.0, scaling=scaling, **other
        )
        return padded
    if other.get("softcap") is not None or other.get("s_aux") is not None:
        raise NotImplementedError("attention with soft caps or sinks")
    key_BHTK, value_BHTK = repeat_kv(key_BHTK, groups), repeat_kv(value_BHTK, groups)
    scores_BHTT = query_BHTK @ key_BHTK.transpose(2, 3) * scale
    if other.get("position_bias") is not None:
        scores_BHTT = scores_BHTT + other["position_bias"]
    if attention_mask is not None:
        scores_BHTT = scores_BHTT + attention_mask[..., : scores_BHTT.shape[-1]]
    weights_BHTT = scores_BHTT.softmax(-1, dtype=torch.promote_types(torch.float32, query_BHTK.dtype))
    assert noise is not None, "a model is trained with a Noise"
    weights_BHTT = noise.drop(weights_BHTT, dropout, site)
    out_BTHK = (weights_BHTT.to(value_BHTK.dtype) @ value_BHTK).transpose(1, 2).contiguous()
    return out_BTHK, weights_BHTT


class _Unpadded(torch.autograd.Function):
    """Attention group by group: each is gathered, computed and put back, so that no padded token leaves it.

    Only gathers in both directions, none of them adding: the same bits each time, on a GPU too.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: Attention, scale: float, keeps: list[Tensor] | None
    ) -> Tensor:
        rows, heads, tokens, size = query.shape
        flat = [_flat(part) for part in (query, key, value)]
        found, saved = [], []
        for place, group in enumerate(plan.groups):
            q_ATK, k_ATK, v_ATK = (_take(part, group) for part in flat)
            scores_ATT = torch.bmm(q_ATK, k_ATK.transpose(1, 2)).mul_(scale)
            if group.bias is not None:
                _by_head(scores_ATT, group.bias).add_(group.bias)
            weights_ATT = scores_ATT.softmax(-1, dtype=torch.promote_types(torch.float32, query.dtype))
            dropped_ATT = weights_ATT if keeps is None else _drop(weights_ATT, keeps[place])
            found.append(torch.bmm(dropped_ATT.to(query.dtype), v_ATK).view(-1, size))
            saved += [q_ATK, k_ATK, v_ATK, weights_ATT]
        ctx.save_for_backward(*saved, *(keeps or ()))
        ctx.plan, ctx.scale, ctx.has_dropout = plan, scale, keeps is not None
        return _back(found, plan).view(rows, tokens, heads, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: Attention = ctx.plan
        rows, tokens, heads, size = gradients[0].shape
        out_gradient = gradients[0].reshape(-1, size)
        saved = ctx.saved_tensors
        keeps = saved[4 * len(plan.groups) :]
        found: tuple[list[Tensor], ...] = ([], [], [])
        for place, group in enumerate(plan.groups):
            q_ATK, k_ATK, v_ATK, weights_ATT = saved[4 * place : 4 * place + 4]
            out_ATK = _take(out_gradient, group)
            if group.padding is not None:
                out_ATK.view(-1, size).index_fill_(0, group.padding, 0)
            dropped_ATT = _drop(weights_ATT, keeps[place]) if ctx.has_dropout else weights_ATT
            to_value = torch.bmm(dropped_ATT.to(out_ATK.dtype).transpose(1, 2), out_ATK)
            to_weights = torch.bmm(out_ATK, v_ATK.transpose(1, 2)).to(weights_ATT.dtype)
            if ctx.has_dropout:
                to_weights = _drop(to_weights, keeps[place])
            to_scores = torch.ops.aten._softmax_backward_data(to_weights, weights_ATT, -1, weights_ATT.dtype)
            to_scores = to_scores.mul_(ctx.scale).to(q_ATK.dtype)
            for part, gradient in zip(
                found, (torch.bmm(to_scores, k_ATK), torch.bmm(to_scores.transpose(1, 2), q_ATK), to_value), strict=True
            ):
                part.append(gradient.view(-1, size))
        back = (_back(part, plan).view(rows, tokens, heads, size).transpose(1, 2) for part in found)
        return (*back, None, None, None)


def _flat(x_RHNK: Tensor) -> Tensor:
    # (R·N·H, K): a view where the heads of a token lie together, as a linear layer leaves them.
    return x_RHNK.transpose(1, 2).reshape(-1, x_RHNK.shape[-1])


def _take(flat: Tensor, group: Group) -> Tensor:
    # (A·H, T, K)
    return flat.index_select(0, group.index).view(-1, group.longest, flat.shape[-1])


def _back(found: list[Tensor], plan: Attention) -> Tensor:
    zeros = found[0].new_zeros(1, found[0].shape[-1])
    return torch.cat([*found, zeros]).index_select(0, plan.places)


def _by_head(scores_ATT: Tensor, bias: Tensor) -> Tensor:
    # (A, H, T, T)
    return scores_ATT.view(len(bias), -1, *scores_ATT.shape[1:])


def _drop(weights: Tensor, keep: Tensor) -> Tensor:
    # `keep` holds the examples of one row; all rows share it where they share their tokens.
    return (weights.view(-1, *keep.shape) * keep).view(weights.shape)


def register() -> None:
    """Make our attention known to transformers, with a mask function: without one it would drop the padding mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask

    AttentionInterface.register(ATTENTION, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, eager_mask)
