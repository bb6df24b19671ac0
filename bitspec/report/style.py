"""What all charts have in common: how they look, and the title with what stands below it.

Two things make a chart of many panels quick. Channels are written out, `text=alt.Text("text:N")`: for a bare `"text:N"`
Altair goes through its whole schema. And the configuration is an argument of `alt.hconcat`: each `configure_…` or
`resolve_…` that is chained to it copies all panels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

import altair as alt
from altair.utils.schemapi import debug_mode

#: Decorates what builds a chart: Altair would check each part as it is made, which takes longer than making it. The
#: tests check whole charts.
unchecked: Final = debug_mode(False)

#: Of what is written around the data.
GREY: Final = "#444"

#: Characters of a line: of the title, of what stands below it.
_TITLE: Final = 90
_CAPTION: Final = 130


def heading(title: str, lines: Iterable[str]) -> alt.Title:
    """The title of a whole chart, and the lines below it."""
    return alt.Title(
        textwrap.wrap(title, _TITLE),
        subtitle=[part for line in lines for part in textwrap.wrap(line, _CAPTION)],
        fontSize=15,
        subtitleFontSize=11,
        subtitlePadding=4,
        offset=14,
    )


def look() -> alt.Config:
    """The configuration of every chart."""
    return alt.Config(
        background="white",
        title=alt.TitleConfig(anchor="start", subtitleColor=GREY),
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", titleColor=GREY),
        legend=alt.LegendConfig(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", gradientLength=140),
    )
