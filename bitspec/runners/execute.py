"""Carries out a plan: a runner trains what is new, and the store keeps each trial as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bitspec.ir.events import Event, Failed, Finished, Notice, NotSaved, Started
from bitspec.ir.trials import Planned
from bitspec.runners.claims import Claims
from bitspec.runners.plan import Plan
from bitspec.runners.protocol import Pack, Stop, Trains, Work, never
from bitspec.store.store import Store
from bitspec.training import checkpoints


@dataclass
class Outcome:
    """What came of a run: trials that it finished, those that it could not, and those that other runs took.

    `elsewhere` are these last ones, each with how it ended there. `is_stopped` if there was more to do, and
    `is_saved` unless some of what was under way could not be saved.
    """

    finished: list[Planned] = field(default_factory=list)
    failed: list[tuple[Planned, Failed]] = field(default_factory=list)
    elsewhere: list[tuple[Planned, str]] = field(default_factory=list)
    is_stopped: bool = False
    is_saved: bool = True


def execute(
    plan: Plan,
    work: Work,
    runner: Trains,
    store: Store,
    *,
    run: int,
    packs: Sequence[Pack] | None = None,
    device: str | None = None,
    report: Callable[[Planned, Event], None] = lambda _planned, _event: None,
    on_wait: Callable[[Mapping[str, str]], None] = lambda _held: None,
    on_gone: Callable[[int], None] = lambda _count: None,
    stop: Stop = never,
    fail_fast: bool = False,
) -> Outcome:
    """Train what is new in a plan, as the `run` of that number in the store.

    `packs` say which trials are trained together, each by itself without. They are put down for the `device`, so that
    a run that is interrupted can go on with the same ones. Trials that another run is training are left to it;
    `on_wait` is told of those, by key and with who it is, when only they are left, and `on_gone` how many of them came
    to their end. `report` is told every event. Once `stop` says so, or with `fail_fast` a trial fails, what is under
    way is saved, and no more is begun; else a trial that fails does not stop the others. Raises BitspecError if the
    store cannot be written to; what was finished before is kept.
    """
    outcome = Outcome()
    packs = plan.packs() if packs is None else packs
    store.begin_packs(run, [[planned.key for planned in pack] for pack in packs], device)
    claims = Claims(store, run, plan, packs, device=device, saved=work.checkpoints, on_wait=on_wait, on_gone=on_gone)
    trials = {trial.key: trial for trial in plan.trials}
    started: dict[str, datetime] = {}
    ended: set[str] = set()

    def is_over() -> bool:
        return stop() or (fail_fast and bool(outcome.failed))

    def fail_orphans() -> None:
        for orphan, strategy in claims.orphans():
            lost = _orphaned(orphan, strategy)
            store.record_failure(run, orphan, lost, started=_now())
            outcome.failed.append((orphan, lost))
            report(orphan, lost)

    with claims.held(), closing(runner.run(work, claims, is_over)) as events:
        for event in events:
            planned = trials[event.key]
            outcome.is_saved &= not isinstance(event, NotSaved)
            if planned.key in claims.company and not isinstance(event, Notice):
                continue
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
            if isinstance(event, Finished | Failed):
                claims.ended(event.key, "finished" if isinstance(event, Finished) else event.status)
                fail_orphans()
            if isinstance(event, Finished) or (isinstance(event, Failed) and event.status == "diverged"):
                ended.add(event.key)
                if work.checkpoints is not None:
                    checkpoints.clear(work.checkpoints, ended | claims.company)
        fail_orphans()  # of what failed in other runs, too
    outcome.elsewhere = [(trials[key], status) for key, status in claims.elsewhere.items()]
    done = ended | {planned.key for planned, _ in (*outcome.failed, *outcome.elsewhere)}
    outcome.is_stopped = any(planned.key not in done for planned in plan.new)
    if not outcome.is_stopped:
        store.end(run)
    return outcome


def _orphaned(planned: Planned, strategy: str) -> Failed:
    """The failure of a trial that selects by what a failed one would have changed."""
    message = f"it selects by what `{strategy}` changed, and that has no result"
    return Failed(planned.key, "failed", message, f"see what became of `{strategy}`, and run the same again")


def _now() -> datetime:
    return datetime.now(UTC)
