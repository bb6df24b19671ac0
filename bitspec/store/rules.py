"""What holds of the rows of every sound store, whatever it holds: for a check, and before another store is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The tables with rows of single trials.
OF_TRIALS: Final = ("trials", "epochs", "changes", "predictions")


@dataclass(frozen=True)
class Rule:
    """A query over tables for what breaks a rule: where, or the key of a trial; and a number that `problem` speaks of.

    `sql` and `problem` are templates: `{trials}` is the table of that name, `{n}` the number. `remedy` is what to do,
    and None where the trial is to be forgotten. What is `left_over` does no harm to what is sound.
    """

    tables: tuple[str, ...]
    sql: str
    problem: str
    remedy: str | None = None
    left_over: bool = False

    def query(self, tables: Mapping[str, str]) -> str:
        """The query over tables, as SQL has them."""
        return self.sql.format(**tables)


def _twice(table: str, more: str, by: str = "key") -> Rule:
    return Rule(
        (table,),
        f"SELECT key, sum(more) FROM (SELECT key, {more} AS more FROM {{{table}}} GROUP BY {by}) "  # noqa: S608
        "WHERE more > 0 GROUP BY key",
        f"rows of the table `{table}` are there twice: {{n:,}} of them",
    )


def _of_nothing(table: str) -> Rule:
    return Rule(
        ("trials", table),
        f"SELECT key, count(*) FROM {{{table}}} "  # noqa: S608
        "WHERE key NOT IN (SELECT key FROM {trials} WHERE status = 'finished') GROUP BY key",
        f"{{n:,}} rows of the table `{table}` are of no finished trial",
        left_over=True,
    )


def _without(table: str) -> Rule:
    return Rule(
        ("trials", table),
        "SELECT key, 0 FROM {trials} WHERE status = 'finished' "  # noqa: S608
        f"AND key NOT IN (SELECT DISTINCT key FROM {{{table}}})",  # else every row of it is held in memory
        f"it is finished, and has no {table}",
    )


_BACK: Final = "put a copy of the database back"
_AGAIN: Final = "run the study again: `bitspec run SPEC` writes its cells anew"

#: From the first to the last time that every program can tell.
_TIMES: Final = "TIMESTAMP '1970-01-01' AND TIMESTAMP '9999-12-31'"

RULES: Final = (
    Rule(
        ("trials",),
        "SELECT key, count(*) FROM {trials} GROUP BY key HAVING count(*) > 1",
        "it is in the table `trials` {n:,} times",
    ),
    Rule(
        ("trials",),
        "SELECT key, 0 FROM {trials} WHERE NOT regexp_full_match(key, '[0-9a-f]{{64}}')",
        "its key is none",
        _BACK,
    ),
    Rule(
        ("trials",),
        "SELECT key, 0 FROM {trials} WHERE status NOT IN ('finished', 'failed', 'diverged')",
        "its status is none that there is",
    ),
    Rule(
        ("trials",),
        f"SELECT key, 0 FROM {{trials}} WHERE started NOT BETWEEN {_TIMES} OR finished NOT BETWEEN {_TIMES}",  # noqa: S608
        "its times are none",
    ),
    _twice("epochs", "count(*) - count(DISTINCT epoch)"),
    _twice("changes", "count(*) - count(DISTINCT tensor)"),
    # Too many to look at each: there are more rows than there can be different examples.
    _twice("predictions", "count(*) - (max(example) - min(example) + 1)", "key, split"),
    _of_nothing("epochs"),
    _of_nothing("changes"),
    _of_nothing("predictions"),
    _without("epochs"),
    _without("predictions"),
    Rule(
        ("trials", "runs"),
        "SELECT key, run FROM {trials} WHERE run NOT IN (SELECT run FROM {runs})",
        "the run that trained it, run {n}, is not in the table `runs`",
    ),
    Rule(
        ("runs",),
        "SELECT 'run ' || run, count(*) FROM {runs} GROUP BY run HAVING count(*) > 1",
        "it is in the table `runs` {n:,} times",
        _BACK,
    ),
    Rule(
        ("runs",),
        f"SELECT 'run ' || run, 0 FROM {{runs}} WHERE began NOT BETWEEN {_TIMES} OR ended NOT BETWEEN {_TIMES}",  # noqa: S608
        "its times are none",
        _BACK,
    ),
    Rule(
        ("runs", "cells"),
        "SELECT 'run ' || run, count(*) FROM {cells} WHERE run NOT IN (SELECT run FROM {runs}) GROUP BY run",
        "it is not in the table `runs`, and covers cells, {n:,} of them",
        _AGAIN,
    ),
    Rule(
        ("cells",),
        "SELECT 'cell of ' || study || ': ' || strategy || ' on ' || task || ', seed ' || seed, count(*) "
        "FROM {cells} GROUP BY study, model, task, strategy, seed, key HAVING count(*) > 1",
        "it is in the table `cells` {n:,} times",
        _AGAIN,
    ),
)
