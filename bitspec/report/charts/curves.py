"""Learning curves: scores above, losses below.

Up to eight strategies are lines of one panel, and each task has a panel. More of them have a panel each, and the tasks
are its lines; then all panels have one scale, so that they can be compared.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import altair as alt

from bitspec.diagnostics import cut
from bitspec.report.captions import curves_caption, seeds_of, stratum_title
from bitspec.report.charts.axes import domain, named_scale, rounded, whole_ticks
from bitspec.report.charts.key import Entry, key
from bitspec.report.charts.style import DASHES, GREY, PALETTE, SHAPES, Layer, heading, look, unchecked
from bitspec.report.curves import Curve, Curves, Spread
from bitspec.report.words import labels

#: Lines of a panel: as many as colours and shapes tell apart.
MOST_LINES: Final = len(PALETTE)

#: Panels: of tasks where strategies are lines, of strategies where tasks are.
MOST_TASKS: Final = 12
MOST_STRATEGIES: Final = 20

#: Points of a line: where there are more epochs, some of them have none.
_POINTS: Final = 20

#: What the dashes of the losses mean.
_DASHES: Final = {"validation": DASHES[0], "training": DASHES[2]}

#: The narrowest axes: points of a score, of a loss.
_NARROWEST: Final = (2.0, 0.05)

#: Characters of a line of a panel's title, and of a text of the key.
_TITLE: Final = 28
_KEY: Final = 36

Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class _Size:
    """Pixels of a panel: its width, the heights of its scores and its losses; how many stand beside each other."""

    width: int
    score: int
    loss: int
    columns: int


@dataclass(frozen=True)
class _Panel:
    """What a panel is called, what is said of it, and its curves by the names of its lines."""

    title: str
    said: str
    lines: dict[str, Curve]


@dataclass(frozen=True)
class _Plan:
    """All panels, what their lines are called in the key, and what is said of them; `is_shared`: on one scale."""

    panels: list[_Panel]
    names: dict[str, str]
    size: _Size
    is_shared: bool
    said: list[str]

    @property
    def last(self) -> int:
        """The last epoch of all."""
        return max(curve.last.number for panel in self.panels for curve in panel.lines.values())


@unchecked
def draw(curves: Curves) -> alt.HConcatChart:
    """The chart."""
    plan = _of_tasks(curves) if len(curves.strategies) <= MOST_LINES else _of_strategies(curves)
    parts = [(_score_rows(panel, plan), _loss_rows(panel, plan)) for panel in plan.panels]
    if plan.is_shared:
        of_all = [[row for rows in kind for row in rows] for kind in zip(*parts, strict=True)]
        domains = [_domains(*of_all)] * len(parts)
    else:
        domains = [_domains(*rows) for rows in parts]
    panels = [
        _panel(panel, plan, rows, own, has_titles=not plan.is_shared or place % plan.size.columns == 0)
        for place, (panel, rows, own) in enumerate(zip(plan.panels, parts, domains, strict=True))
    ]
    return alt.hconcat(
        alt.concat(*panels, columns=plan.size.columns, spacing=20),
        key(_samples(plan, has_loss=any(rows for _, rows in parts))),
        spacing=24,
        title=heading(curves.title, [*curves_caption(curves), *plan.said]),
        config=look(),
    )


# What is drawn ------------------------------------------------------------------------------------------------------


def _of_tasks(curves: Curves) -> _Plan:
    """A panel for each task, and a line in it for each strategy."""
    shown = curves.strata[:MOST_TASKS]
    titles, is_same = labels(curves.chosen), _is_same(curves)
    return _Plan(
        [
            _Panel(
                stratum_title(curves.chosen, *stratum),
                "",
                {curve.cells.strategy: curve for curve in curves.by_stratum[stratum]},
            )
            for stratum in shown
        ],
        {
            strategy: cut(titles[strategy], _KEY) + ("" if is_same else f", {seeds_of(one.cells for one in own)}")
            for strategy, own in curves.by_strategy.items()
        },
        _Size(250, 190, 150, columns=4),
        is_shared=False,
        said=_left_out("tasks", len(curves.strata) - len(shown), "--task"),
    )


def _of_strategies(curves: Curves) -> _Plan:
    """A panel for each strategy, and a line in it for each task."""
    strategies, strata = curves.strategies[:MOST_STRATEGIES], curves.strata[:MOST_LINES]
    titles, is_same = labels(curves.chosen), _is_same(curves)
    names = {" ".join(stratum): cut(stratum_title(curves.chosen, *stratum), _KEY) for stratum in strata}
    panels = []
    for strategy in strategies:
        own = curves.by_strategy[strategy]
        lines = {f"{curve.cells.model} {curve.cells.task}": curve for curve in own}
        said = "" if is_same else seeds_of(curve.cells for curve in own)
        panels.append(_Panel(titles[strategy], said, {name: lines[name] for name in names if name in lines}))
    return _Plan(
        [panel for panel in panels if panel.lines],
        names,
        _Size(150, 90, 70, columns=5),
        is_shared=True,
        said=[
            f"all panels have one scale; up to {MOST_LINES} strategies stand in one panel: choose with --strategy",
            *_left_out("strategies", len(curves.strategies) - len(strategies), "--strategy"),
            *_left_out("tasks", len(curves.strata) - len(strata), "--task"),
        ],
    )


def _is_same(curves: Curves) -> bool:
    """Whether there are as many runs everywhere."""
    return len({seeds_of([curve.cells]) for curve in curves.all}) == 1


def _left_out(what: str, count: int, option: str) -> list[str]:
    return [f"{count:,} more {what} are left out: choose with {option}"] if count else []


def _samples(plan: _Plan, *, has_loss: bool) -> list[Entry]:
    names = [Entry(name, PALETTE[place], SHAPES[place], DASHES[0]) for place, name in enumerate(plan.names.values())]
    return names + [Entry(f"{which} loss", GREY, None, dash) for which, dash in _DASHES.items() if has_loss]


# Rows of data -------------------------------------------------------------------------------------------------------


def _score_rows(panel: _Panel, plan: _Plan) -> Rows:
    return [
        row
        for name, curve in panel.lines.items()
        for row in _rows(name, curve, "score", [epoch.score for epoch in curve.epochs], plan)
    ]


def _loss_rows(panel: _Panel, plan: _Plan) -> Rows:
    return [
        row
        for name, curve in panel.lines.items()
        for which, spreads in (
            ("training", [epoch.training for epoch in curve.epochs]),
            ("validation", [epoch.validation for epoch in curve.epochs]),
        )
        for row in _rows(name, curve, which, spreads, plan)
    ]


def _rows(
    name: str, curve: Curve, which: str, spreads: Sequence[Spread | None], plan: _Plan
) -> Iterator[dict[str, Any]]:
    is_alone = len(curve.epochs) == 1
    step = math.ceil(len(curve.epochs) / _POINTS)
    shift = _aside(list(plan.names).index(name), len(plan.names)) if plan.last == 1 else 0.0
    for epoch, spread in zip(curve.epochs, spreads, strict=True):
        if spread is None:
            continue
        yield {
            "series": name,
            "strategy": curve.cells.title,
            "task": curve.cells.task,
            "which": which,
            "epoch": epoch.number,
            "x": rounded(epoch.number + shift),
            "mean": rounded(spread.mean),
            "low": rounded(spread.low),
            "high": rounded(spread.high),
            "seeds": epoch.seeds,
            # Dashes tell the losses apart, so points are for one of them; a single epoch is nothing but points.
            "point": is_alone or (which != "training" and (curve.last.number - epoch.number) % step == 0),
            "alone": is_alone,
        }


def _aside(place: int, count: int) -> float:
    """How far to the side a point stands where all curves have one epoch alone."""
    return (place - (count - 1) / 2) * 0.7 / count


def _domains(*parts: Rows) -> list[tuple[float, float] | None]:
    """What the axes of the scores and of the losses run from and to."""
    return [
        domain([row[end] for row in rows for end in ("low", "high")], narrowest) if rows else None
        for rows, narrowest in zip(parts, _NARROWEST, strict=True)
    ]


# Panels -------------------------------------------------------------------------------------------------------------


def _panel(
    panel: _Panel,
    plan: _Plan,
    parts: Sequence[Rows],
    domains: Sequence[tuple[float, float] | None],
    *,
    has_titles: bool,
) -> alt.VConcatChart:
    size = plan.size
    charts = [
        _lines(rows, plan, reach, title if has_titles else None, height)
        for rows, reach, title, height in zip(
            parts, domains, ("score (points)", "loss"), (size.score, size.loss), strict=True
        )
        if reach is not None
    ]
    title = alt.Title(
        textwrap.wrap(cut(panel.title, 2 * _TITLE), _TITLE),
        subtitle=panel.said,
        frame="group",
        fontSize=12,
        subtitleFontSize=10,
    )
    return alt.vconcat(*charts, spacing=6, title=title)


def _lines(rows: Rows, plan: _Plan, reach: tuple[float, float], title: str | None, height: int) -> alt.LayerChart:
    names = list(plan.names)
    scale = alt.Scale(domain=list(reach), nice=False, zero=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=title, scale=scale, stack=None, axis=alt.Axis(tickCount=max(3, height // 35)))

    dashes = alt.Scale(domain=["score", *_DASHES], range=[list(dash) for dash in (DASHES[0], *_DASHES.values())])
    line = (
        Layer()
        .transform_filter("!datum.alone")
        .mark_line(strokeWidth=1.6)
        .encode(y=y("mean"), strokeDash=alt.StrokeDash("which:N", scale=dashes, legend=None))
    )
    return alt.LayerChart(
        layer=[*_spreads(rows, y), line, *_points(rows, names, y)],
        data=alt.InlineData(rows),
        width=plan.size.width,
        height=height,
    ).encode(
        x=_epochs(plan.last, plan.size.width),
        color=alt.Color("series:N", scale=named_scale(names, PALETTE), legend=None),
    )


def _epochs(last: int, width: int) -> alt.X:
    room = 0.5 if last == 1 else 0.02 * last
    return alt.X(
        "x:Q",
        title="epoch",
        scale=alt.Scale(domain=[rounded(1 - room), rounded(last + room)], nice=False, zero=False),
        axis=alt.Axis(values=whole_ticks(last, width // 30), format="d", grid=False),
    )


def _spreads(rows: Rows, y: Callable[[str], alt.Y]) -> Iterator[alt.Chart]:
    """From the lowest to the highest seed: a band along a line, a rule through a point that stands alone."""
    spread = [row for row in rows if row["seeds"] > 1]
    if any(not row["alone"] for row in spread):
        yield (
            Layer()
            .transform_filter("datum.seeds > 1 && !datum.alone")
            .mark_area(opacity=0.13)
            .encode(y=y("low"), y2=alt.Y2("high:Q"), detail=alt.Detail("which:N"))
        )
    if any(row["alone"] for row in spread):
        yield (
            Layer()
            .transform_filter("datum.seeds > 1 && datum.alone")
            .mark_rule()
            .encode(y=y("low"), y2=alt.Y2("high:Q"))
        )


def _points(rows: Rows, names: Sequence[str], y: Callable[[str], alt.Y]) -> Iterator[alt.Chart]:
    """The points of lines; those of the training loss, which has some only where it is no line, are hollow."""
    for is_hollow in (False, True):
        if not any(row["point"] and (row["which"] == "training") is is_hollow for row in rows):
            continue
        yield (
            Layer()
            .transform_filter(f"datum.point && datum.which {'=' if is_hollow else '!'}== 'training'")
            .mark_point(filled=not is_hollow, opacity=1, size=26)
            .encode(
                y=y("mean"),
                shape=alt.Shape("series:N", scale=named_scale(names, SHAPES), legend=None),
                tooltip=[
                    alt.Tooltip("strategy:N"),
                    alt.Tooltip("task:N"),
                    alt.Tooltip("which:N", title="of"),
                    alt.Tooltip("epoch:Q"),
                    *(alt.Tooltip(f"{field}:Q", format=".4~g") for field in ("mean", "low", "high")),
                    alt.Tooltip("seeds:Q", title="n (seeds)"),
                ],
            )
        )
