"""The finished runs of a study: those that were chosen, by place, in the order of the spec."""

from __future__ import annotations

import math
from pathlib import Path

from bitspec.report.choices import Choice
from bitspec.report.runs import read_runs
from tests.report.conftest import SMALL
from tests.store.conftest import Lab


def test_runs_of_a_place_differ_in_their_seed(store: Path) -> None:
    found = read_runs(store, Choice())
    assert len(found.all) == 4 * 2 * 2
    assert list(found.by_place)[:3] == [
        ("nano", "builtin/cola", "frozen"),
        ("nano", "builtin/rte", "frozen"),
        ("nano", "builtin/cola", "bitfit"),
    ]
    assert all([run.seed for run in own] == [0, 1] for own in found.by_place.values())
    assert found.titles["sample"] == "Rand bias"
    assert found.study is not None
    assert found.study.name == "moved"


def test_only_what_was_chosen_is_read(store: Path) -> None:
    found = read_runs(store, Choice(tasks=("rte",), strategies=("bitfit",)))
    assert [(run.task, run.strategy, run.seed) for run in found.all] == [("builtin/rte", "bitfit", s) for s in (0, 1)]
    assert found.at("nano", "builtin/cola", "bitfit") == ()


def test_a_score_that_is_no_number_is_no_run(lab: Lab) -> None:
    for cell in lab.begin(SMALL):
        lab.record(cell, score=math.nan if cell.trial.strategy == "bitfit" and cell.trial.seed else 60.0)
    found = read_runs(lab.store.folder, Choice())
    assert [run.seed for run in found.at("nano", "builtin/rte", "bitfit")] == [0]
    assert [run.seed for run in found.at("nano", "builtin/rte", "frozen")] == [0, 1]
