"""Comparisons as tables, word for word; with titles that mean harm; and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bitspec.query.answer import Answer
from bitspec.query.formats import FORMATS, as_json, as_table
from bitspec.report.choices import Choice
from bitspec.report.compare import Strategies, read
from bitspec.report.stores import Stores
from bitspec.report.text import compare, stores
from bitspec.store.store import Store
from tests.report.conftest import SMALL, SPEC, Fill
from tests.store.conftest import Lab

GOLDEN = Path(__file__).parent / "compare.txt"

HOSTILE = ["<script>alert(1)</script>", "a | b & c", "\\input{/etc/passwd} $x$ 50% _y_", "x" * 300, "[2] *star*"]

#: A title that is all of it, for `make test`.
AT_ONCE = "<script> | & \\input{/etc/passwd} $x$ 50% _y_ [2] *star* " + "x" * 300
TITLES = [AT_ONCE, *(pytest.param(title, marks=pytest.mark.slow) for title in HOSTILE)]


def of(left: str, right: str, store: Path, **chosen: tuple[str, ...]) -> Strategies:
    found = read(left, right, store, Choice(**chosen))  # type: ignore[arg-type]
    assert isinstance(found, Strategies)
    return found


def notes(found: Strategies) -> Sequence[str]:
    return compare.tables(found)[-1].notes


def test_every_line(asked: Path, update_golden: bool) -> None:
    text = "".join(
        f"=== {form}\n" + "\n".join(FORMATS[form](table) for table in compare.tables(of("bitfit", "frozen", asked)))
        for form in ("table", "markdown", "latex")
    )
    if update_golden:
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_for_programs(asked: Path) -> None:
    rows = json.loads(as_json(compare.for_programs(of("bitfit", "gammas", asked))))
    assert [row["task"] for row in rows] == ["builtin/cola", "builtin/rte", None]
    row = rows[1]
    assert (row["a"], row["b"], row["model"], row["pairs"]) == ("bitfit", "gammas", "nano", 3)
    assert row["difference"] == pytest.approx(28.75 / 3)
    assert row["low"] < row["difference"] < row["high"]
    assert (row["p"], row["is_exact"], row["sampling"]) == (0.25, True, 0.0)
    assert (row["a_score"], row["b_score"]) == pytest.approx((70.0833333, 60.5))
    assert (row["a_n"], row["a_percent_min"], row["a_percent_max"], row["a_seconds"]) == (3, 0.75, 0.75, 6.0)
    assert rows[-1]["pairs"] == 6
    assert rows[-1]["p"] == 2 / 64


def test_one_test_and_its_verdict_stand_below(asked: Path) -> None:
    found = notes(of("bitfit", "gammas", asked))
    assert found[0] == "asked: BitFit less Gammas, paired by seed: n = 3 pairs on each task"
    assert found[1].startswith(
        "expect bitfit > gammas, asked alone: BitFit scores 9.6 points above Gammas on average over "
        "2 tasks, 6 pairs of runs (95 % interval "
    )
    assert "p = 0.031). Supported." in found[1]
    assert "corrected for" not in found[1]
    assert found[2] == "p: by sign flips, two-sided; those of single tasks are not corrected for their number"


def test_one_seed_has_no_interval_and_no_p(fill: Fill) -> None:
    found = of("bitfit", "gamma1", fill(SMALL.replace("seeds 0, 1", "seeds 0")))
    scores, differences = compare.tables(found)
    assert [row[1] for row in scores.rows] == ["BitFit", "g_LN1"]
    assert "±" not in as_table(scores)
    assert differences.rows[0][2:5] == (None, None, 1)
    assert "Undecided: with one seed nothing tells a difference from the luck of a run" in notes(found)[1]
    assert not [note for note in notes(found) if note.startswith("p:")]


def test_an_estimated_p_says_so(lab: Lab) -> None:
    spec = SMALL.replace("seeds 0, 1", "seeds 0..39").replace('strategy sample "Rand bias" = rand(bias, 10)\n', "")
    cells = lab.begin(spec)
    with lab.at_once():
        for cell in cells:
            if cell.trial.strategy in {"bitfit", "gamma1"}:
                lab.record(cell, predictions=())
    found = of("bitfit", "gamma1", lab.store.folder)
    assert str(compare.tables(found)[1].rows[0][3]).startswith("≈ ")
    assert "where it stands with ≈, from random flips" in " ".join(notes(found))


def test_what_is_not_as_it_should_be_is_said(fill: Fill) -> None:
    spec = SPEC + "train for gamma1 { learning_rate = 2e-3 }\nstrategy same = bias"
    folder = fill(spec, skip=lambda cell: cell.trial.strategy == "gamma1" and cell.trial.seed == 1)
    found = " | ".join(notes(of("bitfit", "gamma1", folder)))
    assert "learning_rate: 0.001 for BitFit, 0.002 for g_LN1" in found
    assert "2 runs of BitFit without a partner of the same seed" in found
    assert "not finished: g_LN1 on builtin/cola (1 of 2 runs); g_LN1 on builtin/rte (1 of 2 runs)" in found
    found = " | ".join(notes(of("bitfit", "same", folder)))
    assert "4 of 4 pairs are one trial: there BitFit and same train the same" in found


def test_nothing_in_common(fill: Fill) -> None:
    folder = fill(skip=lambda cell: (cell.trial.strategy == "bitfit") == (cell.trial.seed == 0))
    found = of("bitfit", "gamma1", folder)
    assert compare.tables(found)[1].rows == [("builtin/rte", None, None, None, 0, None)]
    assert notes(found)[0] == "moved: BitFit less g_LN1, without a pair"
    assert "Undecided: no seed of BitFit and g_LN1 is finished on the same task." in notes(found)[1]
    assert json.loads(as_json(compare.for_programs(found)))[0]["difference"] is None


def test_several_models(fill: Fill) -> None:
    spec = SMALL.replace('model nano = "builtin/nano"', 'model b = "two"\nmodel a = "one"')
    scores, differences = compare.tables(of("bitfit", "gamma1", fill(spec)))
    assert [row[:3] for row in scores.rows] == [
        ("b", "builtin/rte", "BitFit"),
        ("b", "builtin/rte", "g_LN1"),
        ("a", "builtin/rte", "BitFit"),
        ("a", "builtin/rte", "g_LN1"),
    ]
    assert [row[:2] for row in differences.rows] == [
        ("b", "builtin/rte"),
        ("a", "builtin/rte"),
        ("all models", "average"),
    ]


@pytest.mark.parametrize("title", TITLES)
def test_hostile_titles_stay_in_their_cells(fill: Fill, title: str) -> None:
    found = of("bitfit", "gamma1", fill(SMALL.replace('"BitFit"', f'"{title}"')))
    check_forms([*compare.tables(found), compare.for_programs(found)])


def check_forms(answers: Sequence[Answer]) -> None:
    """Every form keeps every cell in its column."""
    for answer in answers:
        width = len(answer.columns)
        assert len(json.loads(as_json(answer))) == len(answer.rows)
        lines = FORMATS["markdown"](answer).splitlines()[: 2 + len(answer.rows)]
        assert {line.replace("\\|", "").count("|") for line in lines} == {width + 1}
        assert "<script" not in FORMATS["markdown"](answer)
        rows = [line for line in FORMATS["latex"](answer).splitlines() if line.endswith("\\\\")]
        assert {line.replace("\\&", "").count("&") for line in rows} == {width - 1}


# Stores -----------------------------------------------------------------------------------------------------------------


def beside(left: Path, right: Path) -> Stores:
    found = read(str(left), str(right), left, Choice())
    assert isinstance(found, Stores)
    return found


@pytest.fixture
def two(lab: Lab) -> Any:
    """Fills two stores with the finished trials of a spec, with what is changed in the second one's results."""

    def fill(spec: str = SMALL, other: str = SMALL, **changed: Any) -> Stores:
        folders = []
        for name, text, change in (("left", spec, {}), ("right", other, changed)):
            one = Lab(Store(lab.store.folder.parent / name))
            cells = one.begin(text)
            with one.at_once():
                for cell in cells:
                    one.record(cell, **(change if (cell.trial.strategy, cell.trial.seed) == ("bitfit", 1) else {}))
            folders.append(one.store.folder)
        return beside(*folders)

    return fill


def test_a_repetition(two: Any) -> None:
    found = two()
    (table,) = stores.tables(found)
    assert [column.heading for column in table.columns] == [
        "task", "strategy", "left", "n", "right", "n", "difference (points)", "95 % interval", "same trials",
    ]  # fmt: skip
    assert [row[1] for row in table.rows] == ["Frozen", "BitFit", "Rand bias", "g_LN1"]
    assert {row[6:] for row in table.rows} == {("+0.0", "0.0 to 0.0", "2 of 2")}
    assert table.notes[1] == "8 of 8 pairs: the same trial, by its key, with the same numbers to the last bit"
    rows = json.loads(as_json(stores.for_programs(found)))
    assert rows[1] | {"a_score": 0, "b_score": 0} == {
        "model": "nano", "task": "builtin/rte", "strategy": "bitfit", "a_score": 0, "b_score": 0, "difference": 0.0,
        "low": 0.0, "high": 0.0, "a_n": 2, "b_n": 2, "pairs": 2, "same": 2, "identical": 2,
    }  # fmt: skip


def test_a_repetition_that_failed_is_told(two: Any) -> None:
    found = two(score=50.0)
    (note,) = (note for note in stores.tables(found)[0].notes if "which must not be" in note)
    (unlike,) = found.unlike
    assert note.startswith(
        f"1 trial with other numbers on the same device, threads and pack, which must not be: {unlike.left.key[:12]} "
        "(bitfit on builtin/rte, seed 1: "
    )
    assert "and 50)" in note


def test_another_device_may_round_otherwise(two: Any) -> None:
    text = " | ".join(stores.tables(two(score=50.0, device="cuda"))[0].notes)
    assert "7 of them with the same numbers to the last bit" in text
    assert "1 trial with other numbers, on another device, with other threads or in another pack" in text
    assert "must not be" not in text


def test_other_trials_and_what_only_one_has(two: Any) -> None:
    other = SMALL.replace("epochs = 1", "epochs = 2").replace("strategy gamma1", "strategy gammas")
    text = " | ".join(stores.tables(two(other=other))[0].notes)
    assert "6 of 6 pairs: different trials under the same names" in text
    assert "only in left: gamma1 on builtin/rte" in text
    assert "only in right: gammas on builtin/rte" in text
    assert "4 runs without a partner" in text


def test_many_cells_are_cut_and_said_to_be(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_ROWS", 3)
    (table,) = stores.tables(two())
    assert len(table.rows) == 3
    assert "the first 3 rows; `--format csv` gives all of them" in as_table(table)
    assert len(stores.for_programs(two()).rows) == 4


@pytest.mark.parametrize("title", TITLES)
def test_hostile_titles_in_stores(two: Any, title: str) -> None:
    spec = SMALL.replace('"BitFit"', f'"{title}"')
    found = two(spec, spec)
    check_forms([*stores.tables(found), stores.for_programs(found)])
