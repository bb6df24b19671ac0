"""What all figures as text have in common: a heading, aligned columns, characters that a terminal can show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import columns as width_of


def print_heading(console: Console, title: str, lines: Iterable[str]) -> None:
    """Print the title of a figure, what stands below it, and an empty line."""
    console.print(Text(title, "bold"), soft_wrap=True)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    console.print()


def aligned(table: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """The lines of a table: so many columns of texts, to the left, and after them numbers, to the right."""
    widths = [max(map(width_of, column)) for column in zip(*table, strict=True)]
    return [_line(row, widths, texts) for row in table]


def _line(row: Sequence[str], widths: Sequence[int], texts: int) -> str:
    cells = [
        padded(cell, width, right=place >= texts) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def padded(text: str, width: int, *, right: bool = False) -> str:
    """A text in so many columns, to the left or to the right of them."""
    space = " " * (width - width_of(text))
    return space + text if right else text + space


def encodes(console: Console, characters: str) -> bool:
    """Whether a terminal has all of these characters."""
    try:
        characters.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True
