"""`bitspec query`: a question to the results, in the short form or in SQL."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import click

from bitspec.cli.answers import format_option, uncollected, write
from bitspec.cli.main import WRONG_INPUT
from bitspec.cli.options import store_option
from bitspec.cli.output import print_diagnostics
from bitspec.diagnostics import BitspecError, error

#: Rows of a table that are shown; nobody reads more.
_ROWS = 1000


def _a_number(context: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range excludes
        raise click.BadParameter("nan is no number of seconds.", context, option)
    return value


@click.command("query", epilog='Example: bitspec query "select mean(score), n by strategy, task"')
@click.argument("query", required=False)
@format_option
@store_option
@click.option("--explain", is_flag=True, help="Print the SQL of the query, and do not run it.")
@click.option(
    "--schema",
    is_flag=False,
    flag_value="",
    metavar="[VIEW]",
    help="List the views, or what the columns of one mean.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=86400),
    callback=_a_number,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop the query after so long.",
)
@uncollected
def command(query: str | None, form: str, store: Path, explain: bool, schema: str | None, timeout: float) -> int:
    """Ask the results a question, such as "select avg(score) by strategy"; `-` reads it from standard input.

    In the short form the columns after `by` come first, and `scores` is read where there is no `from`. A query with
    a `from` and no bare `by` is plain SQL. Either only reads, and reaches nothing but the store.
    """
    from bitspec.query import answer
    from bitspec.query.connection import StillRunningError
    from bitspec.query.running import bounded_memory

    if schema is not None:
        write(form, answer.schema(schema or None))
        return 0
    text = _text(query)
    if explain:
        click.echo(answer.explain(text, store), nl=False)
        return 0
    try:
        with bounded_memory():
            found = answer.ask(text, store, seconds=timeout, rows=_ROWS if form == "table" else None)
    except StillRunningError as problem:
        print_diagnostics(problem.diagnostics)
        sys.stderr.flush()
        os._exit(WRONG_INPUT)  # a normal exit would wait for the query, or fall over it
    write(form, found)
    return 0


def _read() -> str:
    """The query on standard input; of one that is longer than queries may be, its beginning."""
    from bitspec.query.parser import MAX_LENGTH

    data = sys.stdin.buffer.read(4 * MAX_LENGTH + 1)  # a character has four bytes at most
    try:
        return data.decode("utf-8-sig", errors="strict" if len(data) <= 4 * MAX_LENGTH else "replace")
    except UnicodeDecodeError as problem:
        message = f"the query is not UTF-8: byte {problem.start + 1:,} is none of a text"
        raise BitspecError(error("not-utf8", message, help="write it in UTF-8")) from None


def _text(query: str | None) -> str:
    if query == "-":
        return _read()
    if query is None:
        hint = 'write for example `bitspec query "select mean(score) by strategy"`; `--schema` lists the views'
        raise BitspecError(error("missing-value", "there is no query", help=hint))
    return query
