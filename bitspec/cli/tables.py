"""The tables and text heatmaps of `bitspec show`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final

from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bitspec import plugins, registry
from bitspec.api import Shown
from bitspec.ir.cascade import given, resolve
from bitspec.ir.study import Study
from bitspec.parameters.summary import Call, StrategySummary, Summary
from bitspec.vocabulary import GLUE_LABELS, ROLES

#: Marks of a heatmap's cells: none, then one for each power of ten, from 1 to ten million and more.
MARKS = "·▁▂▃▄▅▆▇█"
#: The same where the terminal knows only ASCII.
PLAIN_MARKS = ".12345678"
LEGEND = "entries trained: · none  ▁ 1+  ▂ 10+  ▃ 100+  ▄ 1,000+  ▅ 10 k+  ▆ 100 k+  ▇ 1 M+  █ 10 M+"


#: Strategies that a line about a rule or a ranking names.
MOST_NAMED: Final = 6


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader of a pipe (`| head`) has seen enough, which is no failure as rich has it."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


def console() -> Console:
    """Where tables go: the terminal, or plain text of 100 columns."""
    found = _Console(highlight=False)
    return found if found.is_terminal else _Console(highlight=False, width=100, force_terminal=False)


def print_shown(study: Study, shown: Shown, *, heatmaps: bool) -> None:
    """Print what a study's strategies train, for every model."""
    out = console()
    if study.name is not None:
        out.print(Text.assemble((study.name, "bold"), f"  {study.title}" if study.title else ""))
    for summary in shown.models:
        out.print()
        for line in _facts(study, summary):
            out.print(line, soft_wrap=True)
        if summary.strategies:
            out.print()
            out.print(_table(summary))
        _print_calls(out, summary)
        if heatmaps:
            _print_heatmaps(out, summary)


def _facts(study: Study, summary: Summary) -> Iterable[Text]:
    yield Text.assemble(
        (summary.model, "bold"),
        f"  {summary.architecture}, {summary.layers} layers, {summary.total:,} parameters",
    )
    yield Text("head, always trained and never counted: " + _heads(study, summary))
    if len(summary.seeds) < summary.seeds_in_all:
        yield Text(f"sizes over the first {len(summary.seeds):,} of {summary.seeds_in_all:,} seeds")
    blocks = given(study)
    with_pooler = [
        f"{strategy.name} on {task.name}"
        for strategy in summary.strategies
        for task in study.tasks
        if summary.pooler and resolve(study, strategy.name, task.name, blocks).pooler == "trained"
    ]
    if with_pooler:
        everywhere = len(with_pooler) == len(summary.strategies) * len(study.tasks)
        where = "" if everywhere else f" ({', '.join(with_pooler[:6])}{', …' if len(with_pooler) > 6 else ''})"
        yield Text(f"pooler, trained with the head, counted only where it is selected: {summary.pooler:,}{where}")


def _outputs(task: str) -> int:
    """Outputs of a task's head: that of one's own data is not read for it, and most have two classes."""
    if task in registry.names("task"):
        return len(registry.find(plugins.Task, task).classes) or 1
    return GLUE_LABELS.get(task, 2)


def _heads(study: Study, summary: Summary) -> str:
    if not summary.head_fixed and not summary.head_per_label:
        return "this architecture has none in transformers"
    sizes: dict[int, list[str]] = {}
    for task in study.tasks:
        labels = _outputs(task.name)
        name = f"{task.name}, if it has two labels" if task.data is not None else task.name
        sizes.setdefault(labels, []).append(name)
    if not sizes:
        return f"{summary.head_size(2):,} with two labels"
    return "; ".join(f"{summary.head_size(labels):,} ({', '.join(names)})" for labels, names in sizes.items())


def _table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    has_labels = any(strategy.label for strategy in summary.strategies)
    table.add_column("strategy", no_wrap=True)
    if has_labels:
        table.add_column("label")
    table.add_column("trained", justify="right", no_wrap=True)
    table.add_column("% of all", justify="right", no_wrap=True)
    for strategy in summary.strategies:
        label = [strategy.label or ""] if has_labels else []
        table.add_row(strategy.name, *label, strategy.count_text, strategy.percent_text)
    return table


def _print_calls(console: Console, summary: Summary) -> None:
    """What picks the entries of which strategies, where that is more than a draw."""
    users: dict[Call, list[str]] = {}
    for strategy in summary.strategies:
        for call in strategy.calls:
            users.setdefault(call, []).append(strategy.name)
    if users:
        console.print()
    for call, names in users.items():
        some = names if len(names) <= MOST_NAMED else [*names[:MOST_NAMED], "…"]
        console.print(Text(f"{call}: {call.meaning}; {', '.join(some)}", "dim"), soft_wrap=True)


def _print_heatmaps(console: Console, summary: Summary) -> None:
    try:
        MARKS.encode(console.encoding)
        marks = MARKS
    except UnicodeEncodeError:
        marks = PLAIN_MARKS
    blocks = [_heatmap(strategy, summary.layers, marks) for strategy in summary.strategies]
    found = [block for block in blocks if block is not None]
    if found:
        console.print()
        console.print(Columns(found, padding=(0, 3), expand=False))
        seed = f"; samples as of seed {summary.seeds[0]}" if len(summary.seeds) > 1 else ""
        console.print(Text(LEGEND.translate(str.maketrans(MARKS, marks)), "dim"), soft_wrap=True)
        console.print(
            Text(f"columns: layers 0 to {summary.layers - 1}, then outside the layers{seed}", "dim"),
            soft_wrap=True,
        )


def _heatmap(strategy: StrategySummary, layers: int, marks: str) -> Group | None:
    """Rows are roles, columns layers; the last column is what lies outside the layers."""
    if strategy.needs_weights and strategy.trained_as is None:
        return Group(Text(strategy.name, "bold"), Text("known once it was run"), Text(""))
    counts: dict[str | None, dict[int | None, int]] = {}
    for cell in strategy.cells:
        counts.setdefault(cell.role, {})[cell.layer] = cell.entries
    if not counts:
        return None
    trained = f" as trained on {strategy.trained_as}" if strategy.trained_as else ""
    lines = [Text.assemble((strategy.name, "bold"), trained)]
    for role in (*ROLES, None):
        if role in counts:
            row = counts[role]
            cells = "".join(_mark(row.get(layer, 0), marks) for layer in range(layers))
            lines.append(Text(f"{role or '-':<6} {cells} {_mark(row.get(None, 0), marks)} {sum(row.values()):>11,}"))
    lines.append(Text(""))
    return Group(*(Padding(line, 0) for line in lines))


def _mark(entries: int, marks: str) -> str:
    return marks[min(len(str(entries)), len(marks) - 1)] if entries else marks[0]
