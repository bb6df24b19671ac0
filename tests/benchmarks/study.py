"""A whole study: what `bitspec run` does against a loop in the style of the reference, on real batches.

Each strategy (each pack of bitspec's) is timed in processes of its own, both sides by turns, over the first batches of
the first epoch, the same on both sides. Times of a step are extrapolated to all steps, those of an evaluation to all
examples; bitspec evaluates the validation set, the reference the training set too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import bitspec
from bitspec.ir.study import Study
from tests.benchmarks.measure import Limit, Machine, in_process, in_processes, milliseconds, print_table, seconds, tell
from tests.benchmarks.models import Cell, Data, cells, first_of, glue, plain_model

#: How many times faster than the reference a study must be on two cores, training steps only.
LIMITS: Final = {"cola": 6.0, "mrpc": 1.8, "rte": 1.5}

_WARM_UP: Final = 3

#: A trial: task, strategy, seed.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Inputs:
    """What is measured: a study on a model and data, so many steps of each trial, with as many packs as `run` makes.

    `pack` is as of `bitspec run --pack`; `workers` as of `--workers`, None for what fits.
    """

    machine: Machine
    spec: Path
    model: Path
    glue: Path
    tasks: tuple[str, ...] = ("cola", "mrpc", "rte")
    strategies: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    steps: int = 100
    evaluations: int = 40
    pack: str = "auto"
    workers: int | None = None
    precision: str = "float32"

    @property
    def study(self) -> Study:
        """The study, narrowed to what is measured."""
        from bitspec.runners.request import narrowed

        return narrowed(bitspec.load(self.spec), models=(str(self.model.resolve()),), seeds=self.seeds, only=())

    def batch_size(self, task: str) -> int:
        """How many examples a batch of a task has."""
        from bitspec.ir.cascade import resolve

        return resolve(self.study, self.study.strategies[0].name, task).batch_size

    def cells(self, task: str, places: Sequence[tuple[str, int]]) -> list[Cell]:
        """Some trials of a task, in this precision."""
        found = []
        for strategy, seed in places:
            (cell,) = cells(self.study, self.model, task, (seed,), (strategy,))
            found.append(replace(cell, settings=cell.settings.model_copy(update={"precision": self.precision})))
        return found

    def data(self, task: str) -> Data:
        """A task's examples."""
        return glue(self.glue, self.model, task, 128)


@dataclass(frozen=True)
class Row:
    """A pack of bitspec's beside the reference: seconds of an epoch, training and evaluation, of all its trials.

    `step` are the mean seconds of a step of bitspec's, for one trial, and `reference_step` the reference's.
    """

    task: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    step: float
    reference_step: float
    training: float
    reference_training: float
    evaluation: float
    reference_evaluation: float


#: Seconds of a step and of a batch of the evaluation of the reference, by strategy. It pads every example of every task
#: to the same length, in batches of the same size, so these are the same work whatever the task: measured once.
Known = dict[str, tuple[float, float]]


def measure(inputs: Inputs, known: Known | None = None) -> list[Row]:
    """Measure all packs of all tasks. What is `known` of the reference is not measured again, and what is new added."""
    workers, packs, sizes = in_process(_packs, inputs)
    known = {} if known is None else known
    rows = []
    for number, pack in enumerate(packs):
        places = [(strategy, seed) for _, strategy, seed in pack]
        task = pack[0][0]
        new = [strategy for strategy in dict.fromkeys(name for name, _ in places) if strategy not in known]

        def reference(task: str = task, new: list[str] = new) -> None:
            if new:
                found = in_process(_reference, inputs, task, new)
                known.update(found)

        if number % 2 == 0:
            reference()
        step, evaluation = _mean(in_processes(workers, _bitspec, inputs, task, places, workers))
        if number % 2:
            reference()
        steps, batches = sizes[task]
        rows.append(
            Row(
                task,
                tuple(strategy for strategy, _ in places),
                tuple(seed for _, seed in places),
                step=step / workers / len(pack),
                reference_step=sum(known[strategy][0] for strategy, _ in places) / len(pack),
                training=steps * step / workers,
                reference_training=steps * sum(known[strategy][0] for strategy, _ in places),
                evaluation=evaluation / workers,
                reference_evaluation=batches * sum(known[strategy][1] for strategy, _ in places),
            )
        )
        row = rows[-1]
        times = f"{row.step:.4f} s a step and trial against {row.reference_step:.4f} s"
        tell(f"{task}, pack {number + 1} of {len(packs)}: {times}, {speedup([row]):.2f} times faster")
    return rows


def _mean(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(step for step, _ in found) / len(found), sum(evaluation for _, evaluation in found) / len(found)


# In processes of their own --------------------------------------------------------------------------------


def _packs(inputs: Inputs) -> tuple[int, list[list[Place]], dict[str, tuple[int, int]]]:
    """How many processes `bitspec run` would have, its packs, each of one task, and the sizes of the tasks."""
    from bitspec.runners.local import LocalRunner
    from bitspec.runners.plan import plan
    from bitspec.runners.planner import Extents, Packing, divide
    from bitspec.runners.protocol import Work
    from bitspec.runners.selections import Selections

    inputs.machine.begin()
    study, base = inputs.study, inputs.spec.parent
    planned = plan(
        study,
        {},
        base=base,
        data_dir=inputs.glue,
        settings={"precision": inputs.precision},
        only=(*inputs.tasks, *inputs.strategies),
    )
    packing = Packing(None if inputs.pack == "auto" else 1 if inputs.pack == "off" else int(inputs.pack))
    runner = LocalRunner(inputs.workers)
    work = Work(study, base, inputs.glue, inputs.machine.device, graphs=inputs.machine.graphs)
    packs = runner.pack(work, divide(planned, packing, Extents(Selections(study, base))), packing)
    workers = min(runner.crew(work, len(planned.new)), len(packs))
    places = [[(one.trial.task.name, one.trial.strategy, one.trial.seed) for one in pack] for pack in packs]
    return workers, places, {task: _sizes(inputs, task) for task in inputs.tasks}


def _sizes(inputs: Inputs, task: str) -> tuple[int, int]:
    """Steps of an epoch, and batches of the reference's evaluation."""
    data = inputs.data(task)
    size = inputs.batch_size(task)
    steps = math.ceil(len(data.training) / size)
    return steps, steps + sum(math.ceil(len(split) / size) for split in data.validation)


def _reference(inputs: Inputs, task: str, strategies: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Seconds of a step and of a batch of the evaluation, by strategy."""
    from tests.benchmarks.reference import Reference, evaluate

    machine = inputs.machine
    machine.begin()
    data, model = inputs.data(task), plain_model(inputs.model, machine.device, attention(machine))
    found = {}
    for cell in inputs.cells(task, [(strategy, inputs.seeds[0]) for strategy in strategies]):
        trial = Reference(model, cell, data.training)
        seconds(machine, _WARM_UP, trial.step)
        step = seconds(machine, inputs.steps, trial.step)
        batches = evaluate(model, data.training, cell.settings.batch_size)
        next(batches)
        found[cell.strategy] = step, seconds(machine, inputs.evaluations, partial(_next, batches))
        del trial
    return found


def _next(batches: Iterator[object], _number: int) -> None:
    next(batches)


def attention(machine: Machine) -> str:
    """The quicker of transformers' attention functions with dropout, measured for BERT on both kinds of device."""
    return "eager" if machine.device == "cpu" else "sdpa"


def _bitspec(inputs: Inputs, task: str, places: Sequence[tuple[str, int]], workers: int) -> tuple[float, float]:
    """Seconds of a step of a pack, and of the evaluation of the validation set for all its trials."""
    import torch

    from tests.benchmarks.engine import prepared_model, training

    machine = replace(inputs.machine, threads=max(1, inputs.machine.threads // workers))
    machine.begin()
    data, prepared = inputs.data(task), prepared_model(inputs.model, torch.device(machine.device))
    trials = [
        (cell.key, cell.seed, cell.masks, cell.settings.model_copy(update={"epochs": 1}))
        for cell in inputs.cells(task, places)
    ]
    run = training(prepared, trials, data.training, graphs=machine.graphs)
    try:
        run.rehearse(_WARM_UP)
        step = run.rehearse(inputs.steps)
    finally:
        run.close()
    # An epoch of one batch is that step and an evaluation.
    few = first_of(data.training, trials[0][3].batch_size)
    run = training(prepared, trials, few, data.validation, metrics=data.examples.scores, main=data.examples.metric)
    try:
        one = run.rehearse(1)
        machine.wait()
        began = time.perf_counter()
        list(run.run())
        machine.wait()
        evaluation = time.perf_counter() - began - one
    finally:
        run.close()
    return step, max(0.0, evaluation)


# What came out --------------------------------------------------------------------------------------------


def show(rows: Sequence[Row], title: str) -> None:
    """Print seconds a step by strategy, and how much faster whole tasks are."""
    lines = []
    for row in rows:
        name = ", ".join(dict.fromkeys(row.strategies))
        count = f"{len(row.strategies)} together" if len(row.strategies) > 1 else ""
        lines.append(
            (
                f"{row.task}: {name if len(name) < 60 else f'{name[:57]}…'}",
                count,
                milliseconds(row.reference_step),
                milliseconds(row.step),
                f"{row.reference_training / row.training:.2f} ×",
                f"{_whole(row):.2f} ×",
            )
        )
    columns = ("", "packed", "reference", "bitspec", "faster", "with evaluation")
    print_table(f"{title}: seconds a step, for one trial", columns, lines)
    totals = [
        (
            task,
            milliseconds(sum(row.reference_training for row in own)),
            milliseconds(sum(row.training for row in own)),
            f"{speedup(own):.2f} ×",
            f"{speedup(own, evaluation=True):.2f} ×",
        )
        for task, own in (*by_task(rows), ("all", list(rows)))
    ]
    print_table(title, ("an epoch of every trial", "reference", "bitspec", "faster", "with evaluation"), totals)


def by_task(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each task."""
    for task in dict.fromkeys(row.task for row in rows):
        yield task, [row for row in rows if row.task == task]


def speedup(rows: Sequence[Row], *, evaluation: bool = False) -> float:
    """How many times faster bitspec is on all of these, training only, or with each side's evaluation."""
    theirs = sum(row.reference_training + evaluation * row.reference_evaluation for row in rows)
    return theirs / sum(row.training + evaluation * row.evaluation for row in rows)


def _whole(row: Row) -> float:
    return speedup([row], evaluation=True)


def limits(rows: Sequence[Row]) -> Iterator[Limit]:
    """What must hold on two cores of a CPU."""
    for task, own in by_task(rows):
        if task in LIMITS:
            yield Limit(f"all strategies on {task}, faster than the reference", LIMITS[task], speedup(own))
