"""What fixed shapes cost and give, counted on real batches: nothing is timed, and no GPU is needed.

Batches of a bucket share one CUDA graph. Counted are the buckets, the steps that are replayed, and the tokens that are
computed beyond the real ones, over all epochs of a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.measure import in_process, print_table
from tests.benchmarks.study import Inputs


@dataclass(frozen=True)
class Row:
    """A task in packs of so many seeds: `share` is of its steps, `tokens` of the real ones, in percent."""

    task: str
    seeds: int
    steps: int
    buckets: int
    share: float
    tokens: float
    pairs: float


def measure(inputs: Inputs, seeds: Sequence[int], epochs: int) -> list[Row]:
    """Count the batches of each task, with one stream for each of so many seeds."""
    return [in_process(_count, inputs, task, count, epochs) for task in inputs.tasks for count in seeds]


def _count(inputs: Inputs, task: str, seeds: int, epochs: int) -> Row:
    from bitspec.training.buckets import Bucket
    from bitspec.training.graphs import UNTIL_REPLAYED
    from bitspec.training.noise import batch_order

    training = inputs.data(task).training
    size = inputs.batch_size(task)
    found: Counter[Bucket] = Counter()
    real = filled = pairs = filled_pairs = 0
    for epoch in range(1, epochs + 1):
        orders = [batch_order(seed, epoch, len(training)).split(size) for seed in range(seeds)]
        for chosen in zip(*orders, strict=True):
            lengths = [training.lengths_N[own].tolist() for own in chosen]
            bucket = Bucket.of(lengths)
            found[bucket] += 1
            # A row of tokens for each seed; attention pads all examples alike.
            real += sum(map(sum, lengths))
            filled += seeds * bucket.tokens
            pairs += sum(length**2 for own in lengths for length in own)
            filled_pairs += seeds * bucket.examples * bucket.longest**2
    steps = found.total()
    replayed = sum(max(0, count - UNTIL_REPLAYED) for count in found.values())
    return Row(
        task,
        seeds,
        steps,
        len(found),
        100 * replayed / steps,
        100 * filled / real - 100,
        100 * filled_pairs / pairs - 100,
    )


def show(rows: Sequence[Row]) -> None:
    """Print it."""
    print_table(
        "Batches in buckets",
        ("task", "seeds", "steps", "buckets", "replayed", "more tokens", "more pairs in attention"),
        [
            (
                row.task,
                str(row.seeds),
                f"{row.steps:,}",
                str(row.buckets),
                f"{row.share:.1f} %",
                f"{row.tokens:.0f} %",
                f"{row.pairs:.0f} %",
            )
            for row in rows
        ],
    )
