"""Packs: which trials were to be trained together, and stores that were made before there were any."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.ir.events import Result
from bitspec.store import schema
from bitspec.store.connection import ENGINE
from bitspec.store.store import Store
from tests.store.conftest import STARTED, Lab, failed, result

VERSION_1 = Path(__file__).with_name("version_1.sql")


def test_packs_come_out_as_they_went_in(lab: Lab) -> None:
    assert lab.store.packs() == {}
    cells = lab.begin()
    keys = [cell.key for cell in cells]
    lab.store.begin_packs(1, [keys[2:0:-1], keys[3:4], keys[:1]], "cpu")
    assert lab.store.packs() == {
        keys[0]: (keys[0],),
        keys[1]: (keys[2], keys[1]),
        keys[2]: (keys[2], keys[1]),
        keys[3]: (keys[3],),
    }
    assert lab.store.packs("cpu") == lab.store.packs()
    assert lab.store.packs("cuda: a GPU") == {}
    assert lab.rows("SELECT run, number, len(keys), device FROM base.packs ORDER BY number") == [
        (1, 1, 2, "cpu"),
        (1, 2, 1, "cpu"),
        (1, 3, 1, "cpu"),
    ]


def test_the_last_run_counts_for_what_is_not_finished(lab: Lab) -> None:
    a, b, c, *_ = (cell.key for cell in lab.begin())
    lab.store.begin_packs(1, [[a, b, c]], None)
    lab.begin()
    lab.store.begin_packs(2, [[c, a]], None)
    assert lab.store.packs() == {a: (c, a), b: (a, b, c), c: (c, a)}
    assert lab.store.packs("cpu") == {}


def test_the_run_that_finished_a_trial_counts_for_it(lab: Lab) -> None:
    cells = lab.begin()
    a, b, c, d, *_ = (cell.key for cell in cells)
    lab.store.begin_packs(1, [[a, b, c, d]], "cpu")
    lab.record(cells[0], pack=(a, b))  # it was halved, and c diverged
    lab.record(cells[1], pack=(a, b))
    lab.store.record_failure(1, cells[2], failed(cells[2], "diverged"), started=STARTED)
    lab.begin()
    lab.store.begin_packs(2, [[b], [c, d]], "cpu")  # b was trained once more, to keep its values
    begun = (a, b, c, d)
    assert lab.store.packs() == {a: begun, b: begun, c: (c, d), d: (c, d)}


def test_trials_whose_run_has_no_packs_tell_themselves(lab: Lab) -> None:
    cells = lab.begin()
    pack = (cells[0].key, cells[1].key)
    lab.record(cells[0], pack=pack)
    lab.record(cells[1], pack=pack, device="cuda: a GPU")
    assert lab.store.packs() == {cells[0].key: pack, cells[1].key: pack}
    assert lab.store.packs("cpu") == {cells[0].key: pack}


def test_the_size_of_a_pack_is_to_be_seen(lab: Lab) -> None:
    cells = lab.begin()
    lab.record(cells[0], pack=(cells[0].key, cells[1].key))
    lab.record(cells[2])
    lab.store.record_failure(1, cells[3], failed(cells[3]), started=STARTED)
    assert lab.rows("SELECT pack_size FROM scores ORDER BY position") == [(2,), (1,)]
    assert lab.rows("SELECT pack_size FROM trials ORDER BY status, strategy DESC") == [(None,), (2,), (1,)]


# Stores of version 1 ---------------------------------------------------------------------------------------


@pytest.fixture
def old(lab: Lab) -> tuple[Lab, Result]:
    """A store of version 1 with a finished trial."""
    lab.store.folder.mkdir()
    (lab.store.folder / "values").mkdir()
    with ENGINE.creating(lab.store.database) as connection:
        connection.execute(VERSION_1.read_text("utf-8"))
        connection.execute("INSERT INTO base.meta VALUES (1, 'of version 1')")
    other = Lab(Store(lab.store.folder.parent / "other"))
    cells = other.begin()
    other.record(cells[0])
    with ENGINE.writing(lab.store.database) as connection:
        connection.execute(f"ATTACH '{other.store.database}' AS other (READ_ONLY)")
        for table in ("cells", "trials", "epochs", "changes", "predictions"):
            connection.execute(f"INSERT INTO base.{table} SELECT * FROM other.base.{table}")  # noqa: S608
        connection.execute("INSERT INTO base.runs SELECT * EXCLUDE (definition, warnings) FROM other.base.runs")
    with ENGINE.reading(lab.store.database) as connection:
        connection.execute("DETACH other")
    lab.runs.append(1)
    return lab, result(cells[0])


def version(lab: Lab) -> tuple[int, str] | None:
    with ENGINE.reading(lab.store.database) as connection:
        return schema.version(connection)


def test_an_old_store_is_read_as_it_is(old: tuple[Lab, Result]) -> None:
    lab, went_in = old
    assert lab.store.statuses() == {went_in.key: "finished"}
    assert lab.store.packs() == {went_in.key: (went_in.key,)}
    assert lab.store.durations().paces != ()
    assert lab.store.trial(went_in.key).score == went_in.score
    assert version(lab) == (1, "of version 1")


def test_an_old_store_gets_what_it_lacks_when_it_is_prepared(old: tuple[Lab, Result]) -> None:
    lab, went_in = old
    before = lab.rows("FROM base.trials"), lab.rows("FROM base.cells ORDER BY ALL")
    lab.store.prepare()
    assert version(lab) == (schema.SCHEMA_VERSION, schema.views_digest()) == (4, schema.views_digest())
    assert (lab.rows("FROM base.trials"), lab.rows("FROM base.cells ORDER BY ALL")) == before
    assert lab.rows("FROM base.packs") == []
    assert lab.rows("SELECT definition, warnings FROM base.runs") == [(None, None)]
    assert lab.rows("SELECT key, pack_size FROM scores") == [(went_in.key, 1)]
    lab.store.prepare()
    assert len(lab.run()) == 8


def test_an_old_store_gets_what_it_lacks_when_it_is_written_to(old: tuple[Lab, Result]) -> None:
    lab, went_in = old
    lab.store.begin_packs(1, [["a", "b"]])
    assert version(lab) == (4, "of version 1")
    assert lab.store.packs() == {went_in.key: (went_in.key,), "a": ("a", "b"), "b": ("a", "b")}


def test_tables_are_the_same_whether_new_or_brought_up(old: tuple[Lab, Result]) -> None:
    lab, _ = old
    lab.store.prepare()
    new = Lab(Store(lab.store.folder.parent / "new"))
    new.store.prepare()
    columns = (
        "SELECT schema_name, table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE database_name = 'results' ORDER BY ALL"
    )
    assert lab.rows(columns) == new.rows(columns)
