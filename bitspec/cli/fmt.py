"""`bitspec fmt`: specs in the one canonical layout."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bitspec.cli.output import print_diagnostics

_STDIN = Path("-")


@click.command("fmt", epilog="Example: bitspec fmt --diff specs/*.bspec")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; the exit code is 1 if a spec is laid out otherwise.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def command(specs: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Put specs into the one canonical layout. What they say stays the same, and comments stay where they were.

    Files are written in place; `-` reads standard input and writes standard output.
    """
    from bitspec.diagnostics import BitspecError, Diagnostic, Source
    from bitspec.language.formatter import format_text
    from bitspec.language.load import MAX_BYTES, decode, read

    found: list[Diagnostic] = []
    changed = False
    for path in specs:
        try:
            if path == _STDIN:
                source = Source("<stdin>", decode(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>"))
            else:
                source = read(path)
            text = format_text(source)
            is_same = text == _written(path) if path != _STDIN else text == source.text
            changed = changed or not is_same
            if diff:
                _print_difference(source, text)
            elif check:
                if not is_same:
                    click.echo(f"{source.name}: would be laid out otherwise")
            elif path == _STDIN:
                click.echo(text, nl=False)
            elif not is_same:
                _replace(path, text)
                click.echo(f"{path}: laid out")
        except BitspecError as problem:
            found += problem.diagnostics
    print_diagnostics(found)
    if found:
        return 2
    return 1 if changed and (check or diff) else 0


def _written(path: Path) -> str:
    # As it stands on disk, where line ends and a byte order mark count.
    return path.read_bytes().decode("utf-8")


def _replace(path: Path, text: str) -> None:
    from bitspec.diagnostics import BitspecError, error
    from bitspec.whole import replace

    try:
        replace(path, text.encode())
    except OSError as problem:
        message = f"`{path}` cannot be written: {problem.strerror or problem}"
        raise BitspecError(error("unwritable-file", message, help="`bitspec fmt --diff` writes nothing")) from None


def _print_difference(source: object, text: str) -> None:
    import difflib

    from bitspec.diagnostics import Source

    assert isinstance(source, Source)
    lines = difflib.unified_diff(
        source.text.splitlines(keepends=True),
        text.splitlines(keepends=True),
        source.name,
        f"{source.name} (laid out)",
    )
    for line in lines:
        click.echo(line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n", nl=False)
