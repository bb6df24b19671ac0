"""What rankings look at before a trial is trained: gradients of its training examples at the pretrained values.

The head is the one that the trial begins with; dropout is off, and the arithmetic is float32 whatever the trial's
precision. The examples are the first ones of the trial's first epoch. Shapes: B examples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bitspec.training.encoding import Encoded
from bitspec.training.loop import losses_of
from bitspec.training.model import Prepared
from bitspec.training.noise import batch_order


@dataclass(frozen=True)
class Before:
    """A trial before it is trained: its model, its training set, and what its head is keyed by.

    `batch_size` is how many examples the gradient of the mean loss takes at a time.
    """

    prepared: Prepared
    training: Encoded
    task: str
    seed: int
    batch_size: int

    def gradient(self, names: Sequence[str], examples: int) -> dict[str, npt.NDArray[np.floating]]:
        """The gradient of the mean loss over so many examples, for parameters by their full names."""
        found: dict[str, Tensor] = {}
        for count, gradients in self._gradients(names, examples, self.batch_size):
            for name, gradient in gradients.items():
                found[name] = gradient * count + found[name] if name in found else gradient * count
        return _arrays(found, min(examples, len(self.training)))

    def fisher(self, names: Sequence[str], examples: int) -> dict[str, npt.NDArray[np.floating]]:
        """The diagonal of the empirical Fisher information: the mean of single examples' squared gradients.

        With the labels of the data, as in FISH masks (arXiv:2111.09839, equation 4).
        """
        found: dict[str, Tensor] = {}
        for _, gradients in self._gradients(names, examples, 1):
            for name, gradient in gradients.items():
                found[name] = gradient.square().add_(found[name]) if name in found else gradient.square()
        return _arrays(found, min(examples, len(self.training)))

    def _gradients(self, names: Sequence[str], examples: int, size: int) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        """The gradient of the mean loss of each batch, with its number of examples."""
        prepared, model = self.prepared, self.prepared.model
        prepared.new_head(self.seed, self.task)
        parameters = {name: model.get_parameter(name) for name in names}
        chosen = batch_order(self.seed, 1, len(self.training))[:examples]
        with _differentiable([*parameters.values()]), torch.enable_grad():
            model.eval()
            for chosen_B in chosen.split(size):
                batch = self.training.batch(chosen_B, prepared.device)
                prepared.noise.begin_step(0, batch.inputs["attention_mask"])
                loss = losses_of(model(**batch.inputs).logits[None], batch.labels_B[None]).sum()
                gradients = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
                yield len(chosen_B), dict(zip(parameters, gradients, strict=True))


@contextmanager
def _differentiable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)


def _arrays(sums: Mapping[str, Tensor], count: int) -> dict[str, npt.NDArray[np.floating]]:
    arrays = {name: (total / count).cpu().numpy() for name, total in sums.items()}
    for array in arrays.values():
        array.flags.writeable = False  # several trials may look at them
    return arrays
