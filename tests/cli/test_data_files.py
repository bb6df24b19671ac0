"""Data files that cannot be trained on, as `bitspec run` tells of them: which file, where in it, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.cli.conftest import Bitspec

SPEC = """study s
model "builtin/nano"
task own {{ training = "{train}" validation = "{dev}" text = text label = label metric = {metric} }}
strategy a = bias
"""

KINDS = ("csv", "tsv", "json", "jsonl", "parquet")

Rows = Sequence[tuple[Any, Any]]

RIGHT: Rows = [("a b", "good"), ("c", "bad"), ("d", "good"), ("e f", "bad")]


def write(path: Path, rows: Rows) -> None:
    """A data file of the kind that its ending says; None is what it has for nothing."""
    objects = [{"text": text, "label": label} for text, label in rows]
    match path.suffix:
        case ".csv" | ".tsv":
            between = "," if path.suffix == ".csv" else "\t"
            lines = [("text", "label"), *(("" if cell is None else str(cell) for cell in row) for row in rows)]
            path.write_text("".join(f"{between.join(line)}\n" for line in lines), "utf-8")
        case ".json":
            path.write_text(json.dumps(objects), "utf-8")
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(one)}\n" for one in objects), "utf-8")
        case _:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(objects), path)


def place(path: str, row: int) -> str:
    """Where a row (counted from 0) stands, as messages have it."""
    unit = {"csv": f":{row + 2}", "tsv": f":{row + 2}", "json": f", entry {row + 1}", "jsonl": f":{row + 1}"}
    return path + unit.get(path.rpartition(".")[2], f", row {row + 1}")


def refused(
    bitspec: Bitspec, train: str, dev: str, code: str, message: str, hint: str, metric: str = "accuracy"
) -> None:
    """That a study of these files is refused before anything is trained."""
    Path("s.bspec").write_text(SPEC.format(train=train, dev=dev, metric=metric), "utf-8")
    ran = bitspec("run", "s.bspec", "--allow-outside")  # as far as a link to a device leads
    assert (ran.code, ran.out) == (2, "")
    header, *_, help_line, _, count, _ = ran.err.split("\n")
    assert header == f"error[{code}]: {message}"
    assert " --> s.bspec:3:6\n" in ran.err
    assert help_line.startswith("  = help: ")
    assert hint in help_line
    assert count == "1 error"


# Labels that are not there --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["train", "dev"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_not_there(bitspec: Bitspec, kind: str, where: str) -> None:
    lacking = [*RIGHT[:2], ("x", None), ("y", None), *RIGHT[2:]]
    for name in ("train", "dev"):
        write(Path(f"{name}.{kind}"), lacking if name == where else RIGHT)
    message = f"{place(f'{where}.{kind}', 2)}: there is no label in `label` (and so in 1 more row)"
    hint = "give every example a label, or leave out those without"
    refused(bitspec, f"train.{kind}", f"dev.{kind}", "missing-label", message, hint)
    assert f"error[missing-label]: {message}\n" in bitspec("plan", "s.bspec").err


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize("metric", ["accuracy", "spearman"])
def test_labels_that_are_no_number(bitspec: Bitspec, kind: str, metric: str) -> None:
    write(Path(f"train.{kind}"), [("a", 1.0), ("b", float("nan")), ("c", 2.0)])
    message = f"{place(f'train.{kind}', 1)}: there is no label in `label`"
    refused(bitspec, f"train.{kind}", f"train.{kind}", "missing-label", message, "leave out those without", metric)


@pytest.mark.parametrize("kind", ["csv", "tsv", "json"])
@pytest.mark.parametrize("word", ["NaN", "nan", "null", "NULL", "<NA>", "#N/A"])
def test_words_for_nothing_are_no_labels(bitspec: Bitspec, kind: str, word: str) -> None:
    write(Path(f"train.{kind}"), RIGHT)
    write(Path(f"dev.{kind}"), [*RIGHT, ("x", word)])
    message = f"{place(f'dev.{kind}', 4)}: the label in `label` is `{word}`"
    hint = "this is how programs write that there is none: leave these examples out, or write another label"
    refused(bitspec, f"train.{kind}", f"dev.{kind}", "bad-label", message, hint)


@pytest.mark.parametrize("word", ["none", "NA", "n/a", "neutral"])
def test_words_that_may_be_classes(bitspec: Bitspec, word: str) -> None:
    write(Path("train.csv"), [*RIGHT, ("x", word)])
    Path("s.bspec").write_text(SPEC.format(train="train.csv", dev="train.csv", metric="accuracy"), "utf-8")
    assert bitspec("plan", "s.bspec").code == 0


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_training_never_shows(bitspec: Bitspec, kind: str) -> None:
    write(Path(f"train.{kind}"), RIGHT)
    write(Path(f"dev.{kind}"), [*RIGHT, ("x", "godo"), ("y", "godo"), ("z", "ugly")])
    message = (
        f"{place(f'dev.{kind}', 4)}: the label `godo` in `label` is not in `train.{kind}`, so it cannot be learnt "
        "(and so in 2 more rows)"
    )
    refused(bitspec, f"train.{kind}", f"dev.{kind}", "unknown-label", message, "did you mean `good`?")


@pytest.mark.parametrize("kind", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, "good"], "the label `good` in `label` is a text, and the first one is a number"),
        ([True, False, 1], "the label `1` in `label` is a number, and the first one is true or false"),
        (["good", "bad", True], "the label `true` in `label` is true or false, and the first one is a text"),
    ],
)
def test_labels_of_several_kinds(bitspec: Bitspec, kind: str, labels: list[Any], said: str) -> None:
    write(Path(f"train.{kind}"), [("x", label) for label in labels])
    message = f"{place(f'train.{kind}', 2)}: {said}"
    hint = "write all labels as texts, or all as numbers"
    refused(bitspec, f"train.{kind}", f"train.{kind}", "bad-label", message, hint)


# Files of another form ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code", "message", "hint"),
    [
        ("x.csv", "text,label,label\na,0,1\n", "repeated-column", "`x.csv` has 2 columns called `label`", "give all but one `label` another name"),
        ("x.tsv", "text\ttext\tlabel\na\tb\t1\n", "repeated-column", "`x.tsv` has 2 columns called `text`", "another name"),
        ("x.json", '[{"text": "a", "label": 1, "text": "b"}]', "repeated-column", "an object in `x.json` has `text` twice", "another name"),
        ("x.csv", "text,label\na,0\nb\nc,1\n", "ragged-row", "x.csv:3: this row has 1 field, and the header has 2", "a field with a comma in it stands in double quotes"),
        ("x.tsv", "text\tlabel\na\t0\textra\n", "ragged-row", "x.tsv:2: this row has 3 fields, and the header has 2", "tabs separate the fields"),
        ("x.csv", 'text,label\na,0\n"b,1\n', "bad-data-file", "x.csv:3: this row is not CSV: unexpected end of data", "a field in double quotes ends with one"),
        *((f"x.{kind}", "", "no-examples", f"`x.{kind}` has no examples", "is it the right file?") for kind in KINDS[:4]),
        *((f"x.{kind}", f"text{between}label\n", "no-examples", f"`x.{kind}` has no examples", "is it the right file?") for kind, between in (("csv", ","), ("tsv", "\t"))),
        ("x.csv", "\n\n", "no-examples", "`x.csv` has no examples", "is it the right file?"),
        ("x.csv", "text,lable\na,0\n", "missing-column", "`x.csv` has no column `label`", "did you mean `lable`?"),
        ("x.csv", " text , label \na,0\n", "missing-column", "`x.csv` has no column `text`", "did you mean ` text `?"),
        ("x.csv", "text,label\na,0\nb,1\n".encode("utf-16"), "not-utf8", "x.csv:1: this is not UTF-8: it looks like UTF-16 (byte 1)", "save it as UTF-8"),
        ("x.tsv", "text\tlabel\na\t0\nb\t1\n".encode("utf-16-le"), "not-utf8", "x.tsv:1: this is not UTF-8: it looks like UTF-16", "save it as UTF-8"),
        ("x.json", '[{"text": "a", "label": 1}]'.encode("utf-16-be"), "not-utf8", "x.json:1: this is not UTF-8: it looks like UTF-16", "save it as UTF-8"),
        ("x.csv", "text,label\na,0\nnaïve,1\n".encode("latin-1"), "not-utf8", "x.csv:3: this is not UTF-8: it looks like another encoding (byte 18)", "save it as UTF-8"),
        ("x.tsv", "text\tlabel\n“a”\t0\n".encode("cp1252"), "not-utf8", "x.tsv:2: this is not UTF-8: it looks like another encoding (byte 12)", "save it as UTF-8"),
        ("x.csv", b"text,label\na,0\nb\0,1\n", "not-a-text", "x.csv:3: this is no text: it has a NUL (byte 17)", "write it anew without the NUL"),
        ("x.jsonl", b'{"text": "a", "label": 1}\n{"text": "b\0", "label": 0}\n', "not-a-text", "x.jsonl:2: this is no text: it has a NUL (byte 38)", "without the NUL"),
        ("x.json", '[{"text": "a", "label": 1}', "bad-data-file", "x.json:1:27: this is not JSON: Expecting ',' delimiter", "one array of objects"),
        ("x.json", '{"text": "a", "label": 1}]', "bad-data-file", "x.json:1:26: this is not JSON: Extra data", "one object on each line"),
        ("x.jsonl", '{"text": "a", "label": [1]}\n', "bad-cell", "x.jsonl:1: `label` is an array: `[1]`", "write a text or a number"),
        ("x.json", '[{"text": 7, "label": "good"}, {"text": "b", "label": "bad"}]', "bad-cell", "x.json, entry 1: `text` is no text but `7`", "name a column of texts"),
        ("x.json", '[{"label": "good", "text": null}, {"text": "b", "label": "bad"}]', "missing-text", "x.json, entry 1: there is no text in `text`", "it may be empty"),
        ("x.parquet", "PAR1 and nothing more PAR1", "bad-data-file", None, "a file of another kind needs another ending"),
        ("x.xlsx", "PK", "unknown-file-type", "`x.xlsx` is of no kind that bitspec reads", "name a file whose name ends in"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["train", "dev"])
def test_files_of_another_form(
    bitspec: Bitspec, name: str, content: str | bytes, code: str, message: str | None, hint: str, where: str
) -> None:
    write(Path("right.csv"), RIGHT)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    files = (name, "right.csv") if where == "train" else ("right.csv", name)
    if message is None:  # a library's words are in it
        Path("s.bspec").write_text(SPEC.format(train=files[0], dev=files[1], metric="accuracy"), "utf-8")
        ran = bitspec("run", "s.bspec")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"error[{code}]: `{name}` is not a Parquet file: ")
        assert hint in ran.err
        return
    refused(bitspec, *files, code, message, hint)


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_byte_order_mark_is_fine(bitspec: Bitspec, mark: str) -> None:
    write(Path("train.csv"), RIGHT)
    Path("train.csv").write_text(mark + Path("train.csv").read_text("utf-8"), "utf-8")
    Path("s.bspec").write_text(SPEC.format(train="train.csv", dev="train.csv", metric="accuracy"), "utf-8")
    assert bitspec("plan", "s.bspec").code == 0


def test_parquet_with_a_column_twice(bitspec: Bitspec) -> None:
    table = pyarrow.table([["a"], ["b"], [1]], names=["text", "text", "label"])
    pyarrow.parquet.write_table(table, "x.parquet")
    message = "`x.parquet` has 2 columns called `text`"
    refused(bitspec, "x.parquet", "x.parquet", "repeated-column", message, "give all but one `text` another name")


def test_parquet_without_a_row(bitspec: Bitspec) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": [], "label": []}), "x.parquet")
    refused(bitspec, "x.parquet", "x.parquet", "no-examples", "`x.parquet` has no examples", "is it the right file?")


@pytest.mark.parametrize("kept", [4, 60, 0.5, 0.9, -1])
def test_parquet_that_was_cut(bitspec: Bitspec, kept: float) -> None:
    write(Path("x.parquet"), RIGHT)
    data = Path("x.parquet").read_bytes()
    Path("x.parquet").write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    Path("s.bspec").write_text(SPEC.format(train="x.parquet", dev="x.parquet", metric="accuracy"), "utf-8")
    ran = bitspec("run", "s.bspec")
    assert ran.code == 2
    assert ran.err.startswith("error[bad-data-file]: `x.parquet` is not a Parquet file: ")


# What is no file ------------------------------------------------------------------------------------------


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("where", ["train", "dev"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("make", "code", "message", "hint"),
    [
        (Path.mkdir, "not-a-file", "`x.{}` is a folder", "name a file in it"),
        (_pipe, "not-a-file", "`x.{}` is a pipe or a device, and no file", "write what it gives to a file"),
        (lambda path: path.symlink_to("/dev/zero"), "not-a-file", "`x.{}` is a pipe or a device, and no file", "write what it gives to a file"),
        (lambda path: path.symlink_to(path.name), "unreadable-file", "`x.{}` cannot be read: Too many levels of symbolic links", "check the path and its permissions"),
        (lambda path: path.symlink_to("gone"), "no-such-file", "there is no file `x.{}`", "it is a link to `gone`, and there is nothing"),
    ],
    ids=["folder", "pipe", "device", "loop", "link"],
)  # fmt: skip
def test_what_is_no_file(
    bitspec: Bitspec, make: Callable[[Path], Any], code: str, message: str, hint: str, kind: str, where: str
) -> None:
    write(Path("right.csv"), RIGHT)
    make(Path(f"x.{kind}"))
    files = (f"x.{kind}", "right.csv") if where == "train" else ("right.csv", f"x.{kind}")
    refused(bitspec, *files, code, message.format(kind), hint)


@pytest.mark.skipif(
    os.geteuid() == 0, reason="the superuser may read everything; tests/training has it as another user"
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_may_not_be_read(bitspec: Bitspec, kind: str) -> None:
    write(Path(f"x.{kind}"), RIGHT)
    Path(f"x.{kind}").chmod(0)
    message = f"`x.{kind}` cannot be read: Permission denied"
    refused(bitspec, f"x.{kind}", f"x.{kind}", "unreadable-file", message, "check the path and its permissions")


# The folder of GLUE ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code", "message", "hint"),
    [
        (lambda _: None, "no-such-folder", "there is no folder `glue`", "`--data-dir` names the folder that holds GLUE"),
        (lambda path: path.write_text("x", "utf-8"), "not-a-folder", "`glue` is a file", "name the folder that holds GLUE"),
        (Path.mkdir, "no-task-data", "`glue` has no folder `RTE`, which would hold the data of `rte`", "it has no folders in it"),
        (lambda path: (path / "RTE").mkdir(parents=True), "no-such-file", "there is no file `glue/RTE/train.tsv`", "there is nothing like it in"),
    ],
    ids=["nothing", "a file", "empty", "without files"],
)  # fmt: skip
def test_a_folder_without_glue(
    bitspec: Bitspec, make: Callable[[Path], Any], code: str, message: str, hint: str
) -> None:
    Path("s.bspec").write_text('study s\nmodel "builtin/nano"\ntask rte\nstrategy a = bias\n', "utf-8")
    make(Path("glue"))
    ran = bitspec("run", "s.bspec", "--data-dir", "glue")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: {message}\n --> s.bspec:3:6\n")
    assert hint in ran.err
