"""Trials that fail: they become events, leave nothing behind, and do not stop the others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import bitspec
from bitspec.diagnostics import BitspecError, error, warning
from bitspec.ir.events import EpochEnded, Failed, Finished, Started
from bitspec.runners.local import LocalRunner
from bitspec.runners.protocol import Queue, Work
from bitspec.training import loop
from bitspec.training.binding import Binding
from tests.lab import write_lab
from tests.runners.conftest import Labs
from tests.runners.runs import HEAD, Ran, facts, planned, ran, without_time

SPEC = HEAD.replace("epochs = 2", "epochs = 1") + "strategy a = rand(all, 20%)\nstrategy b = bias\nstrategy c = all\n"


@pytest.fixture(scope="module")
def unharmed(lab: Path) -> Ran:
    return ran(SPEC, lab)


@pytest.mark.parametrize(
    ("problem", "status", "message", "hint"),
    [
        (RuntimeError("CUDA out of memory.\nTried to  allocate"), "failed", "CUDA out of memory. Tried to allocate", "batch_size"),
        (RuntimeError("a kernel failed"), "failed", "a kernel failed", None),
        (RuntimeError(), "failed", "RuntimeError", None),
        (MemoryError(), "failed", "the memory of this machine is full", "batch_size"),
        (IndexError("index out of range in self"), "failed", "IndexError: index out of range in self", None),
        (BitspecError(warning("w", "not this"), error("e", "it is wrong", help="mend it")), "failed", "it is wrong", "mend it"),
    ],
)  # fmt: skip
def test_what_goes_wrong_in_a_trial_becomes_an_event(
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    unharmed: Ran,
    problem: Exception,
    status: str,
    message: str,
    hint: str | None,
) -> None:
    batches: list[Tensor] = []
    losses_of = loop.losses_of

    def broken(logits: Tensor, labels: Tensor) -> Tensor:
        batches.append(labels)
        if len(batches) == 5 + 1 + 4:  # an epoch of 5 steps and its evaluation; then in the middle of the next trial
            raise problem
        return losses_of(logits, labels)

    monkeypatch.setattr(loop, "losses_of", broken)
    found = ran(SPEC, lab)
    assert [type(event) for event in found.of("b")] == [Started, Failed]
    failure = found.failed("b")
    assert (failure.status, failure.message) == (status, message)
    assert (failure.help is None) if hint is None else (hint in (failure.help or ""))
    assert found.is_restored == (True,) * 4
    for strategy in ("a", "c"):  # before it and after it
        assert without_time(found.finished(strategy)) == without_time(unharmed.finished(strategy))


def test_an_interruption_is_no_failure(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "losses_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ran(SPEC, lab)


@pytest.mark.parametrize(
    ("data", "metric"), [("train.csv", "accuracy"), ("numbers.csv", "spearman")], ids=["classes", "regression"]
)
def test_a_loss_that_overflows_ends_the_trial(lab: Path, tmp_path: Path, data: str, metric: str) -> None:
    # One step an epoch, each of which multiplies every value by -99. A regression sees it in its evaluation first.
    shutil.copytree(lab, tmp_path, dirs_exist_ok=True)
    lines = [f"w{number},w2,{number / 7}" for number in range(20)]
    (tmp_path / "numbers.csv").write_text("\n".join(["first,second,rating", *lines]) + "\n", "utf-8")
    spec = (
        f'study s model "model" task t {{ training = "{data}" validation = "{data}" text = first label = rating '
        f"metric = {metric} }} train {{ epochs = 60 batch_size = 64 learning_rate = 10 weight_decay = 10 "
        "clip_norm = off eps = 1e-30 } strategy a = all strategy b = bias train for b { epochs = 1 learning_rate = 1e-3 }"
    )
    found = ran(spec, tmp_path)
    assert found.failed("a").status == "diverged"
    assert "learning_rate" in (found.failed("a").help or "")
    assert sum(isinstance(event, EpochEnded) for event in found.of("a")) < 60
    assert found.finished("b").result.epochs[0].loss < 10
    assert found.is_restored == (True,) * 3


def test_a_selection_that_fails_for_one_seed(lab: Path) -> None:
    # For some seeds there is no entry of ln1 among the forty, so that there is nothing to draw.
    selection = "rand(bias, size(rand(all, 40) where role == ln1))"
    spec = HEAD.replace("epochs = 2", "epochs = 1").replace("seeds 0", "seeds 0..5") + f"strategy a = {selection}\n"
    impossible = set()
    for seed in range(6):
        try:
            bitspec.select(selection, facts(lab), seed=seed)
        except BitspecError:
            impossible.add(seed)
    assert 0 < len(impossible) < 6
    found = ran(spec, lab)
    for seed in range(6):
        if seed in impossible:
            assert [type(event) for event in found.of("a", seed)] == [Failed]
            assert found.failed("a", seed).status == "failed"
            assert "amount" in found.failed("a", seed).message or "nothing" in found.failed("a", seed).message
        else:
            assert found.finished("a", seed).result.trainable > 0


@pytest.mark.parametrize("model_type", ["bert", "roberta", "gpt2"])
def test_a_text_that_is_too_long_for_the_model(labs: Labs, tmp_path: Path, model_type: str) -> None:
    shutil.copytree(labs(model_type), tmp_path, dirs_exist_ok=True)
    positions = 32 if model_type != "roberta" else 40 - 1  # the first of its rows is that of padding
    line = "first,second,rating\n{} w1,w2,bad\nw3,w4,good\n"
    (tmp_path / "train.csv").write_text(line.format("w1 " * (positions - 5)), "utf-8")
    spec = (
        HEAD.partition("train {")[0]
        + f"train {{ epochs = 1 }} train for cut {{ max_length = {positions} }} strategy whole = none strategy cut = bias"
    )
    assert isinstance(ran(spec, tmp_path).of("whole")[-1], Finished)  # as long as it may be
    (tmp_path / "train.csv").write_text(line.format("w1 " * (positions - 4)), "utf-8")
    found = ran(spec, tmp_path)
    failure = found.failed("whole")
    assert failure.message == f"an example of `rated` has {positions + 1} tokens, and the model takes {positions}"
    assert failure.help == f"write `max_length = {positions}`"
    assert isinstance(found.of("cut")[-1], Finished)


def test_positions_that_are_computed_have_no_end(labs: Labs, tmp_path: Path) -> None:
    shutil.copytree(labs("llama"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "train.csv").write_text(f"first,second,rating\n{'w1 ' * 60},w2,bad\nw3,w4,good\n", "utf-8")
    assert isinstance(ran(HEAD + "strategy a = none", tmp_path).events[-1], Finished)


@pytest.mark.parametrize("changed", ["model", "data"])
def test_what_changed_since_the_plan_is_not_trained(tmp_path: Path, changed: str) -> None:
    lab = write_lab(tmp_path).parent
    spec = HEAD + "strategy a = none"
    packs = planned(spec, lab).packs()
    if changed == "data":
        (lab / "dev.csv").write_text((lab / "train.csv").read_text("utf-8"), "utf-8")
    else:
        path = lab / "model" / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    (event,) = LocalRunner(workers=1).run(Work(bitspec.loads(spec), lab, None, "cpu"), Queue(packs))
    assert isinstance(event, Failed)
    assert "changed after the run was planned" in event.message
    assert event.help == "run the same again"


def test_a_trial_that_is_not_set_up_leaves_no_hook(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Binding._wire
    bound: list[object] = []

    def full(self: Binding, *arguments: Any, **options: Any) -> Any:
        for one in wire(self, *arguments, **options):
            bound.append(one)
            if len(bound) == 12:
                raise torch.OutOfMemoryError("out of memory")
            yield one

    spec = SPEC.replace("strategy b = bias\n", "")
    clean = ran(spec, lab)
    monkeypatch.setattr(Binding, "_wire", full)
    found = ran(spec, lab)
    assert "batch_size" in (found.failed("a").help or "")
    assert without_time(found.finished("c")) == without_time(clean.finished("c"))
