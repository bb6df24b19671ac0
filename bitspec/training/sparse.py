"""Products with the selected part of a matrix alone: its gradient, and what it adds to a layer's output.

A matrix as it is stored is R × C. Of a linear layer it is (out, in), y = x Wᵀ; of GPT-2's Conv1D it is (in, out),
y = x W; of an embedding it is (vocabulary, features). For N tokens its gradient is leftᵀ · right, with left N × R and
right N × C: (gradient of y, x) for a linear layer, and the other way round for Conv1D. Values of a part lie flat, as
the mask has them: rows after rows, columns beside columns (R × number of columns), or entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitspec.ir.masks import Cols, Entries, Rows
from bitspec.training.products import linear

#: Tokens of one step of a product with single entries, so that what is gathered stays in a cache.
_STEP: Final = 256


@dataclass(frozen=True)
class Part:
    """A part of a matrix: lines, or entries, of which `first` are the rows and `second` the columns."""

    mask: Rows | Cols | Entries
    shape: tuple[int, int]
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, mask: Rows | Cols | Entries, shape: tuple[int, int], device: torch.device) -> Part:
        """The part that a mask picks. Of rows `first` are their numbers, of columns `second`; the other is empty."""
        nothing = np.empty(0, np.int64)
        match mask:
            case Rows(indices=indices):
                first, second = indices.copy(), nothing
            case Cols(indices=indices):
                first, second = nothing, indices.copy()
            case Entries(indices=indices):
                first, second = np.divmod(indices, shape[1])
        return cls(mask, shape, torch.from_numpy(first).to(device), torch.from_numpy(second).to(device))

    def gradient(self, left_NR: Tensor, right_NC: Tensor) -> Tensor:
        """The part of leftᵀ · right, flat; nothing else of it is formed. Entries are summed in float32 at least."""
        match self.mask:
            case Rows():
                return (left_NR.index_select(1, self.first).t() @ right_NC).flatten()
            case Cols():
                return (left_NR.t() @ right_NC.index_select(1, self.second)).flatten()
            case Entries():
                wide = torch.promote_types(torch.float32, left_NR.dtype)
                total = torch.zeros(len(self.first), dtype=wide, device=left_NR.device)
                for left, right in zip(left_NR.split(_STEP), right_NC.split(_STEP), strict=True):
                    left, right = left.index_select(1, self.first), right.index_select(1, self.second)
                    total += left.to(wide).mul_(right).sum(0)
                return total

    def add_product(self, out: Tensor, x: Tensor, values: Tensor, *, transposed: bool) -> None:
        """Add x · P to out, or x · Pᵀ, where P is the part with these values, and 0 elsewhere."""
        lines = (self.first, self.second)
        values = values.to(x.dtype)
        match self.mask:
            case Rows():
                matrix = values.view(-1, self.shape[1])
                if transposed:
                    out.index_add_(1, self.first, x @ matrix.t())
                else:
                    out.addmm_(x.index_select(1, self.first), matrix)
            case Cols():
                matrix = values.view(self.shape[0], -1)
                if transposed:
                    out.addmm_(x.index_select(1, self.second), matrix.t())
                else:
                    out.index_add_(1, self.second, x @ matrix)
            case Entries():
                source, target = reversed(lines) if transposed else lines
                for place in range(0, len(x), _STEP):
                    step = slice(place, place + _STEP)
                    out[step].index_add_(1, target, x[step].index_select(1, source).mul_(values))


@dataclass(frozen=True)
class Trained:
    """A part of a matrix that one trial of a pack trains, by its number.

    `before` are its values in the model's own tensor; None where the trial is alone and writes its values there.
    """

    trial: int
    part: Part
    before: Tensor | None


class SparseLinear(torch.autograd.Function):
    """A linear layer with a frozen matrix, of which trials may train parts.

    x is (trials, tokens, in), or has one row for all of them; the bias (trials, out), or one for all, or none.
    `is_stored_out_in` tells a linear layer from Conv1D. The gradient of the matrix is formed for the parts alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_KNI: Tensor,
        weight: Tensor,
        bias_KO: Tensor | None,
        trained: tuple[Trained, ...],
        is_stored_out_in: bool,
        *values: Tensor,
    ) -> Tensor:
        """The layer's output, (trials, tokens, out)."""
        x_KNI = x_KNI.to(weight.dtype)
        matrix = weight if is_stored_out_in else weight.t()
        if bias_KO is None or len(bias_KO) == 1:
            out_KNO = linear(x_KNI, matrix, None if bias_KO is None else bias_KO[0])
        else:
            out_KNO = linear(x_KNI, matrix)
            out_KNO += bias_KO[:, None].to(out_KNO.dtype)
        pairs = zip(trained, values, strict=True)
        deltas = [None if one.before is None else value - one.before for one, value in pairs]
        for one, delta in zip(trained, deltas, strict=True):
            if delta is not None:
                one.part.add_product(out_KNO[one.trial], x_KNI[one.trial], delta, transposed=is_stored_out_in)
        ctx.save_for_backward(x_KNI if trained else None, weight, *deltas)
        ctx.trained, ctx.is_stored_out_in = trained, is_stored_out_in
        return out_KNO

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what was given; of the matrix none but those of the parts."""
        x_KNI, weight, *deltas = ctx.saved_tensors
        is_stored_out_in: bool = ctx.is_stored_out_in
        out_KNO = gradients[0].to(weight.dtype)
        x_gradient = bias_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = linear(out_KNO, weight.t() if is_stored_out_in else weight)
        if ctx.needs_input_grad[2]:
            bias_gradient = out_KNO.sum(1, dtype=torch.promote_types(torch.float32, out_KNO.dtype))
        values = []
        for one, delta in zip(ctx.trained, deltas, strict=True):
            x_NI, out_NO = x_KNI[one.trial], out_KNO[one.trial]
            left, right = (out_NO, x_NI) if is_stored_out_in else (x_NI, out_NO)
            values.append(one.part.gradient(left, right).to(torch.promote_types(torch.float32, out_NO.dtype)))
            if delta is not None and x_gradient is not None:
                one.part.add_product(x_gradient[one.trial], out_NO, delta, transposed=not is_stored_out_in)
        return (x_gradient, None, bias_gradient, None, None, *values)


@dataclass(frozen=True)
class Lookup:
    """A part of an embedding's table, and how to find what a token has of it.

    Of rows, `slots` says for each word which of the rows is its own, or their number if none is. Of entries, which of
    them come first for each word (one more than words); `most` is the largest number of entries of one word.
    """

    part: Part
    slots: Tensor | None
    most: int

    @classmethod
    def of(cls, part: Part) -> Lookup:
        """The lookup of a part."""
        words = part.shape[0]
        device = part.first.device
        match part.mask:
            case Rows():
                slots = torch.full((words,), len(part.first), device=device)
                slots[part.first] = torch.arange(len(part.first), device=device)
                return cls(part, slots, 0)
            case Cols():
                return cls(part, None, 0)
            case Entries(indices=indices):
                firsts = np.searchsorted(indices, np.arange(words + 1, dtype=np.int64) * part.shape[1])
                return cls(part, torch.from_numpy(firsts).to(device), int(np.diff(firsts).max()))

    def _entries(self, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        # For each token the entries of its word, as (N, most), and whether there is one.
        assert self.slots is not None
        entries = self.slots[ids_N][:, None] + torch.arange(self.most, device=ids_N.device)
        is_there = entries < self.slots[ids_N + 1][:, None]
        return entries.clamp_(max=len(self.part.first) - 1), is_there

    def gradient(self, ids_N: Tensor, out_ND: Tensor) -> Tensor:
        """The part's gradient, flat, from that of what was looked up."""
        part = self.part
        match part.mask:
            case Rows():
                assert self.slots is not None
                total = out_ND.new_zeros(len(part.first) + 1, part.shape[1])
                return total.index_add_(0, self.slots[ids_N], out_ND)[:-1].flatten()
            case Cols():
                total = out_ND.new_zeros(part.shape[0], len(part.second))
                return total.index_add_(0, ids_N, out_ND.index_select(1, part.second)).flatten()
            case Entries():
                entries, is_there = self._entries(ids_N)
                found = out_ND.gather(1, part.second[entries]).masked_fill_(~is_there, 0)
                return out_ND.new_zeros(len(part.first)).index_add_(0, entries.flatten(), found.flatten())

    def add(self, out_ND: Tensor, ids_N: Tensor, values: Tensor) -> None:
        """Add the part with these values to what was looked up."""
        part = self.part
        match part.mask:
            case Rows():
                assert self.slots is not None
                rows = torch.cat([values.view(-1, part.shape[1]), values.new_zeros(1, part.shape[1])])
                out_ND += rows[self.slots[ids_N]]
            case Cols():
                out_ND.index_add_(1, part.second, values.view(part.shape[0], -1)[ids_N])
            case Entries():
                entries, is_there = self._entries(ids_N)
                own = torch.arange(len(ids_N), device=ids_N.device)[:, None] * out_ND.shape[1] + part.second[entries]
                added = values[entries].masked_fill_(~is_there, 0)
                out_ND.view(-1).index_add_(0, own.flatten(), added.flatten())


class SparseEmbedding(torch.autograd.Function):
    """An embedding of which trials train parts: ids (1 or trials, tokens); what padding stands for gets no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        ids: Tensor,
        weight: Tensor,
        padding: int | None,
        trained: tuple[tuple[Trained, Lookup], ...],
        trials: int,
        *values: Tensor,
    ) -> Tensor:
        """What is looked up, (1 or trials, tokens, features)."""
        out = functional.embedding(ids, weight)
        ctx.trained, ctx.padding = trained, padding
        ctx.save_for_backward(ids)
        if any(one.before is not None for one, _ in trained):
            out = out.expand(trials, -1, -1).contiguous()
            for (one, lookup), value in zip(trained, values, strict=True):
                assert one.before is not None
                lookup.add(out[one.trial], ids[one.trial % len(ids)], value - one.before)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what was given; of the matrix none but those of the parts."""
        (ids,) = ctx.saved_tensors
        values = []
        for one, lookup in ctx.trained:
            out_ND, ids_N = gradients[0][one.trial], ids[one.trial % len(ids)]
            if ctx.padding is not None:
                out_ND = out_ND.masked_fill((ids_N == ctx.padding)[:, None], 0)
            values.append(lookup.gradient(ids_N, out_ND))
        return (None, None, None, None, None, *values)
