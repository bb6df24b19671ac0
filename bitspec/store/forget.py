"""Taking trials out of a store, so that the next run trains them again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.names import known_strategy, known_task, one_called
from bitspec.store.files import checkpoint_keys, checkpoints, values_files
from bitspec.store.lookups import NAMED, check_beginning, check_unique
from bitspec.store.maintenance import keys_of
from bitspec.store.rules import OF_TRIALS
from bitspec.store.store import Store


@dataclass(frozen=True)
class Chosen:
    """Which trials of a study are meant; what is empty means all there are, and no study the latest."""

    strategies: Sequence[str] = ()
    tasks: Sequence[str] = ()
    models: Sequence[str] = ()
    seeds: Sequence[int] = ()
    study: str | None = None


@dataclass(frozen=True)
class Trial:
    """A trial that is to run again, by the name that it was asked for."""

    key: str
    strategy: str
    task: str
    seed: int
    study: str


@dataclass(frozen=True)
class Forgotten:
    """The trials that were taken out; and what else they served, as `bitfit of my_study`, which misses them now."""

    trials: tuple[Trial, ...]
    others: tuple[str, ...]


def forget(store: Store, asked: Chosen | Sequence[str], *, dry_run: bool = False) -> Forgotten:
    """Take trials out of the store, with all that it has of them, so that the next run trains them again.

    They are asked for by what they are, or by the beginnings of their keys. Their cells stay, and are missing from then
    on. With `dry_run` nothing is changed. Raises BitspecError if there is no such study, strategy, task, model, seed or
    key, or a key is of several trials.
    """
    if dry_run:
        with store.reading() as connection:
            return _asked(connection, asked)
    with store.writing() as connection:
        found = _asked(connection, asked)
        keys = [trial.key for trial in found.trials]
        for table in OF_TRIALS:
            connection.execute(
                f"DELETE FROM base.{table} WHERE key IN (SELECT unnest(?::VARCHAR[]))",  # noqa: S608 - our own names
                [keys],
            )
    _remove_files(store, frozenset(keys))
    return found


def _remove_files(store: Store, keys: frozenset[str]) -> None:
    # After the rows: who is killed in between leaves files that nothing needs, and no trial without its values.
    try:
        with store.reading() as connection:  # nobody writes meanwhile; one of them may be finished again already
            gone = keys - keys_of(connection, "base.trials")
            lying = values_files(store.folder)
            for key in gone & lying.keys():
                lying[key].unlink(missing_ok=True)
            for path in checkpoints(store.folder):
                with suppress(ValueError):
                    if not gone.isdisjoint(checkpoint_keys(path)):
                        path.unlink(missing_ok=True)
    except OSError as problem:
        raise store.unusable(problem) from problem


def _asked(connection: duckdb.DuckDBPyConnection, asked: Chosen | Sequence[str]) -> Forgotten:
    if isinstance(asked, Chosen):
        trials = _of_cells(connection, asked)
    else:
        trials = [_of_key(connection, key.lower()) for key in dict.fromkeys(asked)]
    named = {(trial.strategy, trial.study) for trial in trials}
    serving = connection.execute(
        "SELECT DISTINCT strategy, study FROM base.cells "
        "WHERE current AND key IN (SELECT unnest(?::VARCHAR[])) ORDER BY study, strategy",
        [[trial.key for trial in trials]],
    ).fetchall()
    others = [f"{strategy} of {study}" for strategy, study in serving if (strategy, study) not in named]
    return Forgotten(tuple({trial.key: trial for trial in trials}.values()), tuple(others))


def _of_key(connection: duckdb.DuckDBPyConnection, key: str) -> Trial:
    """The trial whose key begins like this; of no trial at all, what rows there are of one."""
    check_beginning(key)
    found = connection.execute(
        "SELECT key, any_value(strategy), any_value(task), any_value(seed), any_value(study) FROM base.trials "
        "WHERE starts_with(key, ?) GROUP BY key ORDER BY key LIMIT ?",
        [key, NAMED + 1],
    ).fetchall()
    if not found:
        tables = " UNION ".join(
            f"SELECT key FROM base.{table} WHERE starts_with(key, $1)"  # noqa: S608 - our own names
            for table in OF_TRIALS
        )
        lost = connection.execute(tables, [key]).fetchall()
        found = [(whole, "rows of no trial", "no task", 0, "no study") for (whole,) in lost]
    check_unique(key, [(one, strategy, task, seed) for one, strategy, task, seed, _ in found])
    return Trial(*found[0])


def _of_cells(connection: duckdb.DuckDBPyConnection, asked: Chosen) -> list[Trial]:
    """The trials of a study's cells that are meant, those of them that were trained."""
    latest = "SELECT study FROM base.runs GROUP BY study ORDER BY max(began) DESC, max(run) DESC"
    studies = [study for (study,) in connection.execute(latest).fetchall()]
    if not studies:
        hint = "train a study with `bitspec run SPEC`, or say where its results are with `--store`"
        raise BitspecError(error("nothing-finished", "the store has no study yet", help=hint))
    study = studies[0] if asked.study is None else one_called(asked.study, studies, "study", "in the store")
    cells = connection.execute(
        "SELECT DISTINCT key, strategy, task, seed, study, model, title, position FROM base.cells "
        "WHERE current AND study = ? ORDER BY position, strategy, task, model, seed",
        [study],
    ).fetchall()
    where = f"in the study `{study}`"
    strategies = {known_strategy(name, [(cell[1], cell[6]) for cell in cells], where) for name in asked.strategies}
    tasks = {known_task(name, [cell[2] for cell in cells], where) for name in asked.tasks}
    models = {one_called(name, [cell[5] for cell in cells], "model", where) for name in asked.models}
    seeds = {one_called(str(seed), [str(cell[3]) for cell in cells], "seed", where) for seed in asked.seeds}
    trained = keys_of(connection, "base.trials")
    return [
        Trial(key, strategy, task, seed, study)
        for key, strategy, task, seed, _, model, *_ in cells
        if key in trained
        and (not strategies or strategy in strategies)
        and (not tasks or task in tasks)
        and (not models or model in models)
        and (not seeds or str(seed) in seeds)
    ]
