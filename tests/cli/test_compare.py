"""`bitspec compare`, as a user types it."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Bitspec
from tests.report.conftest import filled_store


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a finished study."""
    return filled_store(tmp_path_factory.mktemp("compared") / "store")


@pytest.fixture
def store(filled: Path) -> Path:
    """The same in the working directory, where it is looked for if nothing is said."""
    Path("store").symlink_to(filled)
    return filled


@pytest.mark.usefixtures("store")
def test_two_strategies(bitspec: Bitspec) -> None:
    ran = bitspec("compare", "bitfit", "Gammas")
    assert (ran.code, ran.err) == (0, "")
    first, second, notes = ran.out.split("\n\n")
    assert first.splitlines()[0].split()[:3] == ["task", "strategy", "score"]
    assert first.splitlines()[3].split()[:5] == ["builtin/rte", "BitFit", "70.1", "±", "0.4"]
    assert second.splitlines()[3].split()[:2] == ["average", "+9.6"]
    assert "Supported." in notes


@pytest.mark.usefixtures("store")
def test_one_task_of_a_study(bitspec: Bitspec) -> None:
    ran = bitspec("compare", "bitfit", "gammas", "--task", "rte", "-m", "nano", "--study", "asked")
    assert ran.code == 0
    assert "cola" not in ran.out
    assert "fewer than six none below 0.05" in ran.out


@pytest.mark.usefixtures("store")
def test_forms(bitspec: Bitspec) -> None:
    ran = bitspec("compare", "bitfit", "gammas", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(row["task"], row["pairs"]) for row in rows] == [("builtin/cola", "3"), ("builtin/rte", "3"), ("", "6")]
    assert "Supported." in ran.err
    assert bitspec("compare", "bitfit", "gammas", "-f", "json").json()[2]["p"] == 2 / 64
    assert bitspec("compare", "bitfit", "gammas", "-f", "markdown").out.startswith("| task | strategy | score")
    latex = bitspec("compare", "bitfit", "gammas", "-f", "latex").out
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 2


def test_two_stores(bitspec: Bitspec, store: Path) -> None:
    shutil.copytree(store, "copy")
    for left, right in (("store", "copy"), ("./store", "copy/results.duckdb")):
        ran = bitspec("compare", left, right, "-s", "bitfit")
        assert ran.code == 0, ran.err
        assert "the same trial, by its key, with the same numbers to the last bit" in ran.out
    assert bitspec("compare", "store", "copy", "-f", "json", "-t", "rte", "-s", "bitfit").json()[0]["same"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bitfti", "gammas"), "did you mean `bitfit`?"),
        (("bitfit", "gammas", "--store", "nowhere"), "error[no-store]: there are no results in `nowhere`"),
        (("bitfit", "./nowhere"), "error[no-store]: there are no results in `nowhere`"),
        (("bitfit", "store"), "error[bad-comparison]: `store` is a store, and `bitfit` is none"),
        (("bitfit", "bitfit"), "error[bad-comparison]: `bitfit` is named twice"),
        (("bitfit",), "Error: Missing argument 'B'."),
        (("bitfit", "gammas", "-f", "xml"), "Invalid value for '-f'"),
    ],
)
@pytest.mark.usefixtures("store")
def test_mistakes(bitspec: Bitspec, arguments: tuple[str, ...], said: str) -> None:
    ran = bitspec("compare", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


WATCH = "import atexit, sys\natexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(sys.modules)))"


@pytest.mark.usefixtures("store")
def test_nothing_heavy_is_loaded(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = process("compare", "bitfit", "gammas", before=WATCH)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED ")[2].split())
    assert "bitspec.report.compare" in loaded
    assert not loaded & {"torch", "transformers", "datasets", "evaluate", "sklearn", "altair", "scipy.stats", "rich"}
