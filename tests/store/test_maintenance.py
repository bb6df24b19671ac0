"""A check finds what is wrong and nothing else, and a compaction loses nothing."""

# ruff: noqa: S608 - statements of the tests' own

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from safetensors.numpy import save_file

from bitspec.diagnostics import BitspecError
from bitspec.store import connection as connections
from bitspec.store import maintenance
from bitspec.store.connection import ENGINE
from bitspec.store.health import check
from bitspec.store.maintenance import compact
from bitspec.store.store import Store
from bitspec.store.values import write_values
from tests.store.conftest import STARTED, Lab, failed, plan, result, trained_values
from tests.store.stores import age, alter, as_of_version, checkpoint, everything, files, leave_a_log
from tests.store.test_beside import WIDE

CONTEXT = multiprocessing.get_context("spawn")


@pytest.fixture
def filled(lab: Lab) -> Lab:
    """A store with finished trials, two of them with values, a failure, and a cell that was never trained."""
    cells = lab.begin()
    with lab.at_once():
        for place, cell in enumerate(cells[:6]):
            lab.record(cell, values=trained_values() if place < 2 else None)
    lab.store.record_failure(lab.runs[0], cells[6], failed(cells[6]), started=STARTED)
    return lab


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without values: to copy one takes less than to fill one."""
    lab = Lab(Store(tmp_path_factory.mktemp("template") / "store"))
    cells = lab.begin()
    for cell in cells[:6]:
        lab.record(cell)
    lab.store.record_failure(lab.runs[0], cells[6], failed(cells[6]), started=STARTED)
    return lab.store.folder


def keys(lab: Lab) -> list[str]:
    return [key for (key,) in lab.rows("SELECT key FROM trials WHERE status = 'finished' ORDER BY values_file, key")]


# Check ------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_sound_store(filled: Lab) -> None:
    before = files(filled.store.folder)
    health = check(filled.store)
    assert health.findings == ()
    assert (health.finished, health.values) == (6, 2)
    assert files(filled.store.folder) == before


def test_nothing_is_wrong_with_a_store_that_has_just_begun(lab: Lab) -> None:
    lab.store.prepare()
    assert check(lab.store).findings == ()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_nothing_is_wrong_with_a_store_of_an_older_bitspec(filled: Lab, tmp_path: Path, version: int) -> None:
    alter(filled.store, "UPDATE base.trials SET values_file = NULL")
    old = as_of_version(filled.store, version, tmp_path / "old")
    assert check(old).findings == ()
    with ENGINE.reading(old.database) as connection:
        assert connection.execute("SELECT version FROM base.meta").fetchall() == [(version,)]


def test_without_a_store(lab: Lab) -> None:
    for command in (check, compact):
        with pytest.raises(BitspecError, match="there are no results in"):
            command(lab.store)
    assert not lab.store.folder.exists()


FIRST = "(SELECT min(key) FROM base.trials WHERE status = 'finished')"
LOST = "f" * 64

#: What is done to the tables, and the finding that there is then. `FIRST` is a finished trial.
OF_ROWS = {
    "a trial twice": (
        f"INSERT INTO base.trials FROM base.trials WHERE key = {FIRST}",
        "it is in the table `trials` 2 times",
    ),
    "an epoch twice": (
        f"INSERT INTO base.epochs FROM base.epochs WHERE key = {FIRST}",
        "rows of the table `epochs` are there twice: 2 of them",
    ),
    "changes twice": (
        "INSERT INTO base.changes FROM base.changes WHERE key = (SELECT min(key) FROM base.changes)",
        "rows of the table `changes` are there twice: 3 of them",
    ),
    "predictions twice": (
        f"INSERT INTO base.predictions FROM base.predictions WHERE key = {FIRST}",
        "rows of the table `predictions` are there twice: 3 of them",
    ),
    "epochs of nothing": (
        f"INSERT INTO base.epochs SELECT * REPLACE ('{LOST}' AS key) FROM base.epochs WHERE key = {FIRST}",
        "2 rows of the table `epochs` are of no finished trial",
    ),
    "changes of nothing": (
        f"UPDATE base.changes SET key = '{LOST}' WHERE key = (SELECT min(key) FROM base.changes)",
        "3 rows of the table `changes` are of no finished trial",
    ),
    "predictions of a failure": (
        "INSERT INTO base.predictions SELECT key, 'x', range, 0, 0, 0 FROM base.trials, range(3) WHERE status = 'failed'",
        "3 rows of the table `predictions` are of no finished trial",
    ),
    "no epochs": (f"DELETE FROM base.epochs WHERE key = {FIRST}", "it is finished, and has no epochs"),
    "no predictions": (f"DELETE FROM base.predictions WHERE key = {FIRST}", "it is finished, and has no predictions"),
    "a run that is not there": (
        f"UPDATE base.trials SET run = 7 WHERE key = {FIRST}",
        "the run that trained it, run 7, is not in the table `runs`",
    ),
    "a run twice": ("INSERT INTO base.runs FROM base.runs", "it is in the table `runs` 2 times"),
    "a cell twice": (
        f"INSERT INTO base.cells FROM base.cells WHERE key = {FIRST}",
        "it is in the table `cells` 2 times",
    ),
    "cells of no run": (
        f"UPDATE base.cells SET run = 9 WHERE key = {FIRST}",
        "it is not in the table `runs`, and covers cells, 1 of them",
    ),
    "a status that is none": (
        "UPDATE base.trials SET status = 'perfect' WHERE status = 'failed'",
        "its status is none that there is",
    ),
    "a time that never was": (
        f"UPDATE base.trials SET finished = 'infinity' WHERE key = {FIRST}",
        "its times are none",
    ),
    "a run at no time": ("UPDATE base.runs SET began = '0001-01-01'", "its times are none"),
    "values elsewhere": (
        f"UPDATE base.trials SET values_file = '../../x' WHERE key = {FIRST}",
        "it names a file of values that is not its own, `../../x`",
    ),
}


@pytest.mark.parametrize("damage", OF_ROWS)
def test_what_is_wrong_with_rows_is_found(template: Path, tmp_path: Path, damage: str) -> None:
    lab = Lab(Store(Path(shutil.copytree(template, tmp_path / "store"))))
    statement, problem = OF_ROWS[damage]
    alter(lab.store, statement)
    (finding,) = check(lab.store).findings
    assert finding.problem == problem
    assert finding.place
    assert finding.remedy


def test_a_trial_is_called_by_its_name_and_the_command_is_there_to_copy(lab: Lab) -> None:
    lab.run()
    key = keys(lab)[0]
    alter(lab.store, f"DELETE FROM base.epochs WHERE key = '{key}'")
    (finding,) = check(lab.store).findings
    ((strategy, task, seed),) = lab.rows("SELECT strategy, task, seed FROM trials WHERE key = ?", key)
    assert finding.place == f"trial {key[:12]} ({strategy} on {task}, seed {seed})"
    where = f" --store {lab.store.folder}"
    assert finding.remedy == f"train it again: `bitspec store forget {key[:12]}{where}`, then `bitspec run`"


def _cut(_: Lab, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _empty(_: Lab, path: Path) -> None:
    path.write_bytes(b"")


def _foreign(_: Lab, path: Path) -> None:
    save_file({"x": np.zeros(3)}, path)


def _strange(_: Lab, path: Path) -> None:
    save_file({"x": np.zeros(3)}, path, {"format": "bitspec.values/1", "tensors": '{"x": 1}'})


def _of_another(lab: Lab, path: Path) -> None:
    path.write_bytes((lab.store.folder / "values" / f"{keys(lab)[1]}.safetensors").read_bytes())


def _of_none(_: Lab, path: Path) -> None:
    write_values(path, trained_values(), {})


def _folder(_: Lab, path: Path) -> None:
    path.unlink()
    path.mkdir()


#: What is done to the file of values of the first trial, and the finding that there is then.
OF_VALUES: dict[str, tuple[Callable[[Lab, Path], None], str]] = {
    "missing": (lambda _, path: path.unlink(), "its trained values are missing: `values/"),
    "cut": (_cut, "cannot be read"),
    "empty": (_empty, "cannot be read"),
    "foreign": (_foreign, "its format is unknown, not bitspec.values/1"),
    "strange": (_strange, "cannot be read"),
    "of another trial": (_of_another, "the values in it are of another trial, "),
    "of no trial": (_of_none, "the values in it are of another trial, unknown"),
    "a folder": (_folder, "its trained values are missing: `values/"),
}


@pytest.mark.parametrize("damage", OF_VALUES)
def test_what_is_wrong_with_values_is_found(filled: Lab, damage: str) -> None:
    harm, problem = OF_VALUES[damage]
    path = filled.store.folder / "values" / f"{keys(filled)[0]}.safetensors"
    harm(filled, path)
    found = [one for one in check(filled.store).findings if "bitspec has put nothing there" not in one.problem]
    assert len(found) == 1
    assert problem in found[0].problem
    assert f"`bitspec store forget {keys(filled)[0][:12]} --store {filled.store.folder}`" in found[0].remedy


def test_what_lies_about_is_found(filled: Lab) -> None:
    folder = filled.store.folder
    done, open_ = keys(filled), "e" * 64
    (folder / "values" / f"{LOST}.safetensors").write_bytes(b"x")
    (folder / "values" / "notes.txt").write_bytes(b"x")
    (folder / "values" / ".DS_Store").write_bytes(b"x")
    (folder / "values" / ".unfinished-new").write_bytes(b"x")
    age(folder / "values" / ".unfinished-new", 1800)
    checkpoint(filled.store, done[:2], "1" * 32)
    checkpoint(filled.store, [done[0], open_], "2" * 32)
    checkpoint(filled.store, [open_], "3" * 32, format="bitspec.checkpoint/9")
    (folder / "checkpoints" / f"{'4' * 32}.safetensors").write_bytes(b"cut")
    checkpoint(filled.store, [], "5" * 32)
    checkpoint(filled.store, [], "6" * 32, keys="{nothing")
    checkpoint(filled.store, [open_], "7" * 32)
    (folder / "checkpoints" / "odd").write_bytes(b"x")
    stale = [folder / ".unfinished-a.duckdb", folder / "values/.unfinished-b", folder / "checkpoints/.unfinished-c"]
    for path in stale[:2]:
        path.write_bytes(b"x")
    stale[2].mkdir()  # as checkpoints are written
    (stale[2] / "x.safetensors").write_bytes(b"x")
    for path in stale:
        age(path)
    found = {finding.place: (finding.problem, finding.remedy) for finding in check(filled.store).findings}
    compacts = f"`bitspec store compact --store {folder}` removes it"
    half = ("it was half-written when its process was stopped", compacts)
    again = "remove it: its trials begin anew"
    assert found == {
        ".unfinished-a.duckdb": half,
        "values/.unfinished-b": half,
        "checkpoints/.unfinished-c": half,
        f"values/{LOST}.safetensors": ("no trial has these values", compacts),
        f"checkpoints/{'1' * 32}.safetensors": ("all trials of this checkpoint are finished", compacts),
        f"checkpoints/{'3' * 32}.safetensors": (
            "the checkpoint cannot be read: its format is bitspec.checkpoint/9, not bitspec.checkpoint/1",
            again,
        ),
        f"checkpoints/{'4' * 32}.safetensors": (found[f"checkpoints/{'4' * 32}.safetensors"][0], again),
        f"checkpoints/{'5' * 32}.safetensors": (
            "the checkpoint cannot be read: it does not say which trials it holds",
            again,
        ),
        f"checkpoints/{'6' * 32}.safetensors": (found[f"checkpoints/{'6' * 32}.safetensors"][0], again),
        f"checkpoints/{'7' * 32}.safetensors": ("no study has the trials of this checkpoint any more", compacts),
        "values/notes.txt": ("bitspec has put nothing there by this name", "move it elsewhere"),
        "checkpoints/odd": ("bitspec has put nothing there by this name", "move it elsewhere"),
    }


def harm_of(store: Store) -> set[str]:
    """What a check of a damaged database comes to: the code of an error, or what to do about the findings."""
    try:
        return {finding.remedy for finding in check(store).findings}
    except BitspecError as problem:
        return {found.code for found in problem.diagnostics}


def test_every_block_is_read(lab: Lab) -> None:
    lab.run()
    rows = everything(lab.store)
    content = lab.store.database.read_bytes()
    told = 0
    for start in range(3 * 4096, len(content), 256 * 1024):  # a block, with its checksum
        harmed = bytearray(content)
        harmed[start + 512] ^= 0xFF
        lab.store.database.write_bytes(harmed)
        said = harm_of(Store(lab.store.folder))
        if said:
            told += 1
            assert said <= {"store-broken", "put a copy of the database back"}
        else:
            assert everything(lab.store) == rows  # it was of no table
    assert told > 2
    lab.store.database.write_bytes(content)
    assert check(Store(lab.store.folder)).findings == ()


def test_a_store_of_a_newer_bitspec_is_not_looked_at(lab: Lab) -> None:
    lab.run()
    alter(lab.store, "UPDATE base.meta SET version = 99")
    for command in (check, compact):
        with pytest.raises(BitspecError, match="newer bitspec"):
            command(lab.store)


# Compact ----------------------------------------------------------------------------------------------------


def swell(lab: Lab) -> None:
    """Have the database hold much more than it needs: what is free at its end would be given back by DuckDB itself."""
    lab.store.prepare()
    alter(lab.store, "CREATE TABLE base.ballast AS SELECT range AS x, hash(range) AS y FROM range(500000)")
    lab.run()
    alter(lab.store, "DROP TABLE base.ballast")


def test_a_compaction_frees_space_and_keeps_everything(lab: Lab) -> None:
    swell(lab)
    lab.store.database.chmod(0o660)
    before, size = everything(lab.store), lab.store.database.stat().st_size
    compacted = compact(lab.store)
    assert everything(lab.store) == before
    assert (compacted.before, compacted.after) == (size, lab.store.database.stat().st_size)
    assert compacted.after < size / 2
    assert compacted.removed == ()
    assert lab.store.database.stat().st_mode & 0o777 == 0o660
    assert {path.name for path in lab.store.folder.iterdir()} == {"results.duckdb", "values"}
    assert check(lab.store).findings == ()
    # It is as good as new: read by others, written to, read by the oldest DuckDB.
    with duckdb.connect(lab.store.database, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (8,)
    assert lab.rows("SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'results'") == [
        ("v1.4.0+",)
    ]
    lab.run(WIDE)
    assert lab.rows("SELECT count(*) FROM scores") == [(18,)]


def test_what_nothing_needs_is_removed_and_nothing_else(filled: Lab) -> None:
    folder, done = filled.store.folder, keys(filled)
    unneeded = [
        folder / "values" / f"{LOST}.safetensors",
        checkpoint(filled.store, done[:2], "1" * 32),
        folder / "values" / ".unfinished-old",
        folder / ".unfinished-old.duckdb.wal",
    ]
    for path in (unneeded[0], unneeded[2], unneeded[3]):
        path.write_bytes(b"four")
        age(path)
    half = folder / "checkpoints" / ".unfinished-half"
    half.mkdir()
    (half / "x.safetensors").write_bytes(b"four")
    age(half)
    kept = [
        folder / "values" / ".unfinished-new",
        folder / "values" / "notes.txt",
        folder / "values" / f"{done[0]}.safetensors",
        checkpoint(filled.store, [done[0], "e" * 64], "2" * 32),
        folder / "checkpoints" / f"{'4' * 32}.safetensors",
    ]
    for path in (kept[0], kept[1], kept[4]):
        path.write_bytes(b"x")
    size = sum(path.stat().st_size for path in unneeded)
    compacted = compact(filled.store)
    assert {path for path, _ in compacted.removed} == {*unneeded, half}
    assert compacted.removed_bytes == size + 4
    assert not half.exists()
    assert not [path for path in unneeded if path.exists()]
    assert not [path for path in kept if not path.exists()]
    assert compact(filled.store).removed == ()


def test_where_nothing_is_won_nothing_is_replaced(lab: Lab) -> None:
    swell(lab)
    compact(lab.store)
    before = lab.store.database.stat()
    compacted = compact(lab.store)
    assert compacted.before == compacted.after
    assert lab.store.database.stat().st_ino == before.st_ino


def test_what_somebody_put_into_the_database_stays_there(lab: Lab) -> None:
    swell(lab)
    alter(
        lab.store,
        "CREATE TABLE main.mine (x INTEGER PRIMARY KEY, y VARCHAR DEFAULT 'z')",
        "INSERT INTO main.mine (x) VALUES (1), (2)",
        "CREATE VIEW main.best AS SELECT max(score) AS score FROM scores",
        "CREATE MACRO main.twice(x) AS 2 * x",
    )
    best = lab.rows("FROM best")
    compact(lab.store)
    assert lab.rows("SELECT twice(x), y FROM mine ORDER BY x") == [(2, "z"), (4, "z")]
    assert lab.rows("FROM best") == best
    with pytest.raises(duckdb.ConstraintException):
        alter(lab.store, "INSERT INTO main.mine (x) VALUES (1)")


def test_a_store_of_an_older_bitspec_stays_what_it_is(lab: Lab, tmp_path: Path) -> None:
    swell(lab)
    old = as_of_version(lab.store, 1, tmp_path / "old")
    with duckdb.connect(old.database) as connection:
        for statement in (
            "CREATE TABLE base.ballast AS SELECT hash(range) AS y FROM range(500000)",
            "CREATE TABLE base.tail AS FROM range(10)",
            "DROP TABLE base.ballast",
        ):
            connection.execute(statement)
            connection.execute("CHECKPOINT")
    before = everything(old)
    compacted = compact(old)
    assert compacted.after < compacted.before
    assert everything(old) == before
    old.prepare()
    assert len(old.statuses()) == 8


def test_a_link_stays_a_link(lab: Lab, tmp_path: Path) -> None:
    swell(lab)
    elsewhere = tmp_path / "disk" / "it's.duckdb"
    elsewhere.parent.mkdir()
    lab.store.database.rename(elsewhere)
    lab.store.database.symlink_to(elsewhere)
    before = everything(lab.store)
    assert compact(lab.store).after == elsewhere.stat().st_size
    assert lab.store.database.is_symlink()
    assert everything(lab.store) == before
    assert [path.name for path in elsewhere.parent.iterdir()] == ["it's.duckdb"]


def test_what_a_killed_writer_left_in_the_log_is_not_lost(lab: Lab) -> None:
    swell(lab)
    log = leave_a_log(lab.store, "UPDATE results.base.runs SET title = 'from the log'")
    compacted = compact(lab.store)
    assert compacted.after < compacted.before
    assert not log.exists()
    assert lab.rows("SELECT title FROM studies") == [("from the log",)]


def test_logs_that_come_again_and_again_are_told_of(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    swell(lab)
    leave_a_log(lab.store, "UPDATE results.base.runs SET title = 'from the log'")
    monkeypatch.setattr(maintenance, "_settle", lambda _: None)
    with pytest.raises(BitspecError, match="other programs write to the store") as found:
        compact(lab.store)
    assert found.value.diagnostics[0].code == "store-busy"
    assert lab.rows("SELECT title FROM studies") == [("from the log",)]


def test_a_copy_that_holds_something_else_is_thrown_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    swell(lab)
    before = files(lab.store.folder)
    true = maintenance._inventory

    def false(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, object]:
        return {**true(connection, database), **({"table base.more": 1} if database == "fresh" else {})}

    monkeypatch.setattr(maintenance, "_inventory", false)
    with pytest.raises(BitspecError, match="the copy holds something else") as found:
        compact(lab.store)
    assert "bitspec store check" in str(found.value)
    assert files(lab.store.folder) == before
    assert len(lab.store.statuses()) == 8


def test_a_damaged_database_is_not_compacted(lab: Lab) -> None:
    lab.run()
    content = bytearray(lab.store.database.read_bytes())
    content[3 * 4096 :] = bytes(len(content) - 3 * 4096)
    lab.store.database.write_bytes(content)
    with pytest.raises(BitspecError, match="is damaged"):
        compact(lab.store)
    assert files(lab.store.folder) == {"results.duckdb": bytes(content)}


def test_a_folder_that_cannot_be_written_to(unprivileged: Path) -> None:
    lab = Lab(Store(unprivileged))
    lab.run()
    unprivileged.chmod(0o500)
    with pytest.raises(BitspecError, match="permission is denied"):
        compact(lab.store)
    assert len(lab.store.statuses()) == 8


def test_a_reader_that_stays_goes_on_reading_what_there_was(lab: Lab) -> None:
    swell(lab)
    script = CONTEXT.Event(), CONTEXT.Event()
    process = CONTEXT.Process(target=read_twice, args=(lab.store.database, *script))
    process.start()
    assert script[0].wait(60)
    assert compact(lab.store).after < 10_000_000
    lab.run(WIDE)
    script[1].set()
    process.join(60)
    assert process.exitcode == 0


def read_twice(database: Path, has_read: Event, goes_on: Event) -> None:
    """What a notebook does that keeps a database open to read from."""
    with duckdb.connect(database, read_only=True) as connection:
        before = connection.execute("FROM scores ORDER BY ALL").fetchall()
        has_read.set()
        assert goes_on.wait(60)
        assert connection.execute("FROM scores ORDER BY ALL").fetchall() == before


# Compact, beside others -------------------------------------------------------------------------------------


def test_who_opened_the_old_database_just_before_opens_the_new_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = lab.begin(WIDE)
    lab.record(planned[0])
    old = lab.store.database
    new = old.with_name("new.duckdb")
    new.write_bytes(old.read_bytes())
    looked = 0
    identity = connections.identity

    def replaced(path: Path) -> tuple[int, int] | None:
        nonlocal looked
        looked += 1
        if looked == 2:  # after the old file was opened
            new.replace(path)
        return identity(path)

    monkeypatch.setattr(connections, "identity", replaced)
    assert lab.record(planned[1])
    assert looked == 4
    assert lab.store.statuses().keys() == {planned[0].key, planned[1].key}


def test_a_log_of_the_new_database_beside_the_old_one_is_none_of_its_business(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = lab.begin(WIDE)
    lab.record(planned[0])
    other = Lab(Store(tmp_path / "other"))
    other.begin(WIDE)
    log = leave_a_log(other.store, "UPDATE results.base.runs SET title = 'from the log'")
    looked = 0
    identity = connections.identity

    def replaced(path: Path) -> tuple[int, int] | None:
        nonlocal looked
        looked += 1
        found = identity(path)
        if looked == 1:  # the old database, with the new one's log
            log.rename(lab.store.database.with_name(log.name))
        if looked == 2:
            other.store.database.replace(path)
            return identity(path)
        return found

    monkeypatch.setattr(connections, "identity", replaced)
    assert lab.record(planned[1])
    assert lab.rows("SELECT title FROM studies") == [("from the log",)]


def test_a_compaction_does_not_replace_what_was_put_there_meanwhile(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    swell(lab)
    old = lab.store.database
    newer = lab.store.folder / "newer.duckdb"
    newer.write_bytes(old.read_bytes())
    with duckdb.connect(newer) as connection:
        connection.execute("UPDATE base.runs SET title = 'newer'")
    found = maintenance.leftovers

    def meanwhile(*arguments: Any) -> list[tuple[Path, str]]:
        if newer.exists():
            newer.replace(old)
        return found(*arguments)

    monkeypatch.setattr(maintenance, "leftovers", meanwhile)
    compacted = compact(lab.store)
    assert compacted.after < compacted.before
    assert lab.rows("SELECT title FROM studies") == [("newer",)]


def test_one_compaction_at_a_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    swell(lab)
    copy = maintenance._copy
    said = []

    def beside(*arguments: Any) -> None:
        copy(*arguments)
        hasty = maintenance._alone(Store(lab.store.folder, patience=0.1), lab.store.folder)
        with pytest.raises(BitspecError, match="is being compacted by another process") as found, hasty:
            pass
        said.append(found.value.diagnostics[0].code)

    monkeypatch.setattr(maintenance, "_copy", beside)
    compact(lab.store)
    assert said == ["store-busy"]
    with maintenance._alone(lab.store, lab.store.folder):  # it is free again
        pass


def write_many(folder: Path, first: int, count: int) -> None:
    """What a run does: finish one trial after the other."""
    store = Store(folder)
    _, planned = plan(WIDE)
    for number in range(first, first + count):
        cell = planned[0].model_copy(update={"key": f"{number:064}"})
        assert store.record(1, cell, result(cell), trained_values(), started=STARTED)


def compact_often(folder: Path, started: Event) -> None:
    """Compact until somebody puts an end to it; there is always something to be won."""
    store = Store(folder)
    while True:
        alter(store, "CREATE OR REPLACE TABLE base.ballast AS SELECT hash(range) AS y FROM range(100000)")
        alter(store, "CREATE OR REPLACE TABLE base.tail AS SELECT hash(range) AS y FROM range(20000)")
        alter(store, "DROP TABLE IF EXISTS base.ballast")
        compact(store)
        started.set()


@pytest.mark.slow
def test_nothing_is_lost_of_what_is_written_beside_compactions(lab: Lab) -> None:
    lab.begin(WIDE)
    started = CONTEXT.Event()
    compacting = [CONTEXT.Process(target=compact_often, args=(lab.store.folder, started)) for _ in range(2)]
    for process in compacting:
        process.start()
    assert started.wait(60)
    writing = [CONTEXT.Process(target=write_many, args=(lab.store.folder, first, 15)) for first in (0, 1000)]
    for process in writing:
        process.start()
    seen = []
    inodes = set()
    while any(process.is_alive() for process in writing):
        seen.append(len(lab.store.statuses()))
        inodes.add(lab.store.database.stat().st_ino)
        time.sleep(0.02)
    for process in writing:
        process.join()
    for process in compacting:
        assert process.is_alive()
        process.kill()
        process.join()
    assert [process.exitcode for process in writing] == [0, 0]
    assert seen == sorted(seen)
    assert len(inodes) > 1  # it was replaced while they wrote
    expected = {f"{first + number:064}" for first in (0, 1000) for number in range(15)}
    assert lab.store.statuses().keys() == expected
    assert lab.store.kept() == expected
    assert lab.rows("SELECT count(*) FROM base.predictions") == [(3 * len(expected),)]


@pytest.mark.parametrize("attempt", [1, *(pytest.param(place, marks=pytest.mark.slow) for place in (0, 2, 3))])
def test_a_compaction_that_is_killed_loses_nothing(lab: Lab, attempt: int) -> None:
    lab.run(WIDE)
    before = everything(lab.store)
    started = CONTEXT.Event()
    process = CONTEXT.Process(target=compact_often, args=(lab.store.folder, started))
    process.start()
    assert started.wait(60)
    time.sleep(0.05 + 0.065 * attempt)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    alter(lab.store, "DROP TABLE IF EXISTS base.ballast", "DROP TABLE IF EXISTS base.tail")
    assert everything(lab.store) == before
    for path in lab.store.folder.glob(".unfinished-*"):
        age(path)
    assert all(finding.place.startswith(".unfinished-") for finding in check(lab.store).findings)
    compact(lab.store)
    assert everything(lab.store) == before
    assert {path.name for path in lab.store.folder.iterdir()} == {"results.duckdb", "values"}
