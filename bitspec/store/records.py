"""What is put into the tables, inside the caller's transaction: a run with its cells, a finished trial, a failure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from bitspec import plugins, registry
from bitspec.ir.events import Failed, Predictions, Result
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned
from bitspec.store.provenance import Provenance
from bitspec.vocabulary import BUILTIN_TASKS, GLUE


@dataclass(frozen=True)
class Command:
    """How a run was asked for: the spec's path as given, its text, the command line; `whole` if nothing is left out.

    `warnings` are what there was to say about the spec.
    """

    spec: str
    spec_text: str
    command: str
    whole: bool
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Training:
    """Where a trial was trained: in which run, since when, on which model."""

    run: int
    started: datetime
    model_source: str
    model_revision: str | None
    model_fingerprint: str | None
    data_fingerprint: str | None


def insert_run(
    connection: duckdb.DuckDBPyConnection,
    study: Study,
    planned: Sequence[Planned],
    command: Command,
    provenance: Provenance,
) -> int:
    """Begin a run: its number, counted from 1."""
    run = _one(connection, "SELECT coalesce(max(run), 0) + 1 FROM base.runs")
    trials = [cell.trial for cell in planned]
    _insert(
        connection,
        "runs",
        {
            "run": run,
            "study": study.name,
            "title": study.title,
            "spec": command.spec,
            "spec_text": command.spec_text,
            "definition": study.model_dump_json(),
            "warnings": list(command.warnings),
            "command": command.command,
            "began": now(),
            "commit": provenance.commit,
            "versions": provenance.versions,
            "whole": command.whole,
            "models": list(dict.fromkeys(trial.model.name for trial in trials)),
            "tasks": list(dict.fromkeys(trial.task.name for trial in trials)),
            "strategies": list(dict.fromkeys(trial.strategy for trial in trials)),
            "seeds": list(dict.fromkeys(trial.seed for trial in trials)),
            "keys": [cell.key for cell in planned],
        },
    )
    return int(run)


def upsert_cells(
    connection: duckdb.DuckDBPyConnection, run: int, study: str, planned: Sequence[Planned], *, whole: bool
) -> None:
    """Put a run's cells in place of those that they replace.

    A cell of another variant of the same model, task and strategy is no longer current; other seeds of the same
    variant stay. Where the run covers the whole spec, cells that it does not have are no longer current either.
    """
    trials = [cell.trial for cell in planned]
    connection.execute(
        """
        CREATE TEMP TABLE planned AS SELECT
            unnest(?::VARCHAR[]) AS model, unnest(?::VARCHAR[]) AS task, unnest(?::VARCHAR[]) AS strategy,
            unnest(?::BIGINT[]) AS seed, unnest(?::VARCHAR[]) AS key, unnest(?::VARCHAR[]) AS variant,
            unnest(?::VARCHAR[]) AS title, unnest(?::INTEGER[]) AS position, unnest(?::VARCHAR[]) AS selection
        """,
        [
            [trial.model.name for trial in trials],
            [trial.task.name for trial in trials],
            [trial.strategy for trial in trials],
            [trial.seed for trial in trials],
            [cell.key for cell in planned],
            [cell.variant for cell in planned],
            [cell.title for cell in planned],
            [cell.position for cell in planned],
            [trial.selection for trial in trials],
        ],
    )
    same = "planned.model = cells.model AND planned.task = cells.task AND planned.strategy = cells.strategy"
    connection.execute(
        f"UPDATE base.cells SET current = false WHERE study = ? AND current AND EXISTS "  # noqa: S608 - our own words
        f"(SELECT 1 FROM planned WHERE {same} AND planned.variant <> cells.variant)",
        [study],
    )
    connection.execute(
        f"DELETE FROM base.cells WHERE study = ? AND EXISTS "  # noqa: S608 - our own words
        f"(SELECT 1 FROM planned WHERE {same} AND planned.seed = cells.seed AND planned.key = cells.key)",
        [study],
    )
    connection.execute(
        "INSERT INTO base.cells BY NAME SELECT ? AS study, *, true AS current, ?::INTEGER AS run FROM planned",
        [study, run],
    )
    # The other seeds of a strategy follow its label and its place.
    connection.execute(
        "UPDATE base.cells SET title = latest.title, position = latest.position "
        "FROM (SELECT DISTINCT ON (strategy) strategy, title, position FROM planned) AS latest "
        "WHERE cells.study = ? AND cells.current AND cells.strategy = latest.strategy "
        "AND (cells.title <> latest.title OR cells.position <> latest.position)",
        [study],
    )
    if whole:
        connection.execute(
            f"UPDATE base.cells SET current = false WHERE study = ? AND current "  # noqa: S608 - our own words
            f"AND NOT EXISTS (SELECT 1 FROM planned WHERE {same})",
            [study],
        )
    connection.execute("DROP TABLE planned")


def insert_packs(
    connection: duckdb.DuckDBPyConnection, run: int, packs: Sequence[Sequence[str]], device: str | None
) -> None:
    """Put down packs of a run, numbered from 1; those that it makes later follow on."""
    first = 1 + _one(connection, "SELECT coalesce(max(number), 0) FROM base.packs WHERE run = ?", run)
    connection.execute(
        "INSERT INTO base.packs BY NAME SELECT ?::INTEGER AS run, unnest(?::INTEGER[]) AS number, "
        "unnest(?::VARCHAR[][]) AS keys, ?::VARCHAR AS device",
        [run, list(range(first, first + len(packs))), [list(pack) for pack in packs], device],
    )


def set_values_file(connection: duckdb.DuckDBPyConnection, key: str, values_file: str) -> None:
    """Put down where the values of a finished trial are kept."""
    connection.execute("UPDATE base.trials SET values_file = ? WHERE key = ?", [values_file, key])


def is_finished(connection: duckdb.DuckDBPyConnection, key: str) -> bool:
    """Whether a trial is finished already."""
    return bool(_one(connection, "SELECT count(*) FROM base.trials WHERE key = ? AND status = 'finished'", key))


def insert_result(
    connection: duckdb.DuckDBPyConnection,
    planned: Planned,
    result: Result,
    training: Training,
    values_file: str | None,
) -> None:
    """Put in a finished trial, in place of its failures."""
    last, best = result.epochs[-1], result.best
    _insert_trial(
        connection,
        planned,
        training,
        {
            "status": "finished",
            "score": result.score,
            "best_score": best.score,
            "best_epoch": best.number,
            "metric": main_metric(planned, last.metrics, last.score),
            "metrics": last.metrics,
            "trainable": result.trainable,
            "percent": result.percent,
            "head": result.head,
            "change": mean_change(result),
            "loss": last.loss,
            "seconds": result.seconds,
            "training_examples": result.training_examples,
            "validation_examples": result.validation_examples,
            "device": result.device,
            "threads": result.threads,
            "pack": list(result.pack),
            "values_file": values_file,
        },
    )
    _insert_epochs(connection, result)
    _insert_changes(connection, result)
    for split in result.predictions:
        _insert_predictions(connection, result.key, split)


def insert_failure(
    connection: duckdb.DuckDBPyConnection, planned: Planned, failure: Failed, training: Training
) -> None:
    """Put in a trial that failed, in place of an earlier failure."""
    said = f"{failure.message}; {failure.help}" if failure.help else failure.message
    _insert_trial(connection, planned, training, {"status": failure.status, "message": said})


def main_metric(planned: Planned, metrics: dict[str, float], score: float) -> str | None:
    """The name of the metric that a trial is scored by; of a task that is not known here, the one that is its score."""
    task = planned.trial.task
    if task.data is not None:
        return task.data.metric
    known = {**GLUE, **BUILTIN_TASKS}.get(task.name)
    if known is None and task.name in registry.names("task"):
        known = registry.find(plugins.Task, task.name).metric
    return known or next((name for name, value in metrics.items() if math.isclose(value * 100, score)), None)


def mean_change(result: Result) -> float | None:
    """The mean absolute change of all trained entries of the backbone; None if there are none."""
    trained = sum(moved.trained for moved in result.changes)
    if trained == 0:
        return None
    return math.fsum(moved.trained * moved.trained_change for moved in result.changes) / trained


def now() -> datetime:
    """The time, UTC, as DuckDB's TIMESTAMP takes it: without a zone."""
    return utc(datetime.now(UTC))


def utc(time: datetime) -> datetime:
    """A time as UTC without a zone; one that has no zone is local time."""
    return time.astimezone(UTC).replace(tzinfo=None)


def _insert_trial(
    connection: duckdb.DuckDBPyConnection, planned: Planned, training: Training, outcome: dict[str, Any]
) -> None:
    trial = planned.trial
    connection.execute("DELETE FROM base.trials WHERE key = ?", [planned.key])
    _insert(
        connection,
        "trials",
        {
            "key": planned.key,
            "model": trial.model.name,
            "model_source": training.model_source,
            "model_revision": training.model_revision,
            "model_fingerprint": training.model_fingerprint,
            "task": trial.task.name,
            "task_data": trial.task.data.model_dump_json() if trial.task.data is not None else None,
            "data_fingerprint": training.data_fingerprint,
            "seed": trial.seed,
            "selection": trial.selection,
            "settings": trial.settings.model_dump_json(),
            "strategy": trial.strategy,
            "study": _one(connection, "SELECT study FROM base.runs WHERE run = ?", training.run),
            "epochs": trial.settings.epochs,
            "learning_rate": trial.settings.learning_rate,
            "batch_size": trial.settings.batch_size,
            "started": utc(training.started),
            "finished": now(),
            "run": training.run,
            **outcome,
        },
    )


def _insert_epochs(connection: duckdb.DuckDBPyConnection, result: Result) -> None:
    epochs = result.epochs
    connection.execute(
        """
        INSERT INTO base.epochs BY NAME
        SELECT ? AS key, * EXCLUDE (metric_names, metric_values), map(metric_names, metric_values) AS metrics
        FROM (SELECT
            unnest(?::INTEGER[]) AS epoch, unnest(?::DOUBLE[]) AS loss, unnest(?::DOUBLE[]) AS validation_loss,
            unnest(?::DOUBLE[]) AS score, unnest(?::DOUBLE[]) AS seconds,
            unnest(?::VARCHAR[][]) AS metric_names, unnest(?::DOUBLE[][]) AS metric_values)
        """,
        [
            result.key,
            [epoch.number for epoch in epochs],
            [epoch.loss for epoch in epochs],
            [epoch.validation_loss for epoch in epochs],
            [epoch.score for epoch in epochs],
            [epoch.seconds for epoch in epochs],
            [list(epoch.metrics) for epoch in epochs],
            [list(epoch.metrics.values()) for epoch in epochs],
        ],
    )


def _insert_changes(connection: duckdb.DuckDBPyConnection, result: Result) -> None:
    changes = result.changes
    connection.execute(
        """
        INSERT INTO base.changes BY NAME SELECT ? AS key,
            unnest(?::VARCHAR[]) AS tensor, unnest(?::VARCHAR[]) AS role, unnest(?::INTEGER[]) AS layer,
            unnest(?::VARCHAR[]) AS kind, unnest(?::BIGINT[]) AS entries, unnest(?::BIGINT[]) AS trained,
            unnest(?::DOUBLE[]) AS change, unnest(?::DOUBLE[]) AS trained_change
        """,
        [
            result.key,
            [moved.tensor for moved in changes],
            [moved.role for moved in changes],
            [moved.layer for moved in changes],
            [moved.kind for moved in changes],
            [moved.entries for moved in changes],
            [moved.trained for moved in changes],
            [moved.change for moved in changes],
            [moved.trained_change for moved in changes],
        ],
    )


def _insert_predictions(connection: duckdb.DuckDBPyConnection, key: str, split: Predictions) -> None:
    # Tens of thousands of them: as arrays, which DuckDB reads in place, twenty times faster than lists.
    arrays = {
        "example": np.arange(len(split.labels), dtype=np.int32),
        "label": np.asarray(split.labels, dtype=np.float64),
        "prediction": np.asarray(split.predictions, dtype=np.float64),
        "margin": np.asarray(split.margins, dtype=np.float64),
    }
    connection.register("predicted", arrays)
    connection.execute(
        "INSERT INTO base.predictions BY NAME SELECT ? AS key, ? AS split, * FROM predicted", [key, split.split]
    )
    connection.unregister("predicted")


def _insert(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    # A dictionary would be taken for a struct: a map is made of its keys and its values.
    places, parameters = [], []
    for value in row.values():
        is_map = isinstance(value, dict)
        places.append("map(?, ?)" if is_map else "?")
        parameters += [list(value), list(value.values())] if is_map else [value]
    connection.execute(
        f"INSERT INTO base.{table} ({', '.join(row)}) VALUES ({', '.join(places)})",  # noqa: S608 - our own names
        parameters,
    )


def _one(connection: duckdb.DuckDBPyConnection, statement: str, *parameters: Any) -> Any:
    row = connection.execute(statement, list(parameters)).fetchone()
    assert row is not None
    return row[0]
