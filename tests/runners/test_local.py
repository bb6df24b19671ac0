"""The local runner's events and numbers, against what the file of the model says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitspec
from bitspec.ir.events import EpochEnded, Event, Finished, Started, Stepped
from bitspec.ir.masks import Selected
from bitspec.runners.local import LocalRunner
from bitspec.runners.protocol import Queue, Work
from bitspec.training.evidence import Before
from tests.runners.conftest import Labs
from tests.runners.runs import HEAD, Ran, after, by_name, facts, ran, trained, weights, without_time
from tests.training.made_glue import write_folder

SELECTIONS = {
    "frozen": "none",
    "full": "all",
    "bitfit": "bias",
    "sample": "rand(all, 5%)",
    "most": "rand(all, 60%)",
    "lines": "rowcol(matrix, 20% of matrix)",
    "across": "cols(matrix where role in {q, m2}, 300)",
    "ranked": "topk(matrix, 100, by = magnitude)",
    "part": "(bias where role == q) | rand(matrix where role == pooler, 10)",
}

#: Trials that leave no trace have no order: their settings differ in all that one trial could leave to the next.
SPEC = (
    HEAD
    + "".join(f"strategy {name} = {selection}\n" for name, selection in SELECTIONS.items())
    + """
train for part   { pooler = trained }
train for sample { dropout = 0.3 }
train for lines  { precision = bf16  weight_decay = 0.1 }
train for most   { batch_size = 5  max_length = 6  epochs = 1  weight_decay = 0.1 }
"""
)

EVERY = pytest.mark.parametrize("strategy", list(SELECTIONS))


@pytest.fixture(scope="module")
def all_ran(lab: Path) -> Ran:
    return ran(SPEC, lab)


def selected(lab: Path, selection: str, seed: int = 0) -> Selected:
    """What a strategy trains, as the Python API tells it."""
    return bitspec.select(selection, facts(lab), seed=seed, values=by_name(lab))


@EVERY
def test_the_size_of_what_is_trained(all_ran: Ran, lab: Path, strategy: str) -> None:
    event = all_ran.finished(strategy)
    result, chosen = event.result, selected(lab, SELECTIONS[strategy])
    backbone = sum(tensor.size for name, tensor in weights(lab).items() if name.startswith("bert."))
    assert result.trainable == chosen.count
    assert result.percent == pytest.approx(100 * chosen.count / backbone, rel=1e-12)
    # 16 weights for each of two classes, and their biases; the pooler's other entries where it is trained with the head.
    assert result.head == (2 * 16 + 2) + (16 * 16 + 16 - 10 if strategy == "part" else 0)
    assert sum(tensor.values.size for tensor in trained(event).values()) == result.trainable + result.head
    masks = {name: tensor.mask for name, tensor in trained(event).items()}
    for name, mask in chosen.items():
        if strategy != "part" or "pooler" not in name:
            assert masks[f"bert.{name}"] == mask
    others = set(masks) - {f"bert.{name}" for name in chosen}
    pooler = {"bert.pooler.dense.bias", "bert.pooler.dense.weight"}
    assert others - pooler == {"classifier.weight", "classifier.bias"}
    assert (strategy in {"part", "full", "bitfit", "ranked"}) <= bool(masks.keys() & pooler)


@EVERY
def test_changes_are_those_of_the_values(all_ran: Ran, lab: Path, strategy: str) -> None:
    _check_changes(all_ran.finished(strategy), lab, selected(lab, SELECTIONS[strategy]))


def _check_changes(event: Finished, lab: Path, chosen: Selected) -> None:
    catalogue, before = facts(lab), weights(lab)
    assert [moved.tensor for moved in event.result.changes] == list(chosen)
    for moved in event.result.changes:
        parameter = catalogue[moved.tensor]
        full = catalogue.full_name(parameter)
        assert (moved.role, moved.layer, moved.kind) == (parameter.role, parameter.layer, parameter.kind)
        assert (moved.entries, moved.trained) == (before[full].size, chosen.counts[moved.tensor])
        distance = np.abs(after(before[full], trained(event)[full]).astype(np.float64) - before[full])
        assert moved.change == pytest.approx(distance.mean(), rel=1e-9)
        only = dataclasses.replace(
            trained(event)[full],
            mask=chosen[moved.tensor],
            values=np.ones(chosen.counts[moved.tensor], np.float32),
        )
        mask = after(np.zeros(distance.shape, np.float32), only) == 1
        assert moved.trained_change == pytest.approx(distance[mask].mean(), rel=1e-9)
    assert bool(event.result.changes) == bool(chosen)
    # The biases of keys have no gradient but for rounding.
    assert all(moved.change > 1e-5 for moved in event.result.changes if moved.role != "k" and moved.trained > 5)


def test_roles_and_layers_are_told(all_ran: Ran) -> None:
    places = {moved.tensor: (moved.role, moved.layer, moved.kind) for moved in all_ran.finished("full").result.changes}
    assert places["encoder.layer.1.attention.self.query.bias"] == ("q", 1, "bias")
    assert places["encoder.layer.0.output.LayerNorm.weight"] == ("ln2", 0, "gamma")
    assert places["pooler.dense.weight"] == ("pooler", None, "matrix")
    assert len(places) == len([name for name in trained(all_ran.finished("full")) if name.startswith("bert.")])


@EVERY
def test_predictions_and_scores_agree(all_ran: Ran, lab: Path, strategy: str) -> None:
    result = all_ran.finished(strategy).result
    (split,) = result.predictions
    lines = (lab / "dev.csv").read_text("utf-8").splitlines()[1:]
    assert split.split == "validation"
    assert [("bad", "good")[int(label)] for label in split.labels] == [line.rpartition(",")[2] for line in lines]
    right = [said == label for said, label in zip(split.predictions, split.labels, strict=True)]
    assert right == [margin > 0 for margin in split.margins]
    assert len(set(split.margins)) > 10
    last = result.epochs[-1]
    assert result.score == last.score == 100 * last.metrics["accuracy"] == 100 * sum(right) / 25
    # Of two classes the margin tells the loss.
    loss = sum(math.log1p(math.exp(-margin)) for margin in split.margins) / 25
    assert last.validation_loss == pytest.approx(loss, rel=1e-5)
    assert (result.training_examples, result.validation_examples) == (40, 25)
    assert (result.device, result.threads, result.pack) == ("cpu", 1, (result.key,))
    (cell,) = (cell for cell in all_ran.plan.cells if cell.key == result.key)
    assert cell.trial.key(result.model_fingerprint, result.data_fingerprint) == result.key


def test_topk_trains_the_largest_entries(all_ran: Ran, lab: Path) -> None:
    before = weights(lab)
    names = [facts(lab).full_name(one) for one in facts(lab).parameters if one.kind == "matrix"]
    least = np.sort(np.concatenate([np.abs(before[name]).ravel() for name in names]))[-100]
    values = trained(all_ran.finished("ranked"))
    for name in names:
        chosen = np.abs(before[name]) >= least
        moved = after(before[name], values[name]) != before[name] if name in values else chosen & False
        assert (moved & ~chosen).sum() == 0
        assert chosen.sum() == (values[name].values.size if name in values else 0)
    assert sum(all_ran.finished("ranked").result.changes[i].trained for i in range(len(values) - 2)) == 100


@EVERY
def test_events_come_in_order(all_ran: Ran, strategy: str) -> None:
    events, epochs = all_ran.of(strategy), all_ran.cell(strategy).trial.settings.epochs
    events = [event for event in events if not isinstance(event, Stepped)]
    assert [type(event) for event in events] == [Started, *[EpochEnded] * epochs, Finished]
    started, finished = events[0], all_ran.finished(strategy)
    assert started == Started(started.key, epochs, 8 if strategy == "most" else 5)
    told = tuple(event.epoch for event in events if isinstance(event, EpochEnded))
    assert told == finished.result.epochs
    assert [epoch.number for epoch in told] == list(range(1, epochs + 1))
    assert 0 < sum(epoch.seconds for epoch in told) <= finished.result.seconds


def test_trials_come_one_after_the_other(all_ran: Ran) -> None:
    keys = [event.key for event in all_ran.events]
    assert list(dict.fromkeys(keys)) == [cell.key for cell in all_ran.plan.cells]
    assert sum(one != other for one, other in pairwise(keys)) == len(SELECTIONS) - 1


def test_steps_are_told_with_the_mean_loss_so_far(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitspec.training.loop.TICK", -1.0)
    events = ran(HEAD + "strategy b = bias", lab).events
    steps = [event for event in events if isinstance(event, Stepped)]
    # After each of five steps, and once more while the epoch is evaluated.
    told = [(epoch, step) for epoch in (1, 2) for step in (1, 2, 3, 4, 5, 5)]
    assert [(step.epoch, step.step) for step in steps] == told
    ends = [event.epoch for event in events if isinstance(event, EpochEnded)]
    assert [steps[5].loss, steps[11].loss] == [epoch.loss for epoch in ends]
    assert isinstance(events[7], EpochEnded)


def test_the_model_is_as_before_after_every_trial(all_ran: Ran) -> None:
    assert all_ran.is_restored == (True,) * (len(SELECTIONS) + 1)


def test_the_order_of_trials_changes_no_number(all_ran: Ran, lab: Path) -> None:
    backwards = ran(SPEC, lab, backwards=True)
    assert backwards.is_restored == all_ran.is_restored
    for strategy in SELECTIONS:
        one, other = all_ran.finished(strategy), backwards.finished(strategy)
        assert without_time(one) == without_time(other)
        assert trained(one).keys() == trained(other).keys()
        for name, tensor in trained(one).items():
            assert tensor.values.tobytes() == trained(other)[name].values.tobytes()


def test_names_change_no_number(lab: Path) -> None:
    spec = HEAD.replace("epochs = 2", "epochs = 1") + 'strategy some "Some" = rand(all, 5%)'
    names = {"study lab": "study other", "model small": "model tiny", "task rated": "task judged", "some": "few"}
    renamed = spec
    for old, new in names.items():
        assert old in renamed
        renamed = renamed.replace(old, new)
    one, other = ran(spec, lab).finished("some"), ran(renamed, lab).finished("few")
    assert one.key == other.key
    assert without_time(one) == without_time(other)


def test_a_run_may_be_left_between_two_events(all_ran: Ran, lab: Path) -> None:
    work = Work(bitspec.loads(SPEC), lab, None, "cpu")
    runner = LocalRunner(workers=1)
    events = runner.run(work, Queue(all_ran.plan.packs()))
    seen: list[Event] = [next(events), next(events)]
    events.close()
    assert [type(event) for event in seen] == [Started, EpochEnded]
    (bitfit,) = (pack for pack in all_ran.plan.packs() if pack[0].trial.strategy == "bitfit")
    again = [event for event in runner.run(work, Queue([bitfit])) if isinstance(event, Finished)]
    assert without_time(again[0]) == without_time(all_ran.finished("bitfit"))


@pytest.mark.parametrize("setting", ["dropout = 0.3", "dropout = 0.0", "precision = bf16", "clip_norm = 0.01"])
def test_a_setting_reaches_the_training(all_ran: Ran, lab: Path, setting: str) -> None:
    other = ran(HEAD.replace("epochs = 2", f"epochs = 1 {setting}") + "strategy bitfit = bias", lab).finished("bitfit")
    plain = all_ran.finished("bitfit").result
    (epoch,) = other.result.epochs
    assert epoch.loss != plain.epochs[0].loss
    assert epoch.loss == pytest.approx(plain.epochs[0].loss, abs=0.3)
    assert other.result.trainable == plain.trainable
    assert all(tensor.values.dtype == np.float32 for tensor in trained(other).values())


@pytest.mark.parametrize(("model_type", "head"), [("gpt2", 2 * 16), ("distilbert", 16 * 16 + 16 + 2 * 16 + 2)])
def test_other_architectures(labs: Labs, model_type: str, head: int) -> None:
    lab = labs(model_type)
    selections = {"vectors": "bias | gamma", "lines": "rows(matrix, 30% of matrix)", "sample": "rand(all, 30%)"}
    spec = HEAD.replace("epochs = 2", "epochs = 1") + "".join(f"strategy {a} = {b}\n" for a, b in selections.items())
    found = ran(spec, lab)
    assert found.is_restored == (True,) * 4
    for strategy, selection in selections.items():
        event, chosen = found.finished(strategy), selected(lab, selection)
        assert (event.result.trainable, event.result.head) == (chosen.count, head)
        _check_changes(event, lab, chosen)


def test_a_regression(lab: Path, tmp_path: Path) -> None:
    labels = [f"{number / 7:.3f}" for number in range(20)]
    lines = [f"w{place} w{2 * place} w9,{label}" for place, label in enumerate(labels)]
    (tmp_path / "numbers.csv").write_text("\n".join(["text,number", *lines]) + "\n", "utf-8")
    data = f'training = "{tmp_path}/numbers.csv" validation = "{tmp_path}/numbers.csv"'
    spec = (
        f'study s model "model" task closeness {{ {data} text = text label = number metric = spearman }}\n'
        "train { epochs = 30 learning_rate = 5e-3 dropout = 0.0 } strategy full = all"
    )
    result = ran(spec, lab).finished("full").result
    (split,) = result.predictions
    assert split.labels == tuple(map(float, labels))
    for margin, said, label in zip(split.margins, split.predictions, split.labels, strict=True):
        assert margin == said - label
    last = result.epochs[-1]
    assert last.validation_loss == pytest.approx(np.square(split.margins).mean(), rel=1e-5)
    assert last.metrics.keys() == {"pearson", "spearman"}
    assert last.metrics["pearson"] == pytest.approx(np.corrcoef(split.labels, split.predictions)[0, 1])
    ranks = np.argsort(np.argsort(split.predictions))
    assert last.metrics["spearman"] == pytest.approx(np.corrcoef(np.arange(20), ranks)[0, 1])
    assert last.score == 100 * last.metrics["spearman"] > 50
    assert result.head == 16 + 1


def test_two_validation_sets_and_three_classes(lab: Path, tmp_path: Path) -> None:
    spec = 'study s model "model" task mnli train { epochs = 1 } strategy bitfit = bias'
    result = ran(spec, lab, data_dir=write_folder(tmp_path, "mnli")).finished("bitfit").result
    assert [(split.split, len(split.margins)) for split in result.predictions] == [
        ("validation", 6),
        ("validation_mismatched", 6),
    ]
    (epoch,) = result.epochs
    for split, name in zip(result.predictions, ("accuracy", "accuracy_mismatched"), strict=True):
        right = [margin > 0 for margin in split.margins]
        assert right == [said == label for said, label in zip(split.predictions, split.labels, strict=True)]
        assert epoch.metrics[name] == sum(right) / 6
    assert result.score == round(100 * epoch.metrics["accuracy"], 10)
    assert (result.validation_examples, result.training_examples, result.head) == (12, 6, 3 * 16 + 3)


def test_seeds_differ_and_common_numbers_are_common(lab: Path) -> None:
    spec = HEAD.replace("seeds 0", "seeds 0, 1") + "strategy a = rand(bias, 20)\nstrategy b = rand(bias, 30)"
    found = ran(spec, lab)
    first = {cell: found.finished(*cell).result.epochs[0] for cell in (("a", 0), ("a", 1), ("b", 0))}
    assert first["a", 0].loss != first["a", 1].loss
    # The same head, batches and dropout: what differs is what is trained.
    assert abs(first["a", 0].loss - first["b", 0].loss) < abs(first["a", 0].loss - first["a", 1].loss)
    masks = [{name: tensor.mask for name, tensor in trained(found.finished("a", seed)).items()} for seed in (0, 1)]
    assert masks[0] != masks[1]


@pytest.mark.parametrize("keep_values", [False, True])
def test_few_values_are_kept_and_many_where_they_are_asked_for(lab: Path, keep_values: bool) -> None:
    size = facts(lab).size
    spec = HEAD.replace("epochs = 2", "epochs = 1") + (
        f"strategy none_ = none strategy some = rand(all, {size // 20}) strategy more = rand(all, {size // 20 + 1})"
    )
    found = ran(spec, lab, keep_values=keep_values)
    handed = {name: found.finished(name).values is not None for name in ("none_", "some", "more")}
    assert handed == {"none_": True, "some": True, "more": keep_values}


@pytest.mark.parametrize(("bytes_kept", "computed"), [(2**30, 2), (0, 4)])
def test_gradients_that_several_trials_rank_by_are_computed_once(
    lab: Path, monkeypatch: pytest.MonkeyPatch, bytes_kept: int, computed: int
) -> None:
    seeds: list[int] = []
    gradient = Before.gradient

    def noted(before: Before, names: Sequence[str], examples: int) -> Any:
        seeds.append(before.seed)
        return gradient(before, names, examples)

    monkeypatch.setattr(Before, "gradient", noted)
    monkeypatch.setattr("bitspec.runners.bench.MOST_SEEN", bytes_kept)
    spec = (
        HEAD.replace("seeds 0", "seeds 0, 1")
        + "strategy steep = topk(bias, 5, by = gradient) strategy flat = bottomk(bias, 5, by = gradient)"
    )
    found = ran(spec, lab)
    assert sorted(seeds) == sorted([0, 1] * (computed // 2))
    assert found.finished("steep", 1).values is not None
    assert found.finished("flat", 1).result.trainable == 5
