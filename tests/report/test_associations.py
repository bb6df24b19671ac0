"""Change against score: the points, their rank correlation, and which strategies are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.language.load import loads
from bitspec.report.associations import Association, Point, association, read
from bitspec.report.choices import Choice
from tests.report.made import ScoreOf, runs_of

SPEC = """
study made "A made-up study"
model nano = "builtin/nano"
task cola, rte
seeds 0..2
strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
strategy gammas "Gammas" = gamma
strategy both   "Both"   = bias | gamma
strategy full   "Full"   = all
"""

#: From the least that moves to the most.
ORDER = {"bitfit": 1, "gammas": 2, "both": 3, "full": 4}

ChangeOf = Callable[[str, str, int], float | None]


def by_order(_task: str, strategy: str, seed: int) -> float:
    return 60 + ORDER.get(strategy, 0) + 0.5 * seed


def moved(_task: str, strategy: str, seed: int) -> float:
    return 0.25 * ORDER.get(strategy, 0) + 0.5 * seed


def made(score: ScoreOf = by_order, change: ChangeOf = moved, **options: object) -> Association:
    return association(runs_of(loads(SPEC), score, change, **options))  # type: ignore[arg-type]


def test_a_point_is_the_mean_over_seeds() -> None:
    found = made()
    assert found.strata == (("nano", "cola"), ("nano", "rte"))
    assert found.points[0] == found.points[1]
    assert found.points[0] == (
        Point("bitfit", 0.75, 61.5, 3),
        Point("gammas", 1.0, 62.5, 3),
        Point("both", 1.25, 63.5, 3),
        Point("full", 1.5, 64.5, 3),
    )
    assert (found.strategies, found.seeds, found.title) == (4, 3, "A made-up study")


def test_ranks_that_agree_and_ranks_that_do_not() -> None:
    found = made(lambda task, strategy, seed: by_order(task, strategy, seed) * (1 if task == "cola" else -1))
    assert found.correlation is not None
    assert found.correlation.strata == pytest.approx((1, -1))
    assert found.correlation.mean == pytest.approx(0)
    found = made()
    assert found.correlation is not None
    assert found.correlation.mean == pytest.approx(1)
    assert found.correlation.test.p == pytest.approx(2 / 24)  # of four strategies


def test_what_trains_nothing_is_left_out() -> None:
    assert made().left_out == ("frozen",)


def test_what_is_not_finished_on_every_task_is_left_out() -> None:
    def score(task: str, strategy: str, seed: int) -> float | None:
        return None if (task, strategy) == ("rte", "both") else by_order(task, strategy, seed)

    found = made(score)
    assert found.left_out == ("frozen", "both")
    assert [point.strategy for point in found.points[0]] == ["bitfit", "gammas", "full"]


def test_a_task_without_a_run_is_no_reason_to_leave_all_out() -> None:
    found = made(lambda task, strategy, seed: None if task == "rte" else by_order(task, strategy, seed))
    assert found.strata == (("nano", "cola"),)
    assert (len(found.points), found.strategies) == (1, 4)


def test_runs_without_a_change_do_not_count() -> None:
    found = made(change=lambda task, strategy, seed: None if seed == 0 else moved(task, strategy, seed))
    assert found.points[0][0] == Point("bitfit", 1.0, 61.75, 2)
    assert found.seeds == 2


def test_the_same_trials_under_another_name_count_once() -> None:
    keys = {(task, "both", seed): f"{task} gammas {seed}" for task in ("cola", "rte") for seed in range(3)}
    assert made(keys=keys).left_out == ("frozen", "both")
    del keys["rte", "both", 2]
    assert made(keys=keys).left_out == ("frozen",)


def test_on_these_tasks_alone() -> None:
    runs = runs_of(loads(SPEC), by_order, moved)
    assert association(runs, ["rte"]).strata == (("nano", "rte"),)
    assert association(runs, ["mrpc"]).points == ()


def test_models_have_points_of_their_own() -> None:
    nano = runs_of(loads(SPEC), by_order, moved)
    large = tuple(run._replace(model="large", key=f"large {run.key}", score=-run.score) for run in nano.all)
    cells = (*nano.chosen.cells, *(replace(one, model="large") for one in nano.chosen.cells))
    found = association(replace(nano, all=(*nano.all, *large), chosen=replace(nano.chosen, cells=cells)), ["rte"])
    assert found.strata == (("nano", "rte"), ("large", "rte"))
    assert found.correlation is not None
    assert found.correlation.strata == pytest.approx((1, -1))


def test_too_few_points_have_no_correlation() -> None:
    found = made(lambda task, strategy, seed: by_order(task, strategy, seed) if strategy == "full" else None)
    assert (found.strategies, found.correlation) == (1, None)


def test_nothing_that_moved() -> None:
    found = made(change=lambda *_: None)
    assert (found.points, found.strategies, found.seeds, found.correlation) == ((), 0, 0, None)
    assert found.left_out == ("frozen", "bitfit", "gammas", "both", "full")


def test_from_a_store(asked: Path) -> None:
    found = read(asked, Choice(tasks=("rte",), strategies=("bitfit", "frozen")))
    ((point,),) = found.points
    assert (point.strategy, point.seeds) == ("bitfit", 3)
    assert (point.change, point.score) == pytest.approx((0.088, 70.0833), abs=1e-4)
    assert found.left_out == ("frozen",)


def test_a_choice_of_what_trains_nothing(asked: Path) -> None:
    with pytest.raises(BitspecError, match="so there is no change to compare") as caught:
        read(asked, Choice(strategies=("frozen",)))
    assert caught.value.diagnostics[0].code == "nothing-trained"
