"""What all charts have in common: how they look, and the title with what stands below it.

Three things make a chart of many panels quick. Channels are written out, `text=alt.Text("text:N")`: for a bare
`"text:N"` Altair goes through its whole schema. The configuration is an argument of `alt.hconcat`: each `configure_…`
or `resolve_…` that is chained to it copies all panels. And what is in panels are `Layer`s.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import altair as alt
from altair.utils.schemapi import debug_mode

#: Decorates what builds a chart: Altair would check each part as it is made, which takes longer than making it. The
#: tests check whole charts.
unchecked: Final = debug_mode(False)

#: Of what is written around the data, of lines that only lead the eye, and of the data where one colour does.
GREY: Final = "#444"
PALE: Final = "#ddd"
BLUE: Final = "#0072B2"

#: Colours that colour-blind eyes tell apart (Okabe & Ito 2008), those that print well on white first; never the only
#: thing that tells two marks apart.
PALETTE: Final = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#F0E442")

#: Shapes and dashes to go with the colours.
SHAPES: Final = (
    "circle", "diamond", "triangle-up", "square", "cross", "triangle-down", "triangle-left", "triangle-right",
)  # fmt: skip
DASHES: Final = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (12, 4), (4, 2, 1, 2, 1, 2), (1, 3), (10, 2, 2, 2, 2, 2))

#: Pixels of a character of a label.
CHARACTER: Final = 6.2

#: Characters of a line: of the title, of what stands below it.
_TITLE: Final = 90
_CAPTION: Final = 130

#: Before a line that goes on with the one above it.
_SET_IN: Final = "   "


class Layer(alt.Chart):
    """A layer of a panel. Wherever Altair puts charts together it copies them with all that is in them, several times
    over; a layer shares its encodings with its copies, as nothing changes them."""

    def __deepcopy__(self, _: object) -> Layer:
        """A layer with the same encodings."""
        return self.copy(deep=False)


def heading(title: str, lines: Iterable[str]) -> alt.Title:
    """The title of a whole chart, and the lines below it; what goes on in a new line is set in."""
    wrapped = (textwrap.wrap(line, _CAPTION, subsequent_indent=_SET_IN, break_on_hyphens=False) for line in lines)
    return alt.Title(
        textwrap.wrap(title, _TITLE),
        subtitle=[part for parts in wrapped for part in parts],
        fontSize=15,
        subtitleFontSize=11,
        subtitlePadding=4,
        offset=14,
    )


def unwrapped(lines: Sequence[str]) -> list[str]:
    """The lines that `heading` was given, of those that it made of them: a page breaks lines by itself."""
    found: list[str] = []
    for line in lines:
        if line.startswith(_SET_IN) and found:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return found


def look() -> alt.Config:
    """The configuration of every chart."""
    return alt.Config(
        background="white",
        title=alt.TitleConfig(anchor="start", subtitleColor=GREY),
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", titleColor=GREY),
        legend=alt.LegendConfig(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", gradientLength=140),
    )
