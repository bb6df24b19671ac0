"""`bitspec query`: its formats, where its query comes from, what it says to whom, what it loads and how soon it is there."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bitspec.cli.query import command
from bitspec.query.formats import FORMATS
from tests.cli.conftest import Bitspec
from tests.query.conftest import fill

Process = Callable[..., subprocess.CompletedProcess[str]]

QUERY = "select avg(score) by strategy"
TABLE = """\
strategy  avg(score)
full           66.33
bitfit         64.00
ln             46.56
frozen         26.25

small: n = 2 to 3 runs per cell
2 of 24 cells have no result: ln on builtin/rte, seed 2 (missing); ln on cola, seed 1 (diverged)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("queried") / "store")


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    """A store where the command looks for one."""
    return Path(shutil.copytree(filled, tmp_path / "store"))


# Answers ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
def test_a_query(bitspec: Bitspec) -> None:
    found = bitspec("query", QUERY)
    assert (found.code, found.out, found.err) == (0, TABLE, "")


@pytest.mark.usefixtures("store")
def test_plain_sql(bitspec: Bitspec) -> None:
    found = bitspec("query", "select strategy, avg(score) from scores group by 1 order by 2 desc")
    assert found.code == 0
    assert found.out.splitlines()[:2] == ["strategy  avg(score)", "full           66.33"]


def test_a_store_elsewhere(bitspec: Bitspec, filled: Path) -> None:
    for path in (filled, filled / "results.duckdb"):
        assert bitspec("query", QUERY, "--store", path).out == TABLE


@pytest.mark.usefixtures("store")
def test_formats(bitspec: Bitspec) -> None:
    notes = "".join(f"{line}\n" for line in TABLE.splitlines()[-2:])
    found = bitspec("query", QUERY, "-f", "csv")
    assert (found.code, found.err) == (0, notes)
    assert list(csv.reader(io.StringIO(found.out)))[1] == ["full", "66.33333333333333"]
    found = bitspec("query", QUERY, "--format", "json")
    assert (found.code, found.err) == (0, notes)
    assert json.loads(found.out)[1] == {"strategy": "bitfit", "avg(score)": 64.0}
    assert bitspec("query", QUERY, "--format", "markdown").out.startswith("| strategy | avg(score) |\n| --- | ---: |\n")
    assert bitspec("query", QUERY, "--format", "latex").out.startswith("\\begin{tabular}{lr}\n  \\toprule\n")
    assert bitspec("query", QUERY, "--format", "table").out == TABLE


def test_every_format_can_be_chosen() -> None:
    (option,) = (one for one in command.params if one.name == "form")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(FORMATS)


@pytest.mark.usefixtures("store")
def test_long_tables_are_cut_and_say_so(bitspec: Bitspec) -> None:
    query = "select i as score from range(1500) t(i)"
    lines = bitspec("query", query).out.splitlines()
    assert lines[-1] == "the first 1,000 rows; `--format csv` gives all of them"
    assert len(lines) == 1003
    assert len(bitspec("query", query, "-f", "csv").out.splitlines()) == 1501


@pytest.mark.usefixtures("store")
def test_a_query_from_standard_input(process: Process) -> None:
    done = process("query", "-", input=f"{QUERY}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, TABLE, "")
    done = process("query", "-", input="")
    assert done.returncode == 2
    assert "there is no query" in done.stderr


@pytest.mark.usefixtures("store")
def test_explain(bitspec: Bitspec) -> None:
    found = bitspec("query", "select mean(score) by strategy where task = rte", "--explain")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[2] == "WHERE scores.task = $1"
    assert found.out.splitlines()[-1] == "-- $1 = 'builtin/rte'"


def test_the_schema(bitspec: Bitspec) -> None:
    found = bitspec("query", "--schema")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[0].split() == ["view", "a", "row", "is"]
    assert "\nscores           a finished trial in its cell" in found.out
    found = bitspec("query", "--schema", "epochs", "-f", "json")
    assert found.json()[-1]["column"] == "key"
    found = bitspec("query", "--schema", "epoch")
    assert found.code == 2
    assert "did you mean `epochs`" in found.err


# What is wrong ------------------------------------------------------------------------------------------


def test_without_a_store(bitspec: Bitspec) -> None:
    found = bitspec("query", QUERY)
    assert (found.code, found.out) == (2, "")
    assert found.err == (
        "error[no-store]: there are no results in `store`\n"
        "  = help: train a study with `bitspec run SPEC`, or say where its results are with `--store`\n\n1 error\n"
    )
    assert list(Path.cwd().iterdir()) == []


def test_what_is_wrong_with_a_query_is_said_before_the_store_is_looked_for(bitspec: Bitspec) -> None:
    found = bitspec("query", "select mean(score by strategy")
    assert found.code == 2
    assert found.err.startswith("error[unclosed]: a parenthesis is not closed\n --> <query>:1:19\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["query"], 2, "there is no query"),
        (["query", "select scor"], 2, "did you mean `score`?"),
        (["query", "select scor from scores"], 2, "did you mean `score`?"),
        (["query", "drop view scores"], 2, "error[refused]: `drop` is not for a query"),
        (["query", QUERY, "-f", "xml"], 2, "Error: Invalid value for '-f'"),
        (["query", QUERY, "--timeout", "0"], 2, "Error: Invalid value for '--timeout'"),
        (["query", QUERY, "--timeout", "nan"], 2, "Error: Invalid value for '--timeout'"),
        (["query", QUERY, "--timeout", "inf"], 2, "Error: Invalid value for '--timeout'"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_wrong(bitspec: Bitspec, arguments: list[str], code: int, said: str) -> None:
    found = bitspec(*arguments)
    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert "Traceback" not in found.err


@pytest.mark.usefixtures("store")
def test_the_time_limit(bitspec: Bitspec) -> None:
    query = "with recursive r(i) as (select 1 union all select i + 1 from r) select max(i) from r"
    found = bitspec("query", query, "--timeout", "0.2")
    assert found.code == 2
    assert "error[too-slow]: the query was stopped after 0.2 s" in found.err


@pytest.mark.usefixtures("store")
def test_what_cannot_be_stopped_ends_with_the_process(process: Process) -> None:
    begun = time.monotonic()
    query = "select levenshtein(repeat('ab', 200000), repeat('ba', 200000)) from (select 1)"
    done = process("query", query, "--timeout", "0.2")
    assert done.returncode == 2
    assert "error[too-slow]: the query took too long, and did not heed being stopped" in done.stderr
    assert time.monotonic() - begun < 20


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX does it")
@pytest.mark.usefixtures("store")
def test_ctrl_c(root: Path) -> None:
    query = "with recursive r(i) as (select 1 union all select i + 1 from r) select max(i) from r"
    program = "print('ready', flush=True)\nfrom bitspec.cli.main import main\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "query", query],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        assert running.stderr.read().strip() == "stopped"
    assert running.returncode == 130


# Terminals and pipes ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("environment", "bold"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_in_a_terminal(process: Process, environment: dict[str, str], bold: bool) -> None:
    leader, follower = pty.openpty()
    try:
        given = {"TERM": "xterm", "COLUMNS": "60", "NO_COLOR": ""} | environment
        done = process("query", "select selection, settings, score", environment=given, stdout=follower)
        assert done.returncode == 0, done.stderr
        os.close(follower)
        written = b""
        while True:
            try:
                written += os.read(leader, 65536)
            except OSError:
                break
    finally:
        os.close(leader)
    lines = written.decode().splitlines()
    assert ("\x1b[1m" in lines[0]) is bold
    assert len(lines[1]) <= 60
    assert "…" in lines[1]


@pytest.mark.usefixtures("store")
def test_the_reader_of_a_pipe_may_leave(process: Process) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = process("query", "select i as score from range(100000) t(i)", "-f", "csv", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


# What it costs ------------------------------------------------------------------------------------------

WATCH = "import atexit, sys\natexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(sys.modules)))"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("query", "unneeded"),
    [
        (QUERY, {"rich"}),
        ("select strategy, avg(score) from scores group by 1", {"rich"}),
        ("select mean(score), ci95(score), metrics.accuracy > 0.5 as good by good, strategy", {"rich"}),
    ],
)
def test_nothing_heavy_is_loaded(process: Process, query: str, unneeded: set[str]) -> None:
    done = process("query", query, before=WATCH)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED ")[2].split())
    assert {"bitspec.query.answer", "duckdb"} <= loaded
    heavy = {"torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pandas", "pyarrow", "numpy"}
    assert not {name.partition(".")[0] for name in loaded} & (heavy | unneeded | {"pydantic", "altair", "safetensors"})


@pytest.mark.usefixtures("store")
def test_it_starts_at_once(process: Process) -> None:
    """Half a second is promised of a machine that does nothing else; of any, a few times what must be imported."""

    def processor() -> float:
        times = os.times()
        return times.children_user + times.children_system

    queries, imports = [], []
    for _ in range(3):
        before = processor()
        assert process("query", QUERY).returncode == 0
        between = processor()
        subprocess.run([sys.executable, "-c", "import click, duckdb, lark"], check=True)
        queries.append(between - before)
        imports.append(processor() - between)
    assert min(queries) < 4 * min(imports), (queries, imports)
