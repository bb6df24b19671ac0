"""What trials changed, for those that select by it: from trained values to the change of every entry."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bitspec.ir.masks import places
from bitspec.ir.values import TrainedValues
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.sampling import Values


def changes(trained: TrainedValues, facts: Catalogue, pretrained: Values) -> Values:
    """The trained less the pretrained values of tensors by their names; 0 where nothing was trained."""

    def change(name: str) -> npt.NDArray[np.floating]:
        before = pretrained(name)
        found = np.zeros(before.shape, before.dtype)
        tensor = trained.tensors.get(facts.full_name(facts[name]))
        if tensor is not None:
            chosen = places(tensor.mask, tensor.shape)
            found.ravel()[chosen] = tensor.values - before.ravel()[chosen]
        return found

    return change
