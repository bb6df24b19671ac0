"""Every way out of the store that DuckDB has is shut: a canary is neither read nor written, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.query.answer import ask
from bitspec.query.connection import connect

pytestmark = pytest.mark.usefixtures("quick")

CANARY = "the canary sings"

#: A variable of the program, which a query must not see.
canary = [CANARY]


@pytest.fixture
def cage(tmp_path: Path) -> Iterator[Path]:
    """A folder with a canary in it, to which nothing may be added."""
    (tmp_path / "canary.csv").write_text(f"x\n{CANARY}\n", "utf-8")
    (tmp_path / "canary.json").write_text(f'{{"x": "{CANARY}"}}\n', "utf-8")
    with duckdb.connect(tmp_path / "canary.duckdb") as connection:
        connection.execute("CREATE TABLE canary AS SELECT ? AS x", [CANARY])
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*"))}
    yield tmp_path
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*"))} == before


ESCAPES = {
    "refused": [
        # reading
        "select * from read_csv('{cage}/canary.csv')",
        "select * from read_csv_auto('{cage}/canary.csv')",
        "select * from '{cage}/canary.csv'",
        "select * from '{cage}/canary.json'",
        "select * from '{cage}/canary.duckdb'",
        "select * from read_duckdb('{cage}/canary.duckdb')",
        "select * from read_text('{cage}/canary.csv')",
        "select * from read_blob('{cage}/canary.csv')",
        "select * from read_json('{cage}/canary.json')",
        "select * from read_json_objects('{cage}/canary.json')",
        "select * from read_parquet('{cage}/canary.csv')",
        "select * from parquet_metadata('{cage}/canary.csv')",
        "select * from sniff_csv('{cage}/canary.csv')",
        "select * from glob('{cage}/*')",
        "select * from read_csv('https://127.0.0.1:1/canary.csv')",
        "select * from 'http://127.0.0.1:1/canary.csv'",
        "select * from read_csv('s3://bucket/canary.csv')",
        "with x as (select * from read_csv('{cage}/canary.csv')) select * from x",
        "select (select content from read_text('{cage}/canary.csv'))",
        "select * from scores where strategy in (select content from read_text('{cage}/canary.csv'))",
        "select * from query('select * from read_text(''{cage}/canary.csv'')')",
        "from '{cage}/canary.csv'",
        "summarize '{cage}/canary.csv'",
        "describe '{cage}/canary.csv'",
        "select * from duckdb_extensions()",
        "select * from load_aws_credentials()",
        # writing
        "copy (select 1) to '{cage}/out.csv'",
        "copy base.trials to '{cage}/out.parquet'",
        "copy base.trials from '{cage}/canary.csv'",
        "copy (select 1) to '/dev/stdout'",
        "export database '{cage}/out'",
        "import database '{cage}/out'",
        "create table x (y int)",
        "create temp table x (y int)",
        "create temp view x as select 1",
        "create temp macro f(x) as x + 1",
        "create or replace view scores as select 1",
        "create secret s (type http)",
        "insert into base.trials select * from base.trials",
        "update base.trials set score = 100",
        "delete from base.trials",
        "truncate base.trials",
        "drop view scores",
        "alter table base.trials add column x int",
        "merge into base.trials using (select 1 as x) on false when matched then delete",
        "with d as (delete from base.trials returning *) select * from d",
        "with d as (insert into base.meta values (1, 'x') returning *) select * from d",
        "with d as (update base.trials set score = 100 returning *) select * from d",
        "checkpoint",
        "force checkpoint",
        "vacuum",
        "analyze",
        "comment on table base.trials is 'x'",
        # other databases, extensions, settings
        "attach '{cage}/canary.duckdb'",
        "attach ':memory:' as x",
        "attach 'http://127.0.0.1:1/x.duckdb'",
        "detach results",
        "use base",
        "install httpfs",
        "force install httpfs from community",
        "load httpfs",
        "load '{cage}/x.duckdb_extension'",
        "update extensions",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set threads = 1",
        "set global temp_directory = '{cage}'",
        "set search_path = 'base'",
        "reset memory_limit",
        "set variable x = 1",
        "pragma database_list",
        "pragma enable_profiling = 'json'",
        "pragma profiling_output = '{cage}/out.json'",
        "pragma disable_verification",
        "call pragma_version()",
        "call enable_logging('QueryLog', storage = 'file', storage_config = {{'path': '{cage}'}})",
        # other statements
        "begin",
        "commit",
        "rollback",
        "prepare x as select 1",
        "execute x",
        "deallocate x",
        "explain select 1 from scores",
        "explain analyze select 1 from scores",
        "pivot scores on task using avg(score)",
        "begin; drop view scores",
    ],
    "unknown-view": [
        "select * from canary",
        "select * from CANARY",
        "select * from os",
        "select * from sys.path",
    ],
    "unknown-function": [
        "select getenv('HOME') from scores",
        "select * from from_substrait('x')",
        "select * from shellfs('ls')",
        "select getenv('HOME')",
        "select read_text('x')",
    ],
    "several": [
        "select 1 from scores; select 2",
        "select 1 from scores; drop view scores",
        "select 1 from scores;; delete from base.trials",
        "select n; delete from base.trials",
        "with a as (select 1) select * from a; copy (select 1) to '{cage}/out.csv'",
    ],
    "wrong-clause": [
        ".shell ls",
        "!ls",
        "\\copy scores to x",
        "import os",
        "connect 'http://127.0.0.1:1'",
    ],
}  # fmt: skip
CODES = [(code, text) for code, texts in ESCAPES.items() for text in texts]


@pytest.mark.parametrize(("code", "text"), CODES, ids=[text for _, text in CODES])
def test_escape(code: str, text: str, store: Path, cage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cage)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with pytest.raises(BitspecError) as raised:
        ask(text.format(cage=cage), store)
    (diagnostic,) = raised.value.diagnostics
    allowed = {
        "refused": {"refused", "wrong-clause"},
        "several": {"wrong-clause"},
        "wrong-clause": {"wrong-clause", "refused", "syntax"},
    }
    assert diagnostic.code in allowed.get(code, {code}), diagnostic
    assert CANARY not in str(diagnostic)
    assert "Error" not in diagnostic.message
    assert "{" not in diagnostic.message
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_blob('{store}/results.duckdb')",
        "select * from duckdb_secrets()",
        "select * from checkpoint('results')",
        "select * from duckdb_temporary_files()",
        "select write_log('x')",
        "select current_setting('home_directory')",
    ],
)
@pytest.mark.usefixtures("cage")
def test_what_is_let_through_gives_and_changes_nothing_but_the_store(text: str, store: Path) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    try:
        rows = str(ask(text.format(store=store), store).rows)
    except BitspecError as problem:
        rows = str(problem)
    assert CANARY not in rows
    assert os.environ.get("HOME", CANARY) not in rows
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_view_in_the_store_itself_reaches_nothing(cage: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("from_a_stranger")
    with duckdb.connect(folder / "results.duckdb") as connection:
        connection.execute(f"CREATE VIEW scores AS FROM read_csv('{cage}/canary.csv')")
        connection.execute("CREATE MACRO mean(x) AS (SELECT content FROM read_text('/etc/hostname'))")
    for text in ("select x", "select * from scores", "select mean(1) from (select 1)"):
        with pytest.raises(BitspecError) as raised:
            ask(text, folder)
        assert raised.value.diagnostics[0].code in {"refused", "store-broken"}


def test_python_functions_cannot_be_reached_by_their_address(store: Path) -> None:
    for text in (
        "select * from arrow_scan(1::pointer, 2::pointer, 3::pointer)",
        "select * from pandas_scan(140000000000)",
        "select * from arrow_scan(140000000000, 140000000000, 140000000000)",
        "select * from python_map_function()",
    ):
        with pytest.raises(BitspecError):
            ask(text, store)


def test_the_canary_would_be_found(cage: Path) -> None:
    """The guards are needed: a connection that only reads gives the canary away."""
    with duckdb.connect(cage / "canary.duckdb", read_only=True) as connection:
        for text in (f"from '{cage}/canary.csv'", f"from read_csv('{cage}/canary.csv')"):
            assert CANARY in str(connection.execute(text).fetchall())


def test_selects_of_every_kind_pass(store: Path) -> None:
    for text in (
        "from scores",
        "(select 1)",
        "values (1)",
        "table scores",
        "show tables",
        "describe scores",
        "summarize scores",
        "with recursive r(i) as (select 1 union all select i + 1 from r where i < 5) select * from r",
        "select * from scores union by name select * from all_scores",
        "pivot scores on task in ('cola') using avg(score) group by strategy",
        "select strategy, rank() over (partition by task order by score) from scores",
        "select 1 from scores;",
        "select 'drop table x; delete from y' from scores -- ; a comment",
    ):
        assert ask(text, store).rows


def test_a_connection_of_the_reports_own_is_as_locked(store: Path, cage: Path) -> None:
    with connect(store) as connection:
        for text in (f"copy (select 1) to '{cage}/out.csv'", "select * from canary", f"attach '{cage}/canary.duckdb'"):
            with pytest.raises(duckdb.Error):
                connection.execute(text)
