"""How large a text may be, told before it is parsed: a pathological one must not reach the parser."""

from __future__ import annotations

import re
from typing import Final

from bitspec.diagnostics import Diagnostic, Source, Span, error

#: Words of a spec and of all files that it uses: names, numbers, texts, signs and comments. Ten thousand strategies
#: have about 140,000, and are read in three seconds.
MAX_WORDS: Final = 150_000

#: Statements that the loops of a spec may make, and words that these may have: they are built, but not parsed again.
MAX_REPEATED: Final = 20_000
MAX_WRITTEN: Final = 250_000

#: Characters of the longest name or number that is read at all: the lexer needs a hundred times the memory of a name.
MAX_WORD: Final = 10_000

#: Deepest nesting of brackets, and of the braces among them; nothing that a person writes comes near.
MAX_NESTING: Final = 100
MAX_BLOCKS: Final = 12

# Comments and texts are matched first, so that brackets in them do not count.
_WORDS = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'|[\w$]+|[^\w\s]""")
_NAMES = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'|[\w$]+""")
_BRACKETS = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'|[(){}]""")


def words_in(text: str) -> int:
    """How many words a text has; of more than MAX_WORDS, not exactly how many."""
    if len(text) <= MAX_WORDS:  # a word has at least one character
        return _counted(text, 0)
    total = start = 0
    while start < len(text) and total <= MAX_WORDS:
        # By parts that end with a line, so that what is far too long is not read to its end.
        end = text.find("\n", start + MAX_WORDS)
        end = len(text) if end < 0 else end + 1
        total += _counted(text[start:end], total)
        start = end
    return total


def _counted(text: str, before: int) -> int:
    number = 0
    for number, _ in enumerate(_WORDS.finditer(text), 1):
        if before + number > MAX_WORDS:
            break
    return number


def excess(source: Source, words: int) -> Diagnostic | None:
    """What keeps a text of so many words from being parsed: its length, its nesting, or half a character in it."""
    if words > MAX_WORDS:
        message = f"`{source.name}` has more than {MAX_WORDS:,} words"
        return error("too-long", message, help="is it a spec? make several studies of it")
    return _half_character(source) or _long_word(source) or _nesting(source)


def _half_character(source: Source) -> Diagnostic | None:
    if source.text.isascii():
        return None
    try:
        source.text.encode()
    except UnicodeEncodeError as problem:
        span = Span(source, problem.start, problem.start + 1)
        return error(
            "bad-character", "this is half of a character", span, help="write the whole of it, or take it away"
        )
    return None


def _long_word(source: Source) -> Diagnostic | None:
    if len(source.text) <= MAX_WORD:
        return None
    for match in _NAMES.finditer(source.text):
        if match.end() - match.start() > MAX_WORD and match[0][0] not in "#\"'":
            code = "bad-number" if match[0][0].isdigit() else "bad-name"
            span = Span(source, match.start(), match.end())
            return error(code, f"this word has more than {MAX_WORD:,} characters", span, help="write a shorter one")
    return None


def _nesting(source: Source) -> Diagnostic | None:
    # Counting is quicker, and settles it for nearly every text.
    if source.text.count("(") + source.text.count("{") <= MAX_BLOCKS:
        return None
    depth = blocks = 0
    for match in _BRACKETS.finditer(source.text):
        if match[0] in "({":
            depth += 1
            blocks += match[0] == "{"
            if depth > MAX_NESTING or blocks > MAX_BLOCKS:
                return _too_deep(Span(source, match.start(), match.end()), are_blocks=blocks > MAX_BLOCKS)
        elif match[0] in ")}":
            depth = max(0, depth - 1)
            blocks = max(0, blocks - (match[0] == "}"))
    return None


def _too_deep(span: Span, *, are_blocks: bool) -> Diagnostic:
    if are_blocks:
        message = f"braces are nested more than {MAX_BLOCKS} deep here"
        return error("too-deep", message, span, help="loops inside loops: write out what an outer one repeats")
    message = f"brackets are nested more than {MAX_NESTING} deep here"
    return error("too-deep", message, span, help="give the inner selections names with `group`, and use the names")
