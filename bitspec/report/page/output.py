"""Reports as files: a page, Markdown or LaTeX, the last two with their figures in a folder beside them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bitspec.report.charts import output as charts
from bitspec.report.page.contents import Report

#: The endings of a report, and those of its figures; a page has its figures in itself.
FORMS: Final[Mapping[str, str | None]] = MappingProxyType({".html": None, ".md": ".svg", ".tex": ".pdf"})

#: The names that figures have.
_FIGURE: Final = re.compile(r"question-\d+|bars|pareto|curves|scatter|heatmap-\d+")


def check_form(path: Path) -> None:
    """Raise BitspecError if a file's ending stands for no form of a report."""
    charts.check_form(path, FORMS, "a report")


def save(report: Report, path: Path) -> None:
    """Write a report to a file, in the form that its ending stands for.

    Raises BitspecError if there is no such form, or a file cannot be written.
    """
    from bitspec.report.page.figures import figures

    check_form(path)
    drawn = figures(report)
    form = path.suffix.lower()
    folder = folder_of(path)
    if (of_figure := FORMS[form]) is not None:
        pictures = {f"{figure.name}{of_figure}": figure for figure in drawn.all}
        for name, figure in pictures.items():
            charts.write(path.parent / folder / name, charts.FORMS[of_figure](figure.chart, figure.heading))
        _clear(path.parent / folder, of_figure, pictures)
    if form == ".html":
        from bitspec.report.page.html import as_html

        text = as_html(report, drawn)
    elif form == ".md":
        from bitspec.report.page.markdown import as_markdown

        text = as_markdown(report, drawn, folder)
    else:
        from bitspec.report.page.latex import as_latex

        text = as_latex(report, drawn, folder)
    charts.write(path, text.encode())


def _clear(folder: Path, ending: str, kept: Collection[str]) -> None:
    """Remove what an earlier report left: figures that this one does not have."""
    for file in folder.iterdir() if folder.is_dir() else ():
        if _FIGURE.fullmatch(file.stem) and file.suffix == ending and file.name not in kept:
            file.unlink()


def folder_of(path: Path) -> str:
    """The folder for a report's figures: `paper-charts` for `paper.tex`, of characters that LaTeX takes in a name."""
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '-', path.stem).strip('-.') or 'report'}-charts"
