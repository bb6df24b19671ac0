"""Studies whose runs are made up: scores and changes by model, task, strategy and seed, without a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bitspec.ir.study import Study
from bitspec.report.choices import Cells, Chosen
from bitspec.report.runs import Run, Runs

#: The paper's fourteen strategies and thirteen expectations.
QUESTIONS = """
study made "A made-up study"
model nano = "builtin/nano"
task cola, mrpc, rte
seeds 0..4
strategy full_ft = all
strategy bitfit = bias
strategy bm2_bq = bias where role in {m2, q}
strategy frozen = none
strategy rand_uniform = rand(all, size(bias))
strategy rand_rowcol = rowcol(matrix, size(bias))
strategy gamma_ln1 = gamma where role == ln1
strategy gamma_ln2 = gamma where role == ln2
strategy gammas = gamma where role in {ln1, ln2}
strategy rand_bias = rand(bias, 100)
strategy no_bm2_bq = bias - bm2_bq
strategy gammas_bitfit = gammas | bias
strategy gammas_bm2_bq = gammas | bm2_bq
strategy bias_ln = bias where role in {ln1, ln2}
question "Are biases special?" {
  expect bitfit > full_ft
  expect bitfit > rand_uniform
  expect bitfit > rand_rowcol
  expect bias_ln > gammas
  expect gammas_bitfit > bitfit
  expect gammas_bm2_bq > bm2_bq
  expect gammas_bitfit > gammas
  expect gammas_bm2_bq > gammas
}
question "Are b_m2 and b_q special?" {
  expect bm2_bq > no_bm2_bq
  expect bm2_bq > rand_bias
  expect bm2_bq > bias_ln
  expect bitfit >= gamma_ln1
}
question "Does a larger change mean a better score?" { expect change correlates with score }
"""

#: The score of a run, by task, strategy and seed.
ScoreOf = Callable[[str, str, int], float | None]


def run_of(
    task: str, strategy: str, seed: int, score: float, change: float | None = 0.1, key: str | None = None
) -> Run:
    """A run with this score."""
    return Run(
        key=key or f"{task} {strategy} {seed}",
        model="nano",
        task=task,
        strategy=strategy,
        seed=seed,
        score=score,
        change=None if strategy == "frozen" else change,
        trainable=0 if strategy == "frozen" else 100,
        percent=0.0 if strategy == "frozen" else 0.1,
        head=258,
        metric="accuracy",
        learning_rate=1e-3,
        epochs=2,
        seconds=1.0,
        device="cpu",
    )


def runs_of(
    study: Study,
    score: ScoreOf,
    change: Callable[[str, str, int], float | None] = lambda _task, _strategy, _seed: 0.1,
    seeds: Sequence[int] | None = None,
    keys: Mapping[tuple[str, str, int], str] | None = None,
) -> Runs:
    """The runs of a study, with these scores; None for a run that is not finished."""
    chosen = study.seeds if seeds is None else seeds
    runs = tuple(
        run_of(
            task.name,
            strategy.name,
            seed,
            value,
            change(task.name, strategy.name, seed),
            (keys or {}).get((task.name, strategy.name, seed)),
        )
        for strategy in study.strategies
        for task in study.tasks
        for seed in chosen
        if (value := score(task.name, strategy.name, seed)) is not None
    )
    finished = {(run.task, run.strategy, run.seed) for run in runs}
    cells = tuple(
        Cells(
            "nano",
            task.name,
            strategy.name,
            strategy.title,
            place,
            len(chosen),
            sum((task.name, strategy.name, seed) in finished for seed in chosen),
        )
        for place, strategy in enumerate(study.strategies)
        for task in study.tasks
    )
    return Runs(Chosen("made", study.title, "made.bspec", cells), runs, study)
