"""The options of `bitspec run` that depend on which runner trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from bitspec.plugins import Argument

#: The runner that trains if no other is asked for.
DEFAULT: Final = "local"

_META: Final = "bitspec.runner"


class RunnerCommand(click.Command):
    """A command with the options of the runner that `--runner` names, beside its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, once it is known which runner is asked for."""
        ctx.meta[_META] = _named(args)
        self._own(ctx)  # that there is none is said before anything else
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own options, and those of the runner before the last, which is `--help`."""
        *params, help_ = super().get_params(ctx)
        return [*params, *self._own(ctx), help_]

    def _own(self, ctx: click.Context) -> list[click.Option]:
        from bitspec.diagnostics import BitspecError, error
        from bitspec.runners.plugged import installed_runner

        name = ctx.meta.get(_META, DEFAULT)
        options = installed_runner(name).options
        taken_ = {param.name for param in self.params} | {"help"}
        for option in options:
            if option.name in taken_:
                message = f"the runner `{name}` has an option `--{option.name}`, which `bitspec run` has itself"
                raise BitspecError(error("broken-plugin", message, help="tell its authors: it needs another name"))
        return [_option(option) for option in options]


def taken(options: dict[str, Any]) -> dict[str, Any]:
    """The values of the runner's options, taken out of all that the command was given."""
    ctx = click.get_current_context()
    command = ctx.command
    assert isinstance(command, RunnerCommand)
    own = {param.name for param in command.params}
    return {name: options.pop(name) for name in [*options] if name not in own}


def _named(args: Sequence[str]) -> str:
    """The runner that a command line names; the last one counts, as with any option."""
    found = DEFAULT
    for place, word in enumerate(args):
        if word == "--":
            break
        if word == "--runner" and place + 1 < len(args):
            found = args[place + 1]
        elif word.startswith("--runner="):
            found = word.partition("=")[2]
    return found


def _option(argument: Argument) -> click.Option:
    kinds: dict[str, click.ParamType[Any] | type] = {
        "whole": click.IntRange(_whole(argument.least), _whole(argument.most)),
        "number": click.FloatRange(argument.least, argument.most),
        "percent": click.FloatRange(argument.least, argument.most),
        "word": click.Choice(argument.words),
    }
    flag = "--" + argument.name.replace("_", "-")
    if argument.takes == "flag":
        return click.Option([flag, argument.name], is_flag=True, help=argument.meaning)
    return click.Option(
        [flag, argument.name],
        type=kinds.get(argument.takes, str),
        default=argument.default,
        required=argument.is_needed,
        show_default=argument.default is not None,
        metavar="N" if argument.takes in {"whole", "number"} else None if argument.takes == "word" else "TEXT",
        help=argument.meaning,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
