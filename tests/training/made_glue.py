"""A small GLUE of made-up sentences: as the usual folder, written by hand, and as the tables that the hub has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow

#: For each task the classes by name, as GLUE's own description lists them; None is a regression.
CLASSES: dict[str, list[str] | None] = {
    "cola": ["unacceptable", "acceptable"],
    "sst2": ["negative", "positive"],
    "mrpc": ["not_equivalent", "equivalent"],
    "stsb": None,
    "qqp": ["not_duplicate", "duplicate"],
    "mnli": ["entailment", "neutral", "contradiction"],
    "qnli": ["entailment", "not_entailment"],
    "rte": ["entailment", "not_entailment"],
    "wnli": ["not_entailment", "entailment"],
}

FOLDERS = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}

#: The columns of texts on the hub.
HUB_TEXTS = {
    "cola": ["sentence"],
    "sst2": ["sentence"],
    "qqp": ["question1", "question2"],
    "mnli": ["premise", "hypothesis"],
    "qnli": ["question", "sentence"],
} | {task: ["sentence1", "sentence2"] for task in ("mrpc", "stsb", "rte", "wnli")}

#: A line of each task's training file, its fields named after what stands in them; the header is the line above.
_LINES = {
    "cola": "src\t{number}\t*\t{a}",
    "sst2": "sentence\tlabel\n{a}\t{number}",
    "mrpc": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n{number}\t7\t8\t{a}\t{b}",
    "stsb": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    "{i}\tmain\tx\t2012\t{i}\tnone\tnone\t{a}\t{b}\t{number:.3f}",
    "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n{i}\t1\t2\t{a}\t{b}\t{number}",
    "mnli": "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n{i}\t1e\t{a}\t{b}\t{name}\t{name}",
    "qnli": "index\tquestion\tsentence\tlabel\n{i}\t{a}\t{b}\t{name}",
    "rte": "index\tsentence1\tsentence2\tlabel\n{i}\t{a}\t{b}\t{name}",
    "wnli": "index\tsentence1\tsentence2\tlabel\n{i}\t{a}\t{b}\t{number}",
}

#: For each split of the hub the file of the usual folder.
FILES = {"train": "train.tsv", "validation": "dev.tsv"}
MNLI_FILES = {
    "train": "train.tsv",
    "validation_matched": "dev_matched.tsv",
    "validation_mismatched": "dev_mismatched.tsv",
}


def files_of(task: str) -> dict[str, str]:
    return MNLI_FILES if task == "mnli" else FILES


def rows_of(task: str, split: str) -> list[tuple[str, str, Any]]:
    """Some rows of a split: two sentences, and the label as a number."""
    labels = [0, 1] if CLASSES[task] else [3.8, 0.0]
    labels += [2] if task == "mnli" else [4.667] if task == "stsb" else [1]
    return [
        (f"He said \"{task}'s {split} {i} ", f"naïve — \u2028{i}\" , '' ", label) for i, label in enumerate(labels * 2)
    ]


def write_folder(folder: Path, *tasks: str) -> Path:
    """The usual folder, with these tasks."""
    for task in tasks:
        (folder / FOLDERS[task]).mkdir(parents=True)
        for split, file in files_of(task).items():
            header, _, line = _LINES[task].rpartition("\n")
            classes = CLASSES[task]
            lines = [header] if header else []
            for i, (a, b, label) in enumerate(rows_of(task, split)):
                lines.append(line.format(i=i, a=a, b=b, number=label, name=classes[label] if classes else ""))
            # CoLA's last line has no end.
            text = "\n".join(lines) + "\n" * (task != "cola")
            (folder / FOLDERS[task] / file).write_bytes(text.encode())
    return folder


def hub_table(task: str, split: str) -> pyarrow.Table:
    """A split as the hub has it."""
    rows = rows_of(task, split)
    sentences = [[a for a, _, _ in rows], [b for _, b, _ in rows]]
    columns: dict[str, Any] = dict(zip(HUB_TEXTS[task], sentences, strict=False))
    kind = pyarrow.int64() if CLASSES[task] else pyarrow.float32()
    columns["label"] = pyarrow.array([label for *_, label in rows], kind)
    columns["idx"] = pyarrow.array(range(len(rows)), pyarrow.int32())
    return pyarrow.table(columns)
