"""`bitspec`: the commands, loaded one at a time, and what every command does with the user's mistakes."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from bitspec.diagnostics import BitspecError, error

#: Exit code when the user's input is wrong.
WRONG_INPUT = 2

#: Every command and the line that `bitspec --help` shows for it; its module is imported when it is called.
COMMANDS = {
    "check": "Say what is wrong with specs; needs no model.",
    "show": "Show what every strategy of a spec trains, or the story of a trial.",
    "plan": "Say what `run` would train, and why.",
    "run": "Train what is new in a study, and keep the results.",
    "query": "Ask the results a question.",
    "plot": "Draw a chart of the results.",
    "report": "Write a page of what a study answers.",
    "compare": "Put two strategies beside each other, or two stores.",
    "export": "Write a trial as a model folder of transformers.",
    "store": "Look after results: check, compact, forget, export, import.",
    "plugins": "List what other packages add, and what is wrong with it.",
    "fmt": "Put specs into the one canonical layout.",
    "new": "Write a first spec: leave out one role at a time.",
    "schema": "Print the JSON Schema of a study.",
}


class Commands(click.Group):
    """The group of all commands, each in a module of its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """A command by its name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"bitspec.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names for a command that does not exist."""
        from bitspec.diagnostics import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or "`bitspec --help` lists the commands"
            if args[0].endswith(".bspec"):
                hint = f"did you mean `bitspec show {args[0]}`?"
            raise click.UsageError(f"there is no command called `{args[0]}`; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: bitspec show specs/paper.bspec",
)
@click.version_option(package_name="bitspec", prog_name="bitspec")
def cli() -> None:
    """Which parameters matter when a model is fine-tuned? bitspec runs the studies that say."""


def main() -> None:
    """The entry point: runs a command and turns every mistake of the user's into a message and exit code 2."""
    from bitspec.cli.output import print_diagnostics

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a character shows `?`, and no traceback
            stream.reconfigure(errors="replace")
    output = sys.stdout
    try:
        code = cli.main(prog_name="bitspec", standalone_mode=False)
    except BitspecError as problem:
        print_diagnostics(problem.diagnostics)
        sys.exit(WRONG_INPUT)
    except click.ClickException as problem:
        problem.show()
        sys.exit(WRONG_INPUT)
    except MemoryError:
        hint = "end what else is running, or ask for less at once; finished trials are kept"
        print_diagnostics([error("no-memory", "the memory of this machine is full", help=hint)])
        sys.exit(WRONG_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except OSError as problem:
        if problem.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise
        sys.stderr.write(f"error: the output cannot be written: {problem.strerror}\n")
        os._exit(1)  # the buffers that cannot be flushed would raise once more at a normal exit
    except SystemExit:
        # The reader of a pipe (`| head`) has seen enough: click takes that for a failure and wraps the output.
        if sys.stdout is not output:
            sys.exit(0)
        raise
    sys.exit(code if isinstance(code, int) else 0)
