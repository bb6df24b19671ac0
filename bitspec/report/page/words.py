"""What a report says in every form: its sections, and what stands around its tables and lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bitspec.diagnostics import counted
from bitspec.report.page.contents import Report
from bitspec.report.page.provenance import Begun, Provenance
from bitspec.report.page.tables import NOTHING, Table
from bitspec.report.sentences import count_verdicts
from bitspec.report.statistics import LEVEL
from bitspec.report.verdicts import Verdict

#: Verdicts are told apart by shape as well as by colour.
SHAPES: Final[Mapping[Verdict, str]] = MappingProxyType(
    {Verdict.SUPPORTED: "▲", Verdict.CONTRADICTED: "▼", Verdict.UNDECIDED: "○"}
)

NO_CAUTION: Final = "There is nothing to warn of."

#: The columns of a list of runs.
RUN_HEADINGS: Final = ("run", "began (UTC)", "ended (UTC)", "cells", "commit", "command")


@dataclass(frozen=True)
class Section:
    """A section: the name that links lead to, its heading, and a note for the list of contents."""

    name: str
    heading: str
    note: str = ""


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text in which code stands in backticks, and whether each is code."""
    for place, part in enumerate(re.split(r"`([^`]+)`", text)):
        if part:
            yield part, place % 2 == 1


def sections(report: Report) -> Sequence[Section]:
    """The sections of a report."""
    findings = report.verdicts.findings if report.verdicts is not None else ()
    warnings = counted(len(report.cautions), "warning") if report.cautions else "none"
    has_changes = report.association is not None or report.heatmaps is not None
    return (
        Section("questions", "Questions", count_verdicts(findings)),
        Section("scores", "Scores"),
        *([Section("changes", "Change")] if has_changes else []),
        Section("warnings", "Warnings", warnings),
        Section("provenance", "Provenance"),
        Section("trials", "Trials", counted(len(report.runs.all), "trial")),
    )


def questions(report: Report) -> str:
    """What the verdicts are, or why there are none."""
    if not report.questions:
        return (
            'The study asks no question. Write `question "…" { expect a > b }` into the spec, and name it: '
            "`bitspec report SPEC`. Nothing is trained anew."
        )
    return (
        "Strategies are paired by model, task and seed. A verdict comes from a two-sided p alone: by sign flips of the "
        "pairs' differences, or of a correlation by permuting strategies, corrected by Holm's method for all "
        f"expectations of the study. Below {LEVEL:g} an expectation is supported or contradicted, else undecided, "
        "which says that these runs do not tell. Everything holds for these tasks and these validation sets."
    )


def table_caption(report: Report, table: Table) -> str:
    """What stands above a table of scores."""
    of = f" of {table.model}" if len(report.runs.chosen.models) > 1 else ""
    return f"Score{of} in points: mean ± standard deviation over seeds (number of runs)"


def table_notes(report: Report, table: Table) -> list[str]:
    """What stands below a table of scores."""
    notes = []
    if any(cell.is_best for row in table.rows for cell in row.cells):
        notes.append("Bold: the highest mean of a column, which is no verdict.")
    if len(table.columns) > 1:
        notes.append("Average: the mean over the tasks, of the seeds that are finished on every one of them.")
    heads = sorted({run.head for run in report.runs.all if run.model == table.model})
    if heads and heads[-1]:
        size = f"{heads[0]:,}" if heads[0] == heads[-1] else f"{heads[0]:,} to {heads[-1]:,}"
        notes.append(f"Always trained and not counted: the head that the task adds, {size} values.")
    if table.sources:
        marks = ", ".join(f"{table.mark(source)}: {source}" for source in table.sources)
        notes.append(f"Reported elsewhere: {marks}.")
    if table.left_out:
        notes.append(
            f"{counted(table.left_out, 'more strategy')} left out: "
            f'`bitspec query "select mean(score), sd(score), n by strategy, task"{report.made.where}` has all.'
        )
    return notes


def trials(report: Report) -> str:
    """How the list of trials goes on elsewhere."""
    where = report.made.where
    story = f"`bitspec show --trial KEY{where}` tells all of one of them; a part of its key will do."
    if len(report.trials) == len(report.runs.all):
        return f"Every finished trial that the numbers above are made of. {story}"
    of = f"{len(report.trials):,} of {counted(len(report.runs.all), 'finished trial')}"
    query = f'bitspec query "select strategy, task, seed, score, key from scores"{where}'  # noqa: S608
    return f"{of}; `{query}` lists all. {story}"


def runs_caption(provenance: Provenance) -> str:
    """What stands above a list of runs."""
    more = f"; {provenance.more:,} earlier ones are left out" if provenance.more else ""
    return f"Runs of the study, the latest first{more}"


def run_cells(run: Begun) -> tuple[str, ...]:
    """A run in the columns of the list, but for its number."""
    return (
        f"{run.began:%Y-%m-%d %H:%M}",
        "did not end" if run.ended is None else f"{run.ended:%Y-%m-%d %H:%M}",
        f"{run.cells:,}",
        NOTHING if run.commit is None else run.commit[:12] + ("-dirty" if run.commit.endswith("-dirty") else ""),
        run.command,
    )


def footer(report: Report) -> str:
    """The last line: what made the report, and when."""
    made = report.made
    return f"bitspec {made.version}, {made.when:%Y-%m-%d %H:%M} UTC: {made.command}"
