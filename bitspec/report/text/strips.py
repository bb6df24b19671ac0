"""Scores as strips of text: the runs of each strategy, their mean and its interval, on one axis, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.report.scales import Scale
from bitspec.report.scores import Figure, Standing
from bitspec.report.sentences import interval_text
from bitspec.report.text.tables import aligned, encodes, padded
from bitspec.report.words import count

#: Columns: of a strip, of the longest name of a strategy and where there is less room for it, between columns.
_NARROWEST: Final = 16
_WIDEST: Final = 60
_NAME: Final = 36
_SHORT_NAME: Final = 12
_GAP: Final = "  "


@dataclass(frozen=True)
class Marks:
    """The characters of a strip; `sources` are those of reported scores, one for each source."""

    mean: str
    run: str
    line: str
    ends: str
    beyond: str
    sources: str


MARKS: Final = Marks(mean="●", run="∙", line="─", ends="├┤", beyond="‹›", sources="◇△□▽☆")
#: The same where the terminal knows only ASCII.
PLAIN_MARKS: Final = Marks(mean="#", run="o", line="-", ends="||", beyond="<>", sources="abcde")


@dataclass(frozen=True)
class Column:
    """Numbers beside the strips: what they are called, and one for each strategy."""

    heading: str
    cells: Sequence[str]


def marks_for(console: Console) -> Marks:
    """The characters that a terminal has."""
    return MARKS if encodes(console, "".join(vars(MARKS).values())) else PLAIN_MARKS


def print_strips(
    console: Console,
    standings: Sequence[Standing],
    names: Mapping[str, str],
    sources: Sequence[str],
    columns: Sequence[Column],
    scale: Scale,
) -> None:
    """Print a line for each strategy: its name, its strip, and what the columns say of it."""
    marks = marks_for(console)
    widths = [max(map(width_of, (column.heading, *column.cells))) for column in columns]
    room = console.width - sum(widths) - len(_GAP) * (len(columns) + 1)
    labels = [cut(names[one.strategy], max(_SHORT_NAME, min(_NAME, room - _NARROWEST))) for one in standings]
    name_width = max(map(width_of, labels), default=0)
    width = max(_NARROWEST, min(_WIDEST, room - name_width))
    low, high = f"{scale.low:.1f}", f"{scale.high:.1f}"
    ends = low + " " * (width - len(low) - len(high)) + high
    headings = [padded(column.heading, wide, right=True) for column, wide in zip(columns, widths, strict=True)]
    console.print(Text(_GAP.join([" " * name_width, ends, *headings]), "dim"), soft_wrap=True)
    for place, standing in enumerate(standings):
        line = Text(padded(labels[place], name_width) + _GAP)
        line.append_text(strip(standing, scale, width, marks, sources))
        for column, wide in zip(columns, widths, strict=True):
            line.append(_GAP + padded(column.cells[place], wide, right=True))
        line.rstrip()
        console.print(line, soft_wrap=True)


def strip(standing: Standing, scale: Scale, width: int, marks: Marks, sources: Sequence[str]) -> Text:
    """The strip of a strategy, in so many columns: what comes later covers what was there."""

    def place(value: float) -> int:
        return min(width - 1, max(0, round(scale.part(value) * (width - 1))))

    cells = [(" ", "")] * width
    if standing.interval is not None:
        shown = scale.cut(standing.interval)
        first, last = place(shown.low), place(shown.high)
        cells[first : last + 1] = [(marks.line, "dim")] * (last + 1 - first)
        cells[first] = ((marks.ends if shown.low == standing.interval.low else marks.beyond)[0], "dim")
        cells[last] = ((marks.ends if shown.high == standing.interval.high else marks.beyond)[1], "dim")
    for value in standing.values:
        cells[place(value)] = (marks.run, "")
    for one in (one for one in standing.reported if one.source in sources):
        cells[place(one.score)] = (mark_of(one.source, sources, marks), "magenta")
    if standing.mean is not None:
        cells[place(standing.mean)] = (marks.mean, "bold")
    return Text.assemble(*cells)


def mark_of(source: str, sources: Sequence[str], marks: Marks) -> str:
    """The character of a source of reported scores."""
    return marks.sources[sources.index(source) % len(marks.sources)]


def legend(figure: Figure, marks: Marks, sources: Sequence[str]) -> Text:
    """What the characters mean."""
    standings = [one for panel in figure.panels for one in panel.standings]
    parts = [f"{marks.mean} mean of the runs", f"{marks.run} a run"]
    if any(one.interval is not None for one in standings):
        line = marks.ends[0] + marks.line + marks.ends[1]
        parts.append(f"{line} 95 % interval of the mean, {marks.beyond[0]} {marks.beyond[1]} where it goes on")
    parts += [f"{mark_of(source, sources, marks)} reported by {cut(source, _NAME)}" for source in sources]
    return Text("   ".join(parts), "dim")


# Columns ------------------------------------------------------------------------------------------------------------


def numbers(standings: Sequence[Standing], decimals: int, *, has_sd: bool = True) -> list[Column]:
    """The number of runs, their mean, standard deviation and the interval; what no strategy has is left out."""
    columns = [
        Column("n", [count(one.seeds, one.planned) for one in standings]),
        Column("mean", ["" if one.mean is None else f"{one.mean:.{decimals}f}" for one in standings]),
        Column("sd", ["" if one.sd is None else f"{one.sd:.{decimals}f}" for one in standings]),
        Column(
            "95 % interval",
            ["" if one.interval is None else interval_text(one.interval, decimals) for one in standings],
        ),
    ]
    return [column for column in columns if any(column.cells) and (has_sd or column.heading != "sd")]


def reported_by(standings: Sequence[Standing], source: str, decimals: int, heading: str) -> Column:
    """What a source reports of each strategy."""
    by_strategy = [[one.score for one in standing.reported if one.source == source] for standing in standings]
    return Column(heading, [f"{scores[0]:.{decimals}f}" if scores else "" for scores in by_strategy])


def table(standings: Sequence[Standing], names: Mapping[str, str], columns: Sequence[Column]) -> list[str]:
    """Strategies and numbers as lines of plain text, without columns that are empty."""
    shown = [column for column in columns if any(column.cells)]
    rows = [[names[one.strategy], *(column.cells[place] for column in shown)] for place, one in enumerate(standings)]
    return aligned([["strategy", *(column.heading for column in shown)], *rows])
