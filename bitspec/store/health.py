"""What is wrong with a store: every block and every file of it is read, and held against the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from bitspec.diagnostics import BitspecError
from bitspec.store.files import checkpoint_keys, checkpoints, strangers, values_files, values_name
from bitspec.store.maintenance import FINISHED, command, contents, keys_of, leftovers, tables_of
from bitspec.store.rules import RULES, Rule
from bitspec.store.store import Store
from bitspec.store.values import read_about, read_values

#: Characters of a key that findings give.
_SHOWN: Final = 12


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a store: where, what, and what to do about it."""

    place: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Health:
    """What a check found, and how much it looked at: finished trials, files of values."""

    findings: tuple[Finding, ...]
    finished: int
    values: int


def check(store: Store) -> Health:
    """Read all that a store holds, and say what is wrong with it.

    Every block of every table is read, and every file of values. Raises BitspecError if there is no store, or its
    database cannot be opened.
    """
    intact, findings = _read_all(store)
    with store.reading() as connection:
        finished = keys_of(connection, FINISHED) if "trials" in intact else frozenset()
        findings += _rows(store, connection, intact)
        named: dict[str, Path] = {}
        if "trials" in intact:
            named, missing = _values(store, connection)
            findings += missing
        if {"trials", "cells"} <= intact:
            # Nobody writes meanwhile, so that what a trial has is there with it.
            unneeded = leftovers(store, connection)
            findings += [
                Finding(_relative(store, file), why, f"{command(store, 'compact')} removes it")
                for file, why in unneeded
            ]
    for key, file in named.items():
        findings += _content(store, key, file)
    findings += _others(store)
    return Health(tuple(findings), len(finished), len(named))


def _read_all(store: Store) -> tuple[set[str], list[Finding]]:
    """The tables that can be read to their last block, and what is said of the others."""
    with store.reading() as connection:
        tables = tables_of(connection)
    intact: set[str] = set()
    findings = []
    for table in tables:
        try:
            with store.reading() as connection:  # each by itself: others may write in between
                connection.execute(contents(f'base."{table}"')).fetchall()
            intact.add(table)
        except (BitspecError, duckdb.Error) as problem:
            said = str(problem)
            if isinstance(problem, BitspecError):
                (diagnostic,) = problem.diagnostics
                if diagnostic.code != "store-broken":
                    raise
                said = diagnostic.message
            findings.append(Finding(f"table `{table}`", said, "put a copy of the database back"))
    return intact, findings


def _rows(store: Store, connection: duckdb.DuckDBPyConnection, intact: Collection[str]) -> Iterable[Finding]:
    """What is wrong with rows, each by itself and beside those of other tables."""
    tables = {table: f"base.{table}" for table in intact}
    found: list[tuple[Rule, str, int]] = []
    for rule in RULES:
        if tables.keys() >= set(rule.tables):
            rows = connection.execute(f"{rule.query(tables)} ORDER BY ALL").fetchall()
            found += [(rule, str(place), int(number)) for place, number in rows]
    keys = [place for rule, place, _ in found if rule.remedy is None]
    names = _names(connection, keys) if "trials" in intact else {}
    for rule, place, number in found:
        problem = rule.problem.format(n=number)
        if rule.remedy is None:
            yield _of_trial(store, place, problem, names.get(place))
        else:
            yield Finding(place, problem, rule.remedy)


def _names(connection: duckdb.DuckDBPyConnection, keys: list[str]) -> dict[str, str]:
    rows = connection.execute(
        "SELECT DISTINCT ON (key) key, strategy, task, seed FROM base.trials "
        "WHERE key IN (SELECT unnest(?::VARCHAR[]))",
        [keys],
    )
    return {str(key): f"{strategy} on {task}, seed {seed}" for key, strategy, task, seed in rows.fetchall()}


def _values(store: Store, connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, Path], list[Finding]]:
    """The files of values that trials name and that are there, by key; and what is said of the others."""
    lying = values_files(store.folder)
    rows = connection.execute(
        "SELECT key, values_file FROM base.trials WHERE values_file IS NOT NULL ORDER BY key"
    ).fetchall()
    names = _names(connection, [str(key) for key, _ in rows])
    findings = []
    for key, name in rows:
        if name != values_name(key):
            findings.append(
                _of_trial(store, key, f"it names a file of values that is not its own, `{name}`", names[key])
            )
        elif key not in lying:
            findings.append(_of_trial(store, key, f"its trained values are missing: `{name}`", names[key]))
    return {key: lying[key] for key, name in rows if name == values_name(key) and key in lying}, findings


def _content(store: Store, key: str, path: Path) -> Iterable[Finding]:
    """What is wrong in a file of values."""
    again = f"put a copy back, or train it again: {command(store, f'forget {key[:_SHOWN]}')}, then `bitspec run`"
    try:
        own = read_about(path).get("key")
        read_values(path)
    except BitspecError as problem:
        if path.exists():  # it may have been forgotten meanwhile
            (diagnostic,) = problem.diagnostics
            yield Finding(_relative(store, path), diagnostic.message, again)
        return
    if own != key:
        yield Finding(
            _relative(store, path), f"the values in it are of another trial, {(own or 'unknown')[:_SHOWN]}", again
        )


def _others(store: Store) -> Iterable[Finding]:
    """What is wrong with files that the database does not speak of."""
    for path in checkpoints(store.folder):
        try:
            checkpoint_keys(path)
        except ValueError as problem:
            if path.exists():
                remedy = "remove it: its trials begin anew"
                yield Finding(_relative(store, path), f"the checkpoint cannot be read: {problem}", remedy)
    for path in strangers(store.folder):
        yield Finding(_relative(store, path), "bitspec has put nothing there by this name", "move it elsewhere")


def _of_trial(store: Store, key: str, problem: str, name: str | None) -> Finding:
    remedy = f"train it again: {command(store, f'forget {key[:_SHOWN]}')}, then `bitspec run`"
    return Finding(f"trial {key[:_SHOWN]}{f' ({name})' if name else ''}", problem, remedy)


def _relative(store: Store, path: Path) -> str:
    return path.relative_to(store.folder).as_posix()
