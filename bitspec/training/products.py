"""Products with a frozen matrix: the bulk of all that is computed.

On a CPU, oneDNN's linear layer takes matrices as they lie in memory, and is a quarter to a half faster at these sizes
than what torch takes by itself for float32 (docs/performance.md). torch has no gradient for it: `sparse.py` has.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional


@cache
def has_onednn() -> bool:
    """Whether torch's oneDNN linear layer is here, and does what it should."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.eye(3), torch.arange(6.0).view(2, 3), torch.tensor([1.0, -1.0])
    try:
        return all(
            torch.equal(_onednn(x, matrix, bias), functional.linear(x, matrix, bias))
            for matrix in (weight, weight.t().contiguous().t())
        )
    except (AttributeError, RuntimeError):
        return False


def linear(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """x (…, in) · Wᵀ + b without a gradient, by the fastest product that there is; x takes the type of W."""
    x = x.to(weight_OI.dtype)
    bias_O = None if bias_O is None else bias_O.to(weight_OI.dtype)
    if weight_OI.dtype != torch.float32 or weight_OI.device.type != "cpu" or not has_onednn():
        return functional.linear(x, weight_OI, bias_O)
    return _onednn(x.reshape(-1, x.shape[-1]), weight_OI, bias_O).view(*x.shape[:-1], -1)


def _onednn(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight_OI, bias_O, "none", [], "")
    return found
