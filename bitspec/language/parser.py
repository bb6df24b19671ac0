"""Text to parse trees, one per statement. A text with syntax errors goes to `recovery`."""

from __future__ import annotations

from dataclasses import dataclass, field

from lark import Token, Tree, UnexpectedInput

from bitspec.diagnostics import Diagnostic, Source
from bitspec.language.grammar import grammar
from bitspec.language.limits import excess, words_in


@dataclass(frozen=True)
class Parsed:
    """The statements of a text as parse trees, and its syntax errors.

    A broken statement has no tree; `broken` has the names that such statements may have declared, or `$` where
    that cannot be known, so that their uses are not reported as well. `words` counts those of the text.
    """

    trees: list[Tree[Token]]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    words: int = 0


def parse(source: Source) -> Parsed:
    """Parse a text as far as that is possible."""
    words = words_in(source.text)
    too_much = excess(source, words)
    if too_much is not None:
        return Parsed([], [too_much], frozenset({"$"}), words)
    try:
        tree = grammar().parse(source.text, start="file")
    except UnexpectedInput:
        from bitspec.language.recovery import recover  # most texts are right, and start quicker without it

        trees, diagnostics, declared = recover(source)
        return Parsed(trees, diagnostics, declared, words)
    return Parsed([child for child in tree.children if isinstance(child, Tree)], words=words)
