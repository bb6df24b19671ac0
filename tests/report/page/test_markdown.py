"""The report as Markdown: as it was when somebody last read it, and safe whatever it is of."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.report.page.contents import Report
from bitspec.report.page.figures import figures
from bitspec.report.page.markdown import as_markdown
from bitspec.store.connection import ENGINE
from tests.report.page.conftest import REPORTED, report_of
from tests.store.conftest import STARTED, Lab, failed

GOLDEN = Path(__file__).parent / "golden"


def settled(text: str) -> str:
    """The text without what another run of the tests would have otherwise: when the study ran, and keys."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(?! UTC)", "2026-07-01 12:00", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "0123456789ab", text)


def check(name: str, text: str, *, update: bool) -> None:
    file = GOLDEN / name
    if update:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(settled(text), "utf-8")
    assert settled(text) == file.read_text("utf-8"), "see what changed with `--update-golden`"


def test_a_report(report: Report, update_golden: bool) -> None:
    check("report.md", as_markdown(report, figures(report), "report-charts"), update=update_golden)


def test_a_report_of_a_study_that_has_not_gone_well(answer: Callable[..., Path], lab: Lab, update_golden: bool) -> None:
    store = answer(REPORTED.replace("seeds 0..2", "seeds 0"), skip=lambda cell: cell.trial.strategy == "upper")
    open_cells = [cell for cell in lab.begin(REPORTED) if cell.trial.strategy == "upper"]
    for cell in open_cells[:2]:
        lab.store.record_failure(
            lab.runs[-1], cell, failed(cell, "diverged", message="the loss is nan"), started=STARTED
        )
    check("trouble.md", as_markdown(report_of(store), with_trials=False), update=update_golden)


def tables(text: str) -> list[list[str]]:
    """The rows of each table."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_hostile_names_stay_in_their_places(hostile_report: Report) -> None:
    text = as_markdown(hostile_report, figures(hostile_report), "x-charts")
    body, _, _ = text.partition("The spec as it ran last")
    assert "<script" not in body
    assert "<img" not in body
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00-\x09\x0b-\x1f]", text)
    assert len(tables(text)) == 3
    for table in tables(text):
        assert len({len(re.split(r"(?<!\\)\|", row)) for row in table}) == 1
    assert re.findall(r"(?<!\\)\]\(([^)]*)\)", body) == [
        f"x-charts/{one.name}.svg" for one in figures(hostile_report).all
    ]


def test_a_spec_cannot_end_the_block_that_it_stands_in(answer: Callable[..., Path]) -> None:
    text = as_markdown(report_of(answer(REPORTED + "# ```\n# ````\n# <script>\n")))
    start = text.index("The spec as it ran last")
    fences = re.findall(r"^`{3,}.*$", text[start:], re.MULTILINE)
    assert fences == ["`````text", "`````"]


def test_code_of_a_remedy_is_code_whatever_it_says(answer: Callable[..., Path], lab: Lab) -> None:
    store = answer(REPORTED.replace("seeds 0..2", "seeds 0"))
    with ENGINE.writing(lab.store.read_path()) as connection:
        connection.execute("UPDATE base.runs SET spec = 'a` <script> `b.bspec'")
    text = as_markdown(report_of(store), with_trials=False)
    assert "``bitspec run 'a` <script> `b.bspec' --seeds 0..4``" in text


def test_without_figures_and_trials(report: Report) -> None:
    text = as_markdown(report, with_trials=False)
    assert "![" not in text
    assert "## Trials" not in text
    assert "Spearman" in text.partition("## Change")[2]


@pytest.mark.parametrize("heading", ["Questions", "Scores", "Change", "Warnings", "Provenance", "Trials"])
def test_sections(report: Report, heading: str) -> None:
    assert f"\n## {heading}\n" in as_markdown(report)
