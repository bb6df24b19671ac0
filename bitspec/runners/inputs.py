"""What packs are trained on: models, and the examples of tasks in their tokens, from where the user has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.study import Model, Task
from bitspec.parameters.cache import cache_folder, catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.models import model_folder
from bitspec.runners.protocol import Work

if TYPE_CHECKING:
    from bitspec.training.encoding import Encoded, Tokenizer
    from bitspec.training.examples import Examples


@dataclass(frozen=True)
class Facts:
    """What a training has to know of a task's examples beside their tokens; `training` is how many it trains on."""

    outputs: int
    metric: str
    fingerprint: str
    training: int

    def scores(self, split: str, labels: Sequence[float], predictions: Sequence[float]) -> dict[str, float]:
        """Every metric of the task on a validation set, as fractions by name; see `bitspec.training.metrics`."""
        from bitspec.training.metrics import all_scores

        return all_scores(self.metric, self.outputs, split, labels, predictions)


class Inputs:
    """Reads models and data on this machine. A runner that trains on others gives its benches inputs of its own."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._examples = lru_cache(2)(self._read)

    def folder(self, model: Model) -> Path:
        """The folder with a model's files. Raises BitspecError if it is not there."""
        # It was fetched when the run was planned. A folder that is gone since must not become a name on the hub.
        folder = model_folder(
            model.source, model.revision, base=self.work.base, fetch=False, allow_pickle=self.work.allow_pickle
        )
        if folder is None:
            message = f"the model `{model.source}` is not on this machine any more"
            raise BitspecError(error("input-changed", message, help="put it back, and run the same again"))
        return folder

    def catalogue(self, model: Model) -> Catalogue:
        """A model's catalogue. Raises BitspecError if it cannot be had."""
        return catalogue(model.source, model.revision, base=self.work.base)

    def facts(self, task: Task) -> Facts:
        """The facts of a task's examples. Raises BitspecError if they cannot be read."""
        examples = self._examples(task)
        return Facts(examples.outputs, examples.metric, examples.fingerprint, len(examples.training))

    def encoded(
        self,
        model: Model,  # noqa: ARG002 - other inputs know by it what was tokenised before
        task: Task,
        max_length: int,
        tokenizer: Tokenizer,
    ) -> tuple[Encoded, ...]:
        """The training set and the validation sets of a task in the tokens of a model, whose tokenizer is given."""
        from bitspec.training.encoding import encode

        examples = self._examples(task)
        splits = (examples.training, *examples.validation)
        return tuple(encode(split, tokenizer, max_length, regression=examples.outputs == 1) for split in splits)

    def _read(self, task: Task) -> Examples:
        from bitspec.training.tasks import read_task

        return read_task(task, base=self.work.base, data_dir=self.work.data_dir, cache=cache_folder())
