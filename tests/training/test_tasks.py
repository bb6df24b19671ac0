"""Tasks by name: GLUE in its usual folder, and those that come with bitspec; and every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.ir.study import Task
from bitspec.training import glue
from bitspec.training.examples import Examples, Split
from bitspec.training.tasks import builtin_folder, read_task, task_fingerprint
from bitspec.vocabulary import BUILTIN_TASKS, GLUE, GLUE_LABELS
from tests.training.made_glue import CLASSES, FOLDERS, files_of, rows_of, write_folder
from tests.training.own_tasks import NOWHERE, refusal

# GLUE in its usual folder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GLUE)
def test_every_task_of_glue(name: str, tmp_path: Path) -> None:
    examples = read_task(Task(name=name), base=NOWHERE, data_dir=write_folder(tmp_path, *GLUE))
    splits = (examples.training, *examples.validation)
    assert [split.name for split in splits] == ["training", "validation", "validation_mismatched"][: len(splits)]
    assert len(splits) == (3 if name == "mnli" else 2)
    for split, hub_name in zip(splits, files_of(name), strict=True):
        rows = rows_of(name, hub_name)
        pairs = name not in {"cola", "sst2"}
        assert list(split.texts) == [(a, b) if pairs else (a,) for a, b, _ in rows]
        assert list(split.labels) == [label for *_, label in rows]
        assert {type(label) for label in split.labels} == {int if CLASSES[name] else float}
        assert len(split) == len(rows)
    assert list(examples.classes) == (CLASSES[name] or [])
    assert examples.metric == GLUE[name]
    assert examples.outputs == GLUE_LABELS.get(name, 2)


def test_what_is_known_of_tasks_is_what_the_language_knows() -> None:
    assert list(glue.GLUE) == list(GLUE)
    assert list(glue.BUILTINS) == list(BUILTIN_TASKS)


@pytest.mark.parametrize("folder", ["sts-b", "stsb", "STSB", "sts_b"])
def test_the_folder_of_a_task_by_other_names(folder: str, tmp_path: Path) -> None:
    write_folder(tmp_path, "stsb", "sst2")
    expected = task_fingerprint(Task(name="stsb"), base=NOWHERE, data_dir=tmp_path)
    (tmp_path / "STS-B").rename(tmp_path / folder)
    assert task_fingerprint(Task(name="stsb"), base=NOWHERE, data_dir=tmp_path) == expected


def test_the_usual_name_of_a_folder_comes_first(tmp_path: Path) -> None:
    write_folder(tmp_path, "rte")
    (tmp_path / "rte").mkdir()
    (tmp_path / "R-TE").mkdir()
    assert len(read_task(Task(name="rte"), base=NOWHERE, data_dir=tmp_path).training) == 6


def test_broken_questions_of_qqp_are_left_out_as_by_glue(tmp_path: Path) -> None:
    path = write_folder(tmp_path, "qqp") / "QQP" / "train.tsv"
    with path.open("a", encoding="utf-8") as file:
        file.write("9\t1\t2\tWhat is\nthis?\tand that?\t1\n10\t1\t2\ta\tb\t1\tmore\n")
    training = read_task(Task(name="qqp"), base=NOWHERE, data_dir=tmp_path).training
    assert len(training) == 7
    assert (training.texts[-1], training.labels[-1]) == (("a", "b"), 1)


def test_a_row_of_another_task_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path, "rte") / "RTE" / "dev.tsv"
    path.write_text(path.read_text("utf-8") + "9\tcut", "utf-8")
    diagnostic = refusal(Task(name="rte"), data_dir=tmp_path)
    assert diagnostic.code == "ragged-row"
    assert diagnostic.message == f"{path}:8: this row has 2 fields, and the header has 4"


@pytest.mark.parametrize(
    ("name", "label", "code", "message"),
    [
        ("rte", "-1", "bad-label", "the label `-1` in `label` is not one of `rte`"),
        ("rte", "2", "bad-label", "the label `2` in `label` is not one of `rte`"),
        ("rte", "Entailment", "bad-label", "the label `Entailment` in `label` is not one of `rte`"),
        ("rte", "", "missing-label", "there is no label in `label`"),
        ("stsb", "high", "bad-label", "the label `high` in `score` is no number"),
        ("stsb", "nan", "bad-label", "the label `nan` in `score` is no number"),
    ],
)
def test_labels_that_glue_does_not_have(name: str, label: str, code: str, message: str, tmp_path: Path) -> None:
    path = write_folder(tmp_path, name) / FOLDERS[name] / "dev.tsv"
    lines = path.read_text("utf-8").split("\n")
    for number in (2, 4):
        lines[number] = f"{lines[number].rpartition(chr(9))[0]}\t{label}"
    path.write_text("\n".join(lines), "utf-8")
    diagnostic = refusal(Task(name=name), data_dir=tmp_path)
    assert diagnostic.code == code
    assert diagnostic.message == f"{path}:3: {message} (and so in 1 more row)"


def test_folders_without_the_task(tmp_path: Path) -> None:
    task = Task(name="sst2")
    diagnostic = refusal(task, data_dir=tmp_path)
    assert (diagnostic.code, diagnostic.help) == ("no-task-data", "it has no folders in it")
    write_folder(tmp_path, "rte", "cola")
    diagnostic = refusal(task, data_dir=tmp_path)
    assert diagnostic.message == f"`{tmp_path}` has no folder `SST-2`, which would hold the data of `sst2`"
    assert diagnostic.help == "it has `CoLA` and `RTE`"
    diagnostic = refusal(task, data_dir=tmp_path / "RTE")
    assert diagnostic.help == "name the folder in which the folders of the tasks are"
    assert refusal(task, data_dir=tmp_path / "RTE" / "dev.tsv").code == "not-a-folder"
    assert refusal(task, data_dir=tmp_path / "none").code == "no-such-folder"
    (tmp_path / "SST-2").mkdir()
    diagnostic = refusal(task, data_dir=tmp_path)
    assert diagnostic.message == f"there is no file `{tmp_path / 'SST-2' / 'train.tsv'}`"


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    diagnostic = refusal(Task(name="rte"), data_dir=tmp_path)
    assert (diagnostic.code, diagnostic.message) == (
        "unreadable-file",
        f"`{tmp_path}` cannot be read: Permission denied",
    )


# Tasks that come with bitspec -----------------------------------------------------------------------------


def test_tasks_that_come_with_bitspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    content = {"cola": 'sentence\tlabel\nA "b.\t1\nC\t0\n', "rte": "sentence1\tsentence2\tlabel\nA\tb\t0\nC\td\t1\n"}
    for name, text in content.items():
        folder = tmp_path / "builtin" / "tasks" / name
        folder.mkdir(parents=True)
        assert builtin_folder(f"builtin/{name}") == folder
        for file in ("train.tsv", "validation.tsv"):
            (folder / file).write_text(text, "utf-8")
    cola = read_task(Task(name="builtin/cola"), base=NOWHERE, data_dir=NOWHERE)
    assert cola == Examples(
        "builtin/cola",
        Split("training", (('A "b.',), ("C",)), (1, 0)),
        (Split("validation", (('A "b.',), ("C",)), (1, 0)),),
        ("unacceptable", "acceptable"),
        "matthews",
    )
    rte = read_task(Task(name="builtin/rte"), base=NOWHERE, data_dir=None)
    assert rte.training == Split("training", (("A", "b"), ("C", "d")), (0, 1))
    assert (rte.classes, rte.metric) == (("entailment", "not_entailment"), "accuracy")
