"""The rows of one store into another, in the caller's transaction: what is there comes in once, by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from bitspec.store.files import VALUES
from bitspec.store.rules import OF_TRIALS


@dataclass(frozen=True)
class Merged:
    """What came in: finished trials, how many of them had failed here, trials that failed there, runs and cells."""

    finished: int
    replaced: int
    failed: int
    runs: int
    cells: int


def merge_rows(
    connection: duckdb.DuckDBPyConnection, theirs: Mapping[str, str], finished: Sequence[str], valued: Sequence[str]
) -> tuple[Merged, list[str]]:
    """Put the rows of another store's tables into the one that the connection uses.

    `theirs` are the other's tables, as SQL names them. Of the trials that are finished there, those with the keys
    `finished` come in unless they are finished here by now; `valued` of them have their values here. Returns the keys
    of those that came in, too.
    """
    runs = _runs(connection, theirs["runs"])
    replaced, came = _finished(connection, theirs, finished, valued)
    failed = _count(
        connection,
        "INSERT INTO base.trials BY NAME "  # noqa: S608 - our own names
        "SELECT trial.* REPLACE (run_of.run AS run, NULL AS values_file) "
        f"FROM {theirs['trials']} AS trial JOIN run_of ON run_of.number = trial.run "
        "WHERE trial.status <> 'finished' AND trial.key NOT IN (SELECT key FROM base.trials)",
    )
    cells = _cells(connection, theirs["cells"])
    if "packs" in theirs:
        _packs(connection, theirs["packs"])
    keys = [str(key) for (key,) in connection.execute("FROM incoming ORDER BY key").fetchall()]
    for table in ("run_of", "incoming"):
        connection.execute(f"DROP TABLE {table}")
    return Merged(came, replaced, failed, runs, cells), keys


def _runs(connection: duckdb.DuckDBPyConnection, theirs: str) -> int:
    """Runs that are not here yet come in after ours; the table `run_of` says which number each of theirs has here."""
    # The same run may be here, and may even be there twice: it is one run, by what it was.
    connection.execute(
        f"""
        CREATE TEMP TABLE run_of AS
        SELECT number, first, here IS NULL AS is_new, coalesce(
            here,
            (SELECT coalesce(max(run), 0) FROM base.runs) + dense_rank() OVER (PARTITION BY here IS NULL ORDER BY began, first)
        )::INTEGER AS run
        FROM (
            SELECT run.run AS number, run.began, same.run AS here,
                min(run.run) OVER (PARTITION BY run.study, run.began, run.command, run.keys) AS first
            FROM {theirs} AS run LEFT JOIN (
                SELECT study, began, command, keys, min(run) AS run FROM base.runs GROUP BY ALL
            ) AS same
            ON same.study = run.study AND same.began = run.began AND same.command = run.command AND same.keys = run.keys
        )
        """  # noqa: S608, E501 - our own names
    )
    # One that went on since it was taken over has come to its end.
    connection.execute(
        f"UPDATE base.runs SET ended = run.ended FROM {theirs} AS run JOIN run_of ON run_of.number = run.run "  # noqa: S608
        "WHERE NOT run_of.is_new AND run_of.run = runs.run AND runs.ended IS NULL AND run.ended IS NOT NULL"
    )
    return _count(
        connection,
        "INSERT INTO base.runs BY NAME SELECT run.* REPLACE (run_of.run AS run) "  # noqa: S608
        f"FROM {theirs} AS run JOIN run_of ON run_of.number = run.run "
        "WHERE run_of.is_new AND run_of.number = run_of.first",
    )


def _finished(
    connection: duckdb.DuckDBPyConnection, theirs: Mapping[str, str], keys: Sequence[str], valued: Sequence[str]
) -> tuple[int, int]:
    """How many failures of ours are replaced by finished trials of theirs, and how many of those come in."""
    connection.execute("CREATE TEMP TABLE incoming AS SELECT unnest(?::VARCHAR[]) AS key", [list(keys)])
    connection.execute("DELETE FROM incoming WHERE key IN (SELECT key FROM base.trials WHERE status = 'finished')")
    connection.execute(
        f"DELETE FROM incoming WHERE key NOT IN (SELECT key FROM {theirs['trials']} WHERE status = 'finished')"  # noqa: S608
    )
    replaced = _count(connection, "DELETE FROM base.trials WHERE key IN (FROM incoming)")
    came = _count(
        connection,
        "INSERT INTO base.trials BY NAME SELECT trial.* REPLACE (run_of.run AS run, "  # noqa: S608
        f"CASE WHEN trial.key IN (SELECT unnest(?::VARCHAR[])) THEN '{VALUES}/' || trial.key || '.safetensors' END "
        f"AS values_file) FROM {theirs['trials']} AS trial JOIN run_of ON run_of.number = trial.run "
        "WHERE trial.status = 'finished' AND trial.key IN (FROM incoming)",
        list(valued),
    )
    for table in OF_TRIALS:
        if table != "trials":
            connection.execute(f"DELETE FROM base.{table} WHERE key IN (FROM incoming)")  # noqa: S608
            connection.execute(f"INSERT INTO base.{table} BY NAME FROM {theirs[table]} WHERE key IN (FROM incoming)")
    return replaced, came


def _cells(connection: duckdb.DuckDBPyConnection, theirs: str) -> int:
    """Their cells beside ours; where we have another variant of a cell that is current, theirs is not."""
    came = _count(
        connection,
        f"""
        INSERT INTO base.cells BY NAME SELECT cell.* REPLACE (
            run_of.run AS run,
            cell.current AND NOT EXISTS (
                SELECT 1 FROM base.cells AS ours WHERE ours.current AND ours.study = cell.study
                AND ours.model = cell.model AND ours.task = cell.task AND ours.strategy = cell.strategy
                AND ours.variant <> cell.variant
            ) AS current
        )
        FROM {theirs} AS cell JOIN run_of ON run_of.number = cell.run
        WHERE NOT EXISTS (
            SELECT 1 FROM base.cells AS ours WHERE ours.study = cell.study AND ours.model = cell.model
            AND ours.task = cell.task AND ours.strategy = cell.strategy AND ours.seed = cell.seed
            AND ours.key = cell.key
        )
        QUALIFY row_number() OVER (
            PARTITION BY cell.study, cell.model, cell.task, cell.strategy, cell.seed, cell.key ORDER BY cell.run DESC
        ) = 1
        """,  # noqa: S608 - our own names
    )
    # As after a run: all cells of a strategy have the label and the place that it had last.
    connection.execute(
        f"""
        UPDATE base.cells SET title = latest.title, position = latest.position
        FROM (
            SELECT DISTINCT ON (cell.study, cell.strategy) cell.study, cell.strategy, cell.title, cell.position
            FROM base.cells AS cell JOIN base.runs AS run ON run.run = cell.run
            WHERE cell.current AND cell.study IN (SELECT study FROM {theirs})
            ORDER BY cell.study, cell.strategy, run.began DESC, run.run DESC
        ) AS latest
        WHERE cells.current AND cells.study = latest.study AND cells.strategy = latest.strategy
        AND (cells.title <> latest.title OR cells.position <> latest.position)
        """  # noqa: S608 - our own names
    )
    return came


def _packs(connection: duckdb.DuckDBPyConnection, theirs: str) -> None:
    connection.execute(
        f"INSERT INTO base.packs BY NAME SELECT pack.* REPLACE (run_of.run AS run) "  # noqa: S608
        f"FROM {theirs} AS pack JOIN run_of ON run_of.number = pack.run "
        "WHERE run_of.number = run_of.first AND run_of.run NOT IN (SELECT run FROM base.packs)"
    )


def _count(connection: duckdb.DuckDBPyConnection, statement: str, *parameters: object) -> int:
    row = connection.execute(statement, list(parameters)).fetchone()
    assert row is not None
    return int(row[0])
