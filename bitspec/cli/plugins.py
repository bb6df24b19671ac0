"""`bitspec plugins`: what is installed beside bitspec's own, from which packages, and what is wrong with it."""

from __future__ import annotations

import click

from bitspec.cli.answers import format_option, write
from bitspec.cli.output import print_diagnostics


@click.command("plugins", epilog="Example: bitspec plugins --format json")
@format_option
def command(form: str) -> int:
    """List the runners, rules, rankings, tasks, metrics and charts that are installed, bitspec's own included.

    Each is imported, to see whether it can be used. One that cannot is listed with what is wrong; it stops nothing but
    what asks for it. Only packages that are installed are looked at, never the folder of a spec.

    The exit code is 1 if something is broken.
    """
    from bitspec import registry
    from bitspec.plugins import GROUPS
    from bitspec.query.answer import Answer, texts

    rows, broken = [], []
    for kind in GROUPS:
        for name, them in registry.installed(kind).items():
            for one in them:
                wrong = registry.faults(one)
                broken += [wrong] if wrong else []
                about = f"broken: {wrong.message.removeprefix(f'{one} ')}" if wrong else registry.summary(one)
                rows.append((kind, name, one.package, one.package_version, about))
    write(form, Answer(texts("kind", "name", "package", "version", "what it is"), rows))
    print_diagnostics(broken)
    return 1 if broken else 0
