"""Another store, or an export of one, that may come from strangers: opened so that it reaches nothing, and looked at.

DuckDB runs what a database holds: a view may read files. So it is attached by a connection of its own, which is shut in
before anything of it is looked at, and of it only tables are read that have the columns of ours.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.store import schema
from bitspec.store.complaints import complaint
from bitspec.store.connection import attach
from bitspec.store.rules import RULES
from bitspec.store.store import Store, check_version

#: Tables that speak of this machine and this hour, and go nowhere.
HERE_ONLY: Final = frozenset({"leases"})

#: The columns of a table, in their order, with their types.
Columns: TypeAlias = tuple[tuple[str, str], ...]

#: The table that says of which version the others are.
_META: Final[Columns] = (("version", "INTEGER"), ("views", "VARCHAR"))

#: Nothing is spilt to a disk, fetched, or taken from the program. All of it is in DuckDB 1.4.
_CONFIG: Final[Mapping[str, str]] = {
    "threads": "1",
    "temp_directory": "",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "allow_persistent_secrets": "false",
}

#: What is shut once both databases are open, in this order: from then on they and the export's files are all there is.
_LOCKS: Final = ("SET enable_external_access = false", "SET lock_configuration = true")


@dataclass(frozen=True)
class Foreign:
    """A store, or an export of one: what the user calls it, its folder, and its database if it has one."""

    name: Path
    folder: Path
    database: Path | None

    def table(self, name: str) -> str:
        """A table of it, as SQL has it."""
        if self.database is not None:
            return f"other.base.{name}"
        # A folder called `seed=1` is not to become a column.
        return f"read_parquet({quoted(self.parquet(name))}, hive_partitioning = false)"

    def parquet(self, name: str) -> Path:
        """The file of a table of an export."""
        return (self.folder / f"{name}.parquet").absolute()


@dataclass(frozen=True)
class Opened:
    """Another store, opened and looked at: the connection, and its tables as SQL has them."""

    connection: duckdb.DuckDBPyConnection
    tables: Mapping[str, str]


def quoted(path: Path) -> str:
    """A path as a text of SQL."""
    return "'{}'".format(str(path).replace("'", "''"))


def find(other: Path) -> Foreign:
    """The store or export at a path. Raises BitspecError if there is none."""
    try:
        database = other if other.suffix == ".duckdb" else other / "results.duckdb"
        if database.is_file():
            return Foreign(other, database.parent, database)
        found = Foreign(other, other, None)
        if found.parquet("meta").is_file():
            return found
    except OSError as problem:
        message = f"`{other}` cannot be opened: {problem.strerror}"
        raise BitspecError(error("store-unusable", message, help="get the right to it")) from problem
    hint = "name the folder of a store, or one that `bitspec store export` wrote"
    raise BitspecError(error("no-store", f"there are no results in `{other}`", help=hint))


@contextmanager
def opened(source: Foreign, patience: float, results: Path | None = None) -> Iterator[Opened]:
    """A connection to another store, and to our own, `results`, to write to, if it is given.

    It reaches nothing else. Raises BitspecError if either stays in use or cannot be opened, or if the other is not what
    bitspec writes.
    """
    connection = duckdb.connect(":memory:", config=dict(_CONFIG))
    try:
        with _plain(source) as there:
            if results is not None:
                attach(connection, results, "results", "READ_WRITE", patience)
            if there.database is not None:
                attach(connection, there.database, "other", "READ_ONLY", patience)
            else:
                files = ", ".join(quoted(path.absolute()) for path in sorted(there.folder.glob("*.parquet")))
                connection.execute(f"SET allowed_paths = [{files}]")
            for lock in _LOCKS:
                connection.execute(lock)
            found = Opened(connection, _checked(connection, there))
            if results is not None:
                connection.execute("USE results")
            yield found
            connection.execute("USE memory")
            if results is not None:
                connection.execute("DETACH results")
    finally:
        connection.close()


@contextmanager
def _plain(source: Foreign) -> Iterator[Foreign]:
    """An export under a path that is no pattern to DuckDB: for `results [new]` it would look for `results n`."""
    if source.database is not None or not set("*?[") & set(str(source.folder.absolute())):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "export"
        link.symlink_to(source.folder.absolute(), target_is_directory=True)
        yield replace(source, folder=link)


@contextmanager
def told(source: Foreign, store: Store) -> Iterator[None]:
    """What DuckDB says while another store is read, in the user's words."""
    try:
        yield
    except duckdb.Error as problem:
        said = str(problem).partition("\n")[0]
        if "No space left" in said or "Disk quota exceeded" in said:
            raise BitspecError(complaint(store.database, problem)) from problem
        message = f"`{source.name}` cannot be imported: {said}"
        raise BitspecError(error("store-broken", message, help=_remedy(source))) from problem


def see_that_it_is_sound(found: Opened, source: Foreign) -> None:
    """Raise BitspecError if rows of another store contradict each other."""
    for rule in RULES:
        if rule.left_over or not found.tables.keys() >= set(rule.tables):
            continue
        rows = found.connection.execute(f"{rule.query(found.tables)} LIMIT 1").fetchall()
        if rows:
            place, number = rows[0]
            where = place if rule.remedy is not None else f"trial {place}"
            message = f"`{source.name}` contradicts itself: {where}: {rule.problem.format(n=int(number))}"
            raise BitspecError(error("store-unsound", message, help=_remedy(source)))


def _checked(connection: duckdb.DuckDBPyConnection, source: Foreign) -> dict[str, str]:
    """The tables that are to be read of another store, as SQL has them.

    Raises BitspecError unless it has the tables of its version, as tables.
    """
    theirs = _columns_in(connection, "other") if source.database is not None else {}
    if source.database is None:
        theirs["meta"] = _columns_of(connection, source, "meta")
    if theirs.get("meta") != _META:
        raise _none_of_ours(source, "meta")
    rows = connection.execute(f"SELECT version FROM {source.table('meta')}").fetchall()  # noqa: S608 - our own names
    if len(rows) != 1 or rows[0][0] is None or rows[0][0] < 1:
        raise _none_of_ours(source, "meta")
    check_version(source.name, rows[0][0])
    schema.create_tables_of(connection, rows[0][0])  # in memory, to compare with
    expected = {
        name: columns
        for name, columns in _columns_in(connection, "memory").items()
        if name != "meta" and name not in HERE_ONLY
    }
    for table, columns in expected.items():
        if source.database is None:
            is_same = _columns_of(connection, source, table) == tuple((one, _in_parquet(kind)) for one, kind in columns)
        else:
            is_same = theirs.get(table) == columns
        if not is_same:
            raise _none_of_ours(source, table)
    return {name: source.table(name) for name in expected}


def _columns_in(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, Columns]:
    """The columns of all tables of a database; views are none."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE (database_oid, table_oid) IN ("
        "SELECT (database_oid, table_oid) FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'base') "
        "ORDER BY table_name, column_index",
        [database],
    ).fetchall()
    found: dict[str, Columns] = {}
    for table, column, kind in rows:
        found[table] = (*found.get(table, ()), (column, kind))
    return found


def _columns_of(connection: duckdb.DuckDBPyConnection, source: Foreign, table: str) -> Columns:
    """The columns of a file of an export; none if there is no such file."""
    if not source.parquet(table).is_file():
        return ()
    rows = connection.execute(f"DESCRIBE FROM {source.table(table)}").fetchall()
    return tuple((str(name), str(kind)) for name, kind, *_ in rows)


def _remedy(source: Foreign) -> str:
    if source.database is None:
        return "write the export anew with `bitspec store export`; nothing was taken from it"
    return f"`bitspec store check --store {shlex.quote(str(source.name))}` says more; nothing was taken from it"


def _in_parquet(kind: str) -> str:
    return "VARCHAR" if kind == "JSON" else kind


def _none_of_ours(source: Foreign, table: str) -> BitspecError:
    return BitspecError(
        error(
            "store-broken",
            f"`{source.name}` is none of bitspec's stores or exports: its table `{table}` is another",
            help="name the folder of a store, or one that `bitspec store export` wrote",
        )
    )
