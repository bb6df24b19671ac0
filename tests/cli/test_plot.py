"""`bitspec plot`, as a user types it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.report.conftest import SPEC, moved
from tests.store.conftest import Lab


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a finished study."""
    lab = Lab(Store(tmp_path_factory.mktemp("plots") / "store"))
    for cell in lab.begin(SPEC):
        lab.record(cell, changes=moved(cell))
    return lab.store.folder


@pytest.fixture
def store(filled: Path) -> Path:
    """The same in the working directory, where it is looked for if nothing is said."""
    Path("store").symlink_to(filled)
    return filled


@pytest.mark.usefixtures("store")
def test_numbers_for_a_pipe(bitspec: Bitspec) -> None:
    ran = bitspec("plot", "heatmap", "--task", "rte")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.startswith("What moved\n")
    assert "BitFit, 2 seeds\nmean |Δ|      1      2   Avg.\nb_q        0.15   0.45   0.30\n" in ran.out
    assert "Frozen" in ran.out
    assert "cola" not in ran.out


@pytest.mark.usefixtures("store")
def test_all_tasks_if_none_is_named(bitspec: Bitspec) -> None:
    out = bitspec("plot", "heatmap").out
    assert "BitFit · builtin/cola, 2 seeds" in out
    assert "BitFit · builtin/rte, 2 seeds" in out


@pytest.mark.parametrize(("name", "start"), [("x.html", b"<!DOCTYPE html>"), ("x.svg", b"<svg"), ("x.png", b"\x89PNG")])
@pytest.mark.usefixtures("store")
def test_files(bitspec: Bitspec, name: str, start: bytes) -> None:
    ran = bitspec("plot", "heatmap", "--task", "rte", "-o", name)
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {name}\n")
    assert Path(name).read_bytes().startswith(start)


def test_a_chart_is_narrowed_to_what_is_named(bitspec: Bitspec, filled: Path) -> None:
    arguments = ("--strategy", "gamma1", "-s", "bitfit", "-t", "rte", "-m", "nano", "--study", "moved")
    ran = bitspec("plot", "heatmap", *arguments, "--store", filled, "-o", "x.json")
    assert ran.code == 0, ran.err
    chart = json.loads(Path("x.json").read_text("utf-8"))
    titles = [panel["title"]["text"] for column in chart["hconcat"] for panel in column["vconcat"]]
    assert sorted(titles) == [["BitFit"], ["g_LN1"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("heatmap", "--task", "mrpc"), "error[unknown-name]: there is no task called `mrpc` in the study `moved`"),
        (("heatmap", "-s", "bitfit2"), "did you mean `bitfit`?"),
        (("heatmap", "-s", "frozen"), "error[nothing-trained]"),
        (("heatmap", "-o", "x.pgn"), "did you mean `.png`?"),
        (("heatmap", "--store", "nowhere"), "train a study with `bitspec run SPEC`"),
        (("heatmp",), "there is no chart called `heatmp`; did you mean `heatmap`?"),
        (("forest",), "error[no-questions]: the study `moved` asks no question"),
        (
            ("nothing",),
            "there are `heatmap`, `bars`, `curves`, `scatter`, `pareto` and `forest`",
        ),
    ],
)
@pytest.mark.usefixtures("store")
def test_mistakes(bitspec: Bitspec, arguments: tuple[str, ...], said: str) -> None:
    ran = bitspec("plot", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not list(Path().glob("x.*"))


def test_a_wrong_ending_is_told_before_the_store_is_read(bitspec: Bitspec) -> None:
    assert "error[unknown-form]" in bitspec("plot", "heatmap", "--store", "nowhere", "-o", "heatmap.jpg").err


def test_the_charts_are_listed(bitspec: Bitspec) -> None:
    ran = bitspec("plot", "--help")
    assert ran.code == 0
    assert "How far each role moved in each layer" in ran.out
    assert "plot" in bitspec("--help").out


@pytest.mark.parametrize(
    ("output", "loaded"),
    [
        ((), ""),
        (("-o", "x.svg"), " altair"),
        *(pytest.param(("-o", name), " altair", marks=pytest.mark.slow) for name in ("x.html", "x.png")),
    ],
)
def test_nothing_heavy_is_loaded(
    process: Callable[..., subprocess.CompletedProcess[str]], filled: Path, output: tuple[str, ...], loaded: str
) -> None:
    before = """
import atexit, sys
heavy = ("torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pyarrow", "huggingface_hub", "altair", "pandas")
atexit.register(lambda: print("LOADED", *[name for name in heavy if name in sys.modules]))
"""
    began = time.monotonic()
    ran = process("plot", "heatmap", "--store", filled, *output, before=before)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith(f"LOADED{loaded}\n")
    assert time.monotonic() - began < 20  # it takes one or two; this only tells a download or a retry
