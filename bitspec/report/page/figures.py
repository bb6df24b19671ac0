"""The figures of a report: charts as Vega-Lite, each with a number, a heading and a caption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from bitspec.report.charts import bars, curves, forest, heatmap, pareto, scatter
from bitspec.report.charts.style import unwrapped
from bitspec.report.page.contents import Report
from bitspec.report.verdicts import Why
from bitspec.report.words import some

if TYPE_CHECKING:
    from altair.typing import ChartType

#: A chart as Vega-Lite's JSON has it.
Spec: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure: the name of its file, its number, what it shows, the lines below it, and the chart without a title."""

    name: str
    number: int
    heading: str
    caption: tuple[str, ...]
    chart: Spec


@dataclass(frozen=True)
class Figures:
    """The figures of a report where they stand: one for each question, None where nothing can be drawn; all others."""

    questions: Sequence[Figure | None]
    scores: Sequence[Figure]
    changes: Sequence[Figure]

    @property
    def all(self) -> list[Figure]:
        """Every figure, in the order of the page."""
        return [*(figure for figure in self.questions if figure is not None), *self.scores, *self.changes]


def figures(report: Report) -> Figures:
    """The figures of a report."""
    numbers = iter(range(1, 1000))

    def figure(name: str, heading: str, chart: ChartType, extra: Sequence[str] = ()) -> Figure:
        spec: Spec = chart.to_dict(validate=False)  # the tests check charts
        title = spec.pop("title", {})
        number = next(numbers)
        caption = (*unwrapped(title.get("subtitle", [])), *extra)
        return Figure(name, number, heading, caption, spec | {"description": ". ".join((heading, *caption))})

    return Figures(
        [
            figure(f"question-{place}", question, forest.draw(replace(report.verdicts, findings=tuple(findings))))
            if report.verdicts is not None and any(finding.why_open is not Why.NO_RUNS for finding in findings)
            else None
            for place, (question, findings) in enumerate(report.questions, start=1)
        ],
        [figure(*one) for one in _of_scores(report)],
        [figure(*one) for one in _of_changes(report)],
    )


def _of_scores(report: Report) -> Iterator[tuple[str, str, ChartType]]:
    yield "bars", "The score of each strategy", bars.draw(report.scores)
    yield "pareto", "Score against the share of parameters that are trained", pareto.draw(report.scores)
    if report.curves is not None:
        yield "curves", "Score and loss by epoch", curves.draw(report.curves)


def _of_changes(report: Report) -> Iterator[tuple[str, str, ChartType, Sequence[str]]]:
    if report.association is not None:
        yield "scatter", "Change against score", scatter.draw(report.association), ()
    if report.heatmaps is None:
        return
    for place, changes in enumerate(report.heatmaps.all, start=1):
        task, model = changes.chosen.tasks[0], changes.chosen.models[0]
        of = f" of {model}" if len(report.runs.chosen.models) > 1 else ""
        heading = f"How far each role moved in each layer{of} on {task}"
        left_out = report.heatmaps.left_out
        extra = [f"not shown, `bitspec plot heatmap` draws them: {some(left_out)}"] if left_out else []
        yield f"heatmap-{place}", heading, heatmap.draw(changes), extra
