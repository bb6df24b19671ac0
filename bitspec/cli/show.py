"""`bitspec show`: which parameters every strategy of a spec trains, without the model's weights."""

from __future__ import annotations

from pathlib import Path

import click

from bitspec.cli.options import seeds_of
from bitspec.cli.output import print_diagnostics


@click.command("show", epilog="Example: bitspec show specs/paper.bspec --strategy bitfit")
@click.argument("spec", type=click.Path(path_type=Path))
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
def command(
    spec: Path,
    models: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: str | None,
    as_json: bool,
    no_heatmap: bool,
) -> int:
    """Show what every strategy of a spec trains: how many entries, which share of all, in which roles and layers.

    Counts that depend on the seed are shown as a range over the study's seeds. Only the model's config is read,
    never its weights; the structure is worked out once and cached.
    """
    from bitspec.api import show
    from bitspec.cli.progress import building, counting
    from bitspec.cli.tables import print_shown
    from bitspec.diagnostics import raise_errors
    from bitspec.language.load import analyse_file

    analysis = analyse_file(spec)
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
    diagnostics = [*analysis.diagnostics, *shown.diagnostics]
    if as_json:
        click.echo(shown.model_copy(update={"diagnostics": tuple(diagnostics)}).to_json())
    elif shown.models:
        print_shown(analysis.study, shown, heatmaps=not no_heatmap)
    print_diagnostics(diagnostics)
    return 0 if shown.is_right else 2
