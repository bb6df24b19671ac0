"""Several processes at once: the same numbers as one, whatever happens to the others."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Event, Failed, Finished, Started
from bitspec.language.load import loads
from bitspec.runners import workers
from bitspec.runners.local import LocalRunner
from bitspec.runners.plan import Plan, plan
from bitspec.runners.protocol import Queue, Work
from bitspec.runners.workers import cores, run_in_processes, share_of
from tests.lab import SPEC


@pytest.fixture
def work(lab: Path) -> Work:
    return Work(loads(SPEC.replace("seeds 0", "seeds 0..1")), lab, None, "cpu", keep_values=True)


@pytest.fixture
def planned(work: Work) -> Plan:
    return plan(work.study, {}, base=work.base)


def numbers(events: list[Event]) -> dict[str, object]:
    """What a trial's numbers are, all but times."""
    found: dict[str, object] = {}
    for event in events:
        if isinstance(event, Finished):
            epochs = [epoch.model_dump(exclude={"seconds"}) for epoch in event.result.epochs]
            assert event.values is not None
            bits = {name: tensor.values.tobytes() for name, tensor in event.values.tensors.items()}
            found[event.key] = (epochs, event.result.predictions, event.result.changes, bits)
    return found


#: A process takes seconds to begin.
WORKERS = [1, pytest.param(2, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", WORKERS)
def test_processes_and_one_process_give_equal_numbers(work: Work, planned: Plan, count: int) -> None:
    alone = numbers(list(LocalRunner(1).run(work, Queue(planned.packs()))))
    events = list(run_in_processes(work, Queue(planned.packs()), count, share_of(2)))
    together = numbers(events)
    assert len(alone) == 6
    if cores() // 2 <= 1:  # each worker computes on one thread, as this process does
        assert together == alone
    assert together.keys() == alone.keys()
    for planned_trial in planned.trials:
        own = [type(event).__name__ for event in events if event.key == planned_trial.key]
        assert own[0] == "Started"
        assert own[-1] == "Finished"
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_dies_fails_its_trial_only(work: Work, planned: Plan) -> None:
    events: list[Event] = []
    killed: str | None = None
    for event in run_in_processes(work, Queue(planned.packs()), 1, 1):
        events.append(event)
        if isinstance(event, Started) and killed is None:
            killed = event.key
            for child in multiprocessing.active_children():
                child.kill()
    failed = [event for event in events if isinstance(event, Failed)]
    finished = {event.key for event in events if isinstance(event, Finished)}
    assert len(failed) <= 1  # it may have been quicker than the signal
    assert {event.key for event in failed} | finished == {trial.key for trial in planned.trials}
    if failed:
        assert failed[0].key == killed
        assert "killed" in failed[0].message


def test_processes_that_cannot_begin_are_not_started_for_ever(
    work: Work, planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    start = SpawnProcess.start

    def counted(self: SpawnProcess) -> None:
        started.append(self)
        assert len(started) < 4
        start(self)

    monkeypatch.setattr(SpawnProcess, "start", counted)
    monkeypatch.setattr(workers, "_serve", print)  # which comes to its end at once
    with pytest.raises(BitspecError, match=r"no-workers\]: no process that trains can begin \(code 0\)"):
        list(run_in_processes(work, Queue(planned.packs()), 2, 1))
    assert len(started) == 2


@pytest.mark.parametrize("count", WORKERS)
def test_stopping_ends_all_processes(work: Work, planned: Plan, count: int) -> None:
    running = run_in_processes(work, Queue(planned.packs()), count, 1)
    assert isinstance(next(running), Started)
    assert multiprocessing.active_children()
    running.close()  # type: ignore[attr-defined]  # a generator
    assert not multiprocessing.active_children()


def test_a_device_that_is_not_there_is_wrong_input(work: Work, planned: Plan) -> None:
    elsewhere = Work(work.study, work.base, None, "cuda:7")
    with pytest.raises(BitspecError, match="cannot be used"):
        list(run_in_processes(elsewhere, Queue(planned.packs()), 1, 1))
    assert not multiprocessing.active_children()
