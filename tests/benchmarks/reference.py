"""A loop in the style of the reference code, as the paper's study was run with it.

Every example is padded to 128 tokens. Strategies that train parts of tensors compute every dense gradient, multiply it
with a mask, and keep moments of all parameters; the others are trained by `requires_grad`. After each epoch it
evaluates the training set as well as the validation set, in batches of the size that it trains with.

It is faster than the reference in two places, so that nothing is won by them: its AdamW is fused, and its masks are
multiplied instead of indexed with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from bitspec.ir.masks import Whole
from bitspec.training.encoding import Batch, Encoded
from bitspec.training.noise import batch_order
from tests.benchmarks.contestants import Masked, Plain
from tests.benchmarks.models import Cell, head_of, with_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Tokens of every example.
LENGTH: Final = 128


def padded(split: Encoded, chosen: Tensor, device: torch.device, length: int = LENGTH) -> Batch:
    """The chosen examples, padded to `length` tokens, however short they are."""
    lengths = split.lengths_N[chosen]
    inputs = {}
    for name, column in split.columns.items():
        inputs[name] = torch.zeros(len(chosen), length, dtype=torch.int64)
        inputs[name][:, : column.shape[1]] = column[chosen]
    inputs["attention_mask"] = (torch.arange(length)[None, :] < lengths[:, None]).long()
    return Batch({name: part.to(device) for name, part in inputs.items()}, split.labels_N[chosen].to(device))


class Reference:
    """One strategy in training, on the batches that bitspec sees."""

    def __init__(self, model: PreTrainedModel, cell: Cell, training: Encoded) -> None:
        self.model, self._training = model, training
        self._order = batch_order(cell.seed, 1, len(training)).split(cell.settings.batch_size)
        masks = with_head(cell.masks, head_of(model))
        is_plain = all(isinstance(mask, Whole) for mask in masks.values())
        self._loop = (Plain if is_plain else Masked)(model, masks, cell.settings)

    def step(self, number: int) -> None:
        """Train on a batch of the first epoch."""
        self._loop.step(padded(self._training, self._order[number], self.model.device))


@torch.no_grad()
def evaluate(model: PreTrainedModel, split: Encoded, size: int) -> Iterator[list[int]]:
    """The predictions for a split, a batch of so many examples at a time."""
    model.eval()
    for chosen in torch.arange(len(split)).split(size):
        yield model(**padded(split, chosen, model.device).inputs).logits.argmax(1).tolist()
