"""The tables of a report: the scores of all strategies, as papers print them, and the trials behind each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from bitspec.parameters.summary import percent_digits
from bitspec.report.runs import Run
from bitspec.report.scores import Average, Reported, Score, Scores
from bitspec.report.words import labels

#: Entries are whole numbers, percentages are not.
Number = TypeVar("Number", int, float)

#: Rows of a table of scores, and trials that are listed: a longer page nobody reads, and no browser likes.
MOST_ROWS: Final = 1000
MOST_TRIALS: Final = 2000

#: What stands where there is no value.
NOTHING: Final = "–"

#: What the sources of reported scores are called.
_MARKS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, in points, with its standard deviation; None where there are too few runs for it.

    `place` is that of its runs in the list of trials, None for an average. `is_best`: no mean of its column is
    higher, as far as it is shown.
    """

    mean: float | None
    sd: float | None
    seeds: int
    reported: tuple[Reported, ...]
    place: int | None
    is_best: bool = False

    @property
    def mean_text(self) -> str:
        """The mean: `73.2`."""
        return NOTHING if self.mean is None else f"{self.mean:.1f}"

    @property
    def spread_text(self) -> str:
        """What stands behind the mean: ` ± 0.9 (3)`, ` (1)`."""
        if not self.seeds:
            return ""
        return f" ({self.seeds})" if self.sd is None else f" ± {self.sd:.1f} ({self.seeds})"


@dataclass(frozen=True)
class Row:
    """A strategy: entries that it trains, least and most over its seeds, their share in percent, a cell a task, and
    the average where there are several tasks."""

    strategy: str
    title: str
    position: int
    entries: tuple[int, int] | None
    percent: tuple[float, float] | None
    cells: tuple[Cell, ...]

    @property
    def entries_text(self) -> str:
        """The entries: `102,912`, or `46,071 to 46,080`."""
        return NOTHING if self.entries is None else _range(*(f"{count:,}" for count in self.entries))

    @property
    def percent_text(self) -> str:
        """Their share: `0.095`."""
        return NOTHING if self.percent is None else _range(*map(percent_digits, self.percent))


@dataclass(frozen=True)
class Table:
    """The scores on one model. `columns` are those of the cells; `sources` are where reported scores are from.

    `left_out` rows are not in it.
    """

    model: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: tuple[str, ...]
    left_out: int

    def mark(self, source: str) -> str:
        """What stands beside a score that this source reports: `a`."""
        place = self.sources.index(source)
        return _MARKS[place] if place < len(_MARKS) else str(place + 1)


@dataclass(frozen=True)
class Listed:
    """A finished trial and the place of its cell in the list: trials of one cell have one place."""

    place: int
    title: str
    position: int
    run: Run


def tables(scores: Scores) -> tuple[Table, ...]:
    """A table for each model."""
    places = {(score.model, score.task, score.strategy): place for place, score in enumerate(scores.all)}
    return tuple(_table(scores, model, places) for model in scores.models)


def trials(scores: Scores) -> tuple[Listed, ...]:
    """The finished trials, in the order of the tables: the first MOST_TRIALS of them."""
    return tuple(islice(_trials(scores), MOST_TRIALS))


def _trials(scores: Scores) -> Iterator[Listed]:
    positions = {cells.strategy: cells.position for cells in scores.runs.chosen.cells}
    titles = labels(scores.runs.chosen)
    for place, score in enumerate(scores.all):
        for run in score.runs:
            yield Listed(place, titles[score.strategy], positions[score.strategy], run)


def _table(scores: Scores, model: str, places: dict[tuple[str, str, str], int]) -> Table:
    tasks = [task for task in scores.tasks if any(scores.at(model, task, one) for one in scores.strategies)]
    averages = {average.strategy: average for average in scores.averages if average.model == model}
    positions = {cells.strategy: cells.position for cells in scores.runs.chosen.cells}
    titles = labels(scores.runs.chosen)
    rows = []
    for strategy in scores.strategies:
        own = [scores.at(model, task, strategy) for task in tasks]
        if not any(own):
            continue
        cells = [
            _cell(score, places[model, task, strategy] if score else None)
            for task, score in zip(tasks, own, strict=True)
        ]
        if len(tasks) > 1:
            cells.append(_average(averages[strategy]))
        runs = [run for score in own if score for run in score.runs]
        rows.append(
            Row(
                strategy,
                titles[strategy],
                positions[strategy],
                _extent([run.trainable for run in runs]),
                _extent([run.percent for run in runs]),
                tuple(cells),
            )
        )
    sources = dict.fromkeys(one.source for row in rows for cell in row.cells for one in cell.reported)
    return Table(
        model,
        (*tasks, *(["average"] if len(tasks) > 1 else [])),
        tuple(_with_best(rows)[:MOST_ROWS]),
        tuple(sources),
        max(0, len(rows) - MOST_ROWS),
    )


def _cell(score: Score | None, place: int | None) -> Cell:
    if score is None:
        return Cell(None, None, 0, (), None)
    return Cell(score.mean, score.sd, len(score.runs), score.reported, place if score.runs else None)


def _average(average: Average) -> Cell:
    return Cell(average.mean, average.sd, average.seeds, average.reported, None)


def _with_best(rows: Sequence[Row]) -> list[Row]:
    """The rows with the highest mean of each column marked; what looks the same is marked alike."""
    best = []
    for column in zip(*(row.cells for row in rows), strict=True):
        means = [cell.mean for cell in column if cell.mean is not None]
        best.append(f"{max(means):.1f}" if len(means) > 1 else None)
    return [
        replace(
            row,
            cells=tuple(
                replace(cell, is_best=cell.mean_text == highest) for cell, highest in zip(row.cells, best, strict=True)
            ),
        )
        for row in rows
    ]


def _extent(values: Sequence[Number]) -> tuple[Number, Number] | None:
    return (min(values), max(values)) if values else None


def _range(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
