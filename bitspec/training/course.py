"""Trials on their way: what each trains and how far it is, and the pack that goes together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bitspec.ir.events import Epoch, Predictions
from bitspec.ir.masks import Mask
from bitspec.ir.settings import Settings
from bitspec.training.checkpoints import Checkpoint, TrialState
from bitspec.training.noise import batch_order
from bitspec.training.state import Trainable


@dataclass(frozen=True)
class Recipe:
    """What may differ between the trials of a pack.

    `masks` are by full name and hold the head too. Of the settings, epochs, batch_size, max_length, precision and
    dropout are the same for all trials of a pack.
    """

    key: str
    seed: int
    settings: Settings
    masks: Mapping[str, Mask]


class Trial:
    """A trial in training: its values with their optimizer, and what came of it so far."""

    def __init__(self, recipe: Recipe, state: Trainable) -> None:
        self.key, self.seed, self.settings = recipe.key, recipe.seed, recipe.settings
        self.state = state
        settings = recipe.settings
        self.optimizer = torch.optim.AdamW(
            [state.vector],
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # Moments are there before the first step, so that memory cannot run out between two trials' steps.
        self.optimizer.state[state.vector] = {
            "step": torch.zeros((), device=state.vector.device),
            "exp_avg": torch.zeros_like(state.vector, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(state.vector, requires_grad=False),
        }
        self.epochs: list[Epoch] = []
        self.predictions: tuple[Predictions, ...] = ()
        #: Keys of the trials with which it was trained to its end, and whether that was in buckets.
        self.pack: tuple[str, ...] = ()
        self.in_buckets = False

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that a step changes: the values, and the optimizer's count of steps and moments."""
        return (self.state.vector.data, *self.optimizer.state[self.state.vector].values())

    def rate(self, number: int, steps: int) -> float:
        """The learning rate at a step (from 0) of so many."""
        return self.settings.learning_rate * rate(number, steps, self.settings)

    def step(self, learning_rate: float | Tensor) -> None:
        """After a backward pass: clip the gradient over all trained values, and follow it.

        Where the rate is a tensor, it is read when the step is computed, or replayed.
        """
        self.state.settle_gradient()
        if self.settings.clip_norm != "off":
            torch.nn.utils.clip_grad_norm_(self.state.vector, self.settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def set_capturable(self, is_capturable: bool) -> None:
        """Say whether steps are captured now, or computed: AdamW refuses the one, or warns of the other, untold."""
        for group in self.optimizer.param_groups:
            group["capturable"] = is_capturable

    def snapshot(self) -> TrialState:
        """How far it has come. On a CPU its arrays are the tensors' own memory."""
        moments = self.optimizer.state[self.state.vector]
        return TrialState(
            key=self.key,
            layout=self.state.layout,
            epochs=tuple(self.epochs),
            updates=int(moments["step"]),
            values=self.state.vector.detach().cpu().numpy(),
            mean=moments["exp_avg"].cpu().numpy(),
            square=moments["exp_avg_sq"].cpu().numpy(),
        )

    def fits(self, state: TrialState) -> bool:
        """Whether a state is one of this trial: of its key, with the same values in the same places."""
        shape = tuple(self.state.vector.shape)
        return (self.key, self.state.layout) == (state.key, state.layout) and all(
            array.shape == shape for array in (state.values, state.mean, state.square)
        )

    @torch.no_grad()
    def restore(self, state: TrialState) -> None:
        """Go on from where a trial was that `fits`."""
        moments = self.optimizer.state[self.state.vector]
        moments["step"].fill_(state.updates)
        for tensor, array in (
            (self.state.vector.data, state.values),
            (moments["exp_avg"], state.mean),
            (moments["exp_avg_sq"], state.square),
        ):
            tensor.copy_(torch.from_numpy(array))
        self.epochs = list(state.epochs)


class Course:
    """Trials on their way together: how far they are, and the sum of their losses in this epoch.

    It is `in_buckets` as long as its batches have the shapes of buckets, for the sake of CUDA graphs.
    """

    def __init__(self, trials: Sequence[Trial], *, in_buckets: bool = False) -> None:
        self.trials = list(trials)
        self.in_buckets = in_buckets
        self.step = 0
        self.epoch = 0
        self.losses_K = torch.zeros(len(trials), dtype=torch.float64, device=trials[0].state.vector.device)
        self.seen = 0
        #: Where it was saved last; None if it was not.
        self.saved_as: tuple[str, ...] | None = None
        self._spent, self._began = 0.0, time.perf_counter()
        self._orders: dict[int, Tensor] = {}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the trials, in their order."""
        return tuple(trial.key for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Seconds that this epoch has taken so far."""
        return self._spent + time.perf_counter() - self._began

    def wait(self) -> None:
        """What this epoch has taken so far is kept, for when it goes on."""
        self._spent = self.seconds
        self._began = time.perf_counter()

    def go_on(self) -> None:
        """From here on, time counts again: that in which the course waited, or was a file, does not."""
        self._began = time.perf_counter()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trials, each once: those of a seed share their batches and their dropout."""
        return tuple(dict.fromkeys(trial.seed for trial in self.trials))

    @property
    def streams(self) -> tuple[int, ...]:
        """For each trial the place of its seed."""
        return tuple(self.seeds.index(trial.seed) for trial in self.trials)

    def order(self, seed: int, examples: int) -> Tensor:
        """The order of the training set in this epoch."""
        if seed not in self._orders:
            self._orders[seed] = batch_order(seed, self.epoch + 1, examples)
        return self._orders[seed]

    def mean_losses(self) -> list[float]:
        """The mean loss of each trial in this epoch so far."""
        return [loss / max(1, self.seen) for loss in self.losses_K.tolist()]

    def begin_epoch(self) -> None:
        """The next epoch begins."""
        self.epoch += 1
        self._orders.clear()
        self.losses_K = torch.zeros_like(self.losses_K)
        self.seen = 0
        self._spent, self._began = 0.0, time.perf_counter()

    def keep(self, wanted: Sequence[bool]) -> None:
        """Go on with some of the trials; the values of each become its own again."""
        self.trials = [trial for trial, keep in zip(self.trials, wanted, strict=True) if keep]
        self.losses_K = self.losses_K[torch.tensor(wanted, device=self.losses_K.device)]

    def halves(self) -> tuple[Course, Course]:
        """Two courses that go on where this one is."""
        middle = len(self.trials) // 2
        found = []
        for part in (slice(middle), slice(middle, None)):
            half = Course(self.trials[part], in_buckets=self.in_buckets)
            half.step, half.epoch, half.seen = self.step, self.epoch, self.seen
            half.losses_K = self.losses_K[part].clone()
            half._spent = self.seconds * len(half.trials) / len(self.trials)
            found.append(half)
        return found[0], found[1]

    def snapshot(self) -> Checkpoint:
        """Where it is, between two steps."""
        return Checkpoint(
            step=self.step,
            epoch=self.epoch,
            seen=self.seen,
            seconds=self.seconds,
            losses=self.losses_K.cpu().numpy(),
            in_buckets=self.in_buckets,
            trials=tuple(trial.snapshot() for trial in self.trials),
        )

    @classmethod
    def restored(cls, trials: Sequence[Trial], checkpoint: Checkpoint, steps: int) -> Course | None:
        """The course of new trials that go on from a checkpoint; None if it is not that of these trials.

        An epoch has so many `steps`.
        """
        pairs = list(zip(trials, checkpoint.trials, strict=True))
        is_between = 0 <= checkpoint.step - checkpoint.epoch * steps <= steps
        is_open = 0 <= checkpoint.epoch < trials[0].settings.epochs
        if not (is_between and is_open) or checkpoint.losses.shape != (len(trials),):
            return None
        if not all(trial.fits(state) and len(state.epochs) == checkpoint.epoch for trial, state in pairs):
            return None
        for trial, state in pairs:
            trial.restore(state)
        course = cls(trials, in_buckets=checkpoint.in_buckets)
        course.step, course.epoch, course.seen = checkpoint.step, checkpoint.epoch, checkpoint.seen
        course.losses_K.copy_(torch.from_numpy(checkpoint.losses))
        course.saved_as = course.keys
        course._spent = checkpoint.seconds
        return course


def rate(step: int, steps: int, settings: Settings) -> float:
    """The factor of the learning rate at a step (from 0) of so many: linear warm-up, then constant or down to 0."""
    warmup = round(steps * settings.warmup / 100)
    if step < warmup:
        return step / warmup
    if settings.schedule == "linear":
        return (steps - step) / max(1, steps - warmup)
    return 1.0
