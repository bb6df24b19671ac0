"""A forest plot: a row for each expectation, under its question, with the difference behind the verdict.

All rows stand in one panel, so that they have one axis; correlations are no differences, and have a panel below it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import altair as alt

from bitspec.diagnostics import cut
from bitspec.report.captions import verdicts_caption
from bitspec.report.charts.axes import named_scale, rounded
from bitspec.report.charts.key import Entry, key
from bitspec.report.charts.style import BLUE, GREY, PALE, PALETTE, SHAPES, Layer, heading, look, unchecked
from bitspec.report.forest import Group, Row, axis, groups, part_titles
from bitspec.report.statistics import Interval
from bitspec.report.verdicts import Verdict, Verdicts

#: Expectations of a figure.
MOST_ROWS: Final = 60

#: Pixels: a row, the texts to the left of it, the plot, the texts to the right and the place of each.
_ROW: Final = 30
_LEFT: Final = 345
_PLOT: Final = 320
_COLUMNS: Final = {"estimate": 14, "count": 160, "p": 250, "verdict": 325}
_RIGHT: Final = 480
_INDENT: Final = 12

#: Columns of a line of an expectation, of which there are two; of a question.
_WORDING: Final = 52
_QUESTION: Final = 150

#: How far from the middle of its row something stands, as a share of the row: tasks above it, the sampling error below.
_ABOVE: Final = -0.26
_BELOW: Final = 0.26
_MARGIN: Final = 0.38

#: The verdict's colour; an undecided one is hollow too, and each stands in words beside its row.
_COLORS: Final = {Verdict.SUPPORTED: BLUE, Verdict.CONTRADICTED: PALETTE[1], Verdict.UNDECIDED: GREY}
_SAMPLING: Final = "#aaa"

#: Shapes of the tasks; a square is for their mean.
_SHAPES: Final = tuple(shape for shape in SHAPES if shape != "square")

Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class _Line:
    """A line of the panel: a question, or one of its rows; `y` is its middle, counted in rows from the top."""

    y: float
    question: str | None
    row: Row | None


@unchecked
def draw(verdicts: Verdicts) -> alt.VConcatChart:
    """The chart."""
    shown, more = _first(groups(verdicts))
    parts = part_titles([row for group in shown for row in group.rows])
    panels = []
    for is_correlation in (False, True):
        own = [
            Group(one.question, tuple(row for row in one.rows if row.is_correlation is is_correlation)) for one in shown
        ]
        lines = _placed([group for group in own if group.rows])
        if lines:
            panels.append(_panel(lines, parts, is_correlation=is_correlation))
    said = [f"{more:,} more expectations are left out: choose with --strategy"] if more else []
    rows = [row for group in shown for row in group.rows]
    return alt.vconcat(
        *panels,
        key(_samples(rows, parts), columns=2),
        spacing=18,
        title=heading(verdicts.title, [*verdicts_caption(verdicts), *said]),
        config=look(),
    )


def _first(every: Sequence[Group]) -> tuple[list[Group], int]:
    """As many rows as a figure has, and how many there are more."""
    shown: list[Group] = []
    left = MOST_ROWS
    for group in every:
        if left > 0:
            shown.append(Group(group.question, group.rows[:left]))
        left -= len(group.rows)
    return shown, max(0, -left)


def _placed(every: Sequence[Group]) -> list[_Line]:
    lines: list[_Line] = []
    for group in every:
        for question, row in [(group.question, None), *((None, row) for row in group.rows)]:
            lines.append(_Line(len(lines) + 1.5, question, row))  # the first row is for the names of the columns
    return lines


def _samples(rows: Sequence[Row], parts: Sequence[str]) -> list[Entry]:
    """What the marks mean, as far as there are any."""
    found = [Entry("mean, 95 % interval over seeds; hollow: undecided", GREY, "square", (1, 0), 2.2)]
    if len(parts) > len(_SHAPES):
        found.append(Entry("a task", GREY, "stroke"))
    else:
        found += [Entry(cut(title, 40), PALETTE[place], _SHAPES[place]) for place, title in enumerate(parts)]
    if any(row.sampling is not None for row in rows):
        found.append(Entry("95 % of the validation set's own error", _SAMPLING, None, (1, 0), 1.2))
    if any(row.margin is not None for row in rows):
        found.append(Entry("the margin of the expectation", "black", None, (3, 2), 1.4))
    return found


# A panel ------------------------------------------------------------------------------------------------------------


def _panel(lines: Sequence[_Line], parts: Sequence[str], *, is_correlation: bool) -> alt.LayerChart:
    rows = [(line.y, line.row) for line in lines if line.row is not None]
    reach = Interval(-1.0, 1.0) if is_correlation else axis(row for _, row in rows)
    height = len(lines) + 1
    title = "Spearman's ρ of change and score" if is_correlation else "difference of scores (points)"
    return alt.LayerChart(
        layer=[
            *_frame(lines, height),
            *_spreads(rows, reach),
            *_margins(rows),
            *_parts(rows, parts),
            *_means(rows),
            *_texts(lines, is_correlation=is_correlation),
        ],
        width=_PLOT,
        height=_ROW * height,
    ).encode(
        x=alt.X(
            "x:Q",
            title=title,
            scale=alt.Scale(domain=[rounded(reach.low), rounded(reach.high)], nice=False, zero=False),
            axis=alt.Axis(tickCount=6, grid=False),
        ),
        y=alt.Y("y:Q", scale=alt.Scale(domain=[0, height], reverse=True, nice=False), axis=None),
    )


def _chart(rows: Rows) -> alt.Chart:
    return Layer(alt.InlineData(rows))


def _frame(lines: Sequence[_Line], height: int) -> Iterator[alt.Chart]:
    """A line under the names of the columns and above each question, as wide as all texts; and a line at no difference.

    As all panels have the first, their plots stand below each other.
    """
    above = [{"y": line.y - 0.5} for line in lines if line.question is not None]
    yield _chart(above).mark_rule(color=PALE).encode(x=alt.XValue(-_LEFT), x2=alt.X2Value(_PLOT + _RIGHT))
    yield (_chart([{"x": 0, "y": 1, "to_y": height}]).mark_rule(color=GREY, strokeWidth=1).encode(y2=alt.Y2("to_y:Q")))


def _spreads(rows: Sequence[tuple[float, Row]], reach: Interval) -> Iterator[alt.Chart]:
    """Intervals over seeds, and below them the sampling errors; an arrow where one goes on beyond the axis."""
    arrows: Rows = []
    for of, shift, width in (("sampling", _BELOW, 1.2), ("interval", 0.0, 2.2)):
        found: Rows = []
        for y, row in rows:
            spread: Interval | None = getattr(row, of)
            if spread is None:
                continue
            color = _COLORS[row.finding.verdict] if of == "interval" else _SAMPLING
            low, high = max(spread.low, reach.low), min(spread.high, reach.high)
            place = {"y": y + shift, "color": color}
            found.append(place | {"x": rounded(low), "to_x": rounded(high)})
            if spread.low < reach.low:
                arrows.append(place | {"x": rounded(reach.low), "shape": "triangle-left"})
            if spread.high > reach.high:
                arrows.append(place | {"x": rounded(reach.high), "shape": "triangle-right"})
        if found:
            yield (
                _chart(found)
                .mark_rule(strokeWidth=width)
                .encode(x2=alt.X2("to_x:Q"), color=alt.Color("color:N", scale=None))
            )
    if arrows:
        yield (
            _chart(arrows)
            .mark_point(filled=True, opacity=1, size=36)
            .encode(color=alt.Color("color:N", scale=None), shape=alt.Shape("shape:N", scale=None))
        )


def _margins(rows: Sequence[tuple[float, Row]]) -> Iterator[alt.Chart]:
    found = [{"x": row.margin, "y": y - _MARGIN, "to_y": y + _MARGIN} for y, row in rows if row.margin is not None]
    if found:
        yield _chart(found).mark_rule(color="black", strokeWidth=1.4, strokeDash=[3, 2]).encode(y2=alt.Y2("to_y:Q"))


def _parts(rows: Sequence[tuple[float, Row]], parts: Sequence[str]) -> Iterator[alt.Chart]:
    """What each task comes to, above its row."""
    found = [
        {"x": rounded(part.value), "y": y + _ABOVE, "task": part.title, "count": part.count}
        for y, row in rows
        for part in row.parts
    ]
    if not found:
        return
    tooltip = [
        alt.Tooltip("task:N"),
        alt.Tooltip("x:Q", title="mean", format=".2f"),
        alt.Tooltip("count:Q", title="n"),
    ]
    if len(parts) > len(_SHAPES):
        yield _chart(found).mark_tick(color=GREY, size=8, thickness=1, orient="vertical").encode(tooltip=tooltip)
        return
    yield (
        _chart(found)
        .mark_point(filled=True, size=24, opacity=1)
        .encode(
            color=alt.Color("task:N", scale=named_scale(parts, PALETTE), legend=None),
            shape=alt.Shape("task:N", scale=named_scale(parts, _SHAPES), legend=None),
            tooltip=tooltip,
        )
    )


def _means(rows: Sequence[tuple[float, Row]]) -> Iterator[alt.Chart]:
    """A square for each mean, hollow where the verdict is open."""
    found = [
        {
            "x": rounded(row.mean),
            "y": y,
            "color": _COLORS[row.finding.verdict],
            "fill": "white" if row.finding.verdict is Verdict.UNDECIDED else _COLORS[row.finding.verdict],
            "expectation": row.wording,
            "estimate": row.estimate,
            "p": row.p,
            "n": row.count,
            "verdict": row.verdict,
        }
        for y, row in rows
        if row.mean is not None
    ]
    if found:
        yield (
            _chart(found)
            .mark_point(shape="square", size=70, opacity=1, strokeWidth=1.8)
            .encode(
                stroke=alt.Stroke("color:N", scale=None),
                fill=alt.Fill("fill:N", scale=None),
                tooltip=[alt.Tooltip(f"{field}:N") for field in ("expectation", "estimate", "p", "n", "verdict")],
            )
        )


def _texts(lines: Sequence[_Line], *, is_correlation: bool) -> Iterator[alt.Chart]:
    """The questions, the expectations to the left of the plot, and to the right what came of them."""
    questions = [{"y": line.y, "text": cut(line.question, _QUESTION)} for line in lines if line.question is not None]
    yield (
        _chart(questions)
        .mark_text(align="left", fontSize=12, fontWeight="bold")
        .encode(x=alt.XValue(-_LEFT), text=alt.Text("text:N"))
    )
    rows = [(line.y, line.row) for line in lines if line.row is not None]
    labels = [{"y": y, "text": textwrap.wrap(cut(row.wording, 2 * _WORDING - 4), _WORDING) or [""]} for y, row in rows]
    yield (
        _chart(labels)
        .mark_text(align="left", fontSize=11, baseline="middle", lineHeight=13)
        .encode(x=alt.XValue(_INDENT - _LEFT), text=alt.Text("text:N"))
    )
    names = {
        "estimate": f"{'ρ' if is_correlation else 'difference'} (95 % interval)",
        "count": "n",
        "p": "p, corrected",
        "verdict": "verdict",
    }
    for field, place in _COLUMNS.items():
        cells = [
            {"y": 0.5, "text": names[field], "color": GREY},
            *(
                {
                    "y": y,
                    "text": getattr(row, field),
                    "color": _COLORS[row.finding.verdict] if field == "verdict" else "black",
                }
                for y, row in rows
            ),
        ]
        yield (
            _chart(cells)
            .mark_text(align="left", fontSize=11, fontWeight="bold" if field == "verdict" else "normal")
            .encode(x=alt.XValue(_PLOT + place), text=alt.Text("text:N"), color=alt.Color("color:N", scale=None))
        )
