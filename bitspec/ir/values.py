"""The values that a trial trained: for each tensor its mask, and the values of the masked entries only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitspec.ir.masks import Mask, Shape


@dataclass(frozen=True)
class TrainedTensor:
    """The trained entries of one tensor.

    `shape` is the whole tensor's. `values` is flat: the masked entries in row-major order, whatever the mask.
    """

    shape: Shape
    mask: Mask
    values: npt.NDArray[np.floating]


@dataclass(frozen=True)
class TrainedValues:
    """Everything that a trial trained, by full name in the whole model (`bert.encoder.layer.0.…`), head included."""

    tensors: Mapping[str, TrainedTensor]

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(tensor.values.size for tensor in self.tensors.values())
