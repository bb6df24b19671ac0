"""Files are written whole or not at all, and keep their modes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import ELOOP
from pathlib import Path
from stat import S_IMODE

import pytest

from bitspec.whole import replace, written


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Files of this user may be read by the group."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_new_file_is_whole_and_as_open_to_others_as_its_user_wants(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_that_was_there_gives_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    path.chmod(0o604)
    replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert S_IMODE(path.stat().st_mode) == 0o604


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a.txt")
    replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a.txt").read_bytes() == b"new"


def _write_half(path: Path, *, synced: bool) -> None:
    with written(path, synced=synced) as unfinished:
        unfinished.write_bytes(b"ne")
        raise OSError("the disk is full")


@pytest.mark.parametrize("synced", [False, True])
def test_what_fails_leaves_all_as_it_was(tmp_path: Path, synced: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"):
        _write_half(path, synced=synced)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_on_the_disk_is_not_put_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError("the disk is full")

    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    monkeypatch.setattr("bitspec.whole.os.fsync", full)
    with pytest.raises(OSError, match="full"), written(path, synced=True) as unfinished:
        unfinished.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_takes_what_it_is_given_and_a_folder_is_refused(tmp_path: Path) -> None:
    replace(Path(os.devnull), b"new")
    assert not Path(os.devnull).is_file()
    with pytest.raises(IsADirectoryError):
        replace(tmp_path, b"new")


def test_a_file_in_a_folder_that_takes_no_other_is_written_over_only_where_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError("no files here")

    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    monkeypatch.setattr("bitspec.whole.os.access", lambda *_: False)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    replace(path, b"new", in_place=True)
    assert path.read_bytes() == b"new"


def test_a_file_that_goes_meanwhile_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with written(path) as unfinished:
        unfinished.write_bytes(b"new")
        path.unlink()
    assert path.read_bytes() == b"new"


def test_links_that_lead_to_each_other_are_an_error_of_the_system_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.symlink_to("loop")
    try:  # Python 3.11 and 3.12 refuse them, later ones do not
        replace(path, b"new")
    except OSError as problem:
        assert problem.errno == ELOOP  # noqa: PT017 - it need not be raised
    else:
        assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mask", [0o377, 0o777])
def test_whatever_its_user_leaves_to_whom(tmp_path: Path, mask: int) -> None:
    os.umask(mask)
    replace(tmp_path / "a.txt", b"new")
    assert S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask
