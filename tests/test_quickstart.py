"""The quickstart, command by command as the README has it: in small here, whole in the slow tests."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layers import HEAVY, PROGRAM

STRATEGIES = ("bitfit", "frozen")

QUESTION = "select avg(score) by strategy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


def run(folder: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a user types it, offline, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bitspec", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def small(folder: Path, root: Path) -> Path:
    """The study with two strategies, one task and a single epoch; to start several processes takes longer."""
    spec = root / "specs" / "quickstart.bspec"
    only = [part for name in (*STRATEGIES, "rte") for part in ("--only", name)]
    done = run(folder, root, "run", str(spec), *only, "--set", "epochs=1", "--workers", "1")
    assert "2 trials finished" in done.stdout
    return folder


def scores(text: str) -> dict[str, float]:
    return {row["strategy"]: float(row["avg(score)"]) for row in csv.DictReader(io.StringIO(text))}


def test_the_readmes_commands_work_as_typed(small: Path, root: Path) -> None:
    asked = run(small, root, "query", QUESTION)
    lines = asked.stdout.splitlines()
    assert lines[0].split() == ["strategy", "avg(score)"]
    assert [line.split()[0] for line in lines[1:3]] == list(STRATEGIES)
    assert "quickstart" in lines[-1]
    assert scores(run(small, root, "query", QUESTION, "--format", "csv").stdout).keys() == set(STRATEGIES)
    assert "b_q" in run(small, root, "plot", "heatmap", "--task", "rte").stdout
    run(small, root, "plot", "heatmap", "--task", "rte", "-o", "heatmap.html")
    page = (small / "heatmap.html").read_text("utf-8")
    assert "builtin/rte" in page
    assert "<script src" not in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{root}/specs/quickstart.bspec", "--only", "rte", "--only", "bitfit", "--set", "epochs=1"],
        ["plan", "{root}/specs/quickstart.bspec"],
        ["query", QUESTION],
        ["plot", "heatmap", "--task", "rte"],
    ],
    ids=["run", "plan", "query", "plot"],
)
def test_where_nothing_is_trained_nothing_heavy_is_loaded(small: Path, root: Path, arguments: list[str]) -> None:
    given = [argument.format(root=root) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(arguments=given)],
        cwd=small,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert {"bitspec", "duckdb"} <= loaded
    assert not loaded & {*HEAVY, "pandas"}
    if arguments[0] == "run":
        assert "nothing to train: the one trial of quickstart finished before" in done.stdout


@pytest.mark.slow
def test_the_whole_quickstart(tmp_path: Path, root: Path) -> None:
    spec = root / "specs" / "quickstart.bspec"
    done = run(tmp_path, root, "run", str(spec))
    assert "42 trials finished" in done.stdout
    assert len(scores(run(tmp_path, root, "query", QUESTION, "--format", "csv").stdout)) == 14


@pytest.mark.slow
def test_biases_learn_what_a_head_alone_does_not(tmp_path: Path, root: Path) -> None:
    """Over three seeds BitFit is at least five points above Frozen on each task; not all is at a ceiling or at chance."""
    spec = root / "specs" / "quickstart.bspec"
    run(tmp_path, root, "run", str(spec), "--only", "bitfit", "--only", "frozen", "--seeds", "0..2")
    text = run(tmp_path, root, "query", "select mean(score) by task, strategy", "--format", "csv").stdout
    found = {(row["task"], row["strategy"]): float(row["mean(score)"]) for row in csv.DictReader(io.StringIO(text))}
    for task in ("builtin/cola", "builtin/mrpc", "builtin/rte"):
        assert found[task, "bitfit"] >= found[task, "frozen"] + 5
        assert 50 < found[task, "bitfit"] < 99
