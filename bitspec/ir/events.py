"""What a runner says while it works: events, and the result of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bitspec.ir.base import Noun
from bitspec.ir.values import TrainedValues


class Epoch(Noun):
    """One pass over the training set and the evaluation after it.

    `number` counts from 1. `loss` is the mean training loss over the examples of the epoch, with dropout;
    `validation_loss` that of the validation set, without. `metrics` holds every metric of the task as a fraction
    (`accuracy`, `f1`, `accuracy_mismatched` …), `score` the main one × 100. `seconds` is the time of both; trials that
    are trained together have equal shares of it.
    """

    number: int
    loss: float
    validation_loss: float
    score: float
    metrics: dict[str, float]
    seconds: float


class Change(Noun):
    """How far training moved a tensor of the backbone of which something was trained.

    `change` is the mean absolute difference between its values before and after, over all its entries (the paper's
    (1/dim b)·‖b_0 − b_F‖_1); `trained_change` over the `trained` entries alone. `entries` is its size.
    """

    tensor: str
    role: str | None
    layer: int | None
    kind: str
    entries: int
    trained: int
    change: float
    trained_change: float


class Predictions(Noun):
    """What the trained model says of a validation set, example by example, in the order of the file.

    For a classification `labels` and `predictions` are numbers of classes, and `margins` is the logit of the right
    class less the largest of the others: positive where the prediction is right. For a regression `margins` is
    the prediction less the label.
    """

    split: str
    labels: tuple[float, ...]
    predictions: tuple[float, ...]
    margins: tuple[float, ...]


class Result(Noun):
    """All that a finished trial has to tell, but its trained values.

    `trainable` is the number of selected entries of the backbone, `percent` its share of all of the backbone's,
    `head` the number of entries that were trained and are not counted (the head; the pooler, if it is trained with
    it). `pack` are the keys that were trained together with it, its own included. `seconds` is the time of training and
    evaluation: of a pack's time an equal share for each of its trials, so that sums over trials are true.
    """

    key: str
    trainable: int
    percent: float
    head: int
    epochs: tuple[Epoch, ...]
    changes: tuple[Change, ...]
    predictions: tuple[Predictions, ...]
    training_examples: int
    validation_examples: int
    seconds: float
    device: str
    threads: int
    pack: tuple[str, ...]
    model_fingerprint: str
    data_fingerprint: str

    @property
    def score(self) -> float:
        """The main metric × 100 after the last epoch."""
        return self.epochs[-1].score

    @property
    def best(self) -> Epoch:
        """The first of the epochs with the highest score."""
        return max(self.epochs, key=lambda epoch: epoch.score)


@dataclass(frozen=True)
class Started:
    """A trial begins: it will take so many steps an epoch; `step` of all of them are done, where it goes on."""

    key: str
    epochs: int
    steps: int
    step: int = 0


@dataclass(frozen=True)
class Stepped:
    """A trial has done `step` steps of `epoch` (both from 1); `loss` is the epoch's mean so far. Told now and then."""

    key: str
    epoch: int
    step: int
    loss: float


@dataclass(frozen=True)
class EpochEnded:
    """A trial has trained and evaluated one epoch."""

    key: str
    epoch: Epoch


@dataclass(frozen=True)
class Notice:
    """Something that the user should know of a trial, and of those that are trained with it. They go on."""

    key: str
    message: str


@dataclass(frozen=True)
class NotSaved(Notice):
    """They could not be saved on their way: `message` says why."""


@dataclass(frozen=True)
class NotCaptured(Notice):
    """Their steps are not replayed as CUDA graphs any more, but computed: `message` says why."""


@dataclass(frozen=True)
class Finished:
    """A trial is done; `values` are what it trained, where they are to be kept."""

    key: str
    result: Result
    values: TrainedValues | None


#: How a trial ends that has no result.
Ending: TypeAlias = Literal["failed", "diverged"]


@dataclass(frozen=True)
class Failed:
    """A trial ended without a result: it diverged (its loss is no number), or something went wrong.

    `message` says what, in the user's words; `help` what to do about it.
    """

    key: str
    status: Ending
    message: str
    help: str | None = None


Event: TypeAlias = Started | Stepped | EpochEnded | NotSaved | NotCaptured | Finished | Failed
