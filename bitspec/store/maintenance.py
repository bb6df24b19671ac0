"""Keeping a store small and current: a database without what nothing needs, and trials that are to run again."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.store.connection import STORAGE_VERSION, attach, identity
from bitspec.store.files import (
    CHECKPOINTS,
    VALUES,
    checkpoint_keys,
    checkpoints,
    remove,
    stale,
    values_files,
)
from bitspec.store.store import Store
from bitspec.whole import UNFINISHED, keep

#: How often a compaction begins anew where a writer was killed, or another database is there, before it gives up.
_ATTEMPTS: Final = 5

#: Seconds between two looks at whether another compaction is done.
_PAUSE: Final = 0.05

#: What nothing needs: a file, and why.
Leftover: TypeAlias = tuple[Path, str]

#: A query for the keys of finished trials.
FINISHED: Final = "(SELECT key FROM base.trials WHERE status = 'finished')"

#: A query for the keys that studies have as they stand now.
_CURRENT: Final = "(SELECT key FROM base.cells WHERE current)"


@dataclass(frozen=True)
class Compacted:
    """What a compaction won: bytes of the database before and after, and the files that were removed with theirs."""

    before: int
    after: int
    removed: tuple[Leftover, ...]
    removed_bytes: int


def compact(store: Store) -> Compacted:
    """Write the database anew without the space that nothing needs, and remove the files that nothing needs.

    Runs may go on beside it: they wait while it copies, and readers do not. The new database takes the place of the
    old one by a renaming, once it holds the same and the disk has it: whoever is killed, one of the two is there.
    Raises BitspecError if there is no store, it cannot be opened, or there is no room for a second database.
    """
    database = store.read_path().resolve()  # whatever names it: the file itself is replaced
    before = database.stat().st_size
    fresh = database.with_name(f"{UNFINISHED}{secrets.token_hex(4)}.duckdb")
    try:
        with _alone(store, database.parent):
            for _ in range(_ATTEMPTS):
                _settle(store)
                with store.reading() as connection:
                    copied = identity(database)
                    if _has_log(store):  # of a writer that was killed since: it would be taken for the new one's
                        continue
                    _copy(store, connection, fresh)
                    unneeded = leftovers(store, connection)
                    if identity(database) != copied:  # somebody has put another one there
                        fresh.unlink()
                        continue
                    removed = sum(remove(path) for path, _ in unneeded)
                    if fresh.stat().st_size < before:
                        _make_alike(database, fresh)
                        keep(fresh)
                        fresh.replace(database)
                        keep(database.parent)
                    return Compacted(before, database.stat().st_size, tuple(unneeded), removed)
    except OSError as problem:
        raise store.unusable(problem) from problem
    finally:
        for path in (fresh, _log(fresh)):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    raise BitspecError(
        error(
            "store-busy",
            f"other programs write to the store `{store.folder}`, and are stopped while they do",
            help="run the command again when they are done; nothing is lost",
        )
    )


def leftovers(store: Store, connection: duckdb.DuckDBPyConnection) -> list[Leftover]:
    """The files in a store's folder that nothing needs, each with the reason, as its open database has it."""
    folders = (store.folder, store.folder / VALUES, store.folder / CHECKPOINTS)
    found = [(path, "it was half-written when its process was stopped") for folder in folders for path in stale(folder)]
    of_trials = keys_of(connection, "(SELECT key FROM base.trials WHERE values_file IS NOT NULL)")
    found += [
        (path, "no trial has these values") for key, path in values_files(store.folder).items() if key not in of_trials
    ]
    finished, current = keys_of(connection, FINISHED), keys_of(connection, _CURRENT)
    for path in checkpoints(store.folder):
        with suppress(ValueError):  # what cannot be read is told of by itself
            keys = checkpoint_keys(path)
            if finished.issuperset(keys):
                found.append((path, "all trials of this checkpoint are finished"))
            elif current.isdisjoint(keys):
                found.append((path, "no study has the trials of this checkpoint any more"))
    return found


def command(store: Store, words: str) -> str:
    """`bitspec store WORDS`, as it is to be written for this store."""
    where = "" if store.folder == Path("store") else f" --store {shlex.quote(str(store.folder))}"
    return f"`bitspec store {words}{where}`"


def contents(table: str) -> str:
    """A query for the number of a table's rows and a sum over all that is in them: it reads every block."""
    return f"SELECT count(*), sum(hash(content)) FROM {table} AS content"  # noqa: S608 - our own names


def tables_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of an open store, whatever its version."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'results' AND schema_name = 'base' ORDER BY 1"
    ).fetchall()
    return [str(name) for (name,) in rows]


def keys_of(connection: duckdb.DuckDBPyConnection, query: str) -> frozenset[str]:
    """The keys that a query in parentheses, or a table, has."""
    return frozenset(str(key) for (key,) in connection.execute(f"SELECT key FROM {query}").fetchall())  # noqa: S608


@contextmanager
def _alone(store: Store, folder: Path) -> Iterator[None]:
    """One compaction at a time.

    They only read the old database, and could do so together; but the second would put a copy of what there was in
    place of what others have written since the first.
    """
    if sys.platform == "win32":  # where no open file is replaced anyway
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + store.patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"the store `{store.folder}` is being compacted by another process"
                    hint = "wait until it is done, then run the command again if it is still needed"
                    raise BitspecError(error("store-busy", message, help=hint)) from None
            except OSError:  # a file system without such locks
                break
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back, as does the end of the process


def _settle(store: Store) -> None:
    """Have DuckDB put into the database what a killed writer left in the log beside it."""
    if _has_log(store):
        with store.writing():
            pass


def _has_log(store: Store) -> bool:
    return _log(store.database).exists() or _log(store.database.resolve()).exists()


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")


def _copy(store: Store, connection: duckdb.DuckDBPyConnection, fresh: Path) -> None:
    """Write all that the open database holds to a new one, and see that it is there."""
    before = _inventory(connection, "results")
    try:
        attach(connection, fresh, "fresh", f"READ_WRITE, STORAGE_VERSION '{STORAGE_VERSION}'", 0)
        connection.execute("COPY FROM DATABASE results TO fresh")
        connection.execute("DETACH fresh")
        attach(connection, fresh, "fresh", "READ_ONLY", 0)
        is_same = _inventory(connection, "fresh") == before
        connection.execute("DETACH fresh")
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("DETACH fresh")
        raise
    if not is_same or _log(fresh).exists():
        raise BitspecError(
            error(
                "store-broken",
                f"the database of `{store.folder}` could not be copied: the copy holds something else",
                help=f"see what is wrong with {command(store, 'check')}; nothing was changed",
            )
        )


def _inventory(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, object]:
    """Everything in a database: its tables with how many rows there are and a sum over their contents, its views."""
    tables = connection.execute(
        "SELECT schema_name, table_name, sql FROM duckdb_tables() WHERE database_name = ? ORDER BY ALL", [database]
    ).fetchall()
    views = connection.execute(
        "SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = ? AND NOT internal ORDER BY ALL",
        [database],
    ).fetchall()
    found: dict[str, object] = {f"view {schema}.{name}": sql for schema, name, sql in views}
    for schema, name, sql in tables:
        place = ".".join('"{}"'.format(part.replace('"', '""')) for part in (database, schema, name))
        found[f"table {schema}.{name}"] = (sql, connection.execute(contents(place)).fetchall())
    return found


def _make_alike(old: Path, new: Path) -> None:
    # A store may be shared by a group of users.
    shutil.copymode(old, new)
    found = old.stat()
    with suppress(OSError, AttributeError):
        os.chown(new, found.st_uid, found.st_gid)
