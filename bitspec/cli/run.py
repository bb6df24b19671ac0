"""`bitspec run`: trains what is new in a study, and keeps the results."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from bitspec.cli.options import study_options
from bitspec.cli.output import counted

if TYPE_CHECKING:
    from bitspec.runners.execute import Outcome
    from bitspec.runners.plan import Plan
    from bitspec.runners.protocol import Runner
    from bitspec.runners.request import Request

#: Exit code when a trial failed; the others went on.
TRIAL_FAILED = 1
#: Exit code when the user stopped the run, as shells have it.
INTERRUPTED = 130


@click.command("run", epilog="Example: bitspec run specs/quickstart.bspec")
@study_options
@click.option("--device", metavar="DEVICE", help="cpu, cuda or cuda:1.  [default: the GPU, if there is one]")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes that train at once.  [default: one a core where models are small and there is no GPU, else 1]",
)
@click.option("--keep-values", is_flag=True, help="Keep the trained values of every trial, however many they are.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as `bitspec plan` does.")
def command(device: str | None, workers: int | None, keep_values: bool, dry_run: bool, **options: Any) -> int:
    """Train every trial of a study that is not finished yet, and keep its results in the store.

    A trial is a model, a task, a strategy and a seed with their settings. The same trial is never trained twice, in
    whatever study it stands. Each is kept as soon as it is finished; a run that was stopped goes on where it was.

    The exit code is 0 if all went well, 1 if a trial failed (the others go on), 2 if the spec, the data or the store
    is wrong, and 130 if it was stopped with Ctrl-C.
    """
    from bitspec.cli.options import request, selections
    from bitspec.cli.output import print_diagnostics
    from bitspec.cli.planned import print_plan
    from bitspec.cli.progress import fetching
    from bitspec.runners.local import LocalRunner

    asked, diagnostics = request(**options, device=device, keep_values=keep_values)
    if not dry_run:
        asked.store.prepare()
    plan = asked.plan(fetch=not dry_run, on_fetch=fetching)
    shown = selections(asked, plan)
    if dry_run:
        print_plan(asked, plan, shown)
    print_diagnostics([*diagnostics, *shown.diagnostics])
    if dry_run:
        return 0
    if plan.new and device is not None:
        from bitspec.training.devices import device as find_device

        find_device(device)  # before anything is put down
    number = asked.begin(plan, shlex.join(["bitspec", *sys.argv[1:]]))
    if not plan.new:
        asked.store.end(number)
        click.echo(f"nothing to train: {_all(len(plan.done))} of {asked.study.name} finished before; {_where(asked)}")
        return 0
    return _train(asked, plan, number, LocalRunner(workers))


def _train(asked: Request, plan: Plan, number: int, runner: Runner) -> int:
    from bitspec.runners.execute import execute
    from bitspec.runners.progress import Watch, duration

    began = time.monotonic()
    done = f"; {len(plan.done)} are done" if plan.done else ""
    click.echo(f"{asked.study.name}: {counted(len(plan.new), 'trial')} to train{done}", err=True)
    try:
        with Watch(len(plan.new)) as watch:
            outcome = execute(plan, asked.work, runner, asked.store, run=number, report=watch)
    except KeyboardInterrupt:
        click.echo(f"\nstopped; what is finished is kept in {asked.store.folder}: run the same to go on", err=True)
        return INTERRUPTED
    took = duration(time.monotonic() - began)
    where = f"; {_where(asked)}" if outcome.finished else ""
    click.echo(f"{counted(len(outcome.finished), 'trial')} finished in {took}{where}")
    return _failures(outcome)


def _failures(outcome: Outcome) -> int:
    from bitspec.runners.progress import name

    if not outcome.failed:
        return 0
    click.echo(
        f"{counted(len(outcome.failed), 'trial')} without a result, to be tried again by the next run:", err=True
    )
    for planned, failure in outcome.failed:
        click.echo(f"  {name(planned)} {failure.status}: {failure.message}", err=True)
        if failure.help:
            click.echo(f"    help: {failure.help}", err=True)
    return TRIAL_FAILED


def _where(asked: Request) -> str:
    store = "" if str(asked.store.folder) == "store" else f" --store {shlex.quote(str(asked.store.folder))}"
    return f'ask: bitspec query "select avg(score) by strategy"{store}'


def _all(trials: int) -> str:
    return "the one trial" if trials == 1 else f"all {trials:,} trials"
