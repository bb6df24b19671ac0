"""Packs on the bench: the numbers of trials that are trained together, and what goes wrong with some of them."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bitspec
from bitspec.ir.events import EpochEnded, Event, Failed, Finished, Started
from bitspec.runners import stopwatch, workers
from bitspec.runners.bench import Bench, run_pack
from bitspec.runners.local import LocalRunner
from bitspec.runners.packing import split
from bitspec.runners.plan import Plan
from bitspec.runners.planner import Extents, Packing, divide
from bitspec.runners.protocol import Pack, Queue, Work
from bitspec.runners.selections import Selections
from bitspec.runners.stopwatch import BenchStopwatch
from bitspec.training.loop import Training, losses_of
from tests.lab import write_lab
from tests.runners.runs import HEAD, planned, trained, without_time

SPEC = (
    HEAD.replace("seeds 0", "seeds 0..1").replace("1e-2", "1e-3")
    + """
strategy queries = bias where role == q
strategy norms   = gamma
strategy some    = rand(gamma, 10)
strategy frozen  = none
train for norms { learning_rate = 5e-3  weight_decay = 0.1 }
"""
)


def work(lab: Path, spec: str = SPEC) -> Work:
    return Work(bitspec.loads(spec), lab, None, "cpu", keep_values=True)


def by_key(events: list[Event]) -> dict[str, Finished]:
    return {event.key: event for event in events if isinstance(event, Finished)}


def in_packs(plan: Plan, most: int) -> list[Pack]:
    """All trials but those of `frozen`, in packs of up to so many."""
    deep = sorted((one for one in plan.new if one.trial.strategy != "frozen"), key=lambda one: one.trial.seed)
    return [*split(deep, most), *((one,) for one in plan.new if one not in deep)]


@pytest.fixture(scope="module")
def plan(lab: Path) -> Plan:
    return planned(SPEC, lab)


@pytest.fixture(scope="module")
def alone(lab: Path, plan: Plan) -> dict[str, Finished]:
    return by_key(list(LocalRunner(1).run(work(lab), Queue(plan.packs()))))


@pytest.mark.parametrize("most", [2, 3, 6])
def test_trials_in_packs_are_as_trials_alone(lab: Path, plan: Plan, alone: dict[str, Finished], most: int) -> None:
    packs = in_packs(plan, most)
    events = list(LocalRunner(1).run(work(lab), Queue(packs)))
    together = by_key(events)
    assert together.keys() == alone.keys()
    for pack in packs:
        keys = [one.key for one in pack]
        for key in keys:
            one, other = together[key].result, alone[key].result
            assert one.pack == tuple(keys)
            for epoch, epoch_alone in zip(one.epochs, other.epochs, strict=True):
                assert epoch.loss == pytest.approx(epoch_alone.loss, abs=1e-5)
                assert epoch.validation_loss == pytest.approx(epoch_alone.validation_loss, abs=1e-5)
            assert one.predictions[0].margins == pytest.approx(other.predictions[0].margins, abs=1e-4)
            assert [moved.tensor for moved in one.changes] == [moved.tensor for moved in other.changes]
            assert (one.trainable, one.percent, one.head) == (other.trainable, other.percent, other.head)
            for name, tensor in trained(alone[key]).items():
                np.testing.assert_allclose(trained(together[key])[name].values, tensor.values, atol=1e-4, rtol=0)
        own = [event for event in events if event.key in keys]
        assert [type(event) for event in own][: len(keys)] == [Started] * len(keys)
        assert [type(event) for event in own][-len(keys) :] == [Finished] * len(keys)
        assert sum(isinstance(event, EpochEnded) for event in own) == 2 * len(keys)
        assert 0 < sum(epoch.seconds for epoch in together[keys[0]].result.epochs) <= together[keys[0]].result.seconds
        assert len({together[key].result.seconds for key in keys}) == 1


def test_the_same_pack_twice_is_equal_bit_for_bit(lab: Path, plan: Plan) -> None:
    packs = in_packs(plan, 3)[:2]
    one, other = (by_key(list(LocalRunner(1).run(work(lab), Queue(order)))) for order in (packs, packs[::-1]))
    for key, finished in one.items():
        assert without_time(finished) == without_time(other[key])
        for name, tensor in trained(finished).items():
            assert tensor.values.tobytes() == trained(other[key])[name].values.tobytes()


def test_seconds_of_a_pack_add_up(lab: Path, plan: Plan) -> None:
    (pack, *_) = in_packs(plan, 3)
    bench = Bench(work(lab))
    list(bench.run(pack[:1]))  # which loads what there is to load
    began = time.perf_counter()
    results = [event.result for event in bench.run(pack) if isinstance(event, Finished)]
    took = time.perf_counter() - began
    for one in results:
        assert one.seconds == math.fsum(epoch.seconds for epoch in one.epochs)
    assert sum(one.seconds for one in results) <= took


def test_a_trial_that_cannot_be_set_up_does_not_stop_its_pack(lab: Path) -> None:
    selection = "rand(bias, size(rand(all, 40) where role == ln1))"  # nothing to draw, for some seeds
    spec = SPEC.replace("seeds 0..1", "seeds 0..5") + f"strategy drawn = {selection}\n"
    plan = planned(spec, lab)
    pack = tuple(one for one in plan.new if one.trial.strategy in {"drawn", "norms"})
    events = list(run_pack(Bench(work(lab, spec)), pack))
    failed = {event.key for event in events if isinstance(event, Failed)}
    finished = by_key(events)
    assert 0 < len(failed) < 6
    assert failed | finished.keys() == {one.key for one in pack}
    assert {one.trial.strategy for one in pack if one.key in failed} == {"drawn"}
    rest = tuple(one.key for one in pack if one.key in finished)
    assert {event.result.pack for event in finished.values()} == {rest}


def test_what_goes_wrong_in_a_pack_is_told_of_each_of_its_trials(
    lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def broken(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        steps.append(len(logits))
        if len(steps) == 8:
            raise RuntimeError("a kernel failed")
        return losses_of(logits, labels)

    monkeypatch.setattr("bitspec.training.loop.losses_of", broken)
    pack, other, *_ = in_packs(plan, 3)
    events = list(LocalRunner(1).run(work(lab), Queue([pack, other])))
    failed = [event for event in events if isinstance(event, Failed)]
    assert [(event.key, event.status, event.message) for event in failed] == [
        (one.key, "failed", "a kernel failed") for one in pack
    ]
    assert by_key(events).keys() == {one.key for one in other}
    assert set(steps[:8]) == {3}


def test_a_pack_that_is_too_large_is_halved_and_each_half_is_kept(
    lab: Path, plan: Plan, alone: dict[str, Finished], monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if len(logits) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses_of(logits, labels)

    monkeypatch.setattr("bitspec.training.loop.losses_of", full)
    (pack, *_) = in_packs(plan, 6)
    assert len(pack) == 6
    events = list(run_pack(Bench(work(lab)), pack))
    keys = [one.key for one in pack]
    finished = by_key(events)
    assert [finished[key].result.pack for key in keys] == [tuple(keys[:3])] * 3 + [tuple(keys[3:])] * 3
    for key in keys:
        margins = alone[key].result.predictions[0].margins
        assert finished[key].result.predictions[0].margins == pytest.approx(margins, abs=1e-4)
    # The first half is told of as soon as it is there, not when all are.
    ends = [place for place, event in enumerate(events) if isinstance(event, Finished)]
    assert ends[2] < max(place for place, event in enumerate(events) if isinstance(event, EpochEnded))


def test_a_half_that_breaks_takes_nothing_from_the_other(
    lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Training) -> Iterator[Event]:
        # As the engine does: the first half to its end, then the second.
        inner = Training(
            self.prepared,
            self.recipes,  # type: ignore[attr-defined]
            task="t",
            training=self._training,
            validation=self._validation,
            metrics=self._metrics,
            main=self._main,
        )
        yield from original(inner)
        inner.close()
        for trial, done in zip(self.trials[:2], inner.trials, strict=True):
            trial.epochs, trial.predictions, trial.pack = done.epochs, done.predictions, done.pack
        raise RuntimeError("the other half broke")

    original, made = Training.run, Training.__init__

    def noting(self: Training, prepared: Any, recipes: Any, **options: Any) -> None:
        self.recipes = recipes[:2]  # type: ignore[attr-defined]
        made(self, prepared, recipes, **options)

    monkeypatch.setattr(Training, "__init__", noting)
    monkeypatch.setattr(Training, "run", run)
    (pack, *_) = in_packs(plan, 3)
    events = list(run_pack(Bench(work(lab)), pack))
    assert list(by_key(events)) == [one.key for one in pack[:2]]
    assert [event.key for event in events if isinstance(event, Failed)] == [pack[2].key]


def test_a_trial_that_diverges_leaves_the_others(lab: Path) -> None:
    spec = (
        SPEC.replace("epochs = 2", "epochs = 60")
        + "train for queries { learning_rate = 10  weight_decay = 10  clip_norm = off  eps = 1e-30 }\n"
    )
    plan = planned(spec.replace("60", "60 batch_size = 64").replace("batch_size = 8", ""), lab)
    pack = tuple(one for one in plan.new if one.trial.strategy in {"queries", "norms"} and one.trial.seed == 0)
    events = list(run_pack(Bench(Work(bitspec.loads(spec), lab, None, "cpu")), pack))
    ends = {event.key: event for event in events if isinstance(event, Finished | Failed)}
    assert ends.keys() == {one.key for one in pack}
    failed = ends[pack[0].key]
    assert isinstance(failed, Failed)
    assert failed.status == "diverged"
    assert "learning_rate" in (failed.help or "")
    assert isinstance(ends[pack[1].key], Finished)


def test_data_that_changed_fail_every_trial_of_a_pack(tmp_path: Path) -> None:
    lab = write_lab(tmp_path).parent
    pack = in_packs(planned(SPEC, lab), 3)[0]
    shutil.copy(lab / "train.csv", lab / "dev.csv")
    events = list(LocalRunner(1).run(work(lab), Queue([pack])))
    assert [event.key for event in events] == [one.key for one in pack]
    assert all(isinstance(event, Failed) and "changed after" in event.message for event in events)


# How packs are chosen on a real bench ----------------------------------------------------------------------


def test_a_stopwatch_times_the_engine_and_leaves_no_trace(lab: Path, plan: Plan, alone: dict[str, Finished]) -> None:
    bench = Bench(work(lab))
    before = torch.get_num_threads()
    watch = BenchStopwatch(bench, threads=2)
    (pack, *_) = in_packs(plan, 3)
    assert (watch.device, watch.threads) == ("cpu", 2)
    assert watch.steps(pack[0]) == 2 * 5
    for size in (1, 3):
        seconds = watch.seconds(pack[:size], 2, 1)
        assert seconds is not None
        assert 0 < seconds < 5
    assert torch.get_num_threads() == before
    (finished,) = by_key(list(run_pack(bench, pack[:1]))).values()
    assert without_time(finished) == without_time(alone[pack[0].key])


def test_no_pack_is_tried_that_memory_may_not_hold(lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (pack, *_) = in_packs(plan, 6)
    watch = BenchStopwatch(Bench(work(lab)), workers=2)
    assert watch.seconds(pack[:2], 2, 1) is not None
    monkeypatch.setattr(watch, "_needed", 2.0**20)  # for a trial
    monkeypatch.setattr(stopwatch, "_free", lambda: 4 * 2 * 2.0**20 / stopwatch.ROOM)
    assert watch.seconds(pack[:4], 2, 1) is not None
    assert watch.seconds(pack[:5], 2, 1) is None


def test_memory_that_runs_out_is_a_measurement(lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Training, _: int) -> float:
        raise (RuntimeError("a kernel failed") if len(self.trials) == 1 else torch.OutOfMemoryError("out of memory"))

    monkeypatch.setattr(Training, "rehearse", full)
    watch = BenchStopwatch(Bench(work(lab)))
    (pack, *_) = in_packs(plan, 3)
    assert watch.seconds(pack, 2, 1) is None
    with pytest.raises(RuntimeError, match="kernel"):
        watch.seconds(pack[:1], 2, 1)


def test_what_the_system_tells_of_memory() -> None:
    assert stopwatch._used() >= 0
    assert stopwatch._free() > stopwatch._used()
    assert stopwatch._peak() >= stopwatch._used() * 0.9


def test_a_runner_packs_for_its_workers(lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitspec.runners.local.cores", lambda: 4)
    monkeypatch.setattr(workers, "cores", lambda: 4)
    division = divide(plan, Packing(most=8), Extents(Selections(bitspec.loads(SPEC), lab)))
    assert [len(pack) for pack in LocalRunner(1).pack(work(lab), division, Packing(most=8))] == [6, 2]
    assert LocalRunner().crew(work(lab), len(plan.new)) == 4
    shared = LocalRunner().pack(work(lab), division, Packing(most=8))
    assert [len(pack) for pack in shared] == [2, 2, 1, 1, 2]
    assert LocalRunner(3).crew(work(lab), 2) == 2


def test_what_was_loaded_to_measure_serves_to_train(lab: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitspec.training import model

    loaded: list[Any] = []
    prepare = model.prepare

    def noting(*arguments: Any, **named: Any) -> Any:
        loaded.append(arguments)
        return prepare(*arguments, **named)

    monkeypatch.setattr(model, "prepare", noting)
    monkeypatch.setattr("bitspec.runners.timings.SHARE", 1.0)
    runner = LocalRunner(1)
    division = divide(plan, Packing(), Extents(Selections(bitspec.loads(SPEC), lab)))
    packs = runner.pack(work(lab), division, Packing())
    assert len(loaded) == 1
    assert len(by_key(list(runner.run(work(lab), Queue(packs))))) == 8
    assert len(loaded) == 1
