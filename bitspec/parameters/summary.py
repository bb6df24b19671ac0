"""What every strategy of a study would train on a model: counts, ranges over seeds, by role and layer, warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from bitspec import plugins, registry
from bitspec.diagnostics import MAX_DIAGNOSTICS, BitspecError, Diagnostic, error, is_error, unique
from bitspec.ir.base import Noun
from bitspec.ir.canonical import Canonical, written_arguments
from bitspec.ir.masks import Selected
from bitspec.ir.selection import Draw, Top, deciding, is_random, is_ranked
from bitspec.ir.study import Strategy, Study
from bitspec.ir.twins import same_selection
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.select import Selector
from bitspec.parameters.suspicions import straddling_patterns, zero_gradient

_SAME_ENTRIES = (
    "select the same entries",
    "written in different ways, they are trained twice; take one away or change it",
)

#: Seeds over which sizes are tried; more would take long and hardly change a range.
MAX_SEEDS = 100

#: Called with the number of strategies done and of all, for progress.
Progress = Callable[[int, int], None]


def percent_digits(percent: float) -> str:
    """A percentage to three significant digits: 0.0425, 3.14, 100; `<0.00001` where that would be no help."""
    if percent == 0:
        return "0"
    if percent < 1e-5:
        return "<0.00001"
    if 99.95 <= percent < 100:  # not 100, where something is left out
        return f"{min(percent, 99.99):.2f}"
    return f"{percent:.{max(0, 2 - _exponent(percent))}f}"


def _exponent(number: float) -> int:
    return int(f"{number:.2e}".partition("e")[2])


class Cell(Noun):
    """Entries trained in one role of one layer; None for parameters without a role or outside the layers."""

    role: str | None
    layer: int | None
    entries: int


class Call(Noun):
    """A rule or a ranking that a selection uses, with all its arguments as they would be written, and what it is."""

    name: str
    arguments: tuple[str, ...]
    meaning: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})" if self.arguments else self.name


class StrategySummary(Noun):
    """What one strategy trains: from `least` to `most` entries over the seeds.

    `cells` is for the first seed. Where `needs_weights`, which entries they are is only known once the model's
    weights are read, or the study was run: then `cells` is empty, and the counts are bounds. `calls` are what picks
    them, but for plain draws. `trained_as` says of which finished trial the `cells` are then.
    """

    name: str
    label: str | None
    selection: str
    least: int
    most: int
    percent: tuple[float, float]
    needs_weights: bool = False
    cells: tuple[Cell, ...] = ()
    calls: tuple[Call, ...] = ()
    trained_as: str | None = None

    @property
    def count_text(self) -> str:
        """The number of entries as a table shows it: `9,216`, or `52,305 to 52,413` over the seeds."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"

    @property
    def percent_text(self) -> str:
        """The percentage as a table shows it."""
        least, most = map(percent_digits, self.percent)
        return least if least == most else f"{least} to {most}"


class Summary(Noun):
    """What the strategies of a study train on one model.

    `revision` is that of the model, where one was asked for. `seeds` are those that were tried, of `seeds_in_all`.
    `total` is the number of entries in the backbone. A head for n labels has head_fixed + head_per_label * n entries.
    """

    model: str
    revision: str | None = None
    architecture: str
    total: int
    layers: int
    head_fixed: int
    head_per_label: int
    pooler: int
    seeds: tuple[int, ...]
    seeds_in_all: int
    strategies: tuple[StrategySummary, ...]

    def head_size(self, labels: int) -> int:
        """Entries of the head of a task with `labels` labels."""
        return self.head_fixed + self.head_per_label * labels


def summarise(
    study: Study,
    catalogue: Catalogue,
    *,
    strategies: Sequence[Strategy] | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[Summary, list[Diagnostic]]:
    """Evaluate strategies (all by default) on a model, for the study's seeds or those given.

    Of more than MAX_SEEDS seeds only the first are tried. Errors are among the diagnostics, of which there are
    MAX_DIAGNOSTICS at most; a strategy with an error has no summary.
    """
    chosen = study.strategies if strategies is None else tuple(strategies)
    every_seed = tuple(study.seeds if seeds is None else seeds)
    tried = every_seed[:MAX_SEEDS]
    canonical = Canonical(study.selections)
    reports = [_Report(strategy, canonical.text(strategy.selection)) for strategy in chosen]
    found: list[Diagnostic] = []
    wrong = 0
    first = Selector(catalogue, tried[0], named=study.selections, canonical=canonical.text)
    for seed in tried:
        # A selector for each seed, one after the other: it keeps what it has selected.
        selector = (
            first if seed == tried[0] else Selector(catalogue, seed, named=study.selections, canonical=canonical.text)
        )
        for done, report in enumerate(reports):
            if progress is not None:
                progress(done, len(reports))
            if wrong >= MAX_DIAGNOSTICS:  # more help nobody, and each may take a second
                break
            if report.is_right and (selector is first or is_random(report.strategy.selection, study.selections)):
                found += report.evaluate(selector, catalogue, study)
                wrong += not report.is_right
        found += selector.warnings
    right = [report for report in reports if report.is_right and report.counts]
    if not any(map(is_error, found)):
        found += straddling_patterns(chosen, study.selections, first, catalogue)
        # What is the same by definition, the check has said already.
        distinct = {report.text: report for report in reversed(right) if report.digest}
        digests = {report.strategy.name: report.digest for report in distinct.values()}
        strategies_left = [strategy for strategy in chosen if strategy.name in digests]
        # However they are trained: a pattern that misses what it is meant for looks like this.
        same = same_selection(strategies_left, lambda strategy: digests[strategy.name], *_SAME_ENTRIES)
        found += islice(same, MAX_DIAGNOSTICS)
    summary = Summary(
        model=catalogue.model,
        architecture=catalogue.architecture,
        total=catalogue.size,
        layers=catalogue.layers,
        head_fixed=catalogue.head_fixed,
        head_per_label=catalogue.head_per_label,
        pooler=catalogue.sizes_by_role.get("pooler", 0),
        seeds=tried,
        seeds_in_all=len(every_seed),
        strategies=tuple(report.summary(catalogue) for report in right),
    )
    kept = sorted(unique(found), key=lambda one: not is_error(one))[:MAX_DIAGNOSTICS]
    return summary, sorted(kept, key=_place)


@dataclass
class _Report:
    """What is known so far of what one strategy selects."""

    strategy: Strategy
    text: str
    counts: list[int] = field(default_factory=list)
    cells: tuple[Cell, ...] = ()
    digest: str = ""
    needs_weights: bool = False
    calls: tuple[Call, ...] = ()
    is_right: bool = True

    def evaluate(self, selector: Selector, catalogue: Catalogue, study: Study) -> list[Diagnostic]:
        """Take one seed's selection into account."""
        try:
            self.needs_weights = is_ranked(self.strategy.selection, study.selections)
            self.calls = self.calls or _calls(self.strategy, study)
            if self.needs_weights:
                self.counts += selector.size_bounds(self.strategy.selection)
                return []
            selected = selector.select(self.strategy.selection)
        except BitspecError as problem:
            self.is_right = False
            return list(problem.diagnostics)
        self.counts.append(selected.count)
        if not selected.count and self.text != "none":
            self.is_right = False
            by_chance = (
                f" with the seed {selector.seed}" if is_random(self.strategy.selection, study.selections) else ""
            )
            message = f"`{self.strategy.name}` selects nothing{by_chance}"
            hint = "write `none` if only the head is to be trained"
            return [error("selects-nothing", message, self.strategy.span, help=hint)]
        if self.digest:  # not the first seed
            return []
        self.digest = selected.digest()
        self.cells = _cells(selected, catalogue)
        return list(zero_gradient(self.strategy, selected, catalogue))

    def summary(self, catalogue: Catalogue) -> StrategySummary:
        """What was found, over all seeds."""
        least, most = min(self.counts), max(self.counts)
        return StrategySummary(
            name=self.strategy.name,
            label=self.strategy.label,
            selection=self.text,
            least=least,
            most=most,
            percent=(_percent(least, catalogue), _percent(most, catalogue)),
            needs_weights=self.needs_weights,
            cells=self.cells,
            calls=self.calls,
        )


def _calls(strategy: Strategy, study: Study) -> tuple[Call, ...]:
    """What picks the entries of a strategy: rankings, and rules that have arguments of their own."""
    found: dict[Call, None] = {}
    for node in deciding(strategy.selection, study.selections):
        if isinstance(node, Top):
            ranking = registry.need(plugins.Ranking, node.by.name)
            named = [node.by.strategy] if node.by.strategy is not None else []
            arguments = (*named, *written_arguments(ranking.arguments, node.by.arguments))
            found[Call(name=node.by.name, arguments=arguments, meaning=ranking.summary)] = None
        elif isinstance(node, Draw):
            rule = registry.need(plugins.Rule, node.rule)
            if rule.arguments:
                arguments = tuple(written_arguments(rule.arguments, node.arguments))
                found[Call(name=node.rule, arguments=arguments, meaning=rule.summary)] = None
    return tuple(found)


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span is not None else ("", 0)


def _percent(count: int, catalogue: Catalogue) -> float:
    return float(Fraction(100 * count, catalogue.size))


def _cells(selected: Selected, catalogue: Catalogue) -> tuple[Cell, ...]:
    counts: dict[tuple[str | None, int | None], int] = {}
    for parameter in catalogue.parameters:
        entries = selected.counts.get(parameter.name, 0)
        if entries:
            place = (parameter.role, parameter.layer)
            counts[place] = counts.get(place, 0) + entries
    return tuple(Cell(role=role, layer=layer, entries=entries) for (role, layer), entries in counts.items())
