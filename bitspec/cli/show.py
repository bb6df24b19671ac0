"""`bitspec show`: which parameters every strategy of a spec trains, without the model's weights; or a trial's story."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click.core import ParameterSource

from bitspec.cli.answers import uncollected
from bitspec.cli.options import outside_option, seeds_of, store_option
from bitspec.cli.output import print_diagnostics
from bitspec.diagnostics import listed

#: Options that belong to a spec alone, by their parameters.
_OF_SPEC = {
    "models": "--model",
    "strategies": "--strategy",
    "seeds": "--seeds",
    "no_heatmap": "--no-heatmap",
    "allow_outside": "--allow-outside",
}


@click.command("show", epilog="Example: bitspec show specs/paper.bspec --strategy bitfit")
@click.argument("spec", type=click.Path(path_type=Path), required=False)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Show it for this model (a hub name or a folder) instead of the spec's. Repeatable.",
)
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help="Show only this strategy. Repeatable.",
)
@click.option(
    "--seeds", metavar="SEEDS", help="Show sizes over these seeds instead of the spec's, such as 0..4 or 1,7."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
@click.option("--no-heatmap", is_flag=True, help="Leave out the heatmaps by role and layer.")
@outside_option
@click.option(
    "--trial",
    metavar="KEY",
    help="Instead of a spec, tell all that the store knows of the trial whose key begins like this.",
)
@store_option
@click.pass_context
def command(
    context: click.Context,
    spec: Path | None,
    models: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: str | None,
    as_json: bool,
    no_heatmap: bool,
    allow_outside: bool,
    trial: str | None,
    store: Path,
) -> int:
    """Show what every strategy of a spec trains: how many entries, which share of all, in which roles and layers.

    Counts that depend on the seed are shown as a range over the study's seeds. Only the model's config is read,
    never its weights; the structure is worked out once and cached. Which entries a ranking picks is shown once the
    store has a trial that trained them.

    With --trial KEY and no SPEC, tell the story of one trial that was run: what it is, how it was trained and what
    came of it. `bitspec query "select strategy, task, seed, key"` lists the keys.
    """
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if trial is not None:
        _check_alone(spec, [spelling for name, spelling in _OF_SPEC.items() if name in given])
        return _tell(store, trial, as_json=as_json)
    if spec is None:
        raise click.MissingParameter(ctx=context, param_hint="'SPEC'", param_type="argument")
    return _show(
        spec, models, strategies, seeds, store, as_json=as_json, heatmaps=not no_heatmap, allow_outside=allow_outside
    )


def _check_alone(spec: Path | None, others: list[str]) -> None:
    if spec is not None:
        raise click.UsageError(f"`--trial` shows a trial of a store, and `{spec}` is a spec: give one of the two.")
    if others:
        go = "goes" if len(others) == 1 else "go"
        raise click.UsageError(f"{listed(others, 'and')} {go} with a spec, and `--trial` shows a trial of a store.")


@uncollected
def _tell(store: Path, key: str, *, as_json: bool) -> int:
    from bitspec.report.story import read
    from bitspec.report.text import story as text

    story = read(store, key)
    if as_json:
        click.echo(text.as_json(story))
    elif sys.stdout.isatty():
        from bitspec.cli.tables import console

        text.show(console(), story)
    else:
        click.echo(text.as_text(story), nl=False)
    return 0


def _show(
    spec: Path,
    models: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: str | None,
    store: Path,
    *,
    as_json: bool,
    heatmaps: bool,
    allow_outside: bool,
) -> int:
    from bitspec.api import show
    from bitspec.cli.progress import building, counting
    from bitspec.cli.tables import print_shown
    from bitspec.diagnostics import raise_errors
    from bitspec.language.load import analyse_file

    analysis = analyse_file(spec, allow_outside=allow_outside)
    raise_errors(analysis.diagnostics)
    with counting() as progress:
        shown = show(
            analysis.study,
            models=models,
            strategies=strategies,
            seeds=seeds_of(seeds, analysis.study),
            folder=spec.parent,
            on_build=building,
            progress=progress,
        )
    if any(strategy.needs_weights for summary in shown.models for strategy in summary.strategies):
        from bitspec.cli.known import with_picked
        from bitspec.store.store import Store

        shown = with_picked(shown, analysis.study, Store(store))
    diagnostics = [*analysis.diagnostics, *shown.diagnostics]
    if as_json:
        click.echo(shown.model_copy(update={"diagnostics": tuple(diagnostics)}).to_json())
    elif shown.models:
        print_shown(analysis.study, shown, heatmaps=heatmaps)
    print_diagnostics(diagnostics)
    return 0 if shown.is_right else 2
