"""`bitspec check`: everything that is wrong with specs and can be told without a model."""

from __future__ import annotations

from pathlib import Path

import click

from bitspec.cli.options import outside_option
from bitspec.cli.output import print_diagnostics
from bitspec.diagnostics import counted


@click.command("check", epilog="Example: bitspec check specs/*.bspec")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
@click.option("--strict", is_flag=True, help="Warnings make the exit code 2 as well.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing about specs that are right.")
@outside_option
def command(specs: tuple[Path, ...], strict: bool, quiet: bool, allow_outside: bool) -> int:
    """Say what is wrong with specs: form, names, settings, amounts. No model is needed, and none is loaded.

    The exit code is 0 if every spec is right and 2 if one is not.
    """
    from bitspec.diagnostics import BitspecError, Diagnostic
    from bitspec.language.load import analyse_file

    found: list[Diagnostic] = []
    failed = False
    for path in specs:
        try:
            analysis = analyse_file(path, allow_outside=allow_outside)
        except BitspecError as problem:
            found += problem.diagnostics
            failed = True
            continue
        found += analysis.diagnostics
        failed = failed or not analysis.is_right or (strict and bool(analysis.diagnostics))
        if analysis.is_right and not quiet:
            click.echo(f"{path}: {_contents(analysis.study)}")
    print_diagnostics(found)
    return 2 if failed else 0


def _contents(study: object) -> str:
    from bitspec.ir.study import Study

    assert isinstance(study, Study)
    if study.name is None:
        groups, strategies = counted(len(study.groups), "group"), counted(len(study.strategies), "strategy")
        return f"{groups}, {strategies}, for other specs to use"
    parts = [
        counted(len(study.models), "model"),
        counted(len(study.tasks), "task"),
        counted(len(study.strategies), "strategy"),
        counted(len(study.seeds), "seed"),
    ]
    return f"{study.name}: {' × '.join(parts)} = {counted(study.trials, 'trial')}"
