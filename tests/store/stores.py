"""What tests do to whole stores: see all that is in one, make one of an older version, put a checkpoint into one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from safetensors.numpy import save_file

from bitspec.store import schema
from bitspec.store.store import Store

#: Inserts a row and is killed before it has tidied up.
KILLED = """
import duckdb, os, sys
connection = duckdb.connect()
connection.execute(f"ATTACH '{sys.argv[1]}' AS results")
connection.execute(sys.argv[2])
os._exit(0)
"""


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with store.reading() as connection:
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'results' AND schema_name = 'base'"
        ).fetchall()
        return {
            name: sorted(connection.execute(f"FROM base.{name}").fetchall(), key=repr)  # maps have no order in SQL
            for (name,) in tables
        }


def files(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def alter(store: Store, *statements: str) -> None:
    """Do to the database what bitspec does not."""
    with store.writing() as connection:
        for statement in statements:
            connection.execute(statement)


def as_of_version(store: Store, version: int, folder: Path) -> Store:
    """The same results, as a bitspec with tables of an older version kept them."""
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{store.database}' AS new (READ_ONLY)")
        connection.execute(f"ATTACH '{folder / 'results.duckdb'}' AS old (STORAGE_VERSION 'v1.4.0')")
        connection.execute("USE old")
        schema.create_tables_of(connection, version)
        for (table,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'old' AND table_name <> 'meta'"
        ).fetchall():
            columns = connection.execute(
                "SELECT string_agg(column_name, ', ') FROM duckdb_columns() "
                "WHERE database_name = 'old' AND schema_name = 'base' AND table_name = ?",
                [table],
            ).fetchall()
            connection.execute(
                f"INSERT INTO old.base.{table} BY NAME SELECT {columns[0][0]} FROM new.base.{table}"  # noqa: S608
            )
        connection.execute("USE memory")
    return Store(folder)


def leave_a_log(store: Store, statement: str) -> Path:
    """Have a process do something, and killed so that the log stays beside the database."""
    subprocess.run([sys.executable, "-c", KILLED, str(store.database), statement], check=True, timeout=60)
    log = store.database.with_name("results.duckdb.wal")
    assert log.exists()
    return log


def checkpoint(store: Store, keys: Sequence[str], name: str = "0" * 32, /, **metadata: str) -> Path:
    """Put down how far some trials have come."""
    path = store.folder / "checkpoints" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    about = {"format": "bitspec.checkpoint/1", "keys": json.dumps(list(keys)), **metadata}
    save_file({"x": np.zeros(3)}, path, about)
    return path


def age(path: Path, seconds: float = 100_000) -> Path:
    """Make a file look as if nobody had touched it for so long."""
    os.utime(path, (time.time() - seconds,) * 2)
    return path
