"""`bitspec store`: what keeps a store sound and small, and what takes results out of one or into it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bitspec.cli.options import store_option
from bitspec.diagnostics import counted

if TYPE_CHECKING:
    from bitspec.store.forget import Forgotten
    from bitspec.store.maintenance import Compacted

#: Exit code when a check found something.
UNSOUND = 1


class Chores(click.Group):
    """The group of all that is done to a store."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names for a command that does not exist."""
        from bitspec.diagnostics import did_you_mean, listed

        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands) or f"there are {listed(self.commands, 'and')}"
            raise click.UsageError(f"there is no command called `store {args[0]}`; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order of their use."""
        return list(self.commands)


@click.group("store", cls=Chores, epilog="Example: bitspec store check")
def command() -> None:
    """Keep a store of results sound and small, and take results out of it or into it.

    Each of these can be done while a study runs.
    """


@command.command("check", epilog="Example: bitspec store check --store runs/old")
@store_option
def check(store: Path) -> int:
    """Say what is wrong with a store; every block and every file is read.

    There is a line for each finding: where, what, and what to do about it. The exit code is 0 if all is sound, 1 if
    something was found, and 2 if there is no store or it cannot be opened.
    """
    from bitspec.cli.progress import reading
    from bitspec.store.health import check as examine
    from bitspec.store.store import Store

    found = Store(store)
    with reading(f"{found.folder}"):
        health = examine(found)
    for finding in health.findings:
        _say(f"{finding.place}: {finding.problem}; {finding.remedy}")
    looked = f"{counted(health.finished, 'finished trial')}, {counted(health.values, 'file')} of trained values"
    if not health.findings:
        _say(f"{found.folder} is sound: {looked}")
        return 0
    wrong = "1 thing is" if len(health.findings) == 1 else f"{len(health.findings):,} things are"
    _say(f"{wrong} wrong with {found.folder}, which has {looked}")
    return UNSOUND


@command.command("compact", epilog="Example: bitspec store compact")
@store_option
def compact(store: Path) -> int:
    """Free the space that nothing needs, in the database and beside it.

    The database is written anew. Removed are trained values that no trial has, checkpoints of trials that are all
    finished, and what was half-written an hour ago or more. Runs wait while it copies, and nothing is lost if it is
    stopped.
    """
    from bitspec.cli.progress import writing
    from bitspec.store.maintenance import compact as shrink
    from bitspec.store.store import Store

    found = Store(store)
    with writing(f"the database of {found.folder} anew"):
        compacted = shrink(found)
    for path, why in compacted.removed:
        _say(f"removed {path.relative_to(found.folder).as_posix()}: {why}")
    _say(_won(compacted, found.folder))
    return 0


@command.command("forget", epilog="Example: bitspec store forget --strategy bitfit --task rte")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("-s", "--strategy", "strategies", multiple=True, metavar="NAME", help="Of this strategy. Repeatable.")
@click.option("-t", "--task", "tasks", multiple=True, metavar="NAME", help="On this task. Repeatable.")
@click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Of this model. Repeatable.")
@click.option("--seed", "seeds", type=int, multiple=True, metavar="N", help="With this seed. Repeatable.")
@click.option("--study", metavar="NAME", help="This study instead of the one that ran last.")
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@store_option
@click.pass_context
def forget(
    context: click.Context,
    keys: tuple[str, ...],
    strategies: tuple[str, ...],
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    seeds: tuple[int, ...],
    study: str | None,
    dry_run: bool,
    store: Path,
) -> int:
    """Take trials out of a store, so that the next run trains them again.

    KEY is the beginning of a trial's key, four characters at least; `bitspec query "select strategy, task, seed, key"`
    lists them. Or trials are told by what they are: where several options are given, all of them hold.

    Their scores, predictions, trained values and checkpoints are gone; until they run again their cells are missing.
    """
    from bitspec.store.forget import Chosen
    from bitspec.store.forget import forget as take_out
    from bitspec.store.store import Store

    are_told = bool(strategies or tasks or models or seeds or study is not None)
    if keys and are_told:
        raise click.UsageError("trials are told by their keys, or by what they are: give one of the two.", context)
    if not keys and not are_told:
        message = "say which trials: by KEY, or with `--strategy`, `--task`, `--model`, `--seed` or `--study`."
        raise click.UsageError(message, context)
    asked = keys or Chosen(strategies, tasks, models, seeds, study)
    _tell(take_out(Store(store), asked, dry_run=dry_run), is_done=not dry_run)
    return 0


@command.command("export", epilog="Example: bitspec store export results --values")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--values", "with_values", is_flag=True, help="Copy the files of trained values, too.")
@click.option("--force", is_flag=True, help="Write into a folder that is there.")
@store_option
def export(folder: Path, with_values: bool, force: bool, store: Path) -> int:
    """Write a store's tables as Parquet files, to be read without bitspec.

    There is a file for each table. `bitspec store import` reads them too.
    """
    from bitspec.cli.progress import writing
    from bitspec.store.exchange import export as write
    from bitspec.store.store import Store

    with writing(f"{folder}"):
        written = write(Store(store), folder, with_values=with_values, force=force)
    rows = sum(written.tables.values())
    values = f" and {counted(written.values, 'file')} of trained values" if with_values else ""
    _say(f"wrote {rows:,} rows of {counted(len(written.tables), 'table')}{values} to {folder}")
    return 0


@command.command("import", epilog="Example: bitspec store import ../colleague/store")
@click.argument("other", type=click.Path(path_type=Path))
@store_option
def import_(other: Path, store: Path) -> int:
    """Take into a store what another one has and it has not.

    OTHER is a store, or a folder that `bitspec store export` wrote; it is only read. A finished trial comes in where it
    is not finished here, a failure where the trial is not known here, a run once. To import again changes nothing.
    """
    from bitspec.cli.progress import reading
    from bitspec.store.exchange import merge
    from bitspec.store.store import Store

    found = Store(store)
    with reading(f"{other}"):
        imported = merge(found, other)
    rows = imported.rows
    replaced = f", {rows.replaced:,} of which had failed here" if rows.replaced else ""
    known = f"; {imported.known:,} were finished here before" if imported.known else ""
    _say(f"{counted(rows.finished, 'finished trial')} came into {found.folder} from {other}{replaced}{known}")
    _say(
        f"and {counted(rows.failed, 'failure')}, {counted(rows.runs, 'run')}, {counted(rows.cells, 'cell')}, "
        f"{counted(imported.values, 'file')} of trained values"
    )
    if imported.without_values:
        lacking = counted(imported.without_values, "trial")
        click.echo(f"{lacking} came without trained values, which are missing there or broken", err=True)
    return 0


def _tell(forgotten: Forgotten, *, is_done: bool) -> None:
    seeds: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for trial in forgotten.trials:
        seeds[trial.strategy, trial.task].append(trial.seed)
    for (strategy, task), of_place in seeds.items():
        _say(f"{strategy} on {task}, {_seeds(of_place)}")
    if forgotten.others:
        _say(f"the same trials are {', '.join(forgotten.others)}")
    count = counted(len(forgotten.trials), "trial")
    if not forgotten.trials:
        _say("there is nothing to forget: none of these trials was trained")
    elif is_done:
        _say(f"{count} forgotten; the next `bitspec run` trains {'it' if len(forgotten.trials) == 1 else 'them'} again")
    else:
        _say(f"{count} would be forgotten; nothing was changed")


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _won(compacted: Compacted, folder: Path) -> str:
    won = compacted.before - compacted.after + compacted.removed_bytes
    if not won and not compacted.removed:
        return f"there is nothing to win: the database of {folder} has {compacted.after:,} bytes"
    return f"{won:,} bytes won: the database of {folder} has {compacted.after:,} bytes, and had {compacted.before:,}"


def _say(text: str) -> None:
    # Names come from stores, and so from strangers.
    from bitspec.query.formats import one_line

    click.echo(one_line(text))
