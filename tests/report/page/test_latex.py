"""The report for LaTeX: well formed whatever it is of, and compiled where there is a LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.report.page.contents import Report
from bitspec.report.page.figures import figures
from bitspec.report.page.glyphs import declarations, stand_in
from bitspec.report.page.latex import as_latex
from bitspec.report.page.output import folder_of, save
from tests.report.page.conftest import REPORTED, report_of

ENGINES = ("pdflatex", *(pytest.param(engine, marks=pytest.mark.slow) for engine in ("xelatex", "lualatex")))


def uncommented(text: str) -> str:
    """The text without comments and without escaped characters."""
    return re.sub(r"\\[\\{}%&#$_]", "", re.sub(r"(?<!\\)%.*", "", text))


def check_form(text: str) -> None:
    """That braces and environments are balanced, and that each row of each table has as many cells as its head."""
    plain = uncommented(text.partition(r"\begin{document}")[2])
    depth = 0
    for char in plain:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for table in re.findall(r"(?s)\\begin\{longtable\}(.*?)\\end\{longtable\}", text):
        rows = re.findall(r"(?m)^(.*) \\\\$", table)
        assert len({len(re.split(r"(?<!\\)&", row)) for row in rows}) == 1
        assert not any(row.lstrip().startswith(("[", "*")) for row in rows)


def test_the_form_of_a_report(report: Report) -> None:
    text = as_latex(report, figures(report), "report-charts")
    check_form(text)
    assert r"\textbf{70.1} ± 0.4 (3)" in text
    assert r"\quad reported (a) &  &  & 56.4 & 70.5 & 63.5 \\" in text or r"63.4 \\" in text
    assert re.findall(r"\\drawing\{(report-charts/[\w-]+\.pdf)\}", text) == [
        f"report-charts/{figure.name}.pdf" for figure in figures(report).all
    ]


def test_the_form_of_a_hostile_report(hostile_report: Report) -> None:
    text = as_latex(hostile_report, figures(hostile_report), "x-charts")
    check_form(text)
    body = text.partition(r"\begin{document}")[2]
    assert r"\input" not in body
    assert "\u202e" not in body
    declared = {chr(int(code, 16)) for code in re.findall(r"\\orelse\{([0-9A-F]+)\}", text)}
    assert {char for char in body if not char.isascii()} <= declared


def test_columns_that_do_not_fit_go_on_below(answer: Callable[..., Path]) -> None:
    spec = REPORTED.replace("task builtin/cola, builtin/rte", "task builtin/cola, builtin/rte, mrpc, sst2, qnli, wnli")
    text = as_latex(report_of(answer(spec)))
    check_form(text)
    assert text.count("strategy & parameters") == 2


def test_what_stands_for_characters() -> None:
    assert [stand_in(char) for char in "éǘłΔρ±−中\ufffd"] == [
        r"\'{e}", r"\'{\"{u}}", r"\l{}", r"\ensuremath{\Delta}", r"\ensuremath{\rho}", r"\ensuremath{\pm}",
        r"\ensuremath{-}", r"\codepoint{4E2D}", r"\ensuremath{\diamond}",
    ]  # fmt: skip
    assert stand_in("ï") == r"\"{\i}"
    assert stand_in("ą") == "a"  # the accent is in few fonts
    assert "\\orelse{00E9}{\\'{e}}" in declarations("caf\u00e9 caf\u00e9")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [pytest.param("report", marks=pytest.mark.slow), "hostile_report"])
def test_it_compiles(request: pytest.FixtureRequest, tmp_path: Path, engine: str, name: str) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"there is no {engine} on this machine")
    save(request.getfixturevalue(name), tmp_path / "report.tex")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_names_of_folders() -> None:
    assert [folder_of(Path(name)) for name in ("report.tex", "a/my report #1.md", "§.tex", "x_y.z.tex")] == [
        "report-charts", "my-report-1-charts", "report-charts", "x-y.z-charts",
    ]  # fmt: skip
