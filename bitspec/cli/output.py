"""How commands write: diagnostics to standard error, in colour where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from bitspec.diagnostics import MAX_DIAGNOSTICS, Diagnostic, is_error
from bitspec.diagnostics import Style as DiagnosticStyle

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan", "help": "green", "gutter": "blue"}


def _coloured(role: str, text: str) -> str:
    return click.style(text, fg=_COLOURS.get(role), bold=role in {"error", "warning", "message", "help"})


def print_diagnostics(diagnostics: Sequence[Diagnostic]) -> None:
    """Write diagnostics to standard error, and how many there are of each."""
    style: DiagnosticStyle | None = _coloured if wants_colour() else None
    for diagnostic in diagnostics:
        click.echo(diagnostic.render(style) if style else diagnostic.render(), err=True)
        click.echo(err=True)
    errors = sum(map(is_error, diagnostics))
    counts = [
        f"{n} {word}{'s' if n != 1 else ''}"
        for n, word in ((errors, "error"), (len(diagnostics) - errors, "warning"))
        if n
    ]
    if counts:
        more = " (and more, which are not shown)" if len(diagnostics) >= MAX_DIAGNOSTICS else ""
        click.echo(", ".join(counts) + more, err=True)


def wants_colour() -> bool:
    """Whether standard error is a terminal whose user has not asked for plain text."""
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
