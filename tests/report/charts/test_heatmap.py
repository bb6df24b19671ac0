"""The heatmap as Vega-Lite: right by its schema, one scale for all panels, and everything labelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import jsonschema
import pytest

from bitspec.ir.events import Change
from bitspec.ir.trials import Planned
from bitspec.report.changes import MOST_ROWS, read
from bitspec.report.charts.heatmap import draw as draw_heatmap
from bitspec.report.choices import Choice
from tests.report.conftest import SPEC, Fill, change, moved


def panels(chart: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, column by column."""
    for column in chart["hconcat"]:
        yield from column["vconcat"]


def titles(chart: dict[str, Any]) -> list[str]:
    return [" ".join(panel["title"]["text"]) for panel in panels(chart)]


def draw(store: Path, **chosen: Any) -> dict[str, Any]:
    """The chart as Vega-Lite, checked by Altair."""
    return draw_heatmap(read(store, Choice(**chosen))).to_dict()


def test_the_chart_is_right_by_the_schema_of_vega_lite(store: Path) -> None:
    alt.Chart.from_dict(draw(store))  # raises where it is not
    with pytest.raises(jsonschema.ValidationError):
        alt.Chart.from_dict(draw(store) | {"hconcat": [{"vconcat": [{"mark": "nonsense"}]}]})


def test_one_scale_for_all_panels(store: Path) -> None:
    chart = draw(store)
    scales = [panel["layer"][0]["encoding"]["color"]["scale"] for panel in panels(chart)]
    assert scales == [{"scheme": "blues", "domain": [0, pytest.approx(0.45)]}] * 6
    assert chart["resolve"] == {"scale": {"color": "shared"}}
    legends = {json.dumps(panel["layer"][0]["encoding"]["color"]["legend"]) for panel in panels(chart)}
    assert [json.loads(legend)["title"] for legend in legends] == ["mean |Δ|"]


def test_the_cells_of_a_panel(store: Path) -> None:
    chart = draw(store, tasks=("rte",), strategies=("bitfit",))
    (panel,) = panels(chart)
    (rows,) = chart["datasets"].values()
    values = {(one["role"], one["layer"]): one["change"] for one in rows}
    assert values == pytest.approx(
        {
            ("b_q", "1"): 0.15,
            ("b_q", "2"): 0.45,
            ("b_q", "Avg."): 0.3,
            ("b_m2", "1"): 0.03,
            ("b_m2", "2"): 0.045,
            ("b_m2", "Avg."): 0.0375,
            ("b_pooler", "Avg."): 0.3,
        }
    )
    assert panel["encoding"]["x"]["scale"]["domain"] == ["1", "2", "", "Avg."]
    assert panel["encoding"]["x"]["axis"]["values"] == ["1", "2", "Avg."]
    assert panel["encoding"]["y"]["scale"]["domain"] == ["b_q", "b_pooler", "b_m2"]


def test_each_panel_has_its_own_data(store: Path) -> None:
    chart = draw(store)
    of_panels = [chart["datasets"][panel["data"]["name"]] for panel in panels(chart)]
    assert [{row["role"] for row in rows} for rows in of_panels] == [
        {"b_q", "b_m2", "b_pooler"},
        {"b_q"},
        {"g_ln1"},
    ] * 2
    assert [{*panel["encoding"]["y"]["scale"]["domain"]} for panel in panels(chart)] == [
        {row["role"] for row in rows} for rows in of_panels
    ]


def test_a_panel_is_called_by_what_tells_it_from_the_others(store: Path, fill: Fill) -> None:
    assert titles(draw(store, tasks=("rte",))) == ["BitFit", "Rand bias", "g_LN1"]
    assert titles(draw(store, strategies=("bitfit",))) == ["builtin/cola", "builtin/rte"]
    assert titles(draw(store, strategies=("bitfit",), tasks=("rte",))) == ["BitFit"]
    assert titles(draw(store, strategies=("bitfit", "gamma1"))) == [
        "BitFit · builtin/cola",
        "g_LN1 · builtin/cola",
        "BitFit · builtin/rte",
        "g_LN1 · builtin/rte",
    ]
    two = SPEC.replace('model nano = "builtin/nano"', 'model a = "one"\nmodel b = "two"').replace("builtin/cola, ", "")
    assert titles(draw(fill(two), strategies=("bitfit",))) == ["a", "b"]


def test_the_number_of_runs_and_the_study_are_always_there(store: Path, fill: Fill) -> None:
    chart = draw(store, tasks=("rte",))
    assert chart["title"]["text"] == ["What moved"]
    said = "\n".join(chart["title"]["subtitle"])
    assert "study moved, model nano, task builtin/rte, n = 2 seeds" in said
    assert "no panel, as nothing of the base model is trained: Frozen" in said
    assert {panel["title"]["subtitle"] for panel in panels(chart)} == {"2 seeds"}
    partly = fill(skip=lambda cell: cell.trial.seed == 1 and cell.trial.strategy == "bitfit")
    chart = draw(partly, tasks=("rte",))
    assert "n beside each panel" in "\n".join(chart["title"]["subtitle"])
    assert [panel["title"]["subtitle"] for panel in panels(chart)] == ["1 of 2 seeds", "2 seeds", "2 seeds"]


def test_what_is_not_finished_is_named(fill: Fill) -> None:
    chart = draw(fill(skip=lambda cell: cell.trial.strategy == "gamma1"))
    assert "not finished yet: g_LN1" in "\n".join(chart["title"]["subtitle"])


def test_a_study_without_a_title_goes_by_its_name(fill: Fill) -> None:
    assert draw(fill(SPEC.replace(' "What moved"', "")))["title"]["text"] == ["moved"]


def test_long_titles_are_broken(fill: Fill) -> None:
    spec = SPEC.replace("What moved", "what moved " * 30).replace('"BitFit"', '"' + "all of the biases " * 8 + '"')
    chart = draw(fill(spec))
    assert len(chart["title"]["text"]) > 2
    assert max(map(len, chart["title"]["text"])) <= 90
    assert max(len(line) for panel in panels(chart) for line in panel["title"]["text"]) <= 40


def test_fourteen_strategies_are_wrapped_into_columns_of_about_one_height(fill: Fill) -> None:
    spec = SPEC.replace("builtin/cola, ", "") + "for n in 1..14 { strategy s_$n = rand(bias, $n) }"
    chart = draw(fill(spec))
    assert len(list(panels(chart))) == 17
    heights = [sum(panel["height"] + 90 for panel in column["vconcat"]) for column in chart["hconcat"]]
    assert len(heights) > 2
    assert max(heights) - min(heights) < 200
    widths = [max(panel["width"] for panel in column["vconcat"]) for column in chart["hconcat"]]
    assert sum(widths) < 1250


def test_a_column_for_each_task(store: Path) -> None:
    columns = [titles({"hconcat": [column]}) for column in draw(store)["hconcat"]]
    assert columns == [
        [f"{title} · {task}" for title in ("BitFit", "Rand bias", "g_LN1")] for task in ("builtin/cola", "builtin/rte")
    ]


def test_roles_that_nobody_knows_are_tensors(fill: Fill) -> None:
    def unknown(cell: Planned) -> tuple[Change, ...]:
        return tuple(one.model_copy(update={"role": None}) for one in moved(cell))

    (panel,) = panels(draw(fill(changes=unknown), tasks=("rte",), strategies=("gamma1",)))
    assert panel["encoding"]["y"]["scale"]["domain"] == ["layer.*.ln1.weight"]


def test_of_hundreds_of_tensors_the_first_are_shown_and_the_others_counted(fill: Fill) -> None:
    folder = fill(changes=lambda _: tuple(change(f"t{n}", None, None, "bias", 4, 1 / (1 + n)) for n in range(100)))
    (panel,) = panels(draw(folder, tasks=("rte",), strategies=("bitfit",)))
    assert panel["encoding"]["y"]["scale"]["domain"] == [f"t{n}" for n in range(MOST_ROWS)]
    assert panel["title"]["subtitle"] == "2 seeds, 60 more rows"
    assert panel["encoding"]["x"]["scale"]["domain"] == ["Avg."]


def test_many_layers_do_not_crowd_their_numbers(fill: Fill) -> None:
    folder = fill(changes=lambda _: tuple(change(f"{n}.q", "q", n, "bias", 4, 0.1) for n in range(24)))
    (panel,) = panels(draw(folder, tasks=("rte",), strategies=("bitfit",)))
    assert panel["encoding"]["x"]["axis"]["values"] == ["1", "5", "9", "13", "17", "21", "Avg."]
    assert len(panel["encoding"]["x"]["scale"]["domain"]) == 26


def test_changes_of_nothing_have_a_scale_too(fill: Fill) -> None:
    chart = draw(fill(changes=lambda _: (change("q", "q", 0, "bias", 4, 0.0),)))
    assert {tuple(panel["layer"][0]["encoding"]["color"]["scale"]["domain"]) for panel in panels(chart)} == {(0, 1.0)}
