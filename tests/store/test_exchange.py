"""What goes from store to store arrives whole and once, whatever is there; and what comes from strangers reaches nothing."""

# ruff: noqa: S608 - statements of the tests' own

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from bitspec.diagnostics import BitspecError
from bitspec.store.exchange import Imported, export, merge
from bitspec.store.health import check
from bitspec.store.maintenance import compact
from bitspec.store.merge import Merged
from bitspec.store.provenance import Provenance
from bitspec.store.store import Store
from tests.store.conftest import SPEC, STARTED, Lab, failed, trained_values
from tests.store.stores import alter, as_of_version, everything, files, leave_a_log
from tests.tiers import examples

LATER = SPEC.replace("learning_rate = 1e-3", "learning_rate = 1e-4")


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Lab:  # noqa: ARG001 - it sees to the provenance of both
    """A second store."""
    return Lab(Store(tmp_path / "other"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything is finished: to copy one takes less than to fill one."""
    lab = Lab(Store(tmp_path_factory.mktemp("template") / "store"))
    lab.run()
    return lab.store.folder


@pytest.fixture
def ran(template: Path, tmp_path: Path) -> Lab:
    return Lab(Store(Path(shutil.copytree(template, tmp_path / "ran"))))


def finished(store: Store) -> set[str]:
    return {key for key, status in store.statuses().items() if status == "finished"}


# Export -----------------------------------------------------------------------------------------------------


def test_an_export_is_read_without_bitspec(lab: Lab, tmp_path: Path) -> None:
    for place, cell in enumerate(lab.begin()[:5]):
        lab.record(cell, values=trained_values() if place < 2 else None)
    lab.store.begin_packs(1, [["a", "b"], ["c"]], "cpu")
    exported = export(lab.store, tmp_path / "out")
    tables = everything(lab.store)
    assert tables.pop("leases") == []  # who trains what just now is nobody else's business
    assert exported.tables == {name: len(rows) for name, rows in tables.items()}
    assert exported.values == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.parquet" for name in tables}
    for name, rows in tables.items():
        file = pq.ParquetFile(tmp_path / "out" / f"{name}.parquet")
        assert file.metadata.num_rows == len(rows)
        if rows:
            compressions = {
                file.metadata.row_group(0).column(at).compression for at in range(file.metadata.num_columns)
            }
            assert compressions == {"ZSTD"}
        read = file.read().to_pylist(maps_as_pydicts="strict")
        assert sorted((tuple(row.values()) for row in read), key=repr) == rows
    with duckdb.connect() as connection:
        assert connection.execute(
            f"SELECT settings->>'epochs' FROM read_parquet('{tmp_path}/out/trials.parquet') LIMIT 1"
        ).fetchone() == ("2",)


def test_an_export_with_values(lab: Lab, tmp_path: Path) -> None:
    cells = lab.begin()
    for cell in cells[:2]:
        lab.record(cell, values=trained_values())
    (lab.store.folder / "values" / f"{'f' * 64}.safetensors").write_bytes(b"of no trial")
    (lab.store.folder / "values" / ".unfinished-x").write_bytes(b"x")
    assert export(lab.store, tmp_path / "deep" / "out", with_values=True).values == 2
    own = {
        path: content
        for path, content in files(lab.store.folder).items()
        if cells[0].key in path or cells[1].key in path
    }
    assert {p: c for p, c in files(tmp_path / "deep" / "out").items() if p.startswith("values/")} == own


def test_an_export_does_not_write_over_anything(lab: Lab, tmp_path: Path) -> None:
    lab.run()
    out = tmp_path / "out"
    out.mkdir()
    export(lab.store, out)  # an empty folder is as good as none
    (out / "notes.txt").write_text("mine", "utf-8")
    before = files(out)
    with pytest.raises(BitspecError, match="is there already") as found:
        export(lab.store, out)
    assert found.value.diagnostics[0].code == "file-exists"
    assert files(out) == before
    lab.run(LATER)
    export(lab.store, out, force=True)
    assert files(out).keys() == before.keys()
    assert files(out)["trials.parquet"] != before["trials.parquet"]
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(BitspecError, match="is a file"):
        export(lab.store, tmp_path / "file", force=True)


def test_an_export_of_nothing(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(BitspecError, match="there are no results in"):
        export(lab.store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_to_where_nothing_can_be_written(unprivileged: Path) -> None:
    lab = Lab(Store(unprivileged / "store"))
    lab.run()
    out = unprivileged / "out"
    out.mkdir()
    out.chmod(0o500)
    for folder in (out, out / "deeper"):
        with pytest.raises(BitspecError, match="cannot be written") as found:
            export(lab.store, folder)
        assert found.value.diagnostics[0].code == "unwritable"
    assert list(out.iterdir()) == []


def test_an_export_that_fails_leaves_nothing_half_written(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cell in lab.begin()[:2]:
        lab.record(cell, values=trained_values())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(BitspecError, match="No space left"):
        export(lab.store, tmp_path / "out", with_values=True)
    assert files(tmp_path / "out") == {}


def test_names_of_folders_are_only_names(lab: Lab, tmp_path: Path, other: Lab) -> None:
    lab.run()
    for name in ("it's", "a b", "seed=1", "x'); --", "[ab]*"):
        export(lab.store, tmp_path / name)
        assert (tmp_path / name / "trials.parquet").exists()
        merge(other.store, tmp_path / name)
    assert finished(other.store) == finished(lab.store)


# Import -----------------------------------------------------------------------------------------------------


def test_a_store_comes_into_an_empty_one_as_it_is(lab: Lab, other: Lab) -> None:
    cells = other.begin()
    for place, cell in enumerate(cells[:5]):
        other.record(cell, values=trained_values() if place < 2 else None)
    other.store.record_failure(1, cells[6], failed(cells[6]), started=STARTED)
    other.store.begin_packs(1, [[cell.key for cell in cells[:2]]], "cpu")
    before = files(other.store.folder)
    imported = merge(lab.store, other.store.folder)
    assert imported == Imported(Merged(5, 0, 1, 1, 8), 0, 2, 0)
    assert everything(lab.store) == everything(other.store)
    assert lab.store.kept() == {cells[0].key, cells[1].key}
    assert check(lab.store).findings == ()
    assert files(other.store.folder) == before
    again = everything(lab.store), files(lab.store.folder / "values")
    assert merge(lab.store, other.store.folder) == Imported(Merged(0, 0, 0, 0, 0), 5, 0, 0)
    assert (everything(lab.store), files(lab.store.folder / "values")) == again
    lab.run()  # and goes on
    assert lab.rows("SELECT count(*) FROM scores") == [(8,)]


def test_a_success_takes_the_place_of_a_failure_and_nothing_of_a_success(lab: Lab, other: Lab) -> None:
    mine, theirs = lab.begin(), other.begin()
    lab.record(mine[0], values=trained_values(), seconds=1.0)
    lab.store.record_failure(1, mine[1], failed(mine[1], message="here"), started=STARTED)
    lab.store.record_failure(1, mine[2], failed(mine[2], message="here"), started=STARTED)
    other.record(theirs[0], seconds=2.0)
    other.record(theirs[1], values=trained_values())
    for cell in theirs[2:4]:
        other.store.record_failure(1, cell, failed(cell, message="there"), started=STARTED)
    imported = merge(lab.store, other.store.folder)
    assert imported == Imported(Merged(1, 1, 1, 1, 0), 1, 1, 0)
    rows = lab.rows("SELECT key, status, message, seconds, run, values_file IS NOT NULL FROM trials")
    assert sorted(rows) == sorted(
        [
            (mine[0].key, "finished", None, 1.0, 1, True),
            (mine[1].key, "finished", None, 6.0, 2, True),
            (mine[2].key, "failed", "here", None, 1, False),
            (mine[3].key, "failed", "there", None, 2, False),
        ]
    )
    assert check(lab.store).findings == ()


def test_runs_and_what_belongs_to_them_have_numbers_of_ours(lab: Lab, other: Lab) -> None:
    lab.run(LATER)
    cells = other.begin()
    other.record(cells[0])
    other.store.begin_packs(1, [[cells[0].key]], "cpu")
    merge(lab.store, other.store.folder)
    lab.run(LATER)
    assert lab.rows("SELECT run FROM trials WHERE key = ?", cells[0].key) == [(2,)]
    assert lab.rows(
        "SELECT DISTINCT run FROM base.cells WHERE key IN (SELECT key FROM base.packs, unnest(keys) AS u(key))"
    )
    assert lab.rows("SELECT run FROM base.packs") == [(2,)]
    assert lab.rows("SELECT run, is_latest FROM studies ORDER BY run") == [(1, False), (2, False), (3, True)]
    assert lab.store.packs() == {**lab.store.packs(), cells[0].key: (cells[0].key,)}


def test_leases_stay_where_they_are(lab: Lab, other: Lab) -> None:
    lab.begin()
    other.run()
    for lab_, key in ((lab, "a"), (other, "b")):
        alter(lab_.store, f"INSERT INTO base.leases VALUES ('{key}', 'x', 1, 'here', 1, TIMESTAMP '2030-01-01')")
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT key FROM base.leases") == [("a",)]
    compact(lab.store)
    assert lab.rows("SELECT key FROM base.leases") == [("a",)]


def test_packs_are_those_of_the_run_that_began_last(lab: Lab, other: Lab) -> None:
    first, second = (cell.key for cell in other.begin()[:2])
    other.store.begin_packs(1, [[first], [second]])
    lab.begin()
    lab.store.begin_packs(1, [[first, second]])
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT count(*) FROM base.packs") == [(3,)]
    assert lab.store.packs() == {first: (first, second), second: (first, second)}


def test_a_run_that_went_on_comes_to_its_end(lab: Lab, other: Lab) -> None:
    cells = other.begin()
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT ended FROM studies") == [(None,)]
    other.record(cells[0])
    other.store.begin_packs(1, [[cells[0].key]])
    other.store.end(1)
    assert merge(lab.store, other.store.folder).rows == Merged(1, 0, 0, 0, 0)
    assert everything(lab.store) == everything(other.store)


def test_the_latest_study_is_the_one_that_began_last(lab: Lab, other: Lab) -> None:
    other.run(SPEC.replace("study small", "study early"))
    lab.run()
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT run, study, is_latest FROM studies ORDER BY run") == [
        (1, "small", True),
        (2, "early", False),
    ]
    assert lab.rows("SELECT DISTINCT study FROM scores") == [("small",)]
    assert lab.rows("SELECT DISTINCT study FROM strategies") == [("small",)]
    assert lab.rows("SELECT DISTINCT study FROM cells") == [("small",)]
    alter(lab.store, "UPDATE base.runs SET began = '2030-01-01' WHERE run = 2")
    assert lab.rows("SELECT DISTINCT study FROM scores") == [("early",)]
    alter(lab.store, "UPDATE base.runs SET began = '2030-01-01'")  # where both did at once, by their numbers
    assert lab.rows("SELECT DISTINCT study FROM scores") == [("early",)]


def test_our_variant_of_a_cell_stays_the_current_one(lab: Lab, other: Lab) -> None:
    lab.run(SPEC, only=["bitfit"], whole=False)
    other.run(LATER)
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT strategy, learning_rate, count(*) FROM scores GROUP BY ALL ORDER BY ALL") == [
        ("bitfit", 1e-3, 4),
        ("frozen", 1e-4, 4),
    ]
    assert lab.rows(
        "SELECT learning_rate, count(*) FROM all_scores WHERE strategy = 'bitfit' GROUP BY ALL ORDER BY 1"
    ) == [
        (1e-4, 4),
        (1e-3, 4),
    ]


def test_seeds_that_were_trained_elsewhere_stand_beside_ours(lab: Lab, other: Lab) -> None:
    lab.run()
    other.run(SPEC.replace("seeds 0, 1", "seeds 2..4").replace('"BitFit"', '"Bit-Fit"'))
    merge(lab.store, other.store.folder)
    assert lab.rows("SELECT strategy, title, position, count(*) FROM scores GROUP BY ALL ORDER BY ALL") == [
        ("bitfit", "Bit-Fit", 1, 10),  # as the run has it that began last
        ("frozen", "Frozen", 0, 10),
    ]
    assert lab.rows("SELECT strategy, title, cells, finished FROM strategies ORDER BY position") == [
        ("frozen", "Frozen", 10, 10),
        ("bitfit", "Bit-Fit", 10, 10),
    ]


def test_a_run_that_is_there_twice_comes_in_once(lab: Lab, other: Lab) -> None:
    cells = other.begin()
    other.record(cells[0])
    alter(other.store, "INSERT INTO base.runs SELECT * REPLACE (5 AS run) FROM base.runs")
    alter(other.store, "UPDATE base.cells SET run = 5")
    assert merge(lab.store, other.store.folder).rows.runs == 1
    assert lab.rows("SELECT run FROM studies") == [(1,)]
    assert lab.rows("SELECT DISTINCT run FROM base.cells") == [(1,)]
    assert check(lab.store).findings == ()


@pytest.mark.parametrize("damage", ["missing", "cut", "of another trial", "foreign"])
def test_values_that_are_not_what_they_should_be_stay_away(lab: Lab, other: Lab, damage: str) -> None:
    cells = other.begin()
    for cell in cells[:2]:
        other.record(cell, values=trained_values())
    path = other.store.folder / "values" / f"{cells[0].key}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == "of another trial":
        path.write_bytes(path.with_name(f"{cells[1].key}.safetensors").read_bytes())
    else:
        save_file({"x": np.zeros(3)}, path)
    assert merge(lab.store, other.store.folder) == Imported(Merged(2, 0, 0, 1, 8), 0, 1, 1)
    assert lab.rows("SELECT key, values_file FROM trials WHERE values_file IS NOT NULL") == [
        (cells[1].key, f"values/{cells[1].key}.safetensors")
    ]
    assert check(lab.store).findings == ()
    assert {path.name for path in lab.store.folder.iterdir()} == {"results.duckdb", "values"}


@pytest.mark.parametrize(
    ("version", "is_exported"),
    [
        pytest.param(version, is_exported, marks=() if is_exported == (version == 1) else pytest.mark.slow)
        for version in (1, 2, 3, 4)
        for is_exported in (False, True)
    ],
)
def test_a_store_of_an_older_bitspec(lab: Lab, ran: Lab, tmp_path: Path, version: int, is_exported: bool) -> None:
    old = as_of_version(ran.store, version, tmp_path / "old")
    folder = old.folder
    if is_exported:
        folder = tmp_path / "out"
        export(old, folder)
    before = files(folder)
    merge(lab.store, folder)
    assert files(folder) == before
    expected = everything(ran.store)
    if version < 3:
        expected["runs"] = [(*row[:-2], None, None) for row in expected["runs"]]
    assert everything(lab.store) == expected
    assert merge(lab.store, folder).rows == Merged(0, 0, 0, 0, 0)


def test_into_a_store_of_an_older_bitspec(lab: Lab, ran: Lab, tmp_path: Path) -> None:
    lab.run(LATER)
    old = as_of_version(lab.store, 1, tmp_path / "old")
    assert merge(old, ran.store.folder).rows.finished == 8
    assert len(finished(old)) == 16


def test_a_log_of_the_other_store_is_read_and_left(lab: Lab, ran: Lab) -> None:
    leave_a_log(ran.store, "UPDATE results.base.runs SET title = 'from the log'")
    before = files(ran.store.folder)
    merge(lab.store, ran.store.folder)
    assert lab.rows("SELECT title FROM studies") == [("from the log",)]
    assert files(ran.store.folder) == before


def test_what_is_forgotten_there_meanwhile_does_not_come(lab: Lab, other: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitspec.store import exchange
    from bitspec.store.forget import forget

    cells = other.begin()
    for cell in cells[:2]:
        other.record(cell, values=trained_values())
    stage = exchange._stage

    def forgetting(*arguments: Any) -> None:
        stage(*arguments)
        forget(other.store, [cells[0].key])
        other.record(cells[2])

    monkeypatch.setattr(exchange, "_stage", forgetting)
    assert merge(lab.store, other.store.folder) == Imported(Merged(1, 0, 0, 1, 8), 0, 1, 0)
    assert lab.store.statuses() == {cells[1].key: "finished"}
    assert check(lab.store).findings == ()


def test_an_import_that_fails_changes_nothing(lab: Lab, other: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitspec.store import merge as module

    lab.run(LATER)
    other.record(other.begin()[0], values=trained_values())
    before = everything(lab.store)

    def broken(*_: Any) -> None:
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(module, "_packs", broken)
    with pytest.raises(BitspecError, match="no space left for the store"):
        merge(lab.store, other.store.folder)
    assert everything(lab.store) == before
    assert list((lab.store.folder / "values").iterdir()) == []


# Any two stores ---------------------------------------------------------------------------------------------

STATUSES = st.lists(st.sampled_from(["missing", "failed", "finished", "with values"]), min_size=8, max_size=8)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty store, to be copied: to make one takes longer than all that is done to it."""
    folder = tmp_path_factory.mktemp("prepared") / "store"
    Store(folder).prepare()
    source = Provenance(commit=None, versions={"python": "3"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitspec.store.store.provenance", lambda _: source)
        yield folder


def made(prepared: Path, folder: Path, spec: str, statuses: list[str]) -> Store:
    """A store in which every trial has some status."""
    lab = Lab(Store(Path(shutil.copytree(prepared, folder))))
    cells = lab.begin(spec)
    with lab.at_once():
        for cell, status in zip(cells, statuses, strict=True):
            if status == "failed":
                lab.store.record_failure(lab.runs[-1], cell, failed(cell), started=STARTED)
            elif status != "missing":
                lab.record(cell, values=trained_values() if status == "with values" else None)
    return lab.store


@settings(max_examples=examples(1), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=STATUSES, theirs=STATUSES, spec=st.sampled_from([SPEC, LATER, SPEC.replace("seeds 0, 1", "seeds 1, 2")]))
def test_whatever_two_stores_hold(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory, ours: list[str], theirs: list[str], spec: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one, two = made(prepared, folder / "one", SPEC, ours), made(prepared, folder / "two", spec, theirs)
    both = finished(one) | finished(two)
    export(two, folder / "out", with_values=True)
    three = Store(Path(shutil.copytree(one.folder, folder / "three")))

    imported = merge(one, two.folder)
    assert finished(one) == both
    assert imported.rows.finished + imported.known == len(finished(two))
    assert {key for key, status in one.statuses().items() if status == "failed"} == (
        (three.statuses().keys() | two.statuses().keys()) - both
    )
    assert check(one).findings == ()
    after = everything(one)

    assert merge(one, two.folder).rows == Merged(0, 0, 0, 0, 0)  # once is as good as twice
    assert everything(one) == after

    merge(three, folder / "out")  # an export is as good as its store
    assert everything(three) == after
    assert files(three.folder / "values") == files(one.folder / "values")

    merge(two, three.folder)  # and so there and back
    assert finished(two) == both
    assert two.statuses() == {**two.statuses(), **dict.fromkeys(both, "finished")}


# What is wrong ----------------------------------------------------------------------------------------------


def refused(lab: Lab, other: Path, code: str) -> str:
    """What is said of something that cannot be imported; nothing of ours is changed by it."""
    before = files(lab.store.folder) if lab.store.folder.exists() else None
    with pytest.raises(BitspecError) as found:
        merge(lab.store, other)
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == code, diagnostic
    assert diagnostic.help
    assert (files(lab.store.folder) if lab.store.folder.exists() else None) == before
    return str(diagnostic)


def test_what_is_no_store(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.duckdb").write_bytes(b"no database")
    assert "there are no results in" in refused(lab, tmp_path / "none", "no-store")
    assert "bitspec store export" in refused(lab, tmp_path / "empty", "no-store")
    assert "is not a database" in refused(lab, tmp_path / "file.duckdb", "store-broken")


def test_a_store_is_not_imported_into_itself(lab: Lab, tmp_path: Path) -> None:
    lab.run()
    (tmp_path / "link").symlink_to(lab.store.folder)
    for path in (lab.store.folder, lab.store.database, tmp_path / "link"):
        assert "is the store itself" in refused(lab, path, "same-store")


def test_a_store_of_a_newer_bitspec(lab: Lab, ran: Lab, tmp_path: Path) -> None:
    with duckdb.connect(ran.store.database) as connection:
        connection.execute("UPDATE base.meta SET version = 99")
        connection.execute(f"COPY base.meta TO '{tmp_path / 'meta.parquet'}'")
    said = refused(lab, ran.store.folder, "store-newer")
    assert f"the store `{ran.store.folder}` was written by a newer bitspec" in said
    refused(lab, tmp_path, "store-newer")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO base.trials FROM base.trials", "it is in the table `trials` 2 times"),
        ("INSERT INTO base.runs FROM base.runs", "run 1: it is in the table `runs` 2 times"),
        ("INSERT INTO base.predictions FROM base.predictions", "rows of the table `predictions` are there twice"),
        ("DELETE FROM base.epochs", "it is finished, and has no epochs"),
        ("UPDATE base.trials SET run = 9", "the run that trained it, run 9, is not in the table `runs`"),
        ("UPDATE base.cells SET run = 9", "run 9: it is not in the table `runs`, and covers cells, 8 of them"),
        ("UPDATE base.trials SET key = '../../' || key", "its key is none"),
        ("UPDATE base.trials SET key = upper(key)", "its key is none"),
        ("UPDATE base.trials SET status = 'perfect'", "its status is none that there is"),
        ("UPDATE base.trials SET started = 'infinity'", "its times are none"),
        ("UPDATE base.runs SET ended = '-infinity'", "run 1: its times are none"),
    ],
)
def test_rows_that_contradict_each_other(lab: Lab, ran: Lab, tmp_path: Path, statement: str, said: str) -> None:
    alter(ran.store, statement)
    message = refused(lab, ran.store.folder, "store-unsound")
    assert message.startswith(f"error[store-unsound]: `{ran.store.folder}` contradicts itself: ")
    assert said in message
    assert f"`bitspec store check --store {ran.store.folder}` says more" in message
    export(ran.store, tmp_path / "out")
    assert said in refused(lab, tmp_path / "out", "store-unsound")


def test_text_that_only_claims_to_be_json(lab: Lab, ran: Lab) -> None:
    with duckdb.connect(ran.store.database) as connection:
        connection.execute('CREATE TYPE main."JSON" AS VARCHAR')
        connection.execute("CREATE TABLE base.trials_ AS FROM base.trials")
        connection.execute("DROP TABLE base.trials")
        connection.execute(
            "CREATE TABLE base.trials AS SELECT * REPLACE ('{no JSON'::main.\"JSON\" AS settings) FROM base.trials_"
        )
    assert "its table `trials` is another" in refused(lab, ran.store.folder, "store-broken")


def test_leftovers_of_the_other_store_do_not_come(lab: Lab, ran: Lab) -> None:
    expected = everything(ran.store)
    alter(
        ran.store,
        f"INSERT INTO base.epochs SELECT * REPLACE ('{'f' * 64}' AS key) FROM base.epochs WHERE epoch = 1 LIMIT 1",
    )
    merge(lab.store, ran.store.folder)
    assert everything(lab.store) == expected


def test_a_damaged_store(lab: Lab, ran: Lab) -> None:
    lab.run(LATER)
    content = bytearray(ran.store.database.read_bytes())
    content[3 * 4096 :] = bytes(len(content) - 3 * 4096)
    ran.store.database.write_bytes(content)
    refused(lab, ran.store.folder, "store-broken")


def test_a_damaged_export(lab: Lab, ran: Lab, tmp_path: Path) -> None:
    export(ran.store, tmp_path / "out")
    path = tmp_path / "out" / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    refused(lab, tmp_path / "out", "store-broken")
    path.unlink()
    assert "its table `predictions` is another" in refused(lab, tmp_path / "out", "store-broken")


CANARY = "the canary sings"


@pytest.fixture
def cage(tmp_path: Path) -> Iterator[Path]:
    """A folder with something to read in it, in which nothing may be changed."""
    folder = tmp_path / "cage"
    folder.mkdir()
    (folder / "canary.csv").write_text(f"x\n{CANARY}\n", "utf-8")
    with duckdb.connect(folder / "canary.duckdb") as connection:
        connection.execute("CREATE TABLE canary AS SELECT ? AS x", [CANARY])
    before = files(folder)
    yield folder
    assert files(folder) == before


def sings(store: Store) -> bool:
    return store.folder.exists() and any(CANARY.encode() in content for content in files(store.folder).values())


@pytest.mark.parametrize("table", ["meta", "trials", "runs", "cells", "epochs", "predictions", "packs"])
def test_views_in_place_of_tables_are_refused(lab: Lab, ran: Lab, cage: Path, table: str) -> None:
    with duckdb.connect(ran.store.database) as connection:
        connection.execute(f"CREATE TABLE base.true_{table} AS FROM base.{table}")
        connection.execute(f"DROP TABLE base.{table}")
        text = f"(SELECT content FROM read_text('{cage}/canary.csv'))"
        column = {"meta": "views", "trials": "study", "runs": "study", "cells": "study", "packs": "device"}.get(
            table, "key"
        )
        connection.execute(
            f"CREATE VIEW base.{table} AS SELECT * REPLACE (coalesce({text}, {column}) AS {column}) FROM base.true_{table}"
        )
    assert f"its table `{table}` is another" in refused(lab, ran.store.folder, "store-broken")
    assert not sings(lab.store)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE base.trials DROP COLUMN message",
        "ALTER TABLE base.trials ADD COLUMN more VARCHAR",
        "ALTER TABLE base.trials ALTER seconds TYPE VARCHAR",
        "ALTER TABLE base.trials RENAME message TO said",
        "DROP TABLE base.packs",
        "UPDATE base.meta SET version = NULL",
        "UPDATE base.meta SET version = 0",
        "DELETE FROM base.meta",
        "INSERT INTO base.meta FROM base.meta",
        "DROP SCHEMA base CASCADE",
    ],
)
def test_tables_that_are_none_of_ours_are_refused(lab: Lab, ran: Lab, statement: str) -> None:
    with duckdb.connect(ran.store.database) as connection:
        if "version = NULL" in statement:
            connection.execute("ALTER TABLE base.meta ALTER version DROP NOT NULL")
        connection.execute(statement)
    assert "is none of bitspec's stores or exports" in refused(lab, ran.store.folder, "store-broken")


def test_macros_and_views_beside_the_tables_are_never_run(lab: Lab, ran: Lab, cage: Path) -> None:
    expected = everything(ran.store)
    with duckdb.connect(ran.store.database) as connection:
        for name in ("max", "min", "coalesce_", "regexp_full_match", "count", "dense_rank"):
            connection.execute(
                f"CREATE OR REPLACE MACRO main.{name}(x) AS (SELECT content FROM read_text('{cage}/canary.csv'))"
            )
        connection.execute(f"CREATE OR REPLACE VIEW main.scores AS FROM read_csv('{cage}/canary.csv')")
        connection.execute(f"CREATE VIEW base.trials_ AS FROM read_csv('{cage}/canary.csv')")
        connection.execute("CREATE SCHEMA temp_")
    merge(lab.store, ran.store.folder)
    assert everything(lab.store) == expected
    assert not sings(lab.store)


def test_what_a_column_computes_reaches_nothing(lab: Lab, ran: Lab, cage: Path) -> None:
    """A column that is computed when it is read looks like any other: nothing that it may say reads a file."""
    with duckdb.connect(ran.store.database) as connection:
        connection.execute("ALTER TABLE base.packs RENAME TO packs_")
        connection.execute(
            "CREATE TABLE base.packs (run INTEGER, number INTEGER, keys VARCHAR[], "
            f"device VARCHAR AS (getvariable('x') || '{cage}'))"
        )
        with pytest.raises(duckdb.Error):
            connection.execute(
                f"CREATE TABLE y (x INT, z VARCHAR AS ((SELECT content FROM read_text('{cage}/canary.csv'))))"
            )
    merge(lab.store, ran.store.folder)
    assert not sings(lab.store)


def test_an_export_reaches_no_file_but_its_own(lab: Lab, ran: Lab, tmp_path: Path, cage: Path) -> None:
    export(ran.store, tmp_path / "out")
    (tmp_path / "out" / "trials.parquet").unlink()
    (tmp_path / "out" / "trials.parquet").symlink_to(cage / "canary.csv")
    refused(lab, tmp_path / "out", "store-broken")
    assert not sings(lab.store)


def test_names_of_values_lead_nowhere(lab: Lab, other: Lab, cage: Path) -> None:
    cell = other.begin()[0]
    other.record(cell, values=trained_values())
    alter(other.store, f"UPDATE base.trials SET values_file = '{cage}/canary.csv'")
    path = other.store.folder / "values" / f"{cell.key}.safetensors"
    path.unlink()
    path.symlink_to(cage / "canary.csv")
    assert merge(lab.store, other.store.folder).without_values == 1
    assert not sings(lab.store)
    assert lab.rows("SELECT values_file FROM trials") == [(None,)]


def test_who_writes_to_the_other_store_is_waited_for_and_then_told_of(lab: Lab, ran: Lab) -> None:
    hasty = Store(lab.store.folder, patience=0.1)
    with duckdb.connect(ran.store.database), pytest.raises(BitspecError, match="is kept open by"):
        merge(hasty, ran.store.folder)
    assert not lab.store.folder.exists()
