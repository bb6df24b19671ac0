"""One trial's story, as it is read from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Predictions
from bitspec.ir.trials import Planned
from bitspec.report.story import Companion, Example, Role, Served, Story, read
from tests.report.conftest import change
from tests.store.conftest import SPEC, STARTED, Lab, failed, result, trained_values

ONE = SPEC.replace("cola, ", "").replace("seeds 0, 1", "seeds 4").replace('strategy frozen "Frozen" = none\n', "")


def one(lab: Lab, **changed: Any) -> Story:
    """The story of a study's only trial."""
    (cell,) = lab.begin(ONE)
    lab.record(cell, **changed)
    return read(lab.store.folder, cell.key)


def test_what_it_is_and_how_it_was_trained(lab: Lab) -> None:
    (cell,) = lab.begin(ONE)
    lab.record(cell)
    lab.store.end(1)
    story = read(lab.store.folder, cell.key[:9])
    made = result(cell)
    assert (story.key, story.status, story.message) == (cell.key, "finished", None)
    assert (story.model, story.model_source, story.model_fingerprint) == ("nano", "builtin/nano", "weights")
    assert (story.task, story.data_fingerprint, story.seed) == ("builtin/rte", "data of builtin/rte", 4)
    assert (story.selection, story.settings["epochs"], story.settings["learning_rate"]) == ("bias", 2, 0.001)
    assert (story.trainable, story.percent, story.head) == (260, 0.75, 258)
    assert (story.score, story.best_score) == (made.score, made.best.score)
    assert (story.device, story.threads, story.seconds, story.pack) == ("cpu", 1, 6.0, ())
    assert story.serves == (Served("small", "nano", "builtin/rte", "bitfit", 4, "BitFit", is_current=True),)
    assert story.origin is not None
    assert (story.origin.run, story.origin.study, story.origin.command) == (1, "small", "bitspec run a/small.bspec")
    assert (story.origin.spec, story.origin.commit, story.origin.versions) == ("a/small.bspec", None, {"python": "3"})
    assert story.origin.ended is not None
    assert [(epoch.number, epoch.loss, epoch.score, epoch.metrics) for epoch in story.epochs] == [
        (epoch.number, epoch.loss, epoch.score, epoch.metrics) for epoch in made.epochs
    ]


def test_what_changed(lab: Lab) -> None:
    story = one(lab)
    assert [tensor.tensor for tensor in story.tensors] == [
        "encoder.layer.0.attention.self.query.bias",
        "encoder.layer.1.intermediate.dense.bias",
        "encoder.odd.bias",
    ]
    assert story.roles == (
        Role("encoder.odd.bias", 1, 4, 4, 1.0, 1.0),
        Role("b_q", 1, 128, 128, 0.125, 0.125),
        Role("b_m2", 1, 512, 128, 0.0625, 0.25),
    )


def test_tensors_of_a_role_count_by_their_entries(lab: Lab) -> None:
    story = one(lab, changes=(change("a", "q", 0, "bias", 4, 0.1), change("b", "q", 1, "bias", 12, 0.5)))
    (role,) = story.roles
    assert (role.tensors, role.entries) == (2, 16)
    assert role.change == pytest.approx((4 * 0.1 + 12 * 0.5) / 16)


def test_what_it_predicts(lab: Lab) -> None:
    (predicted,) = one(lab).predictions
    assert (predicted.split, predicted.examples, predicted.right) == ("validation", 3, 2)
    assert list(predicted.confusion) == [(0, 0, 1), (1, 0, 1), (1, 1, 1)]
    assert predicted.mean_error is None
    assert predicted.worst == (Example(2, 1, 0, -2.0),)


def test_the_surest_of_the_wrong_come_first(lab: Lab) -> None:
    labels = (0, 1, 2, 0, 1, 2, 0, 1)
    margins = (-1.0, -3.0, 2.0, -0.5, -4.0, -2.0, -0.25, -3.0)
    split = Predictions(split="validation", labels=labels, predictions=(1, 2, 2, 1, 2, 0, 1, 0), margins=margins)
    (predicted,) = one(lab, predictions=(split,)).predictions
    assert [example.example for example in predicted.worst] == [4, 1, 7, 5, 0]


def test_a_regression_has_errors(lab: Lab) -> None:
    made = Predictions(
        split="validation", labels=(1, 2, 3, 4, 5), predictions=(1, 2.5, 2, 4, 5), margins=(0, 0.5, -1, 0, 0)
    )
    (predicted,) = one(lab, predictions=(made,)).predictions
    assert predicted.confusion == ()
    assert (predicted.errors[0], predicted.errors[3], predicted.errors[-1]) == (-1.0, 0.0, 0.5)
    assert predicted.mean_error == pytest.approx(0.3)
    assert [example.example for example in predicted.worst] == [2, 1]


def test_a_regression_is_told_by_its_metrics_where_its_numbers_are_whole(lab: Lab) -> None:
    epochs = [epoch.model_copy(update={"metrics": {"spearman": 0.5}}) for epoch in result(lab.begin(ONE)[0]).epochs]
    (predicted,) = one(lab, epochs=tuple(epochs)).predictions
    assert (predicted.confusion, len(predicted.errors)) == ((), 7)


def test_both_validation_sets(lab: Lab) -> None:
    splits = tuple(
        Predictions(split=name, labels=(0, 1), predictions=(0, right), margins=(1.0, 2.0 * right - 1))
        for name, right in (("validation", 1), ("validation_mismatched", 0))
    )
    found = one(lab, predictions=splits).predictions
    assert [(each.split, each.right, len(each.worst)) for each in found] == [
        ("validation", 2, 0),
        ("validation_mismatched", 1, 1),
    ]


def test_who_was_trained_with_it(lab: Lab) -> None:
    first, second, *_ = cells = lab.begin(SPEC)
    pack = (first.key, second.key, "f" * 64)
    for cell in (first, second):
        lab.record(cell, pack=pack)
    assert len(cells) == 8
    assert read(lab.store.folder, first.key).pack == (
        Companion(second.key, "frozen", "cola", 1, "finished"),
        Companion("f" * 64),
    )


def test_every_cell_that_it_serves(lab: Lab) -> None:
    lab.run(ONE)
    (cell,) = lab.begin(ONE.replace("small", "other").replace("strategy bitfit", "strategy biases"))
    lab.begin(ONE.replace("epochs = 2", "epochs = 3"))
    story = read(lab.store.folder, cell.key)
    assert [(served.study, served.strategy, served.is_current) for served in story.serves] == [
        ("other", "biases", True),
        ("small", "bitfit", False),
    ]
    assert (len(story.epochs), len(story.tensors), story.predictions[0].examples) == (2, 3, 3)  # each once


def test_values_that_were_kept(lab: Lab) -> None:
    story = one(lab, values=trained_values())
    assert story.values_file == (lab.store.folder / "values" / f"{story.key}.safetensors").as_posix()
    Path(story.values_file).unlink()
    assert read(lab.store.folder, story.key).values_file is None
    assert read(lab.store.read_path(), story.key).key == story.key  # the database stands for its folder


def test_a_trial_that_failed(lab: Lab) -> None:
    (cell,) = lab.begin(ONE)
    failure = failed(cell, "diverged", message="its loss is no number\nsince step 3", help="lower the rate")
    lab.store.record_failure(1, cell, failure, started=STARTED)
    story = read(lab.store.folder, cell.key)
    assert (story.status, story.message) == ("diverged", "its loss is no number since step 3; lower the rate")
    assert (story.score, story.metrics, story.pack, story.epochs, story.tensors) == (None, None, (), (), ())
    assert (story.predictions, story.values_file) == ((), None)
    assert [served.strategy for served in story.serves] == ["bitfit"]


def renamed(cell: Planned, key: str) -> Planned:
    return cell.model_copy(update={"key": key})


def test_keys_that_begin_alike(lab: Lab) -> None:
    first, second, *_ = lab.begin(SPEC)
    lab.record(renamed(first, "abcd1" + "0" * 59))
    lab.record(renamed(second, "abcd2" + "0" * 59))
    assert read(lab.store.folder, "ABCD1").key == "abcd1" + "0" * 59
    with pytest.raises(BitspecError) as found:
        read(lab.store.folder, "abcd")
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "ambiguous-trial"
    assert diagnostic.help == ("give more of it:\nabcd1000… frozen on cola, seed 0\nabcd2000… frozen on cola, seed 1")


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("abc", "short-key", "`abc` is too short for a key"),
        ("", "short-key", "`` is too short for a key"),
        ("bitfit", "short-key", "`bitfit` is no key"),
        ("a" * 65, "short-key", "is no key"),
        ("abcd", "unknown-trial", "no trial has a key that begins with `abcd`"),
    ],
)
def test_what_is_no_key(lab: Lab, key: str, code: str, message: str) -> None:
    lab.store.prepare()
    with pytest.raises(BitspecError) as found:
        read(lab.store.folder, key)
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == code
    assert message in diagnostic.message
    assert "bitspec query" in (diagnostic.help or "")


def test_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(BitspecError, match="there are no results in"):
        read(tmp_path / "store", "abcd")


def test_control_characters_of_a_store_reach_nobody(lab: Lab) -> None:
    story = one(lab, device="cpu\x1b[31m", changes=(change("a\u202eb", None, None, "bias", 4, 0.5),))
    assert story.device == "cpu\N{REPLACEMENT CHARACTER}[31m"
    assert story.tensors[0].tensor == "a\N{REPLACEMENT CHARACTER}b"
