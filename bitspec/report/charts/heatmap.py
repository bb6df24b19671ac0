"""The heatmap of changes: roles by layers, one panel for each strategy, task or model, one scale for all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

import altair as alt

from bitspec.report.changes import MOST_ROWS, Changes, Panel
from bitspec.report.charts.style import GREY, Layer, heading, look, unchecked
from bitspec.report.words import AVERAGE, caption, panel_title, runs, short

#: The gap before the column of the means over all layers.
_GAP: Final = ""

#: Pixels: all panels beside each other, a row, what stands above and below a panel's rows, a character of a label.
_WIDTH: Final = 1250
_ROW: Final = 18
_AROUND: Final = 90
_CHARACTER: Final = 6.5

#: Characters of a line: of a panel's title, of the longest label of a row.
_PANEL_TITLE: Final = 40
_LABEL: Final = 56


@unchecked
def draw(changes: Changes) -> alt.HConcatChart:
    """The chart."""
    color, extent = _color(changes.largest or 1.0), _extent(changes)
    columns = [
        alt.vconcat(*(_panel(panel, panel_title(changes, panel), color, extent) for panel in column), spacing=18)
        for column in _arranged(changes)
    ]
    return alt.hconcat(
        *columns,
        spacing=24,
        title=heading(changes.title, caption(changes)),
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(color="shared")),
        config=look(),
    )


def _panel(panel: Panel, title: str, color: alt.Color, extent: float) -> alt.LayerChart:
    rows = panel.rows[:MOST_ROWS]
    more = f", {len(panel.rows) - len(rows):,} more rows" if len(panel.rows) > len(rows) else ""
    layers = [str(layer + 1) for layer in range(panel.layers)]
    columns = [*layers, _GAP, AVERAGE] if layers else [AVERAGE]
    step = _step(panel)
    cells = (
        Layer()
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            color=color,
            tooltip=[
                alt.Tooltip("role:N"),
                alt.Tooltip("layer:N"),
                alt.Tooltip("change:Q", title="mean |Δ|", format=".3g"),
            ],
        )
    )
    means = (  # as numbers too, to the right of their cells
        Layer()
        .transform_filter(alt.datum.layer == AVERAGE)
        .mark_text(align="left", dx=step / 2 + 3, fontSize=9, color=GREY)
        .encode(text=alt.Text("text:N"))
    )
    return alt.LayerChart(
        layer=[cells, means],
        data=alt.InlineData(
            [
                {"role": row.label, "layer": layer, "change": value, "text": short(value)}
                for row in rows
                for layer, value in [*zip(layers, row.cells, strict=False), (AVERAGE, row.average)]
                if value is not None
            ]
        ),
        title=alt.Title(
            textwrap.wrap(title, _PANEL_TITLE),
            subtitle=runs(panel) + more,
            frame="group",
            fontSize=12,
            subtitleFontSize=10,
        ),
        width=step * len(columns),
        height=_ROW * len(rows),
    ).encode(x=_layers(columns), y=_roles([row.label for row in rows], extent))


def _layers(columns: Sequence[str]) -> alt.X:
    layers = [column for column in columns if column not in {_GAP, AVERAGE}]
    labelled = layers[:: 1 if len(layers) <= 16 else 4]
    return alt.X(
        "layer:N",
        title="layer, counted from 1" if layers else None,
        scale=alt.Scale(domain=list(columns)),
        axis=alt.Axis(values=[*labelled, AVERAGE], labelAngle=0, ticks=False, domain=False),
    )


def _roles(labels: Sequence[str], extent: float) -> alt.Y:
    return alt.Y(
        "role:N",
        title=None,
        scale=alt.Scale(domain=list(labels)),
        axis=alt.Axis(labelLimit=_LABEL * _CHARACTER, minExtent=extent, maxExtent=extent, ticks=False, domain=False),
    )


def _color(largest: float) -> alt.Color:
    return alt.Color(
        "change:Q",
        scale=alt.Scale(scheme="blues", domain=[0, largest]),
        legend=alt.Legend(title="mean |Δ|", format=".2~g"),
    )


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
