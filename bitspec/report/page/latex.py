"""The report for LaTeX: a document that pdfLaTeX, XeLaTeX and LuaLaTeX take; its figures are PDF files beside it.

It needs nothing but what every installation has: array, booktabs, geometry, graphicx, longtable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final
from unicodedata import category

from bitspec.query.formats import in_latex, one_line
from bitspec.report.captions import correlation_text
from bitspec.report.page import words
from bitspec.report.page.contents import Report
from bitspec.report.page.glyphs import declarations, stand_in
from bitspec.report.page.tables import Row, Table
from bitspec.report.sentences import sentence
from bitspec.report.verdicts import Finding, wording

if TYPE_CHECKING:
    from bitspec.report.page.figures import Figure, Figures


#: Columns of scores beside each other.
_COLUMNS: Final = 5

#: Stands for a character that must not be there.
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

#: Characters of a word after which a line may break.
_WORD: Final = 20

_PREAMBLE: Final = r"""\documentclass[11pt]{article}
\usepackage[margin=2.4cm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{graphicx}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\emergencystretch}{3em}
\newlength{\naturalwidth}
% A figure is never wider than the text, and is not made larger.
\newcommand{\drawing}[1]{%
  \settowidth{\naturalwidth}{\includegraphics{#1}}%
  \ifdim\naturalwidth>\linewidth\setlength{\naturalwidth}{\linewidth}\fi
  \includegraphics[width=\naturalwidth,height=0.85\textheight,keepaspectratio]{#1}}
\newcommand{\specline}[1]{\noindent\hangindent=2em\texttt{#1}\par}
"""


def as_latex(report: Report, figures: Figures | None = None, folder: str = "") -> str:
    """The document. `figures` are in `folder`, as PDF; without them it has none."""
    body = "\n".join(_body(report, figures, folder))
    made = f"{report.made.when:%Y-%m-%d}"
    title = f"\\title{{{_text(report.title)}}}\n\\author{{}}\n\\date{{{made}}}\n"
    content = f"{title}\\begin{{document}}\n\\maketitle\n{body}\n\\end{{document}}\n"
    return f"{_PREAMBLE}{declarations(content)}{content}"


def _body(report: Report, figures: Figures | None, folder: str) -> Iterator[str]:
    yield from (_words(report.about), "")
    for section in words.sections(report):
        yield f"\\section{{{section.heading}}}"
        match section.name:
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
        yield f"\\subsection*{{{_text(question)}}}"
        yield from _items(_finding(report, finding) for finding in findings)
        figure = figures.questions[place] if figures is not None else None
        yield from _figures([figure] if figure is not None else [], folder)


def _finding(report: Report, finding: Finding) -> str:
    verdict = finding.verdict
    claim = _text(wording(finding.expectation, report.titles))
    said = _text(sentence(finding, report.titles))
    return f"{words.SHAPES[verdict]} \\textbf{{{verdict}}}: \\emph{{{claim}}}. {said}"


def _figures(figures: Sequence[Figure], folder: str) -> Iterator[str]:
    for figure in figures:
        caption = "; ".join(figure.caption)
        yield from (
            "\\begin{figure}[!htbp]",
            f"\\centering\\drawing{{{folder}/{figure.name}.pdf}}",
            # A caption of its own: one of LaTeX's goes to a file, where not everything may stand.
            f"\\par\\raggedright\\small\\textbf{{Figure {figure.number}.}} {_text(figure.heading)}. {_text(caption)}.",
            "\\end{figure}",
            "",
        )


def _items(items: Iterable[str]) -> Iterator[str]:
    lines = [f"\\item {item}" for item in items]
    if lines:
        yield from ("\\begin{itemize}", *lines, "\\end{itemize}", "")


# Tables -------------------------------------------------------------------------------------------------------------


def _scores(report: Report, table: Table) -> Iterator[str]:
    """The table of a model, in parts of so many columns as fit beside each other."""
    for first in range(0, len(table.columns), _COLUMNS):
        part = range(first, min(first + _COLUMNS, len(table.columns)))
        headings = ["strategy", "parameters", "% of all", *(table.columns[place] for place in part)]
        rows = [line for row in table.rows for line in _row(table, row, part)]
        caption = words.table_caption(report, table)
        yield from _table(caption, _columns(0.26, "r" * (len(headings) - 1)), map(_text, headings), rows)
    yield from (f"{{\\small {_words(' '.join(words.table_notes(report, table)))}\\par}}", "")


def _row(table: Table, row: Row, part: range) -> Iterator[list[str]]:
    """A strategy, and below it what each source reports of it."""
    cells = [row.cells[place] for place in part]
    means = [
        (f"\\textbf{{{cell.mean_text}}}" if cell.is_best else _text(cell.mean_text)) + cell.spread_text
        for cell in cells
    ]
    yield [_text(row.title), _text(row.entries_text), _text(row.percent_text), *means]
    sources = {one.source: table.mark(one.source) for cell in row.cells for one in cell.reported}
    for source, mark in sources.items():
        scores = [{one.source: f"{one.score:.1f}" for one in cell.reported}.get(source, "") for cell in cells]
        yield [f"\\quad reported ({mark})", "", "", *scores]


def _columns(width: float, others: str) -> str:
    return f">{{\\raggedright\\arraybackslash}}p{{{width}\\linewidth}}{others}"


def _table(caption: str, columns: str, headings: Iterable[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table over as many pages as it takes; headings and cells are LaTeX already."""
    yield from (
        f"{_text(caption)}:\\nopagebreak",
        "{\\footnotesize\\setlength{\\tabcolsep}{4pt}",
        f"\\begin{{longtable}}[l]{{{columns}}}",
        "\\toprule",
        f"{' & '.join(headings)} \\\\",
        "\\midrule",
        "\\endhead",
        "\\bottomrule",
        "\\endfoot",
        *(f"{' & '.join(row)} \\\\" for row in rows),
        "\\end{longtable}}",
        "",
    )


def _trials(report: Report) -> Iterator[str]:
    yield from (_words(words.trials(report)), "")
    several = len(report.runs.chosen.models) > 1
    headings = ["strategy", *(["model"] if several else []), "task", "seed", "score", "key"]
    rows = (
        [
            _text(listed.title),
            *([_text(listed.run.model)] if several else []),
            _text(listed.run.task),
            str(listed.run.seed),
            f"{listed.run.score:.2f}",
            f"\\texttt{{{_text(listed.run.key[:12])}}}",
        ]
        for listed in report.trials
    )
    caption = "Trials: score in points, and the beginning of the key"
    yield from _table(caption, _columns(0.3, f"{'l' * (1 + several)}rrl"), map(_text, headings), rows)


# Everything else ----------------------------------------------------------------------------------------------------


def _changes(report: Report, figures: Figures | None, folder: str) -> Iterator[str]:
    if figures is not None:
        yield from _figures(figures.changes, folder)
    elif report.association is not None:
        yield from (f"{_text(correlation_text(report.association))}.", "")


def _cautions(report: Report) -> Iterator[str]:
    if not report.cautions:
        yield from (words.NO_CAUTION, "")
    for caution in report.cautions:
        remedy = f" \\texttt{{{_text(caution.remedy)}}}" if caution.remedy else ""
        yield from (f"{_words(caution.text)}{remedy}", "")
        more = [f"and {caution.more:,} more"] if caution.more else []
        yield from _items([*map(_words, caution.lines), *more])


def _provenance(report: Report) -> Iterator[str]:
    provenance = report.provenance
    yield from _items(f"\\textbf{{{what}:}} {_text('; '.join(lines))}" for what, lines in provenance.facts)
    rows = ([str(run.number), *map(_text, words.run_cells(run))] for run in provenance.runs)
    columns = f"lllrl{_columns(0.3, '')}"
    yield from _table(words.runs_caption(provenance), columns, map(_text, words.RUN_HEADINGS), rows)
    for text in provenance.specs:
        yield from (f"{_text(text.heading)}:", "", "{\\scriptsize\\setlength{\\parskip}{0pt}")
        yield from (f"\\specline{{{_indented(line)}}}" for line in text.text.split("\n"))
        yield from ("}", "")


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return "\\ " * (len(line) - len(text)) + (_text(text) or "\\strut")


def _words(text: str) -> str:
    """A text of the report's own words, in which code stands in backticks."""
    return "".join(f"\\texttt{{{_text(part)}}}" if is_code else _text(part) for part, is_code in words.parts(text))


def _text(text: str) -> str:
    """A text in which lines may break inside of long words too."""
    parts, word = [], 0
    for char in one_line(text):
        word = 0 if char == " " else word + 1
        # A code point that is no character, or stands for one: engines stop at both.
        is_none = category(char) == "Cn" or char == _REPLACEMENT
        parts.append(stand_in(_REPLACEMENT) if is_none else in_latex(char))
        if word and word % _WORD == 0:
            parts.append("\\allowbreak{}")
    return "".join(parts)
