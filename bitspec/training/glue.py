"""What is known of tasks by name: GLUE's nine, in the usual folder and on the hub, and those that come with bitspec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bitspec.training.files import Ragged

#: Names that belong to bitspec.
BUILTIN: Final = "builtin/"

_TRUTH: Final = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Layout:
    """How a task's tab separated files are laid out, and what is in them.

    `text` and `label` are columns. `classes` are in the order of their numbers; a regression has none. `header` names
    the columns of files that have no line for them. `validation` are the files of the validation sets.
    """

    text: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    training: str = "train.tsv"
    validation: tuple[str, ...] = ("dev.tsv",)
    header: tuple[str, ...] | None = None
    ragged: Ragged = "longer"


@dataclass(frozen=True)
class Glue:
    """A task of GLUE: the name of its folder and the files in it, and its columns and validation splits on the hub."""

    folder: str
    layout: Layout
    hub_text: tuple[str, ...]
    hub_validation: tuple[str, ...] = ("validation",)


#: By the names on the hub. In QQP a few questions are broken over two lines, which GLUE itself leaves out.
GLUE: Final[Mapping[str, Glue]] = {
    "cola": Glue(
        "CoLA",
        Layout(
            ("sentence",), "label", ("unacceptable", "acceptable"), header=("source", "label", "original", "sentence")
        ),
        ("sentence",),
    ),
    "sst2": Glue("SST-2", Layout(("sentence",), "label", ("negative", "positive")), ("sentence",)),
    "mrpc": Glue(
        "MRPC",
        Layout(("#1 String", "#2 String"), "Quality", ("not_equivalent", "equivalent")),
        ("sentence1", "sentence2"),
    ),
    "stsb": Glue("STS-B", Layout(("sentence1", "sentence2"), "score", ()), ("sentence1", "sentence2")),
    "qqp": Glue(
        "QQP",
        Layout(("question1", "question2"), "is_duplicate", ("not_duplicate", "duplicate"), ragged="skip"),
        ("question1", "question2"),
    ),
    "mnli": Glue(
        "MNLI",
        Layout(
            ("sentence1", "sentence2"),
            "gold_label",
            ("entailment", "neutral", "contradiction"),
            validation=("dev_matched.tsv", "dev_mismatched.tsv"),
        ),
        ("premise", "hypothesis"),
        ("validation_matched", "validation_mismatched"),
    ),
    "qnli": Glue("QNLI", Layout(("question", "sentence"), "label", _TRUTH), ("question", "sentence")),
    "rte": Glue("RTE", Layout(("sentence1", "sentence2"), "label", _TRUTH), ("sentence1", "sentence2")),
    "wnli": Glue("WNLI", Layout(("sentence1", "sentence2"), "label", _TRUTH[::-1]), ("sentence1", "sentence2")),
}

#: The generated tasks; their classes are those of the tasks that they are made after.
BUILTINS: Final[Mapping[str, Layout]] = {
    f"{BUILTIN}{name}": Layout(
        text, "label", GLUE[name].layout.classes, validation=("validation.tsv",), ragged="refuse"
    )
    for name, text in (
        ("cola", ("sentence",)),
        ("mrpc", ("sentence1", "sentence2")),
        ("rte", ("sentence1", "sentence2")),
    )
}
