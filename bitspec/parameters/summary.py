"""What every strategy of a study would train on a model: counts, ranges over seeds, by role and layer, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from bitspec.diagnostics import BitspecError, Diagnostic, error, is_error
from bitspec.ir.base import Noun
from bitspec.ir.canonical import Canonical
from bitspec.ir.check import same_selection
from bitspec.ir.masks import Selected
from bitspec.ir.selection import is_random, is_ranked
from bitspec.ir.study import Strategy, Study
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.select import Selector
from bitspec.parameters.suspicions import straddling_patterns, zero_gradient

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


class StrategySummary(Noun):
    """What one strategy trains: from `least` to `most` entries over the seeds.

    `cells` is for the first seed. Where `needs_weights`, which entries they are is only known once the model's
    weights are read: then `cells` is empty, and the counts are bounds.
    """

    name: str
    label: str | None
    selection: str
    least: int
    most: int
    percent: tuple[float, float]
    needs_weights: bool = False
    cells: tuple[Cell, ...] = ()

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

    `total` is the number of entries in the backbone. A head for n labels has head_fixed + head_per_label * n.
    """

    model: str
    architecture: str
    total: int
    layers: int
    head_fixed: int
    head_per_label: int
    pooler: int
    seeds: tuple[int, ...]
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

    Errors are among the diagnostics; a strategy with an error has no summary.
    """
    chosen = study.strategies if strategies is None else tuple(strategies)
    every_seed = tuple(study.seeds if seeds is None else seeds)
    canonical = Canonical(study.selections)
    selectors = {
        seed: Selector(catalogue, seed, resolve=study.selections.__getitem__, canonical=canonical.text)
        for seed in every_seed
    }
    first = selectors[every_seed[0]]
    found: list[Diagnostic] = []
    summaries: list[StrategySummary] = []
    digests: dict[str, str] = {}
    right: list[Strategy] = []
    for done, strategy in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        try:
            if is_ranked(strategy.selection, study.selections):
                summaries.append(_bounded(strategy, first, canonical, catalogue))
                continue
            random = is_random(strategy.selection, study.selections)
            selected = first.select(strategy.selection)
            counts = [selected.count]
            counts += [selectors[seed].select(strategy.selection).count for seed in every_seed[1:] if random]
        except BitspecError as problem:
            found += problem.diagnostics
            continue
        text = canonical.text(strategy.selection)
        if not selected.count and text != "none":
            hint = "write `none` if only the head is to be trained"
            found.append(error("selects-nothing", f"`{strategy.name}` selects nothing", strategy.span, help=hint))
            continue
        found += zero_gradient(strategy, selected, catalogue)
        digests[strategy.name] = selected.digest()
        right.append(strategy)
        summaries.append(
            StrategySummary(
                name=strategy.name,
                label=strategy.label,
                selection=text,
                least=min(counts),
                most=max(counts),
                percent=(_percent(min(counts), catalogue), _percent(max(counts), catalogue)),
                cells=_cells(selected, catalogue),
            )
        )
    found += [warning for selector in selectors.values() for warning in selector.warnings]
    if not any(map(is_error, found)):
        found += straddling_patterns(chosen, study.selections, first, catalogue)
        # What is the same by definition, the check has said already.
        by_text = {summary.selection: summary.name for summary in reversed(summaries)}
        distinct = [strategy for strategy in right if strategy.name in by_text.values()]
        found += same_selection(distinct, lambda strategy: digests[strategy.name], "select the same entries")
    summary = Summary(
        model=catalogue.model,
        architecture=catalogue.architecture,
        total=catalogue.size,
        layers=catalogue.layers,
        head_fixed=catalogue.head_fixed,
        head_per_label=catalogue.head_per_label,
        pooler=catalogue.sizes_by_role.get("pooler", 0),
        seeds=every_seed,
        strategies=tuple(summaries),
    )
    return summary, sorted(dict.fromkeys(found), key=_place)


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span is not None else ("", 0)


def _bounded(strategy: Strategy, selector: Selector, canonical: Canonical, catalogue: Catalogue) -> StrategySummary:
    least, most = selector.size_bounds(strategy.selection)
    return StrategySummary(
        name=strategy.name,
        label=strategy.label,
        selection=canonical.text(strategy.selection),
        least=least,
        most=most,
        percent=(_percent(least, catalogue), _percent(most, catalogue)),
        needs_weights=True,
    )


def _percent(count: int, catalogue: Catalogue) -> float:
    return float(Fraction(100 * count, catalogue.size))


def _cells(selected: Selected, catalogue: Catalogue) -> tuple[Cell, ...]:
    counts: dict[tuple[str | None, int | None], int] = {}
    for parameter in _selected_in_order(selected, catalogue):
        place = (catalogue[parameter].role, catalogue[parameter].layer)
        counts[place] = counts.get(place, 0) + selected[parameter].count(catalogue[parameter].shape)
    return tuple(Cell(role=role, layer=layer, entries=entries) for (role, layer), entries in counts.items())


def _selected_in_order(selected: Selected, catalogue: Catalogue) -> Iterable[str]:
    return (parameter.name for parameter in catalogue.parameters if parameter.name in selected)
