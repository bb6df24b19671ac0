"""Results that go from store to store: an export as Parquet files, and the import of another store or an export."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.store.files import VALUES, values_files, values_name
from bitspec.store.foreign import HERE_ONLY, Foreign, Opened, find, opened, quoted, see_that_it_is_sound, told
from bitspec.store.maintenance import keys_of, tables_of
from bitspec.store.merge import Merged, merge_rows
from bitspec.store.store import Store
from bitspec.store.values import read_about, read_values
from bitspec.whole import UNFINISHED, keep


@dataclass(frozen=True)
class Exported:
    """What was written: the tables with their numbers of rows, and how many files of values."""

    tables: Mapping[str, int]
    values: int


@dataclass(frozen=True)
class Imported:
    """What came in: rows, files of values; of how many trials the values are not there or are broken.

    `known` are the trials of the other store that were finished here before.
    """

    rows: Merged
    known: int
    values: int
    without_values: int


def export(store: Store, output: Path, *, with_values: bool = False, force: bool = False) -> Exported:
    """Write every table of a store into a folder as a Parquet file, and with `with_values` its files of values too.

    Files are written under other names and renamed once all of them are whole. Raises BitspecError if there is no
    store, the folder is there and not empty (unless `force`d), or cannot be written.
    """
    store.read_path()
    token = f"{UNFINISHED}{secrets.token_hex(4)}-"
    try:
        _make(output, force=force)
        with store.reading() as connection:
            names = [table for table in tables_of(connection) if table not in HERE_ONLY]
            tables = {table: _write(connection, table, output, token) for table in names}
            values = values_files(store.folder) if with_values else {}
            of_trials = keys_of(connection, "(SELECT key FROM base.trials WHERE values_file IS NOT NULL)")
        written = [(output / f"{token}{table}.parquet", output / f"{table}.parquet") for table in tables]
        if with_values:
            (output / VALUES).mkdir(exist_ok=True)
        for key, path in values.items():
            if key in of_trials:
                with suppress(FileNotFoundError):  # it was forgotten meanwhile
                    copy = output / VALUES / f"{token}{path.name}"
                    shutil.copyfile(path, copy)
                    written.append((copy, output / VALUES / path.name))
        for unfinished, path in written:
            unfinished.replace(path)
    except OSError as problem:
        raise _unwritable(output, problem.strerror or str(problem)) from problem
    finally:
        for folder in (output, output / VALUES):
            with suppress(OSError):
                for path in folder.glob(f"{token}*"):
                    path.unlink()
    return Exported(tables, len(written) - len(tables))


def _make(output: Path, *, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise BitspecError(error("file-exists", f"`{output}` is a file", help="choose another name for the folder"))
    if output.exists() and not force and any(output.iterdir()):
        hint = "choose another one, or write into it with `--force`"
        raise BitspecError(error("file-exists", f"`{output}` is there already", help=hint))
    output.mkdir(parents=True, exist_ok=True)


def _write(connection: duckdb.DuckDBPyConnection, table: str, output: Path, token: str) -> int:
    """Write a table to its file, and return its number of rows."""
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'results' AND schema_name = 'base' "
        "AND table_name = ? AND data_type = 'JSON'",
        [table],
    ).fetchall()
    # JSON as text, which every reader of Parquet knows.
    casts = ", ".join(f'"{column}"::VARCHAR AS "{column}"' for (column,) in columns)
    selected = f"SELECT * {f'REPLACE ({casts})' if casts else ''} FROM base.{table}"  # noqa: S608 - our own names
    path = output.absolute() / f"{token}{table}.parquet"
    try:
        row = connection.execute(f"COPY ({selected}) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)").fetchone()
    except duckdb.IOException as problem:
        if token in str(problem) or "No space left" in str(problem):
            raise _unwritable(output, str(problem).partition("\n")[0]) from problem
        raise
    assert row is not None
    return int(row[0])


def _unwritable(output: Path, why: str) -> BitspecError:
    return BitspecError(error("unwritable", f"`{output}` cannot be written: {why}", help="choose another folder"))


def merge(store: Store, other: Path) -> Imported:
    """Take into a store what another one has and it has not; as often as one likes, with the same outcome.

    `other` is a store, its database, or an export. A finished trial comes in with its rows and its values where it is
    not finished here; a failure only where the trial is unknown here. `other` is only read. Raises BitspecError if it
    is no store, is damaged, of a newer bitspec, has rows that contradict each other, or is the store itself.
    """
    source = find(other)
    if source.database is not None and store.database.exists() and source.database.samefile(store.database):
        hint = "name another store, or the folder of an export"
        raise BitspecError(error("same-store", f"`{other}` is the store itself", help=hint))
    with told(source, store), opened(source, store.patience) as found:
        see_that_it_is_sound(found, source)
        theirs = _finished(found)
    store.prepare()
    mine = {key for key, status in store.statuses().items() if status == "finished"}
    new = sorted(theirs.keys() - mine)
    # Values are copied before the database is locked: they may be many, and runs go on meanwhile.
    staged: dict[str, Path] = {}
    try:
        _stage(store, source, (key for key in new if theirs[key]), staged)
        with told(source, store), opened(source, store.patience, store.database) as found:
            found.connection.begin()
            rows, came = merge_rows(found.connection, found.tables, new, sorted(staged))
            values = [key for key in came if key in staged]
            for key in values:
                staged[key].replace(store.folder / values_name(key))
            keep(store.folder / VALUES)
            found.connection.commit()
    except OSError as problem:
        raise store.unusable(problem) from problem
    finally:
        for path in staged.values():
            path.unlink(missing_ok=True)
    lacking = sum(theirs[key] for key in came) - len(values)
    return Imported(rows, len(theirs) - len(new), len(values), lacking)


def _finished(found: Opened) -> dict[str, bool]:
    """The keys of the trials that are finished in another store, and whether it says that it has their values."""
    rows = found.connection.execute(
        f"SELECT key, values_file IS NOT NULL FROM {found.tables['trials']} WHERE status = 'finished'"  # noqa: S608
    ).fetchall()
    return {str(key): bool(has_values) for key, has_values in rows}


def _stage(store: Store, source: Foreign, keys: Iterable[str], staged: dict[str, Path]) -> None:
    """Copy values under names of half-written files: those that are there, whole, and of the trial that they say."""
    lying = values_files(source.folder)
    for key in keys:
        if key not in lying:
            continue
        copy = store.folder / VALUES / f"{UNFINISHED}{key[:16]}-{secrets.token_hex(4)}"
        staged[key] = copy
        shutil.copyfile(lying[key], copy)
        try:
            read_values(copy)
            is_own = read_about(copy).get("key") == key
        except BitspecError:
            is_own = False
        if is_own:
            keep(copy)
        else:
            staged.pop(key).unlink()
