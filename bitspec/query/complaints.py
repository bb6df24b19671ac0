"""What DuckDB says of a statement, in the user's words and with a caret."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import duckdb

from bitspec.diagnostics import Diagnostic, Source, Span, did_you_mean, error, listed
from bitspec.store.views import VIEWS

_READS_ONLY = "a query only reads the store: write a `select`"

#: What the short form calls otherwise than SQL.
_IN_SQL = {"sd": "stddev", "n": "count(*)", "se": "stddev(x) / sqrt(count(x))", "ci95": "the short form has it"}


#: What DuckDB raises where a file is not what it should be.
_DAMAGE: Final = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)


def complaint(source: Source, problem: duckdb.Error) -> Diagnostic:
    """What is wrong with a statement that DuckDB refuses."""
    said = _details(problem)
    message = str(said["exception_message"])
    span = _span(source, said)
    if isinstance(problem, duckdb.OutOfMemoryException):
        return out_of_memory()
    if isinstance(problem, duckdb.InterruptException):
        return error("too-slow", "the query was stopped", help="ask for less at once")
    if isinstance(problem, duckdb.PermissionException) or "disabled by configuration" in message:
        return error(
            "refused", "a query cannot reach files, the network or extensions", span,
            help="`bitspec query --schema` lists what it can read",
        )  # fmt: skip
    if is_damage(problem):
        first = message.partition("\n")[0]
        return error("store-broken", f"the store's database is damaged: {first}", None,
                     help="put a copy of it back, or choose another store with `--store`")  # fmt: skip
    if "read-only mode" in message or "read only mode" in message:
        return error("refused", "a query cannot change the store", span, help=_READS_ONLY)
    if "configuration has been locked" in message:
        return error("refused", "a query cannot change settings", span, help=_READS_ONLY)
    if "max expression depth" in message.lower():
        return error("too-deep", "this query is nested too deep", span, help="ask for less at once")
    if re.search(r"\bexists in the \w+ extension", message):
        return error("refused", "this needs an extension of DuckDB, and a query loads none", span,
                     help="DuckDB's own functions can be used")  # fmt: skip
    if "pytz" in message:
        return error("wrong-value", "a time with a time zone cannot be shown", span,
                     help="make it a plain one: `CAST(… AS TIMESTAMP)`")  # fmt: skip
    if isinstance(problem, duckdb.ParserException):
        return error("syntax", _plain(message), span, help=_as_sql(source))
    if said.get("error_subtype") == "COLUMN_NOT_FOUND":
        return _no_such_column(said, span)
    if isinstance(problem, duckdb.CatalogException) and said.get("name"):
        return _no_such_thing(said, span)
    if found := re.match(r'Table with name "?(.+?)"? does not exist', message):
        return _no_such_thing({"name": found[1], "type": "table"}, span)
    first, _, rest = message.partition("\n")
    return error("wrong-statement", _plain(first), span, help=_plain(rest) if rest else _as_sql(source))


def is_damage(problem: duckdb.Error) -> bool:
    """Whether an error is of the database rather than of a statement: a wrong checksum has no class of its own."""
    return isinstance(problem, _DAMAGE) or type(problem) is duckdb.Error


def bad_pattern(span: Span, problem: duckdb.Error) -> Diagnostic:
    """What is wrong with a regular expression."""
    said = str(_details(problem)["exception_message"])
    hint = "patterns are regular expressions; write `\\.` for a dot and `\\(` for a parenthesis"
    return error("bad-pattern", f"this pattern cannot be used: {said}", span, help=hint)


def several_statements(source: Source, first: str) -> Diagnostic:
    """That a text holds more than one statement."""
    start = min(len(first), max(0, len(source.text) - 1))
    return error("wrong-clause", "one query is asked at a time", Span(source, start, len(source.text)),
                 help="take away what follows the first `;`")  # fmt: skip


def not_a_select(source: Source, kind: str) -> Diagnostic:
    """That a statement does something else than to read."""
    bare = re.sub(r"--[^\n]*|/\*(?:.*?\*/|.*)", lambda found: " " * len(found[0]), source.text, flags=re.S)
    word = re.search(r"\w+", bare) or re.search(".*", source.text)
    assert word is not None
    span = Span(source, word.start(), word.end())
    hint = _READS_ONLY
    if kind == "EXPLAIN":
        hint = "`bitspec query --explain` prints the SQL of a query"
    elif kind == "MULTI":
        hint = "name the values: `PIVOT scores ON task IN ('cola', 'rte') USING avg(score) GROUP BY strategy`"
    return error("refused", f"`{word[0]}` is not for a query", span, help=hint)


def out_of_memory() -> Diagnostic:
    """That an answer does not fit."""
    return error("too-large", "this query needs more memory than a query may use",
                 help="narrow it down with `where`, or group the rows")  # fmt: skip


def too_many_rows(rows: int) -> Diagnostic:
    """That an answer has more rows than are fetched."""
    return error("too-large", f"this query gives more than {rows:,} rows",
                 help="narrow it down with `where`, name fewer columns, or add `limit`")  # fmt: skip


def too_slow(seconds: float) -> Diagnostic:
    """That a statement did not end in time."""
    return error("too-slow", f"the query was stopped after {seconds:g} s",
                 help="narrow it down with `where`, or give it longer with `--timeout`")  # fmt: skip


def still_running() -> Diagnostic:
    """That a statement cannot be stopped."""
    return error("too-slow", "the query took too long, and did not heed being stopped",
                 help="narrow it down with `where`")  # fmt: skip


def _details(problem: duckdb.Error) -> dict[str, Any]:
    text = str(problem)
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        found = None
    if isinstance(found, dict) and "exception_message" in found:
        return found
    # DuckDB puts what it says into lines: the error, a blank, the place.
    return {"exception_message": text.partition("\n\n")[0].partition(": ")[2] or text}


def _span(source: Source, said: dict[str, Any]) -> Span | None:
    try:
        start = int(said["position"])
    except (KeyError, ValueError):
        return None
    # DuckDB counts bytes.
    start = len(source.text.encode()[:start].decode(errors="ignore"))
    if start > len(source.text):
        return None
    found = re.compile(r"\w+|\S").match(source.text, start)
    return Span(source, start, found.end() if found else start + 1)


def _plain(message: str) -> str:
    message = re.sub(r'syntax error at or near "(.*?)"', r"`\1` is out of place", message.strip())
    return message[:1].lower() + message[1:] if not message[:2].isupper() else message


def _as_sql(source: Source) -> str:
    hint = "this was read as plain SQL"
    if re.match(r"\s*select\b", source.text, re.IGNORECASE):
        hint += ", since it has a `from` and no bare `by`; the short form has no `from` or has a `by`"
    return hint


def _no_such_column(said: dict[str, Any], span: Span | None) -> Diagnostic:
    name = str(said.get("name", "?"))
    candidates = [one.strip().rpartition(".")[2] for one in str(said.get("candidates", "")).split(",") if one.strip()]
    hint = (
        did_you_mean(name, candidates) or "a text stands in single quotes; `bitspec query --schema` lists the columns"
    )
    return error("unknown-column", f"there is no column called `{name}`", span, help=hint)


def _no_such_thing(said: dict[str, Any], span: Span | None) -> Diagnostic:
    name, kind = str(said["name"]), str(said.get("type", "")).lower()
    candidates = [one.strip() for one in str(said.get("candidates", "")).split(",") if one.strip()]
    if kind in {"table", "view"}:
        if name in VIEWS:
            hint = "choose the folder that `bitspec run` wrote with `--store`"
            return error("store-broken", f"this database has no `{name}`: it is none of bitspec's", None, help=hint)
        hint = did_you_mean(name, [*VIEWS, *candidates]) or f"the views are {listed(VIEWS, 'and')}"
        return error("unknown-view", f"there is no view called `{name}`", span, help=hint)
    if name.lower() in _IN_SQL:
        hint = f"in plain SQL it is `{_IN_SQL[name.lower()]}`" if name != "ci95" else "only the short form has it"
        return error("unknown-function", f"there is no function called `{name}` in plain SQL", span, help=hint)
    near = did_you_mean(name, candidates) or "DuckDB's functions can be used, and no extension's"
    return error("unknown-function", f"there is no {kind or 'thing'} called `{name}`", span, help=near)
