"""Queries to be drawn: any that can be written, and such as an oracle can answer."""

from __future__ import annotations

from hypothesis import strategies as st

from bitspec.query.syntax import (
    KEYWORDS,
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
    Not,
    Number,
    Or,
    Query,
    Range,
    Term,
    Text,
    Truth,
)

_words = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True).filter(lambda word: word not in KEYWORDS)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=8)
_operators = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))


def _in_both(left: Expression, right: Expression, operator: str) -> Expression:
    return Arithmetic(operator, left, right)  # type: ignore[arg-type]


def _range(ends: list[int]) -> Range:
    first, last = sorted(ends)
    return Range(str(first), str(last))


def _joined(kind: type[And] | type[Or], parts: list[Expression]) -> Expression:
    # `a and b and c` has three parts: a tree of two and two is not what is read back.
    flat = [part for one in parts for part in (one.parts if isinstance(one, kind) else (one,))]
    return kind(tuple(flat))


_leaves: st.SearchStrategy[Expression] = st.one_of(
    _words.map(Name),
    st.integers(0, 1000).map(lambda number: Number(str(number))),
    _texts.map(Text),
    st.booleans().map(Truth),
    st.builds(Field, _words, _words),
)


def _wholes(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    members = st.lists(parts | st.lists(st.integers(-9, 9), min_size=2, max_size=2).map(_range), min_size=1, max_size=3)
    return st.one_of(
        st.builds(Call, _words, st.lists(parts, max_size=3).map(tuple), st.booleans()),
        parts.map(Negative),
        st.builds(_in_both, parts, parts, st.sampled_from("+-*/")),
        st.builds(Compares, _operators, parts, parts),
        st.builds(Matches, parts, parts, st.booleans()),
        st.builds(IsIn, parts, members.map(tuple), st.booleans()),
        st.builds(IsNull, parts, st.booleans()),
        parts.map(Not),
        st.builds(_joined, st.sampled_from((And, Or)), st.lists(parts, min_size=2, max_size=3)),
    )


expressions = st.recursive(_leaves, _wholes, max_leaves=8)


def queries() -> st.SearchStrategy[Query]:
    """Anything that can be written; most of it means nothing."""
    items = st.builds(Item, expressions, st.none() | _texts.filter(str.strip))
    return st.builds(
        Query,
        st.lists(items | st.just(Everything()), min_size=1, max_size=3).map(tuple),
        st.none() | _words.map(Name),
        st.none() | expressions,
        st.lists(_words.map(Name), max_size=2).map(tuple),
        st.none() | expressions,
        st.lists(st.builds(Term, expressions, st.booleans()), max_size=2).map(tuple),
        st.none() | st.integers(0, 99),
    )
