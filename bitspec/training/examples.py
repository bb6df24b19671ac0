"""A task's data: sentences, or pairs of them, and their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from json import JSONEncoder

#: The JSON that fingerprints are made of: one form for one value, and nothing outside ASCII.
_canonical = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


@dataclass(frozen=True)
class Split:
    """The training set (`training`), or a validation set (`validation`; MNLI's second is `validation_mismatched`).

    `texts` holds one or two sentences for each example, `labels` numbers of classes (from 0), or the numbers that a
    regression is to predict.
    """

    name: str
    texts: tuple[tuple[str, ...], ...]
    labels: tuple[int, ...] | tuple[float, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Examples:
    """All of a task's data.

    `classes` are the names of the classes in the order of their numbers; a regression has none. `metric` is the main
    one. Where it is `f1`, the positive class is the second of two.
    """

    task: str
    training: Split
    validation: tuple[Split, ...]
    classes: tuple[str, ...]
    metric: str

    @property
    def outputs(self) -> int:
        """Outputs of the head: one for each class, or a single number."""
        return len(self.classes) or 1

    def scores(self, split: str, labels: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
        """Every metric of the task on a validation set, as fractions by name; see `bitspec.training.metrics`."""
        from bitspec.training.metrics import all_scores  # which brings numpy

        return all_scores(self.metric, self.outputs, split, labels, predictions)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256, in hex, of all that a model sees of the task: texts, labels and splits, in their order.

        It is the same wherever the examples were read from; names of tasks, columns, files and classes are not in it.
        """
        digest = hashlib.sha256()
        digest.update(_canonical(["examples", 1, self.outputs]).encode())
        for split in (self.training, *self.validation):
            digest.update(f"\n{_canonical([split.name, len(split)])}".encode())
            for texts, label in zip(split.texts, split.labels, strict=True):
                digest.update(f"\n{_canonical([*texts, label])}".encode())
        return digest.hexdigest()
