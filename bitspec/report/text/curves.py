"""Learning curves as text: sparklines in a terminal, every number where another program reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from rich.console import Console
from rich.text import Text

from bitspec.diagnostics import columns as width_of
from bitspec.diagnostics import cut
from bitspec.report.captions import curves_caption, seeds_of, stratum_title
from bitspec.report.curves import Curve, Curves, Spread
from bitspec.report.text.tables import aligned, encodes, padded, print_heading
from bitspec.report.words import labels

#: Steps of a sparkline, from low to high, and an arrow; the same where the terminal knows only ASCII.
STEPS: Final = "▁▂▃▄▅▆▇█"
PLAIN_STEPS: Final = "_.:-=+*#"
_ARROWS: Final = {STEPS: "→", PLAIN_STEPS: "->"}

#: What a terminal shows: tasks, and strategies of each.
MOST_TASKS: Final = 12
MOST_ROWS: Final = 40

#: Columns: of the longest name of a strategy, of the longest and the shortest sparkline, between columns.
_NAME: Final = 30
_LONGEST: Final = 32
_SHORTEST: Final = 6
_GAP: Final = "  "

#: What is followed from epoch to epoch.
_What: TypeAlias = Literal["score", "training", "validation"]

#: How it is headed, and its decimals in full and in a terminal.
_FOLLOWED: Final[Mapping[_What, tuple[str, int, int]]] = {
    "score": ("score (points)", 2, 1),
    "training": ("training loss", 4, 2),
    "validation": ("validation loss", 4, 2),
}


def as_text(curves: Curves) -> str:
    """The numbers behind learning curves as tables of plain text: a line for each strategy and epoch."""
    lines = [curves.title, *curves_caption(curves)]
    names = labels(curves.chosen)
    ends = ["lowest", "highest"] if any(epoch.seeds > 1 for curve in curves.all for epoch in curve.epochs) else []
    for stratum, own in curves.by_stratum.items():
        table = [["strategy", "epoch", "n", *(cell for head, _, _ in _FOLLOWED.values() for cell in (head, *ends))]]
        for curve in own:
            for place, epoch in enumerate(curve.epochs):
                numbers = [
                    cell
                    for what, (_, decimals, _) in _FOLLOWED.items()
                    for cell in _numbers(_spreads(curve, what)[place], decimals)[: 1 + len(ends)]
                ]
                table.append([names[curve.cells.strategy], str(epoch.number), str(epoch.seeds), *numbers])
        lines += ["", stratum_title(curves.chosen, *stratum), *aligned(table)]
    return "\n".join(lines) + "\n"


def _numbers(spread: Spread | None, decimals: int) -> list[str]:
    if spread is None:
        return ["–"] * 3
    return [f"{value:.{decimals}f}" for value in (spread.mean, spread.low, spread.high)]


def _spreads(curve: Curve, what: _What) -> list[Spread | None]:
    return [getattr(epoch, what) for epoch in curve.epochs]


def show(console: Console, curves: Curves) -> None:
    """Print learning curves to a terminal: for each strategy sparklines of its score and its losses."""
    print_heading(console, curves.title, curves_caption(curves))
    steps = STEPS if encodes(console, STEPS + _ARROWS[STEPS]) else PLAIN_STEPS
    names = labels(curves.chosen)
    strata = list(curves.by_stratum.items())
    for stratum, own in strata[:MOST_TASKS]:
        console.print(Text(stratum_title(curves.chosen, *stratum), "bold"), soft_wrap=True)
        head, *lines = _table(own[:MOST_ROWS], names, steps, console.width)
        console.print(Text(head, "dim"), soft_wrap=True)
        for line in lines:
            console.print(Text(line), soft_wrap=True)
        if len(own) > MOST_ROWS:
            console.print(Text(f"and {len(own) - MOST_ROWS:,} strategies more", "dim"))
        console.print()
    if len(strata) > MOST_TASKS:
        console.print(Text(f"and {len(strata) - MOST_TASKS:,} tasks more", "dim"))


def _table(curves: Sequence[Curve], names: Mapping[str, str], steps: str, width: int) -> list[str]:
    """The names of the columns, and a line for each curve."""
    is_same = len({seeds_of([curve.cells]) for curve in curves}) == 1
    columns = [["", *(cut(names[curve.cells.strategy], _NAME) for curve in curves)]]
    columns += [] if is_same else [["", *(seeds_of([curve.cells]) for curve in curves)]]
    ends = {
        what: [_ends(_spreads(curve, what), decimals, _ARROWS[steps]) for curve in curves]
        for what, (_, _, decimals) in _FOLLOWED.items()
    }
    taken = sum(max(map(width_of, cells)) + len(_GAP) for cells in [*columns, *ends.values()]) + len(ends)
    longest = max(len(curve.epochs) for curve in curves)
    spark = min(longest, _LONGEST, max(_SHORTEST, (width - taken) // len(ends))) if longest > 1 else 0
    low_high = {what: _reach(curves, ("score",) if what == "score" else ("training", "validation")) for what in ends}
    for what, cells in ends.items():
        sparks = [_spark(_spreads(curve, what), longest, spark, low_high[what], steps) for curve in curves]
        columns.append([_FOLLOWED[what][0], *(f"{one} {end}".strip() for one, end in zip(sparks, cells, strict=True))])
    widths = [max(map(width_of, column)) for column in columns]
    return [
        _GAP.join(padded(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _reach(curves: Sequence[Curve], what: Sequence[_What]) -> tuple[float, float]:
    """The lowest and the highest mean: what sparklines run from and to, so that they can be compared."""
    means = [spread.mean for curve in curves for one in what for spread in _spreads(curve, one) if spread is not None]
    return (min(means), max(means)) if means else (0.0, 1.0)


def _ends(spreads: Sequence[Spread | None], decimals: int, arrow: str) -> str:
    """The first and the last mean: `51.2 → 63.4`."""
    means = [f"{spread.mean:.{decimals}f}" for spread in spreads if spread is not None]
    if not means:
        return ""
    return means[0] if len(spreads) == 1 else f"{means[0]} {arrow} {means[-1]}"


def _spark(spreads: Sequence[Spread | None], epochs: int, width: int, reach: tuple[float, float], steps: str) -> str:
    """The means of a curve in a line of text: `width` columns for so many epochs."""
    low, high = reach
    marks = []
    for column in range(width):
        place = round(column * (epochs - 1) / max(1, width - 1))
        spread = spreads[place] if place < len(spreads) else None
        part = 0.0 if spread is None or high == low else (spread.mean - low) / (high - low)
        marks.append(" " if spread is None else steps[min(len(steps) - 1, int(part * len(steps)))])
    return "".join(marks)
