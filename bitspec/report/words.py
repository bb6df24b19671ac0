"""What stands around a figure: whose runs it shows and how many, what a panel is of, what is missing."""

from __future__ import annotations

from typing import Final

from bitspec.report.changes import Changes, Panel

#: The column of the means over all layers.
AVERAGE: Final = "Avg."


def panel_title(changes: Changes, panel: Panel) -> str:
    """What tells a panel from the others: its strategy, and its task and model where there are several."""
    chosen, cells = changes.chosen, panel.cells
    several = [
        (cells.title, len(chosen.strategies) > 1 or len(chosen.tasks) * len(chosen.models) == 1),
        (cells.task, len(chosen.tasks) > 1),
        (cells.model, len(chosen.models) > 1),
    ]
    return " · ".join(name for name, shown in several if shown)


def runs(panel: Panel) -> str:
    """The number of runs behind a panel: `5 seeds`, or `3 of 5 seeds`."""
    cells = panel.cells
    of = "" if cells.finished == cells.planned else f" of {cells.planned}"
    return f"{cells.finished}{of} seed{'' if cells.planned == 1 else 's'}"


def caption(changes: Changes) -> list[str]:
    """Lines below the title of a figure: the study, what all panels share, and what has no panel."""
    chosen = changes.chosen
    shared = [f"study {chosen.study}"]
    if len(chosen.models) == 1:
        shared.append(f"model {chosen.models[0]}")
    if len(chosen.tasks) == 1:
        shared.append(f"task {chosen.tasks[0]}")
    if len(chosen.strategies) == 1 and len(changes.panels) > 1:
        shared.append(f"strategy {changes.panels[0].cells.title}")
    counts = {runs(panel) for panel in changes.panels}
    shared.append(f"n = {counts.pop()}" if len(counts) == 1 else "n beside each panel")
    lines = ["mean absolute change of each role in each layer, over all its entries and all runs", ", ".join(shared)]
    if changes.unmoved:
        lines.append(f"no panel, as nothing of the base model is trained: {', '.join(changes.unmoved)}")
    if changes.unfinished:
        lines.append(f"not finished yet: {', '.join(changes.unfinished)}")
    return lines


def short(value: float) -> str:
    """A number in two digits, as short as can be: `0.084`, `1e-6`."""
    if value == 0:
        return "0"
    if value < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:#.2g}" if value < 9.95 else f"{value:.0f}"
