"""`bitspec schema`: the JSON Schema of a study."""

from __future__ import annotations

import click


@click.command("schema", epilog="Example: bitspec schema > study.schema.json")
def command() -> int:
    """Print the JSON Schema (draft 2020-12) of a study, as `bitspec.load(SPEC).model_dump_json()` writes it."""
    from bitspec.ir.schema import schema_text

    click.echo(schema_text(), nl=False)
    return 0
