"""`bitspec report`: what a study answers, as a page, as Markdown or for LaTeX."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bitspec.cli.answers import uncollected
from bitspec.cli.options import store_option
from bitspec.diagnostics import BitspecError, error, raise_errors

if TYPE_CHECKING:
    from bitspec.ir.study import Study
    from bitspec.report.page.contents import Given, Report
    from bitspec.report.page.provenance import Made


@click.command("report", epilog="Example: bitspec report specs/quickstart.bspec -o report.html")
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it to a file: .html (one page, works offline), .md or .tex (figures in a folder beside it).",
)
@click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="Only this task. Repeatable.")
@click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only this model. Repeatable.")
@click.option("--study", metavar="NAME", help="This study instead of the one that ran last, or of SPEC's.")
@store_option
@uncollected
def command(
    spec: Path | None,
    output: Path | None,
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    study: str | None,
    store: Path,
) -> int:
    """Write what a study answers: a verdict on each question, the scores, charts, warnings, where it all comes from.

    Questions, labels and reported scores are those of SPEC, so that a question can be added to a study that is
    finished; without SPEC, those of the spec as it was when it ran last. Without `-o` the text goes to the terminal.
    """
    from bitspec.cli.progress import writing
    from bitspec.report.choices import Choice
    from bitspec.report.page.contents import read
    from bitspec.report.page.output import check_form, save

    if output is not None:
        check_form(output)  # before anything is read
    given = None if spec is None else _given(spec)
    choice = Choice(tasks=tasks, models=models, study=study)
    with writing(f"{output or 'the report'}"):
        report = read(store, choice, _made(store), given, _parse)
        if output is None:
            return _print(report)
        save(report, output)
    click.echo(f"wrote {output}", err=True)
    return 0


def _given(path: Path) -> Given:
    """The spec that a report is asked for with. Raises BitspecError if something is wrong with it."""
    from bitspec.language.load import analyse_file
    from bitspec.report.page.contents import Given

    analysis = analyse_file(path)
    raise_errors(analysis.diagnostics)
    if analysis.study.name is None:
        message = f"`{path}` has groups and strategies for other specs, and no study"
        raise BitspecError(error("incomplete", message, help="name the spec of a study that was run"))
    warnings = tuple(found.summary for found in analysis.diagnostics)
    return Given(analysis.study, str(path), analysis.source.text, warnings)


def _made(store: Path) -> Made:
    from datetime import UTC, datetime
    from importlib.metadata import version

    from bitspec.report.page.provenance import Made

    return Made(shlex.join(["bitspec", *sys.argv[1:]]), version("bitspec"), datetime.now(UTC), store)


def _parse(text: str, path: str) -> Study:
    from bitspec.language.load import loads

    return loads(text, path, Path(path).parent)


def _print(report: Report) -> int:
    """Print a report without its figures: to a terminal laid out, to a pipe as Markdown."""
    from bitspec.report.page.markdown import as_markdown

    if not sys.stdout.isatty():
        click.echo(as_markdown(report), nl=False)
        return 0
    from rich.markdown import Markdown

    from bitspec.cli.tables import console

    console().print(Markdown(as_markdown(report, with_trials=False), hyperlinks=False))
    click.echo("write it as a page with its figures with `-o report.html`, or `.md`, or `.tex`", err=True)
    return 0
