"""`bitspec plan`: what `run` would do, and why; nothing is trained and nothing is fetched."""

from __future__ import annotations

from typing import Any

import click

from bitspec.cli.options import study_options


@click.command("plan", epilog="Example: bitspec plan specs/paper.bspec --only bitfit --seeds 0..2")
@study_options
def command(**options: Any) -> int:
    """Say what `bitspec run` would do: which trials are new and why, which are done, how long it may take.

    Nothing is trained, and nothing is fetched. It takes the same options as `run`.
    """
    from bitspec.cli.options import request, selections
    from bitspec.cli.output import print_diagnostics
    from bitspec.cli.planned import print_plan

    asked, diagnostics = request(**options)
    plan = asked.plan()
    shown = selections(asked, plan)
    print_plan(asked, plan, shown)
    print_diagnostics([*diagnostics, *shown.diagnostics])
    return 0
