"""Score against share of parameters as Vega-Lite: marks, the front, intervals and labels on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from bitspec.report.charts.pareto import draw as draw_pareto
from bitspec.report.scores import MOST_STRATEGIES, Scores
from tests.report.charts.golden import check_golden
from tests.report.test_scores import MANY, SPEC, TABLE, Table, by_number, made

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

#: Shares of the parameters, in percent.
PERCENTS: Mapping[str, float] = {"frozen": 0.0, "bitfit": 0.1, "gammas": 0.02}

ONE_TASK = SPEC.replace("cola, rte", "rte")

MORE = ONE_TASK + 'strategy full "Full" = all strategy random "Random" = rand(all, size(bias))'


def draw(scores: Scores) -> Spec:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_pareto(scores).to_dict()


def panels(chart: Spec) -> list[Spec]:
    return [panel for row in chart["vconcat"] for panel in row["hconcat"]]


def rows(chart: Spec, panel: Spec, kind: str, **marked: object) -> Rows | None:
    """The rows of the layer whose mark is of this kind; None where there is no such layer."""
    for layer in panel["layer"]:
        mark = layer["mark"]
        found: Rows = chart["datasets"][layer["data"]["name"]]
        if mark["type"] == kind and all(mark.get(name) == value for name, value in marked.items()):
            return found
    return None


def marks(chart: Spec, panel: Spec) -> Rows:
    found = rows(chart, panel, "point", size=75)
    assert found is not None
    return found


def texts(chart: Spec, panel: Spec) -> Rows:
    found = rows(chart, panel, "text")
    assert found is not None
    return found


def shares(panel: Spec) -> Spec:
    found: Spec = next(layer["encoding"]["x"] for layer in panel["layer"] if layer["mark"].get("size") == 75)
    return found


def heights(panel: Spec) -> list[float]:
    found: list[float] = next(
        layer["encoding"]["y"]["scale"]["domain"] for layer in panel["layer"] if layer["mark"].get("size") == 75
    )
    return found


def said(chart: Spec) -> str:
    return "\n".join(chart["title"]["subtitle"])


def of_one_task(table: Mapping[str, float], percents: Mapping[str, float], spec: str = MORE) -> Spec:
    """The chart of one score each, and these shares of the parameters."""
    return draw(made({(name, "rte"): (score,) for name, score in table.items()}, spec, percents, seeds=[0]))


def test_golden(update_golden: bool) -> None:
    wide = TABLE | {("frozen", "rte"): (40, 60), ("frozen", "cola"): (40, 60)}
    check_golden("pareto", draw(made(wide, percents={**PERCENTS, "gammas": 0.5})), update=update_golden)


def test_a_mark_is_the_mean_at_its_share() -> None:
    chart = draw(made(percents=PERCENTS))
    (panel,) = panels(chart)
    assert panel["title"]["text"] == ["average over 2 tasks"]
    found = {row["strategy"]: row for row in marks(chart, panel)}
    assert {name: (row["percent"], row["mean"], row["n"]) for name, row in found.items()} == {
        "Frozen": ("0", 50, "3"),
        "Gammas": ("0.0200", 59, "1 of 3"),
        "BitFit": ("0.100", 67, "3"),
    }
    assert (found["Gammas"]["share"], found["BitFit"]["share"]) == (0.02, 0.1)
    assert {row["kind"] for row in found.values()} == {"on the front"}
    assert shares(panel)["title"] == "trained parameters (% of the base model's, log scale)"


def test_what_trains_nothing_stands_left_of_a_gap() -> None:
    chart = draw(made(percents=PERCENTS))
    (panel,) = panels(chart)
    x = shares(panel)
    nothing = next(row["share"] for row in marks(chart, panel) if row["strategy"] == "Frozen")
    (gap,) = rows(chart, panel, "rule", strokeDash=[2, 3]) or []
    assert x["scale"]["type"] == "log"
    assert 0 < x["scale"]["domain"][0] < nothing < gap["share"] < 0.02
    assert x["axis"]["values"] == [nothing, 0.02, 0.05, 0.1, 0.2]
    assert x["axis"]["labelExpr"].endswith("? 'none' : format(datum.value, '~r')")
    bound = float(x["axis"]["labelExpr"].split(" ")[2])
    assert nothing < bound < 0.02


def test_without_it_there_is_no_gap() -> None:
    chart = of_one_task({"bitfit": 60, "full": 70}, {"bitfit": 0.1, "full": 100})
    (panel,) = panels(chart)
    assert rows(chart, panel, "rule", strokeDash=[2, 3]) is None
    x = shares(panel)
    assert x["scale"]["domain"] == pytest.approx([0.1 / 1.6, 160])
    assert x["axis"]["values"] == [0.1, 1, 10, 100]


def test_nothing_but_what_trains_nothing() -> None:
    chart = of_one_task({"frozen": 50}, PERCENTS)
    (panel,) = panels(chart)
    (mark,) = marks(chart, panel)
    low, high = shares(panel)["scale"]["domain"]
    assert 0 < low < mark["share"] < high
    assert (mark["percent"], mark["kind"]) == ("0", "on the front")


def test_shares_that_are_alike_have_an_axis_of_ten_times() -> None:
    chart = of_one_task({"bitfit": 60, "random": 55}, {"bitfit": 0.1, "random": 0.1})
    low, high = shares(panels(chart)[0])["scale"]["domain"]
    assert math.sqrt(low * high) == pytest.approx(0.1, rel=1e-5)
    assert high / low == pytest.approx(10 * 1.6**2, rel=1e-4)
    assert shares(panels(chart)[0])["axis"]["values"] == [0.05, 0.1, 0.2, 0.5]


def test_the_front_is_a_line_of_steps_to_the_end() -> None:
    chart = of_one_task(
        {"frozen": 50, "gammas": 61, "bitfit": 60, "random": 65, "full": 64},
        {"frozen": 0, "gammas": 0.02, "bitfit": 0.1, "random": 0.1, "full": 100},
    )
    (panel,) = panels(chart)
    kinds = {row["strategy"]: row["kind"] for row in marks(chart, panel)}
    assert kinds == {
        "Frozen": "on the front",
        "Gammas": "on the front",
        "Random": "on the front",
        "BitFit": "not on it",
        "Full": "not on it",
    }
    steps = rows(chart, panel, "line", interpolate="step-after")
    assert steps is not None
    assert [row["score"] for row in steps] == [50, 61, 65, 65]
    assert [row["share"] for row in steps][1:] == [0.02, 0.1, shares(panel)["scale"]["domain"][1]]


def test_the_front_is_told_by_shape_and_colour() -> None:
    chart = draw(made(percents=PERCENTS))
    (layer,) = (one for one in panels(chart)[0]["layer"] if one["mark"].get("size") == 75)
    for channel in ("shape", "fill", "stroke"):
        scale = layer["encoding"][channel]["scale"]
        assert scale["domain"] == ["on the front", "not on it"]
        assert len(set(scale["range"])) == 2
    assert layer["encoding"]["shape"]["scale"]["range"] == ["diamond", "circle"]


def test_a_line_is_an_interval() -> None:
    chart = draw(made(percents=PERCENTS))
    (panel,) = panels(chart)
    lines = rows(chart, panel, "rule", strokeWidth=1.2)
    assert lines is not None
    bitfit = next(row for row in lines if row["strategy"] == "BitFit")
    assert (bitfit["bottom"], bitfit["top"]) == pytest.approx((67 - 2.26696, 67 + 2.26696), abs=1e-4)
    assert "a line its 95 % interval over seeds" in said(chart)


def test_an_interval_that_goes_on_has_an_arrow() -> None:
    wide: Table = {("bitfit", "rte"): (60, 62), ("gammas", "rte"): (58, 58.1)}
    chart = draw(made(wide, ONE_TASK, PERCENTS))
    (panel,) = panels(chart)
    low, high = heights(panel)
    assert (low, high) == pytest.approx((56 - 0.24, 64 + 0.24))
    down, up = (rows(chart, panel, "point", shape=f"triangle-{way}") for way in ("down", "up"))
    assert [(row["strategy"], row["bottom"]) for row in down or []] == [("BitFit", low)]
    assert [(row["strategy"], row["top"]) for row in up or []] == [("BitFit", high)]
    assert (down or [])[0]["low"] == pytest.approx(61 - 12.7062, abs=1e-3)


def test_an_interval_that_fits_has_none() -> None:
    chart = draw(made(spec=ONE_TASK, percents=PERCENTS, score=lambda _task, name, seed: 60 + len(name) + seed / 10))
    assert rows(chart, panels(chart)[0], "point", shape="triangle-up") is None
    assert rows(chart, panels(chart)[0], "point", shape="triangle-down") is None


def test_single_seeds_have_no_intervals() -> None:
    chart = draw(made(percents=PERCENTS, seeds=[0]))
    assert said(chart).splitlines()[0] == "a mark is the mean of a strategy's runs"
    assert rows(chart, panels(chart)[0], "rule", strokeWidth=1.2) == []


def test_n_stands_in_labels_where_it_differs() -> None:
    chart = draw(made(percents=PERCENTS))
    labels = [row["text"] for row in texts(chart, panels(chart)[0])]
    assert labels == ["BitFit (n = 3)", "Gammas (n = 1 of 3)", "Frozen (n = 3)"]
    same = draw(made(lambda *_: 60.0, percents=PERCENTS))
    assert {row["text"] for row in texts(same, panels(same)[0])} == {"BitFit", "Gammas", "Frozen"}
    assert "n = 3 seeds" in said(same)


def test_what_is_not_finished_on_every_task_is_named_and_not_drawn() -> None:
    chart = draw(made(TABLE | {("gammas", "rte"): ()}, percents=PERCENTS))
    assert {row["strategy"] for row in marks(chart, panels(chart)[0])} == {"BitFit", "Frozen"}
    assert "not finished yet: Gammas on rte" in said(chart)


def test_tasks_have_panels_where_nothing_is_finished_on_all() -> None:
    chart = draw(made({("bitfit", "cola"): (60,), ("gammas", "rte"): (61,)}, percents=PERCENTS))
    assert [panel["title"]["text"] for panel in panels(chart)] == [["cola"], ["rte"]]


def test_models_have_panels_of_one_size_and_the_same_axes() -> None:
    chart = draw(made(models=("nano", "large", "huge"), percents=PERCENTS))
    assert [len(row["hconcat"]) for row in chart["vconcat"]] == [2, 1]
    assert [panel["title"]["text"] for panel in panels(chart)] == [
        [f"average over 2 tasks · {model}"] for model in ("nano", "large", "huge")
    ]
    for what in (shares, heights, lambda panel: (panel["width"], panel["height"])):
        first, *others = map(what, panels(chart))
        assert others == [first, first]
    for panel in panels(chart):
        low, high = heights(panel)
        assert all(low < row["mean"] < high for row in marks(chart, panel))


Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_labels_cover_neither_each_other_nor_a_mark_nor_the_front() -> None:
    percents = {"frozen": 0.0, "gammas": 0.02, "bitfit": 0.1, "random": 0.1, "full": 100.0}
    chart = of_one_task({"frozen": 50, "gammas": 61, "bitfit": 60.5, "random": 61.2, "full": 60.9}, percents)
    (panel,) = panels(chart)
    width, height = panel["width"], panel["height"]
    left, right = shares(panel)["scale"]["domain"]
    bottom, top = heights(panel)

    def place(row: dict[str, Any], score: str) -> tuple[float, float]:
        x = width * math.log(row["share"] / left) / math.log(right / left)
        return x, height * (top - row[score]) / (top - bottom)

    boxes: list[Box] = [
        (row["x"], row["y"] - 5, row["x"] + 5 * len(row["text"]), row["y"] + 5) for row in texts(chart, panel)
    ]
    assert len(boxes) == 5
    assert all(box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height for box in boxes)
    steps = [place(row, "score") for row in rows(chart, panel, "line") or []]
    lines: list[Box] = []
    for (x, y), (next_x, next_y) in pairwise(steps):
        lines += [(x, y - 0.1, next_x, y + 0.1), (next_x - 0.1, min(y, next_y), next_x + 0.1, max(y, next_y))]
    points: list[Box] = [(x - 3, y - 3, x + 3, y + 3) for x, y in (place(row, "mean") for row in marks(chart, panel))]
    for number, box in enumerate(boxes):
        assert not any(overlap(box, other) for other in (*boxes[:number], *lines, *points))


def test_the_lowest_of_many_are_left_out_but_for_the_front() -> None:
    scores = made(lambda task, name, seed: 30.0 if name == "frozen" else by_number(task, name, seed), MANY)
    chart = draw_pareto(scores).to_dict(validate=False)
    found = {row["strategy"]: row["kind"] for row in marks(chart, panels(chart)[0])}
    assert len(found) == MOST_STRATEGIES
    assert {name for name, kind in found.items() if kind == "on the front"} == {"Frozen", "s_56"}
    assert "left out: 20 strategies with the lowest means, those on the front last; choose with --strategy" in (
        " ".join(chart["title"]["subtitle"])
    )


def test_hostile_texts() -> None:
    evil = "<script>alert(1)</script> " * 12
    spec = (
        SPEC.replace("A made-up study", evil).replace('"BitFit"', f'"{evil}"').replace('"Gammas"', '"\u202eab\u2069"')
    )
    chart = draw(made(spec=spec, percents=PERCENTS))
    assert max(map(len, chart["title"]["text"])) <= 90
    labels = [row["text"] for row in texts(chart, panels(chart)[0])]
    assert labels == [evil[:29] + "… (n = 3)", "\u202eab\u2069 (n = 1 of 3)", "Frozen (n = 3)"]
    assert [row["strategy"] for row in marks(chart, panels(chart)[0])] == [evil, "\u202eab\u2069", "Frozen"]
