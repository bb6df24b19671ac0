"""Makes what `bitspec/builtin` holds: `python -m tools.nano tasks` and `python -m tools.nano pretrain`."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

from tools.nano.pretrain import Recipe, pretrain
from tools.nano.tasks import write

BUILTIN = Path(__file__).parents[2] / "bitspec" / "builtin"


def main() -> None:
    """Reads the command line and makes the one or the other."""
    parser = argparse.ArgumentParser(prog="python -m tools.nano", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tasks = commands.add_parser("tasks", help="write the generated tasks (a second)")
    tasks.add_argument("--folder", type=Path, default=BUILTIN / "tasks")
    model = commands.add_parser("pretrain", help="pretrain the model (under an hour on two cores)")
    model.add_argument("--folder", type=Path, default=BUILTIN / "nano")
    model.add_argument("--threads", type=int, default=2)
    for one in fields(Recipe):
        model.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    arguments = parser.parse_args()
    if arguments.command == "tasks":
        write(arguments.folder)
        return
    import torch

    torch.set_num_threads(arguments.threads)
    pretrain(replace(Recipe(), **{one.name: getattr(arguments, one.name) for one in fields(Recipe)}), arguments.folder)


if __name__ == "__main__":
    main()
