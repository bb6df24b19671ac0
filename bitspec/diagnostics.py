"""What bitspec tells its users: a diagnostic names a place, says what is wrong there and what to do.

Every other room may import this one; it imports none of them.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from heapq import nsmallest
from typing import Any

#: Columns of a source line that a message shows; longer lines are cut around the caret.
LINE_WIDTH = 120

#: Diagnostics of one text that are reported: more help nobody.
MAX_DIAGNOSTICS = 100

#: Characters of the longest name for which a likeness is looked for, and a name's characters times the names that it
#: is compared with: a hundred suggestions among ten thousand names must not take minutes.
LONGEST_NAME = 300
MOST_COMPARED = 10_000

#: How like two names are of which one may be a misspelling of the other: twice the common characters by all.
LIKENESS = 0.6

#: Characters of a message or a help line that are shown.
MESSAGE_LENGTH = 2000


class Severity(StrEnum):
    """Whether a diagnostic stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Source:
    """A text and the name that messages give it (a path, or `<string>`)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        position = self.text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = self.text.find("\n", position + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its line break."""
        start = self._line_starts[number - 1]
        end = self._line_starts[number] if number < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(frozen=True, eq=False)
class Span:
    """Where something stands: character offsets [start, end) in a source.

    Spans never take part in comparisons: two nodes of the IR are equal when they say the same thing,
    wherever they say it. So all spans are equal.
    """

    source: Source
    start: int
    end: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span)

    def __hash__(self) -> int:
        return 0

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of another in the same source."""
        return Span(self.source, self.start, max(self.end, other.end))

    @property
    def location(self) -> str:
        """`file:line:column`, as editors and terminals understand it."""
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"

    @property
    def line(self) -> int:
        """Line of the start, counted from 1."""
        return self.source.position(self.start)[0]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


#: The span of what was made by a program rather than read from a text.
NOWHERE = Span(Source("<nowhere>", ""), 0, 0)


@dataclass(frozen=True)
class Note:
    """A second place that a diagnostic speaks of, such as the first of two equal names."""

    message: str
    span: Span | None = None


#: Styles a piece of a message; the first argument is what the piece is (`error`, `caret`, `help` …).
Style = Callable[[str, str], str]


def _plain(_role: str, text: str) -> str:
    return text


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong, or looks wrong, in what the user wrote.

    `code` is a stable slug (`unknown-name`), `message` says what is wrong in the user's words, `help` what
    to do about it. `span` is None where no text is at fault (a file that is missing).
    """

    code: str
    message: str
    span: Span | None = None
    help: str | None = None
    notes: tuple[Note, ...] = ()
    severity: Severity = Severity.ERROR

    def render(self, style: Style = _plain) -> str:
        """The message as text: header, place, line with a caret, notes and help."""
        lines = [style(self.severity, f"{self.severity}[{self.code}]") + style("message", f": {_clean(self.message)}")]
        width = self._gutter_width()
        margin = f"{' ' * width} {style('gutter', '=')}"
        if self.span is not None and self.span is not NOWHERE:
            lines += _excerpt(self.span, width, self.severity, style)
        for note in self.notes:
            lines.append(f"{margin} note: {_clean(note.message)}")
            if note.span is not None and note.span is not NOWHERE:
                lines += _excerpt(note.span, width, "note", style)
        if self.help is not None:
            body = _clean(self.help).replace("\n", "\n" + " " * (width + 9))
            lines.append(f"{margin} {style('help', 'help')}: {body}")
        return "\n".join(lines)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What it says of which place: two that share it are one."""
        return self.code, self.message, self.span.location if self.span is not None else ""

    @property
    def summary(self) -> str:
        """The message in one line: its place, and what is wrong there."""
        place = f"{self.span.location}: " if self.span is not None and self.span is not NOWHERE else ""
        return _clean(f"{place}{self.message}", keep="")

    def _gutter_width(self) -> int:
        spans = [self.span, *(note.span for note in self.notes)]
        numbers = [len(str(span.line)) for span in spans if span is not None and span is not NOWHERE]
        return max(numbers, default=1)

    def __str__(self) -> str:
        return self.render()


class BitspecError(Exception):
    """Raised when the user's input is wrong; carries every diagnostic that was found, warnings too."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n\n".join(diagnostic.render() for diagnostic in self.diagnostics)


def error(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    help: str | None = None,  # noqa: A002 - the word that the user sees
    notes: Sequence[Note] = (),
) -> Diagnostic:
    """A diagnostic that stops the work."""
    return Diagnostic(code, message, span, help, tuple(notes), Severity.ERROR)


def warning(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    help: str | None = None,  # noqa: A002 - the word that the user sees
    notes: Sequence[Note] = (),
) -> Diagnostic:
    """A diagnostic that the user should see, though the work goes on."""
    return Diagnostic(code, message, span, help, tuple(notes), Severity.WARNING)


def is_error(diagnostic: Diagnostic) -> bool:
    """Whether a diagnostic stops the work."""
    return diagnostic.severity is Severity.ERROR


def raise_errors(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise BitspecError with all diagnostics if any of them is an error."""
    found = tuple(diagnostics)
    if any(map(is_error, found)):
        raise BitspecError(*found)


def unique(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Diagnostics in their order, each once: a loop or a second seed says the same of the same place again."""
    places: dict[tuple[str, str, str], Diagnostic] = {}
    for found in diagnostics:
        places.setdefault(found.identity, found)
    return list(places.values())


def closest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` candidates that look like `name`, the nearest first; of thousands, those that were looked at."""
    import difflib  # only where something is wrong

    wanted = name.casefold()
    if len(wanted) > LONGEST_NAME:
        return []
    folded: dict[str, str] = {}
    for candidate in candidates:
        if len(candidate) <= LONGEST_NAME:
            folded.setdefault(candidate.casefold(), candidate)
    if len(folded) * len(wanted) > MOST_COMPARED:
        start = wanted[:1]
        folded = dict(
            nsmallest(
                MOST_COMPARED // len(wanted),
                folded.items(),
                key=lambda known: (abs(len(known[0]) - len(wanted)), not known[0].startswith(start)),
            )
        )
    return [folded[match] for match in difflib.get_close_matches(wanted, folded, count, cutoff=LIKENESS)]


def listed(names: Iterable[str], last: str = "or", quote: str = "`") -> str:
    """Names as a phrase: `a`, `b` or `c`."""
    quoted = [f"{quote}{name}{quote}" for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def counted(number: int, noun: str) -> str:
    """A number and its noun: `1 strategy`, `1,000 strategies`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def first_line(problem: BaseException) -> str:
    """What a library's error says first."""
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """`did you mean …?`, or None when nothing is near."""
    near = closest(name, candidates)
    return f"did you mean {listed(near)}?" if near else None


def _clean(text: str, keep: str = "\n") -> str:
    # What a message quotes may be a megabyte long.
    if len(text) > MESSAGE_LENGTH:
        text = f"{text[:MESSAGE_LENGTH]}…"
    # Specs come from strangers: their control characters must not reach a terminal.
    return "".join(
        char if char in keep or unicodedata.category(char) not in {"Cc", "Cf", "Cs"} else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def columns(text: str) -> int:
    """Columns of a text in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    visible = (char for char in text if unicodedata.category(char) not in {"Mn", "Me", "Cf"})
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in visible)


def cut(text: str, width: int) -> str:
    """A text in at most so many columns of a terminal, `…` at its end where something is left out."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += columns(char)
        if used > width - 1:
            break
        kept.append(char)
    return f"{''.join(kept)}…"


def _excerpt(span: Span, width: int, role: str, style: Style) -> list[str]:
    number, column = span.source.position(span.start)
    text = span.source.line(number).replace("\t", " ")
    start = column - 1
    length = max(1, min(span.end - span.start, len(text) - start))
    before, after = "", ""
    if len(text) > LINE_WIDTH:
        first = max(0, min(start - LINE_WIDTH // 3, len(text) - LINE_WIDTH))
        before = "…" if first else ""
        after = "…" if first + LINE_WIDTH < len(text) else ""
        text = text[first : first + LINE_WIDTH]
        start -= first
        length = max(1, min(length, len(text) - start))
    text = _clean(text, keep="")
    pad = " " * (len(before) + columns(text[:start]))
    carets = "^" * max(1, columns(text[start : start + length]))
    gutter = style("gutter", "|")
    return [
        f"{' ' * width}{style('gutter', '-->')} {_clean(span.location, keep='')}",
        f"{' ' * width} {gutter}",
        f"{style('gutter', f'{number:>{width}}')} {gutter} {before}{text}{after}",
        f"{' ' * width} {gutter} {pad}{style(role, carets)}",
    ]
