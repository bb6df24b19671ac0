"""The charts that other packages bring: each a command of `bitspec plot`, made of a query and a drawing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bitspec.cli.answers import uncollected, write
from bitspec.cli.options import store_option

if TYPE_CHECKING:
    from bitspec.query.answer import Answer

#: The columns by which an answer can be narrowed, by the option that does it.
_COLUMNS = {"tasks": "task", "strategies": "strategy", "models": "model"}


def chart_command(name: str, options: Callable[[Any], Any]) -> click.Command:
    """The command that draws a plugin's chart; `options` puts those on it that all charts have.

    Raises BitspecError if the plugin cannot be used.
    """
    from bitspec import plugins, registry

    chart = registry.find(plugins.Chart, name)

    @click.command(name, help=f"{chart.summary[:1].upper()}{chart.summary[1:]}.", short_help=chart.summary)
    @options
    @store_option
    def command(**given: Any) -> int:
        return _draw(chart, registry.of_package("chart", name), **given)

    return command


@uncollected
def _draw(chart: Any, one: Any, *, store: Path, output: Path | None, **asked: tuple[str, ...]) -> int:
    from bitspec import plugins
    from bitspec.guard import guarded
    from bitspec.query.answer import ask
    from bitspec.report.charts.output import check_form, save

    if output is not None:
        check_form(output)
    found = _narrowed(ask(chart.query, store), one.name, asked)
    rows = plugins.Answer(tuple(column.heading for column in found.columns), tuple(found.rows), found.notes)
    if output is not None:
        with guarded(one, "draw"):
            drawn = chart.draw(rows)
            drawn.to_dict(validate=False)  # what is no chart of Altair's is the plugin's mistake
        save(drawn, output, one.name)
        click.echo(f"wrote {output}", err=True)
        return 0
    if chart.text is None:
        write("table", found)
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    with guarded(one, "draw"):
        text = str(chart.text(rows, width))
    click.echo(text.rstrip("\n"))
    for note in found.notes:
        click.echo(note)
    return 0


def _narrowed(found: Answer, name: str, asked: dict[str, tuple[str, ...]]) -> Answer:
    """The rows of an answer that were asked for. Raises BitspecError where it does not tell, or there are none."""
    from dataclasses import replace

    from bitspec.diagnostics import BitspecError, error
    from bitspec.names import known_task, one_called

    columns = [column.heading for column in found.columns]
    rows: Sequence[tuple[Any, ...]] = found.rows
    for option, column in _COLUMNS.items():
        wanted = asked[option]
        if not wanted:
            continue
        if column not in columns:
            message = f"the chart `{name}` does not tell one {column} from another, so it cannot be narrowed to one"
            raise BitspecError(error("cannot-narrow", message, help="leave the option out"))
        place = columns.index(column)
        known, where = sorted({str(row[place]) for row in found.rows}), "in what the chart shows"
        if column == "task":
            meant = {known_task(value, known, where) for value in wanted}
        else:
            meant = {one_called(value, known, column, where) for value in wanted}
        rows = [row for row in rows if str(row[place]) in meant]
    return replace(found, rows=rows)
