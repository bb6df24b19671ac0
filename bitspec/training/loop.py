"""Trains one trial, epoch by epoch, and says how it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from bitspec.ir.events import Epoch, EpochEnded, Predictions, Started, Stepped
from bitspec.ir.masks import Mask
from bitspec.ir.settings import Settings
from bitspec.training.encoding import Encoded
from bitspec.training.model import Prepared
from bitspec.training.noise import batch_order
from bitspec.training.state import Trainable

#: Seconds between two signs of life of a trial.
TICK: Final = 0.25

#: Every metric of a task from labels and predictions of one validation set, as fractions.
Metrics = Callable[[str, list[float], list[float]], dict[str, float]]


class Diverged(Exception):  # noqa: N818 - an outcome, not a mistake
    """The loss, of the training or of a validation set, is no number any more."""


class Training:
    """A trial in training: its state, and what came of it.

    The model is the trial's own until `close`, which gives it back as it was.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        key: str,
        task: str,
        training: Encoded,
        validation: tuple[Encoded, ...],
        masks: Mapping[str, Mask],
        settings: Settings,
        seed: int,
        metrics: Metrics,
        main: str,
    ) -> None:
        """`masks` are by full name and hold the head too; `metrics` scores a validation set, `main` is the score."""
        self.prepared, self.settings = prepared, settings
        self._key, self._seed = key, seed
        self._training, self._validation = training, validation
        self._metrics, self._main = metrics, main
        prepared.new_head(seed, task)
        prepared.noise.begin_trial(prepared.model, seed, settings.dropout)
        self.state = Trainable(prepared.model, masks)
        self.optimizer = torch.optim.AdamW(
            [self.state.vector],
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.predictions: tuple[Predictions, ...] = ()
        self._steps = math.ceil(len(training) / settings.batch_size)

    def close(self) -> None:
        """Give the model back as it was before, bit for bit; the head stays as it is."""
        self.state.close()

    def run(self) -> Iterator[Started | Stepped | EpochEnded]:
        """Train all epochs. Raises Diverged when the loss is no number."""
        epochs = self.settings.epochs
        yield Started(self._key, epochs, self._steps)
        for number in range(1, epochs + 1):
            began = time.perf_counter()
            loss = yield from self._epoch(number)
            validation_loss, metrics = self._evaluate()
            yield EpochEnded(
                self._key,
                Epoch(
                    number=number,
                    loss=loss,
                    validation_loss=validation_loss,
                    score=round(100 * metrics[self._main], 10),  # 64.6, not 64.60000000000001
                    metrics=metrics,
                    seconds=time.perf_counter() - began,
                ),
            )

    def _epoch(self, number: int) -> Generator[Stepped, None, float]:
        training, settings = self._training, self.settings
        self.prepared.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self.prepared.device)
        seen, told = 0, time.monotonic()
        order = batch_order(self._seed, number, len(training))
        for index, chosen_B in enumerate(order.split(settings.batch_size)):
            loss = self._step((number - 1) * self._steps + index, chosen_B)
            total += loss.double() * len(chosen_B)
            seen += len(chosen_B)
            if time.monotonic() - told > TICK:
                told = time.monotonic()
                yield Stepped(self._key, number, index + 1, _finite(total) / seen)
        return _finite(total) / seen

    def _step(self, step: int, chosen_B: Tensor) -> Tensor:
        settings, state = self.settings, self.state
        batch = self._training.batch(chosen_B, self.prepared.device)
        self.prepared.noise.begin_step(step, batch.inputs["attention_mask"])
        state.zero_grad()
        with self._precision():
            logits_BC = self.prepared.model(**batch.inputs).logits
        loss = loss_of(logits_BC, batch.labels_B)
        loss.backward()
        state.settle_gradient()
        if settings.clip_norm != "off":
            torch.nn.utils.clip_grad_norm_(state.vector, settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate(step, settings.epochs * self._steps, settings)
        self.optimizer.step()
        state.write()
        return loss.detach()

    @torch.no_grad()
    def _evaluate(self) -> tuple[float, dict[str, float]]:
        model = self.prepared.model.eval()
        losses: list[float] = []
        metrics: dict[str, float] = {}
        found: list[Predictions] = []
        for split in self._validation:
            logits_NC = torch.empty(len(split), self.prepared.outputs, dtype=self.state.vector.dtype)
            for chosen_B in split.by_length():
                batch = split.batch(chosen_B, self.prepared.device)
                with self._precision():
                    logits_BC = model(**batch.inputs).logits
                logits_NC.index_copy_(0, chosen_B, logits_BC.to("cpu", logits_NC.dtype))
            losses.append(_finite(loss_of(logits_NC, split.labels_N)))
            found.append(predictions(split, logits_NC))
            metrics |= self._metrics(split.name, list(found[-1].labels), list(found[-1].predictions))
        self.predictions = tuple(found)
        return losses[0], metrics

    def _precision(self) -> AbstractContextManager[object]:
        if self.settings.precision == "bf16":
            return torch.autocast(self.prepared.device.type, torch.bfloat16)
        return nullcontext()


def loss_of(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Mean cross-entropy over the examples, or the mean squared error of a regression (one output)."""
    logits_BC = logits_BC.to(torch.promote_types(torch.float32, logits_BC.dtype))
    if labels_B.is_floating_point():
        return functional.mse_loss(logits_BC.squeeze(1), labels_B.to(logits_BC.dtype))
    return functional.cross_entropy(logits_BC, labels_B)


def rate(step: int, steps: int, settings: Settings) -> float:
    """The factor of the learning rate at a step (from 0) of so many: linear warm-up, then constant or down to 0."""
    warmup = round(steps * settings.warmup / 100)
    if step < warmup:
        return step / warmup
    if settings.schedule == "linear":
        return (steps - step) / max(1, steps - warmup)
    return 1.0


def predictions(split: Encoded, logits_NC: Tensor) -> Predictions:
    """What logits say of a validation set, example by example."""
    labels_N = split.labels_N
    if labels_N.is_floating_point():
        said_N = logits_NC.squeeze(1).double()
        margins_N = said_N - labels_N
    else:
        said_N = logits_NC.argmax(1)
        right_N = logits_NC.gather(1, labels_N[:, None]).squeeze(1)
        others_NC = logits_NC.scatter(1, labels_N[:, None], -math.inf)
        margins_N = right_N - others_NC.max(1).values
    return Predictions(
        split=split.name,
        labels=tuple(map(float, labels_N.tolist())),
        predictions=tuple(map(float, said_N.tolist())),
        margins=tuple(map(float, margins_N.tolist())),
    )


def _finite(total: Tensor) -> float:
    value = float(total)
    if not math.isfinite(value):
        raise Diverged
    return value
