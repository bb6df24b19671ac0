"""A key beside or below panels: Vega-Lite does not bring points, lines and dashes into one legend (its issue 9748)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import altair as alt

from bitspec.report.charts.labels import text_width
from bitspec.report.charts.style import GREY, Layer

#: Pixels: of a line of the key, of a sample, from there to its text, from there to the next column.
_ROW: Final = 17
_SAMPLE: Final = 26
_GAP: Final = 7
_BETWEEN: Final = 28


@dataclass(frozen=True)
class Entry:
    """What a mark stands for. `shape` is that of a point and `dash` that of a line, each None where there is none."""

    text: str
    color: str
    shape: str | None = None
    dash: Sequence[int] | None = None
    width: float = 1.8


def key(entries: Sequence[Entry], columns: int = 1) -> alt.LayerChart:
    """A sample and a text for each entry, below each other or in columns."""
    height = -(-len(entries) // columns)
    step = _SAMPLE + _GAP + max(text_width(entry.text) for entry in entries) * 1.1 + _BETWEEN
    width = step * columns if columns > 1 else _SAMPLE
    rows = [
        {
            "x": place // height * step,
            "middle": place // height * step + _SAMPLE / 2,
            "end": place // height * step + _SAMPLE,
            "start": place // height * step + _SAMPLE + _GAP,
            "row": place % height,
            "text": entry.text,
            "color": entry.color,
            "shape": entry.shape,
            "dash": None if entry.dash is None else list(entry.dash),
            "width": entry.width,
        }
        for place, entry in enumerate(entries)
    ]

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, width], nice=False), axis=None)

    lines = (
        Layer()
        .transform_filter("datum.dash !== null")
        .mark_rule()
        .encode(
            x=x("x"),
            x2=alt.X2("end:Q"),
            color=alt.Color("color:N", scale=None),
            strokeDash=alt.StrokeDash("dash:N", scale=None),
            strokeWidth=alt.StrokeWidth("width:Q", scale=None),
        )
    )
    points = (
        Layer()
        .transform_filter("datum.shape !== null")
        .mark_point(filled=True, opacity=1, size=45)
        .encode(
            x=x("middle"),
            color=alt.Color("color:N", scale=None),
            shape=alt.Shape("shape:N", scale=None),
        )
    )
    texts = Layer().mark_text(align="left", fontSize=11, color=GREY).encode(x=x("start"), text=alt.Text("text:N"))
    has_lines, has_points = (any(row[what] is not None for row in rows) for what in ("dash", "shape"))
    return alt.LayerChart(
        layer=[*([lines] if has_lines else []), *([points] if has_points else []), texts],
        data=alt.InlineData(rows),
        width=width,
        height=_ROW * height,
    ).encode(y=alt.Y("row:Q", scale=alt.Scale(domain=[-0.5, height - 0.5], reverse=True, nice=False), axis=None))
