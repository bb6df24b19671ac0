"""Carries out a plan: a runner trains what is new, and the store keeps each trial as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bitspec.ir.events import Event, Failed, Finished, Started
from bitspec.ir.trials import Planned
from bitspec.runners.plan import Plan
from bitspec.runners.protocol import Pack, Runner, Work
from bitspec.store.store import Store


@dataclass
class Outcome:
    """What came of a run: trials that were finished, and those that were not."""

    finished: list[Planned] = field(default_factory=list)
    failed: list[tuple[Planned, Failed]] = field(default_factory=list)


def execute(
    plan: Plan,
    work: Work,
    runner: Runner,
    store: Store,
    *,
    run: int,
    packs: Sequence[Pack] | None = None,
    device: str | None = None,
    report: Callable[[Planned, Event], None] = lambda _planned, _event: None,
) -> Outcome:
    """Train what is new in a plan, as the `run` of that number in the store.

    `packs` say which trials are trained together, each by itself without. They are put down for the `device`, so that
    a run that is interrupted can go on with the same ones. `report` is told every event. A trial that fails does not
    stop the others. Raises BitspecError if the store cannot be written to; what was finished before is kept.
    """
    outcome = Outcome()
    packs = plan.packs() if packs is None else packs
    store.begin_packs(run, [[planned.key for planned in pack] for pack in packs], device)
    trials = {trial.key: trial for trial in plan.new}
    started: dict[str, datetime] = {}
    for event in runner.run(work, packs):
        planned = trials[event.key]
        match event:
            case Started():
                started[event.key] = _now()
            case Finished():
                store.record(run, planned, event.result, event.values, started=started[event.key])
                outcome.finished.append(planned)
            case Failed():
                store.record_failure(run, planned, event, started=started.get(event.key, _now()))
                outcome.failed.append((planned, event))
            case _:
                pass
        report(planned, event)
    store.end(run)
    return outcome


def _now() -> datetime:
    return datetime.now(UTC)
