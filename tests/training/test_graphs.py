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
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bitspec.ir.events import Failed, NotCaptured
from bitspec.training import graphs
from bitspec.training.buckets import Bucket
from bitspec.training.capture import Capture
from bitspec.training.course import Course, Recipe
from bitspec.training.encoding import Encoded
from bitspec.training.graphs import agree
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from bitspec.training.noise import Draw, Noise
from tests.training.recorder import Failing, Recorder, Recorders
from tests.training.small import CONFIGS, VOCABULARY, encoded, masks_of_every_kind
from tests.training.test_loop import accuracy
from tests.training.test_packs import assert_alike, recipes_of, train
from tests.training.test_resume import assert_equal

CPU = torch.device("cpu")

#: What is said of a graph that is not what it should be.
DIFFERS = "a replayed step is not what it is when it is computed"

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


@pytest.mark.parametrize("what", ["rates", "labels", "tokens", "dropout"])
def test_what_python_hands_over_is_found_out(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # What a step reads of its batch must lie in tensors that are filled anew: else the tests above could not fail.
    prepared = prepare(folders["bert"], 2, CPU, torch.float64)
    linear = recipes_of(prepared, {"constant": {}, "linear": {}}, (3,))[1]
    compute = Training._compute

    def frozen(self: Training, course: Course, batch: Any, labels_KB: Tensor, rates: Any) -> Tensor:
        match what:
            case "rates":
                rates = [trial.rate(course.step, 21) for trial in course.trials]
            case "labels":
                labels_KB = torch.tensor(labels_KB.tolist())
            case "tokens":
                batch = replace(batch, ids=torch.tensor(batch.ids.tolist()))
            case _:
                pass
        return compute(self, course, batch, labels_KB, rates)

    with monkeypatch.context() as patched:
        # A recorder that lets Python look, as the frozen parts do.
        patched.setattr("tests.training.recorder._WAITS", set())
        patched.setattr(Training, "_compute", frozen)
        if what == "dropout":
            patched.setattr(Noise, "_drawn", drawn_in_the_step)
        _, events = train(prepared, [linear], Recorder)
    assert [event.message for event in events if isinstance(event, NotCaptured)] == [DIFFERS]


def drawn_in_the_step(self: Noise, draw: Draw, device: torch.device) -> Tensor:
    assert self.layout is not None
    return self._bits(draw.stream, draw.site, self.layout.count(draw.stream, draw.unit) * draw.width, device)


@pytest.mark.parametrize(
    ("lengths", "batch_size"),
    [([1] * 9, 4), ([1, 30, 2, 31, 1, 5, 29, 8, 16, 17, 1], 3), ([3, 30, 1, 9], 50), ([7] * 4, 1)],
    ids=["one token each", "all lengths", "one batch of all", "one example a batch"],
)
@pytest.mark.parametrize(("outputs", "dropout"), [(1, 0.3), (2, 0.0)], ids=["regression", "no dropout"])
def test_batches_of_all_kinds(
    folders: dict[str, Path], lengths: list[int], batch_size: int, outputs: int, dropout: float
) -> None:
    prepared = prepare(folders["gpt2"], outputs, CPU, torch.float64)
    masks = masks_of_every_kind(prepared.model)
    changed = {"batch_size": batch_size, "epochs": 5, "dropout": dropout, "schedule": "linear", "warmup": 10}
    recipes = [
        replace(recipe, settings=recipe.settings.model_copy(update=changed))
        for recipe in recipes_of(prepared, {kind: masks[kind] for kind in ("vectors", "entries")}, (3, 4))
    ]
    data, few = made(lengths, outputs), made([4, 9, 1], outputs)
    recorders = Recorders()
    found = []
    for capture in (recorders, None):
        run = training(prepared, recipes, capture, data=data, few=few)
        assert not any(isinstance(event, NotCaptured | Failed) for event in run.run())
        run.close()
        found.append(run.trials)
    assert recorders.made[0].replayed > 0
    for replayed, computed in zip(*found, strict=True):
        assert_alike(replayed, computed, 1e-10)


def training(
    prepared: Prepared,
    recipes: list[Recipe],
    capture: Callable[[], Capture] | None,
    *,
    data: Encoded | None = None,
    few: Encoded | None = None,
) -> Training:
    return Training(
        prepared,
        recipes,
        task="task",
        training=data or encoded("training", 26),
        validation=(few or encoded("validation", 17, seed=1),),
        metrics=accuracy,
        main="accuracy",
        capture=capture,
    )


def made(lengths: list[int], outputs: int) -> Encoded:
    generator = torch.Generator().manual_seed(len(lengths))
    lengths_N = torch.tensor(lengths)
    ids = torch.randint(5, VOCABULARY, (len(lengths), max(lengths)), generator=generator, dtype=torch.int32)
    labels = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    is_real = torch.arange(max(lengths)) < lengths_N[:, None]
    return Encoded("made", {"input_ids": ids * is_real}, lengths_N, labels if outputs == 1 else (labels > 0.5).long())


def in_precision(precision: str, recipes: list[Recipe]) -> list[Recipe]:
    return [replace(recipe, settings=recipe.settings.model_copy(update={"precision": precision})) for recipe in recipes]


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "bf16"])
def test_a_replayed_step_equals_the_same_step_computed_bit_for_bit(folders: dict[str, Path], precision: str) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recipes = in_precision(precision, recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4)))
    recorders = Recorders()
    replayed, _ = train(prepared, recipes, recorders)
    assert recorders.made[0].replayed > 10
    assert_equal(replayed, train(prepared, recipes, Failing)[0])


def test_architectures_that_are_not_known_are_not_captured(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    monkeypatch.setitem(prepared.__dict__, "architecture", None)
    recorders = Recorders()
    _, events = train(prepared, recipes_of(prepared, {"none": {}}, (3,)), recorders)
    assert recorders.made == []
    assert [event.message for event in events if isinstance(event, NotCaptured)] == [
        "they cannot be for this architecture"
    ]


def test_a_rehearsal_times_replayed_steps(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, CPU)
    recorders = Recorders()
    run = training(prepared, recipes_of(prepared, {"none": {}}, (3,)), recorders)
    assert run.rehearse(2) > 0
    (recorder,) = recorders.made
    assert (recorder.captured, recorder.replayed) == (1, 6)  # of eight steps in one bucket, two are computed
    assert run.rehearse(2) > 0
    assert (recorder.captured, recorder.replayed) == (1, 8)
    run.close()
    assert not recorder.is_open
    assert prepared.noise.ahead is None


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
        with pytest.MonkeyPatch.context() as patched, _Watching(self.on_cpu):
            # These copy numbers of Python's without an operation that could be seen.
            for where, name in ((torch, "tensor"), (torch, "as_tensor"), (Tensor, "new_tensor")):
                patched.setattr(where, name, _refuse)
            step()
        self.captured += 1
        return step

    def close(self) -> None:
        """Nothing to do."""


def _refuse(*_: object, **__: object) -> None:
    raise AssertionError("a captured step makes a tensor of numbers of this machine")


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
    monkeypatch.setattr(graphs.GraphedSteps, "_check", lambda self, step: self._compute_step(step))
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
    watcher = OnMeta()
    for capture in (None, lambda: watcher):
        run = training(prepared, recipes, capture)
        course = Course(run.trials, in_buckets=capture is not None)
        run._bind(course)
        prepared.model.train()
        for _ in range(5):
            run._step(course)  # whatever looks at a value raises, as there is none
        run.close()
    assert watcher.captured > 0
    assert not +watcher.on_cpu


def test_what_agrees() -> None:
    before = torch.linspace(-1, 1, 20_000)
    moved = torch.full_like(before, 1e-3)
    expected = before + moved
    assert agree(expected.clone(), expected, before)
    assert agree(expected + 1e-7, expected, before)
    assert agree(before, before, before)
    assert not agree(before + 1e-5, before, before)
    assert not agree(before + 0.99 * moved, expected, before)  # a learning rate that is 1 % off
    few = expected.clone()
    few[:2] = before[:2]
    assert not agree(few, expected, before)  # a bias that is forgotten
    nan = expected.clone()
    nan[7] = torch.nan
    assert agree(nan, nan, before)
    assert not agree(nan, expected, before)
    assert not agree(few, nan, before)
    infinite = expected.clone()
    infinite[7] = torch.inf
    assert agree(infinite, infinite, before)
    assert not agree(infinite, nan, before)
    assert not agree(infinite, infinite.neg(), before)
    count = torch.tensor(3.0)
    assert agree(count, count, count - 1)
    assert not agree(count - 1, count, count - 1)
