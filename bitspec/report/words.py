"""What stands around a figure: whose runs it shows and how many, what a panel is of, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from bitspec.diagnostics import counted, cut
from bitspec.report.changes import Changes
from bitspec.report.changes import Panel as ChangesPanel
from bitspec.report.choices import Chosen
from bitspec.report.scores import Figure, Panel, Score, Scores

#: The column of the means over all layers.
AVERAGE: Final = "Avg."

#: Names that a line lists, and columns that each may take.
_LISTED: Final = 12
_NAME: Final = 40


# Of any figure -------------------------------------------------------------------------------------------------------


def subject(chosen: Chosen) -> str:
    """What all of a figure shares: `study moved, model nano, task builtin/rte`."""
    shared = [f"study {chosen.study}"]
    if len(chosen.models) == 1:
        shared.append(f"model {chosen.models[0]}")
    if len(chosen.tasks) == 1:
        shared.append(f"task {chosen.tasks[0]}")
    return ", ".join(shared)


def count(finished: int, planned: int) -> str:
    """A number of runs: `5`, or `3 of 5` where not all are finished."""
    return f"{finished:,}" if finished == planned else f"{finished:,} of {planned:,}"


def seeds(finished: int, planned: int) -> str:
    """A number of runs that differ in their seed alone: `5 seeds`, or `3 of 5 seeds`."""
    return f"{count(finished, planned)} seed{'' if planned == 1 else 's'}"


def number_of_runs(counts: Iterable[str], beside: str) -> str:
    """`n = 5 seeds`, or where it is not the same everywhere, beside what it stands."""
    found = set(counts)
    return f"n = {found.pop()}" if len(found) == 1 else f"n beside each {beside}"


def some(names: Iterable[str]) -> str:
    """A few names, and how many more there are: `a, b and 10 more`."""
    every = list(names)
    shown = ", ".join(cut(name, _NAME) for name in islice(every, _LISTED))
    return f"{shown} and {len(every) - _LISTED:,} more" if len(every) > _LISTED else shown


def labels(chosen: Chosen) -> Mapping[str, str]:
    """What each strategy is called in a figure: its title, with its name where several would be called the same."""
    titles = {cells.strategy: cells.title for cells in chosen.cells}
    named = {strategy: f"{title} ({strategy})" for strategy, title in titles.items()}
    found = dict(titles)
    while True:
        alike = {text for text, number in Counter(found.values()).items() if number > 1}
        fuller = {strategy: named[strategy] if text in alike else text for strategy, text in found.items()}
        if fuller == found:
            return found
        found = fuller


def short(value: float) -> str:
    """A number in two digits, as short as can be: `0.084`, `1e-6`."""
    if value == 0:
        return "0"
    if value < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:#.2g}" if value < 9.95 else f"{value:.0f}"


# Of the heatmap ------------------------------------------------------------------------------------------------------


def panel_title(changes: Changes, panel: ChangesPanel) -> str:
    """What tells a panel from the others: its strategy, and its task and model where there are several."""
    chosen, cells = changes.chosen, panel.cells
    several = [
        (cells.title, len(chosen.strategies) > 1 or len(chosen.tasks) * len(chosen.models) == 1),
        (cells.task, len(chosen.tasks) > 1),
        (cells.model, len(chosen.models) > 1),
    ]
    return " · ".join(name for name, shown in several if shown)


def runs(panel: ChangesPanel) -> str:
    """The number of runs behind a panel: `5 seeds`, or `3 of 5 seeds`."""
    return seeds(panel.cells.finished, panel.cells.planned)


def over(changes: Changes) -> str:
    """What the means are taken over."""
    return "over the trained entries" if changes.trained_only else "over all its entries"


def measure(changes: Changes) -> str:
    """What the numbers of a heatmap are."""
    return f"mean |Δ| {over(changes)}" if changes.trained_only else "mean |Δ|"


def caption(changes: Changes) -> list[str]:
    """Lines below the title of a heatmap: the study, what all panels share, and what has no panel."""
    chosen = changes.chosen
    shared = [subject(chosen)]
    if len(chosen.strategies) == 1 and len(changes.panels) > 1:
        shared.append(f"strategy {changes.panels[0].cells.title}")
    shared.append(number_of_runs(map(runs, changes.panels), "panel"))
    lines = [f"mean absolute change of each role in each layer, {over(changes)} and all runs", ", ".join(shared)]
    if changes.unmoved:
        lines.append(f"no panel, as nothing of the base model is trained: {some(changes.unmoved)}")
    if changes.unfinished:
        lines.append(f"not finished yet: {some(changes.unfinished)}")
    if changes.left_out:
        lines.append(f"left out: {counted(changes.left_out, 'panel')}; choose with --task, --strategy and --model")
    return lines


# Of scores -----------------------------------------------------------------------------------------------------------


def task_title(scores: Scores, panel: Panel) -> str:
    """What tells a panel of scores from the others: its task, and its model where there are several."""
    task = f"average over {len(scores.tasks):,} tasks" if panel.task is None else panel.task
    return f"{task} · {panel.model}" if len(scores.models) > 1 else task


def metric(panel: Panel) -> str | None:
    """The metric that a task is scored by; None for an average, or where there is no single one."""
    found = {run.metric for one in panel.standings if isinstance(one, Score) for run in one.runs}
    return found.pop() if len(found) == 1 else None


def scores_caption(figure: Figure, last: str = "") -> list[str]:
    """Lines below the title of a figure of scores: the study, n, what is not finished, and what is left out.

    `last` are those that are left out last.
    """
    whole = figure.scores
    counts = {seeds(one.seeds, one.planned) for panel in figure.panels for one in panel.standings}
    lines = [f"{subject(whole.runs.chosen)}, {number_of_runs(counts, 'strategy')}"]
    if any(panel.task is None for panel in figure.panels):
        lines.append("average: the mean of the tasks' means; its runs are the seeds that are finished on every task")
    if unfinished := _unfinished(whole):
        lines.append(f"not finished yet: {some(unfinished)}")
    if figure.panels_left_out:
        lines.append(f"left out: {counted(figure.panels_left_out, 'panel')}; choose with --task and --model")
    if figure.strategies_left_out:
        fewer = counted(figure.strategies_left_out, "strategy")
        lines.append(f"left out: {fewer} with the lowest means{last}; choose with --strategy")
    return lines


def front_caption(figure: Figure) -> list[str]:
    """The same for score against share: what the front is comes first."""
    front = "no other strategy scores as high with fewer parameters, or higher with as many, by the means of the runs"
    return [f"on the front: {front}", *scores_caption(figure, ", those on the front last")]


def _unfinished(whole: Scores) -> list[str]:
    """Strategies without a finished run, and where that is so if it is not everywhere."""
    places: dict[str, list[str]] = {}
    for score in whole.all:
        if not score.runs:
            several = [(score.task, len(whole.tasks) > 1), (score.model, len(whole.models) > 1)]
            places.setdefault(score.strategy, []).append(" · ".join(name for name, told in several if told))
    names = labels(whole.runs.chosen)
    everywhere = len(whole.tasks) * len(whole.models)
    return [
        names[strategy] if len(own) == everywhere else f"{cut(names[strategy], _NAME)} on {some(own)}"
        for strategy, own in places.items()
    ]
