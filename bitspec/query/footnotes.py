"""What stands below an answer: whose runs it shows and how many, what is missing, why there is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bitspec.diagnostics import BitspecError, Source, did_you_mean, listed
from bitspec.names import short
from bitspec.query.compile import Condition, condition_of
from bitspec.query.pieces import Asked, Known
from bitspec.query.reader import LATEST, Reader
from bitspec.query.relation import Relation
from bitspec.query.syntax import Query

#: Views whose rows belong to single cells of studies.
_OF_CELLS: Final = ("scores", "epochs", "changes", "predictions")

#: Cells without a result that are named.
_NAMED: Final = 3

#: Values of a column that are listed where another was asked for.
_FEW: Final = 8


@dataclass(frozen=True)
class Asking:
    """A query in the short form, put to its view."""

    source: Source
    query: Query
    relation: Relation
    known: Known
    asked: Sequence[Asked]


def of_query(reader: Reader, asking: Asking, is_empty: bool) -> list[str]:
    """The footnotes of an answer to a query in the short form."""
    view = asking.relation.name
    notes = _unknown_values(reader, asking)
    counts: list[str] = []
    if view.removeprefix("all_") in _OF_CELLS:
        counts = _runs_per_cell(reader, *_cells_of(reader, asking))
        is_empty = is_empty or not counts
    if is_empty:
        return notes or [_why_nothing(reader, {view})]
    return [*counts, *_missing(reader, asking), *notes]


def of_sql(reader: Reader, words: set[str], is_empty: bool) -> list[str]:
    """The footnotes of an answer to plain SQL in which these words stand: those of the whole study."""
    try:
        if is_empty:
            return [_why_nothing(reader, words)]
        if words & set(_OF_CELLS):
            return [*_runs_per_cell(reader, "scores", Condition()), *_without_result(reader, Condition())]
        if any(f"all_{view}" in words for view in _OF_CELLS):
            return _runs_per_cell(reader, "all_scores", Condition())
    except BitspecError:  # SQL can be put to any database, and this one has none of our views
        return []
    return []


def _cells_of(reader: Reader, asking: Asking) -> tuple[str, Condition]:
    """The smallest view that has what a query's condition speaks of, and the condition as put to it."""
    view = asking.relation.name
    smaller = "all_scores" if view.startswith("all_") else "scores"
    try:
        return smaller, condition_of(asking.source, asking.query, reader.relation(smaller), asking.known)
    except BitspecError:
        return view, condition_of(asking.source, asking.query, asking.relation, asking.known)


def _runs_per_cell(reader: Reader, view: str, condition: Condition) -> list[str]:
    rows = reader.rows(
        f"SELECT study, min(n), max(n) FROM (SELECT study, count(DISTINCT key) AS n FROM {view} "  # noqa: S608
        f"WHERE {condition.sql} GROUP BY study, model, task, strategy) GROUP BY study ORDER BY study",
        condition.parameters,
    )
    return [f"{study}: n = {_runs(least, most)} per cell" for study, least, most in rows]


def _runs(least: int, most: int) -> str:
    return f"{least} run{'s' if least != 1 else ''}" if least == most else f"{least} to {most} runs"


def _missing(reader: Reader, asking: Asking) -> list[str]:
    """Which of the cells that a query asks for have no result."""
    if asking.relation.name not in LATEST or asking.relation.name == "cells":
        return []
    try:
        condition = condition_of(asking.source, asking.query, reader.relation("cells"), asking.known)
    except BitspecError:  # it asks for what a cell without a result does not have
        return _without_result(reader, Condition(), " of the whole study")
    return _without_result(reader, condition)


def _without_result(reader: Reader, condition: Condition, scope: str = "") -> list[str]:
    cells = reader.rows(
        f"SELECT status, strategy, task, model, seed FROM cells WHERE {condition.sql} "  # noqa: S608
        "ORDER BY position, model, task, seed",
        condition.parameters,
    )
    lacking = [cell for cell in cells if cell[0] != "finished"]
    if not lacking:
        return []
    several_models = len({cell[3] for cell in cells}) > 1
    named = [
        f"{strategy} on {task}{f' with {model}' if several_models else ''}, seed {seed} ({status})"
        for status, strategy, task, model, seed in lacking[:_NAMED]
    ]
    more = f"; and {len(lacking) - _NAMED:,} more" if len(lacking) > _NAMED else ""
    have = "has" if len(cells) == 1 else "have"
    return [f"{len(lacking):,} of {len(cells):,} cells{scope} {have} no result: {'; '.join(named)}{more}"]


def _unknown_values(reader: Reader, asking: Asking) -> list[str]:
    """Texts that no row has where they are asked for: they are misspelt, most likely."""
    notes = []
    for one in dict.fromkeys(asking.asked):
        values = reader.values(asking.relation, one.column)
        if one.value not in values:
            shortened = set(map(short, values)) if one.column == "task" else set()
            few = sorted(values) if len(values) <= _FEW else []
            hint = did_you_mean(one.value, values | shortened) or (f"there are {listed(few, 'and')}" if few else "")
            notes.append(f"no {one.column} is called `{one.value}`{f'; {hint}' if hint else ''}")
    return notes


def _why_nothing(reader: Reader, views: Iterable[str]) -> str:
    """Why an answer has no rows."""
    if not reader.rows("SELECT 1 FROM studies LIMIT 1"):
        return "the store holds no study yet: `bitspec run SPEC` fills it"
    if set(views) & LATEST and not reader.rows("SELECT 1 FROM scores LIMIT 1"):
        rows: list[tuple[Any, ...]] = reader.rows("SELECT status, count(*) FROM cells GROUP BY status ORDER BY status")
        study = reader.rows("SELECT study FROM studies WHERE is_latest")[0][0]
        counts = ", ".join(f"{count:,} {status}" for status, count in rows)
        return f"no trial of {study} has finished yet ({counts}): `bitspec run` goes on with it"
    return "no row meets the conditions"
