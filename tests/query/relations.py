"""Views as queries are compiled against them, without a store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import duckdb

from bitspec.diagnostics import Source
from bitspec.query.compile import Compiled, compile_query, view_of
from bitspec.query.parser import parse
from bitspec.query.reader import Reader
from bitspec.query.relation import Relation
from bitspec.store.schema import create_tables
from bitspec.store.views import VIEWS


@dataclass(frozen=True)
class Names:
    """What a store of the built-in study would know."""

    tasks: Collection[str] = ("builtin/cola", "builtin/rte", "rte")
    metrics: Collection[str] = ("accuracy", "f1", "matthews")


@cache
def relations() -> dict[str, Relation]:
    """Every view as a store has it."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        reader = Reader(connection)
        return {view: reader.relation(view) for view in VIEWS}


def compiled(text: str) -> Compiled:
    """A query in the short form, compiled."""
    source = Source("<query>", text)
    query = parse(source)
    return compile_query(source, query, relations()[view_of(source, query, list(VIEWS))], Names())
