"""Words around figures: how many runs, what panels and strategies are called, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bitspec.report.changes import read as read_changes
from bitspec.report.choices import Cells, Choice, Chosen
from bitspec.report.scores import figure, scores
from bitspec.report.words import (
    caption,
    count,
    front_caption,
    labels,
    measure,
    metric,
    number_of_runs,
    panel_title,
    runs,
    scores_caption,
    seeds,
    short,
    some,
    subject,
    task_title,
)
from tests.report.conftest import Fill
from tests.report.test_scores import MANY, SPEC, TABLE, by_number, made

# Of any figure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finished", "planned", "number", "of_seeds"),
    [
        (5, 5, "5", "5 seeds"),
        (1, 1, "1", "1 seed"),
        (3, 5, "3 of 5", "3 of 5 seeds"),
        (1, 5, "1 of 5", "1 of 5 seeds"),
        (0, 1, "0 of 1", "0 of 1 seed"),
        (1000, 2000, "1,000 of 2,000", "1,000 of 2,000 seeds"),
    ],
)
def test_a_number_of_runs(finished: int, planned: int, number: str, of_seeds: str) -> None:
    assert count(finished, planned) == number
    assert seeds(finished, planned) == of_seeds


def test_a_number_that_is_the_same_everywhere() -> None:
    assert number_of_runs(["5 seeds", "5 seeds"], "panel") == "n = 5 seeds"
    assert number_of_runs(["5 seeds", "3 of 5 seeds"], "panel") == "n beside each panel"


def test_a_few_of_many_names() -> None:
    assert some(["a"]) == "a"
    assert some("abcdefghijkl") == "a, b, c, d, e, f, g, h, i, j, k, l"
    assert some("abcdefghijklmn") == "a, b, c, d, e, f, g, h, i, j, k, l and 2 more"
    assert some(["x" * 300, "b"]) == "x" * 39 + "…, b"


def chosen(titles: Mapping[str, str]) -> Chosen:
    cells = (Cells("nano", "rte", strategy, title, 0, 1, 1) for strategy, title in titles.items())
    return Chosen("made", None, "made.bspec", tuple(cells))


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        ({"a": "First", "b": "Second"}, {"a": "First", "b": "Second"}),
        ({"a": "Same", "b": "Same", "c": "Other"}, {"a": "Same (a)", "b": "Same (b)", "c": "Other"}),
        ({"a": "b", "b": "b"}, {"a": "b (a)", "b": "b (b)"}),
        # Where a title is what another is called once its name is added.
        (
            {"a": "Same", "b": "Same", "c": "Same (a)"},
            {"a": "Same (a)", "b": "Same (b)", "c": "Same (a) (c)"},
        ),
    ],
)
def test_no_two_strategies_are_called_the_same(titles: dict[str, str], expected: dict[str, str]) -> None:
    assert labels(chosen(titles)) == expected


def test_what_a_figure_shares() -> None:
    one = chosen({"a": "A"})
    assert subject(one) == "study made, model nano, task rte"
    several = replace(one, cells=(*one.cells, Cells("large", "cola", "a", "A", 0, 1, 1)))
    assert subject(several) == "study made"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.084, "0.084"),
        (0.5, "0.50"),
        (0.996, "1.0"),
        (9.94, "9.9"),
        (9.95, "10"),
        (123.4, "123"),
        (0.001, "0.0010"),
        (0.00099, "1e-3"),
        (1.4e-6, "1e-6"),
        (3e-12, "3e-12"),
    ],
)
def test_short_numbers(value: float, expected: str) -> None:
    assert short(value) == expected


# Of the heatmap ------------------------------------------------------------------------------------------------------


def test_panels_of_one_task_are_called_by_their_strategies(store: Path) -> None:
    changes = read_changes(store, Choice(tasks=("rte",)))
    assert [panel_title(changes, panel) for panel in changes.panels] == ["BitFit", "Rand bias", "g_LN1"]
    assert [runs(panel) for panel in changes.panels] == ["2 seeds"] * 3
    assert measure(changes) == "mean |Δ|"
    assert caption(changes) == [
        "mean absolute change of each role in each layer, over all its entries and all runs",
        "study moved, model nano, task builtin/rte, n = 2 seeds",
        "no panel, as nothing of the base model is trained: Frozen",
    ]


def test_panels_of_one_strategy_are_called_by_their_tasks(store: Path) -> None:
    changes = read_changes(store, Choice(strategies=("bitfit",)), trained_only=True)
    assert [panel_title(changes, panel) for panel in changes.panels] == ["builtin/cola", "builtin/rte"]
    assert measure(changes) == "mean |Δ| over the trained entries"
    assert caption(changes) == [
        "mean absolute change of each role in each layer, over the trained entries and all runs",
        "study moved, model nano, strategy BitFit, n = 2 seeds",
    ]


def test_a_single_panel_is_called_by_its_strategy(store: Path) -> None:
    changes = read_changes(store, Choice(strategies=("bitfit",), tasks=("rte",)))
    assert [panel_title(changes, panel) for panel in changes.panels] == ["BitFit"]


def test_a_heatmap_says_what_is_not_finished(fill: Fill) -> None:
    folder = fill(
        skip=lambda cell: cell.trial.strategy == "sample" or (cell.trial.strategy, cell.trial.seed) == ("bitfit", 1)
    )
    changes = read_changes(folder, Choice())
    assert [runs(panel) for panel in changes.panels] == ["1 of 2 seeds", "2 seeds"]
    assert caption(changes)[1:] == [
        "study moved, model nano, task builtin/rte, n beside each panel",
        "no panel, as nothing of the base model is trained: Frozen",
        "not finished yet: Rand bias",
    ]


# Of scores -----------------------------------------------------------------------------------------------------------


def test_panels_of_scores_are_called_by_what_they_differ_in() -> None:
    found = made()
    assert [task_title(found, panel) for panel in found.panels] == ["cola", "rte", "average over 2 tasks"]
    found = made(models=("nano", "large"))
    assert [task_title(found, panel) for panel in found.panels][2:4] == ["average over 2 tasks · nano", "cola · large"]


def test_the_metric_of_a_panel() -> None:
    found = made()
    assert [metric(panel) for panel in found.panels] == ["accuracy", "accuracy", None]
    mixed = (run._replace(metric="f1" if run.seed else "accuracy") for run in found.runs.all)
    assert [metric(panel) for panel in scores(replace(found.runs, all=tuple(mixed))).panels] == [None, None, None]
    assert metric(scores(replace(found.runs, all=())).panels[0]) is None


def test_scores_of_which_nothing_is_missing() -> None:
    spec = SPEC.replace("cola, rte", "rte")
    assert scores_caption(figure(made(lambda *_: 60.0, spec))) == ["study made, model nano, task rte, n = 3 seeds"]


def test_scores_of_several_tasks() -> None:
    assert scores_caption(figure(made())) == [
        "study made, model nano, n beside each strategy",
        "average: the mean of the tasks' means; its runs are the seeds that are finished on every task",
    ]


def test_strategies_that_are_not_finished_are_named_with_the_places() -> None:
    found = made(TABLE | {("frozen", "rte"): (), ("gammas", "cola"): (), ("gammas", "rte"): ()})
    assert scores_caption(figure(found))[2:] == ["not finished yet: Frozen on rte, Gammas"]
    whole = made(models=("nano", "large"))
    fewer = tuple(
        run for run in whole.runs.all if run.model == "nano" or run.task == "cola" or run.strategy == "bitfit"
    )
    found = scores(replace(whole.runs, all=fewer))
    assert scores_caption(figure(found))[2:] == ["not finished yet: Frozen on rte · large, Gammas on rte · large"]


def test_what_a_figure_of_scores_leaves_out_is_counted() -> None:
    assert scores_caption(figure(made(by_number, MANY)))[1:] == [
        "not finished yet: s_57",
        "left out: 20 strategies with the lowest means; choose with --strategy",
    ]
    panels = figure(made(models=[f"m{number}" for number in range(5)]))
    assert scores_caption(panels)[-1] == "left out: 3 panels; choose with --task and --model"


def test_score_against_share_says_what_the_front_is() -> None:
    lines = front_caption(figure(made(by_number, MANY), is_overall=True))
    assert lines == [
        "on the front: no other strategy scores as high with fewer parameters, or higher with as many, by the means of the runs",
        "study made, model nano, task rte, n = 1 seed",
        "not finished yet: s_57",
        "left out: 20 strategies with the lowest means, those on the front last; choose with --strategy",
    ]
