"""Scores of strategies: their runs, means and intervals on one axis for each task, reported scores beside them.

They are dots and strokes, not filled bars: a bar has to begin at 0, and then a difference of a point cannot be seen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from bitspec.report.charts.axes import named_scale, rounded
from bitspec.report.charts.style import (
    BLUE,
    CHARACTER,
    GREY,
    PALE,
    PALETTE,
    SHAPES,
    Layer,
    heading,
    look,
    unchecked,
)
from bitspec.report.scales import Scale, scale_for
from bitspec.report.scores import Figure, Panel, Score, Scores, Standing, figure
from bitspec.report.words import count, labels, metric, scores_caption, task_title

#: Pixels: of all panels of a row, of the widest and the narrowest, of a strategy.
_WIDTH: Final = 960
_WIDEST: Final = 460
_NARROWEST: Final = 210
_ROW: Final = 21

#: Panels beside each other.
_ACROSS: Final = 4

#: Characters of the longest name of a strategy and of a line of a panel's title, pixels of a line of the legend.
_NAME: Final = 40
_PANEL_TITLE: Final = 32
_SOURCE: Final = 260

#: Runs beyond which they are not drawn one by one.
MOST_DOTS: Final = 5000

#: Of the trial's key, what a person compares.
_KEY: Final = 12


@dataclass(frozen=True)
class _Frame:
    """What the panels share: what strategies are called, their rows, the sources, pixels; what is drawn at all."""

    names: Mapping[str, str]
    rows: Sequence[str]
    sources: Sequence[str]
    width: int
    has_dots: bool
    has_counts: bool


@unchecked
def draw(scores: Scores) -> alt.VConcatChart:
    """The chart."""
    shown = figure(scores)
    frame = _frame(shown)
    rows = [
        alt.hconcat(*(_panel(shown, panel, frame, is_first=not place) for place, panel in enumerate(row)), spacing=26)
        for row in _rows(shown)
    ]
    return alt.vconcat(
        *rows,
        spacing=22,
        title=heading(scores.title, _caption(shown, frame)),
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(color="shared", shape="shared")),
        config=look(),
    )


def _rows(shown: Figure) -> Iterator[Sequence[Panel]]:
    """The panels of each model, a few beside each other."""
    for model in shown.scores.models:
        own = [panel for panel in shown.panels if panel.model == model]
        for start in range(0, len(own), _ACROSS):
            yield own[start : start + _ACROSS]


def _frame(shown: Figure) -> _Frame:
    standings = [one for panel in shown.panels for one in panel.standings]
    names = labels(shown.scores.runs.chosen)
    across = min(_ACROSS, len(shown.panels))
    return _Frame(
        names,
        list(dict.fromkeys(names[one.strategy] for one in standings)),
        shown.sources,
        max(_NARROWEST, min(_WIDEST, _WIDTH // across)),
        sum(one.seeds for one in standings) <= MOST_DOTS,
        len({(one.seeds, one.planned) for one in standings}) > 1,
    )


def _caption(shown: Figure, frame: _Frame) -> list[str]:
    standings = [one for panel in shown.panels for one in panel.standings]
    marks = ["a dot is a run"] if frame.has_dots else ["runs are too many to be drawn"]
    if any(_has_stroke(one, frame) for one in standings):
        marks.append("a stroke the mean of the runs")
    if any(one.interval is not None for one in standings):
        marks.append("a line its 95 % interval over seeds, with an arrow where it goes on")
    return [", ".join(marks), *scores_caption(shown)]


def _panel(shown: Figure, panel: Panel, frame: _Frame, *, is_first: bool) -> alt.LayerChart:
    scale = scale_for([other for other in shown.panels if other.task == panel.task], frame.sources)
    layers = [
        _intervals(panel, frame, scale),
        *_arrows(panel, frame, scale),
        _means(panel, frame, scale),
        *([_dots(panel, frame, scale)] if frame.has_dots else []),
        *([_reported(panel, frame, scale)] if any(one.reported for one in panel.standings) else []),
        *([_counts(panel, frame, scale)] if frame.has_counts else []),
    ]
    return alt.LayerChart(
        layer=layers,
        title=alt.Title(
            textwrap.wrap(task_title(shown.scores, panel), _PANEL_TITLE),
            subtitle=metric(panel) or " ",  # as high as that of the others
            frame="group",
            fontSize=12,
            subtitleFontSize=10,
        ),
        width=frame.width,
        height=_ROW * len(frame.rows),
    ).encode(
        y=alt.Y(
            "strategy:N",
            title=None,
            scale=alt.Scale(type="point", domain=frame.rows, padding=0.5),
            axis=alt.Axis(
                labels=is_first,
                labelLimit=_NAME * CHARACTER,
                grid=True,
                gridColor=PALE,
                ticks=False,
                domain=False,
            ),
        )
    )


# Layers -------------------------------------------------------------------------------------------------------------


def _x(field: str, scale: Scale) -> alt.X:
    """A place on the axis of scores."""
    domain = alt.Scale(domain=[rounded(scale.low), rounded(scale.high)], nice=False, zero=False)
    return alt.X(f"{field}:Q", title="score (points)", scale=domain, axis=alt.Axis(grid=False, tickCount=5))


def _intervals(panel: Panel, frame: _Frame, scale: Scale) -> alt.Chart:
    rows = [
        {**_summary(one, frame), "from": rounded(shown.low), "to": rounded(shown.high)}
        for one in panel.standings
        if one.interval is not None
        for shown in [scale.cut(one.interval)]
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_rule(strokeWidth=1.5, color=GREY)
        .encode(x=_x("from", scale), x2=alt.X2("to"), tooltip=_SUMMARY)
    )


def _arrows(panel: Panel, frame: _Frame, scale: Scale) -> list[alt.Chart]:
    """At the ends of the axis, where an interval goes on beyond it."""
    low = [one for one in panel.standings if one.interval is not None and one.interval.low < scale.low]
    high = [one for one in panel.standings if one.interval is not None and one.interval.high > scale.high]
    return [
        Layer(alt.InlineData([{**_summary(one, frame), "end": rounded(end)} for one in beyond]))
        .mark_point(shape=shape, filled=True, opacity=1, size=45, color=GREY)
        .encode(x=_x("end", scale), tooltip=_SUMMARY)
        for beyond, end, shape in ((low, scale.low, "triangle-left"), (high, scale.high, "triangle-right"))
        if beyond
    ]


def _means(panel: Panel, frame: _Frame, scale: Scale) -> alt.Chart:
    rows = [_summary(one, frame) for one in panel.standings if _has_stroke(one, frame)]
    return (
        Layer(alt.InlineData(rows))
        .mark_tick(orient="vertical", size=14, thickness=3, color="black", opacity=1)
        .encode(x=_x("mean", scale), tooltip=_SUMMARY)
    )


def _dots(panel: Panel, frame: _Frame, scale: Scale) -> alt.Chart:
    return (
        Layer(alt.InlineData([row for one in panel.standings for row in _runs(one, frame)]))
        .mark_point(shape="circle", filled=True, size=34, opacity=0.7, color=BLUE)
        .encode(
            x=_x("score", scale),
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("seed:N"),
                alt.Tooltip("score:Q", format=".2f"),
                alt.Tooltip("trial:N"),
            ],
        )
    )


def _reported(panel: Panel, frame: _Frame, scale: Scale) -> alt.Chart:
    rows = [
        {"strategy": frame.names[one.strategy], "source": other.source, "score": rounded(other.score)}
        for one in panel.standings
        for other in one.reported
    ]
    # The first colour and shape are those of the runs.
    legend = alt.Legend(title="reported by", labelLimit=_SOURCE)
    return (
        Layer(alt.InlineData(rows))
        .mark_point(filled=False, size=60, strokeWidth=1.8, opacity=1)
        .encode(
            x=_x("score", scale),
            color=alt.Color("source:N", scale=named_scale(frame.sources, _cycle(PALETTE[1:], frame)), legend=legend),
            shape=alt.Shape("source:N", scale=named_scale(frame.sources, _cycle(SHAPES[1:], frame)), legend=legend),
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("source:N", title="reported by"),
                alt.Tooltip("score:Q", format=".2f"),
            ],
        )
    )


def _counts(panel: Panel, frame: _Frame, scale: Scale) -> alt.Chart:
    rows = [
        {
            "strategy": frame.names[one.strategy],
            "end": rounded(scale.high),
            "text": f"n = {count(one.seeds, one.planned)}",
        }
        for one in panel.standings
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_text(align="left", dx=6, fontSize=9, color=GREY)
        .encode(x=_x("end", scale), text=alt.Text("text:N"))
    )


# Rows ---------------------------------------------------------------------------------------------------------------

#: What is told of a mean.
_SUMMARY: Final = [
    alt.Tooltip("strategy:N"),
    alt.Tooltip("mean:Q", format=".2f"),
    alt.Tooltip("sd:Q", format=".2f"),
    alt.Tooltip("low:Q", format=".2f", title="95 % interval from"),
    alt.Tooltip("high:Q", format=".2f", title="to"),
    alt.Tooltip("n:N"),
]


def _has_stroke(one: Standing, frame: _Frame) -> bool:
    """Whether its mean is drawn: of a single run the dot says all there is."""
    return one.mean is not None and not (frame.has_dots and one.values == (one.mean,))


def _summary(one: Standing, frame: _Frame) -> dict[str, Any]:
    interval = one.interval
    return {
        "strategy": frame.names[one.strategy],
        "mean": None if one.mean is None else rounded(one.mean),
        "sd": None if one.sd is None else rounded(one.sd),
        "low": None if interval is None else rounded(interval.low),
        "high": None if interval is None else rounded(interval.high),
        "n": count(one.seeds, one.planned),
    }


def _runs(one: Standing, frame: _Frame) -> list[dict[str, Any]]:
    """A row for each run; of an average, for each seed."""
    name = frame.names[one.strategy]
    if isinstance(one, Score):
        return [
            {"strategy": name, "seed": run.seed, "score": rounded(run.score), "trial": run.key[:_KEY]}
            for run in one.runs
        ]
    return [{"strategy": name, "seed": seed, "score": rounded(score)} for seed, score in one.by_seed.items()]


def _cycle(values: Sequence[str], frame: _Frame) -> list[str]:
    return [values[place % len(values)] for place in range(len(frame.sources))]
