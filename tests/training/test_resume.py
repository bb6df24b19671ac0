"""Trials that are stopped and go on: each comes out as if nobody had stopped it, bit for bit."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bitspec.ir.events import EpochEnded, Failed, NotSaved, Started, Stepped
from bitspec.ir.masks import Mask
from bitspec.training import checkpoints, loop
from bitspec.training.capture import Capture
from bitspec.training.course import Recipe, Trial
from bitspec.training.encoding import Batch
from bitspec.training.layout import Tokens
from bitspec.training.loop import Training, TrainingEvent
from bitspec.training.model import Prepared, prepare
from bitspec.training.saving import Saver
from tests.training.small import encoded, masks_of_every_kind
from tests.training.test_loop import accuracy, values
from tests.training.test_packs import recipes_of

#: Of 3 epochs of 7 steps each; after each step it is asked once, and in each evaluation twice.
CALLS = 3 * (7 + 2)


def train(
    prepared: Prepared,
    recipes: Sequence[Recipe],
    saver: Saver | None = None,
    stop: Callable[[], bool] = lambda: False,
    capture: Callable[[], Capture] | None = None,
) -> tuple[list[Trial], list[TrainingEvent]]:
    before = values(prepared.model)
    run = Training(
        prepared,
        recipes,
        task="task",
        training=encoded("training", 26),
        validation=(encoded("validation", 17, seed=1), encoded("other", 9, seed=2)),
        metrics=accuracy,
        main="accuracy",
        saver=saver,
        stop=stop,
        capture=capture,
    )
    events = list(run.run())
    run.close()
    after = values(prepared.model)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if name not in prepared.head)
    return run.trials, events


def after(calls: int) -> Callable[[], bool]:
    """Says so when it is asked for the so manieth time."""
    left = calls

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    return stop


def assert_equal(ours: Sequence[Trial], theirs: Sequence[Trial]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.key == other.key
        assert one.pack == other.pack != ()
        assert torch.equal(one.state.vector, other.state.vector)
        assert one.predictions == other.predictions
        assert [epoch.model_copy(update={"seconds": 0}) for epoch in one.epochs] == [
            epoch.model_copy(update={"seconds": 0}) for epoch in other.epochs
        ]


def some(masks: Mapping[str, Mapping[str, Mask]], kinds: str) -> dict[str, Mapping[str, Mask]]:
    return {kind: masks[kind] for kind in kinds.split(", ")}


ALL = "none, vectors, rows, cols, entries, all but, whole matrices, everything, mixture"


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in {"none", "entries", "mixture"} else pytest.param(kind, marks=pytest.mark.slow)
        for kind in ALL.split(", ")
    ],
)
def test_a_trial_alone_goes_on(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), kind), (3,))
    whole, _ = train(prepared, recipes)
    (stopped,), events = train(prepared, recipes, Saver(tmp_path), after(10))
    assert stopped.pack == ()
    assert [event.epoch.number for event in events if isinstance(event, EpochEnded)] == [1]
    (one,) = checkpoints.saved(tmp_path)
    assert (one.keys, one.step, one.epoch) == ((kind,), 9, 1)
    again, events = train(prepared, recipes, Saver(tmp_path))
    assert [(event.epochs, event.steps, event.step) for event in events if isinstance(event, Started)] == [(3, 7, 9)]
    assert [event.epoch.number for event in events if isinstance(event, EpochEnded)] == [2, 3]
    assert_equal(again, whole)


@pytest.mark.parametrize(
    ("model_type", "calls"),
    [
        ("llama", 4),
        ("gpt2", 16),
        *(
            pytest.param(model_type, calls, marks=pytest.mark.slow)
            for model_type in ("roberta", "distilbert", "gpt2", "llama", "electra")
            for calls in (4, 16)
            if (model_type, calls) not in {("llama", 4), ("gpt2", 16)}
        ),
    ],
)
def test_a_pack_goes_on(folders: dict[str, Path], tmp_path: Path, model_type: str, calls: int) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, masks_of_every_kind(prepared.model), (3, 4))
    whole, _ = train(prepared, recipes)
    train(prepared, recipes, Saver(tmp_path), after(calls))
    again, _ = train(prepared, recipes, Saver(tmp_path))
    assert_equal(again, whole)


@pytest.mark.parametrize(
    ("places", "steps"),
    [
        (range(0, CALLS, 13), 8),
        # Of 9 calls for each epoch, every one in turn; and a step or two at a time.
        pytest.param(range(0, CALLS, 4), 3, marks=pytest.mark.slow),
    ],
)
def test_it_may_be_stopped_anywhere_and_again_and_again(
    folders: dict[str, Path], tmp_path: Path, places: Sequence[int], steps: int
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows, entries"), (3, 4))
    whole, events = train(prepared, recipes)
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    train(prepared, recipes, stop=count)
    assert asked == CALLS
    for calls in places:
        folder = tmp_path / str(calls)
        stopped, _ = train(prepared, recipes, Saver(folder), after(calls))
        assert not any(trial.pack for trial in stopped)
        assert_equal(train(prepared, recipes, Saver(folder))[0], whole)
    # In an evaluation the whole of it is done again.
    for _ in range(100):
        trials, events = train(prepared, recipes, Saver(tmp_path / "again"), after(steps))
        if trials[0].pack:
            break
    assert not any(isinstance(event, NotSaved | Failed) for event in events)
    assert_equal(trials, whole)


def test_bits_are_kept_in_float64_and_in_bf16(folders: dict[str, Path], tmp_path: Path) -> None:
    for dtype, precision in ((torch.float64, "float32"), (torch.float32, "bf16")):
        prepared = prepare(folders["bert"], 2, torch.device("cpu"), dtype)
        recipes = [
            dataclasses.replace(recipe, settings=recipe.settings.model_copy(update={"precision": precision}))
            for recipe in recipes_of(
                prepared, some(masks_of_every_kind(prepared.model), "vectors, cols, all but"), (3,)
            )
        ]
        whole, _ = train(prepared, recipes)
        folder = tmp_path / precision
        train(prepared, recipes, Saver(folder), after(11))
        assert_equal(train(prepared, recipes, Saver(folder))[0], whole)


def test_what_is_killed_goes_on_from_the_last_file(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows"), (3,))
    whole, _ = train(prepared, recipes)

    class Killed(BaseException):
        pass

    def killed() -> bool:
        if after_12():
            raise Killed
        return False

    after_12 = after(12)
    with pytest.raises(Killed):
        train(prepared, recipes, Saver(tmp_path, every=0), killed)
    (one,) = checkpoints.saved(tmp_path)
    assert one.step == 11  # every step is saved, and what was asked after it never came to an answer
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    assert_equal(train(prepared, recipes, Saver(tmp_path, every=0))[0], whole)


def test_it_is_saved_when_it_is_worth_it(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    written: list[tuple[int, int]] = []
    save = checkpoints.save

    def noting(folder: Path, checkpoint: checkpoints.Checkpoint) -> Path:
        written.append((checkpoint.step, checkpoint.epoch))
        return save(folder, checkpoint)

    monkeypatch.setattr(checkpoints, "save", noting)
    masks = masks_of_every_kind(prepared.model)

    def steps_saved(kinds: str, worth: float, every: float | None = None) -> list[tuple[int, int]]:
        written.clear()
        monkeypatch.setattr("bitspec.training.saving.WORTH", worth)
        train(prepared, recipes_of(prepared, some(masks, kinds), (3,)), Saver(tmp_path, every))
        return written.copy()

    assert steps_saved("vectors", 100) == []  # sooner trained again than worth a file
    assert steps_saved("vectors", 0) == [(7, 1), (14, 2)]
    # Trials that end together are kept one by one, so there is a file of all of them.
    assert steps_saved("vectors, rows", 100) == [(21, 2)]
    ends = [(7, 1), (14, 2)]
    assert sorted(steps_saved("entries", 100, 0)) == sorted([*((step + 1, step // 7) for step in range(21)), *ends])
    assert steps_saved("cols", 0, 1e9) == []


def test_a_trial_that_diverges_does_not_go_along(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows, entries"), (3,))
    mad = recipes[1].settings.model_copy(update={"learning_rate": 1e38, "clip_norm": "off"})
    recipes[1] = dataclasses.replace(recipes[1], settings=mad)
    whole, _ = train(prepared, recipes)
    saver = Saver(tmp_path, every=0)
    _, events = train(prepared, recipes, saver, after(10))
    assert [event.key for event in events if isinstance(event, Failed)] == ["rows"]
    (one,) = checkpoints.saved(tmp_path)
    assert (one.keys, one.step) == (("vectors", "entries"), 9)  # 7, two in the evaluation, and two more
    again, _ = train(prepared, [recipes[0], recipes[2]], Saver(tmp_path))
    assert_equal(again, [whole[0], whole[2]])


def test_of_trials_that_all_diverge_nothing_is_left(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    (recipe,) = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors"), (3,))
    mad = recipe.settings.model_copy(update={"learning_rate": 1e38, "clip_norm": "off"})
    _, events = train(prepared, [dataclasses.replace(recipe, settings=mad)], Saver(tmp_path, every=0))
    assert [event.status for event in events if isinstance(event, Failed)] == ["diverged"]
    assert list(tmp_path.iterdir()) == []


def test_halves_of_a_pack_go_on_by_themselves(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows, entries, cols"), (3,))
    logits, calls = Training._logits, []

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        together = len(self._binding.trials)  # type: ignore[union-attr]
        calls.append(together)
        if together > 2 and len(calls) > 12:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(self, batch, step)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_logits", too_large)
        whole, _ = train(prepared, recipes)
        calls.clear()
        train(prepared, recipes, Saver(tmp_path, every=0), after(14))
    found = {one.keys: one.step for one in checkpoints.saved(tmp_path)}
    assert found.keys() == {("vectors", "rows"), ("entries", "cols")}
    assert found["vectors", "rows"] > found["entries", "cols"] > 0
    for place in (0, 2):
        assert_equal(train(prepared, recipes[place : place + 2], Saver(tmp_path))[0], whole[place : place + 2])


def test_what_cannot_be_saved_goes_on(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows"), (3,))
    whole, _ = train(prepared, recipes)

    problems = iter([OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), MemoryError(), OSError("it says so")])

    def full(_folder: Path, _checkpoint: object) -> None:
        raise next(problems)

    monkeypatch.setattr(checkpoints, "save", full)
    monkeypatch.setattr("bitspec.training.saving.WORTH", 0)
    trials, events = train(prepared, recipes, Saver(tmp_path))
    assert [(event.key, event.message) for event in events if isinstance(event, NotSaved)] == [
        ("vectors", "No space left on device"),
        ("vectors", "there is not enough memory"),
        ("vectors", "it says so"),
    ]
    assert_equal(trials, whole)


def test_a_pack_stays_saved_until_both_of_its_halves_are(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors, rows"), (3,))
    logits, save = Training._logits, checkpoints.save

    def too_large(self: Training, batch: Tokens | Batch, step: int = 0) -> Tensor:
        together = len(self._binding.trials)  # type: ignore[union-attr]
        if together > 1 and step == 12:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(self, batch, step)

    def full(folder: Path, checkpoint: checkpoints.Checkpoint) -> Path:
        if checkpoint.step == 12 and checkpoint.trials[0].key == "rows":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(folder, checkpoint)

    monkeypatch.setattr(Training, "_logits", too_large)
    monkeypatch.setattr(checkpoints, "save", full)
    train(prepared, recipes, Saver(tmp_path, every=0), after(15))
    assert {one.keys for one in checkpoints.saved(tmp_path)} >= {("vectors",), ("vectors", "rows")}


def test_what_does_not_fit_is_not_gone_on_from(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)
    (recipe,) = recipes_of(prepared, {"key": masks["vectors"]}, (3,))
    train(prepared, [recipe], Saver(tmp_path), after(10))
    (other,) = recipes_of(prepared, {"key": masks["rows"]}, (3,))  # which a key never allows
    whole, _ = train(prepared, [other])
    trials, events = train(prepared, [other], Saver(tmp_path))
    assert [event.step for event in events if isinstance(event, Started)] == [0]
    assert_equal(trials, whole)


def test_an_evaluation_gives_signs_of_life(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK", 0.0)
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    _, events = train(prepared, recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors"), (3,)))
    steps = [event.step for event in events if isinstance(event, Stepped)]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 7, 7] * 3


def test_seconds_count_what_was_done_before_it_was_stopped(folders: dict[str, Path], tmp_path: Path) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    recipes = recipes_of(prepared, some(masks_of_every_kind(prepared.model), "vectors"), (3,))
    train(prepared, recipes, Saver(tmp_path), after(3))
    path = checkpoints.place(tmp_path, ["vectors"])
    found = checkpoints.load(tmp_path, ["vectors"])
    assert found is not None
    assert found.seconds > 0
    checkpoints.save(tmp_path, dataclasses.replace(found, seconds=100.0))
    assert path.exists()
    (trial,), _ = train(prepared, recipes, Saver(tmp_path))
    assert 100 < trial.epochs[0].seconds < 160
    assert trial.epochs[1].seconds < 60
