"""Examples as a model takes them: token ids, padded only to the longest of a batch.

Shapes: N examples, B examples of a batch, T tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bitspec.training.examples import Split
from bitspec.training.layout import Ragged, Tokens, send

#: What makes tokens of texts.
Tokenizer: TypeAlias = PreTrainedTokenizerBase

#: Examples of one forward pass of the evaluation, which keeps no activations.
EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Batch:
    """A batch: what the model's forward takes (each BT), and the labels (B)."""

    inputs: dict[str, Tensor]
    labels_B: Tensor


@dataclass(frozen=True)
class Encoded:
    """A split of a task in the tokens of a model.

    `columns` holds ids (and token types, where the model has them) as one int32 matrix each, padded on the right to
    the longest of all; `lengths_N` counts the real tokens. `labels_N` are int64 classes, or float64 of a regression.
    """

    name: str
    columns: dict[str, Tensor]
    lengths_N: Tensor
    labels_N: Tensor

    def __len__(self) -> int:
        return len(self.lengths_N)

    def batch(self, chosen_B: Tensor, device: torch.device) -> Batch:
        """The chosen examples, in their order, padded to the longest of them."""
        lengths_B = self.lengths_N[chosen_B]
        longest = int(lengths_B.max())
        inputs = {name: column[chosen_B, :longest].long() for name, column in self.columns.items()}
        inputs["attention_mask"] = (torch.arange(longest)[None, :] < lengths_B[:, None]).long()
        return Batch({name: part.to(device) for name, part in inputs.items()}, self.labels_N[chosen_B].to(device))

    def tokens(
        self, chosen: Sequence[Tensor], streams: Sequence[int], device: torch.device, *, causal: bool
    ) -> tuple[Tokens, Tensor]:
        """One batch of chosen examples for each stream, without padding, and the labels of each trial's (K, B).

        `streams` says for each trial which stream is its own.
        """
        lengths = [self.lengths_N[chosen_B].tolist() for chosen_B in chosen]
        layout = Ragged(lengths, streams, device, causal=causal)
        rows = self.rows([chosen[stream] for stream in layout.fed], layout.tokens)
        columns = {name: send(own, device) for name, own in rows.items()}
        labels_KB = send(torch.stack([self.labels_N[chosen[stream]] for stream in streams]), device)
        return Tokens(columns["input_ids"], columns.get("token_type_ids"), layout), labels_KB

    def rows(self, chosen: Sequence[Tensor], width: int) -> dict[str, Tensor]:
        """The tokens of each of several batches, its examples one after the other, as a row of so many; zeros after."""
        found = {name: torch.zeros(len(chosen), width, dtype=torch.int64) for name in self.columns}
        for row, chosen_B in enumerate(chosen):
            lengths_B = self.lengths_N[chosen_B]
            longest = int(lengths_B.max())
            real = torch.arange(longest)[None, :] < lengths_B[:, None]
            for name, column in self.columns.items():
                own = column[chosen_B, :longest][real]
                found[name][row, : len(own)] = own
        return found

    def by_length(self, size: int = EVALUATION_BATCH) -> Iterator[Tensor]:
        """All examples in batches of like lengths, so that little is padded; which, not what is in them."""
        yield from torch.argsort(self.lengths_N, stable=True).split(size)


def encode(split: Split, tokenizer: Tokenizer, max_length: int, *, regression: bool) -> Encoded:
    """Tokenise a split. Of a pair that is longer than `max_length` tokens, the longer sentence is cut first."""
    sentences = [list(column) for column in zip(*split.texts, strict=True)]
    coded = tokenizer(*sentences, truncation=True, max_length=max_length, padding=False)
    # An empty text may be no token at all, as in GPT-2; one of padding stands for it, so that there is one to read.
    lengths = np.fromiter((max(1, len(ids)) for ids in coded["input_ids"]), np.int64, len(split.texts))
    columns: dict[str, Tensor] = {}
    for name in ("input_ids", "token_type_ids"):
        if name in coded:
            fill = tokenizer.pad_token_id or 0 if name == "input_ids" else 0
            matrix = np.full((len(lengths), int(lengths.max())), fill, np.int32)
            for row, ids in enumerate(coded[name]):
                matrix[row, : len(ids)] = ids
            columns[name] = torch.from_numpy(matrix)
    labels = torch.tensor(split.labels, dtype=torch.float64 if regression else torch.int64)
    return Encoded(split.name, columns, torch.from_numpy(lengths), labels)
