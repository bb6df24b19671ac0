"""`bitspec report`: what a study answers, as a page, as Markdown or for LaTeX."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bitspec.cli.answers import uncollected
from bitspec.cli.options import outside_option, store_option
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
@outside_option
@store_option
@uncollected
def command(
    spec: Path | None,
    output: Path | None,
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    study: str | None,
    allow_outside: bool,
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
    given = None if spec is None else _given(spec, allow_outside=allow_outside)
    choice = Choice(tasks=tasks, models=models, study=study)
    with writing(f"{output or 'the report'}"):
        report = read(store, choice, _made(store), given, partial(_parse, allow_outside=allow_outside))
        if output is None:
            return _print(report)
        save(report, output)
    click.echo(f"wrote {output}", err=True)
    return 0


def _given(path: Path, *, allow_outside: bool) -> Given:
    """The spec that a report is asked for with. Raises BitspecError if something is wrong with it."""
    from bitspec.language.load import analyse_file
    from bitspec.report.page.contents import Given

    analysis = analyse_file(path, allow_outside=allow_outside)
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


def _parse(text: str, path: str, *, allow_outside: bool) -> Study:
    from bitspec.diagnostics import Source
    from bitspec.language.load import analyse
    from bitspec.language.project import ANYWHERE, Project

    # Where a store says that its spec was is no folder of the user's choice: the project is the working directory.
    project = ANYWHERE if allow_outside else Project.around(Path())
    analysis = analyse(Source(path, text), Path(path).parent, project=project)
    raise_errors(analysis.diagnostics)
    return analysis.study


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
