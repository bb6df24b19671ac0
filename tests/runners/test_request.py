"""Requests: what is asked of a study, narrowed and planned against a store."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import duckdb
import pytest

import bitspec
from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Failed
from bitspec.runners.protocol import Work
from bitspec.runners.request import Request, narrowed
from bitspec.store.store import Store
from tests.lab import SPEC
from tests.runners.runs import planned
from tests.store.conftest import STARTED, result, trained_values

STUDY = bitspec.loads(SPEC + "task builtin/rte\n")


def test_work_and_packs_travel_to_another_process(lab: Path) -> None:
    work = Work(bitspec.loads(SPEC), lab, lab / "glue", "cuda:1")
    packs = planned(SPEC, lab).packs()
    again, again_packs = pickle.loads(pickle.dumps((work, packs)))  # noqa: S301 - our own
    assert again == work
    assert again_packs == packs
    assert [pack[0].trial.key("a", "b") for pack in again_packs] == [pack[0].trial.key("a", "b") for pack in packs]


def test_other_models_and_seeds() -> None:
    other = narrowed(STUDY, models=("x/a", "b", "x/a"), seeds=(4, 2), only=())
    assert [(model.name, model.source, model.revision) for model in other.models] == [
        ("x/a", "x/a", None),
        ("b", "b", None),
    ]
    assert other.seeds == (4, 2)
    assert (other.strategies, other.tasks) == (STUDY.strategies, STUDY.tasks)
    assert narrowed(STUDY, models=(), seeds=None, only=("bitfit", "rated", "rte", "builtin/rte")) == STUDY


@pytest.mark.parametrize(("name", "hint"), [("bitfits", "`bitfit`"), ("rate", "`rated`"), ("zzzzzz", "bitspec show")])
def test_only_what_the_study_has(name: str, hint: str) -> None:
    with pytest.raises(BitspecError) as raised:
        narrowed(STUDY, models=(), seeds=None, only=("bitfit", name))
    (found,) = raised.value.diagnostics
    assert found.code == "unknown-name"
    assert f"`{name}`" in found.message
    assert hint in (found.help or "")


def test_a_library_is_nothing_to_run() -> None:
    with pytest.raises(BitspecError, match="nothing-to-run"):
        narrowed(bitspec.loads("group b = bias"), models=(), seeds=None, only=())


def request_(lab: Path, store: Path, **options: Any) -> Request:
    return Request(bitspec.loads(SPEC), Store(store), lab / "lab.bspec", SPEC, **options)


def test_paths_start_from_the_spec(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = request_(lab, tmp_path / "store", device="cpu", data_dir=tmp_path)
    assert asked.work == Work(asked.study, lab, tmp_path, "cpu", checkpoints=tmp_path / "store" / "checkpoints")
    assert [cell.key for cell in asked.plan().cells] == [cell.key for cell in planned(SPEC, lab).cells]
    assert not (tmp_path / "store").exists()


def test_what_is_finished_without_values_is_new_where_they_are_asked_for(lab: Path, tmp_path: Path) -> None:
    asked = request_(lab, tmp_path / "store")
    asked.store.prepare()
    plan = asked.plan()
    number = asked.begin(plan, "bitspec run lab.bspec")
    kept, unkept, failed = plan.new
    asked.store.record(number, kept, result(kept), trained_values(), started=STARTED)
    asked.store.record(number, unkept, result(unkept), started=STARTED)
    asked.store.record_failure(number, failed, Failed(failed.key, "diverged", "it did"), started=STARTED)
    again = asked.plan()
    assert again.done == (kept, unkept)
    wanted = request_(lab, tmp_path / "store", keep_values=True).plan()
    assert wanted.done == (kept,)
    assert [wanted.reason(cell) for cell in wanted.new] == ["values not kept", "diverged last time"]


@pytest.mark.parametrize("only", [(), ("bitfit",)])
def test_a_run_says_whether_it_covers_the_spec(lab: Path, tmp_path: Path, only: tuple[str, ...]) -> None:
    asked = request_(lab, tmp_path / "store", only=only, settings={"epochs": 1})
    asked.store.prepare()
    number = asked.begin(asked.plan(), "bitspec run lab.bspec")
    with duckdb.connect(asked.store.database, read_only=True) as connection:
        columns = "run, study, spec, spec_text, command, whole, len(keys), ended"
        row = connection.execute(f"select {columns} from base.runs").fetchone()  # noqa: S608
    spec = str(lab / "lab.bspec")
    assert row == (number, "lab", spec, SPEC, "bitspec run lab.bspec", not only, 1 if only else 3, None)
