"""What users name, and text from a store without anything that steers a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.report.choices import Ask, Cells, Choice, Chosen, asking, choose, printable
from tests.report.conftest import SMALL, Fill
from tests.store.conftest import Lab


def chosen(store: Path, choice: Choice) -> Chosen:
    return asking(store, lambda ask: choose(ask, choice))


def test_all_cells_with_their_numbers_of_runs(store: Path) -> None:
    found = chosen(store, Choice())
    assert (found.study, found.title, found.spec, found.heading) == (
        "moved",
        "What moved",
        "a/small.bspec",
        "What moved",
    )
    assert found.cells[:3] == (
        Cells("nano", "builtin/cola", "frozen", "Frozen", 0, 2, 2),
        Cells("nano", "builtin/rte", "frozen", "Frozen", 0, 2, 2),
        Cells("nano", "builtin/cola", "bitfit", "BitFit", 1, 2, 2),
    )
    assert found.models == ("nano",)
    assert found.tasks == ("builtin/cola", "builtin/rte")
    assert found.strategies == ("frozen", "bitfit", "sample", "gamma1")


def test_a_study_without_a_title_is_called_by_its_name(fill: Fill) -> None:
    found = chosen(fill(SMALL.replace(' "What moved"', "")), Choice())
    assert (found.title, found.heading) == (None, "moved")


def test_a_strategy_by_its_name_or_its_title(store: Path) -> None:
    assert chosen(store, Choice(strategies=("gamma1",))).strategies == ("gamma1",)
    assert chosen(store, Choice(strategies=("g_LN1", "Rand bias"))).strategies == ("sample", "gamma1")


def test_a_name_goes_before_the_same_title(fill: Fill) -> None:
    folder = fill(SMALL.replace('"BitFit"', '"gamma1"'))
    assert chosen(folder, Choice(strategies=("gamma1",))).strategies == ("gamma1",)


def test_the_choices_of_a_user_stand_in_the_order_of_the_spec(store: Path) -> None:
    found = chosen(store, Choice(tasks=("rte", "builtin/cola"), strategies=("gamma1", "frozen")))
    assert [(one.strategy, one.task) for one in found.cells] == [
        ("frozen", "builtin/cola"),
        ("frozen", "builtin/rte"),
        ("gamma1", "builtin/cola"),
        ("gamma1", "builtin/rte"),
    ]


def test_what_the_latest_run_did_not_cover_comes_last(lab: Lab) -> None:
    lab.run(SMALL.replace("task builtin/rte", "task builtin/cola, builtin/rte"), only=["bitfit"])
    lab.run(SMALL, only=["bitfit"], whole=False)
    found = chosen(lab.store.folder, Choice())
    assert [(one.task, one.planned) for one in found.cells] == [("builtin/rte", 2), ("builtin/cola", 2)]


def test_what_is_planned_and_not_finished_is_counted(fill: Fill) -> None:
    folder = fill(skip=lambda cell: cell.trial.strategy == "bitfit" and cell.trial.seed == 1)
    assert [(one.planned, one.finished) for one in chosen(folder, Choice()).cells] == [(2, 2), (2, 1), (2, 2), (2, 2)]


def test_many_names_are_counted_and_not_listed(fill: Fill) -> None:
    spec = SMALL.replace("seeds 0, 1", "seeds 0") + "for n in 1..20 { strategy s_$n = rand(bias, $n) }"
    folder = fill(spec, skip=lambda cell: cell.trial.strategy != "frozen")
    with pytest.raises(BitspecError) as caught:
        chosen(folder, Choice(strategies=("nothing like it",)))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == "there is no strategy called `nothing like it` in the study `moved`"
    assert diagnostic.help == "there are 24 of them"


def test_nothing_finished_of_what_was_chosen(fill: Fill) -> None:
    folder = fill(skip=lambda cell: cell.trial.strategy != "frozen")
    with pytest.raises(BitspecError) as caught:
        chosen(folder, Choice(strategies=("BitFit", "sample")))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "nothing-finished"
    assert diagnostic.message == "no trial of `bitfit` and `sample` is finished in the study `moved`"
    assert diagnostic.help == "train them with `bitspec run a/small.bspec`"


# Text of strangers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("BitFit", "BitFit"),
        ("b ⊂ θ, größer, 偏置, אב", "b ⊂ θ, größer, 偏置, אב"),
        ("a\x1b[31mb", "a�[31mb"),
        ("a\nb\tc\x00\x7f\x9b", "a�b�c���"),
        ("\u202egnp.exe", "�gnp.exe"),  # from right to left
        ("a\u200b\ufeff\u2066b", "a���b"),
        ("\ud800", "�"),
        (["a\nb", ["c\x1b"]], ["a�b", ["c�"]]),
        ({"a\n": {"b": "c\n"}}, {"a�": {"b": "c�"}}),
        ([], []),
        ([1, 2.5], [1, 2.5]),
        (None, None),
        (True, True),
    ],
)
def test_only_characters_to_be_read_come_out(value: Any, expected: Any) -> None:
    assert printable(value) == expected


def test_every_text_of_a_store_is_cleaned(fill: Fill) -> None:
    folder = fill(SMALL.replace('"BitFit"', '"Bit\u202eFit"').replace('"What moved"', '"What\u200fmoved"'))
    found = chosen(folder, Choice())
    assert found.heading == "What�moved"
    assert found.cells[1].title == "Bit�Fit"


def test_the_parameters_of_a_question_are_no_part_of_it(store: Path) -> None:
    def answer(ask: Ask) -> list[tuple[Any, ...]]:
        return ask("SELECT $1, $2", ("'; DROP TABLE studies", 3))

    assert asking(store, answer) == [("'; DROP TABLE studies", 3)]


def test_a_title_that_several_strategies_have_names_none(fill: Fill) -> None:
    store = fill(SMALL.replace('"Rand bias"', '"BitFit"'))
    with pytest.raises(BitspecError) as found:
        chosen(store, Choice(strategies=("BitFit",)))
    (diagnostic,) = found.value.diagnostics
    assert (diagnostic.code, diagnostic.help) == ("ambiguous-name", "give the name of one of them")
    assert diagnostic.message == "`BitFit` is the title of `bitfit` and `sample` in the study `moved`"


def test_line_separators_are_control_characters_too() -> None:
    assert printable("a\u2028b\u2029c") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
