"""Fingerprints of examples: what they depend on, and for how long they are remembered."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.ir.study import Task
from bitspec.training.examples import Examples, Split
from bitspec.training.tasks import read_task, task_fingerprint
from tests.training.made_glue import write_folder
from tests.training.own_tasks import NOWHERE, own_examples, own_task

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\r\n"), max_size=8)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 3)), min_size=2).filter(
        lambda rows: len({row[2] for row in rows}) > 1
    ),
    st.sampled_from(["accuracy", "pearson"]),
)
def test_the_same_rows_have_one_fingerprint_in_every_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], metric: str
) -> None:
    folder = tmp_path_factory.mktemp("own")
    names = ("a", "b", "label")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    with (folder / "f.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    (folder / "f.tsv").write_bytes("".join(f"{a}\t{b}\t{label}\n" for a, b, label in [names, *rows]).encode())
    (folder / "f.json").write_text(json.dumps(objects), "utf-8")
    (folder / "f.jsonl").write_text("\n".join(map(json.dumps, objects)), "utf-8")
    floats = [float(label) for label in columns["label"]]
    pyarrow.parquet.write_table(pyarrow.table(columns | {"label": floats}), folder / "f.parquet")
    found = {
        ending: read_task(own_task(f"f.{ending}", f"f.{ending}", ("a", "b"), metric), base=folder, data_dir=None)
        for ending in ("csv", "tsv", "json", "jsonl", "parquet")
    }
    assert len({examples.fingerprint for examples in found.values()}) == 1
    assert len(set(found.values())) == 1


EXAMPLES = Examples(
    "a",
    Split("training", (("a", "b"), ("c", "d")), (0, 1)),
    (Split("validation", (("e", "f"),), (1,)),),
    ("x", "y"),
    "f1",
)


def test_a_fingerprint_is_the_digest_of_the_rows() -> None:
    # Keys of trials are made of it: a change here trains everything again.
    rows = b"""["examples",1,2]
["training",2]
["a","b",0]
["c","d",1]
["validation",1]
["e","f",1]"""
    assert EXAMPLES.fingerprint == hashlib.sha256(rows).hexdigest()


def test_a_fingerprint_depends_on_what_a_model_sees_and_on_nothing_else() -> None:
    same = [
        dataclasses.replace(EXAMPLES, task="b"),
        dataclasses.replace(EXAMPLES, metric="accuracy"),
        dataclasses.replace(EXAMPLES, classes=("p", "q")),
    ]
    training, (validation,) = EXAMPLES.training, EXAMPLES.validation
    other = [
        dataclasses.replace(EXAMPLES, classes=("x", "y", "z")),
        *(
            dataclasses.replace(EXAMPLES, training=changed)
            for changed in (
                dataclasses.replace(training, labels=(1, 0)),
                dataclasses.replace(training, labels=(0.0, 1.0)),
                dataclasses.replace(training, texts=training.texts[::-1]),
                dataclasses.replace(training, texts=(("a", "b"), ("d", "c"))),
                dataclasses.replace(training, texts=(("ab", ""), ("c", "d"))),
                dataclasses.replace(training, texts=(("a",), ("b", "c", "d"))),
                Split("training", (*training.texts, *validation.texts), (0, 1, 1)),
            )
        ),
        dataclasses.replace(EXAMPLES, validation=()),
        dataclasses.replace(EXAMPLES, validation=(validation, validation)),
        dataclasses.replace(EXAMPLES, validation=(dataclasses.replace(validation, name="validation_mismatched"),)),
    ]
    assert {one.fingerprint for one in same} == {EXAMPLES.fingerprint}
    assert len({one.fingerprint for one in (EXAMPLES, *other)}) == 1 + len(other)


def _age(*files: Path) -> None:
    """Make files look as if they had been written a minute ago."""
    for file in files:
        before = time.time() - 60
        os.utime(file, (before, before))


def test_fingerprints_are_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, task = tmp_path / "cache", own_task()
    expected = own_examples(tmp_path, [0, 1], [1]).fingerprint
    files = (tmp_path / "train.csv", tmp_path / "dev.csv")

    def known() -> str | None:
        return task_fingerprint(task, base=tmp_path, data_dir=None, cache=cache)

    reads: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: reads.append(path) or read_bytes(path))  # type: ignore[func-returns-value]
    # What was written just now may be written again without a sign.
    assert known() == known() == expected
    assert len(reads) == 4
    assert not cache.exists()
    _age(*files)
    assert known() == known() == expected
    assert len(reads) == 6
    # Another path to the same file is the same file.
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert task_fingerprint(task, base=tmp_path / "link", data_dir=None, cache=cache) == expected
    assert len(reads) == 6
    # The same files, read otherwise, are something else.
    assert task_fingerprint(own_task(metric="pearson"), base=tmp_path, data_dir=None, cache=cache) != expected
    # Another content of the same size.
    own_examples(tmp_path, [1, 0], [1])
    assert known() not in {None, expected}
    own_examples(tmp_path, [0, 1], [1])
    _age(*files)
    reads.clear()
    read_task(task, base=tmp_path, data_dir=None, cache=cache)
    assert known() == expected
    assert len(reads) == 2


def test_a_file_of_another_size_or_time_is_another_file(tmp_path: Path) -> None:
    cache, files = tmp_path / "cache", (tmp_path / "train.csv", tmp_path / "dev.csv")
    found = []
    for labels, then in (([0, 1], 1_000), ([0, 1, 1], 1_000), ([1, 0, 0], 2_000), ([0, 1], 1_000)):
        own_examples(tmp_path, labels, [1])
        for file in files:
            os.utime(file, (then, then))
        found.append(task_fingerprint(own_task(), base=tmp_path, data_dir=None, cache=cache))
    assert len(set(found)) == 3
    assert found[0] == found[3]
    # As promised, nothing else is looked at.
    own_examples(tmp_path, [1, 0], [1])
    for file in files:
        os.utime(file, (1_000, 1_000))
    assert task_fingerprint(own_task(), base=tmp_path, data_dir=None, cache=cache) == found[0]


def test_a_memory_that_cannot_be_used_costs_time_only(tmp_path: Path) -> None:
    expected = own_examples(tmp_path, [0, 1], [1]).fingerprint
    _age(tmp_path / "train.csv", tmp_path / "dev.csv")
    (tmp_path / "file").touch()
    for cache in (None, tmp_path / "file", tmp_path / "file" / "deeper"):
        assert task_fingerprint(own_task(), base=tmp_path, data_dir=None, cache=cache) == expected
    good = tmp_path / "cache"
    assert task_fingerprint(own_task(), base=tmp_path, data_dir=None, cache=good) == expected
    (remembered,) = (good / "data").iterdir()
    for nonsense in (b"", b"no fingerprint", b"\xff" * 64, expected.encode() + b"\n"):
        remembered.write_bytes(nonsense)
        assert task_fingerprint(own_task(), base=tmp_path, data_dir=None, cache=good) == expected
        assert remembered.read_bytes() == expected.encode()
    assert len(list((good / "data").iterdir())) == 1


def test_a_fingerprint_loads_nothing_heavy(tmp_path: Path) -> None:
    expected = task_fingerprint(Task(name="rte"), base=NOWHERE, data_dir=write_folder(tmp_path, "rte"))
    program = f"""
import sys
from pathlib import Path
from bitspec.ir.study import Task
from bitspec.training.tasks import task_fingerprint
print(task_fingerprint(Task(name="rte"), base=Path(), data_dir=Path({str(tmp_path)!r})))
print(task_fingerprint(Task(name="rte"), base=Path(), data_dir=None))
print(*{{"torch", "transformers", "datasets", "evaluate", "numpy", "pyarrow", "sklearn", "scipy"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{expected}\nNone\n\n"
