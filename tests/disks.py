"""Small disks, and disks that can only be read: file systems of their own, which end with the test.

Only processes that are started on one see it at its path: what a test does with a database there, it does in one of
them, by `Disk.call`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent

#: How a process gets a view of the file systems that is its own: of the superuser's right, or in a user's own world.
_WAYS: Final = (
    (["unshare", "--mount"], ["--mount"]),
    (["unshare", "--user", "--map-root-user", "--mount"], ["--user", "--preserve-credentials", "--mount"]),
)

_HOLDER: Final = 'mount -t tmpfs -o "size=$1" tmpfs "$0" && echo mounted && exec cat'

_SKIPPED: Final = (
    "NO SMALL DISK: this user may mount a tmpfs neither with `unshare --mount` nor in a user namespace, so that what "
    "bitspec does on a full or read-only disk is not tried here; run the tests as root, or allow user namespaces"
)


@dataclass(frozen=True)
class Disk:
    """A file system at `path` that only the processes see which it runs; the files in it are at `seen` for the test."""

    path: Path
    seen: Path
    _enter: tuple[str, ...]

    def run(self, *command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder."""
        return subprocess.run(
            [*self._enter, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), *map(str, command)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def bitspec(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of bitspec in a folder; nobody ever sees a traceback."""
        program = "from bitspec.cli.main import main\nmain()"
        ran = self.run(sys.executable, "-W", "error", "-c", program, *arguments, folder=folder)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function of a module, given its path and arguments that JSON takes, in a process that sees it."""
        name = function.__name__
        program = (
            "import json, sys, pathlib\n"
            f"from {function.__module__} import {name}\n"
            f"{name}(pathlib.Path(sys.argv[1]), *json.loads(sys.argv[2]))\n"
        )
        given = (self.path, json.dumps(arguments))
        ran = self.run(sys.executable, "-W", "error", "-c", program, *given, folder=self.path)
        assert ran.returncode == 0, ran.stderr

    def make_read_only(self) -> None:
        """From now on nothing on it can be changed."""
        done = self.run("mount", "-o", "remount,ro", self.path, folder=Path("/"))
        assert done.returncode == 0, done.stderr


def fill(disk: Path, left: int) -> None:
    """Fill a disk with one file, `ballast`, all but so many KiB."""
    found = os.statvfs(disk)
    with (disk / "ballast").open("wb") as file:
        file.write(bytes(found.f_bavail * found.f_frsize - left * 1024))


def free(disk: Path) -> None:
    """Take the ballast away."""
    (disk / "ballast").unlink()


@contextmanager
def disk(path: Path, size: str = "64m") -> Iterator[Disk]:
    """A new, empty file system in memory at a path. The test is skipped where this user may not have one."""
    path.mkdir(parents=True, exist_ok=True)
    for way, enter in _WAYS:
        with _held([*way, "sh", "-c", _HOLDER, str(path), size]) as holder:
            if holder is not None:
                inside = Path(f"/proc/{holder}/root{path}")
                yield Disk(path, inside, ("nsenter", "--target", str(holder), *enter, "--"))
                return
    pytest.skip(_SKIPPED)


@contextmanager
def _held(command: Sequence[str]) -> Iterator[int | None]:
    """The id of a process in which a file system is mounted for as long as it lives; None if it cannot be."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:  # a system without such a program
        yield None
        return
    with process:
        assert process.stdout is not None
        yield process.pid if process.stdout.readline() == "mounted\n" else None
        process.communicate()
