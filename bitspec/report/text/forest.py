"""A forest plot as text: intervals in a terminal, every number where another program reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.report.captions import rho_text, verdicts_caption
from bitspec.report.forest import Group, Row, axis, groups, part_titles
from bitspec.report.sentences import interval_text, signed
from bitspec.report.statistics import Interval
from bitspec.report.text.tables import aligned, encodes, padded, print_heading
from bitspec.report.verdicts import Verdict, Verdicts

#: Expectations that a terminal shows.
MOST_ROWS: Final = 60

#: Columns: of the narrowest and the widest plot, of an expectation beside it at least, between columns.
_NARROWEST: Final = 24
_WIDEST: Final = 56
_WORDING: Final = 24
_GAP: Final = "  "

#: Styles of verdicts.
_STYLES: Final = {Verdict.SUPPORTED: "bold blue", Verdict.CONTRADICTED: "bold red", Verdict.UNDECIDED: ""}


@dataclass(frozen=True)
class Marks:
    """The characters of a plot: means that are decided and that are not, intervals, what they are held against."""

    decided: str
    open: str
    line: str
    ends: str
    beyond: str
    zero: str
    margin: str


MARKS: Final = Marks(decided="■", open="□", line="─", ends="├┤", beyond="‹›", zero="│", margin="┊")
#: The same where the terminal knows only ASCII.
PLAIN_MARKS: Final = Marks(decided="#", open="o", line="-", ends="[]", beyond="<>", zero="|", margin=":")


def as_text(verdicts: Verdicts) -> str:
    """The numbers behind a forest plot as tables of plain text, a table for each question."""
    lines = [verdicts.title, *verdicts_caption(verdicts)]
    for group in groups(verdicts):
        lines += ["", group.question]
        for is_correlation in (False, True):
            rows = [row for row in group.rows if row.is_correlation is is_correlation]
            if rows:
                lines += _table(rows, is_correlation=is_correlation)
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row], *, is_correlation: bool) -> list[str]:
    parts = part_titles(rows)
    has_sampling = any(row.sampling is not None for row in rows)
    heads = ["ρ" if is_correlation else "difference", "95 % interval", "n", "p", "p corrected"]
    table = [["expectation", "verdict", *heads, *(["validation set 95 %"] if has_sampling else []), *parts]]
    for row in rows:
        test = row.finding.test
        cells = [
            row.wording,
            row.verdict,
            _number(row.mean, is_correlation=is_correlation),
            _interval(row.interval, is_correlation=is_correlation),
            row.count,
            "–" if test is None else f"{test.p:.3g}",
            "–" if row.finding.corrected is None else f"{row.finding.corrected:.3g}",
        ]
        if has_sampling:
            cells.append(_interval(row.sampling, is_correlation=is_correlation))
        by_task = {part.title: part.value for part in row.parts}
        table.append(cells + [_number(by_task.get(title), is_correlation=is_correlation) for title in parts])
    return aligned(table, texts=2)


def _number(value: float | None, *, is_correlation: bool) -> str:
    if value is None:
        return "–"
    return rho_text(value) if is_correlation else signed(value)


def _interval(interval: Interval | None, *, is_correlation: bool) -> str:
    return "–" if interval is None else interval_text(interval, 2 if is_correlation else 1)


def show(console: Console, verdicts: Verdicts) -> None:
    """Print a forest plot to a terminal: an interval for each expectation, and what came of it."""
    print_heading(console, verdicts.title, verdicts_caption(verdicts))
    every = groups(verdicts)
    marks = MARKS if encodes(console, "".join(vars(MARKS).values())) else PLAIN_MARKS
    left = MOST_ROWS
    for is_correlation in (False, True):
        own = [
            Group(group.question, tuple(row for row in group.rows if row.is_correlation is is_correlation))
            for group in every
        ]
        rows = [row for group in own for row in group.rows][: max(0, left)]
        if rows:
            reach = Interval(-1.0, 1.0) if is_correlation else axis(rows)
            _print_panel(console, own, rows, reach, marks)
        left -= sum(len(group.rows) for group in own)
    if left < 0:
        console.print(Text(f"and {-left:,} expectations more", "dim"))
    console.print(Text(_legend(marks), "dim"), soft_wrap=True)


def _print_panel(console: Console, every: Sequence[Group], shown: Sequence[Row], reach: Interval, marks: Marks) -> None:
    """Print rows that have one axis, under their questions."""
    columns = [[getattr(row, field) for row in shown] for field in ("estimate", "count", "p", "verdict")]
    widths = [max(map(width_of, column)) for column in columns]
    taken = sum(widths) + len(_GAP) * (len(widths) + 1)
    wordings = max(width_of(row.wording) for row in shown)
    name = max(_WORDING, min(wordings, console.width - taken - _NARROWEST))
    # Where not even that much fits, the texts have a line of their own, above the plot.
    is_narrow = taken + name + _NARROWEST > console.width
    plot = max(_NARROWEST, min(_WIDEST, console.width - (0 if is_narrow else taken + name)))
    margin = " " * (0 if is_narrow else name + len(_GAP))
    for group in every:
        rows = [row for row in group.rows if any(row is one for one in shown)]
        if not rows:
            continue
        console.print(Text(group.question, "bold"), soft_wrap=True)
        for row in rows:
            texts = [getattr(row, field) for field in ("estimate", "count", "p")]
            said = Text(_GAP.join(padded(text, wide) for text, wide in zip(texts, widths, strict=False)) + _GAP)
            said.append(row.verdict, _STYLES[row.finding.verdict])
            line = Text(_plot(row, reach, plot, marks))
            if is_narrow:
                console.print(Text(row.wording), soft_wrap=True)
                console.print(Text("  ").append_text(said), soft_wrap=True)
                console.print(line, soft_wrap=True)
            else:
                start = Text(padded(cut(row.wording, name), name) + _GAP)
                console.print(start.append_text(line).append(_GAP).append_text(said), soft_wrap=True)
    console.print(Text(margin + _scale(reach, plot), "dim"), soft_wrap=True)
    console.print()


def _plot(row: Row, reach: Interval, width: int, marks: Marks) -> str:
    """A row's interval in so many columns: what comes later covers what was there."""

    def place(value: float) -> int:
        part = (value - reach.low) / (reach.high - reach.low)
        return min(width - 1, max(0, round(part * (width - 1))))

    cells = [" "] * width
    if row.interval is not None:
        low, high = row.interval.low, row.interval.high
        first, last = place(low), place(high)
        cells[first : last + 1] = marks.line * (last + 1 - first)
        cells[first] = (marks.beyond if low < reach.low else marks.ends)[0]
        cells[last] = (marks.beyond if high > reach.high else marks.ends)[1]
    cells[place(0.0)] = marks.zero
    if row.margin is not None:
        cells[place(row.margin)] = marks.margin
    if row.mean is not None:
        cells[place(row.mean)] = marks.open if row.finding.verdict is Verdict.UNDECIDED else marks.decided
    return "".join(cells)


def _scale(reach: Interval, width: int) -> str:
    """What the plots run from and to, and where 0 is."""
    zero = round(-reach.low / (reach.high - reach.low) * (width - 1))
    low, high = signed(reach.low), signed(reach.high)
    line = [" "] * width
    line[zero] = "0"
    for start, text in ((0, low), (width - len(high), high)):
        if not start <= zero < start + len(text):
            line[start : start + len(text)] = text
    return "".join(line).rstrip()


def _legend(marks: Marks) -> str:
    parts: Iterable[tuple[str, str]] = (
        (marks.decided, "mean"),
        (marks.open, "mean, undecided"),
        (marks.ends[0] + marks.line + marks.ends[1], f"95 % interval, {marks.beyond[0]} {marks.beyond[1]} goes on"),
        (marks.zero, "no difference"),
        (marks.margin, "margin"),
    )
    return "   ".join(f"{mark} {meaning}" for mark, meaning in parts)
