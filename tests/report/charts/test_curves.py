"""Learning curves as Vega-Lite: strategies as lines or as panels, one key, and everything labelled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitspec.report.charts.curves import MOST_LINES, MOST_STRATEGIES
from bitspec.report.charts.curves import draw as draw_curves
from bitspec.report.choices import Choice
from bitspec.report.curves import read
from tests.report.charts.golden import check_golden
from tests.report.conftest import ASKED, MINIMAL

Answer = Callable[..., Path]
Spec = dict[str, Any]

#: More strategies than have a line each.
MANY = ASKED.replace("seeds 0..2", "seeds 0") + "for n in 1..9 { strategy s_$n = rand(bias, $n) }"


def draw(store: Path, **chosen: Any) -> Spec:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_curves(read(store, Choice(**chosen))).to_dict()


def panels(chart: Spec) -> list[Spec]:
    found: list[Spec] = chart["hconcat"][0]["concat"]
    return found


def layers(panel: Spec) -> Iterator[Spec]:
    for part in panel["vconcat"]:
        yield from part["layer"]


def rows(chart: Spec, part: Spec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["datasets"][part["data"]["name"]]
    return found


def key_texts(chart: Spec) -> list[str]:
    return [row["text"] for row in rows(chart, chart["hconcat"][1])]


def said(chart: Spec) -> str:
    return "\n".join(chart["title"]["subtitle"])


def test_golden(asked: Path, update_golden: bool) -> None:
    check_golden("curves", draw(asked, tasks=("rte",), strategies=("bitfit", "gammas")), update=update_golden)


def test_a_panel_for_each_task_with_scores_above_losses(asked: Path) -> None:
    chart = draw(asked)
    assert [panel["title"]["text"] for panel in panels(chart)] == [["builtin/cola"], ["builtin/rte"]]
    for panel in panels(chart):
        score, loss = panel["vconcat"]
        assert {row["which"] for row in rows(chart, score)} == {"score"}
        assert {row["which"] for row in rows(chart, loss)} == {"training", "validation"}
        assert score["layer"][1]["encoding"]["y"]["title"] == "score (points)"
        assert loss["layer"][1]["encoding"]["y"]["title"] == "loss"
        assert score["encoding"]["x"]["title"] == loss["encoding"]["x"]["title"] == "epoch"
        assert score["encoding"]["x"]["axis"]["values"] == [1, 2, 3]


def test_a_line_is_told_by_colour_and_by_shape(asked: Path) -> None:
    chart = draw(asked, tasks=("rte",))
    (score, loss) = panels(chart)[0]["vconcat"]
    color = score["encoding"]["color"]["scale"]
    (points,) = (layer for layer in score["layer"] if layer["mark"]["type"] == "point")
    shape = points["encoding"]["shape"]["scale"]
    assert color["domain"] == shape["domain"] == ["frozen", "bitfit", "gammas", "sample", "upper"]
    assert len(set(color["range"])) == len(set(shape["range"])) == 5
    dashes = loss["layer"][1]["encoding"]["strokeDash"]["scale"]
    assert dict(zip(dashes["domain"], dashes["range"], strict=True))["validation"] == [1, 0]
    assert dict(zip(dashes["domain"], dashes["range"], strict=True))["training"] != [1, 0]
    assert key_texts(chart) == ["Frozen", "BitFit", "Gammas", "Sample", "Upper", "validation loss", "training loss"]


def test_a_band_from_the_lowest_to_the_highest_seed(asked: Path) -> None:
    chart = draw(asked, tasks=("rte",), strategies=("gammas",))
    (score, _) = panels(chart)[0]["vconcat"]
    (band,) = (layer for layer in score["layer"] if layer["mark"]["type"] == "area")
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert band["encoding"]["y"]["stack"] is None
    assert [(row["low"], row["mean"], row["high"]) for row in rows(chart, score)] == [
        (52.0, 52.5, 53.0),
        (56.0, 56.5, 57.0),
        (60.0, 60.5, 61.0),
    ]
    low, high = band["encoding"]["y"]["scale"]["domain"]
    assert 51 < low < 52
    assert 61 < high < 62


def test_one_seed_has_no_band(answer: Answer) -> None:
    chart = draw(answer(ASKED.replace("seeds 0..2", "seeds 0")))
    assert not [layer for panel in panels(chart) for layer in layers(panel) if layer["mark"]["type"] == "area"]
    assert "n = 1 seed" in said(chart)
    assert "band" not in said(chart)


def test_the_number_of_runs_is_always_there(asked: Path, answer: Answer) -> None:
    assert "study asked, model nano, n = 3 seeds" in said(draw(asked))
    partly = draw(answer(skip=lambda cell: cell.trial.strategy == "gammas" and cell.trial.seed == 2))
    assert "n beside each name" in said(partly)
    assert key_texts(partly)[:3] == ["Frozen, 3 seeds", "BitFit, 3 seeds", "Gammas, 2 of 3 seeds"]


def test_what_is_not_finished_is_named(answer: Answer) -> None:
    chart = draw(answer(skip=lambda cell: cell.trial.strategy == "upper"))
    assert "not finished yet: Upper" in said(chart)


def test_a_single_epoch_is_points_beside_each_other(answer: Answer) -> None:
    chart = draw(answer(ASKED.replace("epochs = 3", "epochs = 1")), tasks=("rte",))
    (score, loss) = panels(chart)[0]["vconcat"]
    of_score = rows(chart, score)
    assert [row["epoch"] for row in of_score] == [1] * 5
    assert len({row["x"] for row in of_score}) == 5
    assert all(0.6 < row["x"] < 1.4 for row in of_score)
    assert [layer["mark"]["type"] for layer in score["layer"]] == ["rule", "line", "point"]
    hollow = [layer["mark"]["filled"] for layer in loss["layer"] if layer["mark"]["type"] == "point"]
    assert hollow == [True, False]  # validation, training


def test_a_strategy_of_one_epoch_among_others(answer: Answer) -> None:
    chart = draw(answer(ASKED + "train for gammas { epochs = 1 }"), tasks=("rte",))
    (score, _) = panels(chart)[0]["vconcat"]
    alone = [row for row in rows(chart, score) if row["alone"]]
    assert [(row["strategy"], row["x"], row["point"]) for row in alone] == [("Gammas", 1.0, True)]


def test_more_strategies_than_lines_have_panels_of_their_own(answer: Answer) -> None:
    chart = draw(answer(MANY))
    assert len(panels(chart)) == 14 > MOST_LINES
    assert panels(chart)[1]["title"]["text"] == ["BitFit"]
    assert "all panels have one scale" in said(chart)
    assert key_texts(chart)[:2] == ["builtin/cola", "builtin/rte"]
    for place in (0, 1):
        domains = {
            tuple(panel["vconcat"][place]["layer"][0]["encoding"]["y"]["scale"]["domain"]) for panel in panels(chart)
        }
        assert len(domains) == 1
    assert "left out" not in said(chart)


def test_of_hundreds_of_strategies_the_first_are_shown_and_the_others_counted(answer: Answer) -> None:
    spec = MINIMAL + "for n in 1..30 { strategy s_$n = rand(bias, $n) }"
    chart = draw(answer(spec))
    assert len(panels(chart)) == MOST_STRATEGIES
    assert f"{35 - MOST_STRATEGIES} more strategies are left out: choose with --strategy" in said(chart)


def test_of_many_epochs_not_all_have_a_point(answer: Answer) -> None:
    spec = ASKED.replace("epochs = 3", "epochs = 90").replace("seeds 0..2", "seeds 0")
    chart = draw(answer(spec), tasks=("rte",), strategies=("bitfit",))
    (score, _) = panels(chart)[0]["vconcat"]
    epochs = [row["epoch"] for row in rows(chart, score) if row["point"]]
    assert epochs == list(range(5, 91, 5))
    assert score["encoding"]["x"]["axis"]["values"] == [20, 40, 60, 80]


def test_models_are_told_apart(answer: Answer) -> None:
    spec = ASKED.replace('model nano = "builtin/nano"', 'model a = "one"\nmodel b = "two"')
    chart = draw(answer(spec), tasks=("rte",))
    assert [panel["title"]["text"] for panel in panels(chart)] == [["builtin/rte · a"], ["builtin/rte · b"]]


def test_titles_that_two_strategies_share(answer: Answer) -> None:
    chart = draw(answer(ASKED.replace('"Gammas"', '"BitFit"')), tasks=("rte",))
    assert "BitFit (bitfit)" in key_texts(chart)
    assert "BitFit (gammas)" in key_texts(chart)


@pytest.mark.parametrize(
    "evil",
    [
        "\u202e<script>alert(1)</script>\u202c $x$ & | # _ % {" + "x" * 300,
        *(
            pytest.param(title, marks=pytest.mark.slow)
            for title in ("x" * 300, "<script>alert(1)</script>", "$x$ & | # _ % {", "\u202eabc\u202c")
        ),
    ],
)
def test_hostile_titles(answer: Answer, evil: str) -> None:
    chart = draw(answer(MINIMAL.replace('"BitFit"', f'"{evil}"').replace("What was asked", evil)), tasks=("rte",))
    assert all(len(text) < 80 for text in key_texts(chart))
    assert not re.search("[\u202a-\u202e]", str(chart))
