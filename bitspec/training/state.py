"""The trained values of one trial, and nothing else: one flat vector with its gradient, whatever the masks are.

    slice of the vector      what it holds, of a tensor of the model
    Whole    all entries
    Rows     the rows, one after the other
    Cols     the columns, side by side
    Entries  the entries
    AllBut   all entries; what is left out is put back after each step

Values, gradients and moments exist for selected entries only (AllBut selects more than half of its tensor), and no
dense mask is ever made. How the vector takes the place of the model's own values is told in `binding.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole, complement, places
from bitspec.ir.values import TrainedTensor, TrainedValues

#: Slices start at multiples of this many values (64 bytes of float32), for the sake of vector instructions.
ALIGNMENT: Final = 16


@dataclass(frozen=True)
class Slot:
    """A tensor of which something is trained, and its place in the vector.

    `indices` are the mask's, on the tensor's device; `before` holds the slice as it was, or is the pretrained tensor
    itself where nothing will write to it.
    """

    name: str
    mask: Mask
    shape: tuple[int, ...]
    place: slice
    indices: Tensor | None
    before: Tensor

    @property
    def count(self) -> int:
        """Number of trained values."""
        return self.mask.count(self.shape)

    @property
    def is_whole_matrix(self) -> bool:
        """Whether it is a matrix that is trained as one: its gradient is dense."""
        return _is_whole_matrix(self.mask, self.shape)

    def gather(self, tensor: Tensor) -> Tensor:
        """The selected values of a tensor of the same shape, flat, as the slice holds them."""
        match self.mask:
            case Whole() | AllBut():
                return tensor.reshape(-1)
            case Rows():
                return tensor.index_select(0, self._indices).reshape(-1)
            case Cols():
                return tensor.index_select(1, self._indices).reshape(-1)
            case Entries():
                return tensor.reshape(-1).index_select(0, self._indices)

    def scatter(self, values: Tensor, tensor: Tensor) -> None:
        """Write flat values, as the slice holds them, into the selected places of a tensor."""
        values = values.to(tensor.dtype)
        match self.mask:
            case Rows():
                tensor.index_copy_(0, self._indices, values.view(-1, tensor.shape[1]))
            case Cols():
                tensor.index_copy_(1, self._indices, values.view(tensor.shape[0], -1))
            case Entries():
                tensor.view(-1).index_copy_(0, self._indices, values)
            case Whole() | AllBut():
                tensor.view(-1).copy_(values)

    @property
    def _indices(self) -> Tensor:
        assert self.indices is not None
        return self.indices


class Trainable:
    """What a trial trains of a model: `vector` and its gradient, with a slot for each tensor.

    `masks` are by full name in the model. Whole matrices come first in the vector. The model is only read. `alone`
    promises that no other trial is trained at the same time. Raises KeyError for a name that the model does not have.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Mask], *, alone: bool = True) -> None:
        parameters = dict(model.named_parameters(remove_duplicate=False))
        first = next(model.parameters())
        self.slots: list[Slot] = []
        end = 0
        for name in sorted(masks, key=lambda name: not _is_whole_matrix(masks[name], parameters[name].shape)):
            slot = _slot(name, masks[name], parameters[name].data, end, alone=alone)
            self.slots.append(slot)
            end = -(-slot.place.stop // ALIGNMENT) * ALIGNMENT
        #: All trained values, with padding between the slices that is always 0. An optimizer takes it as one tensor.
        self.vector = nn.Parameter(torch.zeros(end, dtype=first.dtype, device=first.device))
        self.vector.grad = torch.zeros_like(self.vector)
        for slot in self.slots:
            self.values(slot).copy_(slot.before.reshape(-1))
        # Of AllBut what is left out, as it was. Here already: a step that is done must not run out of memory.
        self._left_out = {
            slot.name: slot.before.reshape(-1)[slot.indices] for slot in self.slots if isinstance(slot.mask, AllBut)
        }

    def values(self, slot: Slot) -> Tensor:
        """The slice of a slot."""
        return self.vector.data[slot.place]

    def gradient(self, slot: Slot) -> Tensor:
        """The slice of a slot in the gradient."""
        assert self.vector.grad is not None
        return self.vector.grad[slot.place]

    @property
    def layout(self) -> str:
        """Stands for which value is where in the vector: a sha256, in hex."""
        slots = [(slot.name, slot.place.start, slot.place.stop, type(slot.mask).__name__) for slot in self.slots]
        return hashlib.sha256(json.dumps([len(self.vector), slots]).encode()).hexdigest()

    @property
    def whole_matrices(self) -> int:
        """Number of values at the head of the vector that belong to whole matrices."""
        return next((slot.place.start for slot in self.slots if not slot.is_whole_matrix), len(self.vector))

    def zero_grad(self) -> None:
        """Forget the gradient of the last step."""
        assert self.vector.grad is not None
        self.vector.grad.zero_()

    def settle_gradient(self) -> None:
        """After a backward pass: nothing of what is left out may count towards the gradient's norm."""
        for slot in self.slots:
            if isinstance(slot.mask, AllBut):
                assert slot.indices is not None
                self.gradient(slot).index_fill_(0, slot.indices, 0)

    @torch.no_grad()
    def settle_values(self) -> None:
        """After a step of the optimizer: what is left out is as it was, whatever weight decay did to it."""
        for slot in self.slots:
            if isinstance(slot.mask, AllBut):
                assert slot.indices is not None
                self.values(slot).index_copy_(0, slot.indices, self._left_out[slot.name])

    @torch.no_grad()
    def distance(self, slot: Slot, within: Mask | None = None) -> float:
        """Sum of the absolute differences between a tensor's values before training and now.

        With `within`, only of the entries of that mask; it is the slot's own, or the whole tensor is trained.
        """
        moved = (self.values(slot).double() - slot.before.reshape(-1).double()).abs()
        if within is not None and within != slot.mask:
            assert isinstance(slot.mask, Whole)
            moved = moved[torch.from_numpy(places(within, slot.shape)).to(moved.device)]
        return float(moved.sum())

    def trained(self) -> TrainedValues:
        """A copy of the trained values."""
        tensors: dict[str, TrainedTensor] = {}
        for slot in self.slots:
            values = self.values(slot).cpu().numpy().copy()
            if isinstance(slot.mask, AllBut):
                values = values[complement(slot.mask.indices, values.size)]
            tensors[slot.name] = TrainedTensor(slot.shape, slot.mask, values)
        return TrainedValues(tensors)


def _is_whole_matrix(mask: Mask, shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and isinstance(mask, Whole | AllBut)


def _slot(name: str, mask: Mask, tensor: Tensor, start: int, *, alone: bool) -> Slot:
    shape = tuple(tensor.shape)
    # What is left out of AllBut has its place in the slice too: it is the smaller part.
    size = tensor.numel() if isinstance(mask, AllBut) else mask.count(shape)
    indices = None if isinstance(mask, Whole) else torch.from_numpy(mask.indices.copy()).to(tensor.device)
    slot = Slot(name, mask, shape, slice(start, start + size), indices, tensor)
    # The pretrained values of a whole matrix are not copied: nothing writes to them while a trial is alone.
    return slot if alone and slot.is_whole_matrix else replace(slot, before=slot.gather(tensor).clone())


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
        chosen = torch.from_numpy(places(tensor.mask, tensor.shape))
        flat[chosen.to(flat.device)] = torch.from_numpy(tensor.values).to(flat)
