"""A text with syntax errors: its tokens are cut into statements at the keywords, which are reserved everywhere, and
each statement is parsed by itself. So one mistake never hides another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lark import Token, Tree, UnexpectedCharacters, UnexpectedToken
from lark.utils import TextSlice

from bitspec.diagnostics import LIKENESS, Diagnostic, Note, Source, closest, error
from bitspec.language.grammar import grammar
from bitspec.language.syntax_errors import STARTERS, bad_character, explain, misplaced, token_span

#: After so many syntax errors the rest of a text is not looked at.
MAX_ERRORS = 50


def recover(source: Source) -> tuple[list[Tree[Token]], list[Diagnostic], frozenset[str]]:
    """The statements of a text that can be parsed, its syntax errors, and the names that it may declare."""
    tokens, diagnostics = _tokens(source)
    trees: list[Tree[Token]] = []
    for found in _statements(source, tokens):
        if isinstance(found, Diagnostic):
            diagnostics.append(found)
            if len(diagnostics) >= MAX_ERRORS:
                break
        else:
            trees.append(found)
    diagnostics.sort(key=lambda diagnostic: diagnostic.span.start if diagnostic.span else 0)
    return trees, diagnostics[:MAX_ERRORS], _declared(tokens)


def _declared(tokens: Sequence[Token]) -> frozenset[str]:
    """The names that the statements of a text may declare: what follows `group` and `strategy`, and all in `task`."""
    declared: set[str] = set() if tokens else {"$"}
    statement = ""
    for previous, token in pairwise(tokens):
        statement = previous.type if previous.type in STARTERS else statement
        if token.type == "FOR" and previous.type != "TRAIN":  # a broken loop may have declared anything
            declared.add("$")
        if token.type == "NAME" and (previous.type in {"GROUP", "STRATEGY"} or statement == "TASK"):
            declared.add("$" if "$" in token else str(token))
    return frozenset(declared)


def _tokens(source: Source) -> tuple[list[Token], list[Diagnostic]]:
    """All tokens of a text. What cannot be a token is reported and blanked out, so that offsets stay."""
    text, start = source.text, 0
    tokens: list[Token] = []
    diagnostics: list[Diagnostic] = []
    while True:
        try:
            for token in grammar().lex(TextSlice(text, start, len(text))):
                tokens.append(token)
            return tokens, diagnostics
        except UnexpectedCharacters as problem:
            start = problem.pos_in_stream or 0
            diagnostic, end, replacement = bad_character(source, start)
            diagnostics.append(diagnostic)
            text = text[:start] + replacement + text[end:]
            if len(diagnostics) >= MAX_ERRORS:
                return [], diagnostics


def _statements(
    source: Source, tokens: Sequence[Token], *, in_loop: bool = False
) -> Iterator[Tree[Token] | Diagnostic]:
    """Each statement's tree, or what is wrong with it; `in_loop`: they stand in one in which something is wrong."""
    position = 0
    while position < len(tokens):
        if tokens[position].type in STARTERS:
            end, unclosed = _end_of_statement(tokens, position)
            segment = tokens[position:end]
            if unclosed is not None:
                yield _unclosed(source, unclosed, tokens[end] if end < len(tokens) else None)
            elif segment[0].type == "FOR":
                yield from _loop(source, segment, in_loop=in_loop)
            else:
                yield _statement(source, segment)
        else:
            end = position + 1
            while end < len(tokens) and tokens[end].type not in STARTERS:
                end += 1
            yield misplaced(source, tokens[position:end])
        position = end


def _starts(tokens: Sequence[Token], position: int, opened: bool, first: Token) -> bool:
    """Whether a statement starts at a token; `opened`: inside brackets of a statement that starts with `first`."""
    token, kind = tokens[position], tokens[position].type
    if kind == "NAME" and not opened and token.line != tokens[position - 1].line and position + 1 < len(tokens):
        # A misspelt keyword at the start of a line, such as `stratgy x = bias`.
        is_followed = tokens[position + 1].type in {"NAME", "STRING"}
        return is_followed and _may_be_near(token) and bool(closest(token, STARTERS.values(), 1))
    previous = tokens[position - 1]
    if previous.type == "SIGN" and previous.end_pos == token.start_pos:  # `my-strategy`, a name that is none
        return False
    if kind not in STARTERS or kind == "EXPECT":
        return kind == "EXPECT" and not opened and first.type != "QUESTION"
    if kind == "FOR" and tokens[position - 1].type == "TRAIN":
        return False
    # `train { model = 3 }` is a setting with a reserved name, not a brace that was left open.
    following = tokens[position + 1].type if position + 1 < len(tokens) else ""
    return not (opened and following == "EQUAL")


def _may_be_near(word: str) -> bool:
    """Whether a word has letters enough of some keyword: to look closer takes long where there are thousands."""
    letters = set(word.casefold())
    return any(
        2 * sum(letter in letters for letter in starter) >= LIKENESS * (len(word) + len(starter))
        for starter in STARTERS.values()
    )


def _end_of_statement(tokens: Sequence[Token], start: int) -> tuple[int, Token | None]:
    """The position after a statement, and the bracket that was left open in it, if any."""
    is_loop = tokens[start].type == "FOR"
    opened: list[int] = []
    for position in range(start + 1, len(tokens)):
        kind = tokens[position].type
        in_body = is_loop and any(_opens_block(tokens, bracket) for bracket in opened)
        if not in_body and _starts(tokens, position, bool(opened), tokens[start]):
            return position, tokens[opened[-1]] if opened else None
        if kind in {"LPAR", "LBRACE"}:
            opened.append(position)
        elif kind == "RPAR" and opened and tokens[opened[-1]].type == "LPAR":
            opened.pop()
        elif kind == "RBRACE":
            while opened and tokens[opened[-1]].type == "LPAR":  # the parser will report it
                opened.pop()
            if not opened:
                return position, None
            if _opens_block(tokens, opened.pop()) and not opened:
                return position + 1, None
    return len(tokens), tokens[opened[-1]] if opened else None


def _opens_block(tokens: Sequence[Token], bracket: int) -> bool:
    """Whether a bracket is a brace that opens a block: the braces of a set follow `in` or `seeds` (or a wrong `=`)."""
    return tokens[bracket].type == "LBRACE" and tokens[bracket - 1].type not in {"IN", "SEEDS", "EQUAL"}


def _loop(source: Source, segment: Sequence[Token], *, in_loop: bool) -> Iterator[Tree[Token] | Diagnostic]:
    """A `for` whose body may hold errors: its header is parsed with an empty body, its statements alone."""
    if not in_loop:  # else its tree is of no use, and each level of loops would parse all inside it once more
        try:
            yield _parse(segment)
            return
        except UnexpectedToken:
            pass
    brace = next((position for position in range(len(segment)) if _opens_block(segment, position)), None)
    if brace is None or segment[-1].type != "RBRACE":
        yield _statement(source, segment)
        return
    header = _statement(source, [*segment[: brace + 1], segment[-1]])
    if isinstance(header, Diagnostic):
        yield header
    for found in _statements(source, segment[brace + 1 : -1], in_loop=True):
        if isinstance(found, Diagnostic):
            yield found


def _statement(source: Source, segment: Sequence[Token]) -> Tree[Token] | Diagnostic:
    try:
        return _parse(segment)
    except UnexpectedToken as problem:
        return explain(source, problem, segment)


def _parse(segment: Sequence[Token]) -> Tree[Token]:
    interactive = grammar().parse_interactive(start="statement")
    for token in segment:
        interactive.feed_token(token)
    tree = interactive.feed_eof(segment[-1])  # type: ignore[no-untyped-call]
    assert isinstance(tree, Tree)
    return tree


def _unclosed(source: Source, bracket: Token, found: Token | None) -> Diagnostic:
    closing = ")" if bracket.type == "LPAR" else "}"
    notes = []
    if found is not None:
        notes.append(Note(f"`{found}` starts the next statement", token_span(source, found)))
    return error(
        "unclosed",
        f"this `{bracket}` is never closed",
        token_span(source, bracket),
        help=f"add the `{closing}`",
        notes=notes,
    )
