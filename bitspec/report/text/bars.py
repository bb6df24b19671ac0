"""Scores of strategies as text: strips in a terminal, every number where another program reads."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from bitspec.report.scales import scale_for
from bitspec.report.scores import Panel, Score, Scores, Standing, figure
from bitspec.report.text.strips import (
    Column,
    legend,
    mark_of,
    marks_for,
    numbers,
    print_strips,
    reported_by,
    table,
)
from bitspec.report.text.tables import print_heading
from bitspec.report.words import labels, metric, scores_caption, task_title


def as_text(scores: Scores) -> str:
    """The numbers behind a chart of scores as tables of plain text: every panel, strategy and run."""
    whole = figure(scores, is_whole=True)
    names = labels(scores.runs.chosen)
    lines = [scores.title, "score in points", *scores_caption(whole)]
    for panel in whole.panels:
        columns = [
            *numbers(panel.standings, 2),
            *_by_seed(panel.standings),
            *(reported_by(panel.standings, source, 2, source) for source in whole.sources),
        ]
        lines += ["", _title(scores, panel), *table(panel.standings, names, columns)]
    return "\n".join(lines) + "\n"


def show(console: Console, scores: Scores) -> None:
    """Print the scores to a terminal: a strip for each strategy, task by task, the same axis for all models."""
    shown = figure(scores)
    names = labels(scores.runs.chosen)
    marks = marks_for(console)
    print_heading(console, scores.title, scores_caption(shown))
    for panel in shown.panels:
        console.print(Text(_title(scores, panel), "bold"), soft_wrap=True)
        columns = [
            *numbers(panel.standings, 1, has_sd=False),
            *(
                reported_by(panel.standings, source, 1, mark_of(source, shown.sources, marks))
                for source in shown.sources
            ),
        ]
        same_task = [other for other in shown.panels if other.task == panel.task]
        print_strips(console, panel.standings, names, shown.sources, columns, scale_for(same_task, shown.sources))
        console.print()
    console.print(legend(shown, marks, shown.sources), soft_wrap=True)


def _title(scores: Scores, panel: Panel) -> str:
    name = metric(panel)
    return task_title(scores, panel) + (f", {name}" if name else "")


def _by_seed(standings: Sequence[Standing]) -> list[Column]:
    """The score of each seed; of an average, of those that are finished on every task."""
    by_seed = [
        {run.seed: run.score for run in one.runs} if isinstance(one, Score) else one.by_seed for one in standings
    ]
    seeds = sorted({seed for scores in by_seed for seed in scores})
    return [
        Column(f"seed {seed}", [f"{scores[seed]:.2f}" if seed in scores else "" for scores in by_seed])
        for seed in seeds
    ]
