"""Syntax errors of queries in the user's words.

The parser fails in some state, at some token. Every example in the table is parsed once, when the first error is met,
to learn the state and the token that stand for its mistake. An error that no example covers is put as what could have
stood there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from lark import Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from bitspec.diagnostics import Diagnostic, Note, Source, Span, closest, error, listed
from bitspec.query.syntax import KEYWORDS

CLAUSES = ("from", "where", "by", "having", "order", "limit")

_EXAMPLE = "write for example `select mean(score) by strategy`"


@dataclass(frozen=True)
class Mistake:
    """A syntax error by its examples. In `any_token`, whatever follows the same place is the same mistake."""

    code: str
    message: str
    help: str
    examples: tuple[str, ...] = ()
    any_token: tuple[str, ...] = ()


MISTAKES = (
    Mistake("missing-value", "`select` needs what to select", _EXAMPLE, any_token=("select by s", "select")),
    Mistake("missing-value", "after the comma another column or aggregate is missing", _EXAMPLE,
            any_token=("select a, by s", "select a,", "select a as b, by s")),
    Mistake("missing-name", "`as` needs a name", "write for example `select mean(score) as average`",
            any_token=("select a as 3", "select a as")),
    Mistake("missing-operator", "two things stand side by side",
            "write a comma between columns, and `as` before a name",
            examples=("select a b", "select f(a) b", "select a 'b'", "select a 5", "select f(a) 5", "select a as b c",
                      "select 5 a", "select f(a) (b)", "select a.b c")),
    Mistake("misplaced-block", "braces follow `in` only", "write for example `where task in {cola, rte}`",
            examples=("select {", "select a {", "select a where {", "select a where b {", "select a by {",
                      "select a having {", "select a order {")),
    Mistake("missing-argument", "an argument is missing here", "write for example `mean(score)`",
            examples=("select f(,", "select f(a, )", "select f(a,, b)", "select f(a,")),
    Mistake("missing-comma", "arguments are separated by commas", "write for example `round(score, 1)`",
            examples=("select f(a b)", "select f(a 5)", "select f(a 'b')", "select f(* a")),
    Mistake("missing-value", "something is missing between these parentheses", _EXAMPLE,
            examples=("select ()", "select a where ()", "select a having ()")),
    Mistake("unopened", "this `)` closes nothing", "take it away, or add the `(`",
            examples=("select a)", "select f(a))", "select a where b = c)", "select a by b)", "select a having n > 3)",
                      "select a order b)", "select a limit 3)", "select a order b desc)", "select a from b)",
                      "select a where b in {c})", "select a as b)")),
    Mistake("unclosed", "a parenthesis is not closed", "add the `)`",
            examples=("select f(a", "select (a", "select f(a by b", "select (a by b", "select f(", "select a where (b",
                      "select f(a from b", "select (a from b", "select f(a where b", "select f(*", "select f(* by",
                      "select a where (b = c", "select a having (n > 3", "select a order f(b", "select a order (b",
                      "select a where b in (c", "select f(a order b", "select f(a limit 3", "select f(a having b")),
    Mistake("unclosed", "a set is not closed", "add the `}`",
            examples=("select a where b in {c", "select a where b in {c by", "select a where b in {c order",
                      "select a where b in {0..3", "select a where b in {c and", "select a where b in {c,")),
    # clauses -------------------------------------------------------------------------------------------------
    Mistake("missing-name", "`from` needs the name of a view", "write for example `from epochs`",
            any_token=("select a from 3", "select a from")),
    Mistake("missing-operator", "a query reads one view", "write it in SQL for a join: `select … from scores join …`",
            examples=("select a from b, c", "select a from b c", "select a from b as c")),
    Mistake("missing-condition", "a condition is missing here", "write for example `where task = rte`",
            any_token=("select a where by b", "select a where", "select a where b = c and", "select a where b = c or",
                       "select a where not", "select a where (", "select a where b = c and by d",
                       "select a where b = c or by d", "select a where not by d")),
    Mistake("missing-condition", "a condition is missing here", "write for example `having n > 1`",
            any_token=("select a having by b", "select a having", "select a having b > c and",
                       "select a having b > c or", "select a having not")),
    Mistake("missing-operator", "an operator is missing here",
            'write for example `task = rte`, `strategy ~ "^drop"` or `seed in 0..3`',
            examples=("select a where b c", "select a where b 'c'", "select a where b 3", "select a where b = c d",
                      "select a where b = c 'd'", "select a where f(b) c", "select a where (b c)",
                      "select a having b c", "select a having b 3", "select a having f(b) c", "select a having b > 3 c",
                      "select a where b = 3 d", "select a where b in {c} d", "select a having f(b) 3",
                      "select a where b in 0..3 d", "select a where f(b) 3", "select a where (b = c) d",
                      "select a where b > 3, c", "select a where b, c")),
    Mistake("missing-value", "a value is missing after the operator", "write for example `task = rte` or `score >= 60`",
            any_token=("select a where b = by", "select a where b =", "select a where b ~", "select a where b ~ by",
                       "select a where b +", "select a where b -", "select a where b *", "select a where b /",
                       "select a +", "select a *", "select a -", "select a /", "select -", "select a having b >",
                       "select a order b +")),
    Mistake("set-operator", "a set is compared with `in`", "write for example `task in {cola, rte}`",
            examples=("select a where b = {", "select a where b ~ {")),
    Mistake("set-operator", "`in` needs a set or a range", "write for example `task in {cola, rte}` or `seed in 0..3`",
            examples=("select a where b in c", "select a where b in 'c'", "select a where b in",
                      "select a where b in by", "select a where b in 3", "select a where b in 3 by c",
                      "select a where b in 3, 4",
                      "select a where b in 3 and", "select a where b not in c")),
    Mistake("set-operator", "`not` here needs `in` after it", "write `task not in {cola, rte}`, or `not task = rte`",
            any_token=("select a where b not c", "select a where b not")),
    Mistake("missing-comma", "the members of a set are separated by commas", "write for example `{cola, rte}`",
            examples=("select a where b in {c d}", "select a where b in {1 2}", "select a where b in {'c' 'd'}",
                      "select a where b in {0..3 4}")),
    Mistake("bad-set", "a member of the set is missing here", "write for example `{cola, rte}`",
            any_token=("select a where b in {,", "select a where b in {}", "select a where b in {",
                       "select a where b in {c,, d}", "select a where b in (c,)", "select a where b in ()")),
    Mistake("bad-range", "a range needs a number at both ends", "write for example `seed in 0..3`",
            any_token=("select a where b in 0..", "select a where b in {0..", "select a where b in 0..c")),
    Mistake("wrong-operator", "`is` asks for `null` only", "write `is null`, `is not null`, or `=` for a value",
            any_token=("select a where b is c", "select a where b is", "select a where b is not c")),
    Mistake("wrong-operator", "comparisons cannot be chained", "join two by `and`: `50 < score and score < 60`",
            examples=("select a where b < c < d", "select a where b = c = d", "select a where b ~ c ~ d",
                      "select a where b in {c} = d", "select a having b < c < d", "select a where b = c ~ d",
                      "select a where b is null = c", "select a where b = c in {d}")),
    Mistake("missing-name", "`by` needs the columns to group by", "write for example `by strategy, task`",
            any_token=("select a by 3", "select a by", "select a by b, 3", "select a by b,", "select a by 'b'")),
    Mistake("missing-comma", "columns are separated by commas", "write for example `by strategy, task`",
            examples=("select a by b c", "select a by b 'c'", "select a by b 3")),
    Mistake("wrong-value", "`by` takes columns, and no expression",
            "give the expression a name: `select score > 60 as good, n by good`",
            examples=("select a by f(b)", "select a by b + c", "select a by b - c", "select a by b * c",
                      "select a by b / c", "select a by b.c", "select a by (b", "select a by -b", "select a by b > c",
                      "select a by b = c")),
    Mistake("missing-value", "`order` needs what to order by", "write for example `order mean(score) desc`",
            any_token=("select a order limit 3", "select a order", "select a order b, limit", "select a order b,",
                       "select a order by desc", "select a order by")),
    Mistake("missing-comma", "what the rows are ordered by is separated by commas",
            "write for example `order task, mean(score) desc`",
            examples=("select a order b c", "select a order b desc c", "select a order f(b) c", "select a order b 3",
                      "select a order b 'c'", "select a order b asc c")),
    Mistake("wrong-clause", "`group` needs `by` after it", "write `by strategy`",
            any_token=("select a group b", "select a group")),
    Mistake("whole-number", "`limit` takes a whole number", "write `limit 10`",
            any_token=("select a limit b", "select a limit", "select a limit -3")),
    Mistake("wrong-clause", "`limit` takes one number", "write `limit 10`", examples=("select a limit 3, 4",)),
    Mistake("wrong-clause", "one query is asked at a time", "take away what follows the `;`",
            any_token=("select a; select", "select a; b", "select a;;")),
    Mistake("wrong-clause", "a query has one `select`, and this is a second", "take it away, or write it in SQL",
            examples=("select a select", "select select", "select (select", "select a where (select",
                      "select a where b = (select", "select a where b in (select", "select a by b select",
                      "select f(select", "select a where select")),
)  # fmt: skip

_CHARACTERS = {
    "[": "sets are written with braces: `{cola, rte}`",
    "]": "sets are written with braces: `{cola, rte}`",
    "!": "write `!=` for unlike, `not` before a condition",
    "|": "write `or`",
    "&": "write `and`",
    "%": "a share is a number: write `percent < 0.1`",
    "^": "write `x * x`",
    "`": "names have no quotes; texts stand in \"…\" or '…'",
    "“": 'these are typographic quotes; write straight ones: "…"',
    "”": 'these are typographic quotes; write straight ones: "…"',
    "‘": "these are typographic quotes; write straight ones: '…'",
    "’": "these are typographic quotes; write straight ones: '…'",
    "≥": "write `>=`",
    "≤": "write `<=`",
    "≠": "write `!=`",
    "–": "this is a dash; write `-`",
    "−": "this is a typographic minus sign; write `-`",
    ".": "a range has two dots, `0..3`; a number has digits on both sides, `0.5`",
    "$": "write the value itself",
    "?": "write the value itself",
    ":": "write `as` before a column's name",
    "#": "comments start with `--`",
    "\u00a0": "this is a non-breaking space; write a plain one",
}

_WORDS = {
    "NAME": "a name", "STRING": "a text in quotes", "NUMBER": "a number", "COMMA": "`,`", "RPAR": "`)`",
    "LPAR": "`(`", "RBRACE": "`}`", "LBRACE": "`{`", "$END": "the end", "COMPARE": "a comparison", "MATCH": "`~`",
    "PLUS": "`+`", "MINUS": "`-`", "STAR": "`*`", "SLASH": "`/`", "DOT": "`.`", "TRUTH": "`true`",
    **{word.upper(): f"`{word}`" for word in KEYWORDS if word not in {"true", "false"}},
    **{f"_{word.upper()}": f"`{word}`" for word in KEYWORDS},
}  # fmt: skip

#: What other query languages write.
_ELSEWHERE = {
    "like": 'a pattern is a regular expression: `strategy ~ "^drop"`',
    "ilike": 'a pattern is a regular expression: `strategy ~ "(?i)^drop"`',
    "between": "a range is written `score in 50..60`",
    "join": "write it in SQL, without a bare `by`",
    "union": "write it in SQL, without a bare `by`",
    "with": "write it in SQL, without a bare `by`",
    "sort": "the rows are ordered by `order score desc`",
    "offset": "there is none; write it in SQL, without a bare `by`",
}


def explain(source: Source, problem: UnexpectedInput) -> Diagnostic:
    """What is wrong where the parser could not go on."""
    if isinstance(problem, UnexpectedCharacters):
        return _bad_character(source, problem.pos_in_stream or 0)
    assert isinstance(problem, UnexpectedToken)
    token = problem.token
    before = list(_tokens_before(source, token))
    at_end = token.type == "$END"
    start = len(source.text.rstrip()) if at_end else token.start_pos or 0
    span = Span(source, start, start + (1 if at_end else len(token)))
    if (elsewhere := _ELSEWHERE.get(token.lower())) and before:
        return error("wrong-clause", f"`{token}` is not a word of a query", span, help=elsewhere)
    known = _known()
    place = _place(problem, before)
    mistake = known.get((*place, token.type)) or known.get((*place, "any"))
    outside = place[-1] == ""
    if outside and token.type == "NAME" and len(token) > 2:
        near = closest(token, CLAUSES, 1)
        if near and (mistake is None or mistake.code in {"missing-operator", "missing-comma"}):
            return error("unknown-keyword", f"`{token}` starts no clause", span, help=f"did you mean `{near[0]}`?")
    if mistake is not None:
        notes = _opening(source, before) if mistake.code == "unclosed" else []
        return error(mistake.code, mistake.message, span, help=mistake.help, notes=notes)
    if token.lower() in KEYWORDS and "NAME" in problem.expected:
        return error("reserved-name", f"`{token}` is a word of the language and cannot be a name", span,
                     help="a text of this name stands in quotes")  # fmt: skip
    words = sorted({_WORDS[name] for name in problem.expected if name in _WORDS})
    found = "the query ends" if at_end else f"`{token}` is out of place"
    return error("syntax", f"{found} here", span, help=f"{listed(words, quote='')} could stand here")


def _bad_character(source: Source, offset: int) -> Diagnostic:
    char = source.text[offset]
    rest = source.text[offset:].partition("\n")[0]
    if char in "\"'":
        return error("unclosed-text", "this text in quotes is not closed", Span(source, offset, offset + len(rest)),
                     help=f"add the closing {char}")  # fmt: skip
    if char.isdigit():
        return error("bad-number", "this is neither a number nor a name", Span(source, offset, offset + 1),
                     help="a name starts with a letter; one that does not stands in quotes")  # fmt: skip
    named = f"`{char}`" if char.isprintable() else f"a control character (U+{ord(char):04X})"
    hint = _CHARACTERS.get(char, "take it away, or put the text that it belongs to in quotes")
    return error("bad-character", f"{named} has no meaning here", Span(source, offset, offset + 1), help=hint)


#: The parser's state, and what tells apart the places that share a state in an LALR parser: the clause and the
#: innermost open bracket.
Place: TypeAlias = tuple[int, str, str]


@cache
def _known() -> dict[tuple[int, str, str, str], Mistake]:
    known: dict[tuple[int, str, str, str], Mistake] = {}
    for mistake in MISTAKES:
        for example in mistake.examples:
            place, kind = place_of(example)
            known.setdefault((*place, kind), mistake)
        for example in mistake.any_token:
            known.setdefault((*place_of(example)[0], "any"), mistake)
    return known


def place_of(example: str) -> tuple[Place, str]:
    """The place and the token's type where an example of a mistake goes wrong."""
    from bitspec.query.parser import grammar

    try:
        grammar().parse(example)
    except UnexpectedToken as problem:
        return _place(problem, list(_tokens_before(Source("", example), problem.token))), problem.token.type
    raise AssertionError(f"this example of a mistake is right: {example}")


def _tokens_before(source: Source, last: Token) -> Iterator[Token]:
    from bitspec.query.parser import grammar

    # Where `not` can stand, the parser takes `notn` for it; read without it, what follows may be no token at all.
    with suppress(UnexpectedCharacters):
        for token in grammar().lex(source.text, dont_ignore=False):
            if last.type != "$END" and (token.start_pos or 0) >= (last.start_pos or 0):
                return
            yield token


def _place(problem: UnexpectedToken, before: list[Token]) -> Place:
    opened, clause = [""], "select"
    for token in before:
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(token.type)
        elif token.type in {"RPAR", "RBRACE"} and len(opened) > 1:
            opened.pop()
        elif token.lower() in CLAUSES:
            clause = token.lower()
    state = problem.interactive_parser.parser_state.position if problem.interactive_parser else -1
    return state, clause, opened[-1]


def _opening(source: Source, before: list[Token]) -> list[Note]:
    opened: list[Token] = []
    for token in before:
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(token)
        elif token.type in {"RPAR", "RBRACE"} and opened:
            opened.pop()
    if not opened:
        return []
    start = opened[-1].start_pos or 0
    return [Note(f"this `{opened[-1]}` is still open", Span(source, start, start + 1))]
