"""A chart: `bitspec plot lollipop` shows the strategies in the order of their mean scores."""

from __future__ import annotations

from typing import Any

from bitspec.plugins import Answer, Chart


def draw(answer: Answer) -> Any:
    """A dot on a stick for each strategy and task."""
    import altair as alt

    data = alt.Data(values=[dict(zip(("strategy", "task", "score"), row, strict=True)) for row in answer.rows])
    title = alt.TitleParams("Mean score by strategy", subtitle=list(answer.notes))
    base = alt.Chart(data, title=title).encode(y=alt.Y("strategy:N", sort="-x", title=None), x="score:Q")
    sticks = base.mark_rule().encode(x2=alt.X2Datum(0))
    return alt.layer(sticks, base.mark_circle(size=90, opacity=1)).facet("task:N")


def text(answer: Answer, width: int) -> str:
    """A line for each strategy and task."""
    rows = sorted(answer.rows, key=lambda row: (row[1], -row[2]))
    names = [f"{task} {strategy}" for strategy, task, _ in rows]
    room = max(10, width - max(map(len, names), default=0) - 8)
    return "\n".join(
        f"{name:<{max(map(len, names))}} {'-' * max(0, round(row[2] / 100 * room))}o {row[2]:.1f}"
        for name, row in zip(names, rows, strict=True)
    )


PLUGIN = Chart(
    surface=1,
    summary="the strategies in the order of their mean scores",
    version="1",
    query="select avg(score) by strategy, task",
    draw=draw,
    text=text,
)
