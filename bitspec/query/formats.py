"""An answer as text: a table to read, Markdown, LaTeX, CSV, JSON.

Tables are for reading: numbers are rounded, and what is below them stands below. CSV and JSON are for programs: every
number in full, and nothing but the rows.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.query.answer import Answer
from bitspec.query.compile import Column
from bitspec.query.functions import Kind

#: What stands where there is no value.
NOTHING: Final = "–"

#: Columns between the columns of a table.
_GAP: Final = 2

#: Columns of the narrowest cell that is cut.
_NARROWEST: Final = 12

#: Numbers that stand for themselves, and are not counted.
_NO_AMOUNTS: Final = {"seed", "run", "example", "layer"}

#: Kinds of characters that are none to read.
_CONTROL: Final = {"Cc", "Cf", "Cs"}

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",  # `\textquotedbl` is not in every encoding
    "[": "{[}",  # at the start of a row it would be an argument of the `\\` before it, as would a star
    "*": "{*}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "ρ": r"$\rho$",
    "≈": r"$\approx$",
    "…": r"\ldots{}",
}


def as_table(
    answer: Answer, width: int | None = None, heading: Callable[[str], str] = str, note: Callable[[str], str] = str
) -> str:
    """Aligned columns, cut to `width` terminal columns if one is given; `heading` and `note` style those."""
    if not answer.rows:
        return "".join(f"{note(one_line(one))}\n" for one in notes_of(answer))
    rows = [tuple(column.heading for column in answer.columns), *_shown(answer)]
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(width_of(row[place]) for row in cells) for place in range(len(answer.columns))]
    if width is not None:
        _narrow(widths, width)
    lines = []
    for number, row in enumerate(cells):
        padded = [
            _padded(cut(cell, wide), wide, right=column.kind is Kind.NUMBER)
            for cell, wide, column in zip(row, widths, answer.columns, strict=True)
        ]
        line = (" " * _GAP).join(padded).rstrip()
        lines.append(heading(line) if number == 0 else line)
    notes = [note(one_line(one)) for one in notes_of(answer)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def as_markdown(answer: Answer) -> str:
    """A table in GitHub's Markdown."""
    lines = [[in_markdown(column.heading) for column in answer.columns]]
    lines.append(["---:" if column.kind is Kind.NUMBER else "---" for column in answer.columns])
    lines += [[in_markdown(cell) for cell in row] for row in _shown(answer)]
    notes = "".join(f"\n{in_markdown(note)}\n" for note in notes_of(answer))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + notes


def as_latex(answer: Answer) -> str:
    """A table for LaTeX with the package booktabs."""
    aligned = "".join("r" if column.kind is Kind.NUMBER else "l" for column in answer.columns)
    lines = [[in_latex(column.heading) for column in answer.columns]]
    lines += [[in_latex(cell) for cell in row] for row in _shown(answer)]
    head, *body = (f"  {' & '.join(line)} \\\\\n" for line in lines)
    notes = "".join(f"% {one_line(note)}\n" for note in notes_of(answer))
    rows = f"  \\toprule\n{head}  \\midrule\n{''.join(body)}  \\bottomrule\n"
    return f"\\begin{{tabular}}{{{aligned}}}\n{rows}\\end{{tabular}}\n{notes}"


def as_csv(answer: Answer) -> str:
    """Comma-separated values with a line of headings; what is null is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading for column in answer.columns])
    for row in answer.rows:
        writer.writerow(["" if value is None else _plain(value) for value in row])
    return text.getvalue()


def as_json(answer: Answer) -> str:
    """A list of objects, one a line."""
    names = [column.heading for column in answer.columns]
    kinds = [column.kind for column in answer.columns]
    lines = [
        json.dumps(
            {name: in_json(value, kind) for name, value, kind in zip(names, row, kinds, strict=True)},
            ensure_ascii=False,
            allow_nan=False,
        )
        for row in answer.rows
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


#: Every format by the name that `--format` gives it; those that are for programs have no notes.
FORMATS: Final[Mapping[str, Callable[[Answer], str]]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
    "markdown": as_markdown,
    "latex": as_latex,
}
FOR_PROGRAMS: Final = ("csv", "json")


def notes_of(answer: Answer) -> list[str]:
    """What stands below an answer."""
    first = f"the first {len(answer.rows):,} rows; `--format csv` gives all of them" if answer.is_cut else None
    return [*([first] if first else []), *answer.notes]


def number_text(value: float, decimals: int | None, *, grouped: bool = True) -> str:
    """A number to be read: with so many decimals, or with four digits that count where that is None."""
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if grouped else str(value)
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if value else "0"


def _decimals(values: list[float], column: Column) -> int | None:
    """The decimals of a column: two for points, else what shows four digits of each number, if that is not many."""
    if column.in_points:
        return 2
    most = 0
    for value in values:
        if not value or not math.isfinite(value):
            continue
        if not 1e-4 <= abs(value) < 1e15:
            return None
        digits = f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
        most = max(most, len(digits.rstrip("0").partition(".")[2]))
    return most


def _shown(answer: Answer) -> list[tuple[str, ...]]:
    columns = [
        [_text(row[place], column, decimals) for row in answer.rows]
        for place, column in enumerate(answer.columns)
        for decimals in [_decimals([row[place] for row in answer.rows if isinstance(row[place], float)], column)]
    ]
    return list(zip(*columns, strict=True))


def _text(value: Any, column: Column, decimals: int | None) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return number_text(value, decimals, grouped=column.heading not in _NO_AMOUNTS)
        case Decimal():
            return str(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case dict():
            return ", ".join(f"{name} {_text(one, column, 4)}" for name, one in value.items())
        case list() | tuple():
            return ", ".join(_text(one, column, 4) for one in value)
        case _:
            return str(value)


def _plain(value: Any) -> Any:
    """A value for CSV: in full, what holds several values as JSON."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(in_json(value), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else value


def in_json(value: Any, kind: Kind = Kind.TEXT) -> Any:
    """A value as JSON can hold it: without infinities, times as texts; a text of kind OTHER is JSON already."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int():
            return value
        case Decimal():
            return float(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case dict():
            return {str(name): in_json(one) for name, one in value.items()}
        case list() | tuple():
            return [in_json(one) for one in value]
        case str() if kind is Kind.OTHER:
            try:
                return json.loads(value)
            except ValueError:
                return value
        case _:
            return str(value)


def one_line(text: str) -> str:
    """A text without line breaks and control characters."""
    # What strategies are called comes from strangers: control characters must not reach a terminal.
    return "".join(
        " " if char in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _CONTROL else char
        for char in text
    )


def in_markdown(text: str) -> str:
    """A text for Markdown, in a table too: nothing in it is markup or HTML."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def in_latex(text: str) -> str:
    """A text for LaTeX, in a table too: nothing in it is a command."""
    return "".join(_LATEX.get(char, char) for char in one_line(text))


def _narrow(widths: list[int], width: int) -> None:
    """Make the widest columns narrower until a table fits, or none is wide any more."""
    while sum(widths) + _GAP * (len(widths) - 1) > width:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space
