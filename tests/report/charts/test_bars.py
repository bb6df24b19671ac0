"""Scores as Vega-Lite: runs, means, intervals and what is reported elsewhere, on one axis for each task."""

from __future__ import annotations

from typing import Any

import pytest

from bitspec.report.charts.bars import MOST_DOTS
from bitspec.report.charts.bars import draw as draw_bars
from bitspec.report.scores import MOST_PANELS, MOST_STRATEGIES, Scores
from tests.report.charts.golden import check_golden
from tests.report.test_scores import MANY, SPEC, TABLE, Table, by_number, made

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

REPORTED = """
reported "a paper" { bitfit: cola 61, rte 71.5  gammas: cola 40 }
reported "another" { bitfit: rte 69 }
"""

ONE_TASK = SPEC.replace("cola, rte", "rte")

#: The interval of two runs two points apart is 12.7 to each side of their mean.
WIDE: Table = {("bitfit", "rte"): (60, 62), ("gammas", "rte"): (58, 58.1)}


def draw(scores: Scores) -> Spec:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_bars(scores).to_dict()


def unchecked(scores: Scores) -> Spec:
    """The same where there is too much of it to be checked."""
    return draw_bars(scores).to_dict(validate=False)


def panels(chart: Spec) -> list[Spec]:
    return [panel for row in chart["vconcat"] for panel in row["hconcat"]]


def rows(chart: Spec, panel: Spec, kind: str, **marked: object) -> Rows | None:
    """The rows of the layer whose mark is of this kind; None where there is no such layer."""
    for layer in panel["layer"]:
        mark = layer["mark"]
        if mark["type"] == kind and all(mark.get(name) == value for name, value in marked.items()):
            found: Rows = chart["datasets"][layer["data"]["name"]]
            return found
    return None


def dots(chart: Spec, panel: Spec) -> Rows | None:
    return rows(chart, panel, "point", shape="circle")


def reported(chart: Spec, panel: Spec) -> Rows | None:
    return rows(chart, panel, "point", filled=False)


def domain(panel: Spec) -> list[float]:
    found: list[float] = panel["layer"][0]["encoding"]["x"]["scale"]["domain"]
    return found


def said(chart: Spec) -> str:
    return "\n".join(chart["title"]["subtitle"])


def test_golden(update_golden: bool) -> None:
    wide = TABLE | {("frozen", "rte"): (50, 90), ("gammas", "cola"): (55,)}
    check_golden("bars", draw(made(wide, SPEC + REPORTED)), update=update_golden)


def test_a_panel_for_each_task_and_one_for_their_average() -> None:
    chart = draw(made())
    (row,) = chart["vconcat"]
    assert [(panel["title"]["text"], panel["title"]["subtitle"]) for panel in row["hconcat"]] == [
        (["cola"], "accuracy"),
        (["rte"], "accuracy"),
        (["average over 2 tasks"], " "),
    ]
    for place, panel in enumerate(panels(chart)):
        y = panel["encoding"]["y"]
        assert y["scale"]["domain"] == ["Frozen", "BitFit", "Gammas"]
        assert y["axis"]["labels"] == (place == 0)
        assert panel["layer"][0]["encoding"]["x"]["title"] == "score (points)"


def test_a_dot_is_a_run_and_a_stroke_their_mean() -> None:
    chart = draw(made())
    cola = panels(chart)[0]
    assert dots(chart, cola) == [
        {"strategy": strategy, "seed": seed, "score": score, "trial": f"cola {name} {seed}"[:12]}
        for strategy, name, scores in (
            ("Frozen", "frozen", (50, 50, 50)),
            ("BitFit", "bitfit", (60, 62, 64)),
            ("Gammas", "gammas", (55, 57)),
        )
        for seed, score in enumerate(scores)
    ]
    means = rows(chart, cola, "tick")
    assert means is not None
    assert [(row["strategy"], row["mean"], row["n"]) for row in means] == [
        ("Frozen", 50, "3"),
        ("BitFit", 62, "3"),
        ("Gammas", 56, "2 of 3"),
    ]
    assert means[1]["sd"] == 2
    assert (means[1]["low"], means[1]["high"]) == (57.0317, 66.9683)  # 62 ± 4.303 · 2 / √3


def test_a_line_is_an_interval() -> None:
    chart = draw(made())
    lines = rows(chart, panels(chart)[0], "rule")
    assert lines is not None
    assert [(row["strategy"], row["from"], row["to"]) for row in lines[:2]] == [
        ("Frozen", 50, 50),
        ("BitFit", 57.0317, 66.9683),
    ]
    assert "a line its 95 % interval over seeds" in said(chart)


def test_the_dots_of_an_average_are_the_seeds_that_all_tasks_have() -> None:
    chart = draw(made())
    average = panels(chart)[-1]
    assert [row for row in dots(chart, average) or [] if row["strategy"] != "Frozen"] == [
        {"strategy": "BitFit", "seed": 0, "score": 65},
        {"strategy": "BitFit", "seed": 1, "score": 67},
        {"strategy": "BitFit", "seed": 2, "score": 69},
        {"strategy": "Gammas", "seed": 1, "score": 59},
    ]


def test_the_mean_is_drawn_where_it_is_not_the_only_dot() -> None:
    chart = draw(made())
    means = rows(chart, panels(chart)[-1], "tick")
    assert means is not None
    assert [row["strategy"] for row in means] == ["Frozen", "BitFit"]  # gammas have one seed that is on both tasks


def test_single_seeds_are_dots_alone() -> None:
    chart = draw(made(seeds=[0]))
    assert said(chart).splitlines()[:2] == ["a dot is a run", "study made, model nano, n beside each strategy"]
    for panel in panels(chart):
        assert rows(chart, panel, "tick") == []
        assert rows(chart, panel, "rule") == []
        assert dots(chart, panel)


def test_n_stands_beside_strategies_where_it_differs() -> None:
    chart = draw(made())
    assert "n beside each strategy" in said(chart)
    cola, rte, average = panels(chart)
    for panel, gammas in ((cola, "n = 2 of 3"), (rte, "n = 2 of 3"), (average, "n = 1 of 3")):
        texts = rows(chart, panel, "text")
        assert texts is not None
        assert [row["text"] for row in texts] == ["n = 3", "n = 3", gammas]
        assert {row["end"] for row in texts} == {domain(panel)[1]}


def test_n_stands_in_the_caption_where_it_is_the_same() -> None:
    chart = draw(made(lambda *_: 60.0))
    assert "study made, model nano, n = 3 seeds" in said(chart)
    assert not any(rows(chart, panel, "text") for panel in panels(chart))


def test_reported_scores_have_marks_and_a_legend() -> None:
    chart = draw(made(spec=SPEC + REPORTED))
    cola, rte, average = panels(chart)
    assert reported(chart, cola) == [
        {"strategy": "BitFit", "source": "a paper", "score": 61},
        {"strategy": "Gammas", "source": "a paper", "score": 40},
    ]
    assert reported(chart, rte) == [
        {"strategy": "BitFit", "source": "a paper", "score": 71.5},
        {"strategy": "BitFit", "source": "another", "score": 69},
    ]
    assert reported(chart, average) == [{"strategy": "BitFit", "source": "a paper", "score": 66.25}]
    assert domain(cola)[0] < 40  # the axis reaches there
    for panel in panels(chart):
        (layer,) = (one for one in panel["layer"] if "shape" in one["encoding"])
        color, shape = layer["encoding"]["color"], layer["encoding"]["shape"]
        assert color["legend"]["title"] == shape["legend"]["title"] == "reported by"
        assert color["scale"]["domain"] == shape["scale"]["domain"] == ["a paper", "another"]
        assert shape["scale"]["range"] == ["diamond", "triangle-up"]
        assert len(set(color["scale"]["range"])) == 2


def test_what_is_reported_alone_is_drawn_too() -> None:
    chart = draw(made({("frozen", "cola"): (50,)}, SPEC + REPORTED))
    assert len(reported(chart, panels(chart)[0]) or []) == 2
    assert "not finished yet: Frozen on rte, BitFit, Gammas" in said(chart)


def test_an_interval_that_goes_on_has_an_arrow() -> None:
    chart = draw(made(WIDE, ONE_TASK))
    (panel,) = panels(chart)
    low, high = domain(panel)
    assert (low, high) == pytest.approx((56 - 0.24, 64 + 0.24))  # half of 58 to 62 beyond it, and room
    left, right = (rows(chart, panel, "point", shape=f"triangle-{side}") for side in ("left", "right"))
    assert [(row["strategy"], row["end"]) for row in left or []] == [("BitFit", low)]
    assert [(row["strategy"], row["end"]) for row in right or []] == [("BitFit", high)]
    lines = rows(chart, panel, "rule")
    assert lines is not None
    assert (lines[0]["from"], lines[0]["to"]) == (low, high)
    assert lines[0]["high"] == pytest.approx(61 + 12.7062, abs=1e-3)  # what is told of it is the whole
    assert "with an arrow where it goes on" in said(chart)


def test_an_interval_that_fits_has_none() -> None:
    chart = draw(made(spec=ONE_TASK))
    (panel,) = panels(chart)
    assert rows(chart, panel, "point", shape="triangle-left") is None


def test_models_have_rows_of_their_own_and_tasks_one_axis() -> None:
    chart = draw(made(models=("nano", "large")))
    assert [[panel["title"]["text"] for panel in row["hconcat"]] for row in chart["vconcat"]] == [
        [[f"{task} · {model}"] for task in ("cola", "rte", "average over 2 tasks")] for model in ("nano", "large")
    ]
    assert [panel["encoding"]["y"]["axis"]["labels"] for panel in panels(chart)] == [True, False, False] * 2
    assert [domain(panel) for panel in panels(chart)[:3]] == [domain(panel) for panel in panels(chart)[3:]]
    assert said(chart).splitlines()[1] == "study made, n beside each strategy"


def test_a_few_panels_beside_each_other() -> None:
    spec = SPEC.replace("cola, rte", "cola, rte, mrpc, sst2, qnli")
    chart = unchecked(made(lambda *_: 60.0, spec))
    assert [len(row["hconcat"]) for row in chart["vconcat"]] == [4, 2]


def test_the_lowest_of_many_strategies_are_left_out_and_counted() -> None:
    chart = unchecked(made(by_number, MANY))
    (panel,) = panels(chart)
    names = panel["encoding"]["y"]["scale"]["domain"]
    assert len(names) == MOST_STRATEGIES
    assert (names[0], names[-1]) == ("s_17", "s_56")
    assert "left out: 20 strategies with the lowest means; choose with --strategy" in said(chart)


def test_more_panels_than_can_be_read_are_counted() -> None:
    chart = unchecked(made(models=[f"m{number}" for number in range(5)]))
    assert len(panels(chart)) == MOST_PANELS
    assert "left out: 3 panels; choose with --task and --model" in said(chart)


def test_too_many_runs_are_not_drawn() -> None:
    scores = made(
        lambda _task, strategy, seed: 60 + len(strategy) + seed % 7, ONE_TASK, seeds=range(MOST_DOTS // 3 + 1)
    )
    chart = unchecked(scores)
    (panel,) = panels(chart)
    assert dots(chart, panel) is None
    assert len(rows(chart, panel, "tick") or []) == 3
    assert said(chart).startswith("runs are too many to be drawn, a stroke the mean of the runs")


def test_strategies_of_the_same_title_have_rows_of_their_own() -> None:
    chart = draw(made(spec=ONE_TASK.replace('"Gammas"', '"BitFit"')))
    (panel,) = panels(chart)
    assert panel["encoding"]["y"]["scale"]["domain"] == ["Frozen", "BitFit (bitfit)", "BitFit (gammas)"]


def test_hostile_texts() -> None:
    evil = "<script>alert(1)</script> " * 12
    spec = (
        SPEC.replace("A made-up study", evil).replace('"BitFit"', f'"{evil}"').replace('"Gammas"', '"\u202eab\u2069"')
    )
    chart = unchecked(made(spec=f'{spec}reported "{evil}" {{ bitfit: cola 61 }}'))
    assert max(map(len, chart["title"]["text"])) <= 90
    panel = panels(chart)[0]
    y = panel["encoding"]["y"]
    assert y["scale"]["domain"] == ["Frozen", evil, "\u202eab\u2069"]
    assert y["axis"]["labelLimit"] <= 250
    (layer,) = (one for one in panel["layer"] if "shape" in one["encoding"])
    assert layer["encoding"]["shape"]["legend"]["labelLimit"] <= 260


def test_a_long_name_of_a_model_takes_several_lines() -> None:
    chart = draw(made(spec=ONE_TASK, models=("nano", "m" * 100)))
    assert list(map(len, panels(chart)[1]["title"]["text"])) == [32, 32, 32, 10]


def test_more_sources_than_colours_begin_again() -> None:
    sources = "".join(f'reported "s{number}" {{ bitfit: rte {50 + number} }}\n' for number in range(9))
    chart = draw(made(spec=ONE_TASK + sources))
    (layer,) = (one for one in panels(chart)[0]["layer"] if "shape" in one["encoding"])
    scale = layer["encoding"]["shape"]["scale"]
    assert len(scale["range"]) == len(scale["domain"]) == 9
    assert "circle" not in scale["range"]
