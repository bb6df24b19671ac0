"""Scores of strategies: by task and on average, the front, and what a figure of them leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from bitspec.language.load import loads
from bitspec.report.choices import Choice
from bitspec.report.scores import (
    MOST_PANELS,
    MOST_STRATEGIES,
    Average,
    Panel,
    Reported,
    Score,
    Scores,
    Standing,
    figure,
    read,
    scores,
)
from tests.report.made import ScoreOf, run_of, runs_of

SPEC = """
study made "A made-up study"
model nano = "builtin/nano"
task cola, rte
seeds 0..2
strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
strategy gammas "Gammas" = gamma
"""

#: Scores of a strategy on a task, seed by seed.
Table: TypeAlias = dict[tuple[str, str], Sequence[float | None]]

#: The same on both tasks, ten points apart; the gammas lack a seed of each, and not the same one.
TABLE: Table = {
    ("frozen", "cola"): (50, 50, 50),
    ("frozen", "rte"): (50, 50, 50),
    ("bitfit", "cola"): (60, 62, 64),
    ("bitfit", "rte"): (70, 72, 74),
    ("gammas", "cola"): (55, 57, None),
    ("gammas", "rte"): (None, 61, 65),
}


def by_table(table: Table) -> ScoreOf:
    def score(task: str, strategy: str, seed: int) -> float | None:
        values = table.get((strategy, task), ())
        return values[seed] if seed < len(values) else None

    return score


def made(
    score: ScoreOf | Table = TABLE,
    spec: str = SPEC,
    percents: Mapping[str, float] | None = None,
    models: Sequence[str] = ("nano",),
    seeds: Sequence[int] | None = None,
) -> Scores:
    """Scores that are made up, each model's five points below the one's before; `percents` are shares of parameters."""
    runs = runs_of(loads(spec), score if callable(score) else by_table(score), seeds=seeds)
    shares = percents or {}
    every = tuple(
        run._replace(model=model, score=run.score - 5 * place, percent=shares.get(run.strategy, run.percent))
        for place, model in enumerate(models)
        for run in runs.all
    )
    cells = tuple(replace(one, model=model) for model in models for one in runs.chosen.cells)
    return scores(replace(runs, all=every, chosen=replace(runs.chosen, cells=cells)))


def score_of(*values: float, percents: Sequence[float] = (), task: str = "rte") -> Score:
    shares = percents or [0.1] * len(values)
    runs = tuple(
        run_of(task, "a", seed, value)._replace(percent=share)
        for seed, (value, share) in enumerate(zip(values, shares, strict=True))
    )
    return Score("nano", task, "a", "A", runs, 3)


def placed(strategy: str, percent: float, *values: float) -> Score:
    """What a strategy comes to that trains such a share of the parameters."""
    return replace(score_of(*values, percents=[percent] * len(values)), strategy=strategy, title=strategy)


def names(standings: Sequence[Standing]) -> list[str]:
    return [one.strategy for one in standings]


# One task -----------------------------------------------------------------------------------------------------------


def test_a_score_of_several_runs() -> None:
    score = score_of(60, 62, 64, percents=(1, 2, 6))
    assert (score.seeds, score.values, score.mean, score.sd, score.percent) == (3, (60, 62, 64), 62, 2, 3)
    assert score.interval is not None
    half = 4.302653 * 2 / 3**0.5  # Student's t of two degrees of freedom
    assert (score.interval.low, score.interval.high) == pytest.approx((62 - half, 62 + half))


def test_a_score_of_one_run_has_no_spread() -> None:
    score = score_of(60)
    assert (score.seeds, score.mean, score.sd, score.interval, score.percent) == (1, 60, None, None, 0.1)


def test_a_score_of_no_run() -> None:
    score = score_of()
    assert (score.seeds, score.mean, score.sd, score.interval, score.percent) == (0, None, None, None, None)


def test_cells_of_the_study_without_a_run_are_there() -> None:
    found = made({("bitfit", "cola"): (60,)})
    assert len(found.all) == 6
    frozen, bitfit = found.at("nano", "rte", "frozen"), found.at("nano", "cola", "bitfit")
    assert frozen is not None
    assert bitfit is not None
    assert (frozen.runs, frozen.planned) == ((), 3)
    assert (bitfit.seeds, bitfit.planned, bitfit.title) == (1, 3, "BitFit")
    assert found.at("nano", "mrpc", "frozen") is None


# Averages -----------------------------------------------------------------------------------------------------------


def average(found: Scores, strategy: str) -> Average:
    return next(one for one in found.averages if one.strategy == strategy)


def test_an_average_over_tasks() -> None:
    found = average(made(percents={"bitfit": 0.5}), "bitfit")
    assert found.by_seed == {0: 65, 1: 67, 2: 69}
    assert (found.mean, found.sd, found.seeds, found.planned, found.percent) == (67, 2, 3, 3, 0.5)
    assert found.interval is not None
    half = 2.776445 * (4 / 3 + 4 / 3) ** 0.5 / 2  # of two tasks alike in variance: four degrees of freedom
    assert (found.interval.low, found.interval.high) == pytest.approx((67 - half, 67 + half))


def test_an_average_is_of_the_seeds_that_are_on_every_task() -> None:
    found = average(made(), "gammas")
    assert found.by_seed == {1: (57 + 61) / 2}
    assert (found.values, found.seeds, found.mean, found.sd) == ((59,), 1, 59, None)
    assert found.interval is None  # there are two runs on each task, but one seed on both


def test_the_interval_of_an_average_is_of_the_same_runs() -> None:
    found = average(made({("bitfit", "cola"): (60, 62, 64), ("bitfit", "rte"): (70, 72)}), "bitfit")
    assert (found.seeds, found.mean) == (2, 66)
    assert found.interval is not None
    assert (found.interval.low + found.interval.high) / 2 == pytest.approx(66)


def test_an_average_lacks_everything_without_a_run_on_some_task() -> None:
    found = average(made({("bitfit", "cola"): (60, 62)}), "bitfit")
    assert (found.mean, found.sd, found.interval, found.percent) == (None, None, None, None)
    assert (found.by_seed, found.seeds, found.planned) == ({}, 0, 3)


def test_tasks_that_share_no_seed_have_no_average() -> None:
    found = average(made({("bitfit", "cola"): (60,), ("bitfit", "rte"): (None, 70)}), "bitfit")
    assert (found.mean, found.seeds, found.values) == (None, 0, ())


# Reported elsewhere -------------------------------------------------------------------------------------------------


REPORTED = """
reported "a paper" { bitfit: cola 61, rte 71  gammas: cola 50 }
reported "another" { bitfit: rte 70 }
"""


def test_what_is_reported_stands_beside_the_runs() -> None:
    found = made(spec=SPEC + REPORTED)
    cola, rte = (found.at("nano", task, "bitfit") for task in ("cola", "rte"))
    assert cola is not None
    assert rte is not None
    assert cola.reported == (Reported("a paper", 61),)
    assert rte.reported == (Reported("a paper", 71), Reported("another", 70))


def test_a_short_name_finds_the_task() -> None:
    found = made({}, SPEC.replace("cola, rte", "builtin/cola, builtin/rte") + REPORTED)
    score = found.at("nano", "builtin/cola", "gammas")
    assert score is not None
    assert score.reported == (Reported("a paper", 50),)


def test_only_a_source_that_reports_every_task_has_an_average() -> None:
    found = made(spec=SPEC + REPORTED)
    assert average(found, "bitfit").reported == (Reported("a paper", 66),)
    assert average(found, "gammas").reported == ()


def test_a_task_that_is_reported_twice_makes_up_for_no_other() -> None:
    found = made(spec=SPEC + 'reported "a paper" { bitfit: cola 61 } reported "a paper" { bitfit: cola 63 }')
    assert average(found, "bitfit").reported == ()
    both = made(spec=SPEC + 'reported "a paper" { bitfit: cola 61, rte 71 } reported "a paper" { bitfit: cola 63 }')
    assert average(both, "bitfit").reported == (Reported("a paper", 66),)


def test_without_the_study_nothing_is_reported() -> None:
    runs = runs_of(loads(SPEC + REPORTED), by_table(TABLE))
    assert not any(score.reported for score in scores(replace(runs, study=None)).all)


# The front ----------------------------------------------------------------------------------------------------------


def test_the_front_rises_with_the_share() -> None:
    panel = Panel(
        "nano",
        "rte",
        (placed("full", 100, 71), placed("none", 0, 50), placed("bias", 0.1, 70), placed("random", 0.1, 65)),
    )
    assert names(panel.by_percent) == ["none", "bias", "random", "full"]
    assert names(panel.front) == ["none", "bias", "full"]


def test_as_high_with_more_parameters_is_not_on_the_front() -> None:
    panel = Panel("nano", "rte", (placed("bias", 0.1, 70), placed("more", 0.2, 70), placed("full", 100, 69)))
    assert names(panel.front) == ["bias"]


def test_alike_in_both_are_both_on_the_front() -> None:
    panel = Panel("nano", "rte", (placed("b", 0.1, 70), placed("a", 0.1, 70), placed("c", 0.1, 69)))
    assert names(panel.front) == ["b", "a"]


def test_shares_are_alike_whatever_the_number_of_runs() -> None:
    three, two = placed("three", 0.1, 70, 70, 70), placed("two", 0.1, 65, 65)
    assert three.percent != two.percent  # in the last digit of the mean
    panel = Panel("nano", "rte", (two, three))
    assert names(panel.by_percent) == ["three", "two"]
    assert names(panel.front) == ["three"]


def test_what_has_no_run_is_not_on_the_front() -> None:
    panel = Panel("nano", "rte", (placed("none", 0), placed("bias", 0.1, 70)))
    assert names(panel.by_percent) == names(panel.front) == ["bias"]


# Panels -------------------------------------------------------------------------------------------------------------


def places(panels: Sequence[Panel]) -> list[tuple[str, str | None]]:
    return [(panel.model, panel.task) for panel in panels]


def test_a_panel_for_each_task_and_one_for_their_average() -> None:
    found = made(models=("nano", "large"))
    assert places(found.panels) == [(model, task) for model in ("nano", "large") for task in ("cola", "rte", None)]
    assert names(found.panels[0].standings) == names(found.panels[2].standings) == ["frozen", "bitfit", "gammas"]


def test_a_single_task_has_no_average() -> None:
    assert places(made(spec=SPEC.replace("cola, rte", "rte")).panels) == [("nano", "rte")]


def test_a_task_that_a_model_does_not_have_is_no_panel() -> None:
    whole = made(models=("nano", "large"))
    cells = tuple(one for one in whole.runs.chosen.cells if (one.model, one.task) != ("large", "cola"))
    found = scores(replace(whole.runs, chosen=replace(whole.runs.chosen, cells=cells)))
    assert places(found.panels)[3:] == [("large", "rte"), ("large", None)]
    assert [one.mean is None for one in found.averages] == [False] * 3 + [True] * 3


def test_averages_sum_up() -> None:
    found = made(TABLE | {("frozen", "rte"): ()})
    (panel,) = found.overall
    assert panel.task is None
    assert names(panel.standings) == ["bitfit", "gammas"]  # alike in their share, and the frozen one lacks a task


def test_tasks_sum_up_where_nothing_is_finished_on_all() -> None:
    found = made({("bitfit", "cola"): (60,), ("gammas", "rte"): (61,)})
    assert [(panel.task, names(panel.standings)) for panel in found.overall] == [
        ("cola", ["bitfit"]),
        ("rte", ["gammas"]),
    ]


def test_a_model_that_is_not_finished_on_all_tasks_is_not_lost() -> None:
    whole = made(models=("nano", "large"))
    fewer = tuple(run for run in whole.runs.all if (run.model, run.task) != ("large", "cola"))
    assert places(scores(replace(whole.runs, all=fewer)).overall) == [("nano", None), ("large", "rte")]


# Figures ------------------------------------------------------------------------------------------------------------


MANY = SPEC.replace("cola, rte", "rte").replace("seeds 0..2", "seeds 0") + "for n in 1..57 { strategy s_$n = bias }"


def by_number(_task: str, strategy: str, _seed: int) -> float | None:
    """The later, the better; what is not numbered is worst, and the last is not finished."""
    number = int(strategy.partition("_")[2] or 0)
    return None if number == 57 else 40 + number / 10


def test_the_best_strategies_are_shown_in_the_order_of_the_spec() -> None:
    shown = figure(made(by_number, MANY))
    assert shown.strategies_left_out == 60 - MOST_STRATEGIES
    (panel,) = shown.panels
    assert names(panel.standings) == [f"s_{number}" for number in range(17, 57)]


def test_the_whole_has_every_strategy() -> None:
    shown = figure(made(by_number, MANY), is_whole=True)
    assert (shown.strategies_left_out, len(shown.panels[0].standings)) == (0, 60)


def test_what_is_finished_on_more_tasks_is_shown_first() -> None:
    spec = MANY.replace("task rte", "task cola, rte")
    found = figure(
        made(lambda task, name, seed: None if name == "s_56" and task == "cola" else by_number(task, name, seed), spec)
    )
    assert names(found.panels[0].standings) == [f"s_{number}" for number in range(16, 56)]


def test_the_front_is_shown_whatever_its_scores() -> None:
    # Frozen scores least of all and trains nothing; all others train as much as each other.
    found = made(lambda task, name, seed: 30.0 if name == "frozen" else by_number(task, name, seed), MANY)
    (panel,) = figure(found, is_overall=True).panels
    assert names(panel.front) == ["frozen", "s_56"]
    assert len(panel.standings) == MOST_STRATEGIES
    assert {"s_18", "s_17"} & set(names(panel.standings)) == {"s_18"}


def test_no_more_panels_than_can_be_read() -> None:
    found = made(models=[f"m{number}" for number in range(5)])
    shown = figure(found)
    assert (len(shown.panels), shown.panels_left_out) == (MOST_PANELS, 3)
    assert len(figure(found, is_whole=True).panels) == 15
    assert places(figure(found, is_overall=True).panels) == [(f"m{number}", None) for number in range(5)]


def test_sources_are_those_of_what_is_shown() -> None:
    found = made(spec=SPEC + REPORTED)
    assert figure(found).sources == ("a paper", "another")
    assert figure(found, is_overall=True).sources == ("a paper",)


def test_from_a_store(asked: Path) -> None:
    found = read(asked, Choice(strategies=("bitfit", "frozen")))
    assert found.title == "What was asked"
    assert (found.models, found.tasks) == (("nano",), ("builtin/cola", "builtin/rte"))
    assert found.strategies == ("frozen", "bitfit")
    bitfit = found.at("nano", "builtin/rte", "bitfit")
    assert bitfit is not None
    assert list(bitfit.values) == [70, 70.5, 69.75]
    assert bitfit.planned == 3
