"""Steps that are captured and replayed, against steps that are computed.

A CPU has no CUDA graphs: a recorder stands for them, which does every operation of a captured step once more. That a
step reads nothing of this machine's memory is seen on the device `meta`, whose tensors have no values at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bitspec.ir.events import Failed, NotCaptured
from bitspec.training import graphs
from bitspec.training.buckets import Bucket
from bitspec.training.course import Course, Recipe
from bitspec.training.encoding import Batch
from bitspec.training.graphs import CudaGraphs, agree
from bitspec.training.layout import Tokens
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from bitspec.training.noise import Noise
from bitspec.training.saving import Saver
from tests.training.recorder import Failing, Recorder, Recorders
from tests.training.small import CONFIGS, encoded, masks_of_every_kind
from tests.training.test_loop import accuracy
from tests.training.test_packs import assert_alike, recipes_of, train
from tests.training.test_resume import after, assert_equal
from tests.training.test_resume import train as train_and_stop

CPU = torch.device("cpu")

#: The only two buckets of the data: 4 examples, and 2 at the end of an epoch.
BUCKETS = {Bucket(4, 16, 64), Bucket(2, 16, 32)}


@pytest.mark.parametrize(
    ("model_type", "seeds"),
    [
        ("bert", (3,)),
        ("gpt2", (3, 4)),
        *(pytest.param(name, (3, 4), marks=pytest.mark.slow) for name in CONFIGS if name != "gpt2"),
    ],
)
def test_a_replayed_step_equals_a_computed_one(
    folders: dict[str, Path], model_type: str, seeds: tuple[int, ...]
) -> None:
    prepared = prepare(folders[model_type], 2, CPU, torch.float64)
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), seeds)
    recorders = Recorders()
    replayed, events = train(prepared, recipes, recorders)
    computed, _ = train(prepared, recipes)
    assert not any(isinstance(event, NotCaptured | Failed) for event in events)
    (recorder,) = recorders.made
    # Of 21 steps in so many buckets, the first two of each are computed.
    assert recorder.replayed > 10
    assert recorder.captured <= 4
    assert not recorder.is_open
    for one, other in zip(replayed, computed, strict=True):
        assert_alike(one, other, 1e-6 if model_type == "llama" else 1e-10)


@pytest.mark.parametrize("kind", ["everything", "mixture"])
def test_a_trial_alone(folders: dict[str, Path], kind: str) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    (recipe,) = recipes_of(prepared, {kind: masks_of_every_kind(prepared.model)[kind]}, (3,))
    recorders = Recorders()
    (replayed,), _ = train(prepared, [recipe], recorders)
    (computed,), _ = train(prepared, [recipe])
    assert recorders.made[0].replayed > 10
    assert_alike(replayed, computed, 1e-10)


def test_the_learning_rate_and_the_batch_are_read_anew(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a replay would not notice if Python handed it over: else the tests above could not fail.
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    linear = recipes_of(prepared, {"constant": {}, "linear": {}}, (3,))[1]
    compute = Training._compute

    def frozen(self: Training, course: Course, batch: Tokens | Batch, labels_KB: Tensor, _rates: Any) -> Tensor:
        return compute(self, course, batch, labels_KB, [trial.rate(course.step, 21) for trial in course.trials])

    monkeypatch.setattr(Training, "_compute", frozen)
    _, events = train(prepared, [linear], Recorder)
    assert [event.message for event in events if isinstance(event, NotCaptured)] == [
        "a replayed step came out otherwise than the same step computed"
    ]


def test_an_interrupted_pack_goes_on_bit_for_bit(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "entries")}, (3, 4))
    whole, _ = train_and_stop(prepared, recipes, capture=Recorder)
    train_and_stop(prepared, recipes, Saver(tmp_path), after(16), capture=Recorder)
    again, _ = train_and_stop(prepared, recipes, Saver(tmp_path), capture=Recorder)
    assert_equal(again, whole)


def in_precision(precision: str, recipes: list[Recipe]) -> list[Recipe]:
    return [replace(recipe, settings=recipe.settings.model_copy(update={"precision": precision})) for recipe in recipes]


class Wrong(Recorder):
    """Replays a step, and moves a value besides."""

    vector: Tensor

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        replay = super().capture(step)

        def replay_wrongly() -> None:
            replay()
            self.vector[0] += 0.1

        return replay_wrongly


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_replayed_step_equals_the_same_step_computed_bit_for_bit(folders: dict[str, Path], precision: str) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recipes = in_precision(precision, recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4)))
    recorders = Recorders()
    replayed, _ = train(prepared, recipes, recorders)
    assert recorders.made[0].replayed > 10
    assert_equal(replayed, train(prepared, recipes, Failing)[0])


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        (Failing, "a step cannot be captured: CUDA error: operation not permitted"),
        (Wrong, "a replayed step came out otherwise than the same step computed"),
    ],
)
def test_what_goes_wrong_is_told_once_and_training_goes_on(
    folders: dict[str, Path], capture: type[Recorder], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "rows", "all but")}, (3, 4))
    begin = Training._bind

    def bind(self: Training, course: Course) -> None:
        begin(self, course)
        Wrong.vector = course.trials[0].state.vector.data

    monkeypatch.setattr(Training, "_bind", bind)
    found, events = train(prepared, recipes, capture)
    assert [(event.key, event.message) for event in events if isinstance(event, NotCaptured)] == [("vectors", message)]
    computed, _ = train(prepared, recipes)
    for one, other in zip(found, computed, strict=True):
        assert_alike(one, other, 1e-10)


def test_graphs_are_given_up_before_a_pack_is_halved(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "rows")}, (3,))
    recorders, logits, short = Recorders(), Training._logits, []

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        found = logits(self, batch, step)
        if step == 10 and recorders.made[0].is_open and not recorders.made[0].is_capturing:
            short.append(step)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    # No graph is right, so that the step is computed while there are graphs.
    monkeypatch.setattr(graphs.GraphedSteps, "_check", lambda self, step, _replay: self._computed(step))
    monkeypatch.setattr(Training, "_logits", too_large)
    packed, events = train(prepared, recipes, recorders)
    monkeypatch.undo()
    assert short == [10]
    assert [event.message for event in events if isinstance(event, NotCaptured)] == ["memory ran out"]
    assert [len(trial.pack) for trial in packed] == [2, 2]
    for one, other in zip(packed, train(prepared, recipes)[0], strict=True):
        assert_alike(one, other, 1e-10)


def test_a_graph_that_cannot_be_checked_for_want_of_memory_is_not_used(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    recipes = recipes_of(prepared, {"none": {}}, (3,))

    def short(_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    recorders, check = Recorders(), graphs.GraphedSteps._check

    def check_short(self: graphs.GraphedSteps, step: Any, replay: Callable[[], None]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Tensor, "clone", short)
            check(self, step, replay)

    monkeypatch.setattr(graphs.GraphedSteps, "_check", check_short)
    (found,), events = train(prepared, recipes, recorders)
    monkeypatch.undo()
    assert recorders.made[0].replayed == 0
    assert [event.message for event in events if isinstance(event, NotCaptured)] == ["there is no memory to check them"]
    assert_alike(found, train(prepared, recipes)[0][0], 1e-10)


def test_trials_that_are_left_are_captured_anew(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    masks = masks_of_every_kind(prepared.model)
    recipes = recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "rows")}, (3,))
    mad = recipes[1].settings.model_copy(update={"learning_rate": 1e200, "clip_norm": "off"})
    recipes[1] = replace(recipes[1], key="mad", settings=mad)
    recorders = Recorders()
    found, events = train(prepared, recipes, recorders)
    assert [(event.key, event.status) for event in events if isinstance(event, Failed)] == [("mad", "diverged")]
    assert [recorder.replayed > 0 for recorder in recorders.made] == [True, True]
    assert_alike(found[0], train(prepared, recipes[:1])[0][0], 1e-10)


def test_architectures_that_are_not_known_are_not_captured(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    monkeypatch.setitem(prepared.__dict__, "architecture", None)
    recorders = Recorders()
    train(prepared, recipes_of(prepared, {"none": {}}, (3,)), recorders)
    assert recorders.made == []


def test_a_rehearsal_times_replayed_steps(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    run, recorders = training(prepared, recipes_of(prepared, {"none": {}}, (3,)), Recorders())
    assert run.rehearse(2) > 0
    assert (recorders.made[0].captured, recorders.made[0].replayed) == (1, 6)
    run.close()
    assert prepared.noise.ahead is None


def training(prepared: Prepared, recipes: Any, capture: Any) -> tuple[Training, Any]:
    run = Training(
        prepared,
        recipes,
        task="task",
        training=encoded("training", 26),
        validation=(encoded("validation", 17, seed=1),),
        metrics=accuracy,
        main="accuracy",
        capture=capture,
    )
    return run, capture


class OnMeta:
    """Captures nothing, and looks at what a step does: which operations take or give a tensor of this machine's."""

    def __init__(self) -> None:
        self.captured = 0
        self.on_cpu: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Nothing to do."""
        yield

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Compute a step, and look at it."""
        with _Watching(self.on_cpu):
            step()
        self.captured += 1
        return step

    def close(self) -> None:
        """Nothing to do."""


class _Watching(TorchDispatchMode):
    def __init__(self, on_cpu: Counter[str]) -> None:
        super().__init__()
        self._on_cpu = on_cpu

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        found = function(*arguments, **(named or {}))
        for value in tree_leaves((arguments, named, found)):
            self._on_cpu[str(function)] += isinstance(value, Tensor) and value.device.type == "cpu"
        return found


@pytest.fixture
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `meta` lacks: a generator, values to check and of a head, and AdamW's kernel."""
    monkeypatch.setattr(graphs.GraphedSteps, "_check", lambda self, step, _replay: self._computed(step))
    monkeypatch.setattr(torch, "_fused_adamw_", lambda *_, **__: None)
    monkeypatch.setattr(Noise, "_fill", lambda *_: None)
    monkeypatch.setattr(Prepared, "new_head", lambda *_: None)


@pytest.mark.usefixtures("on_meta")
@pytest.mark.parametrize(
    "model_type",
    ["bert", "gpt2", *(pytest.param(n, marks=pytest.mark.slow) for n in CONFIGS if n not in {"bert", "gpt2"})],
)
@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=["one seed", "two seeds"])
def test_a_step_waits_for_nothing_and_a_captured_one_reads_nothing_of_this_machine(
    folders: dict[str, Path], model_type: str, seeds: tuple[int, ...]
) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("meta"))
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), seeds)
    for made in (None, OnMeta()):
        run, _ = training(prepared, recipes, None if made is None else lambda made=made: made)
        course = Course(run.trials)
        run._bind(course)
        prepared.model.train()
        for _ in range(5):
            run._step(course)  # whatever looks at a value raises, as there is none
        run.close()
        if made is not None:
            assert made.captured > 0
            assert not +made.on_cpu


class FakeCuda:
    """Takes down what is asked of `torch.cuda`, for want of a GPU."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now = "usual"

    def stream_called(self, name: str) -> Any:
        return SimpleNamespace(name=name, wait_stream=lambda other: self.said.append(f"{name} waits for {other.name}"))

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.now = self.now, stream.name
        yield
        self.now = before

    @contextmanager
    def graph(self, graph: Any, *, pool: str, stream: Any) -> Iterator[None]:
        self.said.append(f"capture {graph.number} in {pool} on {stream.name}")
        yield


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake, numbers = FakeCuda(), iter(range(9))

    def made() -> Any:
        number = next(numbers)
        return SimpleNamespace(
            number=number,
            replay=lambda: fake.said.append(f"replay {number}"),
            reset=lambda: fake.said.append(f"reset {number}"),
        )

    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: fake.stream_called("own"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: fake.stream_called("usual"))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "one pool")
    monkeypatch.setattr(torch.cuda, "stream", fake.stream)
    monkeypatch.setattr(torch.cuda, "graph", fake.graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", made)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: fake.said.append("synchronize"))
    return fake


def test_cuda_graphs_have_a_stream_and_a_pool_of_their_own(cuda: FakeCuda) -> None:
    capture = CudaGraphs(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="broken"), capture.running():
        raise RuntimeError("broken")
    assert cuda.said == ["own waits for usual", "usual waits for own"]
    cuda.said.clear()
    with capture.running():
        replays = [capture.capture(lambda: cuda.said.append(f"a step on {cuda.now}")) for _ in range(2)]
        with pytest.raises(RuntimeError, match="broken"):
            capture.capture(broken)
    replays[1]()
    capture.close()
    assert cuda.said[1:] == [
        "capture 0 in one pool on own",
        "a step on own",
        "capture 1 in one pool on own",
        "a step on own",
        "capture 2 in one pool on own",
        "usual waits for own",
        "replay 1",
        "synchronize",
        "reset 0",
        "reset 1",
    ]


def broken() -> None:
    raise RuntimeError("broken")


def test_what_agrees() -> None:
    before = torch.tensor([1.0, 2.0, 3.0])
    expected = before + torch.tensor([0.1, 0.0, 0.0])
    assert agree(expected.clone(), expected, before)
    assert agree(expected + 0.0001, expected, before)
    assert not agree(expected + 0.01, expected, before)
    assert agree(before, before, before)
    assert not agree(before + 0.0001, before, before)
    nan = torch.tensor([torch.nan, 2.0, 3.0])
    assert agree(nan, nan, before)
    assert not agree(nan, expected, before)
