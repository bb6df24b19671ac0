"""Products with a frozen matrix against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bitspec.training import products
from bitspec.training.products import has_onednn, linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("stored_out_in", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (2, 5, 7), (1, 1, 7)])
def test_equals_torchs_linear_layer(
    shape: tuple[int, ...], has_bias: bool, stored_out_in: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 7, dtype=dtype) if stored_out_in else torch.randn(7, 3, dtype=dtype).t()
    x = torch.randn(shape, dtype=dtype)
    bias = torch.randn(3, dtype=dtype) if has_bias else None
    torch.testing.assert_close(linear(x, weight, bias), functional.linear(x, weight, bias))


def test_without_onednn_it_is_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(4, 7), torch.randn(3, 7)
    expected = linear(x, weight)

    def missing(*_: object) -> None:
        raise AttributeError("no such operator")

    monkeypatch.setattr(products, "_onednn", missing)
    has_onednn.cache_clear()
    assert not has_onednn()
    torch.testing.assert_close(linear(x, weight), expected)
    has_onednn.cache_clear()
