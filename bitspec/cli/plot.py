"""`bitspec plot`: charts of the results, each a command of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from bitspec.cli.answers import uncollected
from bitspec.cli.options import store_option

_Chart = TypeVar("_Chart", bound=Callable[..., Any])


class Charts(click.Group):
    """The group of all charts, those of plugins after bitspec's own."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A chart by its name; one of a plugin is imported now."""
        if cmd_name not in self.commands and cmd_name in _plugged():
            from bitspec.cli.charts import chart_command

            return chart_command(cmd_name, narrowing_options)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of charts, without importing those of plugins."""
        width = formatter.width - 6 - max(map(len, self.commands))
        own = [(name, chart.get_short_help_str(width)) for name, chart in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, f"Of {package}.") for name, package in _plugged().items())])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names for a chart that does not exist."""
        from bitspec.diagnostics import did_you_mean, listed

        # Plugins are looked for only where the chart is none of ours.
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            if args[0] not in known:
                hint = did_you_mean(args[0], known) or f"there are {listed(known, 'and')}"
                raise click.UsageError(f"there is no chart called `{args[0]}`; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The charts in the order of their use."""
        return [*self.commands, *_plugged()]


def _plugged() -> dict[str, str]:
    """The charts that other packages register, with their names."""
    from bitspec import registry

    return {name: registry.of_package("chart", name).package for name in registry.names("chart")}


@click.group("plot", cls=Charts, epilog="Example: bitspec plot heatmap --task rte -o heatmap.svg")
def command() -> None:
    """Draw a chart of the results: in the terminal, or to a file with `-o`."""


def chart_options(function: _Chart) -> _Chart:
    """What each of bitspec's own charts can be narrowed to, and where it goes."""
    study = click.option("--study", metavar="NAME", help="This study instead of the one that ran last.")
    return store_option(narrowing_options(study(function)))


def narrowing_options(function: _Chart) -> _Chart:
    """What every chart can be narrowed to, and where it goes."""
    for option in reversed(
        (
            click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="Only this task. Repeatable."),
            click.option(
                "-s", "--strategy", "strategies", multiple=True, metavar="NAME", help="Only this strategy. Repeatable."
            ),
            click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only this model. Repeatable."),
            click.option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write it to a file: .html (works offline), .svg, .png, .pdf or .json (Vega-Lite).",
            ),
        )
    ):
        function = option(function)
    return function


@command.command("heatmap", epilog="Example: bitspec plot heatmap --task rte --strategy bitfit -o bitfit.svg")
@chart_options
@click.option("--trained-only", is_flag=True, help="Mean over the entries that were trained, not over all of a tensor.")
def heatmap(trained_only: bool, **options: Any) -> int:
    """How far each role moved in each layer.

    One panel for each strategy and task: rows are roles, the one that moved most first, b_ for biases, g_ for the
    scales of norms, W_ for matrices; columns are layers, counted from 1. A cell is the mean absolute difference
    between the values before and after training, over all entries of its tensors and all seeds.
    """
    return _plot("heatmap", trained_only=trained_only, **options)


@command.command("bars", epilog="Example: bitspec plot bars --task rte -o scores.svg")
@chart_options
def bars(**options: Any) -> int:
    """The score of each strategy.

    Each run is a dot, each strategy's mean a bar with its 95 % interval over seeds; values that the spec reports from
    elsewhere are marked.
    """
    return _plot("bars", **options)


@command.command("curves", epilog="Example: bitspec plot curves --task rte -s bitfit -s frozen -o curves.svg")
@chart_options
def curves(**options: Any) -> int:
    """Score and loss by epoch: a line for each strategy, a band from the lowest to the highest of its seeds."""
    return _plot("curves", **options)


@command.command("scatter", epilog="Example: bitspec plot scatter --task rte -o change.svg")
@chart_options
def scatter(**options: Any) -> int:
    """Change against score: does what moves further do better?

    A point is a strategy on a task: its mean absolute change over the trained entries, and its score, as means over
    seeds.
    """
    return _plot("scatter", **options)


@command.command("pareto", epilog="Example: bitspec plot pareto -o pareto.svg")
@chart_options
def pareto(**options: Any) -> int:
    """Score against the share of parameters that are trained, and the strategies that none beats on both."""
    return _plot("pareto", **options)


@command.command("forest", epilog="Example: bitspec plot forest -o verdicts.svg")
@chart_options
def forest(**options: Any) -> int:
    """The differences behind the verdicts: what each `expect` of the spec came to, with its 95 % interval."""
    return _plot("forest", **options)


@uncollected
def _plot(name: str, *, store: Path, output: Path | None, study: str | None, **options: Any) -> int:
    """Draw a chart to a file, or as text where there is none."""
    from bitspec.report.choices import Choice

    asked = {what: options.pop(what) for what in ("tasks", "strategies", "models")}
    choice = Choice(**asked, study=study)
    data = import_module(f"bitspec.report.{_DATA[name]}")
    if output is None:
        return _print(import_module(f"bitspec.report.text.{name}"), data.read(store, choice, **options), name)
    from bitspec.report.charts.output import check_form, save

    check_form(output)  # before anything is read
    shown = data.read(store, choice, **options)
    save(import_module(f"bitspec.report.charts.{name}").draw(shown), output, shown.title)
    click.echo(f"wrote {output}", err=True)
    return 0


#: Where the data of each chart are read.
_DATA = {
    "heatmap": "changes",
    "bars": "scores",
    "curves": "curves",
    "scatter": "associations",
    "pareto": "scores",
    "forest": "verdicts",
}


def _print(text: Any, shown: Any, name: str) -> int:
    if not sys.stdout.isatty():
        click.echo(text.as_text(shown), nl=False)
        return 0
    from bitspec.cli.tables import console

    text.show(console(), shown)
    click.echo(f"save it as a picture or a page with `-o {name}.svg`, `.png`, `.pdf` or `.html`", err=True)
    return 0
