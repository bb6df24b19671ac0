"""What goes wrong with a store, in the user's words: what DuckDB says of a database, and the system of a folder."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from bitspec.diagnostics import Diagnostic, error

#: How DuckDB says that a file system has no locks; where another program holds one, it says which.
_NO_LOCK: Final = re.compile(r'Could not set lock on file ".*": (?!Conflicting lock)([^.]+)')

#: What the system may say of a file that is not the file's fault.
_OF_SYSTEM: Final = re.compile(r"Input/output error|Too many open files|Stale file handle|Remote I/O error")

#: What the system says where nothing more can be written, and how a message says it.
_FULL: Final[Mapping[str, str]] = {
    "No space left": "there is no space left",
    "Disk quota exceeded": "there is no space left",
    "File too large": "a file is as large as this system lets it be, so there is no space left",
}

#: What to do about it.
FREE_SOME: Final = "free some space, and run the same again to go on: finished trials are kept"


def journal(path: Path) -> Path:
    """Where DuckDB keeps what it has not yet put into a database."""
    return path.with_name(f"{path.name}.wal")


def broken_journal(path: Path, reason: str) -> Diagnostic:
    """What to say of what DuckDB has beside a database, where it cannot be read."""
    return error(
        "store-broken",
        f"`{journal(path)}`, which holds what was written last, is damaged or of another database: {reason}",
        help=f"put copies of it and of `{path.name}` back; or move only the `.wal` away and run again: "
        "what it held is lost, and trained once more",
    )


def is_full(said: str) -> str | None:
    """What to say where the words of the system mean that nothing more can be written; None if they do not."""
    return next((ours for theirs, ours in _FULL.items() if theirs in said), None)


def is_busy(problem: duckdb.Error) -> bool:
    """Whether somebody else has the database open."""
    said = str(problem)
    return (
        "Conflicting lock is held" in said
        or "Unique file handle conflict" in said  # held by this very process
        or "different configuration than existing connections" in said  # the same, of a connection of its own
        or "being used by another process" in said  # as Windows has it
    )


def complaint(path: Path, problem: duckdb.Error) -> Diagnostic:
    """What DuckDB says of a database, in the user's words."""
    said = str(problem).partition("\n")[0]
    folder = path.parent
    if found := _NO_LOCK.search(said):
        return error(
            "store-no-locks",
            f"the file system of the store `{folder}` does not lock files ({found[1]}), "
            "and without a lock two programs could write over each other's results",
            help="name a folder on a local disk with `--store`; copy what is in this one there to go on with it",
        )
    if is_busy(problem):
        holder = re.search(r"\(PID (\d+)\)", said)
        who = f"process {holder[1]}" if holder else "another program, or another part of this one"
        return error(
            "store-busy",
            f"the store `{folder}` is kept open by {who}",
            help="close the notebook, script or `duckdb` shell that holds it, then run the command again; "
            "finished trials are kept",
        )
    if "Trying to read a database file with version number" in said:
        return error(
            "store-newer",
            f"the store `{folder}` was written by a newer DuckDB than {duckdb.__version__}",
            help="upgrade it with `pip install --upgrade duckdb`, or choose another store with `--store`",
        )
    if any(words in said for words in ("Permission denied", "Read-only file system", "read-only mode")):
        return error(
            "store-unusable",
            f"`{path}` cannot be opened: permission is denied",
            help="get the right to it, or choose another store with `--store`",
        )
    if full := is_full(str(problem)):  # where a checkpoint fails, the reason is on a line of its own
        return error("store-unusable", f"{full} for the store `{folder}`", help=FREE_SOME)
    if isinstance(problem, duckdb.OutOfMemoryException):
        return error(
            "store-unusable",
            f"there is not enough memory to open `{path}`",
            help="end what else is running, or choose another store with `--store`; finished trials are kept",
        )
    if found := _OF_SYSTEM.search(said):
        return error(
            "store-unusable",
            f"`{path}` cannot be read or written: {found[0]}",
            help="this is what the system says of the disk or of this process; "
            "finished trials are kept, and `--store` names another place",
        )
    if "sqlite_scanner" in said:
        said = "it is one of SQLite's"
    if "replaying WAL file" in said:
        return broken_journal(path, said.partition('.wal": ')[2] or said)
    return error(
        "store-broken",
        f"`{path}` is not a database, or is damaged: {said}",
        help="put a copy of it back, or move it away and run again to begin a new one; "
        "or choose another store with `--store`",
    )


def unusable(folder: Path, problem: OSError) -> Diagnostic:
    """What the system says of a store's folder, in the user's words."""
    wrong = f"results cannot be kept in `{folder}`"
    if isinstance(problem, FileExistsError | NotADirectoryError):
        return error(
            "store-unusable",
            f"{wrong}: `{_in_the_way(folder)}` is a file",
            help="name a folder with `--store`; it is made if it is missing",
        )
    why = {
        errno.EACCES: "permission is denied",
        errno.EPERM: "permission is denied",
        errno.EROFS: "it can only be read",
    }
    reason = problem.strerror or str(problem)
    full = is_full(reason)
    said = full or why.get(problem.errno or 0) or reason
    return error(
        "store-unusable",
        f"{wrong}: {said}",
        help=FREE_SOME if full else "choose another folder with `--store`",
    )


def _in_the_way(folder: Path) -> Path:
    # The nearest part of a path that is there and is no folder.
    paths = [folder / "values", folder, *folder.parents]
    return next((path for path in paths if path.exists() and not path.is_dir()), folder)
