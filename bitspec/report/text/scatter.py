"""Change against score as text: strategies by their change, with the score beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.report.associations import Association, Point
from bitspec.report.captions import association_caption, rho_text, stratum_title
from bitspec.report.text.tables import aligned, encodes, padded, print_heading
from bitspec.report.words import labels, short

#: What a terminal shows: tasks, and strategies of each.
MOST_TASKS: Final = 12
MOST_ROWS: Final = 40

#: Columns: of the longest name of a strategy, of the longest bar and the shortest.
_NAME: Final = 36
_LONGEST: Final = 24
_SHORTEST: Final = 6

#: What bars are made of; the same where the terminal knows only ASCII.
BAR: Final = "█"
PLAIN_BAR: Final = "#"


def as_text(found: Association) -> str:
    """The numbers behind change against score as tables of plain text, the largest change first."""
    names = labels(found.runs.chosen)
    lines = [found.title, *association_caption(found)]
    for place, points in enumerate(found.points):
        table = [["strategy", "mean |Δ|", "score (points)", "n"]]
        table += [
            [names[point.strategy], f"{point.change:.4g}", f"{point.score:.2f}", str(point.seeds)]
            for point in _by_change(points)
        ]
        lines += ["", _title(found, place), *aligned(table)]
    return "\n".join(lines) + "\n"


def show(console: Console, found: Association) -> None:
    """Print change against score to a terminal: two bars for each strategy, the largest change first."""
    print_heading(console, found.title, association_caption(found))
    bar = BAR if encodes(console, BAR) else PLAIN_BAR
    names = labels(found.runs.chosen)
    for place, points in enumerate(found.points[:MOST_TASKS]):
        console.print(Text(_title(found, place), "bold"), soft_wrap=True)
        rows = _by_change(points)[:MOST_ROWS]
        texts = [cut(names[point.strategy], _NAME) for point in rows]
        head, *lines = _table(rows, texts, bar, console.width)
        console.print(Text(head, "dim"), soft_wrap=True)
        for line in lines:
            console.print(Text(line), soft_wrap=True)
        if len(points) > MOST_ROWS:
            console.print(Text(f"and {len(points) - MOST_ROWS:,} strategies more", "dim"))
        console.print()
    if len(found.points) > MOST_TASKS:
        console.print(Text(f"and {len(found.points) - MOST_TASKS:,} tasks more", "dim"))


def _title(found: Association, place: int) -> str:
    title = stratum_title(found.runs.chosen, *found.strata[place])
    return title if found.correlation is None else f"{title}  ρ = {rho_text(found.correlation.strata[place])}"


def _by_change(points: Sequence[Point]) -> list[Point]:
    return sorted(points, key=lambda point: -point.change)


def _table(points: Sequence[Point], names: Sequence[str], bar: str, width: int) -> list[str]:
    """The names of the columns, and a line for each strategy.

    Bars of changes begin at 0; those of scores below the lowest one, or nothing would be seen of their differences.
    """
    columns = [
        ["", *names],
        ["mean |Δ|", *(short(point.change) for point in points)],
        ["score (points)", *(f"{point.score:.1f}" for point in points)],
    ]
    widths = [max(map(width_of, column)) for column in columns]
    longest = max(_SHORTEST, min(_LONGEST, (width - sum(widths) - 8) // 2))
    bars = [
        _bars([point.change for point in points], 0.0, longest, bar),
        _bars([point.score for point in points], min(point.score for point in points), longest, bar),
    ]
    lines = []
    for place, (name, change, score) in enumerate(zip(*columns, strict=True)):
        change_bar, score_bar = (["", *of][place] for of in bars)
        cells = [
            padded(name, widths[0]),
            padded(change, widths[1], right=True),
            padded(change_bar, longest),
            padded(score, widths[2], right=True),
            score_bar,
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _bars(values: Sequence[float], low: float, longest: int, bar: str) -> list[str]:
    """A bar for each value, from `low`; the lowest is seen too where that is not 0."""
    span = max(values) - low
    least = 1 if low else 0
    return [bar * (round((longest - least) * (value - low) / span) + least if span else least) for value in values]
