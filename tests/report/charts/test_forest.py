"""A forest plot as Vega-Lite: rows under their questions, means, intervals, margins, and verdicts in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.language.load import loads
from bitspec.report.charts.forest import MOST_ROWS
from bitspec.report.charts.forest import draw as draw_forest
from bitspec.report.choices import Choice
from bitspec.report.verdicts import Verdicts, judge, read
from tests.report.charts.golden import check_golden
from tests.report.conftest import ASKED
from tests.report.made import QUESTIONS, ScoreOf, runs_of

Answer = Callable[..., Path]
Spec = dict[str, Any]


def draw(store: Path, **chosen: Any) -> Spec:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_forest(read(store, Choice(**chosen))).to_dict()


def made(score: ScoreOf, spec: str = QUESTIONS, **options: Any) -> Spec:
    """The chart of runs that are made up."""
    study = loads(spec)
    runs = runs_of(study, score, lambda _task, strategy, _seed: 0.01 * len(strategy), **options)
    return draw_forest(Verdicts(runs, tuple(judge(study, runs)))).to_dict()


def lead(_task: str, strategy: str, seed: int) -> float:
    """BitFit leads by six points, give or take a little."""
    return 60 + 6 * (strategy == "bitfit") + (seed * 7 + len(strategy) * 3) % 5 / 10


def panels(chart: Spec) -> list[Spec]:
    found: list[Spec] = chart["vconcat"][:-1]
    return found


def rows(chart: Spec, layer: Spec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["datasets"][layer["data"]["name"]]
    return found


def squares(chart: Spec, panel: Spec) -> list[dict[str, Any]]:
    (layer,) = (one for one in panel["layer"] if one["mark"].get("shape") == "square")
    return rows(chart, layer)


def column(chart: Spec, panel: Spec, heading: str) -> list[str]:
    """The texts below the name of a column."""
    for layer in panel["layer"]:
        if layer["mark"]["type"] == "text" and rows(chart, layer)[0]["text"] == heading:
            return [row["text"] for row in rows(chart, layer)[1:]]
    raise AssertionError(heading)


def key_texts(chart: Spec) -> list[str]:
    return [row["text"] for row in rows(chart, chart["vconcat"][-1])]


def test_golden(asked: Path, update_golden: bool) -> None:
    check_golden("forest", draw(asked), update=update_golden)


def test_rows_stand_under_their_questions(asked: Path) -> None:
    chart = draw(asked)
    differences, correlations = panels(chart)
    texts = [row for layer in differences["layer"] if layer["mark"]["type"] == "text" for row in rows(chart, layer)]
    by_height = {row["y"]: row["text"] for row in texts if isinstance(row["text"], list) or row["text"].endswith("?")}
    assert [by_height[y] for y in sorted(by_height)] == [
        "Is BitFit better?",
        ["BitFit > Gammas"],
        ["BitFit >= Sample - 1"],
        ["Gammas > Frozen on rte"],
    ]
    assert differences["encoding"]["x"]["title"] == "difference of scores (points)"
    assert correlations["encoding"]["x"]["scale"]["domain"] == [-1, 1]
    assert correlations["encoding"]["x"]["title"] == "Spearman's ρ of change and score"


def test_what_came_of_each(asked: Path) -> None:
    chart = draw(asked)
    differences, correlations = panels(chart)
    assert column(chart, differences, "n") == ["6 pairs", "6 pairs", "3 pairs"]
    assert column(chart, correlations, "n") == ["4 strategies"]
    assert column(chart, differences, "verdict") == ["undecided", "undecided", "undecided (too few runs)"]
    assert [row["x"] for row in squares(chart, differences)] == pytest.approx([9.58333, 0.0833333, 10.0])
    assert column(chart, differences, "difference (95 % interval)")[2] == "+10.0 (10.0 to 10.0)"


def test_verdicts_are_told_by_words_and_by_filling() -> None:
    chart = made(
        lead,
        QUESTIONS.replace("expect gammas_bitfit > bitfit", "expect gammas_bitfit < bitfit").replace(
            "bitfit > rand_rowcol", "bitfit < rand_rowcol"
        ),
    )
    (differences, _) = panels(chart)
    words = column(chart, differences, "verdict")
    found = squares(chart, differences)
    assert words[:3] == ["supported", "supported", "contradicted"]
    for word, row in zip(words, found, strict=True):
        assert (row["fill"] == "white") == word.startswith("undecided")
    assert len({row["color"] for row in found}) == 3


def test_the_margin_is_marked_only_where_there_is_one(asked: Path) -> None:
    chart = draw(asked)
    margins = [rows(chart, layer) for layer in panels(chart)[0]["layer"] if "strokeDash" in layer["mark"]]
    assert [[row["x"] for row in found] for found in margins] == [[-1.0]]
    assert "the margin of the expectation" in key_texts(chart)
    assert "the margin of the expectation" not in key_texts(made(lead))


def test_each_task_is_marked_where_there_are_several(asked: Path) -> None:
    chart = draw(asked)
    (tasks,) = (
        layer for layer in panels(chart)[0]["layer"] if "shape" in layer["encoding"] and layer["mark"]["size"] == 24
    )
    assert [(row["task"], row["x"]) for row in rows(chart, tasks)][:2] == [
        ("builtin/cola", pytest.approx(9.58333)),
        ("builtin/rte", pytest.approx(9.58333)),
    ]
    assert len(rows(chart, tasks)) == 4  # the third expectation is about one task
    scale = tasks["encoding"]["shape"]["scale"]
    assert "square" not in scale["range"]
    assert {"builtin/cola", "builtin/rte"} <= set(key_texts(chart))


def test_the_validation_set_has_an_error_of_its_own(asked: Path) -> None:
    chart = draw(asked)
    assert "95 % of the validation set's own error" in key_texts(chart)
    assert "95 % of the validation set's own error" not in key_texts(made(lead))


def test_one_seed_has_points_without_intervals() -> None:
    chart = made(lead, seeds=[0])
    (differences, correlations) = panels(chart)
    assert set(column(chart, differences, "verdict")) == {"undecided (one seed)"}
    assert set(column(chart, differences, "p, corrected")) == {"–"}
    assert column(chart, correlations, "verdict") == ["undecided (one seed)"]
    assert len(squares(chart, differences)) == 12
    widths = {layer["mark"].get("strokeWidth") for layer in differences["layer"] if layer["mark"]["type"] == "rule"}
    assert 2.2 not in widths


def test_an_interval_that_goes_on_has_an_arrow() -> None:
    chart = made(
        lambda _task, strategy, seed: 60 + len(strategy) / 10 + seed * (strategy == "bitfit"),
        QUESTIONS.replace("task cola, mrpc, rte", "task rte"),  # two pairs: Student's t of one degree of freedom
        seeds=[0, 1],
    )
    (differences, _) = panels(chart)
    (arrows,) = (
        layer for layer in differences["layer"] if layer["mark"]["type"] == "point" and layer["mark"]["size"] == 36
    )
    low, high = differences["encoding"]["x"]["scale"]["domain"]
    assert {(row["x"], row["shape"]) for row in rows(chart, arrows)} == {
        (low, "triangle-left"),
        (high, "triangle-right"),
    }
    assert high - low < 10
    ends = [
        end
        for layer in differences["layer"]
        if layer["mark"].get("strokeWidth") == 2.2
        for row in rows(chart, layer)
        for end in (row["x"], row["to_x"])
    ]
    assert min(ends) >= low
    assert max(ends) <= high


def test_nothing_to_compare_is_said() -> None:
    chart = made(lambda task, strategy, seed: None if strategy == "full_ft" else lead(task, strategy, seed))
    (differences, _) = panels(chart)
    assert column(chart, differences, "verdict")[0] == "undecided (no runs)"
    assert column(chart, differences, "difference (95 % interval)")[0] == "–"
    assert len(squares(chart, differences)) == 11


def test_a_figure_of_one_question(asked: Path) -> None:
    whole = read(asked, Choice())
    chart = draw_forest(Verdicts(whole.runs, whole.findings[-1:])).to_dict()
    (panel,) = panels(chart)
    assert panel["encoding"]["x"]["title"] == "Spearman's ρ of change and score"


def test_what_is_said(asked: Path) -> None:
    assert draw(asked)["title"]["subtitle"] == [
        "score of the left strategy less that of the right: paired differences, as means over tasks with their 95 % intervals over seeds",
        "change with score: Spearman's ρ over strategies, as a mean over tasks with its 95 % interval",
        "study asked, model nano, n beside each row",
        "4 undecided; a verdict takes p < 0.05, corrected by Holm for 4 tests",
    ]


def test_panels_stand_below_each_other() -> None:
    chart = made(lead)
    spans = []
    for panel in panels(chart):
        frame = panel["layer"][0]["encoding"]
        spans.append((frame["x"]["value"], frame["x2"]["value"], panel["width"]))
    assert len(set(spans)) == 1


def test_of_hundreds_of_expectations_the_first_are_shown() -> None:
    more = "".join(f"expect bitfit > full_ft + {number}.5\n" for number in range(100))
    chart = made(lead, QUESTIONS + 'question "And by how much?" {\n' + more + "}")
    shown = sum(len(squares(chart, panel)) for panel in panels(chart))
    assert shown == MOST_ROWS
    assert f"{113 - MOST_ROWS} more expectations are left out" in "\n".join(chart["title"]["subtitle"])


def test_hostile_texts(answer: Answer) -> None:
    evil = "<script>alert(1)</script> " * 12
    chart = draw(answer(ASKED.replace("Is BitFit better?", evil).replace('"BitFit"', f'"{evil}"')))
    for panel in panels(chart):
        for layer in panel["layer"]:
            if layer["mark"]["type"] == "text":
                for row in rows(chart, layer):
                    lines = row["text"] if isinstance(row["text"], list) else [row["text"]]
                    assert len(lines) <= 2
                    assert max(map(len, lines)) <= 150
    assert json.dumps(chart)
