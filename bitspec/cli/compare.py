"""`bitspec compare`: two strategies of a study, or two stores."""

from __future__ import annotations

from pathlib import Path

import click

from bitspec.cli.answers import format_option, is_for_programs, uncollected, write
from bitspec.cli.options import store_option


@click.command("compare", epilog="Example: bitspec compare bitfit full_ft --task rte")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="Only this task. Repeatable.")
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help="Of two stores, only this strategy. Repeatable.",
)
@click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only this model. Repeatable.")
@click.option("--study", metavar="NAME", help="This study instead of the one that ran last.")
@format_option
@store_option
@uncollected
def command(left: str, right: str, form: str, store: Path, study: str | None, **narrowed: tuple[str, ...]) -> int:
    """Compare two strategies of a study, or two stores.

    A and B are two strategies, by name or title: their scores on each task and on average, what they cost, the
    difference of runs with the same seed, and what can be said of it. It is one test; `bitspec report` corrects for all
    that a spec asks.

    Or they are two stores, by folder or database: every model, task and strategy that both have, paired by seed, and
    whether the same trials have the same numbers. A name that is both a strategy and a folder is the strategy; with
    a path separator, as in `./bitfit`, it is the folder.
    """
    from bitspec.report.choices import Choice
    from bitspec.report.compare import Strategies, read
    from bitspec.report.text import compare, stores

    found = read(left, right, store, Choice(**narrowed, study=study))
    if isinstance(found, Strategies):
        answers = [compare.for_programs(found)] if is_for_programs(form) else compare.tables(found)
    else:
        answers = [stores.for_programs(found)] if is_for_programs(form) else stores.tables(found)
    write(form, *answers)
    return 0
