"""What a query needs to know of the store that it is put to: columns, tasks, metrics, values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, cached_property
from typing import Any, Final

import duckdb

from bitspec.diagnostics import BitspecError, Source, error
from bitspec.query.complaints import complaint, is_damage
from bitspec.query.relation import Relation, identifier
from bitspec.query.running import fetch
from bitspec.store.views import VIEWS

#: Views of the latest study.
LATEST: Final = frozenset(name for name in VIEWS if f"all_{name}" in VIEWS) | {"strategies", "cells"}


class Reader:
    """Small questions of our own to an open store."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.relation = cache(self._relation)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        return fetch(self._connection, Source("<note>", sql), parameters).rows

    def _relation(self, view: str) -> Relation:
        """A view with the columns that it has in this store."""
        try:
            columns = self._connection.execute(f"DESCRIBE {view}").fetchall()
        except duckdb.Error as problem:
            if is_damage(problem):
                raise BitspecError(complaint(Source("<note>", ""), problem)) from problem
            message = f"this database has no view called `{view}`: it is none of bitspec's, or of an older one"
            hint = "`bitspec run` brings a store up to date; `--store` names another"
            raise BitspecError(error("store-broken", message, help=hint)) from problem
        return Relation(view, {str(name): str(sql_type) for name, sql_type, *_ in columns})

    def values(self, relation: Relation, column: str) -> set[str]:
        """The texts in a column of a view; of the latest study, those of cells without a result too."""
        cells = self.relation("cells")
        view = "cells" if relation.name in LATEST and cells.has(column) else relation.name
        rows = self.rows(f"SELECT DISTINCT {identifier(column)} FROM {view}")  # noqa: S608
        return {str(value) for (value,) in rows if value is not None}


class StoreNames:
    """What is known of names, asked for when a query first depends on it."""

    def __init__(self, reader: Reader, relation: Relation) -> None:
        self._reader, self._relation = reader, relation

    @cached_property
    def tasks(self) -> Collection[str]:
        """The tasks that a view knows."""
        return sorted(self._reader.values(self._relation, "task")) if self._relation.has("task") else ()

    @cached_property
    def metrics(self) -> Collection[str]:
        """The metrics that a view has."""
        if not self._relation.has("metrics"):
            return ()
        rows = self._reader.rows(
            f"SELECT DISTINCT unnest(map_keys(metrics)) FROM {self._relation.name} ORDER BY 1"  # noqa: S608
        )
        return tuple(name for (name,) in rows)
