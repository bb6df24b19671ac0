"""Places where a store cannot be: each is told of at the start, with what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.store.complaints import complaint
from bitspec.store.connection import ENGINE
from bitspec.store.store import Store
from tests.store.conftest import STARTED, Lab, failed, result, trained_values


def refused(store: Store, code: str) -> str:
    """What is said when a store is prepared that cannot be."""
    with pytest.raises(BitspecError) as found:
        store.prepare()
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.help
    return str(found.value)


def test_a_folder_that_cannot_be_written_to(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    said = refused(Store(unprivileged / "store"), "store-unusable")
    assert f"results cannot be kept in `{unprivileged / 'store'}`: permission is denied" in said
    assert "choose another folder with `--store`" in said


@pytest.mark.parametrize("part", [".", "values"])
def test_a_store_that_can_only_be_read(unprivileged: Path, part: str) -> None:
    lab = Lab(Store(unprivileged))
    lab.run()
    (unprivileged / part).chmod(0o500)
    said = refused(lab.store, "store-unusable")
    assert "permission is denied" in said
    assert len(lab.store.statuses()) == 8  # to read is still allowed
    assert len(lab.rows("FROM scores")) == 8


def test_a_database_that_can_only_be_read(unprivileged: Path) -> None:
    lab = Lab(Store(unprivileged))
    cell = lab.begin()[0]
    lab.store.database.chmod(0o400)
    assert "cannot be opened: permission is denied" in refused(lab.store, "store-unusable")
    with pytest.raises(BitspecError, match="permission is denied"):
        lab.record(cell)
    assert lab.store.statuses() == {}


def test_a_database_that_cannot_even_be_read(unprivileged: Path) -> None:
    lab = Lab(Store(unprivileged))
    lab.begin()
    lab.store.database.chmod(0o000)
    with pytest.raises(BitspecError, match="permission is denied"):
        lab.store.statuses()


def test_a_folder_that_may_not_be_looked_into(unprivileged: Path) -> None:
    lab = Lab(Store(unprivileged / "store"))
    lab.begin()
    lab.store.folder.chmod(0o000)
    said = f"results cannot be kept in `{lab.store.folder}`: permission is denied"
    assert said in refused(lab.store, "store-unusable")
    for work in (lab.store.statuses, lab.store.packs, lab.store.durations, lab.store.read_path):
        with pytest.raises(BitspecError, match=said):
            work()


@pytest.mark.parametrize("place", ["store", "store/deeper", "store/values"])
def test_a_file_in_the_way(tmp_path: Path, place: str) -> None:
    if place == "store/values":
        (tmp_path / "store").mkdir()
    in_the_way = tmp_path / ("store/values" if place == "store/values" else "store")
    in_the_way.write_text("I was here first", "utf-8")
    folder = tmp_path / ("store" if place == "store/values" else place)
    said = refused(Store(folder), "store-unusable")
    assert f"results cannot be kept in `{folder}`: `{in_the_way}` is a file" in said
    assert in_the_way.read_text("utf-8") == "I was here first"


def test_a_folder_where_the_database_should_be(lab: Lab) -> None:
    lab.store.database.mkdir(parents=True)
    assert "is not a database, or is damaged" in refused(lab.store, "store-broken")


@pytest.mark.parametrize("content", [b"", b"abc", b"no database\n" * 1000])
def test_a_file_that_is_no_database(lab: Lab, content: bytes) -> None:
    lab.store.folder.mkdir()
    lab.store.database.write_bytes(content)
    said = refused(lab.store, "store-broken")
    assert "is not a database, or is damaged" in said
    assert "put a copy of it back" in said
    assert lab.store.database.read_bytes() == content
    with pytest.raises(BitspecError, match="is not a database"):
        lab.store.statuses()


@pytest.mark.parametrize("kept", [100, 4096, 10_000, 12_288, 200_000])
def test_a_database_that_was_cut(lab: Lab, kept: int) -> None:
    lab.run()
    lab.store.database.write_bytes(lab.store.database.read_bytes()[:kept])
    assert "is damaged" in refused(Store(lab.store.folder), "store-broken")
    with pytest.raises(BitspecError, match="is damaged"):
        lab.store.statuses()


@pytest.mark.parametrize("kept", [0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_database_that_was_cut_later_is_told_of_where_it_is_read(lab: Lab, kept: float) -> None:
    lab.run()
    before = lab.rows("FROM scores ORDER BY key"), lab.rows("FROM predictions ORDER BY ALL")
    content = lab.store.database.read_bytes()
    lab.store.database.write_bytes(content[: int(kept * len(content))])
    told: BitspecError | None = None
    try:
        Store(lab.store.folder).prepare()
        after = lab.rows("FROM scores ORDER BY key"), lab.rows("FROM predictions ORDER BY ALL")
    except BitspecError as problem:
        told = problem
    if told is not None:
        assert [found.code for found in told.diagnostics] == ["store-broken"]
    else:
        assert after == before  # only what was free is gone


def test_a_database_whose_content_was_overwritten(lab: Lab) -> None:
    lab.run()
    content = bytearray(lab.store.database.read_bytes())
    content[3 * 4096 :] = bytes(len(content) - 3 * 4096)
    lab.store.database.write_bytes(content)
    with pytest.raises(BitspecError, match="is damaged"):
        lab.store.trial("")
    # It is not in the way of another store.
    other = Lab(Store(lab.store.folder.parent / "other"))
    assert len(other.run()) == 8


def test_a_database_of_something_else(lab: Lab) -> None:
    lab.store.folder.mkdir()
    with duckdb.connect(lab.store.database) as connection:
        connection.execute("CREATE TABLE flowers (name VARCHAR)")
    assert "is a database, but none of bitspec's" in refused(lab.store, "store-broken")
    with duckdb.connect(lab.store.database) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("flowers",)]


def test_a_store_of_a_newer_bitspec(lab: Lab) -> None:
    lab.run()
    with ENGINE.writing(lab.store.database) as connection:
        connection.execute("UPDATE base.meta SET version = 99")
    assert "was written by a newer bitspec" in refused(lab.store, "store-newer")
    with pytest.raises(BitspecError, match="newer bitspec"):
        lab.store.statuses()


def test_a_store_of_a_newer_duckdb(lab: Lab) -> None:
    lab.run()
    content = bytearray(lab.store.database.read_bytes())
    assert content[8:12] == b"DUCK"
    path = lab.store.database
    said = duckdb.IOException(
        f'IO Error: Trying to read a database file with version number 999, but we can only read versions "{path}"\nmore'
    )
    found = complaint(path, said)
    assert found.code == "store-newer"
    assert "was written by a newer DuckDB" in found.message
    assert "pip install --upgrade duckdb" in str(found.help)


def test_a_store_can_be_read_by_the_oldest_duckdb_that_bitspec_runs_on(lab: Lab) -> None:
    lab.run()
    tags = lab.rows("SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'results'")
    assert tags == [("v1.4.0+",)]


def test_a_full_disk_is_told_of(lab: Lab) -> None:
    found = complaint(lab.store.database, duckdb.IOException("IO Error: No space left on device"))
    assert "no space left" in found.message
    assert "free some" in str(found.help)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_values_that_no_disk_takes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = lab.begin()[0]

    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"a part")
        Path("/dev/full").write_bytes(b"x" * 10_000)

    monkeypatch.setattr("bitspec.store.store.write_values", full)
    with pytest.raises(BitspecError, match="no space left"):
        lab.record(cell, values=trained_values())
    assert lab.store.statuses() == {}
    assert list((lab.store.folder / "values").iterdir()) == []


HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_database_that_another_program_keeps_open(lab: Lab) -> None:
    cell = lab.begin()[0]
    command = [sys.executable, "-c", HOLDER, str(lab.store.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        hasty = Store(lab.store.folder, patience=0.3)
        began = time.monotonic()
        with pytest.raises(BitspecError, match=f"is kept open by process {holder.pid}") as found:
            hasty.record(lab.runs[0], cell, result(cell), started=STARTED)
        assert 0.3 <= time.monotonic() - began < 5
        assert "finished trials are kept" in str(found.value)
        with pytest.raises(BitspecError, match="is kept open"):
            hasty.statuses()
        holder.communicate()
    assert hasty.statuses() == {}
    assert hasty.record(lab.runs[0], cell, result(cell), started=STARTED)


def test_a_database_that_this_very_process_keeps_open(lab: Lab) -> None:
    cell = lab.begin()[0]
    hasty = Store(lab.store.folder, patience=0.05)
    with duckdb.connect(lab.store.database, read_only=True), pytest.raises(BitspecError) as found:
        hasty.record_failure(lab.runs[0], cell, failed(cell), started=STARTED)
    assert re.search("kept open by another program, or another part of this one", str(found.value))
    assert hasty.statuses() == {}


def test_names_of_folders_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("it's", "sqlite:x", "a b", "ü", ":memory:", "x' AS y; --"):
        lab = Lab(Store(Path(name)))
        lab.begin(only=["frozen"])
        assert (tmp_path / name / "results.duckdb").exists()
        assert lab.rows("SELECT count(*) FROM cells") == [(4,)]
