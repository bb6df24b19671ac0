"""Running a statement that nobody has vetted: one SELECT, within a time, within a memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final, TypeVar

import duckdb

from bitspec.diagnostics import BitspecError, Source, error
from bitspec.query import complaints
from bitspec.query.connection import StillRunningError

#: Seconds that a statement may take.
SECONDS: Final = 60.0

#: Seconds in which DuckDB must heed an interruption; some of its functions never look up.
_GRACE: Final = 2.0
_TRIES: Final = 4

#: Values, rows × columns, of the largest answer: about half a gigabyte of Python's objects.
MAX_VALUES: Final = 10_000_000

#: Bytes that a process may take on top of what it has, where the system can see to that.
MEMORY: Final = 3 * 1024**3

_BATCH: Final = 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched:
    """What came of a statement: names and DuckDB types of its columns, its rows, and whether there are more."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_cut: bool = False


def fetch(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    parameters: Sequence[object] = (),
    *,
    seconds: float = SECONDS,
    rows: int | None = None,
) -> Fetched:
    """Run one SELECT, and fetch all of its rows or so many.

    Raises BitspecError if it is not one SELECT, is wrong, takes too long or too much memory.
    """
    try:
        return _within(seconds, connection, lambda: _run(connection, source, parameters, rows))
    except duckdb.Error as problem:
        raise BitspecError(complaints.complaint(source, problem)) from None
    except MemoryError:
        raise BitspecError(complaints.out_of_memory()) from None


def _one_select(connection: duckdb.DuckDBPyConnection, source: Source) -> duckdb.Statement:
    statements = connection.extract_statements(source.text)
    if not statements:
        message, hint = "there is no query", "write for example `select mean(score) by strategy`"
        raise BitspecError(error("missing-value", message, help=hint))
    if len(statements) > 1:
        raise BitspecError(complaints.several_statements(source, statements[0].query))
    kind = "unknown"
    with suppress(ValueError):  # a kind that the Python client has no name for
        kind = statements[0].type.name
    if kind != "SELECT":
        raise BitspecError(complaints.not_a_select(source, kind))
    return statements[0]


def _run(
    connection: duckdb.DuckDBPyConnection, source: Source, parameters: Sequence[object], most: int | None
) -> Fetched:
    result = connection.execute(_one_select(connection, source), list(parameters))
    names = tuple(column[0] for column in result.description or ())
    types = tuple(str(column[1]) for column in result.description or ())
    enough = most if most is not None else MAX_VALUES // max(1, len(names))
    rows: list[tuple[Any, ...]] = []
    while len(rows) <= enough and (batch := result.fetchmany(_BATCH)):
        rows += batch
    if len(rows) <= enough:
        return Fetched(names, types, rows)
    if most is None:
        raise BitspecError(complaints.too_many_rows(enough))
    return Fetched(names, types, rows[:most], is_cut=True)


def _within(seconds: float, connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """What work on a connection gives.

    It is done in a thread of its own: while DuckDB computes, Python would otherwise hear neither a clock nor Ctrl-C.
    """
    results: list[T] = []
    problems: list[BaseException] = []
    ended = Event()  # a thread that is joined is taken for ended after Ctrl-C, though it goes on

    def do() -> None:
        try:
            results.append(work())
        except BaseException as problem:
            problems.append(problem)
        finally:
            ended.set()

    thread = Thread(target=do, daemon=True)
    try:
        thread.start()
        if not ended.wait(seconds):
            _interrupt(connection, ended)
            raise BitspecError(complaints.too_slow(seconds))
    except KeyboardInterrupt:
        _interrupt(connection, ended)
        raise
    thread.join(_GRACE)
    if problems:
        raise problems[0]
    return results[0]


def _interrupt(connection: duckdb.DuckDBPyConnection, ended: Event) -> None:
    for _ in range(_TRIES):  # an interruption before the statement has begun would be lost
        connection.interrupt()
        if ended.wait(_GRACE / _TRIES):
            return
    raise StillRunningError(complaints.still_running())


@contextmanager
def bounded_memory(limit: int = MEMORY) -> Iterator[None]:
    """While it lasts, this process gets no more than so many bytes on top of those that it has. Linux only.

    DuckDB's own limit covers what it buffers, but not what a function such as `repeat` allocates.
    """
    used = _data_bytes()
    if used is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + limit
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - a file of the kernel's
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")), None)
    except OSError:
        return None
