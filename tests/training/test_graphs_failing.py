"""What may go wrong with steps that are captured: it is told once, and training goes on, to the same values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bitspec.ir.events import EpochEnded, Failed, NotCaptured
from bitspec.training import graphs
from bitspec.training.course import Course, Recipe
from bitspec.training.encoding import Batch
from bitspec.training.layout import Tokens
from bitspec.training.loop import Training, TrainingEvent
from bitspec.training.model import Prepared, prepare
from bitspec.training.saving import Saver
from tests.training.recorder import Failing, Recorder, Recorders
from tests.training.small import masks_of_every_kind
from tests.training.test_graphs import CPU, DIFFERS
from tests.training.test_packs import assert_alike, recipes_of, train
from tests.training.test_resume import after, assert_equal
from tests.training.test_resume import train as train_and_stop

SHORT = "memory ran out"


def some(prepared: Prepared, *kinds: str, seeds: tuple[int, ...] = (3,)) -> list[Recipe]:
    masks = masks_of_every_kind(prepared.model)
    return recipes_of(prepared, {kind: masks[kind] for kind in kinds}, seeds)


def told(events: list[TrainingEvent]) -> list[str]:
    return [event.message for event in events if isinstance(event, NotCaptured)]


class Wrong(Recorder):
    """Replays a step, and moves a value besides."""

    vector: Tensor

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        replay = super().capture(step)

        def replay_wrongly() -> None:
            replay()
            self.vector[0] += 0.1

        return replay_wrongly


class Broken(Recorder):
    """Its graphs cannot be launched."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        super().capture(step)
        return out_of_resources


def out_of_resources() -> None:
    raise RuntimeError("CUDA error: out of resources")


def short() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


class ShortOfMemory(Recorder):
    """Has no memory to capture a step."""

    def capture(self, _step: Callable[[], None]) -> Callable[[], None]:
        short()
        raise AssertionError


class ShortLater(Recorder):
    """Has no memory to replay a step."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        super().capture(step)
        return short


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        (Failing, "a step cannot be captured: CUDA error: operation not permitted"),
        (Broken, "a step cannot be replayed: CUDA error: out of resources"),
        (Wrong, DIFFERS),
        (ShortOfMemory, SHORT),
        (ShortLater, SHORT),
    ],
)
def test_what_goes_wrong_is_told_once_and_training_goes_on(
    folders: dict[str, Path], capture: type[Recorder], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    recipes = some(prepared, "vectors", "rows", "all but", seeds=(3, 4))
    begin = Training._bind

    def bind(self: Training, course: Course) -> None:
        begin(self, course)
        Wrong.vector = course.trials[0].state.vector.data

    monkeypatch.setattr(Training, "_bind", bind)
    found, events = train(prepared, recipes, capture)
    assert [(event.key, event.message) for event in events if isinstance(event, NotCaptured)] == [("vectors", message)]
    assert {trial.in_buckets for trial in found} == {message != SHORT}
    computed, _ = train(prepared, recipes)
    for one, other in zip(found, computed, strict=True):
        assert_alike(one, other, 1e-10)


def test_an_interrupted_pack_goes_on_bit_for_bit_where_nothing_can_be_captured(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recipes = some(prepared, "vectors", "entries", seeds=(3, 4))
    whole, _ = train_and_stop(prepared, recipes, capture=Recorder)
    train_and_stop(prepared, recipes, Saver(tmp_path), after(16), capture=Failing)
    again, _ = train_and_stop(prepared, recipes, Saver(tmp_path), capture=Failing)
    assert_equal(again, whole)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Recorder, Recorder),
        (ShortOfMemory, Recorder),
        pytest.param(Recorder, None, marks=pytest.mark.slow),
        pytest.param(ShortOfMemory, None, marks=pytest.mark.slow),
        pytest.param(None, Recorder, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_pack_goes_on_in_the_shapes_that_it_had(
    folders: dict[str, Path], tmp_path: Path, first: type[Recorder] | None, second: type[Recorder] | None
) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recipes = some(prepared, "vectors", "entries")
    whole, _ = train_and_stop(prepared, recipes, capture=first)
    train_and_stop(prepared, recipes, Saver(tmp_path), after(16), capture=first)
    again, _ = train_and_stop(prepared, recipes, Saver(tmp_path), capture=second)
    assert {trial.in_buckets for trial in again} == {first is Recorder}
    assert_equal(again, whole)


@pytest.mark.parametrize("capture", [Recorder, Failing])
def test_trials_that_are_left_go_on_in_buckets(folders: dict[str, Path], capture: type[Recorder]) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recipes = some(prepared, "vectors", "rows", seeds=(3,))
    mad = recipes[1].settings.model_copy(update={"learning_rate": 1e38, "clip_norm": "off"})
    recorders: list[Recorder] = []

    def made() -> Recorder:
        recorders.append(capture())
        return recorders[-1]

    (found, _), events = train(prepared, [recipes[0], replace(recipes[1], key="mad", settings=mad)], made)
    assert [(event.key, event.status) for event in events if isinstance(event, Failed)] == [("mad", "diverged")]
    assert [recorder.replayed > 0 for recorder in recorders] == ([True, True] if capture is Recorder else [False])
    assert len(told(events)) == (capture is Failing)
    alone, _ = train(prepared, recipes[:1], Recorder)
    assert_alike(found, alone[0], 1e-5)


@pytest.mark.parametrize("kinds", [("vectors", "rows"), ("vectors",)], ids=["a pack", "alone"])
@pytest.mark.parametrize("when", ["at first", "later", "in the evaluation"])
def test_graphs_are_given_up_before_a_pack_is_halved_or_fails(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...], when: str
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    recipes = some(prepared, *kinds)
    recorders, logits = Recorders(), Training._logits

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        found = logits(self, batch, step)
        is_now = {
            "at first": step == 0,
            "later": step == 7 and not recorders.made[0].is_capturing,
            "in the evaluation": not prepared.model.training,
        }
        if self._graphs is not None and is_now[when]:
            short()
        return found

    taken, train_course = [], Training._train

    def timed(self: Training, course: Course) -> Iterator[TrainingEvent]:
        began = time.perf_counter()
        try:
            yield from train_course(self, course)
        finally:
            taken.append(time.perf_counter() - began)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_train", timed)
        patched.setattr(Training, "_logits", too_large)
        # A step of a graph that is there is computed too, for this once.
        patched.setattr(graphs.GraphedSteps, "_run", lambda self, step: self._compute_step(step))
        packed, events = train(prepared, recipes, recorders)
    assert told(events) == [SHORT]
    assert len(recorders.made) == 1
    assert not recorders.made[0].is_open
    assert [len(trial.pack) for trial in packed] == [len(kinds)] * len(kinds)
    assert not any(trial.in_buckets for trial in packed)
    # What the steps took before counts.
    took = sum(event.epoch.seconds for event in events if isinstance(event, EpochEnded))
    assert took == pytest.approx(sum(taken), rel=0.2)
    for one, other in zip(packed, train(prepared, recipes)[0], strict=True):
        assert_alike(one, other, 1e-10)


def test_a_pack_that_is_too_large_without_graphs_too_is_halved(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    recipes = some(prepared, "vectors", "rows")
    logits = Training._logits

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        if len(self._binding.trials) > 1 and step == 9:  # type: ignore[union-attr]
            short()
        return logits(self, batch, step)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_logits", too_large)
        packed, events = train(prepared, recipes, Recorder)
    assert [len(trial.pack) for trial in packed] == [1, 1]
    assert told(events)[-1] == SHORT
    for one, other in zip(packed, train(prepared, recipes)[0], strict=True):
        assert_alike(one, other, 1e-10)


@pytest.mark.parametrize("where", ["clone", "nan_to_num"])
def test_a_graph_that_cannot_be_checked_for_want_of_memory_is_not_used(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    recipes = some(prepared, "none")
    recorders, check = Recorders(), graphs.GraphedSteps._check

    def check_short(self: graphs.GraphedSteps, step: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Tensor, where, lambda *_: short())
            check(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(graphs.GraphedSteps, "_check", check_short)
        (found,), events = train(prepared, recipes, recorders)
    assert recorders.made[0].replayed == (where == "nan_to_num")
    assert told(events) == [SHORT if where == "clone" else "there is no memory to check them"]
    assert_alike(found, train(prepared, recipes)[0][0], 1e-10)


def test_a_model_is_given_back_even_if_graphs_are_not(folders: dict[str, Path]) -> None:
    class Stuck(Recorder):
        def close(self) -> None:
            raise RuntimeError("CUDA error: unspecified launch failure")

    prepared = prepare(folders["bert"], 2, CPU)
    before = {name: tensor.clone() for name, tensor in prepared.model.state_dict().items()}
    with pytest.raises(RuntimeError, match="launch failure"):
        train(prepared, some(prepared, "rows"), Stuck)
    assert prepared.noise.ahead is None
    assert all(
        torch.equal(tensor, before[name])
        for name, tensor in prepared.model.state_dict().items()
        if "classifier" not in name
    )
