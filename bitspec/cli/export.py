"""`bitspec export`: a trial as an ordinary model folder that transformers loads."""

from __future__ import annotations

from pathlib import Path

import click

from bitspec.cli.options import outside_option, pickle_option, store_option


@click.command("export", epilog="Example: bitspec export 3f2a91 -o bitfit-rte")
@click.argument("key")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The folder of the spec, for a model or data with a path relative to it.  [default: here]",
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="FOLDER", help="Where GLUE is, for the classes' names."
)
@click.option("--force", is_flag=True, help="Write into a folder that is there.")
@pickle_option
@outside_option
@store_option
def command(
    key: str,
    output: Path,
    base: Path,
    data_dir: Path | None,
    force: bool,
    allow_pickle: bool,
    allow_outside: bool,
    store: Path,
) -> int:
    """Write a finished trial as a Hugging Face model folder: pretrained weights, trained values and head in one.

    KEY is the beginning of the trial's key; `bitspec query "select strategy, task, seed, key"` lists them. Needs the
    trained values, which are kept where they are few, or with `bitspec run --keep-values`.
    """
    from bitspec.cli.progress import fetching
    from bitspec.runners.export import export
    from bitspec.store.store import Store

    folder = export(
        Store(store),
        key,
        output,
        base=base,
        data_dir=data_dir,
        force=force,
        on_fetch=fetching,
        allow_pickle=allow_pickle,
        allow_outside=allow_outside,
    )
    click.echo(
        f'wrote {folder}; load it with transformers.AutoModelForSequenceClassification.from_pretrained("{folder}")'
    )
    return 0
