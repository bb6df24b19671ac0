"""Layers computed with values of several trials at once.

Shapes: K trials, N tokens (or examples, in a head) of each, I and O features in and out. What comes in may have one row
of tokens for all trials, as long as nothing has told them apart; (K·N) rows of a head are taken apart again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.pytorch_utils import Conv1D

from bitspec.training.sparse import Lookup, SparseEmbedding, SparseLinear, Trained

#: Layers that multiply by a matrix.
LINEAR: Final = (nn.Linear, Conv1D)


@dataclass
class Bound:
    """What a pack of so many trials trains of one layer.

    `tables` hold tensors of which each trial has its own, (K, …), by name (`weight`, `bias`); `parts` are parts of the
    weight, and `values` the values of each.
    """

    trials: int
    tables: dict[str, Tensor] = field(default_factory=dict)
    parts: tuple[Trained, ...] = ()
    values: tuple[Tensor, ...] = ()
    lookups: tuple[Lookup, ...] = ()

    def take_parts(self, layer: nn.Module, parts: Sequence[Trained]) -> None:
        """Train parts of the layer's weight."""
        self.parts = tuple(parts)
        if isinstance(layer, nn.Embedding):
            self.lookups = tuple(Lookup.of(one.part) for one in parts)

    def apart(self, x: Tensor) -> Tensor:
        """Input as (K, N, features), or (1, N, features) where all trials still share it."""
        return x.reshape(1 if x.shape[0] == 1 else self.trials, -1, x.shape[-1])

    def together(self, out: Tensor, x: Tensor) -> Tensor:
        """Output in the shape that the layer would have given it; with K rows where there was one."""
        rows = x.shape[:-1] if x.shape[0] != 1 else (out.shape[0], *x.shape[1:-1])
        return out.reshape(*rows, out.shape[-1])


def _linear(layer: nn.Linear | Conv1D, bound: Bound, x: Tensor) -> Tensor:
    is_stored_out_in = isinstance(layer, nn.Linear)
    x_KNI, bias_KO = bound.apart(x), bound.tables.get("bias")
    if bound.parts or bias_KO is not None:
        x_KNI = x_KNI.expand(bound.trials, -1, -1)
    if bias_KO is None and layer.bias is not None:
        bias_KO = layer.bias[None]
    if "weight" in bound.tables:
        weight_KIO = bound.tables["weight"]
        out_KNO = torch.matmul(x_KNI, weight_KIO.transpose(1, 2) if is_stored_out_in else weight_KIO)
        if bias_KO is not None:
            out_KNO += bias_KO[:, None].to(out_KNO.dtype)
    elif layer.weight.requires_grad:  # a whole matrix of a trial that is alone
        weight_OI = layer.weight if is_stored_out_in else layer.weight.t()
        out_KNO = functional.linear(x_KNI, weight_OI, None if bias_KO is None else bias_KO[0])
    else:
        out_KNO = SparseLinear.apply(x_KNI, layer.weight, bias_KO, bound.parts, is_stored_out_in, *bound.values)
    return bound.together(out_KNO, x)


def _embedding(layer: nn.Embedding, bound: Bound, ids: Tensor) -> Tensor:
    if "weight" in bound.tables:
        tables = enumerate(bound.tables["weight"])
        return torch.stack([functional.embedding(ids[k % len(ids)], own, layer.padding_idx) for k, own in tables])
    trained = tuple(zip(bound.parts, bound.lookups, strict=True))
    out: Tensor = SparseEmbedding.apply(ids, layer.weight, layer.padding_idx, trained, bound.trials, *bound.values)
    return out


def _layer_norm(layer: nn.LayerNorm, bound: Bound, x: Tensor) -> Tensor:
    gamma, beta = bound.tables.get("weight"), bound.tables.get("bias")
    if bound.trials == 1:
        weight = layer.weight if gamma is None else gamma[0]
        bias = layer.bias if beta is None else beta[0]
        return functional.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
    x_KND = bound.apart(x)
    scale = layer.weight if gamma is None else None
    out_KND = functional.layer_norm(x_KND, layer.normalized_shape, scale, None, layer.eps)
    shift = layer.bias if beta is None else beta[:, None]
    if gamma is None:
        out_KND = out_KND.add_(shift) if len(out_KND) == len(shift) else out_KND + shift
    else:
        out_KND = torch.addcmul(shift, out_KND, gamma[:, None])
    return bound.together(out_KND, x)


def _rms_norm(layer: LlamaRMSNorm, bound: Bound, x: Tensor) -> Tensor:
    # In float32, whatever comes in, as the architecture has it (Zhang and Sennrich 2019, equation 4).
    wide = bound.apart(x).float()
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + layer.variance_epsilon)
    return bound.together(bound.tables["weight"][:, None] * normed.to(x.dtype), x)


_FORWARDS: Final[dict[type[nn.Module], Callable[..., Tensor]]] = {
    nn.Linear: _linear,
    Conv1D: _linear,
    nn.Embedding: _embedding,
    nn.LayerNorm: _layer_norm,
    LlamaRMSNorm: _rms_norm,
}


def forward_with(layer: nn.Module, bound: Bound) -> Callable[..., Tensor]:
    """What takes the place of a layer's forward. Raises KeyError for a layer of another kind than these."""
    return partial(_FORWARDS[type(layer)], layer, bound)
