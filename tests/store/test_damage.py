"""Databases that are cut, overwritten or something else: told of or read rightly, never a crash, and never written to."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.query.answer import ask
from bitspec.store.complaints import complaint
from bitspec.store.store import Store
from tests.store.conftest import Lab

#: Damages a database in many ways, in a process of its own, since DuckDB might end it. Prints what came of each.
DAMAGING = """
import json, random, sys
from pathlib import Path
from bitspec.diagnostics import BitspecError
from bitspec.query.answer import ask
from bitspec.store.connection import ENGINE
from bitspec.store.store import Store

good, folder, seed, times = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
path, chance = folder / "results.duckdb", random.Random(seed)
views = ("scores", "epochs", "changes", "predictions", "studies")

def damaged():
    data, kind = bytearray(good), chance.choice(["cut", "bit", "header", "bytes", "zeros", "swapped"])
    place = chance.randrange(len(data))
    if kind == "cut":
        del data[place:]
    elif kind == "bit":
        data[place] ^= 1 << chance.randrange(8)
    elif kind == "header":
        data[chance.randrange(3 * 4096)] ^= 1 << chance.randrange(8)
    elif kind == "bytes":
        for _ in range(20):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == "zeros":
        data[place : place + 4096] = bytes(len(data[place : place + 4096]))
    else:
        other = chance.randrange(len(data) // 4096) * 4096
        place = place // 4096 * 4096
        data[place : place + 4096], data[other : other + 4096] = data[other : other + 4096], data[place : place + 4096]
    return kind, bytes(data)

def everything():
    Store(folder, patience=0.1).statuses()
    with ENGINE.reading(path, 0.1) as connection:
        return [connection.execute(f"FROM {view} ORDER BY ALL").fetchall() for view in views]

def asked():
    return [ask(f"select * from {view} order by all", folder, seconds=20).rows for view in views[::3]]

def prepared():
    Store(folder, patience=0.1).prepare()

path.write_bytes(good)
right = {work.__name__: work() for work in (everything, asked)}
for number in range(times):
    kind, data = damaged()
    for work in (everything, asked, prepared):
        path.with_name("results.duckdb.wal").unlink(missing_ok=True)
        path.write_bytes(data)
        print(json.dumps([number, kind, work.__name__]), end=" ", flush=True)
        try:
            came = "right" if work() == right.get(work.__name__) else "WRONG"
        except BitspecError as problem:
            came = problem.diagnostics[0].code
            if path.read_bytes() != data:
                came = "WRITTEN TO"
        except BaseException as problem:
            came = f"{type(problem).__name__}: {problem}"
        print(json.dumps(came), flush=True)
"""


def outcomes(lab: Lab, tmp_path: Path, root: Path, seed: int, times: int) -> dict[str, list[str]]:
    """What came of reading a database that is damaged so many times, and of which damages."""
    lab.run()
    (tmp_path / "damaged" / "values").mkdir(parents=True)
    database = str(lab.store.database)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DAMAGING, database, str(tmp_path / "damaged"), str(seed), str(times)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, (done.returncode, done.stdout.splitlines()[-1:], done.stderr[-2000:])
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        what, _, came = line.rpartition("] ")
        found.setdefault(json.loads(came), []).append(f"{what}]")
    return found


def check(found: dict[str, list[str]]) -> None:
    strange = {came: what for came, what in found.items() if came not in {"right", "store-broken"}}
    assert strange == {}


def test_any_damage_is_told_of_or_harmless(lab: Lab, tmp_path: Path, root: Path) -> None:
    found = outcomes(lab, tmp_path, root, seed=1, times=25)
    check(found)
    assert len(found["store-broken"]) > 10
    assert len(found["right"]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_a_great_deal_of_damage_is_told_of_or_harmless(lab: Lab, tmp_path: Path, root: Path, seed: int) -> None:
    check(outcomes(lab, tmp_path, root, seed=seed, times=400))


# The journal beside it ----------------------------------------------------------------------------------


JOURNAL = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE late AS SELECT range AS x FROM range(100)")
os._exit(9)
"""


@pytest.fixture
def journal(lab: Lab) -> Path:
    """The journal that a writer left who was killed, with a table `late`."""
    lab.run()
    subprocess.run([sys.executable, "-c", JOURNAL, str(lab.store.database)], check=False)
    path = lab.store.database.with_name("results.duckdb.wal")
    assert path.stat().st_size > 100
    return path


def told(work: Callable[[], object]) -> str:
    """What is said of a database that is damaged."""
    with pytest.raises(BitspecError) as found:
        work()
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "store-broken"
    assert diagnostic.help
    return f"{diagnostic.message}\n{diagnostic.help}"


@pytest.mark.parametrize("place", [60, 0.5, -3])
def test_a_journal_that_is_damaged(lab: Lab, journal: Path, place: float) -> None:
    data = bytearray(journal.read_bytes())
    data[int(place * len(data)) if isinstance(place, float) else place] ^= 0xFF
    journal.write_bytes(data)
    database = lab.store.database.read_bytes()
    for work in (lab.store.statuses, lab.store.prepare, lambda: ask("select n", lab.store.folder)):
        said = told(work)
        assert f"`{journal}`, which holds what was written last, is damaged or of another database: " in said
        assert "checksum" in said or "corrupt" in said
        assert "or move only the `.wal` away and run again: what it held is lost, and trained once more" in said
        assert journal.read_bytes() == data
        assert lab.store.database.read_bytes() == database
    journal.rename(journal.with_name("away"))  # as it says
    assert len(lab.store.statuses()) == 8


@pytest.mark.parametrize("kept", [0, 1, 30, 0.5, -1])
def test_a_journal_that_was_cut_is_read_as_far_as_it_goes(lab: Lab, journal: Path, kept: float) -> None:
    data = journal.read_bytes()
    journal.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    assert len(lab.store.statuses()) == 8
    lab.store.prepare()
    assert len(lab.run()) == 8


@pytest.mark.parametrize("content", [b"\xff", b"no journal at all\n" * 9], ids=["a byte", "all"])
def test_a_journal_that_does_not_begin_as_one_is_not_thrown_away(lab: Lab, journal: Path, content: bytes) -> None:
    data = content + journal.read_bytes()[len(content) :]
    journal.write_bytes(data)
    for work in (lab.store.statuses, lab.store.prepare, lambda: ask("select n", lab.store.folder)):
        assert "is damaged or of another database: it does not begin as one" in told(work)
        assert journal.read_bytes() == data


@pytest.mark.parametrize("content", [b"", b"d", bytes(5000)], ids=["empty", "begun", "zeros"])
def test_a_journal_in_which_there_is_nothing_is_in_nobodys_way(lab: Lab, content: bytes) -> None:
    lab.run()
    lab.store.database.with_name("results.duckdb.wal").write_bytes(content)
    assert len(lab.store.statuses()) == 8
    lab.store.prepare()
    assert ask("select n", lab.store.folder).rows == [(8,)]


def test_a_journal_of_another_database(journal: Path, tmp_path: Path) -> None:
    other = Lab(Store(tmp_path / "other"))
    other.run()
    shutil.copy(journal, tmp_path / "other")
    said = told(other.store.statuses)
    assert "is damaged or of another database: WAL does not match database file" in said
    assert told(other.store.prepare) == said
    assert (tmp_path / "other" / journal.name).read_bytes() == journal.read_bytes()


def test_a_journal_without_its_database(lab: Lab, journal: Path) -> None:
    data = journal.read_bytes()
    lab.store.database.rename(lab.store.folder / "elsewhere")
    said = told(lab.store.prepare)
    assert f"`{journal}` is there without the database `results.duckdb`, whose last results it holds" in said
    assert "put the database back beside it; or move it away" in said
    assert journal.read_bytes() == data
    assert not lab.store.database.exists()
    (lab.store.folder / "elsewhere").rename(lab.store.database)
    assert lab.rows("SELECT count(*) FROM late") == [(100,)]


def test_a_folder_where_the_journal_should_be(lab: Lab) -> None:
    lab.run()
    lab.store.database.with_name("results.duckdb.wal").mkdir()
    assert "is damaged or of another database: Could not read" in told(lab.store.statuses)


# What is no database ------------------------------------------------------------------------------------


def test_a_database_of_sqlite(lab: Lab) -> None:
    lab.store.folder.mkdir()
    with sqlite3.connect(lab.store.database) as connection:
        connection.execute("CREATE TABLE flowers (name)")
    connection.close()
    before = lab.store.database.read_bytes()
    for work in (lab.store.statuses, lab.store.prepare, lambda: ask("select n", lab.store.folder)):
        assert f"`{lab.store.database}` is not a database, or is damaged" in told(work)
    assert lab.store.database.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_not_waited_for(lab: Lab) -> None:
    lab.store.folder.mkdir()
    os.mkfifo(lab.store.database)
    for work in (lab.store.statuses, lab.store.prepare, lambda: ask("select n", lab.store.folder)):
        assert f"`{lab.store.database}` is a pipe or a device, and no database" in told(work)


@pytest.mark.parametrize("target", ["nowhere/results.duckdb", "results.duckdb"], ids=["nowhere", "itself"])
def test_a_link_that_leads_nowhere(lab: Lab, target: str) -> None:
    lab.store.folder.mkdir()
    lab.store.database.symlink_to(target)
    assert "Cannot open file" in told(lab.store.prepare)
    assert lab.store.database.is_symlink()
    with pytest.raises(BitspecError, match="there are no results in"):
        ask("select n", lab.store.folder)


@pytest.mark.parametrize(
    ("problem", "code", "message"),
    [
        (
            duckdb.IOException('IO Error: Cannot open file "x": Too many open files'),
            "store-unusable",
            "`s/results.duckdb` cannot be read or written: Too many open files",
        ),
        (
            duckdb.IOException('IO Error: Could not read from file "x": Input/output error'),
            "store-unusable",
            "`s/results.duckdb` cannot be read or written: Input/output error",
        ),
        (
            duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block of size 256.0 KiB"),
            "store-unusable",
            "there is not enough memory to open `s/results.duckdb`",
        ),
        (duckdb.IOException("IO Error: sqlite_scanner"), "store-broken", "`s/results.duckdb` is not a database, or is damaged: it is one of SQLite's"),
    ],
    ids=["files", "disk", "memory", "sqlite"],
)  # fmt: skip
def test_what_is_no_damage_is_not_called_so(problem: duckdb.Error, code: str, message: str) -> None:
    found = complaint(Path("s/results.duckdb"), problem)
    assert (found.code, found.message) == (code, message)
    assert "--store" in (found.help or "")
