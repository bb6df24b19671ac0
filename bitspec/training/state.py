"""The trained values of one trial, and nothing else: one flat vector with its gradient, whatever the masks are.

    slice of the vector      tensor of the model
    Whole    all entries      is a view of the slice
    Rows     the lines        gets the slice written into its rows after each step
    Cols     the lines        … its columns
    Entries  the entries      … its entries
    AllBut   all entries      is a view of the slice; what is left out is put back after each step

Values, gradients and moments exist for selected entries only (AllBut selects more than half of its tensor), and no
dense mask is ever made. A gradient of a tensor that is partly selected is gathered and freed as soon as it is formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole, complement
from bitspec.ir.values import TrainedTensor, TrainedValues

#: Slices start at multiples of this many values (64 bytes of float32), for the sake of vector instructions.
ALIGNMENT: Final = 16


@dataclass(frozen=True)
class Slot:
    """A tensor of which something is trained, and its slice of the vector.

    `pretrained` is the tensor as it was, the same storage: it is put back in the end. `indices` are the mask's, on
    the tensor's device; `before` the slice as it was, where the tensor itself is written to.
    """

    name: str
    parameter: nn.Parameter
    mask: Mask
    values: Tensor
    gradient: Tensor
    pretrained: Tensor
    indices: Tensor | None
    before: Tensor | None

    @property
    def count(self) -> int:
        """Number of trained values."""
        return self.mask.count(tuple(self.parameter.shape))

    @property
    def is_view(self) -> bool:
        """Whether the tensor of the model is a view of the slice."""
        return isinstance(self.mask, Whole | AllBut)

    def gather(self, tensor: Tensor) -> Tensor:
        """The selected values of a tensor of the parameter's shape, flat, as the slice holds them."""
        match self.mask:
            case Whole() | AllBut():
                return tensor.reshape(-1)
            case Rows():
                return tensor.index_select(0, self._indices).reshape(-1)
            case Cols():
                return tensor.index_select(1, self._indices).reshape(-1)
            case Entries():
                return tensor.reshape(-1).index_select(0, self._indices)

    def scatter(self, values: Tensor) -> None:
        """Write flat values, as the slice holds them, into the selected places of the model's tensor."""
        tensor = self.parameter.data
        match self.mask:
            case Rows():
                tensor.index_copy_(0, self._indices, values.view(-1, tensor.shape[1]))
            case Cols():
                tensor.index_copy_(1, self._indices, values.view(tensor.shape[0], -1))
            case Entries():
                tensor.view(-1).index_copy_(0, self._indices, values)
            case AllBut():
                self.values.index_copy_(0, self._indices, self.pretrained.view(-1).index_select(0, self._indices))
            case Whole():
                pass

    @property
    def _indices(self) -> Tensor:
        assert self.indices is not None
        return self.indices


class Trainable:
    """What a trial trains of a model: `vector` and its gradient, bound to the model's tensors.

    `masks` are by full name in the model. Every other tensor of the model is frozen. `close` gives the model back
    as it was, bit for bit. Raises KeyError for a name that the model does not have.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Mask]) -> None:
        for parameter in model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        parameters = dict(model.named_parameters(remove_duplicate=False))
        first = next(model.parameters())
        sizes = [_slice_size(mask, parameters[name]) for name, mask in masks.items()]
        starts = np.cumsum([0, *(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)])
        #: All trained values, with padding between the slices that is always 0. An optimizer takes it as one tensor.
        self.vector = nn.Parameter(torch.zeros(int(starts[-1]), dtype=first.dtype, device=first.device))
        self.vector.grad = torch.zeros_like(self.vector)
        self.slots: list[Slot] = []
        self._hooks: list[RemovableHandle] = []
        try:
            for (name, mask), start, size in zip(masks.items(), starts, sizes, strict=False):
                slot = self._bind(name, parameters[name], mask, slice(int(start), int(start) + size))
                self.slots.append(slot)
        except BaseException:  # a hook that stays would take the gradients of the trials to come
            self.close()
            raise

    def _bind(self, name: str, parameter: nn.Parameter, mask: Mask, place: slice) -> Slot:
        assert self.vector.grad is not None
        values, gradient = self.vector.data[place], self.vector.grad[place]
        indices = None if isinstance(mask, Whole) else torch.from_numpy(mask.indices.copy()).to(parameter.device)
        slot = Slot(name, parameter, mask, values, gradient, parameter.data, indices, None)
        values.copy_(slot.gather(parameter.data))
        parameter.requires_grad_(True)
        if slot.is_view:
            # Autograd adds to the gradient that is there, which is a view of the vector's.
            parameter.data = values.view(parameter.shape)
            parameter.grad = gradient.view(parameter.shape)
            return slot

        def keep_selected(dense: Tensor) -> None:
            assert dense.grad is not None
            gradient.copy_(slot.gather(dense.grad))
            dense.grad = None

        self._hooks.append(parameter.register_post_accumulate_grad_hook(keep_selected))
        return Slot(name, parameter, mask, values, gradient, parameter.data, indices, values.clone())

    def zero_grad(self) -> None:
        """Forget the gradient of the last step."""
        assert self.vector.grad is not None
        self.vector.grad.zero_()

    def settle_gradient(self) -> None:
        """After a backward pass: nothing of what is left out may count towards the gradient's norm."""
        for slot in self.slots:
            if isinstance(slot.mask, AllBut):
                assert slot.indices is not None
                slot.gradient.index_fill_(0, slot.indices, 0)

    @torch.no_grad()
    def write(self) -> None:
        """After a step of the optimizer: put the new values into the model."""
        for slot in self.slots:
            slot.scatter(slot.values)

    @torch.no_grad()
    def distance(self, slot: Slot, within: Mask | None = None) -> float:
        """Sum of the absolute differences between a tensor's values before training and now.

        With `within`, only of the entries of that mask; it is the slot's own, or the whole tensor is trained.
        """
        before = slot.pretrained.reshape(-1) if slot.before is None else slot.before
        moved = (slot.values.double() - before.double()).abs()
        if within is not None and within != slot.mask:
            assert isinstance(slot.mask, Whole)
            moved = moved[torch.from_numpy(_places(within, tuple(slot.parameter.shape))).to(moved.device)]
        return float(moved.sum())

    def trained(self) -> TrainedValues:
        """A copy of the trained values."""
        tensors: dict[str, TrainedTensor] = {}
        for slot in self.slots:
            shape = tuple(slot.parameter.shape)
            values = slot.values.cpu().numpy().copy()
            if isinstance(slot.mask, AllBut):
                values = values[complement(slot.mask.indices, values.size)]
            tensors[slot.name] = TrainedTensor(shape, slot.mask, values)
        return TrainedValues(tensors)

    @torch.no_grad()
    def close(self) -> None:
        """Give the model back as it was before, bit for bit, with no gradient asked for."""
        for hook in self._hooks:
            hook.remove()
        for slot in self.slots:
            if slot.is_view:
                slot.parameter.data = slot.pretrained
            else:
                assert slot.before is not None
                slot.scatter(slot.before)
            slot.parameter.grad = None
            slot.parameter.requires_grad_(False)


def _slice_size(mask: Mask, parameter: nn.Parameter) -> int:
    # What is left out of AllBut has its place in the slice too: it is the smaller part.
    return parameter.numel() if isinstance(mask, AllBut) else mask.count(tuple(parameter.shape))


@torch.no_grad()
def apply(model: nn.Module, trained: TrainedValues) -> None:
    """Write trained values into a model for good, as `export` does.

    Raises KeyError or ValueError if they do not fit.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in trained.tensors.items():
        parameter = parameters[name]
        if tuple(parameter.shape) != tensor.shape:
            raise ValueError(f"{name} has shape {tuple(parameter.shape)}, and the trained values {tensor.shape}")
        flat = parameter.data.view(-1)
        places = torch.from_numpy(_places(tensor.mask, tensor.shape))
        flat[places.to(flat.device)] = torch.from_numpy(tensor.values).to(flat)


def _places(mask: Mask, shape: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    size = int(np.prod(shape))
    match mask:
        case Whole():
            return np.arange(size, dtype=np.int64)
        case Rows(indices=indices):
            return (indices[:, None] * shape[1] + np.arange(shape[1])).reshape(-1)
        case Cols(indices=indices):
            return (np.arange(shape[0], dtype=np.int64)[:, None] * shape[1] + indices).reshape(-1)
        case Entries(indices=indices):
            return indices.copy()
        case AllBut(indices=indices):
            return complement(indices, size)
