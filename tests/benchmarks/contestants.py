"""Ways to train what is selected of a model, without bitspec's engine: what it is measured against.

All take the same masks and settings and compute the same, as the test beside this file holds, with torch's fused
AdamW, the fastest there is. They differ in what is dense:

    Plain     parameters are trained whole or not at all (`requires_grad`), as by BitFit and full fine-tuning
    Masked    every gradient, mask and moment of the model is dense; the masks lie on the device
    Gathered  gradients are dense until a hook has gathered what is selected; values and moments are compact
    Shira     PEFT's SHiRA: random entries of linear layers as a sparse matrix added to a copy of the weights

None of them draws dropout as bitspec does: they have torch's own, which is faster than keyed dropout.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitspec.ir.masks import Cols, Entries, Mask, Rows, Whole
from bitspec.ir.settings import Settings
from tests.training.small import dense

if TYPE_CHECKING:
    from bitspec.training.encoding import Batch


class Plain:
    """Trains whole parameters. Gradients and moments are those of the parameters that are trained."""

    def __init__(self, model: nn.Module, masks: Mapping[str, Mask], settings: Settings) -> None:
        """`masks` are by full name and hold the head, too."""
        self.model, self.settings = model.train(), settings
        self.parameters = dict(model.named_parameters())
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        self.trained = self._begin(masks)
        self.optimizer = torch.optim.AdamW(
            self.trained,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def step(self, batch: Batch) -> Tensor:
        """Train on a batch, and return the loss."""
        with torch.autocast(batch.labels_B.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            logits = self.model(**batch.inputs).logits
        loss = functional.cross_entropy(logits.float(), batch.labels_B)
        loss.backward()
        self._choose()
        if self.settings.clip_norm != "off":
            nn.utils.clip_grad_norm_(self.trained, self.settings.clip_norm)
        self.optimizer.step()
        self._write()
        for tensor in self.trained:
            tensor.grad = None
        return loss.detach()

    def _begin(self, masks: Mapping[str, Mask]) -> list[Tensor]:
        """Make ready, and say which tensors the optimizer is to train."""
        if not all(isinstance(mask, Whole) for mask in masks.values()):
            raise ValueError("a part of a parameter cannot be trained by itself")
        return [self.parameters[name].requires_grad_(True) for name in masks]

    def _choose(self) -> None:
        """After the backward pass: let nothing but what is selected have a gradient."""

    def _write(self) -> None:
        """After the optimizer's step: bring new values into the model."""


class Masked(Plain):
    """Dense gradients times dense masks, moments of everything.

    A mask of booleans takes a quarter of the memory of one of floats, and its product ten times as long on a CPU.
    """

    def __init__(
        self, model: nn.Module, masks: Mapping[str, Mask], settings: Settings, dtype: torch.dtype = torch.float32
    ) -> None:
        self._dtype = dtype
        super().__init__(model, masks, settings)

    def _begin(self, masks: Mapping[str, Mask]) -> list[Tensor]:
        self._masks = [
            dense(masks.get(name), tuple(parameter.shape)).to(parameter.device, self._dtype)
            for name, parameter in self.parameters.items()
        ]
        return [parameter.requires_grad_(True) for parameter in self.parameters.values()]

    def _choose(self) -> None:
        for parameter, mask in zip(self.trained, self._masks, strict=True):
            if parameter.grad is not None:
                parameter.grad.mul_(mask)


class Gathered(Plain):
    """Dense gradients, each freed as soon as what is selected of it is gathered; compact values and moments."""

    def _begin(self, masks: Mapping[str, Mask]) -> list[Tensor]:
        self._parts: list[tuple[Tensor, Mask, Tensor, nn.Parameter]] = []
        trained: list[Tensor] = []
        for name, mask in masks.items():
            parameter = self.parameters[name].requires_grad_(True)
            if isinstance(mask, Whole):
                trained.append(parameter)
                continue
            if not isinstance(mask, Rows | Cols | Entries):
                raise TypeError(f"{type(mask).__name__} is not gathered here")
            indices = torch.from_numpy(mask.indices.copy()).to(parameter.device)
            compact = nn.Parameter(_gather(parameter.data, mask, indices))
            parameter.register_post_accumulate_grad_hook(_keeping(mask, indices, compact))
            self._parts.append((parameter, mask, indices, compact))
            trained.append(compact)
        return trained

    @torch.no_grad()
    def _write(self) -> None:
        for parameter, mask, indices, compact in self._parts:
            match mask:
                case Rows():
                    parameter.index_copy_(0, indices, compact)
                case Cols():
                    parameter.index_copy_(1, indices, compact)
                case _:
                    parameter.view(-1).index_copy_(0, indices, compact)


def _gather(tensor: Tensor, mask: Mask, indices: Tensor) -> Tensor:
    match mask:
        case Rows():
            return tensor.index_select(0, indices)
        case Cols():
            return tensor.index_select(1, indices)
        case _:
            return tensor.reshape(-1).index_select(0, indices)


def _keeping(mask: Mask, indices: Tensor, compact: nn.Parameter) -> Any:
    def keep(parameter: Tensor) -> None:
        assert parameter.grad is not None
        compact.grad = _gather(parameter.grad, mask, indices)
        parameter.grad = None

    return keep


class Shira(Plain):
    """PEFT's SHiRA on entries of linear layers. Raises ImportError where PEFT is not installed.

    In every forward pass it copies each weight and adds its sparse matrix to the copy; the backward pass forms the
    dense gradient of the copy, of which the sparse matrix takes its entries. It has no setting that avoids either; its
    best is no dropout of its own, and the optimizer that all have here.
    """

    def _begin(self, masks: Mapping[str, Mask]) -> list[Tensor]:
        from peft import ShiraConfig, get_peft_model

        torch.sparse.check_sparse_tensor_invariants.disable()  # they take time, and unset they warn
        modules = {id(module): name for name, module in self.model.named_modules()}
        partial = {name: mask for name, mask in masks.items() if not isinstance(mask, Whole)}

        def given(layer: nn.Linear, _r: int, **_: Any) -> Tensor:
            return dense(partial[f"{modules[id(layer)]}.weight"], tuple(layer.weight.shape)).to(layer.weight.device)

        config = ShiraConfig(r=1, target_modules=[name.removesuffix(".weight") for name in partial])
        config.mask_fn = given
        with warnings.catch_warnings():  # it asks transformers for names of old
            warnings.simplefilter("ignore", FutureWarning)
            adapted = get_peft_model(self.model, config)
        self.adapters = {
            name.removeprefix("base_model.model.").partition(".shira_weight")[0]: parameter
            for name, parameter in adapted.named_parameters()
            if ".shira_weight" in name
        }
        whole = [self.parameters[name].requires_grad_(True) for name, mask in masks.items() if isinstance(mask, Whole)]
        return [*whole, *self.adapters.values()]


CONTESTANTS: dict[str, Any] = {
    "plain": Plain,
    "mask, floats": Masked,
    "mask, booleans": partial(Masked, dtype=torch.bool),
    "gather in a hook": Gathered,
    "SHiRA": Shira,
}
