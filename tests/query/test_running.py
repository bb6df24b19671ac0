"""A statement's limits: its time, its memory, its rows, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError, Source
from bitspec.query import running
from bitspec.query.running import bounded_memory, fetch

ENDLESS = "with recursive r(i) as (select 1 union all select i + 1 from r) select max(i) from r"
DEAF = "select levenshtein(repeat('ab', 200000), repeat('ba', 200000)) from (select 1)"

ASK = """
import sys
from pathlib import Path
from bitspec.query import connection
from bitspec.query.answer import ask
from bitspec.query.running import bounded_memory
connection.CONFIGURATION = {**connection.CONFIGURATION, "memory_limit": "100MB"}
print("ready", flush=True)
with bounded_memory(5 * 10**8):
    try:
        print(ask(sys.argv[2], Path(sys.argv[1]), seconds=float(sys.argv[3])).rows)
    except BaseException as problem:
        print(type(problem).__name__, *getattr(problem, "diagnostics", ()), flush=True)
        import os
        os._exit(7)
"""


def said(connection: duckdb.DuckDBPyConnection, text: str, seconds: float = 60) -> tuple[str, str]:
    with pytest.raises(BitspecError) as raised:
        fetch(connection, Source("<query>", text), seconds=seconds)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return diagnostic.code, diagnostic.message


def start(store: Path, text: str, seconds: float) -> subprocess.Popen[str]:
    """A query in a process of its own, which has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, str(store), text, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# Time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        ENDLESS,
        "select count(*) from range(10000000) a, range(10000000) b where (a.range * b.range) % 7 = 1",
        "select i from range(1000000000000) t(i) where i < 0",
    ],
)
def test_what_does_not_end_is_stopped(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    begun = time.monotonic()
    assert said(connection, text, seconds=0.3) == ("too-slow", "the query was stopped after 0.3 s")
    assert time.monotonic() - begun < 5
    assert fetch(connection, Source("<query>", "select 1")).rows == [(1,)]  # it can be asked again


def test_what_does_not_listen_is_left(store: Path) -> None:
    with start(store, DEAF, 0.3) as process:
        assert process.stdout is not None
        begun = time.monotonic()
        assert "StillRunningError error[too-slow]" in process.stdout.read()
        assert time.monotonic() - begun < 10
    assert process.returncode == 7


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX does it")
def test_ctrl_c_stops_a_query(store: Path) -> None:
    with start(store, ENDLESS, 60) as process:
        assert process.stdout is not None
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert process.stdout.read() == "KeyboardInterrupt\n"
        assert time.monotonic() - begun < 10


# Memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "select list(range) from range(10000000000)",
        "select a.range from range(50000000) a order by (a.range * 7919) % 104729, a.range",
    ],
)
def test_what_duckdb_buffers_is_bounded(store: Path, text: str) -> None:
    with start(store, text, 60) as process:
        assert process.stdout is not None
        assert "BitspecError error[too-large]: this query needs more memory" in process.stdout.read()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
@pytest.mark.parametrize(
    "text",
    [
        "select length(repeat('x', 4000000000)) from (select 1)",
        "select len(range(1000000000)) from (select 1)",
        "select repeat('x', 1000000) from range(1000000)",
    ],
)
def test_what_functions_allocate_is_bounded(store: Path, text: str) -> None:
    with start(store, text, 60) as process:
        assert process.stdout is not None
        assert "BitspecError error[too-large]: this query needs more memory" in process.stdout.read()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_the_bound_is_taken_away_again() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with bounded_memory(10**8):
        assert 10**8 < resource.getrlimit(resource.RLIMIT_DATA)[0] < 10**11
        with bounded_memory(10**12):  # one that is there already is never raised
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] < 10**11
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_without_a_way_to_bound_it_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_data_bytes", lambda: None)
    with bounded_memory(1):
        assert len(bytearray(1000)) == 1000


# Rows ---------------------------------------------------------------------------------------------------


def test_as_many_rows_as_are_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    source = Source("<query>", "select i from range(3000) t(i)")
    assert len(fetch(connection, source).rows) == 3000
    for rows, is_cut in ((0, True), (10, True), (2999, True), (3000, False), (5000, False)):
        found = fetch(connection, source, rows=rows)
        assert found.rows == [(i,) for i in range(min(rows, 3000))]
        assert found.is_cut is is_cut


def test_too_many_rows(connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_VALUES", 1000)
    source = Source("<query>", "select i, i from range(500) t(i)")
    assert len(fetch(connection, source).rows) == 500
    text = "select i, i from range(501) t(i)"
    assert said(connection, text) == ("too-large", "this query gives more than 500 rows")


# The rest -----------------------------------------------------------------------------------------------


def test_names_types_and_parameters(connection: duckdb.DuckDBPyConnection) -> None:
    found = fetch(connection, Source("<query>", "select $2 as b, $1::int as a, 1.5 as c"), ["1", "x"])
    assert found.names == ("b", "a", "c")
    assert found.types == ("VARCHAR", "INTEGER", "DECIMAL(2,1)")
    assert found.rows == [("x", 1, pytest.approx(1.5))]


def test_threads_end(connection: duckdb.DuckDBPyConnection) -> None:
    before = threading.active_count()
    for _ in range(5):
        fetch(connection, Source("<query>", "select 1"))
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "missing-value", "there is no query"),
        ("-- nothing", "missing-value", "there is no query"),
        ("select 1 / 0 from scores", "wrong-statement", None),
        ("select cast('x' as int)", "wrong-statement", "could not convert string 'x' to INT32"),
        ("select scor from scores", "unknown-column", "there is no column called `scor`"),
        ("select strategy from scores where task = rte", "unknown-column", "there is no column called `rte`"),
        ("select * from scors", "unknown-view", "there is no view called `scors`"),
        ("select sd(score) from scores", "unknown-function", "there is no function called `sd` in plain SQL"),
        ("select ci95(score) from scores", "unknown-function", "there is no function called `ci95` in plain SQL"),
        ("select strateg(score) from scores", "unknown-function", "there is no scalar function called `strateg`"),
        ("select * from scores where", "syntax", None),
        ("select (score from scores", "syntax", "`from` is out of place"),
        ("select 'x from scores", "syntax", "unterminated string literal"),
        ("select strategy, avg(score) from scores", "wrong-statement", None),
        ("select timestamptz '2020-01-01'", "wrong-value", "a time with a time zone cannot be shown"),
        ("select regexp_matches(strategy, '(') from scores", "wrong-statement", "missing ): ("),
    ],
)
def test_what_duckdb_complains_of(
    connection: duckdb.DuckDBPyConnection, text: str, code: str, message: str | None
) -> None:
    try:
        fetch(connection, Source("<query>", text))
    except BitspecError as problem:
        (diagnostic,) = problem.diagnostics
        assert diagnostic.code == code
        assert message is None or diagnostic.message == message
        assert diagnostic.help
        assert "{" not in diagnostic.message
        assert "Error" not in diagnostic.message
        return
    assert "1 / 0" in text  # DuckDB 1 gives null


def test_the_place_is_found_among_letters_of_several_bytes(connection: duckdb.DuckDBPyConnection) -> None:
    text = "select 'äöü€😀' as x,\n  scor from scores"
    with pytest.raises(BitspecError) as raised:
        fetch(connection, Source("<query>", text))
    assert str(raised.value).splitlines()[1:5] == [
        " --> <query>:2:3",
        "  |",
        "2 |   scor from scores",
        "  |   ^^^^",
    ]
