"""`bitspec report`, as a user types it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Bitspec
from tests.report.conftest import filled_store
from tests.report.page.conftest import REPORTED


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a finished study."""
    return filled_store(tmp_path_factory.mktemp("reports") / "store", REPORTED)


@pytest.fixture
def store(filled: Path) -> Path:
    """The same in the working directory, where it is looked for if nothing is said."""
    Path("store").symlink_to(filled)
    return filled


@pytest.mark.usefixtures("store")
def test_a_page(bitspec: Bitspec) -> None:
    ran = bitspec("report", "-o", "report.html")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.endswith("wrote report.html\n")  # said alone, unless the machine is slow
    text = Path("report.html").read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    assert "What was asked" in text
    assert "bitspec report -o report.html" in text


@pytest.mark.usefixtures("store")
def test_figures_of_an_earlier_report_do_not_stay(bitspec: Bitspec) -> None:
    Path("x-charts").mkdir()
    for name in ("question-9.svg", "heatmap-7.svg", "mine.svg", "bars.pdf"):
        Path("x-charts", name).write_text("", "utf-8")
    assert bitspec("report", "-o", "x.md", "--task", "rte").code == 0
    there = {picture.name for picture in Path("x-charts").iterdir()}
    assert {"mine.svg", "bars.pdf", "bars.svg"} <= there
    assert not there & {"question-9.svg", "heatmap-7.svg"}


@pytest.mark.parametrize(("name", "ending", "start"), [("a/x.md", ".svg", b"<svg"), ("a/x.tex", ".pdf", b"%PDF")])
@pytest.mark.usefixtures("store")
def test_figures_lie_beside_a_text(bitspec: Bitspec, name: str, ending: str, start: bytes) -> None:
    assert bitspec("report", "-o", name, "--task", "rte").code == 0
    text = Path(name).read_text("utf-8")
    pictures = sorted(Path("a/x-charts").iterdir())
    assert [picture.name for picture in pictures] == sorted(
        f"{one}{ending}" for one in ("bars", "curves", "heatmap-1", "pareto", "question-1", "question-2", "scatter")
    )
    for picture in pictures:
        assert f"x-charts/{picture.name}" in text
        assert picture.read_bytes().startswith(start)


@pytest.mark.usefixtures("store")
def test_a_pipe_gets_markdown(bitspec: Bitspec) -> None:
    ran = bitspec("report")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# What was asked\n\nThis study fine-tunes the model nano")
    assert "| BitFit | 260 | 0.750 | **50.1** ± 0.4 (3); 56.4 (a) |" in ran.out
    assert "## Trials" in ran.out


@pytest.mark.usefixtures("store")
def test_a_spec_brings_its_own_questions(bitspec: Bitspec) -> None:
    Path("more.bspec").write_text(
        REPORTED.replace(
            'question "Is BitFit better?"', 'question "Is it?" { expect upper > frozen } question "Else?"'
        ),
        "utf-8",
    )
    ran = bitspec("report", "more.bspec", "--store", "store/results.duckdb")
    assert ran.code == 0, ran.err
    assert "### Is it?\n\n- ○ **undecided**: Upper &gt; Frozen." in ran.out
    assert "The spec of this report, more.bspec" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "x.pdf"), "`.pdf` is no form of a report"),
        (("-o", "x"), "give it the ending `.html`, `.md` or `.tex`"),
        (("-o", "store/results.duckdb/x.md"), "cannot be written"),
        (("--store", "nowhere"), "train a study with `bitspec run SPEC`"),
        (("--study", "askde"), "did you mean `asked`?"),
        (("-t", "mrpc"), "there is no task called `mrpc` in the study `asked`"),
        (("-m", "nanoo"), "did you mean `nano`?"),
        (("nowhere.bspec",), "error[no-such-file]"),
        (("wrong.bspec",), "error[unknown-name]"),
        (("library.bspec",), "no study"),
        (("other.bspec",), "there is no study called `other` in the store"),
    ],
)
@pytest.mark.usefixtures("store")
def test_mistakes(bitspec: Bitspec, arguments: tuple[str, ...], said: str) -> None:
    Path("wrong.bspec").write_text(REPORTED.replace("expect gammas", "expect gamas"), "utf-8")
    Path("library.bspec").write_text("group a = bias where role == q", "utf-8")
    Path("other.bspec").write_text(REPORTED.replace("study asked", "study other"), "utf-8")
    ran = bitspec("report", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not list(Path().glob("x*"))


def test_a_wrong_ending_is_told_before_the_store_is_read(bitspec: Bitspec) -> None:
    assert "error[unknown-form]" in bitspec("report", "--store", "nowhere", "-o", "report.docx").err


@pytest.mark.usefixtures("store")
def test_a_terminal_gets_a_text_to_read(bitspec: Bitspec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    ran = bitspec("report")
    assert ran.code == 0
    assert "What was asked" in ran.out
    assert "| ---" not in ran.out
    assert "Trials" not in ran.out
    assert "write it as a page with its figures with `-o report.html`" in ran.err


@pytest.mark.parametrize(
    ("output", "loaded"), [((), ""), pytest.param(("-o", "x.html"), " altair", marks=pytest.mark.slow)]
)
def test_nothing_heavy_is_loaded(
    process: Callable[..., subprocess.CompletedProcess[str]], filled: Path, output: tuple[str, ...], loaded: str
) -> None:
    before = """
import atexit, sys
heavy = ("torch", "transformers", "datasets", "evaluate", "sklearn", "pyarrow", "huggingface_hub", "altair", "pandas")
atexit.register(lambda: print("LOADED", *[name for name in heavy if name in sys.modules]))
"""
    ran = process("report", "--store", filled, *output, before=before)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith(f"LOADED{loaded}\n")
