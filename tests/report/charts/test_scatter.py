"""Change against score as Vega-Lite: a labelled point for each strategy, its runs, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitspec.language.load import loads
from bitspec.report.associations import association, read
from bitspec.report.charts.scatter import MOST_LABELS
from bitspec.report.charts.scatter import draw as draw_scatter
from bitspec.report.choices import Choice
from tests.report.charts.golden import check_golden
from tests.report.conftest import ASKED
from tests.report.made import QUESTIONS, ScoreOf, runs_of

Answer = Callable[..., Path]
Spec = dict[str, Any]


def draw(store: Path, **chosen: Any) -> Spec:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_scatter(read(store, Choice(**chosen))).to_dict()


def made(
    change: Callable[[str, str, int], float | None], score: ScoreOf, spec: str = QUESTIONS, **options: Any
) -> Spec:
    """The chart of runs that are made up."""
    return draw_scatter(association(runs_of(loads(spec), score, change, **options))).to_dict()


def layer(chart: Spec, place: int, kind: str, number: int = 0) -> list[dict[str, Any]]:
    """The rows of a layer of a panel."""
    found = [one for one in chart["concat"][place]["layer"] if one["mark"]["type"] == kind][number]
    rows: list[dict[str, Any]] = chart["datasets"][found["data"]["name"]]
    return rows


def said(chart: Spec) -> str:
    return "\n".join(chart["title"]["subtitle"])


def test_golden(asked: Path, update_golden: bool) -> None:
    check_golden("scatter", draw(asked, tasks=("rte",)), update=update_golden)


def test_a_panel_for_each_task_with_its_correlation(asked: Path) -> None:
    chart = draw(asked)
    titles = [(panel["title"]["text"], panel["title"]["subtitle"]) for panel in chart["concat"]]
    # By change: gammas, sample, upper, bitfit; by score: gammas, upper, sample, bitfit.
    assert titles == [(["builtin/cola"], "ρ = 0.80"), (["builtin/rte"], "ρ = 0.80")]
    for panel in chart["concat"]:
        assert panel["encoding"]["x"]["title"] == "mean |Δ| over the trained entries"
        assert panel["encoding"]["y"]["title"] == "score (points)"


def test_a_point_is_a_strategy_and_a_dot_a_run(asked: Path) -> None:
    chart = draw(asked, tasks=("rte",))
    dots, points = layer(chart, 0, "point", 0), layer(chart, 0, "point", 1)
    assert {row["strategy"]: (row["x"], row["y"], row["seeds"]) for row in points} == {
        "BitFit": (0.088, pytest.approx(70.0833), 3),
        "Gammas": (0.022, 60.5, 3),
        "Sample": (0.044, 70.0, 3),
        "Upper": (0.066, 65.5, 3),
    }
    assert sorted((row["seed"], row["x"], row["y"]) for row in dots if row["strategy"] == "Gammas") == [
        (0, 0.02, 60.0),
        (1, 0.022, 60.5),
        (2, 0.024, 61.0),
    ]
    assert {len(row["trial"]) for row in dots} == {12}
    spokes = layer(chart, 0, "rule")
    assert {(row["to_x"], row["to_y"]) for row in spokes} == {(row["x"], row["y"]) for row in points}


def test_every_strategy_is_labelled(asked: Path) -> None:
    assert [row["text"] for row in layer(draw(asked), 0, "text")] == ["BitFit", "Gammas", "Sample", "Upper"]


def test_what_is_said(asked: Path) -> None:
    lines = draw(asked)["title"]["subtitle"]
    assert lines == [
        "mean absolute change of the trained entries, and score, of each strategy: means over seeds",
        "study asked, model nano, n = 3 seeds",
        "Spearman's ρ: builtin/cola 0.80, builtin/rte 0.80; mean 0.80, over 4 strategies, p = 0.33 by permuting them",
        "left out, as nothing is trained, a task is not finished, or the trials are another strategy's: Frozen",
        "small dots are single runs",
    ]


def test_one_seed_has_no_dots_and_no_p(answer: Answer) -> None:
    chart = draw(answer(ASKED.replace("seeds 0..2", "seeds 0")), tasks=("rte",))
    assert len([one for one in chart["concat"][0]["layer"] if one["mark"]["type"] == "point"]) == 1
    assert "n = 1 seed" in said(chart)
    assert "no p of a single seed" in said(chart)
    assert "small dots" not in said(chart)


def test_seeds_that_differ_in_number(answer: Answer) -> None:
    chart = draw(answer(skip=lambda cell: cell.trial.strategy == "gammas" and cell.trial.seed == 2))
    assert "n = 2 to 3 seeds" in said(chart)


def spread(task: str, strategy: str, seed: int) -> float:
    """Scores of fourteen strategies that crowd together."""
    return 60 + (hash_of(task, strategy) % 40) / 10 + 0.3 * seed


def hash_of(*words: str) -> int:
    return sum(ord(char) * place for place, char in enumerate("".join(words), 1))


def test_fourteen_labels_cover_neither_each_other_nor_a_point() -> None:
    chart = made(lambda _task, strategy, seed: 0.01 + hash_of(strategy) % 7 / 1000 + seed / 9000, spread)
    for place in range(3):
        panel = chart["concat"][place]
        texts = layer(chart, place, "text")
        assert len(texts) == 13
        x, y = (panel["encoding"][axis]["scale"]["domain"] for axis in "xy")

        def pixels(row: dict[str, Any], x: list[float] = x, y: list[float] = y) -> tuple[float, float]:
            return 380 * (row["x"] - x[0]) / (x[1] - x[0]), 300 * (1 - (row["y"] - y[0]) / (y[1] - y[0]))

        boxes = [(left, middle, left + 5.5 * len(row["text"])) for row in texts for left, middle in [pixels(row)]]
        for number, (left, middle, right) in enumerate(boxes):
            assert left >= -1
            assert right <= 381
            assert not [
                other
                for other in boxes[:number]
                if abs(other[1] - middle) < 10 and left < other[2] and other[0] < right
            ]
            assert not [
                (a, b)
                for a, b in map(pixels, layer(chart, place, "point", 1))
                if left - 2 < a < right + 2 and abs(b - middle) < 6
            ]


def test_changes_that_differ_by_much_have_a_logarithmic_axis() -> None:
    chart = made(lambda _task, strategy, _seed: 1e-6 if strategy == "bitfit" else 0.1, spread)
    scale = chart["concat"][0]["encoding"]["x"]["scale"]
    assert scale["type"] == "log"
    assert 0 < scale["domain"][0] < 1e-6
    assert "log scale" in chart["concat"][0]["encoding"]["x"]["title"]
    assert {len(layer(chart, place, "text")) for place in range(3)} == {13}


def test_a_change_of_nothing_has_a_place_on_it() -> None:
    changes = {"bitfit": 0.0, "gammas": 1e-5}
    chart = made(lambda _task, strategy, _seed: changes.get(strategy, 0.1), spread)
    low = chart["concat"][0]["encoding"]["x"]["scale"]["domain"][0]
    point = next(row for row in layer(chart, 0, "point", 1) if row["strategy"] == "bitfit")
    assert (point["x"], point["change"]) == (low, 0.0)
    assert low < 1e-5 / 2
    assert "a change of 0 stands at the left end" in said(chart)
    assert all(math.isfinite(row["x"]) and row["x"] > 0 for row in layer(chart, 0, "text"))


def test_changes_of_nothing_at_all() -> None:
    chart = made(lambda _task, _strategy, _seed: 0.0, spread)
    low, high = chart["concat"][0]["encoding"]["x"]["scale"]["domain"]
    assert low == 0 < high
    assert "cannot be ranked" in said(chart)


def test_of_hundreds_of_strategies_the_best_are_labelled() -> None:
    spec = QUESTIONS + "for n in 1..100 { strategy s_$n = rand(bias, $n) }"
    draws = np.random.default_rng(0)
    chart = made(lambda *_: float(draws.random()), lambda *_: float(60 + draws.random()), spec)
    assert len(layer(chart, 0, "point", 1)) == 113
    assert len(layer(chart, 0, "text")) <= MOST_LABELS
    assert f"the {MOST_LABELS} strategies with the highest scores are labelled: choose others with --strategy" in said(
        chart
    )


def test_too_many_runs_are_not_drawn() -> None:
    chart = made(lambda *_: 0.1, spread, seeds=range(100))
    assert len([one for one in chart["concat"][0]["layer"] if one["mark"]["type"] == "point"]) == 1
    assert "single runs are too many to be drawn" in said(chart)


def test_hostile_titles(answer: Answer) -> None:
    chart = draw(answer(ASKED.replace('"BitFit"', '"' + "<script>" * 40 + '"')), tasks=("rte",))
    assert max(len(row["text"]) for row in layer(chart, 0, "text")) <= 30
