"""The heatmap of changes: roles by layers, one panel for each strategy, task or model, one scale for all of them.

Charts are Vega-Lite, written as plain dictionaries: to import Altair and have it check dozens of panels takes longer
than everything else that a chart needs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from bitspec.report.changes import Changes, Panel
from bitspec.report.words import caption, panel_title, runs, short

#: A chart, or a part of one, as Vega-Lite's JSON has it.
Spec: TypeAlias = dict[str, Any]

#: Rows that a panel shows; a model whose roles are unknown has a row for each tensor.
MOST_ROWS: Final = 40

#: The column of the means over all layers, and the gap before it.
AVERAGE: Final = "Avg."
_GAP: Final = ""

#: Pixels: all panels beside each other, a row, what stands above and below a panel's rows, a character of a label.
_WIDTH: Final = 1250
_ROW: Final = 18
_AROUND: Final = 90
_CHARACTER: Final = 6.5

#: Characters of a line: of a panel's title, of the longest label of a row, of the title and of what stands below it.
_PANEL_TITLE: Final = 40
_LABEL: Final = 56
_TITLE: Final = 90
_CAPTION: Final = 130

_GREY: Final = "#444"


def heatmap(changes: Changes) -> Spec:
    """The chart."""
    largest, extent = changes.largest or 1.0, _extent(changes)
    columns = [
        {"vconcat": [_panel(panel, panel_title(changes, panel), largest, extent) for panel in column], "spacing": 18}
        for column in _arranged(changes)
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {
            "text": textwrap.wrap(changes.chosen.title or changes.chosen.study, _TITLE),
            "subtitle": [line for text in caption(changes) for line in textwrap.wrap(text, _CAPTION)],
            "anchor": "start",
            "fontSize": 15,
            "subtitleFontSize": 11,
            "subtitleColor": _GREY,
            "subtitlePadding": 4,
            "offset": 14,
        },
        "background": "white",
        "hconcat": columns,
        "spacing": 24,
        "resolve": {"scale": {"color": "shared"}},
        "config": {
            "view": {"stroke": None},
            "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "titleColor": _GREY},
            "legend": {"titleFontSize": 11, "titleFontWeight": "normal", "labelFontSize": 11, "gradientLength": 140},
        },
    }


def _panel(panel: Panel, title: str, largest: float, extent: float) -> Spec:
    rows = panel.rows[:MOST_ROWS]
    more = f", {len(panel.rows) - len(rows):,} more rows" if len(panel.rows) > len(rows) else ""
    layers = [str(layer + 1) for layer in range(panel.layers)]
    columns = [*layers, _GAP, AVERAGE] if layers else [AVERAGE]
    step = _step(panel)
    return {
        "title": {
            "text": textwrap.wrap(title, _PANEL_TITLE),
            "subtitle": runs(panel) + more,
            "anchor": "start",
            "frame": "group",
            "fontSize": 12,
            "subtitleFontSize": 10,
            "subtitleColor": _GREY,
        },
        "data": {
            "values": [
                {"role": row.label, "layer": layer, "change": value, "text": short(value)}
                for row in rows
                for layer, value in [*zip(layers, row.cells, strict=False), (AVERAGE, row.average)]
                if value is not None
            ]
        },
        "width": step * len(columns),
        "height": _ROW * len(rows),
        "encoding": {"x": _layers(columns), "y": _roles([row.label for row in rows], extent)},
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 0.5},
                "encoding": {"color": _scale(largest), "tooltip": _TOOLTIP},
            },
            {  # the means as numbers too, to the right of their cells
                "transform": [{"filter": {"field": "layer", "equal": AVERAGE}}],
                "mark": {"type": "text", "align": "left", "dx": step / 2 + 3, "fontSize": 9, "color": _GREY},
                "encoding": {"text": {"field": "text", "type": "nominal"}},
            },
        ],
    }


_TOOLTIP: Final = [
    {"field": "role", "type": "nominal"},
    {"field": "layer", "type": "nominal"},
    {"field": "change", "type": "quantitative", "title": "mean |Δ|", "format": ".3g"},
]


def _layers(columns: Sequence[str]) -> Spec:
    layers = [column for column in columns if column not in {_GAP, AVERAGE}]
    labelled = layers[:: 1 if len(layers) <= 16 else 4]
    return {
        "field": "layer",
        "type": "nominal",
        "scale": {"domain": list(columns)},
        "axis": {
            "title": "layer, counted from 1" if layers else None,
            "values": [*labelled, AVERAGE],
            "labelAngle": 0,
            "ticks": False,
            "domain": False,
        },
    }


def _roles(labels: Sequence[str], extent: float) -> Spec:
    return {
        "field": "role",
        "type": "nominal",
        "scale": {"domain": list(labels)},
        "axis": {
            "title": None,
            "labelLimit": _LABEL * _CHARACTER,
            "minExtent": extent,
            "maxExtent": extent,
            "ticks": False,
            "domain": False,
        },
    }


def _scale(largest: float) -> Spec:
    return {
        "field": "change",
        "type": "quantitative",
        "scale": {"scheme": "blues", "domain": [0, largest]},
        "legend": {"title": "mean |Δ|", "format": ".2~g"},
    }


def _step(panel: Panel) -> int:
    """Pixels of a column."""
    return 30 if panel.layers <= 6 else 20 if panel.layers <= 16 else 13


def _extent(changes: Changes) -> float:
    """Pixels that the labels of rows take: the same in all panels, so that their cells stand below each other."""
    labels = [row.label for panel in changes.panels for row in panel.rows[:MOST_ROWS]]
    return min(_LABEL, max(map(len, labels))) * _CHARACTER + 6


def _arranged(changes: Changes) -> list[list[Panel]]:
    """The panels in columns: one for each task if there are several and they fit, else columns of about one height."""
    tasks = changes.chosen.tasks
    width = max(_step(panel) * (panel.layers + 2) for panel in changes.panels) + _extent(changes) + 60
    fitting = max(1, int(_WIDTH // max(width, 200)))
    if 1 < len(tasks) <= fitting and len(changes.panels) > len(tasks):
        of_tasks = [[panel for panel in changes.panels if panel.cells.task == task] for task in tasks]
        return [column for column in of_tasks if column]
    columns: list[list[Panel]] = [[] for _ in range(min(fitting, len(changes.panels)))]
    heights = [0] * len(columns)
    for panel in changes.panels:
        shortest = heights.index(min(heights))
        columns[shortest].append(panel)
        heights[shortest] += _ROW * min(len(panel.rows), MOST_ROWS) + _AROUND
    return columns
