"""`bitspec plugins`, and what plugins add to other commands: charts, tasks, metrics and runners."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.installed import Site, site
from tests.lab import SPEC, write_lab
from tests.query.conftest import fill

__all__ = ["site"]

CHART = """
from bitspec.plugins import *

def draw(answer):
    import altair
    return altair.Chart(altair.Data(values=[{"n": len(answer.rows)}])).mark_bar().encode(x="n:Q")

def text(answer, width):
    return f"{len(answer.rows)} rows in {width} columns"

PLUGIN = Chart(surface=1, summary="how many there are", version="1", query="select avg(score) by strategy", draw=draw, text=text)
PLAIN = Chart(surface=1, summary="a table", version="1", query="select avg(score) by strategy, task", draw=draw)
WRONG = Chart(surface=1, summary="a wrong one", version="1", query="select avg(score) by strategy", draw=lambda answer: 5)
"""


@pytest.fixture
def charts(site: Site, tmp_path: Path) -> None:
    site.install("some-charts", {"bitspec.charts": {"counted": "PLUGIN", "plain": "PLAIN", "wrong": "WRONG"}}, CHART)
    fill(tmp_path / "store")


def test_what_is_installed_is_listed(bitspec: Bitspec, site: Site) -> None:
    site.install("some-charts", {"bitspec.charts": {"counted": "PLUGIN"}}, CHART, version="3.1")
    listed = bitspec("plugins")
    assert listed.code == 0
    assert "ranking  magnitude  bitspec" in listed.out
    assert "chart    counted    some-charts  3.1      how many there are" in listed.out
    found = json.loads(bitspec("plugins", "--format", "json").out)
    assert {
        "kind": "chart",
        "name": "counted",
        "package": "some-charts",
        "version": "3.1",
        "what it is": "how many there are",
    } in found


def test_what_is_broken_is_named_and_stops_nothing_else(bitspec: Bitspec, site: Site, tmp_path: Path) -> None:
    site.install("bad", {"bitspec.rules": {"bad": "PLUGIN"}, "bitspec.runners": {"worse": "PLUGIN"}}, "1 / 0")
    listed = bitspec("plugins")
    assert listed.code == 1
    assert "rule     bad        bad      1.0      broken: failed to be imported: ZeroDivisionError" in listed.out
    assert (
        "error[broken-plugin]: the rule `bad` of bad 1.0 failed to be imported: ZeroDivisionError: division by zero"
        in listed.err
    )
    spec = write_lab(tmp_path / "lab", SPEC)
    assert bitspec("check", spec).code == 0
    assert bitspec("plan", spec).code == 0
    ran = bitspec("run", spec, "--runner", "worse")
    assert ran.code == 2
    assert "the runner `worse` of bad 1.0 failed to be imported" in ran.err


def test_a_runner_that_is_not_there(bitspec: Bitspec, tmp_path: Path) -> None:
    ran = bitspec("run", write_lab(tmp_path / "lab", SPEC), "--runner=locl")
    assert ran.code == 2
    assert "error[unknown-runner]: there is no runner called `locl`\n  = help: did you mean `local`?" in ran.err


def test_an_option_of_a_runner_must_be_its_own(bitspec: Bitspec, site: Site, tmp_path: Path) -> None:
    code = (
        "from bitspec.plugins import *\n"
        "PLUGIN = Runner(surface=1, summary='x', version='1', make=dict, options=(Argument(name='device', takes='text', meaning='x'),))"
    )
    site.install("bad", {"bitspec.runners": {"odd": "PLUGIN"}}, code)
    ran = bitspec("run", write_lab(tmp_path / "lab", SPEC), "--runner", "odd")
    assert ran.code == 2
    assert "the runner `odd` has an option `--device`, which `bitspec run` has itself" in ran.err


@pytest.mark.usefixtures("charts")
def test_a_chart_is_text_or_a_file(bitspec: Bitspec, tmp_path: Path) -> None:
    assert "counted" in bitspec("plot", "--help").out
    shown = bitspec("plot", "counted")
    assert shown.code == 0, shown.err
    assert " rows in 100 columns\n" in shown.out
    assert "strategy" in bitspec("plot", "plain").out
    drawn = bitspec("plot", "counted", "-o", "chart.json")
    assert (drawn.code, drawn.err) == (0, "wrote chart.json\n")
    assert json.loads((tmp_path / "chart.json").read_text("utf-8"))["mark"]["type"] == "bar"


@pytest.mark.usefixtures("charts")
def test_what_is_wrong_with_a_chart_is_told(bitspec: Bitspec) -> None:
    assert (
        "error[cannot-narrow]: the chart `counted` does not tell one task from another"
        in bitspec("plot", "counted", "-t", "rte").err
    )
    wrong = bitspec("plot", "plain", "-s", "bitfi")
    assert (
        "error[unknown-name]: there is no strategy called `bitfi` in what the chart shows\n  = help: did you mean `bitfit`?"
        in wrong.err
    )
    drawn = bitspec("plot", "wrong", "-o", "chart.json")
    assert drawn.code == 2
    assert "the chart `wrong` of some-charts 1.0 failed to draw: AttributeError" in drawn.err
    assert "there is no chart called `countd`; did you mean `counted`?" in bitspec("plot", "countd").err


TASK = """
from bitspec.plugins import *

def read(folder):
    texts = [(f"w{number}", f"w{number + 1}") for number in range(20)]
    return Rows(texts, [number % 2 for number in range(20)]), Rows(texts[:8], [number % 2 for number in range(8)])

def broken(folder):
    return Rows([("a",)], [7]), Rows([("a",)], [0])

GOOD = Task(surface=1, summary="odd or even", version="1", classes=("even", "odd"), metric="agreed", read=read)
BAD = Task(surface=1, summary="odd or even", version="1", classes=("even", "odd"), metric="accuracy", read=broken)
METRIC = Metric(surface=1, summary="agreement", version="2", compute=lambda labels, found: float((labels == found).mean()))
NAN = Metric(surface=1, summary="no number", version="2", compute=lambda labels, found: float("nan"))
"""


@pytest.fixture
def tasks(site: Site) -> None:
    entries = {"bitspec.tasks": {"parity": "GOOD", "bad": "BAD"}, "bitspec.metrics": {"agreed": "METRIC", "nan": "NAN"}}
    site.install("some-tasks", entries, TASK)


def spec_of(folder: Path, task: str) -> Path:
    return write_lab(
        folder, f'study s model small = "model" {task} train {{ epochs = 1 batch_size = 8 }} strategy b = bias'
    )


@pytest.mark.usefixtures("tasks")
def test_a_task_and_its_metric_are_trained_and_scored(bitspec: Bitspec, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "task parity")
    assert "(parity)" in bitspec("show", spec).out
    ran = bitspec("run", spec, "--workers", "1")
    assert ran.code == 0, ran.err
    (key,) = Store(tmp_path / "store").statuses()
    asked = bitspec(
        "query",
        "select metric, score, metrics['agreed'] = metrics['accuracy'] as same, validation_examples from all_scores",
        "-f",
        "json",
    )
    (row,) = json.loads(asked.out)
    assert (row["metric"], row["same"], row["validation_examples"]) == ("agreed", True, 8)
    assert len(key) == 64


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("task bad", "a label of the training set is not the number of a class, 0 to 1"),
        (
            'task own { training = "train.csv" validation = "dev.csv" text = first label = rating metric = nan }',
            "ValueError: it returned nan",
        ),
    ],
)
def test_what_a_task_or_a_metric_does_wrong_is_told(bitspec: Bitspec, tmp_path: Path, task: str, said: str) -> None:
    ran = bitspec("run", spec_of(tmp_path, task), "--workers", "1")
    assert ran.code in {1, 2}
    assert said in ran.err
    assert "of some-tasks 1.0 failed to" in ran.err
