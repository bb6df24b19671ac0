"""Heatmaps as text: coloured or shaded cells in a terminal, numbers where another program reads."""

from __future__ import annotations

from typing import Final

from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group
from rich.style import Style
from rich.text import Text

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.report.changes import MOST_ROWS, Changes, Panel, Row
from bitspec.report.text.tables import aligned, encodes, padded, print_heading
from bitspec.report.words import AVERAGE, caption, measure, panel_title, runs, short

#: Cells from the smallest change to the largest, where there are no colours; the first is for a change of nothing.
SHADES: Final = "·░▒▓█"
#: The same where the terminal knows only ASCII.
PLAIN_SHADES: Final = ".:-=#"

#: The ends of the colours' scale, red green blue: the light and the dark end of the charts' blues.
_LIGHT: Final = (207, 225, 242)
_DARK: Final = (10, 74, 144)

#: Columns of the longest label of a row.
_LABEL: Final = 56

#: Colours of a terminal that are enough for a scale.
_COLOURS: Final = {"256", "truecolor"}


def as_text(changes: Changes) -> str:
    """The numbers behind a heatmap as tables of plain text, every row of every panel."""
    lines = [changes.title, *caption(changes)]
    for panel in changes.panels:
        layers = [str(layer + 1) for layer in range(panel.layers)]
        table = [["mean |Δ|", *layers, AVERAGE]]
        for row in panel.rows:
            cells = row.cells or (None,) * panel.layers
            table.append([row.label, *("" if cell is None else short(cell) for cell in cells), short(row.average)])
        lines += ["", f"{panel_title(changes, panel)}, {runs(panel)}", *aligned(table)]
    return "\n".join(lines) + "\n"


def show(console: Console, changes: Changes) -> None:
    """Print a heatmap to a terminal: panels beside each other as far as they fit, and the scale below them."""
    print_heading(console, changes.title, caption(changes))
    shades = _shades(console)
    panels = [_panel(panel, panel_title(changes, panel), changes.largest, shades) for panel in changes.panels]
    console.print(Columns(panels, padding=(0, 3), expand=False))
    console.print(_legend(changes, shades), soft_wrap=True)


def _shades(console: Console) -> str | None:
    """What cells are made of; None for coloured ones."""
    if console.color_system in _COLOURS and not console.no_color:
        return None
    return SHADES if encodes(console, SHADES) else PLAIN_SHADES


def _panel(panel: Panel, title: str, largest: float, shades: str | None) -> Group:
    rows = panel.rows[:MOST_ROWS]
    width = max(width_of(_label(row)) for row in rows)
    cell = _cell_width(panel.layers)
    numbers = "".join(f"{layer + 1:>{cell}}" for layer in range(panel.layers))
    lines = [
        Text.assemble((title, "bold"), f"  {runs(panel)}"),
        Text(f"{'':{width}} {numbers} {AVERAGE}", "dim"),
        *(_row(row, panel.layers, width, largest, shades) for row in rows),
    ]
    if len(panel.rows) > len(rows):
        lines.append(Text(f"and {len(panel.rows) - len(rows):,} rows more", "dim"))
    return Group(*lines, Text(""))


def _row(row: Row, layers: int, width: int, largest: float, shades: str | None) -> Text:
    line = Text(padded(_label(row), width, right=True) + " ")
    cell = _cell_width(layers)
    for value in row.cells or (None,) * layers:
        line.append_text(_cell(value, largest, shades, cell))
    line.append(" ")
    line.append_text(_cell(row.average, largest, shades, cell))
    line.append(f" {short(row.average)}")
    return line


def _label(row: Row) -> str:
    return cut(row.label, _LABEL)


def _cell_width(layers: int) -> int:
    # Wide enough for the numbers of layers not to run into each other.
    return len(str(layers)) + 1


def _cell(value: float | None, largest: float, shades: str | None, width: int) -> Text:
    if value is None:
        return Text(" " * width)
    part = value / largest if largest else 0.0
    if shades is None:
        mixed = [round(light + (dark - light) * part) for light, dark in zip(_LIGHT, _DARK, strict=True)]
        return Text(" " * width, Style(bgcolor=Color.from_rgb(*mixed)))
    steps = len(shades) - 1
    return Text(shades[min(steps, 1 + int(part * steps)) if value > 0 else 0] * width)


def _legend(changes: Changes, shades: str | None) -> Text:
    largest = changes.largest
    if shades is not None:
        return Text(f"{measure(changes)}: {shades[0]} none  {shades[1:]} up to {short(largest)}")
    line = Text(f"{measure(changes)}: 0 ")
    for step in range(9):
        line.append_text(_cell(largest * step / 8, largest, shades, 2))
    return line.append(f" {short(largest)}")
