"""Writing a file whole or not at all: a full disk, or power that fails, must not cost what was there before."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ELOOP
from pathlib import Path
from stat import S_IMODE
from typing import Final

#: What half-written files, and folders of them, begin with.
UNFINISHED: Final = ".unfinished-"


@contextmanager
def written(path: Path, *, synced: bool = False) -> Iterator[Path]:
    """Where to write what is to take the place of a file; it does so at the end, with the mode that the file had.

    It lies in a folder of its own beside the file, as some libraries write under yet another name first. With `synced`
    the disk has it before it is there. Raises OSError; then, as after any other exception inside, all is as it was.
    """
    mode = _mode(path)
    folder = path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        folder.chmod(0o700)  # whatever its user leaves to whom
        unfinished = folder / path.name
        yield unfinished
        if synced:
            sync(unfinished)
        unfinished.chmod(mode)
        unfinished.replace(path)
        if synced:
            keep(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace(path: Path, content: bytes, *, in_place: bool = False) -> None:
    """Write a file in the place of what is there. Raises OSError where it cannot; then all is as it was.

    With `in_place`, a file in a folder that takes no new ones is written over instead, and may be left half-written.
    """
    try:
        target = path.resolve()
    except RuntimeError as problem:  # links that lead to each other
        raise OSError(ELOOP, os.strerror(ELOOP)) from problem
    is_fixed = in_place and target.is_file() and not os.access(target.parent, os.W_OK)
    if is_fixed or (target.exists() and not target.is_file()):
        target.write_bytes(content)  # a folder is refused, and a device takes what it is given
        return
    with written(target) as unfinished:
        unfinished.write_bytes(content)


def _mode(path: Path) -> int:
    """The mode of a file, or that of a new one in its place."""
    try:
        return S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return usual_mode(path.parent)


def usual_mode(folder: Path) -> int:
    """The mode of a new file in a folder: what its user leaves to others. Raises OSError where none can be made."""
    probe = folder / f"{UNFINISHED}{secrets.token_hex(4)}"  # asking for the umask itself would change it for a moment
    probe.touch()
    try:
        return S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink()


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder. Raises OSError where it cannot."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder; not every system can say so of a folder."""
    with suppress(OSError):
        sync(path)
