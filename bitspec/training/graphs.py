"""Steps that are captured once for each bucket of batches, and replayed from then on: one launch instead of thousands.

What a step reads of its batch lies in tensors that stay where they are, filled before each step; all else that it does
is computed on the device. So nothing of it may depend on what only this machine knows: a number that changes from step
to step (a learning rate) is a tensor, and dropout is drawn ahead.

A bucket's first batch is computed as usual, which also makes whatever a device makes when it first computes something.
Its second one is captured and computed. Its third is replayed and computed: only if both come to the same is the graph
used from then on. Where that goes wrong, steps are computed, on the same shapes; see `loop` for want of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from bitspec.diagnostics import first_line
from bitspec.training.buckets import Bucket, Fixed, totals
from bitspec.training.capture import Capture
from bitspec.training.course import Course
from bitspec.training.devices import is_out_of_memory
from bitspec.training.encoding import Encoded
from bitspec.training.layout import Counts, Tokens, send
from bitspec.training.noise import Ahead, Noise

#: How far a replayed value may be from a computed one: of how far that moved, or all of them did (the root of the mean
#: square), and of its size, for a few roundings of float32. The same kernels give the same bits.
_APART: Final = 1e-3
_ROUNDING: Final = 1e-6

#: The share of values that may be further apart: AdamW divides the rounding of a gradient near 0 by that gradient.
_OUTLIERS: Final = 1e-5

#: How many times a batch of each bucket must come before the next one is replayed.
UNTIL_REPLAYED: Final = 3

#: Why steps are not replayed, as the user is told.
SHORT: Final = "memory ran out"
UNKNOWN: Final = "they cannot be for this architecture"
_NOT_CAPTURED: Final = "a step cannot be captured: {}"
_NOT_REPLAYED: Final = "a step cannot be replayed: {}"
_DIFFERENT: Final = "a replayed step is not what it is when it is computed"
_UNCHECKED: Final = "there is no memory to check them"


#: One step of a pack: of these tokens and labels (K, B), with these learning rates (K); it returns the losses (K).
Compute = Callable[[Tokens, Tensor, Tensor], Tensor]


def _no_replay() -> None:
    raise RuntimeError("a step that was not captured is not replayed")


@dataclass
class _Step:
    """The step of one bucket: the tensors that it reads, and `losses_K`, which it writes.

    It is `warm` once it was computed, `captured` once it has a `replay`, and `right` once that was checked.
    """

    bucket: Bucket
    columns: dict[str, Tensor]
    labels_KB: Tensor
    starts_SB: Tensor
    pairs_before_SB: Tensor
    losses_K: Tensor
    stage: Literal["new", "warm", "captured", "right"] = "new"
    replay: Callable[[], None] = _no_replay


class GraphedSteps:
    """The steps of a course, each for all of its trials.

    `problem` says, in words, why steps are not captured any more; None as long as they are.
    """

    def __init__(
        self,
        course: Course,
        split: Encoded,
        noise: Noise,
        capture: Capture | None,
        compute: Compute,
        restore: Callable[[], None],
        *,
        batch_size: int,
        causal: bool,
    ) -> None:
        """Without a `capture`, all steps are computed, in the same buckets.

        `restore` puts values into the model that were put into the trials' vectors.
        """
        self.problem: str | None = None
        self._course, self._split, self._noise = course, split, noise
        #: The stream of each trial, and of each row that is fed into the model.
        self._streams = course.streams
        self._fed = (0,) if len(course.seeds) == 1 else self._streams
        self._capture, self._compute, self._restore = capture, compute, restore
        self._causal = causal
        self._steps: dict[Bucket, _Step] = {}
        self._device = course.losses_K.device
        # AdamW's kernel for CUDA reads a float32; on a CPU it takes a number as exact as one of Python's.
        kind = torch.float32 if self._device.type == "cuda" else torch.float64
        self._rates_K = torch.zeros(len(course.trials), dtype=kind, device=self._device)
        longest = sorted(split.lengths_N.tolist())[-batch_size:]
        room = Bucket.of([longest])
        noise.ahead = Ahead(
            {"tokens": room.tokens, "examples": room.examples, "pairs": room.examples * room.longest**2}
        )

    def close(self) -> None:
        """Give back all graphs; the noise is drawn as usual again."""
        self._noise.ahead = None
        self._forget()

    def step(self, chosen: Sequence[Tensor], rates: Sequence[float]) -> Tensor:
        """One step of the chosen examples (B), one batch a stream, with the rates of the trials; the losses (K)."""
        lengths = [self._split.lengths_N[chosen_B].tolist() for chosen_B in chosen]
        starts_SB, pairs_before_SB = totals(lengths), totals([[length**2 for length in own] for own in lengths])
        counts: list[Counts] = [
            {"tokens": int(starts_B[-1]), "examples": len(own), "pairs": int(pairs_B[-1])}
            for own, starts_B, pairs_B in zip(lengths, starts_SB, pairs_before_SB, strict=True)
        ]
        with self._capture.running() if self._capture is not None else nullcontext():
            step = self._step_of(Bucket.of(lengths))
            self._fill(step, chosen, rates)
            step.starts_SB.copy_(send(starts_SB, self._device))
            step.pairs_before_SB.copy_(send(pairs_before_SB, self._device))
            self._noise.draw_ahead(self._course.step, counts)
            self._run(step)
            return step.losses_K

    def _step_of(self, bucket: Bucket) -> _Step:
        if bucket not in self._steps:
            trials, streams, device = len(self._course.trials), len(self._course.seeds), self._device
            labels = self._split.labels_N
            self._steps[bucket] = _Step(
                bucket,
                {
                    name: torch.zeros(len(self._fed), bucket.tokens, dtype=torch.int64, device=device)
                    for name in self._split.columns
                },
                torch.zeros(trials, bucket.examples, dtype=labels.dtype, device=device),
                torch.zeros(streams, bucket.examples + 1, dtype=torch.int64, device=device),
                torch.zeros(streams, bucket.examples + 1, dtype=torch.int64, device=device),
                torch.zeros(trials, dtype=torch.float64, device=device),
            )
        return self._steps[bucket]

    def _fill(self, step: _Step, chosen: Sequence[Tensor], rates: Sequence[float]) -> None:
        columns = self._split.rows([chosen[stream] for stream in self._fed], step.bucket.tokens)
        for name, rows in columns.items():
            step.columns[name].copy_(send(rows, self._device))
        labels_KB = torch.stack([self._split.labels_N[chosen[stream]] for stream in self._streams])
        step.labels_KB.copy_(send(labels_KB, self._device))
        self._rates_K.copy_(send(torch.tensor(rates, dtype=self._rates_K.dtype), self._device))

    def _run(self, step: _Step) -> None:
        match step.stage:
            case "right":
                step.replay()
            case "captured":
                self._check(step)
            case "warm" if self._capture is not None and self.problem is None:
                self._captured(step, self._capture)
                self._compute_step(step)
            case _:
                self._compute_step(step)
                step.stage = "warm"

    def _captured(self, step: _Step, capture: Capture) -> None:
        for trial in self._course.trials:
            trial.set_capturable(True)
        try:
            step.replay = capture.capture(lambda: self._compute_step(step))
            step.stage = "captured"
        except Exception as problem:  # if it is not the capturing that goes wrong, computing will say so
            if is_out_of_memory(problem):
                raise
            self._give_up(_NOT_CAPTURED.format(first_line(problem)))
        finally:
            for trial in self._course.trials:
                trial.set_capturable(False)

    def _check(self, step: _Step) -> None:
        """Replay a step and compute it, and go on with what was computed."""
        watched = [*(tensor for trial in self._course.trials for tensor in trial.tensors), step.losses_K]
        before, replayed = ([tensor.clone() for tensor in watched] for _ in range(2))
        failure: RuntimeError | None = None
        try:
            step.replay()
            _copy(watched, replayed)
        except RuntimeError as problem:
            failure = problem
        _copy(before, watched)
        self._restore()
        if failure is not None:
            if is_out_of_memory(failure):
                raise failure
            self._give_up(_NOT_REPLAYED.format(first_line(failure)))
        self._compute_step(step)
        before[-1].zero_()  # losses are new in each step
        if self.problem is None:
            agrees = _all_agree(replayed, watched, before)
            if agrees:
                step.stage = "right"
            else:
                self._give_up(_UNCHECKED if agrees is None else _DIFFERENT)

    def _give_up(self, problem: str) -> None:
        self.problem = problem
        self._forget()

    def _forget(self) -> None:
        for step in self._steps.values():
            step.stage, step.replay = "warm", _no_replay
        if self._capture is not None:
            self._capture.close()

    def _compute_step(self, step: _Step) -> None:
        tokens = Tokens(
            step.columns["input_ids"],
            step.columns.get("token_type_ids"),
            Fixed(step.bucket, step.starts_SB, step.pairs_before_SB, self._streams, causal=self._causal),
        )
        step.losses_K.copy_(self._compute(tokens, step.labels_KB, self._rates_K))


def agree(found: Tensor, expected: Tensor, before: Tensor) -> bool:
    """Whether the values of a tensor came to what was expected, from what they were before, but for rounding.

    Each may be off by a thousandth of its movement, and of the root mean square of all movements; one in 100,000 by
    anything. It waits for the device.
    """
    found, expected, before = (tensor.nan_to_num(0, 1, -1) for tensor in (found, expected, before))
    moved = (expected - before).abs_()
    typical = torch.linalg.vector_norm(moved, dtype=torch.float64) / moved.numel() ** 0.5
    allowed = moved.add_(typical).mul_(_APART).add_(expected.abs(), alpha=_ROUNDING)
    return int(((found - expected).abs_() > allowed).sum()) <= _OUTLIERS * found.numel()


def _all_agree(found: Sequence[Tensor], expected: Sequence[Tensor], before: Sequence[Tensor]) -> bool | None:
    """Whether all tensors agree; None if there is no memory to see."""
    try:
        return all(agree(*three) for three in zip(found, expected, before, strict=True))
    except RuntimeError as problem:
        if is_out_of_memory(problem):  # the step is done: it must not be taken for one that was not
            return None
        raise


def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    for one, other in zip(source, target, strict=True):
        other.copy_(one)
