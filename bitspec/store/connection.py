"""Opening a store's database: patience with other processes, and messages where it cannot be opened.

DuckDB locks the whole file for one writing process or for several reading ones, so nobody keeps it open for longer
than one piece of work, and everybody waits a little for the others.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.store.complaints import broken_journal, complaint, is_busy, journal

#: Seconds for which a database that is in use is asked for again.
PATIENCE: Final = 120.0

#: Seconds between the first attempts, and between the last ones.
_FIRST_PAUSE, _LAST_PAUSE = 0.002, 0.25

#: Nothing is fetched from anywhere, no variable of the program is taken for a table, no core is taken from training.
_CONFIG: Final[Mapping[str, str]] = {
    "threads": "1",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}

#: How a journal begins: with its version.
_JOURNAL: Final = b"d\0b"

#: Every DuckDB since this one can read what is created in its format; it is the oldest that bitspec runs on.
STORAGE_VERSION: Final = "v1.4.0"


class Engine:
    """Opens one database at a time, for one piece of work.

    To start DuckDB takes ten times as long as to open a file with it, so it is started once, without a file, and files
    are attached to it. DuckDB itself sees to it that no other connection of this process has the file open.
    `patience` is for how many seconds a database that is in use is asked for again.
    """

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def reading(self, path: Path, patience: float = PATIENCE) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that only reads. Raises BitspecError if the file stays in use, or is damaged."""
        with self._attached(path, "READ_ONLY", patience) as connection:
            yield connection

    @contextmanager
    def writing(self, path: Path, patience: float = PATIENCE) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: committed at the end, rolled back where anything is raised."""
        with self._attached(path, "READ_WRITE", patience) as connection, _transaction(connection):
            yield connection

    @contextmanager
    def creating(self, path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """The same for a new database, which is one file and nothing beside it in the end."""
        options = f"READ_WRITE, STORAGE_VERSION '{STORAGE_VERSION}'"
        with self._attached(path, options, 0) as connection:
            with _transaction(connection):
                yield connection
            # Closing does the same, but where the disk is full it leaves the tables beside the file, and says nothing.
            connection.execute("CHECKPOINT results")

    @contextmanager
    def _attached(self, path: Path, options: str, patience: float) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._one_at_a_time:
            if self._connection is None:
                self._connection = duckdb.connect(":memory:", config=dict(_CONFIG))
            connection = self._connection
            attach(connection, path, "results", options, patience)
            try:
                connection.execute("USE results")
                yield connection
            except RuntimeError as problem:  # how DuckDB tells of Ctrl-C while it is at work
                if "interrupted" in str(problem):
                    raise KeyboardInterrupt from problem
                raise
            except duckdb.Error as problem:
                raise _told(path, problem) from problem
            finally:
                self._detach(connection)

    def _detach(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            connection.execute("USE memory")
            connection.execute("DETACH results")
        except duckdb.Error:  # what is damaged is not detached, and must not be in the way of the next
            self._connection = None
            connection.close()


#: The engine of this process.
ENGINE: Final = Engine()


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # DuckDB may have given it up itself; what was raised first counts
            connection.rollback()
        raise
    connection.commit()


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str, options: str, patience: float) -> None:
    """Attach the database at a path under a name, patiently.

    Raises BitspecError if it stays in use, or cannot be opened at all.
    """
    # Absolute, so that no name of a folder is taken for a kind of database (`sqlite:…`).
    place = str(path.absolute()).replace("'", "''")
    patiently(
        path,
        lambda: connection.execute(f"ATTACH '{place}' AS {name} (TYPE DUCKDB, {options})"),
        patience,
        lambda: connection.execute(f"DETACH {name}"),
    )


def identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at a path from any other that was or will be there; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def patiently(
    path: Path,
    opening: Callable[[], duckdb.DuckDBPyConnection],
    patience: float = PATIENCE,
    closing: Callable[[], object] | None = None,
) -> duckdb.DuckDBPyConnection:
    """What an opening of the database at a path gives, tried again for up to `patience` seconds while it is in use.

    A compaction puts another file in the place of a database. Who opened the old one just before it would write into a
    file that has no name any more: with `closing` it is closed again, and the new one opened. Who reads may read the
    old one. Raises BitspecError if the database stays in use, or cannot be opened at all.
    """
    _check_kind(path)
    _check_journal(path)
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        before = identity(path)
        try:
            found = opening()
        except duckdb.Error as problem:
            # The log beside a database is found by its name, and may be that of the new one.
            is_replaced = before is not None and identity(path) != before
            if not (is_replaced or is_busy(problem)) or time.monotonic() > deadline:
                raise BitspecError(complaint(path, problem)) from problem
        else:
            if closing is None or before is None or identity(path) == before:
                return found
            closing()
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - only to keep two processes out of step
        pause = min(pause * 1.5, _LAST_PAUSE)


def _check_kind(path: Path) -> None:
    """Raise BitspecError where a file would be waited for that never says anything."""
    # It is not opened for that: whoever closes a file gives up all locks that this process has on it.
    is_strange = False
    with suppress(OSError):  # of a folder that may not be looked into
        is_strange = path.exists() and not path.is_file() and not path.is_dir()
    if is_strange:
        hint = "move it away and run again to begin a new store, or choose another one with `--store`"
        raise BitspecError(error("store-broken", f"`{path}` is a pipe or a device, and no database", help=hint))


def _check_journal(path: Path) -> None:
    """Raise BitspecError where the journal beside a database is none: DuckDB would throw it away and say nothing."""
    start = b""
    with suppress(OSError), journal(path).open("rb") as file:
        start = file.read(len(_JOURNAL))
    # Of one that was begun and never written to, there is nothing to be lost.
    if start.strip(b"\0") and not _JOURNAL.startswith(start):
        raise BitspecError(broken_journal(path, "it does not begin as one"))


def _told(path: Path, problem: duckdb.Error) -> Exception:
    # A statement that is wrong is our mistake, and stays what it is; a file that is wrong is a message.
    of_the_file = (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException)
    if isinstance(problem, of_the_file) or type(problem) is duckdb.Error:  # a wrong checksum has no class of its own
        return BitspecError(complaint(path, problem))
    return problem
