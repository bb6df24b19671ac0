"""Plans: which cells a study has, what their keys depend on, and which of them are new."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.runners.plan import UNKNOWN, Plan
from bitspec.store.lookups import Durations, Pace
from tests.lab import SPEC
from tests.runners.runs import HEAD, planned
from tests.training.made_glue import write_folder


def keys(plan: Plan) -> list[str]:
    return sorted(cell.key for cell in plan.cells)


def rewritten(old: str, new: str) -> Callable[[Path], str]:
    def change(_: Path) -> str:
        assert old in SPEC
        return SPEC.replace(old, new)

    return change


def in_another_order(_: Path) -> str:
    head, *strategies = SPEC.strip().split("strategy ")
    return head.replace("epochs = 2  batch_size = 8", "batch_size = 8  epochs = 2") + "".join(
        f"\nstrategy {one}" for one in reversed(strategies)
    )


def from_another_folder(lab: Path) -> str:
    (lab / "model").rename(lab / "elsewhere")
    return SPEC.replace('"model"', '"elsewhere"')


def from_json(lab: Path) -> str:
    for name in ("train", "dev"):
        header, *lines = (lab / f"{name}.csv").read_text("utf-8").splitlines()
        rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
        (lab / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        (lab / f"{name}.csv").unlink()
    return SPEC.replace("train.csv", "train.jsonl").replace("dev.csv", "dev.jsonl")


def beside_others(lab: Path) -> str:
    shutil.copytree(lab / "model", lab / "copy")
    (lab / "copy" / "README.md").write_text("# A model", "utf-8")
    return SPEC.replace('"model"', '"copy"')


@pytest.mark.parametrize(
    "change",
    [
        rewritten('bitfit "BitFit" =', 'biases "All biases" =  # every one of them\n'),
        rewritten("= bias", "= bias | none"),
        rewritten("model small", "model other"),
        rewritten("task rated", "task judged"),
        rewritten('study lab "A study that takes a second"', "study another"),
        rewritten("1e-2 }", "1e-2 clip_norm = 1.0 dropout = config }"),
        in_another_order,
        from_another_folder,
        beside_others,
        from_json,
    ],
)
def test_what_changes_no_key(lab: Path, tmp_path: Path, change: Callable[[Path], str]) -> None:
    shutil.copytree(lab, tmp_path, dirs_exist_ok=True)
    assert keys(planned(change(tmp_path), tmp_path)) == keys(planned(SPEC, lab))


def another_weight(lab: Path) -> str:
    path = lab / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return SPEC


def another_vocabulary(lab: Path) -> str:
    path = lab / "model" / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace('"w1"', '"v1"'), "utf-8")
    return SPEC


def another_label(lab: Path) -> str:
    path = lab / "dev.csv"
    text, _, last = path.read_text("utf-8").strip().rpartition(",")
    path.write_text(f"{text},{'bad' if last == 'good' else 'good'}\n", "utf-8")
    return SPEC


@pytest.mark.parametrize(
    "change",
    [
        another_weight,
        another_vocabulary,
        another_label,
        rewritten("seeds 0", "seeds 1"),
        rewritten("text = first, second", "text = second, first"),
        rewritten("accuracy", "f1"),
        rewritten("epochs = 2", "epochs = 2  precision = bf16"),
        rewritten("batch_size = 8", "batch_size = 9"),
    ],
)
def test_what_changes_every_key(lab: Path, tmp_path: Path, change: Callable[[Path], str]) -> None:
    shutil.copytree(lab, tmp_path, dirs_exist_ok=True)
    before, now = planned(SPEC, lab), planned(change(tmp_path), tmp_path)
    assert not set(keys(before)) & set(keys(now))
    is_seed = {cell.trial.seed for cell in now.cells} == {1}
    assert ({cell.variant for cell in before.cells} == {cell.variant for cell in now.cells}) == is_seed


def test_cells_are_models_by_tasks_by_strategies_by_seeds(lab: Path, tmp_path: Path) -> None:
    shutil.copytree(lab, tmp_path, dirs_exist_ok=True)
    shutil.copytree(lab / "model", tmp_path / "copy")
    tasks = "task builtin/rte\n" + SPEC.replace("model small", 'model twin = "copy"\nmodel small').replace(
        "seeds 0", "seeds 3, 1"
    )
    spec = tasks.replace('strategy sample "Sample" = rand(all, 5%)', "")
    found = planned(spec.replace("study lab", "study lab", 1), tmp_path)
    places = [
        (cell.trial.model.name, cell.trial.task.name, cell.trial.strategy, cell.trial.seed) for cell in found.cells
    ]
    assert places == [
        (model, task, strategy, seed)
        for model in ("twin", "small")
        for task in ("builtin/rte", "rated")
        for strategy in ("frozen", "bitfit")
        for seed in (3, 1)
    ]
    assert {(cell.title, cell.position) for cell in found.cells} == {("Frozen", 0), ("BitFit", 1)}
    # Two names of one model: each trial serves two cells.
    assert (len(found.trials), found.shared) == (8, 8)
    assert [cell.trial.model.name for cell in found.trials] == ["twin"] * 8
    assert found.models["twin"] == found.models["small"]
    assert found.packs() == tuple((trial,) for trial in found.trials)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ((), {("builtin/rte", "a"), ("builtin/rte", "b"), ("rated", "a"), ("rated", "b")}),
        (("a",), {("builtin/rte", "a"), ("rated", "a")}),
        (("rte",), {("builtin/rte", "a"), ("builtin/rte", "b")}),
        (("builtin/rte", "b"), {("builtin/rte", "b")}),
        (("rated", "rte", "a"), {("builtin/rte", "a"), ("rated", "a")}),
    ],
)
def test_only_some_strategies_and_tasks(lab: Path, only: tuple[str, ...], expected: set[tuple[str, str]]) -> None:
    spec = HEAD + "task builtin/rte\nstrategy a = bias\nstrategy b = gamma\n"
    found = planned(spec, lab, only=only)
    assert {(cell.trial.task.name, cell.trial.strategy) for cell in found.cells} == expected
    assert set(found.data) == {task for task, _ in expected}
    assert set(keys(found)) <= set(keys(planned(spec, lab)))
    assert {cell.trial.strategy: cell.position for cell in found.cells}.items() <= {"a": 0, "b": 1}.items()


def test_data_that_is_not_asked_for_need_not_be_there(lab: Path, tmp_path: Path) -> None:
    spec = HEAD + "task cola\nstrategy a = bias\n"
    data = write_folder(tmp_path, "cola")
    assert len(planned(spec, lab, only=("cola",), data_dir=data).cells) == 1
    (tmp_path / "CoLA" / "dev.tsv").unlink()
    with pytest.raises(BitspecError, match=r"dev\.tsv"):
        planned(spec, lab, data_dir=data)
    assert len(planned(spec, lab, only=("rated",), data_dir=data).cells) == 1


def test_given_settings_take_the_place_of_every_block(lab: Path) -> None:
    spec = (
        SPEC
        + "train for bitfit { epochs = 5 }\ntrain for rated { batch_size = 3 }\ntrain for sample on rated { epochs = 7 }"
    )
    plain = planned(spec, lab)
    assert [cell.trial.settings.epochs for cell in plain.cells] == [2, 5, 7]
    given = planned(spec, lab, settings={"epochs": 4, "warmup": 6.0})
    assert {(one.trial.settings.epochs, one.trial.settings.warmup) for one in given.cells} == {(4, 6.0)}
    assert {one.trial.settings.batch_size for one in given.cells} == {3}
    # A setting says the same wherever it stands.
    written = SPEC.replace("epochs = 2  batch_size = 8", "epochs = 4  batch_size = 3  warmup = 6%")
    assert keys(given) == keys(planned(written, lab))


def test_what_is_new_and_why(lab: Path) -> None:
    spec = SPEC + "strategy fourth = gamma\nstrategy fifth = matrix\nstrategy again = bias\n"
    cells = planned(spec, lab).cells
    words = ("finished", "failed", "diverged", "values not kept")
    statuses = dict(zip([cell.key for cell in cells], words, strict=False)) | {"another": "finished"}
    found = planned(spec, lab, statuses)
    assert [cell.trial.strategy for cell in found.done] == ["frozen"]
    assert {cell.trial.strategy: found.reason(cell) for cell in found.new} == {
        "bitfit": "failed last time",
        "sample": "diverged last time",
        "fourth": "values not kept",
        "fifth": "never trained",
    }
    assert [pack[0].trial.strategy for pack in found.packs()] == ["bitfit", "sample", "fourth", "fifth"]
    assert found.shared == 1  # `again` says what `bitfit` says


def test_how_long_it_may_take(lab: Path) -> None:
    spec = SPEC + "train for bitfit { epochs = 5 }\ntask builtin/cola\n"
    found = planned(spec, lab)
    model, data = found.models["small"], found.data["rated"]
    assert found.time(Durations()) == (0, 0)
    paces = (
        Pace(model, data, "bias", 1, 2.0),
        Pace(model, data, "gamma", 4, 10.0),
        Pace("other", data, "none", 1, 1e6),
    )
    # 5 epochs of what was trained before; of the others, all selections on these data tell: 6 seconds, twice.
    assert found.time(Durations(paces)) == (5 * 2.0 + 2 * 2 * 6.0, 3)
    finished = dict.fromkeys([found.cells[0].key], "finished")
    assert planned(spec, lab, finished).time(Durations(paces)) == (5 * 2.0 + 2 * 6.0, 2)


def test_what_is_not_on_this_machine_is_not_fetched(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any) -> NoReturn:
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.setattr(socket, "getaddrinfo", asked)
    spec = SPEC.replace("model small", 'model far = "nobody/has-this"\nmodel small') + "task rte\n"
    found = planned(spec, lab)
    assert found.absent == ("nobody/has-this", "rte")
    assert (found.models["far"], found.data["rte"]) == (UNKNOWN, UNKNOWN)
    assert len(found.cells) == len(found.new) == 12
    here = planned(SPEC, lab)
    assert here.absent == ()
    assert set(keys(here)) == {
        cell.key for cell in found.cells if (cell.trial.model.name, cell.trial.task.name) == ("small", "rated")
    }


@pytest.mark.parametrize(("spec", "said"), [('"model"', "nowhere"), ("dev.csv", "nowhere.csv")])
def test_what_cannot_be_had_is_an_error(lab: Path, spec: str, said: str) -> None:
    with pytest.raises(BitspecError, match="nowhere"):
        planned(SPEC.replace(spec, '"./nowhere"' if said == "nowhere" else said), lab)
