"""A disk that fills: whatever was finished is there, the store opens, and once there is space the run goes on."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.store.provenance import Provenance
from bitspec.store.store import Store
from bitspec.store.values import write_values
from tests.disks import Disk, disk, fill, free
from tests.store.conftest import SPEC, STARTED, Lab, failed, trained_values

NO_SPACE = "there is no space left"
WHAT_TO_DO = "free some space, and run the same again to go on: finished trials are kept"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "disk") as made:
        yield made


def full(problem: BitspecError) -> bool:
    """Whether an error says that the disk is full, and what to do."""
    (found,) = problem.diagnostics
    return found.code == "store-unusable" and NO_SPACE in found.message and found.help == WHAT_TO_DO


def lab_in(folder: Path) -> Lab:
    """A store in a folder, whose runs ask nobody where they come from: to find out takes longer than a test."""
    source = Provenance(commit=None, versions={"python": "3"})
    mock.patch("bitspec.store.store.provenance", return_value=source).start()
    return Lab(Store(folder, patience=0.5))


def finish(lab: Lab, *, with_values: bool) -> tuple[list[str], BitspecError | None]:
    """Begin a run and finish its trials, until the disk is full; the keys that the store said it keeps."""
    done: list[str] = []
    try:
        for cell in lab.begin(SPEC):
            lab.record(cell, values=trained_values() if with_values else None)
            done.append(cell.key)
        lab.store.end(lab.runs[-1])
    except BitspecError as problem:
        return done, problem
    return done, None


# A study that is trained ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_study_stops_where_the_disk_is_full_and_goes_on_once_it_is_not(small: Disk, tmp_path: Path) -> None:
    from tests.lab import SPEC as STUDY  # which brings torch, and the processes on the disk need none
    from tests.lab import write_lab

    spec = write_lab(tmp_path / "lab", STUDY.replace("seeds 0", "seeds 0..1").replace("epochs = 2", "epochs = 1"))
    arguments = ("run", spec.name, "--store", small.path / "store", "--keep-values", "--workers", "1", "--pack", "off")
    fill(small.seen, 2100)
    ran = small.bitspec(*arguments, folder=spec.parent)
    assert ran.returncode == 2
    assert NO_SPACE in ran.stderr
    assert f"help: {WHAT_TO_DO}\n" in ran.stderr
    assert ran.stderr.endswith("\n1 error\n")
    finished = ran.stderr.count(": score ")
    assert 0 < finished < 6
    small.call(check_kept, finished)  # it is read while the disk is full
    assert not list(small.seen.rglob(".unfinished*"))

    free(small.seen)
    ran = small.bitspec(*arguments, folder=spec.parent)
    assert ran.returncode == 0, ran.stderr
    assert "trials finished" in ran.stdout
    small.call(check_kept, 6)


def check_kept(disk: Path, finished: int) -> None:
    found = Store(disk / "store")
    assert list(found.statuses().values()) == ["finished"] * finished
    assert all(found.values(key) is not None for key in found.statuses())


# A store, wherever in its work the disk is full -------------------------------------------------------------


def test_a_store_that_cannot_be_made_leaves_nothing_behind(small: Disk) -> None:
    small.call(check_not_made, [0, 40, 300])


def check_not_made(disk: Path, rooms: list[int]) -> None:
    for left in rooms:
        made = Store(disk / f"store-{left}")
        fill(disk, left)
        with pytest.raises(BitspecError) as found:
            made.prepare()
        assert full(found.value)
        assert [path.name for path in made.folder.rglob("*")] in ([], ["values"])
        free(disk)
        made.prepare()
        assert made.statuses() == {}


@pytest.mark.parametrize("with_values", [False, True], ids=["database", "values"])
def test_what_was_finished_is_never_lost(small: Disk, with_values: bool) -> None:
    small.call(check_never_lost, [1110, 1875], with_values)


@pytest.mark.slow
@pytest.mark.parametrize("with_values", [False, True], ids=["database", "values"])
def test_what_was_finished_is_never_lost_wherever_the_disk_fills(small: Disk, with_values: bool) -> None:
    small.call(check_never_lost, list(range(560, 3060, 60)), with_values)


def check_never_lost(disk: Path, rooms: list[int], with_values: bool) -> None:
    for left in rooms:
        lab = lab_in(disk / f"store-{left}")
        fill(disk, left)
        done, problem = finish(lab, with_values=with_values)
        assert problem is not None, left
        assert full(problem), problem
        assert set(lab.store.statuses()) == set(done)
        free(disk)
        assert len(lab.run(SPEC)) == 8
        assert set(lab.store.statuses().values()) == {"finished"}
        assert set(done) <= lab.store.kept() or not with_values
        assert lab.rows("SELECT count(*), count(DISTINCT key) FROM scores") == [(8, 8)]
        left_over = [path for path in lab.store.folder.rglob("*") if path.suffix == ".wal" or "unfinished" in path.name]
        assert left_over == []
        shutil.rmtree(lab.store.folder)  # the next one needs the room


def test_what_is_in_the_journal_alone_is_read_and_kept(small: Disk) -> None:
    small.call(check_journal)


def check_journal(disk: Path) -> None:
    # The disk fills between the commit, which goes to the journal, and the checkpoint, which takes more room.
    lab = lab_in(disk / "store")
    journal = lab.store.folder / "results.duckdb.wal"
    done: list[str] = []
    for cell in lab.begin(SPEC):
        fill(disk, 200)
        assert lab.record(cell)
        done.append(cell.key)
        if journal.exists():
            break
        free(disk)
    assert journal.exists(), "every checkpoint found room"
    assert set(lab.store.statuses()) == set(done)
    assert lab.rows("SELECT count(*) FROM scores") == [(len(done),)]
    free(disk)
    lab.run(SPEC)
    assert set(done) < set(lab.store.statuses())
    assert not journal.exists()


def test_a_failure_and_the_end_of_a_run_find_no_room_either(small: Disk) -> None:
    small.call(check_small_rows)


def check_small_rows(disk: Path) -> None:
    lab = lab_in(disk / "store")
    cell = lab.begin(SPEC)[0]
    fill(disk, 0)
    for work in (
        lambda: lab.store.record_failure(lab.runs[-1], cell, failed(cell), started=STARTED),
        lambda: lab.store.end(lab.runs[-1]),
        lambda: lab.store.begin_packs(lab.runs[-1], [[cell.key]]),
        lambda: lab.begin(SPEC),
    ):
        with pytest.raises(BitspecError) as found:
            work()
        assert full(found.value)
    assert lab.store.statuses() == {}
    free(disk)
    assert lab.record(cell)


def test_values_on_a_full_disk(small: Disk) -> None:
    fill(small.seen, 0)
    with pytest.raises(OSError, match="No space left on device") as found:
        write_values(small.seen / "x.safetensors", trained_values(), {})
    assert found.value.errno == errno.ENOSPC


# Files that may not grow, which needs no disk ----------------------------------------------------------------


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """While it lasts, no file of this process grows beyond so many bytes."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def limited(problem: BitspecError | None) -> bool:
    """Whether an error says that files may not grow any more, and what to do."""
    assert problem is not None
    (found,) = problem.diagnostics
    said = "a file is as large as this system lets it be, so there is no space left"
    return said in found.message and found.help == WHAT_TO_DO


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX's")
@pytest.mark.parametrize("size", [5_000, 20_000, 300_000])
def test_a_database_that_may_not_grow_to_what_it_needs(lab: Lab, size: int) -> None:
    with files_of_at_most(size), pytest.raises(BitspecError) as found:
        lab.store.prepare()
    assert limited(found.value)
    assert [path.name for path in lab.store.folder.iterdir()] == ["values"]
    assert len(lab.run(SPEC)) == 8


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX's")
@pytest.mark.parametrize("size", [3_000, 6_000, 20_000])
def test_a_journal_that_may_not_grow(lab: Lab, size: int) -> None:
    lab.store.prepare()
    with files_of_at_most(size):
        done, problem = finish(lab, with_values=False)
        assert limited(problem)
    assert set(lab.store.statuses()) == set(done)
    assert len(lab.run(SPEC)) == 8
    assert lab.rows("SELECT count(*) FROM scores") == [(8,)]


@pytest.mark.skipif(sys.platform != "linux", reason="told by the numbers of Linux")
@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, NO_SPACE), (errno.EDQUOT, NO_SPACE), (errno.EFBIG, NO_SPACE), (errno.EROFS, "it can only be read")],
)
def test_every_way_in_which_a_disk_refuses(lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int, said: str) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    cell = lab.begin()[0]
    monkeypatch.setattr("bitspec.store.store.write_values", refused)
    with pytest.raises(BitspecError) as found:
        lab.record(cell, values=trained_values())
    assert said in found.value.diagnostics[0].message
    assert lab.store.statuses() == {}
