"""The report: everything that its page says, read from a store at once.

What is drawn and written from it, in whatever form, is a function of it alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.study import Study
from bitspec.report import curves, scores, verdicts
from bitspec.report.associations import Association, association
from bitspec.report.changes import Changes, changes
from bitspec.report.choices import Ask, Choice, Chosen, asking, choose
from bitspec.report.curves import Curves
from bitspec.report.page import cautions
from bitspec.report.page.about import about, settings_of
from bitspec.report.page.cautions import Caution
from bitspec.report.page.provenance import Made, Provenance, Text, provenance, spec_text
from bitspec.report.page.tables import Listed, Table, tables, trials
from bitspec.report.runs import Runs, runs_of
from bitspec.report.scores import Scores
from bitspec.report.study import cleaned
from bitspec.report.verdicts import Finding, Verdicts, by_question
from bitspec.report.words import labels

#: Makes a study of the text of a spec and its path.
Parse: TypeAlias = Callable[[str, str], Study]

#: Heatmaps: panels of one, which has a panel for each strategy, and how many there are, one for each model and task.
MOST_STRATEGIES: Final = 15
MOST_HEATMAPS: Final = 3


@dataclass(frozen=True)
class Given:
    """A spec that a report is asked for with: its study, where it was read, its text, the warnings about it."""

    study: Study
    path: str
    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heatmaps:
    """The changes on each model and task, as far as they are shown; what is not shown, in words."""

    all: tuple[Changes, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All that a report says.

    What is None is not there: a study may ask nothing, and a strategy may train nothing.
    """

    runs: Runs
    about: str
    scores: Scores
    verdicts: Verdicts | None
    association: Association | None
    curves: Curves | None
    heatmaps: Heatmaps | None
    cautions: tuple[Caution, ...]
    provenance: Provenance
    made: Made

    @property
    def title(self) -> str:
        """What the study is called."""
        return self.runs.chosen.heading

    @property
    def study(self) -> str:
        """The study's name."""
        return self.runs.chosen.study

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """What strategies are called."""
        return labels(self.runs.chosen)

    @cached_property
    def questions(self) -> Sequence[tuple[str, Sequence[Finding]]]:
        """The questions of the study, each with what was found."""
        return by_question(self.verdicts.findings) if self.verdicts is not None else ()

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The table of scores of each model."""
        return tables(self.scores)

    @cached_property
    def trials(self) -> tuple[Listed, ...]:
        """The finished trials, as many as are listed."""
        return trials(self.scores)


def read(store: Path, choice: Choice, made: Made, given: Given | None = None, parse: Parse | None = None) -> Report:
    """The report of a study.

    Questions, labels and reported scores are those of `given`, or else of the spec that ran last. `parse` makes a study
    of a spec's text and path, where the store is of a bitspec that did not keep it.

    Raises BitspecError if there is no such study, nothing of it is finished, or its spec cannot be read.
    """
    return asking(store, lambda ask: _read(ask, choice, made, given, parse))


def _read(ask: Ask, choice: Choice, made: Made, given: Given | None, parse: Parse | None) -> Report:
    if given is not None:
        choice = replace(choice, study=choice.study or given.study.name)
    chosen = choose(ask, choice)
    study = cleaned(given.study) if given is not None else None
    runs = runs_of(ask, chosen if study is None else as_in(study, chosen))
    study = study or runs.study or _parsed(ask, chosen, parse)
    runs = replace(runs, study=study)
    found = verdicts.verdicts(ask, study, runs) if study.questions else None
    remedy = f"bitspec run {shlex.quote(chosen.spec if given is None else given.path)}{made.where}"
    trained = settings_of(ask, runs.chosen)
    related = association(runs)
    learnt: Curves | None = None
    with suppress(BitspecError):  # none of the trials has an epoch: a store of strangers
        learnt = curves.curves(ask, runs.chosen)
    return Report(
        runs=runs,
        about=about(runs, trained, found.findings if found is not None else (), choice),
        scores=scores.scores(runs),
        verdicts=found,
        association=related if related.points else None,
        curves=learnt,
        heatmaps=_heatmaps(ask, runs),
        cautions=(
            *cautions.open_cells(ask, runs, remedy),
            *cautions.without_score(runs),
            *cautions.one_seed(runs, remedy),
            *(_of_spec(ask, choice, study, remedy) if given is not None else ()),
            *cautions.other_settings(study, runs, trained),
            *cautions.same_trials(runs),
            *cautions.spec_warnings(ask, runs.chosen, given.warnings if given is not None else ()),
        ),
        provenance=provenance(ask, runs.chosen, made, Text(given.path, given.text) if given is not None else None),
        made=made,
    )


def as_in(study: Study, chosen: Chosen) -> Chosen:
    """Cells under the labels of a spec and in its order; strategies that it does not have come last."""
    titles = {strategy.name: strategy.title for strategy in study.strategies}
    places = {name: place for place, name in enumerate(titles)}
    models, tasks = chosen.models, chosen.tasks
    cells = [
        replace(
            one,
            title=titles.get(one.strategy, one.title),
            position=places.get(one.strategy, len(places) + one.position),
        )
        for one in chosen.cells
    ]
    cells.sort(key=lambda one: (models.index(one.model), one.position, one.strategy, tasks.index(one.task)))
    return replace(chosen, title=study.title, cells=tuple(cells))


def _parsed(ask: Ask, chosen: Chosen, parse: Parse | None) -> Study:
    """The study of a store that keeps its text alone."""
    text = spec_text(ask, chosen.study)
    with suppress(BitspecError):
        if parse is not None:
            return cleaned(parse(text.text, text.heading))
    message = f"the store is of an older bitspec, and the text of the study `{chosen.study}` cannot be read alone"
    hint = f"name the spec: `bitspec report {text.heading}`"
    raise BitspecError(error("no-definition", message, help=hint))


def _of_spec(ask: Ask, choice: Choice, study: Study, remedy: str) -> list[Caution]:
    whole = choose(ask, replace(choice, tasks=(), models=()))
    return cautions.other_spec(ask, study, whole, remedy)


def _heatmaps(ask: Ask, runs: Runs) -> Heatmaps | None:
    """A heatmap for each model and task, of the first strategies that trained anything of the base model."""
    chosen = runs.chosen
    moved = [strategy for strategy in runs.titles if any(run.change is not None for run in runs.of(strategy))]
    strata = [place for place in runs.strata if any(runs.at(*place, strategy) for strategy in moved)]
    hidden = set(moved[MOST_STRATEGIES:])
    shown = set(strata[:MOST_HEATMAPS])
    own = [one for one in chosen.cells if (one.model, one.task) in shown and one.strategy not in hidden]
    try:
        whole = changes(ask, replace(chosen, cells=tuple(own)))
    except BitspecError:  # nothing is trained of any base model
        return None
    titles = labels(chosen)
    left_out = [
        *(titles[strategy] for strategy in moved[MOST_STRATEGIES:]),
        *(task for _, task in strata[MOST_HEATMAPS:]),
    ]
    found = (_of_stratum(whole, model, task) for model, task in strata[:MOST_HEATMAPS])
    return Heatmaps(tuple(one for one in found if one.panels), tuple(left_out))


def _of_stratum(whole: Changes, model: str, task: str) -> Changes:
    """The changes on one model and task."""
    cells = tuple(one for one in whole.chosen.cells if (one.model, one.task) == (model, task))
    panels = tuple(one for one in whole.panels if (one.cells.model, one.cells.task) == (model, task))
    with_panel = {panel.cells.strategy for panel in panels}
    return replace(
        whole,
        chosen=replace(whole.chosen, cells=cells),
        panels=panels,
        unmoved=tuple(one.title for one in cells if one.finished and one.strategy not in with_panel),
        unfinished=tuple(one.title for one in cells if not one.finished),
    )
