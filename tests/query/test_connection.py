"""The locked connection: how it is opened, what it waits for, and what is said where it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError, Source
from bitspec.query.answer import ask
from bitspec.query.complaints import complaint
from bitspec.query.connection import CONFIGURATION, StillRunningError, connect, database

#: The user id that owns nothing.
NOBODY = 65534

HOLDER = """
import duckdb, sys, time
with duckdb.connect(sys.argv[1]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS held (x INTEGER)")
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """A store that a test may spoil."""
    return Path(shutil.copytree(store, tmp_path / "copy"))


@contextmanager
def holder(store: Path, seconds: float) -> Iterator[int]:
    """The id of another process that writes to a store for so long."""
    arguments = [sys.executable, "-c", HOLDER, str(store / "results.duckdb"), str(seconds)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
    assert process.returncode == 0


def said(store: Path, patience: float = 0.2) -> tuple[str, str]:
    with pytest.raises(BitspecError) as raised, connect(store, patience):
        pass
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return diagnostic.code, diagnostic.message


# Opening ------------------------------------------------------------------------------------------------


def test_a_store_is_named_by_its_folder_or_its_file(store: Path) -> None:
    for path in (store, store / "results.duckdb"):
        assert database(path) == store / "results.duckdb"
        with connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM scores").fetchall() == [(22,)]


@pytest.mark.parametrize("name", ["store", "store/results.duckdb", "elsewhere.duckdb", "a'b"])
def test_without_a_store(tmp_path: Path, name: str) -> None:
    code, message = said(tmp_path / name)
    assert (code, message) == ("no-store", f"there are no results in `{tmp_path / name}`")
    (tmp_path / "store").mkdir(exist_ok=True)
    assert said(tmp_path / name)[0] == "no-store"


def test_the_folder_may_be_called_anything(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("it's here", "md:mine", "a b;c", "sqlite:x"):
        shutil.copytree(store, tmp_path / name)
        with connect(Path(name)) as connection:
            assert connection.execute("SELECT count(*) FROM scores").fetchall() == [(22,)]


def test_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "results.duckdb"
    path.write_bytes(b"")
    assert said(tmp_path)[0] == "store-broken"
    path.write_text("hello" * 5000)
    assert said(tmp_path)[0] == "store-broken"
    path.unlink()
    path.mkdir()
    assert said(tmp_path)[0] == "store-broken"


def test_half_a_database(copy: Path) -> None:
    path = copy / "results.duckdb"
    path.write_bytes(path.read_bytes()[:20_000])
    code, message = said(copy)
    assert code == "store-broken"
    assert "{" not in message


@pytest.mark.skipif(os.name != "posix", reason="rights are told by POSIX modes")
def test_what_may_not_be_read(store: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        shutil.copytree(store, folder)
        folder.chmod(0o755)
        Path(name).chmod(0o755)
        (folder / "results.duckdb").chmod(0)
        before = os.geteuid()
        if before == 0:
            os.seteuid(NOBODY)
        try:
            assert said(folder)[0] == "store-unusable"
        finally:
            os.seteuid(before)
        folder.chmod(0)
        if before == 0:
            os.seteuid(NOBODY)
        try:
            assert said(folder)[0] == "store-unusable"
        finally:
            os.seteuid(before)
            folder.chmod(0o755)


# Beside others ------------------------------------------------------------------------------------------


def test_a_writer_is_waited_for(copy: Path) -> None:
    with holder(copy, 0.5):
        start = time.monotonic()
        with connect(copy) as connection:
            assert time.monotonic() - start > 0.2
            assert connection.execute("SELECT count(*) FROM held").fetchall() == [(0,)]


def test_a_writer_that_stays(copy: Path) -> None:
    with holder(copy, 1) as process:
        assert said(copy) == ("store-busy", f"the store `{copy}` is kept open by process {process}")


def test_what_a_killed_writer_left_is_read(copy: Path) -> None:
    program = (
        "import duckdb, os, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "connection.execute('CREATE TABLE late AS SELECT 7 AS x')\n"
        "os._exit(9)\n"
    )
    path = copy / "results.duckdb"
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 9
    files = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    assert path.with_name("results.duckdb.wal") in files
    with connect(copy) as connection:
        assert connection.execute("SELECT x FROM late").fetchall() == [(7,)]
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == files


def test_readers_do_not_keep_each_other_out(store: Path) -> None:
    with connect(store) as one, connect(store) as other:
        for connection in (one, other):
            assert connection.execute("SELECT current_setting('lock_configuration')").fetchall() == [(True,)]
    found: list[int] = []

    def read() -> None:
        with connect(store) as connection:
            found.extend(connection.execute("SELECT count(*) FROM scores").fetchall()[0])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [22] * 4


def test_it_is_closed_at_the_end_whatever_happens(copy: Path) -> None:
    with pytest.raises(ZeroDivisionError), connect(copy):
        _ = 1 / 0
    with duckdb.connect(copy / "results.duckdb") as connection:
        connection.execute("CREATE TABLE x (y INTEGER)")
    with connect(copy) as connection:
        pass
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")


def test_it_is_left_alone_where_a_statement_still_runs(store: Path) -> None:
    with pytest.raises(StillRunningError), connect(store) as connection:
        raise StillRunningError
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    connection.close()


# What it is locked with ---------------------------------------------------------------------------------


def test_the_configuration_is_in_force(store: Path) -> None:
    with connect(store) as connection:
        found = dict(connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    memory = found.pop("memory_limit")
    assert memory in {"1.8 GiB", "2.0 GB"}
    for name, value in {**CONFIGURATION, "enable_external_access": "false", "lock_configuration": "true"}.items():
        if name != "memory_limit":
            assert found[name].lower() == value.lower(), name
    assert found["allowed_directories"] == "[]"
    assert found["allowed_configs"] == "[]"


@pytest.mark.parametrize("name", [*CONFIGURATION, "enable_external_access", "lock_configuration"])
def test_the_configuration_stays(store: Path, name: str) -> None:
    with connect(store) as connection:
        for statement in (f"SET {name} = true", f"SET GLOBAL {name} = '1'", f"RESET {name}"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


@pytest.mark.parametrize("kind", [duckdb.IOException, duckdb.SerializationException, duckdb.FatalException])
def test_damage_that_shows_only_while_it_is_read(kind: type[duckdb.Error]) -> None:
    found = complaint(Source("<query>", "select 1 from scores"), kind("Could not read enough bytes\nmore"))
    assert (found.code, found.span) == ("store-broken", None)
    assert found.message.startswith("the store's database is damaged: Could not read enough bytes")


def test_a_wrong_checksum_is_damage_too() -> None:
    # It is of no class of its own.
    said = duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2 in block 3")
    found = complaint(Source("<query>", "select 1 from scores"), said)
    assert (found.code, found.span) == ("store-broken", None)
    assert found.message.startswith("the store's database is damaged: ")
    assert "computed checksum 1 does not match stored checksum 2" in found.message


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ("Cannot execute statement of type X in read-only mode!", "refused", "a query cannot change the store"),
        ("the configuration has been locked", "refused", "a query cannot change settings"),
        ("Max expression depth limit of 1000 exceeded", "too-deep", "this query is nested too deep"),
        (
            "it exists in the spatial extension",
            "refused",
            "this needs an extension of DuckDB, and a query loads none",
        ),
        (
            'Table with name "scores" does not exist!',
            "store-broken",
            "this database has no `scores`: it is none of bitspec's",
        ),
    ],
)
def test_what_a_statement_may_not_do(said: str, code: str, message: str) -> None:
    found = complaint(Source("<query>", "select 1 from scores"), duckdb.InvalidInputException(said))
    assert (found.code, found.message) == (code, message)
    assert found.help


def test_a_database_of_something_else_has_no_views(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "results.duckdb") as connection:
        connection.execute("CREATE TABLE flowers (name VARCHAR)")
    with pytest.raises(BitspecError) as raised:
        ask("select mean(score)", tmp_path)
    (found,) = raised.value.diagnostics
    assert (found.code, found.message) == (
        "store-broken",
        "this database has no view called `scores`: it is none of bitspec's, or of an older one",
    )
    assert found.help == "`bitspec run` brings a store up to date; `--store` names another"
