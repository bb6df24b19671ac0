"""Puts the trained values of a pack of trials into a model, in place of the model's own.

Each tensor of which something is trained is bound in one of four ways:

    view     a whole matrix of a trial that is alone: the model's tensor is the slice of its vector
    table    a vector, or a whole matrix in a pack (a head): a tensor (trials, …), with the model's own values where
             a trial trains nothing; the layer is computed with each trial's row of it
    part     rows, columns or entries of a matrix: products with the part alone (sparse.py). A trial that is alone
             writes its values into the model's tensor after each step; in a pack, and where frozen matrices are kept
             in a narrow type, the layer adds what they changed
    hook     in architectures whose layers we do not replace (a trial is alone there) for all that is no whole tensor:
             values are written after each step, and the dense gradient is gathered as soon as it is formed

Tables and parts go through `leaf`, one tensor with all values of the pack, so that autograd sees one leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bitspec.ir.masks import AllBut, Cols, Entries, Rows, Whole, places
from bitspec.training.layers import LINEAR, Bound, forward_with
from bitspec.training.sparse import Part, Trained
from bitspec.training.state import Slot, Trainable


@dataclass(frozen=True)
class _Ports:
    """What the leaf becomes: tables, and slices for the parts.

    `base` holds all tables one after the other, with the model's own values. Of each value of the tables, `sources`
    says where it is in base and leaf, laid end to end; of each value of the leaf, `places` says where it is in the
    tables, or that it is in none (one past their end). So both directions only gather, in any order of sums.
    """

    base: Tensor
    sources: Tensor
    places: Tensor
    shapes: tuple[tuple[int, ...], ...]
    slices: tuple[slice, ...]


class _Spread(torch.autograd.Function):
    """The leaf as tables and slices: one step of autograd, however many there are."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, ports: _Ports) -> tuple[Tensor, ...]:
        ctx.ports = ports
        tables = torch.cat([ports.base, leaf]).index_select(0, ports.sources)
        sizes = [int(np.prod(shape)) for shape in ports.shapes]
        found = [table.view(shape) for table, shape in zip(tables.split(sizes), ports.shapes, strict=True)]
        return (*found, *(leaf[place].clone() for place in ports.slices))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        ports: _Ports = ctx.ports
        tables = [gradient.reshape(-1) for gradient in gradients[: len(ports.shapes)]]
        found = torch.cat([*tables, gradients[0].new_zeros(1)]).index_select(0, ports.places)
        for place, gradient in zip(ports.slices, gradients[len(ports.shapes) :], strict=True):
            found[place] = gradient
        return found, None


class Binding:
    """A model with the values of some trials in it, until `close` gives it back as it was, bit for bit.

    `blocks` are the model's layers, one after the other, where the architecture is one that we know; of another it is
    None, and a trial must be alone, or ValueError is raised. With `frozen_type`, the matrices of linear layers that
    keep their values are kept in that type meanwhile, so that they need not be converted in each step.
    """

    def __init__(
        self,
        model: nn.Module,
        trials: Sequence[Trainable],
        *,
        blocks: Sequence[nn.Module] | None,
        frozen_type: torch.dtype | None = None,
    ) -> None:
        if blocks is None and len(trials) != 1:
            raise ValueError("trials of an architecture that is not known are trained one at a time")
        self.trials = tuple(trials)
        self._is_alone, self._is_known = len(trials) == 1, blocks is not None
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
        self._undo: list[Callable[[], object]] = []
        #: Slots of a trial that is alone, whose values are written into the model after each step.
        self._written: list[Slot] = []
        for parameter in self._parameters.values():
            parameter.requires_grad_(False)
            parameter.grad = None
        try:
            ported: dict[str, list[tuple[int, Slot]]] = {}
            for number, trial in enumerate(trials):
                for slot in trial.slots:
                    if blocks is None or (self._is_alone and slot.is_whole_matrix):
                        self._bind_native(trial, slot)
                    else:
                        ported.setdefault(slot.name, []).append((number, slot))
            if frozen_type is not None:
                self._convert_frozen(model, frozen_type)
            # Of frozen matrices in a narrow type, small changes would be lost in it: they are added, as in a pack.
            self._writes_parts = self._is_alone and frozen_type is None
            self._leaf, starts = self._make_leaf(ported)
            self._ports, self._wires = self._make_ports(model, ported, starts)
            if not self._is_alone:
                self._expand_before(blocks or (), ported)
        except BaseException:  # what stays would take part in the trials to come
            self.close()
            raise

    def spread(self) -> None:
        """Before each forward pass: hand the layers their values."""
        if self._leaf is None:
            return
        found = _Spread.apply(self._leaf, self._ports)
        for wire in self._wires:
            wire.bound.tables = {name: found[number] for name, number in wire.tables}
            wire.bound.values = tuple(found[number] for number in wire.parts)

    @torch.no_grad()
    def write(self) -> None:
        """After a step of the optimizers: put new values where the model keeps them."""
        for trial in self.trials:
            trial.settle_values()
        for slot in self._written:
            slot.scatter(self.trials[0].values(slot), self._parameters[slot.name].data)

    @torch.no_grad()
    def close(self) -> None:
        """Give the model back as it was before, bit for bit, with no gradient asked for."""
        while self._undo:
            self._undo.pop()()
        for parameter in self._parameters.values():
            parameter.grad = None
            parameter.requires_grad_(False)

    def _bind_native(self, trial: Trainable, slot: Slot) -> None:
        """Let the model's own tensor ask for a gradient."""
        parameter = self._parameters[slot.name]
        parameter.requires_grad_(True)
        if isinstance(slot.mask, Whole | AllBut):
            pretrained = parameter.data
            self._undo.append(lambda: setattr(parameter, "data", pretrained))
            # Autograd adds to the gradient that is there, which is a view of the vector's.
            parameter.data = trial.values(slot).view(slot.shape)
            parameter.grad = trial.gradient(slot).view(slot.shape)
            return

        def keep_selected(dense: Tensor) -> None:
            assert dense.grad is not None
            trial.gradient(slot).copy_(slot.gather(dense.grad))
            dense.grad = None

        self._undo.append(parameter.register_post_accumulate_grad_hook(keep_selected).remove)
        self._write_each_step(slot)

    def _write_each_step(self, slot: Slot) -> None:
        parameter = self._parameters[slot.name]
        self._written.append(slot)
        self._undo.append(lambda: slot.scatter(slot.before, parameter.data))
        slot.scatter(self.trials[0].values(slot), parameter.data)  # of a trial that goes on where it was

    def _convert_frozen(self, model: nn.Module, frozen_type: torch.dtype) -> None:
        looked_up = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Embedding)}
        for layer in model.modules():
            weight = getattr(layer, "weight", None)
            if isinstance(layer, LINEAR) and isinstance(weight, nn.Parameter):
                if weight.requires_grad or id(weight) in looked_up:
                    continue
                self._undo.append(partial(setattr, weight, "data", weight.data))
                weight.data = weight.data.to(frozen_type)

    def _make_leaf(self, ported: Mapping[str, object]) -> tuple[nn.Parameter | None, list[int]]:
        """The leaf, and where in it the vector of each trial starts."""
        if not ported:
            return None, []
        if self._is_alone:
            vector = self.trials[0].vector
            assert vector.grad is not None
            start = self.trials[0].whole_matrices
            leaf = nn.Parameter(vector.data[start:])
            leaf.grad = vector.grad[start:]
            return leaf, [-start]
        leaf = nn.Parameter(torch.cat([trial.vector.data for trial in self.trials]))
        leaf.grad = torch.zeros_like(leaf)
        starts, start = [], 0
        for trial in self.trials:
            starts.append(start)
            end = start + len(trial.vector)
            trial.vector.data, trial.vector.grad = leaf.data[start:end], leaf.grad[start:end]
            start = end
        return leaf, starts

    def _make_ports(
        self, model: nn.Module, ported: Mapping[str, list[tuple[int, Slot]]], starts: Sequence[int]
    ) -> tuple[_Ports, list[_Wire]]:
        """Tables and parts of all that is ported, and the layers that take them."""
        base: list[Tensor] = []
        sources, spots = [], []
        shapes: list[tuple[int, ...]] = []
        slices: list[slice] = []
        tables: dict[int, int] = {}
        parts: dict[int, list[Trained]] = {}
        numbers: dict[int, list[int]] = {}
        size = 0
        for name, trained in ported.items():
            parameter = self._parameters[name]
            if parameter.dim() > 1 and not any(slot.is_whole_matrix for _, slot in trained):
                parts[id(parameter)] = [self._part(number, slot) for number, slot in trained]
                numbers[id(parameter)] = list(range(len(slices), len(slices) + len(trained)))
                slices += [slice(slot.place.start + starts[k], slot.place.stop + starts[k]) for k, slot in trained]
                continue
            tables[id(parameter)] = len(shapes)
            for number, slot in trained:
                mask = Whole() if isinstance(slot.mask, AllBut) else slot.mask  # the slice holds all of it
                spots.append(size + number * parameter.numel() + places(mask, slot.shape))
                sources.append(np.arange(slot.place.start, slot.place.stop) + starts[number])
            shapes.append((len(self.trials), *parameter.shape))
            base += [parameter.data.reshape(-1)] * len(self.trials)
            size += len(self.trials) * parameter.numel()
        device = next(iter(self._parameters.values())).device
        kind = self.trials[0].vector.dtype
        leaf, own = (np.concatenate([np.empty(0, np.int64), *found]) for found in (sources, spots))
        from_tables = np.arange(size)
        from_tables[own] = size + leaf
        from_leaf = np.full(0 if self._leaf is None else len(self._leaf), size)
        from_leaf[leaf] = own
        ports = _Ports(
            torch.cat(base).to(kind) if base else torch.empty(0, dtype=kind, device=device),
            torch.from_numpy(from_tables).to(device),
            torch.from_numpy(from_leaf).to(device),
            tuple(shapes),
            tuple(slices),
        )
        return ports, list(self._wire(model, tables, parts, numbers, first_part=len(shapes)))

    def _part(self, number: int, slot: Slot) -> Trained:
        assert isinstance(slot.mask, Rows | Cols | Entries)
        if self._writes_parts:
            self._write_each_step(slot)
        part = Part.of(slot.mask, (slot.shape[0], slot.shape[1]), slot.before.device)
        return Trained(number, part, None if self._writes_parts else slot.before)

    def _wire(
        self,
        model: nn.Module,
        tables: Mapping[int, int],
        parts: Mapping[int, list[Trained]],
        numbers: Mapping[int, list[int]],
        *,
        first_part: int,
    ) -> Iterator[_Wire]:
        """Replace the forward of every layer that has something of it; a tied tensor may be in several.

        That of the other linear layers too: products with a frozen matrix have a faster way than torch's own.
        """
        for layer in model.modules():
            own = {name: id(parameter) for name, parameter in layer.named_parameters(recurse=False)}
            bound = Bound(len(self.trials))
            found = tuple((name, tables[key]) for name, key in own.items() if key in tables)
            key = own.get("weight", 0)
            if key in parts:
                bound.take_parts(layer, parts[key])
            elif not found and not (self._is_known and isinstance(layer, LINEAR)):
                continue
            forward = forward_with(layer, bound)
            layer.forward = forward
            self._undo.append(partial(delattr, layer, "forward"))
            yield _Wire(bound, found, tuple(first_part + number for number in numbers.get(key, ())))

    def _expand_before(self, blocks: Sequence[nn.Module], ported: Mapping[str, object]) -> None:
        """Trials share a row of tokens up to the first block that tells them apart."""
        trained = {id(self._parameters[name]) for name in ported}

        def expand(_block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (inputs[0].expand(len(self.trials), -1, -1), *inputs[1:])

        for block in blocks:
            if any(id(parameter) in trained for parameter in block.parameters()):
                self._undo.append(block.register_forward_pre_hook(expand).remove)
                return


@dataclass(frozen=True)
class _Wire:
    """A replaced layer, and which of the ports' tables (by name) and parts are its own."""

    bound: Bound
    tables: tuple[tuple[str, int], ...]
    parts: tuple[int, ...]
