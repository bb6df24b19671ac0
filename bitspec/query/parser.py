"""Text to a query in the short form. The nouns are built while the parser runs, so no tree is walked twice."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from bitspec.diagnostics import BitspecError, Source, Span, error
from bitspec.language.grammar import without_collector
from bitspec.query.syntax import (
    And,
    Arithmetic,
    Call,
    Compares,
    Everything,
    Expression,
    Field,
    IsIn,
    IsNull,
    Item,
    Matches,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Place,
    Query,
    Range,
    Term,
    Text,
    Truth,
)

#: Characters of the longest query.
MAX_LENGTH = 20_000

#: Deepest nesting of an expression; nothing that a person writes comes near.
MAX_DEPTH = 100

#: Digits of the longest number.
MAX_DIGITS = 30

_OPERATORS = {"==": "=", "<>": "!="}


class FormError(Exception):
    """Something that the grammar takes and a query may not have: a code, a message, a place and a help line."""

    def __init__(self, code: str, message: str, at: Place, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.at, self.hint = code, message, at, hint


def wrong(code: str, message: str, at: Place, hint: str) -> FormError:
    """What is wrong with the form of a query, to be raised while it is parsed."""
    return FormError(code, message, at, hint)


def parse(source: Source) -> Query:
    """The query that a text says. Raises BitspecError with the one thing that is wrong first."""
    check_length(source)
    try:
        return cast("Query", grammar().parse(source.text))
    except UnexpectedInput as problem:
        from bitspec.query.mistakes import explain  # most queries are right, and start quicker without it

        raise BitspecError(explain(source, problem)) from None
    except FormError as mistake:
        span = Span(source, *mistake.at)
        raise BitspecError(error(mistake.code, mistake.message, span, help=mistake.hint)) from None


def check_length(source: Source) -> None:
    """Raises BitspecError for a text that is longer than a query may be, or that no text can be."""
    if len(source.text) > MAX_LENGTH:
        message = f"this query has more than {MAX_LENGTH:,} characters"
        raise BitspecError(error("too-large", message, help="ask for less at once"))
    if not source.text.isascii():
        try:
            source.text.encode()
        except UnicodeEncodeError as problem:  # bytes of the command line that are no text come as such
            span = Span(source, problem.start, problem.start + 1)
            message = "this is half of a character, or no text at all"
            raise BitspecError(error("bad-character", message, span, help="write the query in UTF-8")) from None


@cache
def grammar() -> Lark:
    """The parser, which gives a Query. Building it takes about 50 ms."""
    text = files("bitspec.query").joinpath("query.lark").read_text("utf-8")
    with without_collector():
        return Lark(text, parser="lalr", start="query", maybe_placeholders=True, transformer=_Builder())


def _place(*parts: Node | Token | None) -> Place:
    starts, ends = [], []
    for part in parts:
        if isinstance(part, Token):
            starts.append(part.start_pos or 0)
            ends.append((part.start_pos or 0) + len(part))
        elif part is not None:
            starts.append(part.at[0])
            ends.append(part.at[1])
    return min(starts), max(ends)


def _over(*parts: Node | Token | None) -> dict[str, Any]:
    """Where a node stands that consists of these, and how deep it is."""
    depth = 1 + max((part.depth for part in parts if isinstance(part, Node)), default=0)
    place = _place(*parts)
    if depth > MAX_DEPTH:
        raise wrong("too-deep", f"this is nested more than {MAX_DEPTH} deep", place, "ask for less at once")
    return {"at": place, "depth": depth}


def _value(token: Token) -> str:
    quote = token[0]
    return str(token[1:-1]).replace(quote * 2, quote)


@v_args(inline=True)
class _Builder(Transformer[Token, Query]):
    """Makes a noun of each rule of the grammar as soon as the parser has seen the whole of it."""

    def query(self, items: tuple[Item | Everything, ...], *clauses: tuple[str, Any, Place]) -> Query:
        found: dict[str, Any] = {}
        for name, value, place in clauses:
            if name in found:
                raise wrong("repeated", f"`{name}` is given twice", place, "put both into one")
            found[name] = value
        names = {"from": "view"}
        return Query(items, **{names.get(name, name): value for name, value in found.items()})

    def items(self, *items: Item | Everything) -> tuple[Item | Everything, ...]:
        return items

    def item(self, expression: Expression, alias: Token | None) -> Item:
        name = None if alias is None else _value(alias) if alias.type == "STRING" else str(alias)
        if name is not None and not name.strip():
            raise wrong("empty-text", "a column needs a name", _place(alias), "write `as average`")
        return Item(expression, name, **_over(expression, alias))

    def everything(self, star: Token) -> Everything:
        return Everything(at=_place(star))

    # Clauses: what each is called, its value, and its place.

    def from_(self, view: Token) -> tuple[str, Name, Place]:
        return "from", self.name(view), _place(view)

    def where(self, condition: Expression) -> tuple[str, Expression, Place]:
        return "where", condition, condition.at

    def by(self, names: tuple[Name, ...]) -> tuple[str, tuple[Name, ...], Place]:
        return "by", names, _place(*names)

    def having(self, condition: Expression) -> tuple[str, Expression, Place]:
        return "having", condition, condition.at

    def order(self, terms: tuple[Term, ...]) -> tuple[str, tuple[Term, ...], Place]:
        return "order", terms, _place(*terms)

    def limit(self, number: Token) -> tuple[str, int, Place]:
        if not re.fullmatch(r"\d{1,15}", number):
            raise wrong("whole-number", "`limit` takes a whole number", _place(number), "write `limit 10`")
        return "limit", int(number), _place(number)

    def names(self, *names: Token) -> tuple[Name, ...]:
        return tuple(self.name(token) for token in names)

    def terms(self, *terms: Term) -> tuple[Term, ...]:
        return terms

    def term(self, expression: Expression, direction: Token | None) -> Term:
        descending = direction is not None and direction.type == "DESC"
        return Term(expression, descending, **_over(expression, direction))

    # Expressions.

    def either(self, *parts: Expression) -> Or:
        return Or(parts, **_over(*parts))

    def both(self, *parts: Expression) -> And:
        return And(parts, **_over(*parts))

    def not_(self, word: Token, of: Expression) -> Not:
        return Not(of, **_over(word, of))

    def compares(self, left: Expression, operator: Token, right: Expression) -> Compares:
        written = cast("Literal['=', '!=', '<', '<=', '>', '>=']", _OPERATORS.get(operator, str(operator)))
        return Compares(written, left, right, **_over(left, right))

    def matches(self, of: Expression, operator: Token, pattern: Expression) -> Matches:
        return Matches(of, pattern, operator == "!~", **_over(of, pattern))

    def is_in(self, of: Expression, negation: Token | None, members: tuple[Expression | Range, ...] | Range) -> IsIn:
        found = (members,) if isinstance(members, Range) else members
        return IsIn(of, found, negation is not None, **_over(of, *found))

    def is_null(self, of: Expression, negation: Token | None, word: Token) -> IsNull:
        return IsNull(of, negation is not None, **_over(of, word))

    def plus(self, left: Expression, right: Expression) -> Arithmetic:
        return self._arithmetic("+", left, right)

    def minus(self, left: Expression, right: Expression) -> Arithmetic:
        return self._arithmetic("-", left, right)

    def times(self, left: Expression, right: Expression) -> Arithmetic:
        return self._arithmetic("*", left, right)

    def over(self, left: Expression, right: Expression) -> Arithmetic:
        return self._arithmetic("/", left, right)

    def _arithmetic(self, operator: Literal["+", "-", "*", "/"], left: Expression, right: Expression) -> Arithmetic:
        tight = left.at[1] + 1 == right.at[0]
        return Arithmetic(operator, left, right, tight, **_over(left, right))

    def negative(self, sign: Token, of: Expression) -> Negative:
        return Negative(of, **_over(sign, of))

    def number(self, token: Token) -> Number:
        return Number(self._digits(token), at=_place(token))

    def text(self, token: Token) -> Text:
        return Text(_value(token), at=_place(token))

    def truth(self, token: Token) -> Truth:
        return Truth(token.lower() == "true", at=_place(token))

    def name(self, token: Token) -> Name:
        return Name(str(token), at=_place(token))

    def field(self, column: Token, key: Token) -> Field:
        return Field(str(column), str(key), at=_place(column, key))

    def call_of_all(self, function: Token, end: Token) -> Call:
        return Call(function.lower(), of_all=True, at=_place(function, end))

    def call(self, function: Token, distinct: Token | None, arguments: tuple[Expression, ...], end: Token) -> Call:
        return Call(function.lower(), arguments, distinct is not None, **_over(function, *arguments, end))

    def arguments(self, *arguments: Expression | None) -> tuple[Expression, ...]:
        return tuple(argument for argument in arguments if argument is not None)

    def set(self, *members: Expression | Range) -> tuple[Expression | Range, ...]:
        return members

    def range(self, first: Number, last: Number) -> Range:
        if float(first.digits) > float(last.digits):
            hint = f"write `{last}..{first}`"
            raise wrong("bad-range", "this range runs backwards", _place(first, last), hint)
        return Range(first.digits, last.digits, at=_place(first, last))

    def bound(self, sign: Token | None, token: Token) -> Number:
        return Number(("-" if sign else "") + self._digits(token), at=_place(sign, token))

    def _digits(self, token: Token) -> str:
        if len(token) > MAX_DIGITS or float(token) == float("inf"):
            raise wrong("bad-number", "this number is too long or too large", _place(token), "write a shorter one")
        return str(token)
