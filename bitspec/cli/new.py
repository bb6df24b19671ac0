"""`bitspec new`: a first spec, a leave-one-out study for a model and a task."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

_NAME = re.compile(r"[^\W\d]\w*")
_TASK = re.compile(r"[^\W\d]\w*(/\w+)?")


@click.command("new", epilog="Example: bitspec new --model bert-base-cased --task rte -o specs/first.bspec")
@click.option("-m", "--model", "model", default="bert-base-cased", show_default=True, help="A hub name or a folder.")
@click.option("-t", "--task", "task", default="rte", show_default=True, help="A GLUE task, or `builtin/…`.")
@click.option("-n", "--name", default=None, help="The study's name.  [default: from the file, or leave_one_out]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="The file to write.  [default: standard output]",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def command(model: str, task: str, name: str | None, output: Path | None, force: bool) -> int:
    """Write a first spec: the model's biases, all of them, without one role at a time, and none.

    Roles and layers are the model's own: its config is read, not its weights.
    """
    from bitspec.cli.progress import building
    from bitspec.diagnostics import BitspecError, Source, error, raise_errors
    from bitspec.language.load import analyse
    from bitspec.language.scaffold import leave_one_out
    from bitspec.parameters.cache import catalogue
    from bitspec.vocabulary import ROLES
    from bitspec.whole import replace

    if output is not None and output.exists() and not force:
        hint = "choose another name, or write over it with `--force`"
        raise BitspecError(error("file-exists", f"`{output}` is there already", help=hint))
    for what, given in (("model", model), ("task", task)):
        if '"' in given or "\n" in given:
            raise BitspecError(
                error("bad-name", f"the {what} `{given}` cannot stand in a spec", help="take the quotes away")
            )
    if not _TASK.fullmatch(task):
        hint = "write for example `rte` or `builtin/rte`"
        raise BitspecError(error("bad-name", f"`{task}` is not the name of a task", help=hint))
    if name is not None and not _NAME.fullmatch(name):
        hint = "names have letters, digits and `_`, and start with a letter or `_`"
        raise BitspecError(error("bad-name", f"`{name}` is not a name", help=hint))
    facts = catalogue(model, on_build=building)
    kind = "bias" if any(parameter.kind == "bias" for parameter in facts.parameters) else "gamma"
    chosen = [parameter for parameter in facts.parameters if parameter.kind == kind]
    if not chosen:
        hint = "write a spec for its matrices: docs/language.md has all that a spec can say"
        raise BitspecError(error("no-vectors", f"`{model}` has neither biases nor scales of norms", help=hint))
    roles = {parameter.role for parameter in chosen if parameter.layer is not None}
    text = leave_one_out(
        name=name if name is not None else _name_from(output),
        model=_from(output, model),
        task=task,
        kind=kind,
        roles=[role for role in ROLES if role in roles],
        layers=len({parameter.layer for parameter in chosen} - {None}),
    )
    raise_errors(analyse(Source(str(output or "<new spec>"), text)).diagnostics)
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace(output, text.encode())
    except OSError as problem:
        message = f"`{output}` cannot be written: {problem.strerror or problem}"
        raise BitspecError(error("unwritable-file", message, help="choose another place with `-o`")) from None
    click.echo(f"wrote {output}; look at it with `bitspec show {output}`")
    return 0


def _from(output: Path | None, model: str) -> str:
    """A model as the spec names it: a folder, relative to the spec's own."""
    folder = Path(model)
    if output is None or folder.is_absolute() or model.startswith("~") or not folder.is_dir():
        return model
    relative = os.path.relpath(folder.resolve(), output.parent.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def _name_from(output: Path | None) -> str:
    from bitspec.vocabulary import KEYWORDS

    stem = re.sub(r"\W", "_", output.stem) if output is not None else ""
    if stem in KEYWORDS:
        return f"{stem}_1"
    return stem if _NAME.fullmatch(stem) else "leave_one_out"
