"""Studies in which strategies select by gradients, and by what others changed, from `plan` to `show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch

from bitspec.ir.masks import places
from bitspec.parameters.cache import catalogue
from bitspec.store.store import Store
from bitspec.training.evidence import Before
from bitspec.training.model import prepare
from tests.cli.conftest import Bitspec
from tests.lab import SPEC, write_lab

FOLLOWING = SPEC.partition("strategy frozen")[0] + (
    "strategy most   = topk(bias, 20, by = change(bitfit))\n"
    "strategy bitfit = bias\n"
    "strategy least  = bottomk(bias, size(most), by = change(bitfit))\n"
    "strategy steep  = topk(all, 30, by = gradient(examples = 16))\n"
)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_lab(tmp_path, FOLLOWING)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows(sql: str, folder: str = "store") -> list[tuple[Any, ...]]:
    with duckdb.connect(f"{folder}/results.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_what_changed_most_is_trained_from_the_start_again(bitspec: Bitspec, lab: Path) -> None:
    planned = bitspec("plan", lab)
    assert "order: most and least after bitfit" in planned.out
    assert "known once it was run" in bitspec("show", lab).out

    ran = bitspec("run", lab)
    assert ran.code == 0, ran.err
    trained = {name: key for name, key in rows("select strategy, key from scores")}  # noqa: C416 - for its types
    store, facts = Store(Path("store")), catalogue("model", base=lab.parent)
    values = {name: store.values(key) for name, key in trained.items()}
    before = dict(prepare(lab.parent / "model", 2).model.named_parameters())
    moved: list[tuple[float, str, int]] = []
    bitfit = values["bitfit"]
    assert bitfit is not None
    for one in facts.parameters:
        tensor = bitfit.tensors.get(facts.full_name(one))
        if tensor is not None:
            change = np.abs(tensor.values - before[facts.full_name(one)].detach().numpy().ravel())
            moved += [(-float(size), one.name, place) for place, size in enumerate(change)]
    for strategy, expected in (("most", sorted(moved)[:20]), ("least", sorted((-a, b, c) for a, b, c in moved)[:20])):
        found = values[strategy]
        assert found is not None
        picked = {
            (one.name, int(place))
            for one in facts.parameters
            if (tensor := found.tensors.get(facts.full_name(one))) is not None
            for place in places(tensor.mask, tensor.shape)
        }
        assert picked == {(name, place) for _, name, place in expected}

    shown = bitspec("show", lab).out
    assert "most as trained on rated, seed 0" in shown
    assert "change(bitfit): how far another strategy of the study moved it; most, least" in shown
    assert "gradient(examples = 16): the size of the loss's gradient before training; steep" in shown
    summary = json.loads(bitspec("show", lab, "--json").out)["models"][0]["strategies"][0]
    assert (summary["least"], summary["most"], summary["trained_as"]) == (20, 20, "rated, seed 0")
    assert sum(cell["entries"] for cell in summary["cells"]) == 20
    assert bitspec("run", lab).out.startswith("nothing to train")


def test_processes_and_one_process_give_equal_numbers(bitspec: Bitspec, lab: Path) -> None:
    assert bitspec("run", lab, "--workers", "2", "--store", "two", "--pack", "off").code == 0
    assert bitspec("run", lab, "--workers", "1", "--store", "one", "--pack", "off").code == 0
    sql = "select strategy, score, loss, change, trainable from scores order by strategy"
    assert rows(sql, "one") == rows(sql, "two")


def test_only_what_follows_brings_what_it_follows(bitspec: Bitspec, lab: Path) -> None:
    ran = bitspec("run", lab, "--only", "least")
    assert ran.code == 0, ran.err
    assert rows("select strategy from scores order by strategy") == [("bitfit",), ("least",)]


def test_values_that_are_gone_are_trained_again(bitspec: Bitspec, lab: Path) -> None:
    assert bitspec("run", lab, "--only", "bitfit").code == 0
    (path,) = Path("store/values").glob("*.safetensors")
    path.unlink()
    planned = bitspec("plan", lab, "--only", "most")
    assert "1 values not kept" in planned.out
    assert "1 never trained" in planned.out
    ran = bitspec("run", lab, "--only", "most")
    assert ran.code == 0, ran.err
    assert rows("select count(*) from scores") == [(2,)]


def test_a_failure_is_told_of_all_that_follow(bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no gradient today")

    lab.write_text(FOLLOWING + "strategy next = topk(bias, 5, by = change(steep))\n", "utf-8")
    monkeypatch.setattr(Before, "gradient", broken)
    ran = bitspec("run", lab, "--only", "next", "--workers", "1")
    assert ran.code == 1
    assert "rated steep seed 0 failed: no gradient today" in ran.err
    assert "rated next seed 0 failed: it selects by what `steep` changed, and that has no result" in ran.err
    assert "help: see what became of `steep`, and run the same again" in ran.err


def test_values_that_go_in_the_midst_of_a_run_fail_what_needs_them(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "values", lambda *_: None)
    ran = bitspec("run", lab, "--only", "most", "--workers", "1")
    assert ran.code == 1
    assert (
        "failed: what `bitfit` changed is not known: its trained values are gone from the store, or damaged" in ran.err
    )
    assert "help: run the same again, and they are trained" in ran.err


def test_two_names_of_one_trial_can_both_be_followed(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(
        SPEC.partition("strategy frozen")[0]
        + "strategy a = all\nstrategy b = all\nstrategy c = topk(bias, 10, by = change(b))\n",
        "utf-8",
    )
    ran = bitspec("run", lab, "--workers", "1")
    assert ran.code == 0, ran.err
    assert rows("select count(*) from trials") == [(2,)]
