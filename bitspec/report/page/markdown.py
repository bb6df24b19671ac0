"""The report as Markdown, as GitHub has it; its figures are files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from bitspec.query.formats import in_markdown, one_line
from bitspec.report.captions import correlation_text
from bitspec.report.page import words
from bitspec.report.page.contents import Report
from bitspec.report.page.tables import Cell, Table
from bitspec.report.sentences import sentence
from bitspec.report.verdicts import Finding, wording

if TYPE_CHECKING:
    from bitspec.report.page.figures import Figure, Figures


def as_markdown(report: Report, figures: Figures | None = None, folder: str = "", *, with_trials: bool = True) -> str:
    """The text. `figures` are in `folder`, as SVG; without them it has none."""
    lines = [f"# {in_markdown(report.title)}", "", _words(report.about), ""]
    for section in words.sections(report):
        if section.name == "trials" and not with_trials:
            continue
        lines += [f"## {section.heading}", "", *_section(section.name, report, figures, folder)]
    lines += ["---", "", in_markdown(words.footer(report))]
    return "\n".join(lines) + "\n"


def _section(name: str, report: Report, figures: Figures | None, folder: str) -> Iterator[str]:
    match name:
        case "questions":
            yield from _questions(report, figures, folder)
        case "scores":
            for table in report.tables:
                yield from _scores(report, table)
            yield from _figures(figures.scores if figures is not None else (), folder)
        case "changes":
            yield from _changes(report, figures, folder)
        case "warnings":
            yield from _cautions(report)
        case "provenance":
            yield from _provenance(report)
        case _:
            yield from _trials(report)


def _questions(report: Report, figures: Figures | None, folder: str) -> Iterator[str]:
    yield from (_words(words.questions(report)), "")
    for place, (question, findings) in enumerate(report.questions):
        yield from (f"### {in_markdown(question)}", "")
        yield from (_finding(report, finding) for finding in findings)
        yield ""
        figure = figures.questions[place] if figures is not None else None
        yield from _figures([figure] if figure is not None else [], folder)


def _finding(report: Report, finding: Finding) -> str:
    verdict = finding.verdict
    claim = in_markdown(wording(finding.expectation, report.titles))
    return f"- {words.SHAPES[verdict]} **{verdict}**: {claim}. {in_markdown(sentence(finding, report.titles))}"


def _figures(figures: Sequence[Figure], folder: str) -> Iterator[str]:
    for figure in figures:
        heading = f"Figure {figure.number}. {in_markdown(figure.heading)}"
        yield from (f"![{heading}]({quote(folder)}/{figure.name}.svg)", "")
        yield from (f"*{heading}.* {in_markdown('; '.join(figure.caption))}.", "")


def _scores(report: Report, table: Table) -> Iterator[str]:
    yield from (f"{in_markdown(words.table_caption(report, table))}:", "")
    headings = ["strategy", "parameters", "% of all", *table.columns]
    rows = (
        [row.title, row.entries_text, row.percent_text, *(_cell(table, cell) for cell in row.cells)]
        for row in table.rows
    )
    yield from _table(headings, rows, numbers=range(1, len(headings)), ready=range(3, len(headings)))
    yield from (_words(" ".join(words.table_notes(report, table))), "")


def _cell(table: Table, cell: Cell) -> str:
    mean = f"**{cell.mean_text}**" if cell.is_best else cell.mean_text
    reported = "".join(f"; {one.score:.1f} ({table.mark(one.source)})" for one in cell.reported)
    return f"{mean}{cell.spread_text}{reported}"


def _table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = (), ready: Sequence[int] = ()
) -> Iterator[str]:
    """A table; in the columns `ready`, cells are Markdown already."""
    yield _row(map(in_markdown, headings))
    yield _row("---:" if place in numbers else "---" for place in range(len(headings)))
    for row in rows:
        yield _row(cell if place in ready else in_markdown(cell) for place, cell in enumerate(row))
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _changes(report: Report, figures: Figures | None, folder: str) -> Iterator[str]:
    if figures is not None:
        yield from _figures(figures.changes, folder)
    elif report.association is not None:
        yield from (f"{in_markdown(correlation_text(report.association))}.", "")


def _cautions(report: Report) -> Iterator[str]:
    if not report.cautions:
        yield from (words.NO_CAUTION, "")
    for caution in report.cautions:
        yield f"- {_words(caution.text)}" + (f" {_code(caution.remedy)}" if caution.remedy else "")
        yield from (f"  - {_words(line)}" for line in caution.lines)
        if caution.more:
            yield f"  - and {caution.more:,} more"
    if report.cautions:
        yield ""


def _provenance(report: Report) -> Iterator[str]:
    provenance = report.provenance
    yield from (f"- {what}: {in_markdown('; '.join(lines))}" for what, lines in provenance.facts)
    yield from ("", f"{in_markdown(words.runs_caption(provenance))}:", "")
    yield from _table(words.RUN_HEADINGS, ((str(run.number), *words.run_cells(run)) for run in provenance.runs))
    for text in provenance.specs:
        fence = _fence(text.text)
        yield from (f"{in_markdown(text.heading)}:", "", f"{fence}text", text.text, fence, "")


def _fence(text: str) -> str:
    """A fence of more backticks than stand anywhere in a text."""
    return "`" * max(3, 1 + _backticks(text))


def _backticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _trials(report: Report) -> Iterator[str]:
    yield from (_words(words.trials(report)), "")
    several = len(report.runs.chosen.models) > 1
    headings = ["strategy", *(["model"] if several else []), "task", "seed", "score", "key"]
    rows = (
        [
            listed.title,
            *([listed.run.model] if several else []),
            listed.run.task,
            str(listed.run.seed),
            f"{listed.run.score:.2f}",
            listed.run.key[:12],
        ]
        for listed in report.trials
    )
    yield from _table(headings, rows, numbers=range(len(headings) - 3, len(headings) - 1))


def _words(text: str) -> str:
    """A text of the report's own words, in which code stands in backticks."""
    return "".join(_code(part) if is_code else in_markdown(part) for part, is_code in words.parts(text))


def _code(text: str) -> str:
    """A text as code, whatever stands in it."""
    marks = "`" * (1 + _backticks(text))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{space}{one_line(text)}{space}{marks}"
