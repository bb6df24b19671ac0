"""Two strategies beside each other: pairs, their means and intervals, and the validation sets' own error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bitspec.ir.events import Predictions
from bitspec.report.choices import Ask, Choice, asking, choose
from bitspec.report.differences import Difference, Pair, Predicted, Stratum, difference, predictions_of
from bitspec.report.runs import Runs, read_runs
from tests.report.made import run_of
from tests.report.test_scores import Table, made
from tests.store.conftest import Lab

TABLE: Table = {
    ("bitfit", "cola"): (60, 61, 62),
    ("bitfit", "rte"): (70, 72, 74),
    ("gammas", "cola"): (59, 59, 59),
    ("gammas", "rte"): (70, None, 70),
}


def runs(table: Table = TABLE, models: Sequence[str] = ("nano",)) -> Runs:
    return made(table, models=models).runs


def stratum(*differences: float, task: str = "rte", model: str = "nano", sampling: float | None = None) -> Stratum:
    pairs = (
        Pair(run_of(task, "a", seed, 60 + value), run_of(task, "b", seed, 60)) for seed, value in enumerate(differences)
    )
    return Stratum(model, task, tuple(pairs), sampling)


def test_runs_are_paired_by_seed() -> None:
    found = difference(runs(), "bitfit", "gammas")
    assert [(one.model, one.task, one.differences) for one in found.strata] == [
        ("nano", "cola", (1, 2, 3)),
        ("nano", "rte", (0, 4)),
    ]
    assert [(pair.left.seed, pair.right.seed) for pair in found.strata[1].pairs] == [(0, 0), (2, 2)]
    assert (found.left, found.right, found.pairs, found.seeds, found.without) == ("bitfit", "gammas", 5, 3, ())


def test_the_mean_is_over_tasks_whatever_their_numbers_of_pairs() -> None:
    found = difference(runs(), "bitfit", "gammas")
    assert [one.mean for one in found.strata] == [2, 2]
    more = difference(runs(TABLE | {("gammas", "cola"): (50, 51, 52)}), "bitfit", "gammas")
    assert more.mean == (10 + 2) / 2


def test_the_other_way_round_it_has_the_other_sign() -> None:
    assert difference(runs(), "gammas", "bitfit").values == [(-1, -2, -3), (0, -4)]


def test_the_interval_of_a_task_is_the_paired_one() -> None:
    interval = stratum(1, 2, 3).interval
    assert interval is not None
    half = 4.302653 / 3**0.5  # a standard deviation of one, and two degrees of freedom
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half))
    assert stratum(1).interval is None


def test_the_interval_over_tasks() -> None:
    found = Difference("a", "b", (stratum(1, 2, 3), stratum(3, 4, 5)))
    assert found.interval is not None
    half = 2.776445 * (1 / 3 + 1 / 3) ** 0.5 / 2  # alike in variance: four degrees of freedom
    assert (found.interval.low, found.interval.high) == pytest.approx((3 - half, 3 + half))
    assert Difference("a", "b", (stratum(1, 2, 3), stratum(3))).interval is None


def test_a_margin_is_taken_away_before_signs_are_flipped() -> None:
    found = Difference("a", "b", (stratum(1, 2), stratum(3)))
    assert found.beyond(1.0) == [[0, 1], [2]]
    assert found.test().p == 2 / 2**3
    assert found.test(2.0).p == 1  # -1, 0 and 1 are left


def test_on_these_tasks_alone() -> None:
    found = difference(runs(), "bitfit", "gammas", ["rte"])
    assert [one.task for one in found.strata] == ["rte"]
    assert (found.pairs, found.mean) == (2, 2)


def test_where_there_is_no_pair() -> None:
    whole = runs(TABLE | {("gammas", "rte"): (None, None, None)}, models=("nano", "large"))
    fewer = replace(whole, all=tuple(run for run in whole.all if (run.model, run.strategy) != ("large", "gammas")))
    found = difference(fewer, "bitfit", "gammas")
    assert [(one.model, one.task) for one in found.strata] == [("nano", "cola")]
    assert found.without == (("nano", "rte"), ("large", "cola"), ("large", "rte"))
    nothing = difference(fewer, "bitfit", "frozen")
    assert (nothing.pairs, nothing.seeds, nothing.interval, nothing.sampling) == (0, 0, None, None)


def test_models_are_paired_each_for_itself() -> None:
    found = difference(runs(models=("nano", "large")), "bitfit", "gammas")
    assert [(one.model, one.task) for one in found.strata] == [
        (model, task) for model in ("nano", "large") for task in ("cola", "rte")
    ]


# The validation sets' own error --------------------------------------------------------------------------------------


def test_errors_of_tasks_are_apart() -> None:
    found = Difference("a", "b", (stratum(1, task="cola", sampling=3.0), stratum(1, task="rte", sampling=4.0)))
    assert found.sampling == 5 / 2


def test_errors_of_models_on_one_task_are_the_same() -> None:
    found = Difference("a", "b", (stratum(1, model="nano", sampling=3.0), stratum(1, model="large", sampling=4.0)))
    assert found.sampling == 7 / 2


def test_an_error_that_is_unknown_leaves_the_whole_unknown() -> None:
    found = Difference("a", "b", (stratum(1, task="cola", sampling=3.0), stratum(1, task="rte")))
    assert found.sampling is None
    assert Difference("a", "b", ()).sampling is None


LABELS = np.array([0.0, 1, 1, 0])
#: Runs of `bitfit` on RTE are right; those of `gammas` are wrong about one example of four.
PREDICTED = {
    f"rte {strategy} {seed}": Predicted(LABELS, LABELS if strategy == "bitfit" else np.array([0.0, 1, 1, 1]))
    for strategy in ("bitfit", "gammas")
    for seed in (0, 2)
}


def sampling(predicted: dict[str, Predicted], found: Runs | None = None) -> float | None:
    (one,) = difference(found or runs(), "bitfit", "gammas", ["rte"], predicted).strata
    return one.sampling


def test_the_error_of_a_task() -> None:
    # Accuracies that differ by 1 on a quarter of the examples: the variance 1/4 · 3/4 over four.
    assert sampling(PREDICTED) == pytest.approx(100 * (3 / 16 / 4) ** 0.5)


def test_without_all_predictions_there_is_none() -> None:
    assert sampling({}) is None
    assert sampling({key: one for key, one in PREDICTED.items() if key != "rte gammas 2"}) is None


def test_of_other_examples_there_is_none() -> None:
    other = Predicted(np.array([1.0, 1, 1, 0]), LABELS)
    assert sampling(PREDICTED | {"rte gammas 2": other}) is None
    longer = Predicted(np.array([0.0, 1, 1, 0, 0]), np.zeros(5))
    assert sampling(PREDICTED | {"rte gammas 2": longer}) is None


@pytest.mark.parametrize("metric", [None, "loss"])
def test_of_an_unknown_metric_there_is_none(metric: str | None) -> None:
    found = runs()
    assert sampling(PREDICTED, replace(found, all=tuple(run._replace(metric=metric) for run in found.all))) is None


def test_predictions_of_a_store(lab: Lab) -> None:
    said = Predictions(split="validation", labels=(0, 1, 1), predictions=(0, 1, 0), margins=(1.0,) * 3)
    unlike = Predictions(split="test", labels=(1, 1, 1), predictions=(1, 1, 1), margins=(1.0,) * 3)
    cells = lab.begin()
    for cell in cells:
        lab.record(cell, predictions=() if cell.trial.strategy == "frozen" else (said, unlike))
    found = read_runs(lab.store.folder, Choice())

    def answer(ask: Ask) -> dict[str, Predicted]:
        assert choose(ask, Choice()).study == "small"
        assert predictions_of(ask, ()) == {}
        return predictions_of(ask, found.all)

    predicted = asking(lab.store.folder, answer)
    assert predicted.keys() == {run.key for run in found.all if run.strategy == "bitfit"}
    for one in predicted.values():
        assert one.labels.tolist() == [0, 1, 1]
        assert one.predictions.tolist() == [0, 1, 0]
