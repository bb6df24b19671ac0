"""`bitspec plot`: charts of the results, each a command of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bitspec.cli.options import store_option

if TYPE_CHECKING:
    from bitspec.report.choices import Choice

_Chart = TypeVar("_Chart", bound=Callable[..., Any])


class Charts(click.Group):
    """The group of all charts."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names for a chart that does not exist."""
        from bitspec.diagnostics import did_you_mean, listed

        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands) or f"there is {listed(self.commands, 'and')}"
            raise click.UsageError(f"there is no chart called `{args[0]}`; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group("plot", cls=Charts, epilog="Example: bitspec plot heatmap --task rte -o heatmap.svg")
def command() -> None:
    """Draw a chart of the results: in the terminal, or to a file with `-o`."""


def chart_options(function: _Chart) -> _Chart:
    """What every chart can be narrowed to, and where it goes."""
    for option in reversed(
        (
            click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="Only this task. Repeatable."),
            click.option(
                "-s", "--strategy", "strategies", multiple=True, metavar="NAME", help="Only this strategy. Repeatable."
            ),
            click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only this model. Repeatable."),
            click.option("--study", metavar="NAME", help="This study instead of the one that ran last."),
            click.option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write it to a file: .html (works offline), .svg, .png or .json (Vega-Lite).",
            ),
        )
    ):
        function = option(function)
    return store_option(function)


@command.command("heatmap", epilog="Example: bitspec plot heatmap --task rte --strategy bitfit -o bitfit.svg")
@chart_options
def heatmap(
    tasks: tuple[str, ...],
    strategies: tuple[str, ...],
    models: tuple[str, ...],
    study: str | None,
    output: Path | None,
    store: Path,
) -> int:
    """How far each role moved in each layer.

    One panel for each strategy and task: rows are roles, the one that moved most first, b_ for biases, g_ for the
    scales of norms, W_ for matrices; columns are layers, counted from 1. A cell is the mean absolute difference
    between the values before and after training, over all entries of its tensors and all seeds.
    """
    from bitspec.report.choices import Choice

    choice = Choice(tasks=tasks, strategies=strategies, models=models, study=study)
    return _save_heatmap(store, choice, output) if output is not None else _print_heatmap(store, choice)


def _save_heatmap(store: Path, choice: Choice, output: Path) -> int:
    from bitspec.report.changes import read_changes
    from bitspec.report.heatmap import heatmap as draw
    from bitspec.report.output import check_form, save

    check_form(output)  # before anything is read
    changes = read_changes(store, choice)
    save(draw(changes), output, changes.chosen.title or changes.chosen.study)
    click.echo(f"wrote {output}", err=True)
    return 0


def _print_heatmap(store: Path, choice: Choice) -> int:
    from bitspec.report.changes import read_changes
    from bitspec.report.terminal import as_text, print_heatmap

    changes = read_changes(store, choice)
    if not sys.stdout.isatty():
        click.echo(as_text(changes), nl=False)
        return 0
    from bitspec.cli.tables import console

    print_heatmap(console(), changes)
    click.echo("save it as a picture or a page with `-o heatmap.svg`, `.png` or `.html`", err=True)
    return 0
