"""How commands write tables of answers: aligned for a terminal or a reader, or as data for programs."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from bitspec.query.answer import Answer

_Command = TypeVar("_Command", bound=Callable[..., Any])


def uncollected(function: _Command) -> _Command:
    """For commands that only read: nothing is collected as garbage while they run.

    Their time goes into imports and into what is read, all of which lives on; to look through it for garbage takes an
    eighth of that time, of a large study a quarter.
    """

    @wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        collects = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **options)
        finally:
            if collects:
                gc.enable()

    return cast("_Command", run)


def format_option(function: _Command) -> _Command:
    """`--format`, for commands whose answer is a table."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json", "markdown", "latex"]),
        default="table",
        show_default=True,
        help="How the answer is written; csv and json have every digit.",
    )(function)


def is_for_programs(form: str) -> bool:
    """Whether a format is for programs: one table of everything, and notes to standard error."""
    from bitspec.query.formats import FOR_PROGRAMS

    return form in FOR_PROGRAMS


def write(form: str, *answers: Answer) -> None:
    """Write answers to standard output, a blank line between them."""
    from bitspec.query import formats

    for place, answer in enumerate(answers):
        if place:
            click.echo()
        if form == "table" and sys.stdout.isatty():
            plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
            width = shutil.get_terminal_size().columns
            text = formats.as_table(answer, width, str if plain else _bold, str if plain else _dim)
            click.echo(text, nl=False)
            continue
        click.echo(formats.FORMATS[form](answer), nl=False)
        if form in formats.FOR_PROGRAMS:
            for note in formats.notes_of(answer):
                click.echo(formats.one_line(note), err=True)  # a store may come from strangers


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _dim(text: str) -> str:
    return click.style(text, dim=True)
