"""Which language a query is in: the short form, or plain SQL.

A query in the short form starts with `select` and has no `from`, or has a `by` that is not part of `group by`,
`order by` or `partition by`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bitspec.diagnostics import BitspecError, Source, Span, closest, error

#: What texts, comments and quoted names hold is none of the query's own words. A comment or text in dollars that is
#: never closed reaches to the end: to look for its end from each of thousands of places would take seconds.
_PIECES = re.compile(
    r"""(?P<skipped>'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*(?:.*?\*/|.*)"""
    r"""|\$((?:[^\W\d]\w*)?)\$(?:.*?\$\2\$|.*))|(?P<word>[^\W\d]\w*)|[()\[\]{}]""",
    re.DOTALL,
)

_OPENING, _CLOSING = {"(", "[", "{"}, {")", "]", "}"}

#: Deepest nesting of brackets; nothing that a person writes comes near.
MAX_NESTING: Final = 100

#: Words before a `by` of SQL's own.
_BEFORE_BY = {"group", "order", "partition", "union", "all", "distinct"}

#: Words that a statement of SQL starts with, those included that are refused.
_STARTERS = {
    "select", "from", "with", "values", "table", "describe", "desc", "show", "summarize", "pivot", "unpivot", "explain",
    "insert", "delete", "update", "create", "drop", "alter", "copy", "attach", "detach", "install", "load", "set",
    "reset", "pragma", "export", "import", "call", "checkpoint", "force", "vacuum", "analyze", "begin", "start",
    "commit", "rollback", "abort", "prepare", "execute", "deallocate", "use", "truncate", "merge", "comment", "connect",
    "disconnect",
}  # fmt: skip


def is_short(source: Source) -> bool:
    """Whether a query is in the short form. Raises BitspecError for what starts like no query at all."""
    words = list(_words(source.text))
    if not words:
        message, hint = "there is no query", "write for example `select mean(score) by strategy`"
        raise BitspecError(error("missing-value", message, help=hint))
    first, start, depth = words[0]
    if first not in _STARTERS:
        near = closest(first, ["select"], 1)
        hint = "did you mean `select`?" if near else "write for example `select mean(score) by strategy`"
        word = source.text[start : start + len(first)]
        message = f"a query starts with `select`, not with `{word}`"
        raise BitspecError(error("wrong-clause", message, Span(source, start, start + len(first)), help=hint))
    if first != "select" or depth:
        return False
    before = [""] + [word for word, _, _ in words]
    bare = any(
        word == "by" and depth == 0 and previous not in _BEFORE_BY
        for (word, _, depth), previous in zip(words, before, strict=False)
    )
    return bare or not any(word == "from" for word, _, _ in words)


def check_nesting(source: Source) -> None:
    """Raises BitspecError for a query whose brackets are nested so deep that a parser might not come to an end."""
    depth = 0
    for piece in _PIECES.finditer(source.text):
        depth += (piece[0] in _OPENING) - (piece[0] in _CLOSING)
        if depth > MAX_NESTING:
            message = f"brackets are nested more than {MAX_NESTING} deep here"
            raise BitspecError(
                error("too-deep", message, Span(source, piece.start(), piece.end()), help="ask for less at once")
            )
        depth = max(0, depth)


def mentioned(text: str) -> set[str]:
    """The words of a query, in lower case: the views that it reads are among them."""
    quoted = re.findall(r'"((?:[^"]|"")*)"', text)
    return {word for word, _, _ in _words(text)} | {name.lower() for name in quoted}


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """Every word in lower case, with its place and how many brackets are open around it."""
    depth = 0
    for piece in _PIECES.finditer(text):
        if piece["word"]:
            yield piece["word"].lower(), piece.start(), depth
        else:
            depth += (piece[0] in _OPENING) - (piece[0] in _CLOSING)
