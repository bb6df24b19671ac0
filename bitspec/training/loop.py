"""Trains a pack of trials, epoch by epoch, and says how it goes.

Shapes: K trials of the pack, B examples of a batch, C classes, N examples of a validation set.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from bitspec.ir.events import Epoch, EpochEnded, Failed, NotCaptured, NotSaved, Predictions, Started, Stepped
from bitspec.ir.settings import Settings
from bitspec.training.binding import Binding
from bitspec.training.capture import Capture
from bitspec.training.course import Course, Recipe, Trial
from bitspec.training.devices import is_out_of_memory
from bitspec.training.encoding import EVALUATION_BATCH, Batch, Encoded
from bitspec.training.flat import is_causal
from bitspec.training.graphs import SHORT, UNKNOWN, UNTIL_REPLAYED, GraphedSteps
from bitspec.training.layout import Tokens
from bitspec.training.model import Prepared
from bitspec.training.predictions import predictions_of
from bitspec.training.saving import Saver
from bitspec.training.state import Trainable

#: Seconds between two signs of life of a pack.
TICK: Final = 0.25

#: Steps after which it is looked whether a loss is still a number; looking makes a GPU wait.
CHECK: Final = 100

#: Fewest examples of one forward pass of the evaluation, for each trial.
_FEWEST: Final = 8

#: Every metric of a task from labels and predictions of one validation set, as fractions.
Metrics = Callable[[str, list[float], list[float]], dict[str, float]]

#: What may happen while a pack is trained.
TrainingEvent = Started | Stepped | EpochEnded | NotSaved | NotCaptured | Failed


class _StoppedError(Exception):
    """A course was asked to stop, and is saved."""


def _never() -> bool:
    return False


class Training:
    """Trials that are trained together: one forward pass through the frozen matrices serves all.

    The model is theirs until `close`, which gives it back as it was. Raises ValueError for several trials of an
    architecture that is not known, or if their settings do not go together.
    """

    def __init__(
        self,
        prepared: Prepared,
        recipes: Sequence[Recipe],
        *,
        task: str,
        training: Encoded,
        validation: tuple[Encoded, ...],
        metrics: Metrics,
        main: str,
        saver: Saver | None = None,
        stop: Callable[[], bool] = _never,
        capture: Callable[[], Capture] | None = None,
    ) -> None:
        """`metrics` scores a validation set, `main` is the score; heads are drawn by (seed, task).

        `saver` keeps the trials from time to time, and has them where they were kept before. Once `stop` says so, they
        are kept after the step that is under way, and the training ends. With `capture`, which makes what captures
        steps, those of architectures that are known are captured and replayed.
        """
        if len({_common(recipe.settings) for recipe in recipes}) != 1:
            raise ValueError("the trials of a pack have the same epochs, batch size, length, precision and dropout")
        if len(recipes) > 1 and prepared.architecture is None:
            raise ValueError("trials of an architecture that is not known are trained one at a time")
        self.prepared = prepared
        self._training, self._validation = training, validation
        self._metrics, self._main = metrics, main
        self._saver, self._stop = saver or Saver(), stop
        self._capture = capture
        self._graphs: GraphedSteps | None = None
        self._rehearsal: Course | None = None
        self._warmed_up = 0  # of the rehearsal, the first steps that are replayed by now
        self._binding: Binding | None = None
        self._settings = recipes[0].settings
        self._steps = math.ceil(len(training) / self._settings.batch_size)
        self.trials = []
        for recipe in recipes:
            prepared.new_head(recipe.seed, task)
            alone = len(recipes) == 1
            self.trials.append(Trial(recipe, Trainable(prepared.model, recipe.masks, alone=alone)))

    def close(self) -> None:
        """Give the model back as it was before, bit for bit; the head stays as it is."""
        graphs, binding = self._graphs, self._binding
        self._graphs = self._binding = self._rehearsal = None
        try:
            if graphs is not None:
                graphs.close()
        finally:
            if binding is not None:
                binding.close()

    def run(self) -> Iterator[TrainingEvent]:
        """Train all epochs, from where the trials were saved if they were.

        A trial whose loss is no number ends as diverged, and the others go on. When memory runs out, the pack goes on
        where it was: without graphs and buckets if it has them, else as two halves, one after the other; a trial that
        is alone without them raises what torch did.
        """
        whole = self._saver.restore(self.trials, self._steps, in_buckets=self._has_buckets)
        for trial in self.trials:
            yield Started(trial.key, self._settings.epochs, self._steps, whole.step)
        if self._capture is not None and not self._has_buckets:
            yield NotCaptured(self.trials[0].key, UNKNOWN)
        waiting = [whole]
        while waiting:
            course = waiting.pop()
            try:
                yield from self._train(course)
            except _StoppedError:
                return
            except (RuntimeError, MemoryError) as problem:
                is_alone = len(course.trials) == 1 and not course.in_buckets
                if is_alone or not is_out_of_memory(problem):
                    raise
                self.close()
                if course.in_buckets:
                    course.in_buckets = False
                    course.wait()
                    waiting.append(course)
                    yield NotCaptured(course.trials[0].key, SHORT)
                    continue
                halves = course.halves()
                for half in halves:
                    yield from self._save(half)
                if all(half.saved_as for half in halves):
                    self._saver.forget(course)
                waiting += reversed(halves)

    def rehearse(self, steps: int) -> float:
        """Train so many steps from the beginning, and return the seconds that one takes (replayed, if captured).

        The model stays bound, so that what is captured in one rehearsal serves the next.
        """
        if self._rehearsal is None:
            course = Course(self.trials, in_buckets=self._has_buckets)
            self._bind(course)
            self.prepared.model.train()
            self._rehearsal, self._warmed_up = course, 0
        course = self._rehearsal
        if course.in_buckets and self._warmed_up < steps:
            for _ in range(UNTIL_REPLAYED):
                self._steps_of(course, steps)
            self._warmed_up = steps
        began = time.perf_counter()
        self._steps_of(course, steps)
        return (time.perf_counter() - began) / steps

    def _steps_of(self, course: Course, steps: int) -> None:
        """The first steps of a course, once more."""
        course.step = 0
        for _ in range(steps):
            self._step(course)
        course.losses_K.tolist()  # waits for a GPU

    @property
    def _has_buckets(self) -> bool:
        return self._capture is not None and self.prepared.architecture is not None

    def _bind(self, course: Course) -> None:
        self.close()
        prepared, trials = self.prepared, course.trials
        architecture = prepared.architecture
        self._binding = Binding(
            prepared.model,
            [trial.state for trial in trials],
            blocks=None if architecture is None else architecture.blocks_of(prepared.model),
            frozen_type=torch.bfloat16 if self._settings.precision == "bf16" else None,
        )
        prepared.noise.begin_trials(prepared.model, course.seeds, self._settings.dropout)
        if course.in_buckets:
            self._graphs = GraphedSteps(
                course,
                self._training,
                prepared.noise,
                None if self._capture is None else self._capture(),
                lambda tokens, labels_KB, rates_K: self._compute(course, tokens, labels_KB, list(rates_K)),
                self._binding.write,
                batch_size=self._settings.batch_size,
                causal=is_causal(prepared.model),
            )

    def _train(self, course: Course) -> Iterator[TrainingEvent]:
        """Train a course from where it is to its end."""
        self._bind(course)
        self._saver.begin()
        course.go_on()
        while course.trials and course.epoch < self._settings.epochs:
            yield from self._epoch(course)
            if course.trials:
                yield from self._end_epoch(course)
        for trial in course.trials:
            trial.pack = tuple(other.key for other in course.trials)
            trial.in_buckets = course.in_buckets

    def _epoch(self, course: Course) -> Generator[TrainingEvent, None, None]:
        self.prepared.model.train()
        told, end = time.monotonic(), (course.epoch + 1) * self._steps
        while course.trials and course.step < end:
            self._step(course)
            yield from self._problem(course)
            if course.step % CHECK == 0 or course.step == end:
                yield from self._drop_diverged(course, course.losses_K)
            if course.trials and self._saver.is_due():
                yield from self._save(course)
            yield from self._stop_if_asked(course)
            if time.monotonic() - told > TICK:
                told = time.monotonic()
                yield from self._steps_done(course)

    def _problem(self, course: Course) -> Iterator[NotCaptured]:
        problem = None if self._capture is None or self._graphs is None else self._graphs.problem
        if problem is not None:
            self._capture = None  # told once, and not tried again where trials leave
            yield NotCaptured(course.trials[0].key, problem)

    def _steps_done(self, course: Course) -> Iterator[Stepped]:
        done = course.step - course.epoch * self._steps
        for trial, loss in zip(course.trials, course.mean_losses(), strict=True):
            yield Stepped(trial.key, course.epoch + 1, done, loss)

    def _stop_if_asked(self, course: Course) -> Iterator[TrainingEvent]:
        if course.trials and self._stop():
            yield from self._save(course)
            raise _StoppedError

    def _save(self, course: Course) -> Iterator[NotSaved]:
        self._saver.save(course)
        if self._saver.problem is not None:
            yield NotSaved(course.trials[0].key, self._saver.problem)

    def _step(self, course: Course) -> None:
        """One step of all trials. Nothing of it is to be seen if memory runs out in it."""
        size, settings = len(self._training), self._settings
        first = course.step % self._steps * settings.batch_size
        orders = [course.order(seed, size)[first : first + settings.batch_size] for seed in course.seeds]
        rates = [trial.rate(course.step, settings.epochs * self._steps) for trial in course.trials]
        if self._graphs is not None:
            losses_K = self._graphs.step(orders, rates)
        else:
            tokens, labels_KB = self._batch(self._training, orders, course)
            losses_K = self._compute(course, tokens, labels_KB, rates)
        course.losses_K += losses_K.double() * len(orders[0])
        course.seen += len(orders[0])
        course.step += 1

    def _compute(
        self, course: Course, batch: Tokens | Batch, labels_KB: Tensor, rates: Sequence[float | Tensor]
    ) -> Tensor:
        """Follow the gradient of a batch, with the rates of the trials; their losses (K). It waits for nothing."""
        assert self._binding is not None
        for trial in course.trials:
            trial.state.zero_grad()
        losses_K = losses_of(self._logits(batch, course.step), labels_KB)
        losses_K.sum().backward()
        for trial, rate in zip(course.trials, rates, strict=True):
            trial.step(rate)
        self._binding.write()
        return losses_K.detach()

    def _batch(self, split: Encoded, chosen: Sequence[Tensor], course: Course) -> tuple[Tokens | Batch, Tensor]:
        """The chosen examples, one batch a stream or one for all trials, and their labels (K, B)."""
        device = self.prepared.device
        if self.prepared.architecture is None:
            batch = split.batch(chosen[0], device)
            return batch, batch.labels_B[None]
        streams = course.streams if len(chosen) > 1 else (0,) * len(course.trials)
        return split.tokens(chosen, streams, device, causal=is_causal(self.prepared.model))

    def _logits(self, batch: Tokens | Batch, step: int = 0) -> Tensor:
        """Logits (K, B, C) of a batch, with the dropout of a step."""
        assert self._binding is not None
        model, noise, architecture = self.prepared.model, self.prepared.noise, self.prepared.architecture
        self._binding.spread()
        with self._precision():
            if isinstance(batch, Tokens):
                assert architecture is not None
                noise.begin_step(step, batch.layout)
                return architecture.logits(model, batch)
            noise.begin_step(step, batch.inputs["attention_mask"])
            logits_BC: Tensor = model(**batch.inputs).logits
            return logits_BC[None]

    def _end_epoch(self, course: Course) -> Iterator[TrainingEvent]:
        if course.epoch + 1 == self._settings.epochs and len(course.trials) > 1:
            # Trials that end together are kept one by one: what is killed in between must end together once more.
            yield from self._save(course)
        losses, all_losses = yield from self._evaluate(course)
        # Told of all trials before any is dropped: what they said is by their place.
        epochs = list(zip(course.trials, course.mean_losses(), strict=True))
        seconds = course.seconds
        yield from self._drop_diverged(course, all_losses)
        for (trial, loss), validation_loss in zip(epochs, losses.tolist(), strict=True):
            if trial in course.trials:
                metrics: dict[str, float] = {}
                for split in trial.predictions:
                    metrics |= self._metrics(split.split, list(split.labels), list(split.predictions))
                epoch = Epoch(
                    number=course.epoch + 1,
                    loss=loss,
                    validation_loss=validation_loss,
                    score=round(100 * metrics[self._main], 10),  # 64.6, not 64.60000000000001
                    metrics=metrics,
                    seconds=seconds / len(epochs),
                )
                trial.epochs.append(epoch)
                yield EpochEnded(trial.key, epoch)
        course.begin_epoch()
        if course.trials and course.epoch < self._settings.epochs and self._saver.is_due(at_end=True):
            yield from self._save(course)

    def _evaluate(self, course: Course) -> Generator[TrainingEvent, None, tuple[Tensor, Tensor]]:
        """The loss of each trial on the first validation set, and on all of them together.

        What it says of each goes to its `predictions`.
        """
        self.prepared.model.eval()
        trials, told = len(course.trials), time.monotonic()
        found: list[list[Predictions]] = [[] for _ in course.trials]
        losses: list[Tensor] = []
        for split in self._validation:
            logits_KNC = torch.empty(
                trials, len(split), self.prepared.outputs, dtype=course.trials[0].state.vector.dtype
            )
            for chosen_B in split.by_length(max(_FEWEST, EVALUATION_BATCH // trials)):
                with torch.no_grad():
                    logits_KBC = self._logits(self._batch(split, [chosen_B], course)[0])
                logits_KNC.index_copy_(1, chosen_B, logits_KBC.to("cpu", logits_KNC.dtype))
                yield from self._stop_if_asked(course)
                if time.monotonic() - told > TICK:
                    told = time.monotonic()
                    yield from self._steps_done(course)
            losses.append(losses_of(logits_KNC, split.labels_N.expand(trials, -1)))
            for own, logits_NC in zip(found, logits_KNC, strict=True):
                own.append(predictions_of(split, logits_NC))
        for trial, own in zip(course.trials, found, strict=True):
            trial.predictions = tuple(own)
        return losses[0], torch.stack(losses).sum(0)

    def _drop_diverged(self, course: Course, losses_K: Tensor) -> Iterator[Failed]:
        """End the trials whose loss, of the training or of a validation set, is no number any more."""
        finite = losses_K.isfinite().tolist()
        if all(finite):
            return
        for trial, is_finite in zip(course.trials, finite, strict=True):
            if not is_finite:
                yield Failed(trial.key, "diverged", "the loss is no number any more", "try a smaller learning_rate")
        course.keep(finite)
        if not course.trials:
            self._saver.forget(course)
            return
        self._bind(course)
        self.prepared.model.train()

    def _precision(self) -> AbstractContextManager[object]:
        if self._settings.precision == "bf16":
            return torch.autocast(self.prepared.device.type, torch.bfloat16)
        return nullcontext()


def _common(settings: Settings) -> tuple[object, ...]:
    return settings.epochs, settings.batch_size, settings.max_length, settings.precision, settings.dropout


def losses_of(logits_KBC: Tensor, labels_KB: Tensor) -> Tensor:
    """Of each trial the mean cross-entropy over the examples, or the mean squared error of a regression; (K)."""
    logits_KBC = logits_KBC.to(torch.promote_types(torch.float32, logits_KBC.dtype))
    if labels_KB.is_floating_point():
        return (logits_KBC.squeeze(2) - labels_KB.to(logits_KBC.dtype)).square().mean(1)
    losses = functional.cross_entropy(logits_KBC.flatten(0, 1), labels_KB.flatten(), reduction="none")
    return losses.view(labels_KB.shape).mean(1)
