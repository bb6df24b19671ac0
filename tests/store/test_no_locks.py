"""A file system that locks no files, as some network drives: told of at once, and not taken for a store in use."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from bitspec.store.complaints import complaint
from bitspec.store.store import Store
from tests.store.conftest import Lab

SAID = 'IO Error: Could not set lock on file "/mnt/store/results.duckdb": {}. See also https://duckdb.org/docs'

#: A library that takes the place of fcntl's locks: each fails with the number in NO_LOCKS.
REFUSING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
static int of_locks(int command) {
    return command == F_GETLK || command == F_SETLK || command == F_SETLKW
        || command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}
#define INSTEAD(name) int name(int file, int command, ...) { \\
    va_list rest; va_start(rest, command); void *given = va_arg(rest, void *); va_end(rest); \\
    if (of_locks(command)) { errno = atoi(getenv("NO_LOCKS")); return -1; } \\
    return ((int (*)(int, int, ...)) dlsym(RTLD_NEXT, #name))(file, command, given); }
INSTEAD(fcntl)
INSTEAD(fcntl64)
"""


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("No locks available", "No locks available"),
        ("Function not implemented", "Function not implemented"),
        (
            "File locks are not supported for this file system, cannot open the file in read-write mode. Try opening",
            "File locks are not supported for this file system, cannot open the file in read-write mode",
        ),
    ],
)
def test_what_duckdb_says_of_a_file_system_without_locks(reason: str, shown: str) -> None:
    found = complaint(Path("/mnt/store/results.duckdb"), duckdb.IOException(SAID.format(reason)))
    assert found.code == "store-no-locks"
    assert found.message == (
        f"the file system of the store `/mnt/store` does not lock files ({shown}), "
        "and without a lock two programs could write over each other's results"
    )
    assert found.help == "name a folder on a local disk with `--store`; copy what is in this one there to go on with it"


@pytest.mark.parametrize(
    ("holder", "who"),
    [
        ("/usr/bin/python3.12 (PID 77) by user ann", "process 77"),
        ("PID 0", "another program, or another part of this one"),
    ],
)
def test_a_lock_that_another_holds_is_another_matter(holder: str, who: str) -> None:
    said = duckdb.IOException(SAID.format(f"Conflicting lock is held in {holder}"))
    found = complaint(Path("/mnt/store/results.duckdb"), said)
    assert (found.code, found.message) == ("store-busy", f"the store `/mnt/store` is kept open by {who}")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled."""
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("NO FILE SYSTEM WITHOUT LOCKS: to make one takes Linux and gcc")
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "refusing.c").write_text(REFUSING, "utf-8")
    library = folder / "refusing.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "refusing.c", "-ldl"], check=True)
    return library


SPEC = 'study s  model "builtin/nano"  task builtin/rte  strategy a = bias'


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("run", errno.ENOLCK),
        ("run again", errno.ENOSYS),
        ("query", errno.ENOLCK),
        ("query", errno.EOPNOTSUPP),
    ],
)
def test_commands_on_a_file_system_without_locks(
    lab: Lab, tmp_path: Path, root: Path, refusing: Path, command: str, number: int
) -> None:
    (tmp_path / "s.bspec").write_text(SPEC, "utf-8")
    if command != "run":  # the store is there, and came from elsewhere
        lab.run()
    arguments = ["query", "select count(*) from scores"] if command == "query" else ["run", "s.bspec"]
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from bitspec.cli.main import main\nmain()", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "LD_PRELOAD": str(refusing), "NO_LOCKS": str(number)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert time.monotonic() - began < 30  # a store that is in use is waited for, two minutes long
    if command == "query" and number == errno.EOPNOTSUPP:  # DuckDB reads without a lock where there are none at all
        assert (ran.returncode, ran.stderr) == (0, "")
        return
    assert ran.returncode == 2
    assert ran.stderr.startswith("error[store-no-locks]: the file system of the store `store` does not lock files (")
    assert "help: name a folder on a local disk with `--store`" in ran.stderr
    assert ran.stderr.endswith("\n1 error\n")
    assert [path.name for path in (tmp_path / "store").iterdir() if "unfinished" in path.name] == []
    assert not Store(tmp_path / "store").database.exists() or len(lab.store.statuses()) == 8
