"""The locked connection: it reads one store's database, and neither writes nor reaches anything else.

What a statement says is as little to be trusted as what the database itself holds (a view may read files), so the
connection is shut in by DuckDB's own configuration, and then the configuration is locked. Its memory limit does not
cover all that functions allocate: `running.bounded_memory` holds the rest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.store.connection import patiently

#: The database in a store's folder.
DATABASE: Final = "results.duckdb"

#: Seconds for which a store that is being written to is asked for again.
PATIENCE: Final = 10.0

#: What DuckDB may use for a statement's intermediate results.
MEMORY: Final = "2GB"

#: What a connection is opened with. All of it is in DuckDB 1.4.
CONFIGURATION: Final[Mapping[str, str]] = {
    "access_mode": "READ_ONLY",
    "temp_directory": "",  # nothing is spilt to a disk: what does not fit into memory is refused
    "memory_limit": MEMORY,
    "threads": str(min(4, os.cpu_count() or 1)),
    "python_enable_replacements": "false",  # the program's own variables are no tables
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "allow_persistent_secrets": "false",
    "errors_as_json": "true",  # which says exactly where in a statement it is wrong
}

#: One thread at a time opens and locks a database.
_OPENING: Final = threading.Lock()

#: What is shut once the database is open, in this order.
LOCKS: Final = ("SET enable_external_access = false", "SET lock_configuration = true")


class StillRunningError(BitspecError):
    """A statement goes on after it was interrupted, so its connection can be neither used nor closed any more."""


def database(store: Path) -> Path:
    """The database of a store that is named by its folder or by the file itself. Raises BitspecError if it has none."""
    try:
        path = store / DATABASE if store.is_dir() or store.suffix != ".duckdb" else store
        is_there = path.exists()
    except OSError as problem:  # a folder that may not be looked into
        hint = "get the right to it, or choose another store with `--store`"
        message = f"`{store}` cannot be opened: {problem.strerror}"
        raise BitspecError(error("store-unusable", message, help=hint)) from problem
    if not is_there:
        message = f"there are no results in `{store}`"
        hint = "train a study with `bitspec run SPEC`, or say where its results are with `--store`"
        raise BitspecError(error("no-store", message, help=hint))
    return path


@contextmanager
def connect(path: Path, patience: float = PATIENCE) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can only read the database at a path (a store's folder will do).

    Keep it for as short as may be: nobody can write to the database meanwhile. Raises BitspecError if there is no
    database, if it stays in use for `patience` seconds, or if it cannot be read.
    """
    found = database(path)
    connection = patiently(found, lambda: _locked(found), patience)
    try:
        yield connection
    except StillRunningError:
        raise
    except BaseException:
        with suppress(duckdb.Error):  # what was raised first counts
            connection.close()
        raise
    connection.close()


def _locked(path: Path) -> duckdb.DuckDBPyConnection:
    with _OPENING:
        # Absolute, so that no name of a folder is taken for another kind of database (`md:…`).
        connection = duckdb.connect(str(path.absolute()), config=dict(CONFIGURATION))
        # A second connection of one process shares the first one's database, which is locked already.
        if connection.execute("SELECT NOT current_setting('lock_configuration')").fetchall() == [(True,)]:
            for lock in LOCKS:
                connection.execute(lock)
    return connection
