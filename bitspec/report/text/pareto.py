"""Score against the share of parameters as text: strips by that share, the front marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.text import Text

from bitspec.parameters.summary import percent_digits
from bitspec.report.scales import scale_for
from bitspec.report.scores import Panel, Scores, figure
from bitspec.report.text.strips import Column, legend, marks_for, numbers, print_strips, table
from bitspec.report.text.tables import encodes, print_heading
from bitspec.report.words import front_caption, labels, task_title

#: What stands beside a strategy of the front.
_ON_FRONT: Final = "★"
_PLAIN_ON_FRONT: Final = "*"


def as_text(scores: Scores) -> str:
    """The numbers behind a chart of score against share as tables of plain text, every strategy by its share."""
    whole = figure(scores, is_overall=True, is_whole=True)
    names = labels(scores.runs.chosen)
    lines = [scores.title, "score in points, and % of the base model's parameters that are trained"]
    lines += front_caption(whole)
    for panel in whole.panels:
        columns = [_share(panel, "{:.6g}".format), *numbers(panel.standings, 2), _front(panel, "yes")]
        lines += ["", task_title(scores, panel), *table(panel.standings, names, columns)]
    return "\n".join(lines) + "\n"


def show(console: Console, scores: Scores) -> None:
    """Print score against share to a terminal: a strip for each strategy, those that train the least first."""
    shown = figure(scores, is_overall=True)
    names = labels(scores.runs.chosen)
    mark = _ON_FRONT if encodes(console, _ON_FRONT) else _PLAIN_ON_FRONT
    print_heading(console, scores.title, front_caption(shown))
    for panel in shown.panels:
        console.print(Text(task_title(scores, panel), "bold"), soft_wrap=True)
        columns = [_share(panel, percent_digits), *numbers(panel.standings, 1, has_sd=False), _front(panel, mark)]
        print_strips(console, panel.standings, names, (), columns, scale_for(shown.panels, ()))
        console.print()
    line = legend(shown, marks_for(console), ())
    console.print(line.append(f"   {mark} on the front", "dim"), soft_wrap=True)


def _share(panel: Panel, text: Callable[[float], str]) -> Column:
    return Column("% trained", [text(one.percent or 0.0) for one in panel.standings])


def _front(panel: Panel, mark: str) -> Column:
    best = {one.strategy for one in panel.front}
    return Column("front", [mark if one.strategy in best else "" for one in panel.standings])
