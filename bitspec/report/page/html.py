"""The report as a page: one file that asks nobody for anything.

What a spec or a store says is escaped where it is put in, and the page's policy lets no script run but its own two.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from bitspec.diagnostics import counted
from bitspec.query.formats import one_line
from bitspec.report.charts.output import library
from bitspec.report.page import words
from bitspec.report.page.cautions import Caution
from bitspec.report.page.contents import Report
from bitspec.report.page.provenance import Provenance
from bitspec.report.page.tables import Cell, Row, Table
from bitspec.report.sentences import count_verdicts, sentence
from bitspec.report.verdicts import Finding, wording

if TYPE_CHECKING:
    from bitspec.report.page.figures import Figure, Figures


#: Trials beyond which their list is folded at first.
_UNFOLDED = 200


def as_html(report: Report, figures: Figures) -> str:
    """The page."""
    charts = {_chart_id(figure): figure.chart for figure in figures.all}
    script = _part("page.js")
    return Template(_part("page.html")).substitute(
        hashes=" ".join(map(_hash, (library(), script))),
        version=_text(report.made.version),
        study=_text(report.study),
        title=_text(report.title),
        about=_text(report.about),
        style=_part("page.css"),
        contents=_contents(report),
        body="\n".join(_body(report, figures)),
        footer=_text(words.footer(report)),
        # A text from a spec must not end the script that it stands in.
        charts=json.dumps(charts, ensure_ascii=False).replace("<", "\\u003c"),
        library=library(),
        script=script,
    )


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _text(text: str) -> str:
    """A text, in an attribute too."""
    return html.escape(one_line(text))


def _name(text: str) -> str:
    """A name of the user's: it may be written from right to left, and must not turn what stands beside it."""
    return f"<bdi>{_text(text)}</bdi>"


def _words(text: str) -> str:
    """A text of the report's own words, in which code stands in backticks."""
    return "".join(f"<code>{_text(part)}</code>" if is_code else _text(part) for part, is_code in words.parts(text))


# The frame ----------------------------------------------------------------------------------------------------------


def _contents(report: Report) -> str:
    lines = []
    for section in words.sections(report):
        note = f' <span class="counts">{_text(section.note)}</span>' if section.note else ""
        lines.append(f'<li><a href="#{section.name}">{_text(section.heading)}</a>{note}')
        if section.name == "questions" and report.questions:
            lines.append("<ul>")
            lines += [
                f'<li><a href="#question-{place}">{_name(question)}</a> '
                f'<span class="counts">{_text(count_verdicts(findings))}</span></li>'
                for place, (question, findings) in enumerate(report.questions, start=1)
            ]
            lines.append("</ul>")
        lines.append("</li>")
    return "<ul>\n" + "\n".join(lines) + "\n</ul>\n"


def _body(report: Report, figures: Figures) -> Iterator[str]:
    parts: dict[str, Callable[[], Iterable[str]]] = {
        "questions": lambda: _questions(report, figures),
        "scores": lambda: (*_tables(report), *map(_figure, figures.scores)),
        "changes": lambda: map(_figure, figures.changes),
        "warnings": lambda: _cautions(report.cautions),
        "provenance": lambda: _provenance(report.provenance),
        "trials": lambda: _trials(report),
    }
    for section in words.sections(report):
        yield f'<section id="{section.name}" aria-labelledby="{section.name}-heading">'
        yield f'<h2 id="{section.name}-heading">{_text(section.heading)}</h2>'
        yield from parts[section.name]()
        yield "</section>"


# Questions ----------------------------------------------------------------------------------------------------------


def _questions(report: Report, figures: Figures) -> Iterator[str]:
    yield f"<p>{_words(words.questions(report))}</p>"
    for place, ((question, findings), figure) in enumerate(zip(report.questions, figures.questions, strict=True), 1):
        yield f'<h3 id="question-{place}">{_name(question)}</h3>'
        yield '<ul class="findings">'
        yield from (_finding(report, finding) for finding in findings)
        yield "</ul>"
        if figure is not None:
            yield _figure(figure)


def _finding(report: Report, finding: Finding) -> str:
    verdict = finding.verdict
    return (
        f'<li class="is-{verdict}"><p class="claim"><span class="verdict {verdict}">'
        f'<span aria-hidden="true">{words.SHAPES[verdict]}</span> {verdict}</span> '
        f"<code>{_name(wording(finding.expectation, report.titles))}</code></p>"
        f"<p>{_text(sentence(finding, report.titles))}</p></li>"
    )


# Figures and tables -------------------------------------------------------------------------------------------------


def _chart_id(figure: Figure) -> str:
    return f"chart-{figure.name}"


def _figure(figure: Figure) -> str:
    lines = "".join(f"<span>{_text(line)}</span>" for line in figure.caption)
    return (
        f'<figure id="figure-{figure.name}"><div class="chart" id="{_chart_id(figure)}"></div>'
        f"<figcaption><b>Figure {figure.number}. {_name(figure.heading)}</b><br>{lines}.</figcaption></figure>"
    )


def _table(caption: str, headings: Sequence[tuple[str, bool]], rows: Iterable[str], sorted_by: int = 0) -> str:
    """A table that can be sorted; a heading is its HTML, and whether its column is of numbers."""
    cells = "".join(
        f'<th scope="col"{_class(is_number)}{_sorted(place == sorted_by)}><button type="button">{heading}</button></th>'
        for place, (heading, is_number) in enumerate(headings)
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{_text(caption)}"><table>'
        f"<caption>{_text(caption)}</caption>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _sorted(is_sorted: bool) -> str:
    return ' aria-sort="ascending"' if is_sorted else ""


def _tables(report: Report) -> Iterator[str]:
    linked = {listed.place for listed in report.trials}

    for table in report.tables:
        headings = [("strategy", False), ("parameters", True), ("% of all", True)]
        headings += [(_name(column), True) for column in table.columns]
        rows = (_row(table, row, linked) for row in table.rows)
        yield _table(words.table_caption(report, table), headings, rows)
        yield from (f'<p class="note">{_words(note)}</p>' for note in words.table_notes(report, table))


def _row(table: Table, row: Row, linked: set[int]) -> str:
    entries = "" if row.entries is None else row.entries[0]
    percent = "" if row.percent is None else row.percent[0]
    cells = "".join(_cell(table, cell, linked) for cell in row.cells)
    return (
        f'<tr><th scope="row" data-value="{row.position}">{_name(row.title)}</th>'
        f'<td class="number" data-value="{entries}">{row.entries_text}</td>'
        f'<td class="number" data-value="{percent}">{_text(row.percent_text)}</td>{cells}</tr>'
    )


def _cell(table: Table, cell: Cell, linked: set[int]) -> str:
    mean = (
        f'<strong>{cell.mean_text}<span class="hidden"> (highest)</span></strong>' if cell.is_best else cell.mean_text
    )
    if cell.place in linked:
        mean = f'<a href="#trials-{cell.place}">{mean}</a>'
    spread = f'<span class="spread">{cell.spread_text}</span>' if cell.spread_text else ""
    reported = "".join(
        f'<span class="reported">{one.score:.1f} '
        f'<abbr title="{_text(one.source)}">{table.mark(one.source)}</abbr></span>'
        for one in cell.reported
    )
    value = "" if cell.mean is None else repr(cell.mean)
    return f'<td class="number" data-value="{value}">{mean}{spread}{reported}</td>'


def _trials(report: Report) -> Iterator[str]:
    several = len(report.runs.chosen.models) > 1
    headings = [("strategy", False), *([("model", False)] if several else []), ("task", False)]
    headings += [("seed", True), ("score", True), ("key", False)]
    rows, seen = [], set[int]()
    for listed in report.trials:
        run, place = listed.run, listed.place
        anchor = "" if place in seen else f' id="trials-{place}"'
        seen.add(place)
        model = f"<td>{_name(run.model)}</td>" if several else ""
        rows.append(
            f'<tr data-place="{place}"{anchor}>'
            f'<th scope="row" data-value="{listed.position}">{_name(listed.title)}</th>'
            f'{model}<td>{_name(run.task)}</td><td class="number" data-value="{run.seed}">{run.seed}</td>'
            f'<td class="number" data-value="{run.score!r}">{run.score:.2f}</td>'
            f'<td><code class="key" title="{_text(run.key)}">{_text(run.key)}</code></td></tr>'
        )
    state = " open" if len(rows) <= _UNFOLDED else ""
    printed = ' class="printed"' if len(rows) <= _UNFOLDED else ""
    yield f"<p>{_words(words.trials(report))}</p>"
    yield f"<details{printed}{state}><summary>{_text(counted(len(rows), 'trial'))}</summary>"
    yield _table("Trials: score in points, and the key that a trial is known by", headings, rows)
    yield "</details>"


# Warnings and provenance --------------------------------------------------------------------------------------------


def _cautions(cautions: Sequence[Caution]) -> Iterator[str]:
    if not cautions:
        yield f"<p>{words.NO_CAUTION}</p>"
        return
    yield '<ul class="cautions">'
    for caution in cautions:
        yield f"<li><p>{_words(caution.text)}</p>"
        if caution.lines:
            more = [f"and {caution.more:,} more"] if caution.more else []
            yield "<ul>" + "".join(f"<li>{_words(line)}</li>" for line in [*caution.lines, *more]) + "</ul>"
        if caution.remedy:
            yield f"<p><code>{_text(caution.remedy)}</code></p>"
        yield "</li>"
    yield "</ul>"


def _provenance(provenance: Provenance) -> Iterator[str]:
    yield "<dl>"
    for what, lines in provenance.facts:
        yield f"<dt>{_text(what)}</dt>" + "".join(f"<dd>{_text(line)}</dd>" for line in lines)
    yield "</dl>"
    rows = (
        f'<tr><th scope="row" data-value="{run.number}">{run.number}</th>'
        + "".join(f"<td>{_text(text)}</td>" for text in words.run_cells(run))
        + "</tr>"
        for run in provenance.runs
    )
    headings = [(heading, False) for heading in words.RUN_HEADINGS]
    yield _table(words.runs_caption(provenance), headings, rows, sorted_by=-1)
    for text in provenance.specs:
        code = "\n".join(_text(line) for line in text.text.split("\n"))
        heading = _text(text.heading)
        yield f'<details class="printed"><summary>{heading}</summary><pre><code>{code}</code></pre></details>'
