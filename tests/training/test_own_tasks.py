"""Tasks of one's own: classes and their order, regressions, paths; and labels and cells that cannot be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError
from bitspec.ir.study import Task, TaskData
from bitspec.training.tasks import read_task
from tests.training.own_tasks import NOWHERE, own_examples, own_task, refusal, write_table


@pytest.mark.parametrize(
    ("training", "validation", "classes", "labels"),
    [
        (["0", "1", "0"], ["1"], ["0", "1"], [1]),
        (["10", "9", "-2"], ["10", "9"], ["-2", "9", "10"], [2, 1]),
        (["1.0", "2", "0.5"], ["0.50", "1", " 2.0 "], ["0.5", "1", "2"], [0, 1, 2]),
        (["10", "9", "b"], ["9"], ["10", "9", "b"], [1]),
        (["01", "1"], ["1"], ["01", "1"], [1]),
        (["good", "bad", " good"], ["good ", "bad"], ["bad", "good"], [1, 0]),
        (["True", "False"], ["True"], ["False", "True"], [1]),
        (["é", "z", "Z"], ["é"], ["Z", "z", "é"], [2]),
        (["9" * 30, "1"], ["1"], ["1", "9" * 30], [0]),
    ],
)
def test_classes_are_those_of_the_training_file_in_order(
    training: list[str], validation: list[str], classes: list[str], labels: list[int], tmp_path: Path
) -> None:
    examples = own_examples(tmp_path, training, validation)
    assert list(examples.classes) == classes
    assert list(examples.validation[0].labels) == labels
    assert set(examples.training.labels) == set(range(len(classes)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 200), min_size=2, max_size=30).filter(lambda labels: len(set(labels)) > 1), st.data())
def test_numbers_of_classes_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, labels: list[int], data: st.DataObject
) -> None:
    validation = data.draw(st.lists(st.sampled_from(labels), min_size=1))
    examples = own_examples(tmp_path_factory.mktemp("own"), labels, validation)
    assert [int(examples.classes[int(number)]) for number in examples.training.labels] == labels
    assert [int(examples.classes[int(number)]) for number in examples.validation[0].labels] == validation
    assert list(map(int, examples.classes)) == sorted(set(labels))


def test_a_regression(tmp_path: Path) -> None:
    examples = own_examples(tmp_path, ["3", "-0", "1e-3", ".5", " +2. ", "-1"], ["7"], "pearson")
    assert examples.training.labels == (3.0, 0.0, 1e-3, 0.5, 2.0, -1.0)
    assert str(examples.training.labels[1]) == "0.0"
    assert (examples.classes, examples.outputs, examples.metric) == ((), 1, "pearson")
    assert {type(label) for split in (examples.training, *examples.validation) for label in split.labels} == {float}


def test_pairs_and_empty_texts(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("b\tlabel\ta\n\t0\tx\ny\t1\t\n", "utf-8")
    examples = read_task(own_task("train.tsv", "dev.tsv", ("a", "b")), base=tmp_path, data_dir=NOWHERE)
    assert examples.training.texts == (("x", ""), ("", "y"))


def test_paths_start_from_the_folder_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = tmp_path / "specs"
    (specs / "data").mkdir(parents=True)
    own_examples(specs / "data", [0, 1], [1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(specs))
    for folder in ("data", "./data", str(specs / "data"), "~/data", "../specs/data"):
        task = own_task(f"{folder}/train.csv", f"{folder}/dev.csv")
        assert len(read_task(task, base=Path("specs"), data_dir=None).training) == 2
    diagnostic = refusal(own_task("date/train.csv"), base=Path("specs"))
    assert (diagnostic.code, diagnostic.message) == ("no-such-file", "there is no file `specs/date/train.csv`")
    assert refusal(own_task("~nobody-of-this-name/a.csv"), base=Path("specs")).code == "no-such-file"


@pytest.mark.parametrize(
    ("training", "validation", "metric", "code", "message", "hint"),
    [
        (
            [0, 1, 1],
            [1, 2, 2],
            "accuracy",
            "unknown-label",
            "{dev}:3: the label `2` in `label` is not in `{train}`, so it cannot be learnt (and so in 1 more row)",
            "the labels there are `0` and `1`",
        ),
        (
            ["good", "bad"],
            ["godo"],
            "accuracy",
            "unknown-label",
            "{dev}:2: the label `godo` in `label` is not in `{train}`",
            "did you mean `good`?",
        ),
        (
            [0, 1],
            ["x"],
            "accuracy",
            "unknown-label",
            "{dev}:2: the label `x` in `label` is not in `{train}`",
            "`0` and `1`",
        ),
        (
            range(20),
            [99],
            "accuracy",
            "unknown-label",
            "{dev}:2: the label `99`",
            "`0`, `1`, `2`, `3`, `4`, `5`, `6`, `7` and `…`",
        ),
        (
            [0, "", "  ", 1],
            [1],
            "accuracy",
            "missing-label",
            "{train}:3: there is no label in `label` (and so in 1 more row)",
            "leave out those without",
        ),
        (
            [0, 1],
            ["", "", "", 1],
            "f1",
            "missing-label",
            "{dev}:2: there is no label in `label` (and so in 2 more rows)",
            "leave out those without",
        ),
        (
            [0, 1, -1],
            [1],
            "accuracy",
            "bad-label",
            "{train}:4: the label in `label` is -1",
            "how examples without a label are marked",
        ),
        (
            [0, 1],
            [1, -1, "-1.0"],
            "accuracy",
            "bad-label",
            "{dev}:3: the label in `label` is -1 (and so in 1 more row)",
            "leave them out",
        ),
        (
            [1, 1.0, "1"],
            [1],
            "accuracy",
            "one-label",
            "all labels in `{train}` are `1`, so there is nothing to learn",
            "is `label` the right column?",
        ),
        (
            ["3", "3.0"],
            [1],
            "pearson",
            "one-label",
            "all labels in `{train}` are `3`, so there is nothing to learn",
            "is `label` the right column?",
        ),
        (
            [0, 1, 2],
            [1],
            "f1",
            "metric-misfit",
            "`f1` is for two classes, and `label` has 3 different labels in `{train}`",
            "`metric = accuracy`",
        ),
        (
            [0, 1, 2],
            [1],
            "matthews",
            "metric-misfit",
            "`matthews` is for two classes, and `label` has 3 different labels",
            "`metric = accuracy`",
        ),
        (
            [i / 7 for i in range(99)],
            [1],
            "accuracy",
            "metric-misfit",
            "`label` has 99 different labels in `{train}`: `accuracy` is for classes",
            "for a regression, choose `pearson` or `spearman` as metric",
        ),
        (
            [f"text {i}" for i in range(99)],
            [1],
            "accuracy",
            "metric-misfit",
            "`label` has 99 different labels in `{train}`: `accuracy` is for classes",
            "name the column of the classes",
        ),
        (
            [1, "good"],
            [1],
            "spearman",
            "bad-label",
            "{train}:3: the label `good` in `label` is no number",
            "`spearman` compares numbers; for classes, choose another metric",
        ),
        (
            [1, 2],
            ["3,5"],
            "pearson",
            "bad-label",
            "{dev}:2: the label `3,5` in `label` is no number",
            "`pearson` compares numbers",
        ),
        (
            [1, "inf"],
            [1],
            "pearson",
            "bad-label",
            "{train}:3: the label `inf` in `label` is no number",
            "compares numbers",
        ),
        (
            [1, "1e999"],
            [1],
            "pearson",
            "bad-label",
            "{train}:3: the label `1e999` in `label` is no number",
            "compares numbers",
        ),
    ],
)
def test_labels_that_cannot_be(
    training: Sequence[Any], validation: Sequence[Any], metric: str, code: str, message: str, hint: str, tmp_path: Path
) -> None:
    write_table(tmp_path / "train.csv", training)
    write_table(tmp_path / "dev.csv", validation)
    diagnostic = refusal(own_task(metric=metric), base=tmp_path)
    assert diagnostic.code == code
    assert diagnostic.message.startswith(message.format(train=tmp_path / "train.csv", dev=tmp_path / "dev.csv"))
    assert hint in (diagnostic.help or "")


def test_many_classes_are_fine_where_there_are_many_examples(tmp_path: Path) -> None:
    assert len(own_examples(tmp_path, [*range(60), *range(60)], [1]).classes) == 60
    assert len(own_examples(tmp_path, [i / 2 for i in range(50)], [1]).classes) == 50


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([{"text": "a", "label": 0}, {"label": 1}], "missing-text", "{}, entry 2: there is no text in `text`"),
        (
            [{"text": None, "label": 0}, {"text": None, "label": 1}],
            "missing-text",
            "{}, entry 1: there is no text in `text` (and so",
        ),
        ([{"text": "a", "label": 0}, {"text": 7, "label": 1}], "bad-cell", "{}, entry 2: `text` is no text but `7`"),
        ([{"text": "a", "label": 0}, {"text": "b"}], "missing-label", "{}, entry 2: there is no label in `label`"),
        ([{"text": "a", "label": 0}, {"text": "b", "label": None}], "missing-label", "{}, entry 2: there is no label"),
        (
            [{"text": "a", "label": 0}, {"text": "b", "label": float("nan")}],
            "missing-label",
            "{}, entry 2: there is no",
        ),
        (
            [{"text": "a", "label": 1}, {"text": "b", "label": True}],
            "bad-label",
            "{}, entry 2: the label `true` in `label` is true or false, and the first one is a number",
        ),
    ],
)
def test_cells_of_json_that_cannot_be(rows: list[dict[str, Any]], code: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([*rows, {"text": "c", "label": rows[0].get("label")}]), "utf-8")
    diagnostic = refusal(own_task(path.name, path.name), base=tmp_path)
    assert diagnostic.code == code
    assert diagnostic.message.startswith(message.format(path))


@pytest.mark.parametrize("label", [True, 10**400, float("inf")])
def test_what_is_no_number_of_a_regression(label: Any, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([{"text": "a", "label": 1}, {"text": "b", "label": label}]), "utf-8")
    assert refusal(own_task(path.name, path.name, metric="pearson"), base=tmp_path).code == "bad-label"
    if label is True:
        assert refusal(own_task(path.name, path.name), base=tmp_path).code == "bad-label"
    else:
        examples = read_task(own_task(path.name, path.name), base=tmp_path, data_dir=None)
        assert examples.classes == ("1", str(label).lower())


def test_a_message_shows_the_spec(tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", [0, 1])
    write_table(tmp_path / "dev.csv", [0, ""])
    with pytest.raises(BitspecError) as raised:
        read_task(own_task(), base=tmp_path, data_dir=None)
    assert str(raised.value) == (
        f"error[missing-label]: {tmp_path}/dev.csv:3: there is no label in `label`\n"
        " --> <string>:3:14\n"
        "  |\n"
        "3 |         task own {\n"
        "  |              ^^^\n"
        "  = help: give every example a label, or leave out those without"
    )


def test_what_a_checked_study_does_not_have_is_a_programmers_mistake(tmp_path: Path) -> None:
    data = TaskData(training="train.csv", validation="dev.csv", text=("text",), label="label", metric="bleu")
    for task in (Task(name="squad"), Task(name="own", data=data)):
        with pytest.raises(ValueError, match="has not passed its check"):
            read_task(task, base=tmp_path, data_dir=None)
