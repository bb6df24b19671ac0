"""Carries out a plan: a runner trains what is new, and the store keeps each trial as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bitspec.ir.events import Event, Failed, Finished, Started
from bitspec.ir.trials import Planned
from bitspec.runners.plan import Plan
from bitspec.runners.protocol import Runner, Work
from bitspec.store.store import Store

#: Trained values are kept when they are at most this part of the model's, in percent.
SMALL: Final = 5.0


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
    keep_values: bool,
    report: Callable[[Planned, Event], None] = lambda _planned, _event: None,
) -> Outcome:
    """Train what is new in a plan, as the `run` of that number in the store.

    `keep_values` keeps the trained values of every trial, not only of those that train a small part of the model.
    `report` is told every event. A trial that fails does not stop the others. Raises BitspecError if the store cannot
    be written to; what was finished before is kept.
    """
    outcome = Outcome()
    trials = {trial.key: trial for trial in plan.new}
    started: dict[str, datetime] = {}
    for event in runner.run(work, plan.packs()):
        planned = trials[event.key]
        match event:
            case Started():
                started[event.key] = _now()
            case Finished():
                is_small = 100 * event.values.count <= SMALL * _model_size(event)
                values = event.values if keep_values or is_small else None
                store.record(run, planned, event.result, values, started=started[event.key])
                outcome.finished.append(planned)
            case Failed():
                store.record_failure(run, planned, event, started=started.get(event.key, _now()))
                outcome.failed.append((planned, event))
            case _:
                pass
        report(planned, event)
    store.end(run)
    return outcome


def _model_size(event: Finished) -> float:
    result = event.result
    # Where nothing is selected, only the head is trained, which is small beside any model.
    return result.trainable * 100 / result.percent if result.percent else float("inf")


def _now() -> datetime:
    return datetime.now(UTC)
