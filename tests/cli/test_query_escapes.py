"""`bitspec query` itself lets nothing out and nothing in: a canary beside the store, and the program's own variables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.query.answer import ask
from tests.cli.conftest import Bitspec
from tests.limited import limited
from tests.query.conftest import fill
from tests.query.test_escapes import CANARY, CODES

#: What the program holds in its variables, in forms that DuckDB takes for tables where it may.
canary_table = pa.table({"x": [CANARY]})
canary_arrays = {"x": np.array([CANARY])}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("escaped") / "store")


@pytest.fixture
def cage(filled: Path, tmp_path: Path) -> Iterator[Path]:
    """The working directory: a store, and canaries beside it. Nothing in it changes."""
    shutil.copytree(filled, tmp_path / "store")
    (tmp_path / "canary.csv").write_text(f"x\n{CANARY}\n", "utf-8")
    (tmp_path / "canary.json").write_text(json.dumps({"x": CANARY}), "utf-8")
    with duckdb.connect(tmp_path / "canary.duckdb") as connection:
        connection.execute("CREATE TABLE canary AS SELECT ? AS x", [CANARY])
    before = _contents(tmp_path)
    yield tmp_path
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow  # those of tests/query/test_escapes.py, once more through the command
@pytest.mark.parametrize("text", [text for _, text in CODES], ids=[text for _, text in CODES])
def test_every_escape_is_refused_by_the_command(bitspec: Bitspec, cage: Path, text: str) -> None:
    for options in ((), ("--format", "csv")):
        found = bitspec("query", text.format(cage=cage), *options)
        assert found.code == 2
        assert found.out == ""
        assert CANARY not in found.err
        assert found.err.endswith("1 error\n")
        assert "Traceback" not in found.err


#: One of each kind, for a process of its own.
KINDS = {
    "a DELETE in a CTE": "with d as (delete from base.trials returning *) select * from d",
    "COPY": "copy (select 1) to 'out.csv'",
    "ATTACH": "attach 'canary.duckdb'",
    "read_csv": "select * from read_csv('canary.csv')",
    "glob": "select * from glob('*')",
    "a pragma": "pragma database_list",
    "a replacement scan of a file": "select * from 'canary.csv'",
    "a replacement scan of a variable": "select * from canary_table",
    "an extension that is installed": "install httpfs",
    "an extension that is loaded": "load httpfs",
    "an extension that loads itself": "select * from 'https://127.0.0.1:1/canary.parquet'",
    "a setting": "set enable_external_access = true",
    "a macro": "create macro f() as table select * from read_csv('canary.csv')",
}


#: Those that are tried by `make test`: a process takes a second to begin.
QUICK = {"COPY", "a replacement scan of a variable", "an extension that loads itself"} | {
    "a cross join of the store", "a recursion that grows", "a list", "rows without end",
}  # fmt: skip


def some(texts: dict[str, str]) -> list[Any]:
    return [
        pytest.param(text, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, text in texts.items()
    ]


@pytest.mark.parametrize("text", some(KINDS))
def test_escapes_in_a_process_of_their_own(cage: Path, root: Path, text: str) -> None:
    program = f"canary_table = [{CANARY!r}]\nfrom bitspec.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "query", "-"],
        input=text,
        cwd=cage,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error[")
    assert CANARY not in done.stderr


@pytest.mark.parametrize(
    "name", ["canary_table", "canary_arrays", "canary_local", "canary_relation", "locals", "CANARY"]
)
def test_the_variables_of_the_caller_are_no_tables(cage: Path, name: str) -> None:
    canary_local = pa.table({"x": [CANARY]})
    canary_relation = duckdb.sql("select 'x' as x")
    assert canary_local.num_rows == 1
    assert canary_relation is not None
    for text in (
        f"select * from {name}",  # noqa: S608
        f'from "{name}"',
        f"select x from {name} by x",  # noqa: S608
        f"select count(*) from {name}",  # noqa: S608
    ):
        with pytest.raises(BitspecError) as raised:
            ask(text, cage / "store")
        (found,) = raised.value.diagnostics
        assert found.code == "unknown-view"
        assert CANARY not in str(found)


def test_a_connection_as_it_is_by_default_would_find_them() -> None:
    canary_local = pa.table({"x": [CANARY]})
    with duckdb.connect() as connection:
        for name in ("canary_local", "canary_table", "canary_arrays"):
            assert connection.execute(f"select x from {name}").fetchall() == [(CANARY,)]  # noqa: S608
    assert canary_local.num_rows == 1


# What runs away --------------------------------------------------------------------------------------------

RUNAWAYS = {
    "a cross join": "select count(*) from range(10000000) a, range(10000000) b, range(10000000) c",
    "a cross join of the store": f"select count(*) from {', '.join(f'changes c{i}' for i in range(12))}",  # noqa: S608
    "a cross join in order": "select * from range(10000000) a, range(10000000) b order by a.range + b.range",
    "a recursion": "with recursive r(i) as (select 1 union all select i + 1 from r) select max(i) from r",
    "a recursion that grows": "with recursive r(x) as (select 'x' union all select x || x from r) select count(*) from r",
    "a list": "select list(range) from range(10000000000)",
    "a text": "select length(repeat('x', 4000000000)) from (select 1)",
    "a text many times": "select string_agg(repeat('x', 1000000), ',') from range(1000000)",
    "distinct rows": "select count(distinct hash(a.range, b.range)) from range(10000000) a, range(100000) b",
    "a window": "select sum(s) from (select sum(range) over (order by hash(range)) as s from range(10000000000))",
    "rows without end": "select * from range(100000000000)",
}


@pytest.mark.parametrize("text", some(RUNAWAYS))
@pytest.mark.usefixtures("cage")
def test_what_runs_away_is_stopped(cage: Path, root: Path, text: str) -> None:
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "bitspec", "query", text, "--timeout", "1", "--format", "csv"],
        cwd=cage,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        said = running.stderr.read()
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 2, said
    assert said.startswith(("error[too-slow]", "error[too-large]")), said
    assert used.ru_maxrss < 4 * 1024**2, used.ru_maxrss  # KiB: what a query and what DuckDB may use together
    assert time.monotonic() - begun < 30


def test_a_million_rows_of_a_query_are_bounded_too(cage: Path) -> None:
    (found,) = limited([["query", "select * from range(3000000)", "--timeout", "5"]], cage, memory=4 * 2**30)
    assert found.code in {0, 2}
