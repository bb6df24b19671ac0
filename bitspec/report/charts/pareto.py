"""Score against the share of parameters that are trained, on a log scale, and the strategies that none beats."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import altair as alt

from bitspec.diagnostics import cut
from bitspec.parameters.summary import percent_digits
from bitspec.report.charts.axes import rounded
from bitspec.report.charts.labels import Spot, spots
from bitspec.report.charts.style import BLUE, GREY, PALE, Layer, heading, look, unchecked
from bitspec.report.scales import Scale, scale_for
from bitspec.report.scores import Figure, Panel, Scores, Standing, figure
from bitspec.report.words import count, front_caption, labels, task_title

#: Pixels of a panel that stands alone, and of one among several; how many stand beside each other.
_ALONE: Final = (760, 430)
_AMONG: Final = (520, 360)
_ACROSS: Final = 2

#: Where nothing is trained is no place on a log scale: it stands left of the smallest share, that one over this.
_NOTHING: Final = 6.0

#: Room at both ends of the axis of shares, as a factor, and what the axis spans at least.
_ROOM: Final = 1.6
_NARROWEST: Final = 10.0

#: Powers of ten that tell a reader of the axis that it is logarithmic.
_FEWEST_TENS: Final = 3

#: Columns of a label and of a line of a panel's title.
_LABEL: Final = 30
_PANEL_TITLE: Final = 60

#: Pixels between the places of a line that a label should not cover.
_STEP: Final = 8

#: A place in a panel, in pixels from its upper left corner.
_Place: TypeAlias = tuple[float, float]

#: What the legend calls the two kinds of strategies.
_KINDS: Final = ("on the front", "not on it")


@dataclass(frozen=True)
class _Axes:
    """Where shares and scores lie in a panel of so many pixels: `nothing` is the place of a share of 0."""

    nothing: float
    low: float
    high: float
    scores: Scale
    width: int
    height: int

    def share(self, standing: Standing) -> float:
        """The place of a strategy on the axis of shares, in percent."""
        return standing.percent if standing.percent is not None and standing.percent > 0 else self.nothing

    @property
    def gap(self) -> float:
        """The place between nothing and the smallest share, where the scale is broken."""
        return self.nothing * math.sqrt(_NOTHING)

    def pixels(self, share: float, score: float) -> _Place:
        """Where a share and a score lie in the panel."""
        along = math.log(share / self.low) / math.log(self.high / self.low)
        return along * self.width, (1 - self.scores.part(score)) * self.height


@unchecked
def draw(scores: Scores) -> alt.VConcatChart:
    """The chart."""
    shown = figure(scores, is_overall=True)
    names = labels(scores.runs.chosen)
    width, height = _ALONE if len(shown.panels) == 1 else _AMONG
    axes = _axes(shown, width, height)
    panels = [_panel(shown, panel, names, axes) for panel in shown.panels]
    return alt.vconcat(
        *(alt.hconcat(*panels[start : start + _ACROSS], spacing=26) for start in range(0, len(panels), _ACROSS)),
        spacing=22,
        title=heading(scores.title, _caption(shown)),
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(fill="shared", stroke="shared", shape="shared")),
        config=look(),
    )


def _axes(shown: Figure, width: int, height: int) -> _Axes:
    """The same axes for all panels."""
    shares = [one.percent or 0.0 for panel in shown.panels for one in panel.standings]
    some = [share for share in shares if share > 0] or [1.0]
    low, high = min(some), max(some)
    spread = max(1.0, _NARROWEST / (high / low)) ** 0.5
    low, high = low / spread, high * spread
    nothing = low / _NOTHING
    first = nothing if 0.0 in shares else low
    return _Axes(nothing, first / _ROOM, high * _ROOM, scale_for(shown.panels, ()), width, height)


def _caption(shown: Figure) -> list[str]:
    has_interval = any(one.interval is not None for panel in shown.panels for one in panel.standings)
    marks = "a mark is the mean of a strategy's runs"
    if has_interval:
        marks += ", a line its 95 % interval over seeds, with an arrow where it goes on"
    return [marks, *front_caption(shown)]


def _panel(shown: Figure, panel: Panel, names: Mapping[str, str], axes: _Axes) -> alt.LayerChart:
    has_counts = len({(one.seeds, one.planned) for other in shown.panels for one in other.standings}) > 1
    best = {one.strategy for one in panel.front}
    # The front has the first choice of places for its labels, then the highest scores.
    order = sorted(panel.standings, key=lambda one: (one.strategy not in best, -(one.mean or 0.0)))
    texts = [
        cut(names[one.strategy], _LABEL) + (f" (n = {count(one.seeds, one.planned)})" if has_counts else "")
        for one in order
    ]
    points = [axes.pixels(axes.share(one), one.mean or 0.0) for one in order]
    crowd = [place for one in order for place in _along(one, axes)]
    crowd += [place for start, end in pairwise(_corners(panel, axes)) for place in _between(start, end)]
    if any(not one.percent for one in order):
        gap, _ = axes.pixels(axes.gap, axes.scores.low)
        crowd += _between((gap, 0.0), (gap, float(axes.height)))
    placed = spots(points, texts, (axes.width, axes.height), crowd)
    rows = [_row(one, names, axes, is_best=one.strategy in best) for one in order]
    layers = [
        *([_gap(axes)] if any(not one.percent for one in order) else []),
        _front(panel, axes),
        _intervals(rows, axes),
        *_arrows(rows, axes),
        _leads(points, placed),
        _marks(rows, axes),
        _texts(order, texts, placed, best),
    ]
    return alt.LayerChart(
        layer=layers,
        title=alt.Title(textwrap.wrap(task_title(shown.scores, panel), _PANEL_TITLE), frame="group", fontSize=12),
        width=axes.width,
        height=axes.height,
    )


def _along(one: Standing, axes: _Axes) -> list[_Place]:
    """Places on the interval of a strategy."""
    if one.interval is None:
        return []
    shown = axes.scores.cut(one.interval)
    return _between(axes.pixels(axes.share(one), shown.high), axes.pixels(axes.share(one), shown.low))


def _corners(panel: Panel, axes: _Axes) -> Iterator[_Place]:
    """The corners of the line of the front, where a step begins and where it ends."""
    height: float | None = None
    for share, score in _steps(panel, axes):
        x, y = axes.pixels(share, score)
        if height is not None:
            yield x, height
        yield x, y
        height = y


def _between(start: _Place, end: _Place) -> list[_Place]:
    """Places on a line, both ends included."""
    steps = max(1, int(math.dist(start, end) // _STEP))
    return [
        (start[0] + (end[0] - start[0]) * step / steps, start[1] + (end[1] - start[1]) * step / steps)
        for step in range(steps + 1)
    ]


# Layers -------------------------------------------------------------------------------------------------------------


def _x(field: str, axes: _Axes) -> alt.X:
    nothing = [rounded(axes.nothing)] if axes.low < axes.nothing else []
    return alt.X(
        f"{field}:Q",
        title="trained parameters (% of the base model's, log scale)",
        scale=alt.Scale(type="log", domain=[rounded(axes.low), rounded(axes.high)], nice=False),
        axis=alt.Axis(
            values=[*nothing, *_ticks(axes)],
            labelExpr=f"datum.value < {rounded(axes.nothing * _NOTHING / 2)} ? 'none' : format(datum.value, '~r')",
            grid=False,
        ),
    )


def _ticks(axes: _Axes) -> list[float]:
    """Powers of ten on the axis of shares, and where those are few, what lies between them."""
    first, last = axes.nothing * _NOTHING * (1 - 1e-9), axes.high * (1 + 1e-9)
    powers = range(math.floor(math.log10(first)), math.floor(math.log10(last)) + 1)

    def ticks(digits: Sequence[int]) -> list[float]:
        every = (float(f"{digit}e{power}") for power in powers for digit in digits)
        return [tick for tick in every if first <= tick <= last]

    tens = ticks([1])
    return tens if len(tens) >= _FEWEST_TENS else ticks([1, 2, 5])


def _y(field: str, axes: _Axes) -> alt.Y:
    domain = [rounded(axes.scores.low), rounded(axes.scores.high)]
    return alt.Y(
        f"{field}:Q",
        title="score (points)",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(gridColor=PALE),
    )


def _gap(axes: _Axes) -> alt.Chart:
    """Between nothing and the smallest share, where the scale is broken."""
    rows = [{"share": rounded(axes.gap)}]
    return Layer(alt.InlineData(rows)).mark_rule(color=GREY, strokeDash=[2, 3]).encode(x=_x("share", axes))


def _steps(panel: Panel, axes: _Axes) -> list[tuple[float, float]]:
    """The shares of the front and the score from each on, up to the end of the axis."""
    steps = [(axes.share(one), one.mean or 0.0) for one in panel.front]
    return [*steps, (axes.high, steps[-1][1])]


def _front(panel: Panel, axes: _Axes) -> alt.Chart:
    """The highest score up to each share."""
    rows = [{"share": rounded(share), "score": rounded(score)} for share, score in _steps(panel, axes)]
    return (
        Layer(alt.InlineData(rows))
        .mark_line(interpolate="step-after", strokeWidth=1.5, color=BLUE, opacity=0.6)
        .encode(x=_x("share", axes), y=_y("score", axes))
    )


def _intervals(rows: Sequence[dict[str, Any]], axes: _Axes) -> alt.Chart:
    return (
        Layer(alt.InlineData([row for row in rows if row["low"] is not None]))
        .mark_rule(strokeWidth=1.2, color=GREY, opacity=0.7)
        .encode(x=_x("share", axes), y=_y("bottom", axes), y2=alt.Y2("top"))
    )


def _arrows(rows: Sequence[dict[str, Any]], axes: _Axes) -> list[alt.Chart]:
    """At the ends of the axis, where an interval goes on beyond it."""
    return [
        Layer(alt.InlineData(beyond))
        .mark_point(shape=shape, filled=True, opacity=1, size=40, color=GREY)
        .encode(x=_x("share", axes), y=_y(end, axes))
        for end, of, shape in (("bottom", "low", "triangle-down"), ("top", "high", "triangle-up"))
        if (beyond := [row for row in rows if row[of] != row[end]])
    ]


def _marks(rows: Sequence[dict[str, Any]], axes: _Axes) -> alt.Chart:
    def kinds(values: Sequence[str]) -> alt.Scale:
        return alt.Scale(domain=list(_KINDS), range=list(values))

    legend = alt.Legend(title=None, orient="bottom")
    return (
        Layer(alt.InlineData(list(rows)))
        .mark_point(size=75, strokeWidth=1.6, opacity=1)
        .encode(
            x=_x("share", axes),
            y=_y("mean", axes),
            shape=alt.Shape("kind:N", scale=kinds(("diamond", "circle")), legend=legend),
            fill=alt.Fill("kind:N", scale=kinds((BLUE, "white")), legend=legend),
            stroke=alt.Stroke("kind:N", scale=kinds((BLUE, GREY)), legend=legend),
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("percent:N", title="% of parameters"),
                alt.Tooltip("mean:Q", format=".2f"),
                alt.Tooltip("low:Q", format=".2f", title="95 % interval from"),
                alt.Tooltip("high:Q", format=".2f", title="to"),
                alt.Tooltip("n:N"),
            ],
        )
    )


def _leads(points: Sequence[tuple[float, float]], placed: Sequence[Spot | None]) -> alt.Chart:
    """Lines from points to labels that stand away from them; in pixels."""
    rows = [
        {"x": rounded(x), "y": rounded(y), "to_x": rounded(spot.end[0]), "to_y": rounded(spot.end[1])}
        for (x, y), spot in zip(points, placed, strict=True)
        if spot is not None and spot.is_away
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_rule(strokeWidth=0.8, color=GREY)
        .encode(
            x=alt.X("x:Q", scale=None, title=None),
            y=alt.Y("y:Q", scale=None, title=None),
            x2=alt.X2("to_x"),
            y2=alt.Y2("to_y"),
        )
    )


def _texts(order: Sequence[Standing], texts: Sequence[str], placed: Sequence[Spot | None], best: set[str]) -> alt.Chart:
    """The labels, in pixels."""
    rows = [
        {"x": rounded(spot.x), "y": rounded(spot.y), "text": text, "best": one.strategy in best}
        for one, text, spot in zip(order, texts, placed, strict=True)
        if spot is not None
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_text(align="left", baseline="middle", fontSize=10)
        .encode(
            x=alt.X("x:Q", scale=None, title=None),
            y=alt.Y("y:Q", scale=None, title=None),
            text=alt.Text("text:N"),
            color=alt.condition("datum.best", alt.value("black"), alt.value(GREY)),
        )
    )


def _row(one: Standing, names: Mapping[str, str], axes: _Axes, *, is_best: bool) -> dict[str, Any]:
    interval = one.interval
    shown = None if interval is None else axes.scores.cut(interval)
    return {
        "strategy": names[one.strategy],
        "percent": percent_digits(one.percent or 0.0),
        "share": rounded(axes.share(one)),
        "mean": rounded(one.mean or 0.0),
        "low": None if interval is None else rounded(interval.low),
        "high": None if interval is None else rounded(interval.high),
        "bottom": None if shown is None else rounded(shown.low),
        "top": None if shown is None else rounded(shown.high),
        "n": count(one.seeds, one.planned),
        "kind": _KINDS[0] if is_best else _KINDS[1],
    }
