"""Random queries over random rows: DuckDB's answer to the compiled SQL is the oracle's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import Source
from bitspec.query.compile import compile_query
from bitspec.query.parser import parse
from bitspec.query.relation import Relation
from bitspec.query.syntax import (
    And,
    Arithmetic,
    Call,
    Compares,
    Expression,
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
)
from tests.query import oracle
from tests.query.oracle import AGGREGATES, Row
from tests.query.relations import Names
from tests.tiers import examples

TYPES = {
    "task": "VARCHAR",
    "strategy": "VARCHAR",
    "position": "INTEGER",
    "seed": "BIGINT",
    "score": "DOUBLE",
    "change": "DOUBLE",
}
STRATEGIES = ("full", "bitfit", "ln", "frozen")
TASKS = ("cola", "rte")

rows = st.lists(
    st.fixed_dictionaries(
        {
            "task": st.none() | st.sampled_from(TASKS),
            "strategy": st.sampled_from(STRATEGIES),
            "seed": st.integers(0, 3),
            "score": st.none() | st.integers(-40, 200).map(lambda half: half / 2),
            "change": st.none() | st.integers(0, 8).map(lambda eighth: eighth / 8),
        }
    ).map(lambda row: {**row, "position": STRATEGIES.index(row["strategy"])}),
    max_size=12,
)

numbers = st.integers(0, 9).map(lambda number: Number(str(number)))
numeric: st.SearchStrategy[Expression] = st.recursive(
    st.sampled_from(("seed", "score", "change", "position")).map(Name) | numbers,
    lambda parts: (
        st.builds(lambda sign, left, right: Arithmetic(sign, left, right), st.sampled_from("+-*/"), parts, parts)
        | parts.map(Negative)
    ),
    max_leaves=3,
)
textual = st.sampled_from(("task", "strategy")).map(Name)
text_values = st.sampled_from((*STRATEGIES, *TASKS, "other")).map(Text)
ends = st.lists(st.integers(-1, 5), min_size=2, max_size=2).map(sorted)
ranges = ends.map(lambda pair: Range(str(pair[0]), str(pair[1])))
operators = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))


def members(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


def conditions(compared: st.SearchStrategy[Expression], of_rows: bool = True) -> st.SearchStrategy[Expression]:
    tests: st.SearchStrategy[Expression] = st.builds(Compares, operators, compared, compared)
    tests |= st.builds(IsNull, compared, st.booleans())
    tests |= st.builds(IsIn, compared, members(numbers | ranges), st.booleans())
    if of_rows:
        tests |= st.builds(Compares, st.sampled_from(("=", "!=")), textual, text_values)
        tests |= st.builds(IsIn, textual, members(text_values), st.booleans())
        tests |= st.builds(Matches, textual, st.sampled_from(("^f", "l", "t$", "a|e")).map(Text), st.booleans())
    wholes: st.SearchStrategy[Expression] = st.recursive(
        tests,
        lambda parts: (
            parts.map(Not)
            | st.lists(parts, min_size=2, max_size=3).map(lambda found: And(tuple(found)))
            | st.lists(parts, min_size=2, max_size=3).map(lambda found: Or(tuple(found)))
        ),
        max_leaves=4,
    )
    return wholes


aggregates = st.builds(lambda name, of: Call(name, (of,)), st.sampled_from(sorted(AGGREGATES)), numeric) | st.just(
    Name("n")
)


@st.composite
def grouped(draw: st.DrawFn) -> Query:
    by = draw(st.lists(st.sampled_from(("strategy", "task", "seed")), unique=True, max_size=3))
    made = draw(st.lists(aggregates, min_size=1, max_size=3))
    items = tuple(Item(expression, f"x{place}") for place, expression in enumerate(made))
    where = draw(st.none() | conditions(numeric))
    compared = st.sampled_from([Name(item.alias or "") for item in items]) | numbers
    having = draw(st.none() | conditions(compared, of_rows=False))
    return Query(items, None, where, tuple(map(Name, by)), having)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        connection.execute(f"CREATE TABLE scores ({', '.join(f'{name} {of}' for name, of in TYPES.items())})")
        yield connection


def run(database: duckdb.DuckDBPyConnection, query: Query, table: Sequence[Row]) -> list[tuple[Any, ...]]:
    database.execute("DELETE FROM scores")
    columns = ", ".join(f"unnest(?::{of}[])" for of in TYPES.values())
    database.execute(f"INSERT INTO scores SELECT {columns}", [[row[name] for row in table] for name in TYPES])
    source = Source("<query>", str(query))
    compiled = compile_query(source, parse(source), Relation("scores", TYPES), Names((), ()))
    return database.execute(compiled.sql, list(compiled.parameters)).fetchall()


def close(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    return len(found) == len(expected) and all(
        math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-7)
        if isinstance(one, int | float) and isinstance(other, int | float)
        else one == other
        for row, other_row in zip(found, expected, strict=True)
        for one, other in zip(row, other_row, strict=True)
    )


LIMITS = settings(deadline=None, max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])


@LIMITS
@given(query=grouped(), table=rows)
def test_groups(database: duckdb.DuckDBPyConnection, query: Query, table: list[Row]) -> None:
    expected = oracle.answer(query, table)
    assert close(run(database, query, table), expected), str(query)


@LIMITS
@given(where=conditions(numeric), table=rows)
def test_rows(database: duckdb.DuckDBPyConnection, where: Expression, table: list[Row]) -> None:
    names = ("strategy", "task", "seed", "score")
    query = Query(tuple(Item(Name(name)) for name in names), where=where)
    expected = [
        tuple(row[name] for name in names) for row in table if oracle.value(where, [row]) is True
    ]  # fmt: skip
    assert sorted(map(str, run(database, query, table))) == sorted(map(str, expected)), str(query)


@LIMITS
@given(table=rows, by=st.sampled_from(("strategy", "task", "seed")), descending=st.booleans(), limit=st.integers(0, 5))
def test_order_and_limit(
    database: duckdb.DuckDBPyConnection, table: list[Row], by: str, descending: bool, limit: int
) -> None:
    items = (Item(Call("mean", (Name("score"),)), "m"), Item(Name("n")))
    everything = oracle.answer(Query(items, by=(Name(by),)), table)

    def place(row: tuple[Any, ...]) -> tuple[Any, ...]:
        mean = row[1]
        return mean is None, (0 if mean is None else -mean if descending else mean)

    expected = sorted(everything, key=place)[:limit]  # a stable sort: ties keep the default order
    query = Query(items, by=(Name(by),), order=(Term(Name("m"), descending),), limit=limit)
    assert close(run(database, query, table), expected), str(query)


def test_the_oracle_can_tell_a_difference(database: duckdb.DuckDBPyConnection) -> None:
    row = {"task": "cola", "strategy": "full", "seed": 0, "score": 50.0, "change": None, "position": 0}
    source = "select mean(score) as m by strategy where not change > 3"
    query = parse(Source("<query>", source))
    assert run(database, query, [row]) == oracle.answer(query, [row]) == [("full", 50.0)]
    assert not close([("full", 50.0)], [("full", 50.1)])
    assert not close([("full", 50.0)], [])
    assert not close([("full", 50.0)], [("full", None)])
