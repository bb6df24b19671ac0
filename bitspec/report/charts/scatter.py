"""Change against score: a panel for each task, a labelled point for each strategy, small dots for its single runs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import altair as alt
import numpy as np

from bitspec.diagnostics import cut
from bitspec.report.associations import Association, Point
from bitspec.report.captions import association_caption, rho_text, stratum_title
from bitspec.report.charts.axes import domain, rounded
from bitspec.report.charts.labels import Spot, spots
from bitspec.report.charts.style import BLUE, GREY, PALE, PALETTE, Layer, heading, look, unchecked
from bitspec.report.words import labels

#: Panels of a figure, and how many stand beside each other.
MOST_PANELS: Final = 12
_COLUMNS: Final = 3

#: Strategies that are labelled: those with the highest scores.
MOST_LABELS: Final = 40

#: Single runs that are drawn, over all panels; where there are more, none are.
MOST_RUNS: Final = 2_000

#: The ratio of the largest change to the smallest from which on their axis is logarithmic.
_LOG_FROM: Final = 30.0

#: Pixels of a panel.
_WIDTH: Final = 380
_HEIGHT: Final = 300

#: The narrowest axis of scores, in points; that of changes, as a share of the largest.
_NARROWEST: Final = 2.0
_NARROWEST_SHARE: Final = 0.05

#: Columns of a label, characters of a line of a panel's title.
_LABEL: Final = 30
_TITLE: Final = 50

#: A light colour of the palette.
_LIGHT: Final = PALETTE[6]

Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class _Axis:
    """An axis of a panel; changes of 0 have a place at the low end of a logarithmic one."""

    low: float
    high: float
    is_log: bool = False

    def shown(self, value: float) -> float:
        """The value at which another is drawn."""
        return max(value, self.low) if self.is_log else value

    def part(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        if self.is_log:
            return math.log(self.shown(value) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def at(self, part: float) -> float:
        """The value that lies there."""
        if self.is_log:
            return self.low * (self.high / self.low) ** part
        return self.low + part * (self.high - self.low)


@unchecked
def draw(found: Association) -> alt.ConcatChart:
    """The chart."""
    shown = range(min(len(found.strata), MOST_PANELS))
    runs = [_runs(found, place) for place in shown]
    has_runs = found.seeds > 1 and sum(map(len, runs)) <= MOST_RUNS
    if not has_runs:
        runs = [[] for _ in shown]
    changes = _changes([*(point.change for place in shown for point in found.points[place])], runs)
    labelled = _labelled(found)
    names = {
        strategy: cut(name, _LABEL) for strategy, name in labels(found.runs.chosen).items() if strategy in labelled
    }
    panels = [_panel(found, place, runs[place], changes, names) for place in shown]
    return alt.concat(
        *panels,
        columns=_COLUMNS,
        spacing=28,
        title=heading(found.title, [*association_caption(found), *_said(found, changes, len(names), has_runs)]),
        config=look(),
    )


def _said(found: Association, changes: _Axis, named: int, has_runs: bool) -> Iterable[str]:
    """What is to be said of the drawing itself."""
    if has_runs:
        yield "small dots are single runs"
    elif found.seeds > 1:
        yield "single runs are too many to be drawn: choose with --strategy"
    if changes.is_log and any(point.change <= changes.low for points in found.points for point in points):
        yield "a change of 0 stands at the left end"
    if named < found.strategies:
        yield f"the {named:,} strategies with the highest scores are labelled: choose others with --strategy"
    if len(found.strata) > MOST_PANELS:
        yield f"{len(found.strata) - MOST_PANELS:,} more tasks are left out: choose with --task"


# Data ---------------------------------------------------------------------------------------------------------------


def _runs(found: Association, place: int) -> Rows:
    """The single runs behind the points of a panel."""
    model, task = found.strata[place]
    return [
        {
            "strategy": point.strategy,
            "change": run.change,
            "score": run.score,
            "mean_change": point.change,
            "mean_score": point.score,
            "seed": run.seed,
            "trial": run.key[:12],
        }
        for point in found.points[place]
        if point.seeds > 1
        for run in found.runs.at(model, task, point.strategy)
        if run.change is not None
    ]


def _changes(means: Sequence[float], runs: Sequence[Rows]) -> _Axis:
    """The axis of changes, one for all panels."""
    values = [*means, *(row["change"] for rows in runs for row in rows)]
    above = [value for value in values if value > 0]
    if above and max(above) / min(above) > _LOG_FROM:
        low, high = domain([math.log(min(above)), math.log(max(above))], 0.0)
        zero = math.log(2.0) if len(above) < len(values) else 0.0  # room for changes of 0
        return _Axis(rounded(math.exp(low - zero)), rounded(math.exp(high)), is_log=True)
    low, high = domain(values, _NARROWEST_SHARE * (max(above, default=0.0) or 1.0))
    return _Axis(max(0.0, low), high)


def _labelled(found: Association) -> set[str]:
    """The strategies that have a label."""
    by_strategy = list(zip(*found.points, strict=True))
    by_strategy.sort(key=lambda points: -float(np.mean([point.score for point in points])))
    return {points[0].strategy for points in by_strategy[:MOST_LABELS]}


# Panels -------------------------------------------------------------------------------------------------------------


def _panel(found: Association, place: int, runs: Rows, changes: _Axis, names: dict[str, str]) -> alt.LayerChart:
    points = found.points[place]
    values = [*(point.score for point in points), *(row["score"] for row in runs)]
    scores = _Axis(*domain(values, _NARROWEST))
    rho = found.correlation.strata[place] if found.correlation is not None else None
    return alt.LayerChart(
        layer=[
            *([_spokes(runs, changes), _dots(runs, changes, found)] if runs else []),
            _points(points, changes, found),
            *_labels(points, runs, changes, scores, names),
        ],
        title=alt.Title(
            textwrap.wrap(cut(stratum_title(found.runs.chosen, *found.strata[place]), 2 * _TITLE), _TITLE),
            subtitle="" if rho is None else f"ρ = {rho_text(rho)}",
            frame="group",
            fontSize=12,
            subtitleFontSize=11,
        ),
        width=_WIDTH,
        height=_HEIGHT,
    ).encode(
        x=alt.X(
            "x:Q",
            title="mean |Δ| over the trained entries" + (" (log scale)" if changes.is_log else ""),
            scale=alt.Scale(
                type="log" if changes.is_log else "linear", domain=[changes.low, changes.high], nice=False, zero=False
            ),
            axis=alt.Axis(format="~g", tickCount=6),
        ),
        y=alt.Y(
            "y:Q",
            title="score (points)",
            scale=alt.Scale(domain=[scores.low, scores.high], nice=False, zero=False),
            axis=alt.Axis(tickCount=6),
        ),
    )


def _spokes(runs: Rows, changes: _Axis) -> alt.Chart:
    """From each run to the mean of its strategy."""
    rows = [
        {
            "x": rounded(changes.shown(row["change"])),
            "y": rounded(row["score"]),
            "to_x": rounded(changes.shown(row["mean_change"])),
            "to_y": rounded(row["mean_score"]),
        }
        for row in runs
    ]
    return Layer(alt.InlineData(rows)).mark_rule(color=PALE).encode(x2=alt.X2("to_x:Q"), y2=alt.Y2("to_y:Q"))


def _dots(runs: Rows, changes: _Axis, found: Association) -> alt.Chart:
    rows = [
        {
            "strategy": found.runs.titles[row["strategy"]],
            "change": rounded(row["change"]),
            "x": rounded(changes.shown(row["change"])),
            "y": rounded(row["score"]),
            "seed": row["seed"],
            "trial": row["trial"],
        }
        for row in runs
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_point(filled=True, size=14, color=_LIGHT, opacity=0.9)
        .encode(
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("change:Q", title="mean |Δ|", format=".3~g"),
                alt.Tooltip("y:Q", title="score (points)", format=".2f"),
                alt.Tooltip("trial:N"),
            ]
        )
    )


def _points(points: Sequence[Point], changes: _Axis, found: Association) -> alt.Chart:
    rows = [
        {
            "strategy": found.runs.titles[point.strategy],
            "change": rounded(point.change),
            "x": rounded(changes.shown(point.change)),
            "y": rounded(point.score),
            "seeds": point.seeds,
        }
        for point in points
    ]
    return (
        Layer(alt.InlineData(rows))
        .mark_point(filled=True, size=55, color=BLUE, opacity=1)
        .encode(
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("change:Q", title="mean |Δ|", format=".3~g"),
                alt.Tooltip("y:Q", title="score (points)", format=".2f"),
                alt.Tooltip("seeds:Q", title="n (seeds)"),
            ]
        )
    )


def _labels(
    points: Sequence[Point], runs: Rows, changes: _Axis, scores: _Axis, names: dict[str, str]
) -> Iterable[alt.Chart]:
    """The names of points, with a line to those that found no place beside theirs."""

    def pixels(change: float, score: float) -> tuple[float, float]:
        return _WIDTH * changes.part(change), _HEIGHT * (1 - scores.part(score))

    ordered = sorted(points, key=lambda point: point.strategy not in names)
    places = [pixels(point.change, point.score) for point in ordered]
    texts = [names[point.strategy] for point in ordered if point.strategy in names]
    found = spots(places, texts, (_WIDTH, _HEIGHT), [pixels(row["change"], row["score"]) for row in runs])
    there = [(text, point, spot) for text, point, spot in zip(texts, ordered, found, strict=False) if spot is not None]
    lines = [_line(point, spot, changes, scores) for _, point, spot in there if spot.is_away]
    if lines:
        yield (
            Layer(alt.InlineData(lines))
            .mark_rule(color=GREY, strokeWidth=0.6)
            .encode(x2=alt.X2("to_x:Q"), y2=alt.Y2("to_y:Q"))
        )
    rows = [
        {
            "text": text,
            "x": rounded(changes.at(spot.x / _WIDTH)),
            "y": rounded(scores.at(1 - spot.y / _HEIGHT)),
        }
        for text, _, spot in there
    ]
    yield (
        Layer(alt.InlineData(rows))
        .mark_text(align="left", baseline="middle", fontSize=10)
        .encode(text=alt.Text("text:N"))
    )


def _line(point: Point, spot: Spot, changes: _Axis, scores: _Axis) -> dict[str, float]:
    return {
        "x": rounded(changes.shown(point.change)),
        "y": rounded(point.score),
        "to_x": rounded(changes.at(spot.end[0] / _WIDTH)),
        "to_y": rounded(scores.at(1 - spot.end[1] / _HEIGHT)),
    }
