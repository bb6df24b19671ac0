"""`bitspec run`: trains what is new in a study, and keeps the results."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bitspec.cli.options import study_options
from bitspec.cli.runners import DEFAULT, RunnerCommand, taken
from bitspec.diagnostics import counted

if TYPE_CHECKING:
    from bitspec.cli.stopping import Stopping
    from bitspec.runners.execute import Outcome
    from bitspec.runners.planner import Division, Packing
    from bitspec.runners.protocol import Pack, Runner
    from bitspec.runners.request import Request

#: Exit code when a trial failed; the others went on.
TRIAL_FAILED = 1


def _not_nan(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("it is not a number")
    return value


@click.command("run", cls=RunnerCommand, epilog="Example: bitspec run specs/quickstart.bspec")
@study_options
@click.option(
    "--runner",
    default=DEFAULT,
    show_default=True,
    metavar="NAME",
    help="What trains, with options of its own; `bitspec plugins` lists all that are installed.",
)
@click.option("--device", metavar="DEVICE", help="cpu, cuda or cuda:1.  [default: the GPU, if there is one]")
@click.option("--graphs", is_flag=True, help="Capture steps on a GPU and replay them, as CUDA graphs.")
@click.option("--keep-values", is_flag=True, help="Keep the trained values of every trial, however many they are.")
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(0),
    callback=_not_nan,
    metavar="MINUTES",
    help="How often trials under way are saved, to go on from there.  [default: at the end of an epoch]",
)
@click.option("--fail-fast", is_flag=True, help="Stop as soon as a trial fails; what is under way is saved.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as `bitspec plan` does.")
def command(
    runner: str,
    device: str | None,
    graphs: bool,
    keep_values: bool,
    checkpoint_every: float | None,
    fail_fast: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Train every trial of a study that is not finished yet, and keep its results in the store.

    A trial is a model, a task, a strategy and a seed with their settings. The same trial is never trained twice, in
    whatever study it stands. Each is kept as soon as it is finished; a run that was stopped goes on where it was, by
    the same command. Several runs on one store share what is to be trained.

    Trials of one model and task are trained together where that is faster: how many at once is measured, and kept.

    Ctrl-C, or SIGTERM, stops after the step that is under way, and saves it; a second one stops at once.

    The exit code is 0 if all went well, 1 if a trial failed (the others go on), 2 if the spec, the data or the store
    is wrong, and 130 or 143 if it was stopped with Ctrl-C or SIGTERM.
    """
    from bitspec.cli.options import request, selections
    from bitspec.cli.output import print_diagnostics
    from bitspec.cli.planned import print_plan
    from bitspec.cli.progress import fetching
    from bitspec.cli.stopping import Stopping
    from bitspec.runners.plugged import runner as made
    from bitspec.runners.progress import duration

    own = taken(options)
    save_every = None if checkpoint_every is None else 60 * checkpoint_every
    asked, diagnostics = request(
        **options, device=device, graphs=graphs, keep_values=keep_values, save_every=save_every
    )
    if not dry_run:
        asked.store.prepare()
    plan = asked.plan(fetch=not dry_run, on_fetch=fetching)
    shown = selections(asked, plan)
    if dry_run:
        print_plan(asked, plan, shown)
    print_diagnostics([*diagnostics, *shown.diagnostics])
    if dry_run:
        return 0
    command_line = shlex.join(["bitspec", *sys.argv[1:]])
    warnings = [found.summary for found in (*diagnostics, *shown.diagnostics)]
    if not plan.new:
        asked.store.end(asked.begin(plan, command_line, warnings))
        click.echo(f"nothing to train: {_all(len(plan.done))} of {asked.study.name} finished before; {_where(asked)}")
        return 0
    trains = made(runner, own)
    device = trains.device(asked.work)  # what is wrong is said before anything is put down
    if graphs and not device.startswith("cuda"):
        click.echo(f"`--graphs` is for a GPU, and this is `{device}`: steps are computed as usual", err=True)
    division, packing = asked.division(plan, device=device)
    number, stopping = asked.begin(plan, command_line, warnings), Stopping()
    began = time.monotonic()
    try:
        with stopping.at_once():
            outcome = _train(asked, division, packing, number, trains, device, stopping, fail_fast=fail_fast)
    except KeyboardInterrupt:
        click.echo(f"\nstopped; what is finished is kept. To go on: {command_line}", err=True)
        return stopping.exit_code
    took = duration(time.monotonic() - began)
    where = f"; {_where(asked)}" if outcome.finished else ""
    others = f", {len(outcome.elsewhere):,} by other runs" if outcome.elsewhere else ""
    click.echo(f"{counted(len(outcome.finished), 'trial')} finished in {took}{others}{where}")
    code = _failures(outcome)
    if outcome.is_stopped:
        also = ", and what was under way is saved" if outcome.is_saved else ""
        click.echo(f"stopped; what is finished is kept{also}. To go on: {command_line}", err=True)
        return stopping.exit_code if stopping() else TRIAL_FAILED
    return code


def _train(
    asked: Request,
    division: Division,
    packing: Packing,
    number: int,
    runner: Runner,
    device: str,
    stopping: Stopping,
    *,
    fail_fast: bool,
) -> Outcome:
    from bitspec.cli.progress import measuring
    from bitspec.runners.execute import execute
    from bitspec.runners.progress import Watch

    plan = division.plan
    done = f"; {len(plan.done)} are done" if plan.done else ""
    click.echo(f"{asked.study.name}: {counted(len(plan.new), 'trial')} to train{done}", err=True)
    packs = runner.pack(asked.work, division, packing, measuring)
    if division.going_on:
        click.echo(f"going on with {counted(division.going_on, 'trial')} saved on the way", err=True)
    if len(packs) < len(plan.new):
        click.echo(_packed(packs, division.kept, is_forced=packing.is_forced), err=True)
    with Watch(len(plan.new)) as watch, stopping.in_order():
        return execute(
            plan,
            asked.work,
            runner,
            asked.store,
            run=number,
            packs=packs,
            device=device,
            report=watch,
            on_wait=watch.wait,
            on_gone=watch.leave,
            stop=stopping,
            fail_fast=fail_fast,
        )


def _packed(packs: Sequence[Pack], kept: int, *, is_forced: bool) -> str:
    """How trials are packed: `in 9 packs of up to 8 trials, 3 alone`."""
    together = [len(pack) for pack in packs if len(pack) > 1]
    alone = len(packs) - len(together)
    said = f"trained together: {counted(len(together), 'pack')} of up to {max(together)} trials"
    said += f", and {alone:,} alone" if alone else ""
    whose = "as in the store that is repeated" if is_forced else "in packs of the run before"
    return f"{said}; {counted(kept, 'trial')} {whose}" if kept else said


def _failures(outcome: Outcome) -> int:
    from bitspec.runners.progress import name

    for planned, status in outcome.elsewhere:
        if status != "finished":
            click.echo(f"{name(planned)} {status} in another run", err=True)
    if not outcome.failed:
        return TRIAL_FAILED if any(status != "finished" for _, status in outcome.elsewhere) else 0
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
