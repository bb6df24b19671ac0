"""Questions to a store, and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bitspec.diagnostics import BitspecError, Source, did_you_mean, error, listed
from bitspec.query import complaints, footnotes
from bitspec.query.compile import Column, Compiled, compile_query, unique_names, view_of
from bitspec.query.connection import connect
from bitspec.query.dialect import check_nesting, is_short, mentioned
from bitspec.query.footnotes import Asking
from bitspec.query.functions import Kind, kind_of
from bitspec.query.parser import check_length, parse
from bitspec.query.reader import Reader, StoreNames
from bitspec.query.relation import Relation
from bitspec.query.running import SECONDS, fetch
from bitspec.query.syntax import Query
from bitspec.store.views import VIEWS


@dataclass(frozen=True)
class Answer:
    """Columns and rows, and what is to be said below them. `is_cut`: there are more rows than were asked for."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]
    notes: tuple[str, ...] = ()
    is_cut: bool = False


def ask(text: str, store: Path, *, seconds: float = SECONDS, rows: int | None = None) -> Answer:
    """What a query says of a store; `rows`: the first so many only.

    Raises BitspecError if the query is wrong or takes too long, or if the store cannot be read.
    """
    source = Source("<query>", text)
    check_length(source)
    check_nesting(source)
    query = parse(source) if is_short(source) else None
    with connect(store) as connection:
        reader = Reader(connection)
        if query is None:
            found = fetch(connection, source, seconds=seconds, rows=rows)
            columns = tuple(
                Column(name, kind_of(of_type), "score" in name.lower() and not name.lower().startswith("count"))
                for name, of_type in zip(unique_names(list(found.names)), found.types, strict=True)
            )
            notes = footnotes.of_sql(reader, mentioned(text), is_empty=not found.rows)
        else:
            asking, compiled = _compiled(source, query, reader)
            _check_patterns(connection, compiled)
            found = fetch(connection, Source("<sql>", compiled.sql), compiled.parameters, seconds=seconds, rows=rows)
            columns = compiled.columns
            notes = footnotes.of_query(reader, asking, is_empty=not found.rows)
    return Answer(columns, found.rows, tuple(notes), found.is_cut)


def explain(text: str, store: Path) -> str:
    """The SQL of a query, with its parameters; as for a store without results where there is no store."""
    source = Source("<query>", text)
    check_length(source)
    check_nesting(source)
    if not is_short(source):
        return text.strip() + "\n"
    query = parse(source)
    try:
        with connect(store) as connection:
            return str(_compiled(source, query, Reader(connection))[1])
    except BitspecError as problem:
        if problem.diagnostics[0].code != "no-store":
            raise
    with _empty_store() as connection:
        return str(_compiled(source, query, Reader(connection))[1])


def schema(view: str | None = None) -> Answer:
    """The views, or the columns of one view. Raises BitspecError if there is none of this name."""
    if view is None:
        return Answer(texts("view", "a row is"), [(name, one.meaning) for name, one in VIEWS.items()])
    if view not in VIEWS:
        hint = did_you_mean(view, VIEWS) or f"the views are {listed(VIEWS, 'and')}"
        raise BitspecError(error("unknown-view", f"there is no view called `{view}`", help=hint))
    with _empty_store() as connection:
        types = Reader(connection).relation(view).types
    meanings = {column: meaning for column, (_, meaning) in VIEWS[view].columns.items()}
    rows = [(column, types[column], meaning) for column, meaning in meanings.items()]
    return Answer(texts("column", "type", "meaning"), rows)


def texts(*headings: str) -> tuple[Column, ...]:
    """Columns of texts."""
    return tuple(Column(heading, Kind.TEXT) for heading in headings)


def _compiled(source: Source, query: Query, reader: Reader) -> tuple[Asking, Compiled]:
    relation: Relation = reader.relation(view_of(source, query, list(VIEWS)))
    known = StoreNames(reader, relation)
    compiled = compile_query(source, query, relation, known)
    return Asking(source, query, relation, known, compiled.asked), compiled


def _check_patterns(connection: duckdb.DuckDBPyConnection, compiled: Compiled) -> None:
    for pattern, span in compiled.patterns:
        try:
            connection.execute("SELECT regexp_matches('', $1)", [pattern]).fetchall()
        except duckdb.Error as problem:
            raise BitspecError(complaints.bad_pattern(span, problem)) from None


@contextmanager
def _empty_store() -> Iterator[duckdb.DuckDBPyConnection]:
    from bitspec.store.schema import create_tables

    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        yield connection
