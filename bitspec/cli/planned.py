"""How `plan` and `run --dry-run` print what is to be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from bitspec.cli.tables import console
from bitspec.diagnostics import counted, listed
from bitspec.runners.protocol import KEPT

if TYPE_CHECKING:
    from bitspec.api import Shown
    from bitspec.runners.plan import Plan
    from bitspec.runners.planner import Division, Packing
    from bitspec.runners.request import Request

#: Bytes of a trial's results in the database, about, for a validation set of a thousand examples.
ROWS: Final = 30_000
#: Bytes of a trained value in its file; the indices of a sample take as much again.
VALUE: Final = 4


def print_plan(asked: Request, plan: Plan, shown: Shown) -> None:
    """Print which trials are new and why, which are done, how long they may take and how much they take on disk."""
    out = console()
    study = asked.study
    out.print(Text.assemble((str(study.name), "bold"), f"  {study.title}" if study.title else ""))
    out.print(
        f"{counted(len(plan.cells), 'cell')} (model × task × strategy × seed), {counted(len(plan.trials), 'trial')}"
    )
    if plan.shared:
        out.print(f"{plan.shared:,} of the cells share the trial of another: they say the same in other words")
    for name in plan.absent:
        out.print(f"{name} is not on this machine yet; `bitspec run` fetches it")
    out.print()
    out.print(_table(plan))
    out.print()
    if not plan.new:
        out.print("nothing to train")
        return
    out.print(f"time: {_time(asked, plan)}", soft_wrap=True)
    division, packing = asked.division(plan)
    if division.going_on:
        out.print(f"saved: {counted(division.going_on, 'trial')} on the way, and will go on where they were")
    if division.groups or division.kept:
        out.print(f"packs: {_packs(division, packing)}", soft_wrap=True)
    for line in _order(plan):
        out.print(line, soft_wrap=True)
    out.print(f"disk: about {_size(_disk(plan, shown))} in {asked.store.folder}", soft_wrap=True)


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("task", no_wrap=True)
    for heading in ("new", "done"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why")
    places: dict[tuple[str, str], None] = dict.fromkeys(
        (cell.trial.model.name, cell.trial.task.name) for cell in plan.trials
    )
    for place in places:
        new = [cell for cell in plan.new if (cell.trial.model.name, cell.trial.task.name) == place]
        done = [cell for cell in plan.done if (cell.trial.model.name, cell.trial.task.name) == place]
        reasons = Counter(plan.reason(cell) for cell in new)
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        table.add_row(*place, f"{len(new):,}", f"{len(done):,}", why)
    return table


def _order(plan: Plan) -> Iterator[str]:
    """Which strategies wait for which: `order: most and least after bitfit`."""
    waiting: dict[tuple[str, ...], dict[str, None]] = {}
    for cell in plan.new:
        if cell.follows:
            waiting.setdefault(tuple(cell.follows), {})[cell.trial.strategy] = None
    for followed, strategies in waiting.items():
        yield f"order: {listed(strategies, 'and', quote='')} after {listed(followed, 'and', quote='')}"


def _time(asked: Request, plan: Plan) -> str:
    from bitspec.runners.progress import duration

    seconds, known = plan.time(asked.store.durations())
    if not known:
        return "no earlier trial tells how long these may take"
    rest = len(plan.new) - known
    also = f", and {rest:,} of which no earlier trial tells" if rest else ""
    return f"about {duration(seconds)} for {counted(known, 'trial')}, as fast as earlier ones{also}"


def _packs(division: Division, packing: Packing) -> str:
    """How many trials will be trained together, as far as that is known before anything is loaded."""
    from bitspec.runners.planner import outlook

    found = outlook(division, packing)
    which = "in the store that is repeated" if packing.is_forced else "the run before began them"
    if division.kept and found.most == 0:
        return f"as {which}"
    kept = f"{counted(division.kept, 'trial')} as {which}; " if division.kept else ""
    if found.most is None:
        return f"{kept}how many trials are best trained at once is measured when the run begins"
    at_once = "one trial at a time" if found.most <= 1 else f"up to {found.most:,} trials at once"
    return f"{kept}{at_once}, which measured best ({found.place})" if found.place else kept + at_once


def _disk(plan: Plan, shown: Shown) -> int:
    """Bytes that the new trials take: their results, and the trained values where these are few enough to be kept."""
    counts: dict[tuple[str, str], int] = {}
    kept: set[tuple[str, str]] = set()
    for summary in shown.models:
        for strategy in summary.strategies:
            counts[summary.model, strategy.name] = strategy.most
            if strategy.percent[1] <= KEPT:
                kept.add((summary.model, strategy.name))
    places = [((cell.trial.model.source, cell.trial.strategy), cell.is_followed) for cell in plan.new]
    values = sum(counts.get(place, 0) for place, is_followed in places if is_followed or place in kept)
    return ROWS * len(plan.new) + VALUE * values


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
