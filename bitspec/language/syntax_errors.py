"""Syntax errors in the user's words.

The parser fails in some state, at some token. Every example in the table of mistakes is parsed once, when the
first error is met, to learn the state and the token that stand for its mistake. An error that no example covers
is put as what could have stood there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from lark import Token, UnexpectedToken

from bitspec.diagnostics import Diagnostic, Note, Source, Span, closest, error, listed
from bitspec.language.grammar import grammar
from bitspec.language.mistakes import MISTAKES, Mistake
from bitspec.vocabulary import KEYWORDS, STATEMENTS

#: Keywords that start a statement, by token type.
STARTERS = {keyword.upper(): keyword for keyword in STATEMENTS}


_TOKEN_WORDS = {
    "NAME": "a name", "STRING": "a text in quotes", "NUMBER": "a number", "SIGN": "`-`", "COMPARE": "a comparison",
    "MATCH": "`~`", "LPAR": "`(`", "RPAR": "`)`", "LBRACE": "`{`", "RBRACE": "`}`", "EQUAL": "`=`", "COLON": "`:`",
    "COMMA": "`,`", "VBAR": "`|`", "AMPERSAND": "`&`", "PERCENT": "`%`", "DOTS": "`..`", "$END": "the end",
    **{keyword.upper(): f"`{keyword}`" for keyword in KEYWORDS},
}  # fmt: skip

_CHARACTERS = {
    ";": ("statements and settings need no `;`: white space separates them", "take it away"),
    "[": ("square brackets have no meaning here", "sets are written with braces: `{q, k}`"),
    "]": ("square brackets have no meaning here", "sets are written with braces: `{q, k}`"),
    "!": ("`!` has no meaning by itself", "write `all - bias` for everything but the biases, `not` in a condition"),
    "/": ("`/` has no meaning here", "comments start with `#`; a path stands in quotes"),
    "*": ("`*` has no meaning here", 'select by a pattern: `name ~ ".*query.*"`, or take `all`'),
    ".": ("a lone `.` has no meaning here", "a number has digits before and after its point: `0.5`; a range is `0..4`"),
    "$": ("`$` needs the name of a loop's value after it", "write `$r` inside `for r in {q, k} { … }`"),
    "^": ("`^` has no meaning here", "write `(a | b) - (a & b)` for what is in one but not both"),
    "@": ("`@` has no meaning here", 'a revision is written `model "name" revision "…"`'),
    "\\": ("a backslash has no meaning outside quotes", "statements may run over several lines as they are"),
    "“": ("these are typographic quotes", "write straight quotes: \"…\" or '…'"),
    "”": ("these are typographic quotes", "write straight quotes: \"…\" or '…'"),
    "‘": ("these are typographic quotes", "write straight quotes: \"…\" or '…'"),
    "’": ("these are typographic quotes", "write straight quotes: \"…\" or '…'"),
    "≥": ("`≥` is not understood", "write `>=`"),
    "≤": ("`≤` is not understood", "write `<=`"),
    "≠": ("`≠` is not understood", "write `!=`"),
    "–": ("this is a dash, not a minus sign", "write `-`"),
    "—": ("this is a dash, not a minus sign", "write `-`"),
    "−": ("this is a typographic minus sign", "write `-`"),
    "∪": ("`∪` is not understood", "write `|`"),
    "∩": ("`∩` is not understood", "write `&`"),
    "∈": ("`∈` is not understood", "write `in`"),
    "\u00a0": ("this is a non-breaking space", "write a plain space"),
    "`": ("backquotes have no meaning here", "names have no quotes; texts stand in \"…\""),
}  # fmt: skip


#: Brackets and quotes that have no meaning: the closing one, and what was meant.
_PAIRS = {"[": ("]", "{}"), "“": ("”", '""'), "‘": ("’", "''"), "”": ("”", '""')}


def bad_character(source: Source, offset: int) -> tuple[Diagnostic, int, str]:
    """What is wrong with a character that starts no token, the end of the trouble, and what to read instead."""
    char = source.text[offset]
    span = Span(source, offset, offset + 1)
    if char in "\"'":
        end = source.text.find("\n", offset)
        end = len(source.text) if end < 0 else end
        replacement = char + " " * max(0, end - offset - 2) + char if end - offset >= 2 else " "
        wrong = error("unclosed-text", "this text in quotes is not closed on its line", Span(source, offset, end),
                      help=f"add the closing {char}; a text cannot run over several lines")  # fmt: skip
        return wrong, end, replacement
    line_end = source.text.find("\n", offset)
    line = source.text[offset : line_end if line_end >= 0 else len(source.text)]
    if line.startswith(("//", "/*")):
        wrong = error("bad-character", f"comments do not start with `{line[:2]}`", Span(source, offset, offset + 2),
                      help="they start with `#`, and end with the line")  # fmt: skip
        return wrong, offset + len(line), " " * len(line)
    message, help_line = _CHARACTERS.get(char, (f"`{char}` has no meaning here", "take it away"))
    if not char.isprintable() and char not in _CHARACTERS:
        message = f"a control character (U+{ord(char):04X}) has no place in a spec"
    # What was meant is read on, so that it is not reported a second time.
    closing, meant = _PAIRS.get(char, ("", ""))
    end = line.find(closing, 1) if closing else -1
    if end > 0:
        return (
            error("bad-character", message, span, help=help_line),
            offset + end + 1,
            meant[0] + line[1:end] + meant[1],
        )
    return error("bad-character", message, span, help=help_line), offset + 1, " "


def misplaced(source: Source, tokens: Sequence[Token]) -> Diagnostic:
    """What is wrong with tokens that stand where a statement should start."""
    first = tokens[0]
    span = token_span(source, first)
    if first.type == "RBRACE":
        return error("unopened", "this `}` closes nothing", span, help="take it away, or add the `{`")
    if first.type == "NAME" and (near := closest(first, STARTERS.values(), 1)):
        return error("unknown-keyword", f"`{first}` starts no statement", span, help=f"did you mean `{near[0]}`?")
    if first.type == "NAME" and len(tokens) > 1 and tokens[1].type == "EQUAL":
        return error(
            "unknown-keyword",
            f"`{first}` stands alone, outside any statement",
            span,
            help=f"write `group {first} = …` for a selection, `train {{ {first} = … }}` for a setting",
        )
    help_line = f"statements start with {listed([word for word in STARTERS.values() if word != 'expect'])}"
    return error("unknown-keyword", f"`{first}` starts no statement", span, help=help_line)


def explain(source: Source, problem: UnexpectedToken, statement: Sequence[Token]) -> Diagnostic:
    """A syntax error inside a statement, in the user's words."""
    token = problem.token
    at_end = token.type == "$END"
    span = _span_after(source, statement[-1]) if at_end else token_span(source, token)
    if statement[0].type == "EXPECT":
        return error("misplaced-expect", "`expect` belongs inside a question", token_span(source, statement[0]),
                     help='write `question "…" { expect a > b }`')  # fmt: skip
    if token.type == "NAME" and _first_on_line(source, token) and (near := closest(token, STARTERS.values(), 1)):
        return error("unknown-keyword", f"`{token}` starts no statement", span, help=f"did you mean `{near[0]}`?")
    expected = {name for name in problem.expected if name in _TOKEN_WORDS}
    known = _known()
    place = _place(problem, statement)
    mistake = known.get((*place, token.type))
    if mistake is None and token in KEYWORDS and "NAME" in expected:
        return error("reserved-name", f"`{token}` is a keyword and cannot be a name", span,
                     help=f"choose another name, such as `{token}_`")  # fmt: skip
    mistake = mistake or known.get((*place, "any"))
    if mistake is not None:
        return error(mistake.code, mistake.message, span, help=mistake.help, notes=_opening(source, token, statement))
    found = "the statement ends" if at_end else f"`{token}` is out of place"
    words = [_TOKEN_WORDS[name] for name in sorted(expected)]
    return error("syntax", f"{found} here", span, help=f"{listed(words, quote='')} could stand here" if words else None)


#: The parser's state, and what tells apart the places that share a state in an LALR parser: the statement, the
#: innermost open bracket and the last keyword before the error.
Place = tuple[int, str, str, str]


@cache
def _known() -> dict[tuple[int, str, str, str, str], Mistake]:
    known: dict[tuple[int, str, str, str, str], Mistake] = {}
    for mistake in MISTAKES:
        for example in _with_strategies(mistake.examples):
            place, kind = place_of(example)
            known.setdefault((*place, kind), mistake)
        for example in _with_strategies(mistake.any_token):
            known.setdefault((*place_of(example)[0], "any"), mistake)
    return known


def _with_strategies(examples: Sequence[str]) -> list[str]:
    """What goes wrong after the `=` of a group goes wrong after that of a strategy."""
    selections = [example for example in examples if example.startswith("group a =") and example[9:10] != "="]
    return [*examples, *("strategy" + example[len("group") :] for example in selections)]


def place_of(example: str) -> tuple[Place, str]:
    """The place and the token's type where an example of a mistake goes wrong."""
    interactive = grammar().parse_interactive(start="statement")
    tokens = list(grammar().lex(example))
    try:
        for token in tokens:
            interactive.feed_token(token)
        interactive.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedToken as problem:
        return _place(problem, tokens), problem.token.type
    raise AssertionError(f"this example of a mistake is right: {example}")


def _place(problem: UnexpectedToken, statement: Sequence[Token]) -> Place:
    opened, keyword = [""], ""
    for token in statement:
        if token is problem.token:
            break
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(token.type)
        elif token.type in {"RPAR", "RBRACE"} and len(opened) > 1:
            opened.pop()
        elif token in KEYWORDS:
            keyword = token.type
    first = statement[0].type
    return problem.state.position, first, opened[-1], keyword if keyword != first else ""


def _opening(source: Source, token: Token, statement: Sequence[Token]) -> list[Note]:
    if token.type != "$END":
        return []
    opened: list[Token] = []
    for part in statement:
        if part.type == "LPAR":
            opened.append(part)
        elif part.type == "RPAR" and opened:
            opened.pop()
    return [Note("this `(` is still open", token_span(source, opened[-1]))] if opened else []


def _first_on_line(source: Source, token: Token) -> bool:
    start = token.start_pos or 0
    return not source.text[source.text.rfind("\n", 0, start) + 1 : start].strip()


def token_span(source: Source, token: Token) -> Span:
    """Where a token stands."""
    return Span(source, token.start_pos or 0, token.end_pos or 0)


def _span_after(source: Source, token: Token) -> Span:
    end = token.end_pos or 0
    return Span(source, end, end + 1)
