"""Text to parse trees, one per statement. A text with syntax errors goes to `recovery`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lark import Token, Tree, UnexpectedInput

from bitspec.diagnostics import Diagnostic, Source, Span, error
from bitspec.language.grammar import grammar

#: Deepest nesting of brackets; nothing that a person writes comes near.
MAX_NESTING = 100

# Comments and texts are matched first, so that brackets in them do not count.
_BRACKETS = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'|[(){}]""")


@dataclass(frozen=True)
class Parsed:
    """The statements of a text as parse trees, and its syntax errors.

    A broken statement has no tree; `broken` has the names that such statements may have declared, or `$` where
    that cannot be known, so that their uses are not reported as well.
    """

    trees: list[Tree[Token]]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: frozenset[str] = frozenset()


def parse(source: Source) -> Parsed:
    """Parse a text as far as that is possible."""
    too_deep = _nesting(source)
    if too_deep is not None:
        return Parsed([], [too_deep], frozenset({"$"}))
    try:
        tree = grammar().parse(source.text, start="file")
    except UnexpectedInput:
        from bitspec.language.recovery import recover  # most texts are right, and start quicker without it

        trees, diagnostics, declared = recover(source)
        return Parsed(trees, diagnostics, declared)
    return Parsed([child for child in tree.children if isinstance(child, Tree)])


def _nesting(source: Source) -> Diagnostic | None:
    # Counted before parsing, on the bare text, as a pathological one must not reach the parser.
    if source.text.count("(") + source.text.count("{") <= MAX_NESTING:
        return None
    depth = 0
    for match in _BRACKETS.finditer(source.text):
        if match[0] in "({":
            depth += 1
            if depth > MAX_NESTING:
                return error(
                    "too-deep",
                    f"brackets are nested more than {MAX_NESTING} deep here",
                    Span(source, match.start(), match.end()),
                    help="give the inner selections names with `group`, and use the names",
                )
        elif match[0] in ")}":
            depth = max(0, depth - 1)
    return None
