"""What is read from the tables for other rooms of the house: one trial, and how long trials took."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.base import Noun
from bitspec.ir.settings import Settings
from bitspec.ir.study import Model, Task, TaskData

#: Characters of the shortest beginning of a key that is looked up.
SHORTEST_KEY: Final = 4

_BEGINNING: Final = re.compile(f"[0-9a-fA-F]{{{SHORTEST_KEY},64}}")

#: Trials that a message about an ambiguous key names.
NAMED: Final = 5


class StoredTrial(Noun):
    """A trial as the store has it: enough to make its model again.

    `strategy` and `study` are those that it ran under first. What a failed trial does not know is None; `message` is
    what went wrong with it.
    """

    key: str
    status: Literal["finished", "failed", "diverged"]
    model: Model
    model_fingerprint: str | None
    task: Task
    data_fingerprint: str | None
    seed: int
    selection: str
    settings: Settings
    strategy: str
    study: str
    score: float | None
    trainable: int | None
    head: int | None
    message: str | None
    has_values: bool


@dataclass(frozen=True)
class Pace:
    """How fast the finished trials of one kind were: `seconds` an epoch, the median."""

    model_fingerprint: str
    data_fingerprint: str
    selection: str
    trials: int
    seconds: float


@dataclass(frozen=True)
class Durations:
    """How fast earlier trials were, by model, data and selection."""

    paces: tuple[Pace, ...] = ()

    def seconds(self, model_fingerprint: str, data_fingerprint: str, selection: str) -> float | None:
        """Seconds that an epoch may take, or None if nothing like it was ever trained.

        Trials of the same selection tell best; where there are none, those of other selections on the same data.
        """
        alike = [
            pace
            for pace in self.paces
            if (pace.model_fingerprint, pace.data_fingerprint) == (model_fingerprint, data_fingerprint)
        ]
        same = [pace for pace in alike if pace.selection == selection]
        return median(pace.seconds for pace in same or alike) if alike else None


def statuses(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The status of every trial by its key."""
    return dict(connection.execute("SELECT key, status FROM base.trials").fetchall())


def durations(connection: duckdb.DuckDBPyConnection) -> Durations:
    """How fast all finished trials were."""
    rows = connection.execute(
        """
        SELECT model_fingerprint, data_fingerprint, selection, count(*), median(seconds / epochs)
        FROM base.trials WHERE status = 'finished'
        GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    return Durations(tuple(Pace(*row) for row in rows))


def packs(
    connection: duckdb.DuckDBPyConnection, device: str | None, *, has_planned: bool
) -> dict[str, tuple[str, ...]]:
    """The pack of every key as it was begun: of a finished trial in the run that finished it, else in the last run.

    With a device, only packs for that device. Stores of version 1 tell of finished trials only.
    """
    trained = "SELECT key, pack, run FROM base.trials WHERE status = 'finished' AND ($1 IS NULL OR device = $1)"
    finished = {key: (tuple(pack), run) for key, pack, run in connection.execute(trained, [device]).fetchall()}
    found = {key: pack for key, (pack, _) in finished.items()}
    if has_planned:
        # What a pack began as is what repeats it, whatever it lost on its way: trials that diverged, or one half.
        planned = (
            "SELECT pack.run, pack.keys FROM base.packs AS pack JOIN base.runs AS begun ON begun.run = pack.run "
            "WHERE $1 IS NULL OR pack.device = $1 ORDER BY begun.began, pack.run, pack.number"
        )
        for run, keys in connection.execute(planned, [device]).fetchall():
            found |= {key: tuple(keys) for key in keys if key not in finished or finished[key][1] == run}
    return found


def find_trial(connection: duckdb.DuckDBPyConnection, key: str) -> StoredTrial:
    """The trial whose key begins like this. Raises BitspecError if there is none, or more than one."""
    cursor = connection.execute(
        """
        SELECT key, status, model, model_source, model_revision, model_fingerprint, task, task_data,
               data_fingerprint, seed, selection, settings, strategy, study, score, trainable, head, message,
               values_file IS NOT NULL
        FROM base.trials WHERE starts_with(key, lower(?)) ORDER BY key LIMIT ?
        """,
        [key, NAMED + 1],
    )
    found = cursor.fetchall()
    check_unique(key, [(str(row[0]), str(row[12]), str(row[6]), int(row[9])) for row in found])
    return _stored(found[0])


def check_beginning(key: str) -> None:
    """Raise BitspecError unless this can be the beginning of a key."""
    if _BEGINNING.fullmatch(key):
        return
    wrong = f"`{key}` is too short for a key" if len(key) < SHORTEST_KEY else f"`{key}` is no key"
    hint = (
        f"give at least {SHORTEST_KEY} of its 64 characters, which are 0 to 9 and a to f: "
        '`bitspec query "select strategy, task, seed, key"` lists them'
    )
    raise BitspecError(error("short-key", wrong, help=hint))


def check_unique(key: str, found: Sequence[tuple[str, str, str, int]]) -> None:
    """Raise BitspecError unless the beginning of a key has found one trial.

    Of those that were found: key, strategy, task and seed.
    """
    if not found:
        raise BitspecError(
            error(
                "unknown-trial",
                f"no trial has a key that begins with `{key}`",
                help='`bitspec query "select strategy, task, seed, key from scores"` lists them',
            )
        )
    if len(found) > 1:
        described = [
            f"{whole[: len(key) + 4]}… {strategy} on {task}, seed {seed}"
            for whole, strategy, task, seed in found[:NAMED]
        ]
        more = ["…"] if len(found) > NAMED else []
        raise BitspecError(
            error(
                "ambiguous-trial",
                f"more than one trial has a key that begins with `{key}`",
                help="\n".join(["give more of it:", *described, *more]),
            )
        )


def _stored(row: tuple[object, ...]) -> StoredTrial:
    key, status, model, source, revision, fingerprint, task, data, data_fingerprint, *rest = row
    seed, selection, settings, strategy, study, score, trainable, head, message, has_values = rest
    return StoredTrial.model_validate(
        {
            "key": key,
            "status": status,
            "model": Model(name=str(model), source=str(source), revision=None if revision is None else str(revision)),
            "model_fingerprint": fingerprint,
            "task": Task(name=str(task), data=None if data is None else TaskData.model_validate_json(str(data))),
            "data_fingerprint": data_fingerprint,
            "seed": seed,
            "selection": selection,
            "settings": Settings.model_validate_json(str(settings)),
            "strategy": strategy,
            "study": study,
            "score": score,
            "trainable": trainable,
            "head": head,
            "message": message,
            "has_values": has_values,
        }
    )


@dataclass(frozen=True)
class Picked:
    """What a finished trial trained: the entries by role and layer."""

    task: str
    seed: int
    entries: tuple[tuple[str | None, int | None, int], ...]


def picked(
    connection: duckdb.DuckDBPyConnection, model: str, revision: str | None, texts: Mapping[str, str]
) -> Picked | None:
    """What a selection came to in a finished trial of a model: on the first task, with the lowest seed.

    `texts` are the selection's canonical texts by task. None if no such trial is finished.
    """
    tasks = list(texts)
    found = connection.execute(
        """SELECT key, task, seed FROM base.trials
        WHERE status = 'finished' AND model_source = $1 AND model_revision IS NOT DISTINCT FROM $2
        AND list_extract($4::VARCHAR[], list_position($3::VARCHAR[], task)) = selection
        ORDER BY list_position($3::VARCHAR[], task), seed, finished DESC LIMIT 1""",
        [model, revision, tasks, list(texts.values())],
    ).fetchone()
    if found is None:
        return None
    key, task, seed = found
    rows = connection.execute(
        "SELECT role, layer, sum(trained)::BIGINT FROM base.changes WHERE key = $1 GROUP BY role, layer", [key]
    ).fetchall()
    return Picked(task, seed, tuple((role, layer, int(trained)) for role, layer, trained in rows))
