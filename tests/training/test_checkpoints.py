"""Checkpoints as files: what is written is read, and what is no checkpoint is none."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitspec.ir.events import Epoch
from bitspec.training.checkpoints import Checkpoint, TrialState, load, place, remove, save, saved

EPOCH = Epoch(number=1, loss=0.1, validation_loss=1 / 3, score=64.6, metrics={"f1": math.nan, "x": 0.1}, seconds=2.5)


def trial(key: str, count: int = 5) -> TrialState:
    draws = np.random.default_rng(len(key))
    values, mean, square = (draws.standard_normal(count).astype(np.float32) for _ in range(3))
    return TrialState(
        key, f"layout of {key}", (EPOCH, EPOCH.model_copy(update={"number": 2})), 17, values, mean, square
    )


def checkpoint(*keys: str, step: int = 17) -> Checkpoint:
    losses = np.array([0.1 * number for number, _ in enumerate(keys)])
    return Checkpoint(step, 2, 40, 3.25, losses, step % 2 == 1, tuple(trial(key) for key in keys))


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    assert (one.step, one.epoch, one.seen, one.seconds) == (other.step, other.epoch, other.seen, other.seconds)
    assert one.in_buckets == other.in_buckets
    assert one.losses.tobytes() == other.losses.tobytes()
    for own, its in zip(one.trials, other.trials, strict=True):
        assert (own.key, own.layout, own.updates) == (its.key, its.layout, its.updates)
        assert repr(own.epochs) == repr(its.epochs)  # a metric that is no number is not equal to itself
        for name in ("values", "mean", "square"):
            assert getattr(own, name).tobytes() == getattr(its, name).tobytes()


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = checkpoint("a", "b")
    path = save(tmp_path / "checkpoints", made)
    assert list(path.parent.iterdir()) == [path] == [place(tmp_path / "checkpoints", ["a", "b"])]
    found = load(tmp_path / "checkpoints", ["a", "b"])
    assert found is not None
    assert_equal(found, made)


def test_a_later_one_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    save(tmp_path, checkpoint("a", "b"))
    save(tmp_path, replace(checkpoint("a", "b"), step=99))
    (one,) = saved(tmp_path)
    assert (one.keys, one.step, one.epoch) == (("a", "b"), 99, 2)


def test_trials_that_go_together_are_part_of_it(tmp_path: Path) -> None:
    save(tmp_path, checkpoint("a", "b"))
    for keys in (["a"], ["b", "a"], ["a", "b", "c"], ["a b"]):
        assert load(tmp_path, keys) is None
    path = place(tmp_path, ["a", "b"])
    path.rename(place(tmp_path, ["b", "a"]))  # whatever it is called
    assert load(tmp_path, ["b", "a"]) is None


def test_the_furthest_comes_first(tmp_path: Path) -> None:
    save(tmp_path, checkpoint("a", step=3))
    save(tmp_path, checkpoint("b", step=5))
    save(tmp_path, checkpoint("a", "b", step=4))
    assert [one.keys for one in saved(tmp_path)] == [("b",), ("a", "b"), ("a",)]
    assert saved(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1])
def test_what_is_cut_off_is_none(tmp_path: Path, size: int) -> None:
    path = save(tmp_path, checkpoint("a"))
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert load(tmp_path, ["a"]) is None
    assert saved(tmp_path) == ()


@pytest.mark.parametrize(
    ("word", "other"),
    [
        (b"bitspec.checkpoint/1", b"bitspec.checkpoint/2"),
        (b'\\"updates\\"', b'\\"updatez\\"'),
        (b"0.values", b"1.values"),
    ],
)
def test_what_is_of_another_form_is_none(tmp_path: Path, word: bytes, other: bytes) -> None:
    path = save(tmp_path, checkpoint("a"))
    content = path.read_bytes()
    assert word in content
    path.write_bytes(content.replace(word, other))
    assert load(tmp_path, ["a"]) is None


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    save(tmp_path, checkpoint("a"))
    remove(tmp_path, ["a"])
    remove(tmp_path, ["a"])
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, checkpoint("a"))
    before = place(tmp_path, ["a"]).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bitspec.whole.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, checkpoint("a", step=99))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save(tmp_path / "file" / "checkpoints", checkpoint("a"))
