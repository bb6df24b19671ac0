"""The Python API: what the commands do, for scripts and notebooks.

import bitspec

study = bitspec.load("specs/paper.bspec")
bitspec.show(study)                              # what every strategy trains; a table in a notebook
bitspec.select("bias where role == q", "bert-base-cased").count
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from operator import index
from pathlib import Path
from typing import SupportsIndex

from pydantic import Field

from bitspec.diagnostics import BitspecError, Diagnostic, did_you_mean, error, is_error, raise_errors, unique
from bitspec.ir.base import Noun
from bitspec.ir.canonical import Canonical
from bitspec.ir.check import check as check_study
from bitspec.ir.masks import Selected
from bitspec.ir.study import Strategy, Study
from bitspec.language.load import analyse_file, load, loads
from bitspec.parameters.cache import catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.sampling import Values
from bitspec.parameters.select import NotKnown, Selector
from bitspec.parameters.summary import Summary, summarise


class Shown(Noun):
    """What the strategies of a study train, on each of its models, and everything there is to say about it."""

    study: str | None
    models: tuple[Summary, ...]
    diagnostics: tuple[Diagnostic, ...] = Field(default=(), exclude=True)

    @property
    def is_right(self) -> bool:
        """Whether nothing in it is an error."""
        return not any(map(is_error, self.diagnostics))

    def to_json(self) -> str:
        """As JSON: the summaries, and the diagnostics with their places."""
        content = self.model_dump(mode="json")
        content["diagnostics"] = [
            {
                "severity": str(found.severity),
                "code": found.code,
                "message": found.message,
                "location": found.span.location if found.span is not None else None,
                "help": found.help,
            }
            for found in self.diagnostics
        ]
        return json.dumps(content, indent=2, ensure_ascii=False)

    def _repr_html_(self) -> str:
        """As a notebook shows it: a table for each model, and what there is to say."""
        said = "".join(f"<pre>{html.escape(found.render())}</pre>" for found in self.diagnostics)
        return "".join(_html_table(summary) for summary in self.models) + said


def check(study: str | Path, *, allow_outside: bool = False) -> tuple[Diagnostic, ...]:
    """Everything there is to say about a spec (a path), errors and warnings, without a model.

    The files that it names lie in the project folder, unless `allow_outside`.
    """
    return analyse_file(study, allow_outside=allow_outside).diagnostics


def show(
    study: Study | str | Path,
    *,
    models: str | Sequence[str] = (),
    strategies: str | Sequence[str] = (),
    seeds: Sequence[SupportsIndex] | None = None,
    folder: str | Path | None = None,
    allow_outside: bool = False,
    on_build: Callable[[str], AbstractContextManager[None]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Shown:
    """What every strategy of a study (or of the spec at a path) trains.

    `models`, `strategies` and `seeds` take the place of the study's own. Model folders are relative to `folder`, the
    spec's own where a path is given; the files that such a spec names lie in the project folder, unless
    `allow_outside`. Raises BitspecError if the spec is wrong or a model cannot be found; what is
    wrong with single strategies is among the diagnostics.
    """
    if not isinstance(study, Study):
        folder = Path(study).parent if folder is None else folder
        study = load(study, allow_outside=allow_outside)
    else:  # it may have been made by a program, or read from JSON
        raise_errors(check_study(study))
    models = (models,) if isinstance(models, str) else models
    strategies = (strategies,) if isinstance(strategies, str) else strategies
    tried = study.seeds if seeds is None else tuple(map(index, seeds))
    if not tried:
        raise BitspecError(
            error("missing-seeds", "there is no seed to show this for", study.span, help="give at least one")
        )
    wanted: list[tuple[str, str | None]] = [(source, None) for source in models] or [
        (model.source, model.revision) for model in study.models
    ]
    if not wanted:
        hint = "name one with `--model bert-base-cased`, or in the spec with `model`"
        raise BitspecError(error("incomplete", "there is no model to show this for", study.span, help=hint))
    chosen = [_strategy(study, name) for name in strategies] or None
    summaries: list[Summary] = []
    found: list[Diagnostic] = []
    for source, revision in wanted:
        facts = _catalogue(study, source, revision, Path(folder or "."), on_build)
        summary, diagnostics = summarise(study, facts, strategies=chosen, seeds=tried, progress=progress)
        summaries.append(summary.model_copy(update={"revision": revision}))
        found += diagnostics
    return Shown(study=study.name, models=tuple(summaries), diagnostics=tuple(unique(found)))


def select(
    selection: str, model: str | Catalogue, *, seed: SupportsIndex = 0, values: Values | None = None
) -> Selected:
    """The entries that a selection (in the language) picks in a model: a mask for each tensor it touches.

    `values` gives a tensor's values by its name, for rankings by magnitude. Raises BitspecError if it is wrong.
    """
    study = loads(f"group selection = {selection}", "<selection>")
    canonical = Canonical(study.selections)
    facts = model if isinstance(model, Catalogue) else catalogue(model)
    selector = Selector(
        facts,
        seed,
        named=study.selections,
        canonical=canonical.text,
        source=lambda need, _by, _names: values if need == "weights" else None,
    )
    try:
        return selector.select(study.selections["selection"])
    except NotKnown as problem:
        hint = "pass `values`, a function from a tensor's name to its values as a NumPy array"
        if problem.need != "weights":
            hint = "it is known once a study was run: `bitspec show` tells then what it selects"
        raise BitspecError(error("needs-weights", str(problem), problem.node.span, help=hint)) from None


def _strategy(study: Study, name: str) -> Strategy:
    for strategy in study.strategies:
        if strategy.name == name:
            return strategy
    hint = did_you_mean(name, study.strategy_names) or f"there are {len(study.strategies):,}; `bitspec show` lists them"
    raise BitspecError(error("unknown-name", f"there is no strategy called `{name}`", help=hint))


def _catalogue(
    study: Study,
    source: str,
    revision: str | None,
    folder: Path,
    on_build: Callable[[str], AbstractContextManager[None]] | None,
) -> Catalogue:
    """A model's catalogue; if it cannot be had, the error points at the model's statement."""
    try:
        return catalogue(source, revision, base=folder, on_build=on_build)
    except BitspecError as problem:
        span = next((model.span for model in study.models if model.source == source), None)
        raise BitspecError(*(replace(found, span=found.span or span) for found in problem.diagnostics)) from problem


def _html_table(summary: Summary) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(strategy.name)}</td><td>{html.escape(strategy.label or '')}</td>"
        f"<td style='text-align:right'>{strategy.count_text}</td>"
        f"<td style='text-align:right'>{strategy.percent_text}</td></tr>"
        for strategy in summary.strategies
    )
    return (
        f"<table><caption>{html.escape(summary.model)}: {summary.total:,} parameters; the head is always trained and "
        "never counted</caption>"
        "<thead><tr><th>strategy</th><th>label</th><th>trained</th><th>% of all</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
