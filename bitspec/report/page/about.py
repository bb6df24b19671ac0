"""A study in a paragraph: what is trained, on what, how, and how far it has come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from pydantic import ValidationError

from bitspec.diagnostics import counted, listed
from bitspec.ir.settings import Settings, written_number
from bitspec.report.choices import Ask, Choice, Chosen
from bitspec.report.runs import Place, Runs
from bitspec.report.sentences import count_verdicts
from bitspec.report.verdicts import Finding
from bitspec.store.views import VIEWS

#: What was trained with which settings.
Trained: TypeAlias = Mapping[Place, Settings]

_SETTINGS: Final = (
    "SELECT DISTINCT model, task, strategy, settings "  # noqa: S608
    f"FROM ({VIEWS['scores'].of_study()}) ORDER BY ALL"
)

#: Names that a sentence lists; strategies with settings of their own that it names.
_NAMED: Final = 9
_EXCEPTIONS: Final = 3


def settings_of(ask: Ask, chosen: Chosen) -> Trained:
    """The settings of the finished trials that were chosen; what this bitspec cannot read is left out."""
    places = {(cells.model, cells.task, cells.strategy) for cells in chosen.cells}
    found: dict[Place, Settings] = {}
    for model, task, strategy, settings in ask(_SETTINGS, (chosen.study,)):
        if (model, task, strategy) in places:
            with suppress(ValidationError):
                found[model, task, strategy] = Settings.model_validate_json(settings)
    return found


def about(runs: Runs, trained: Trained, findings: Sequence[Finding], choice: Choice) -> str:
    """The paragraph."""
    parts = [_what(runs), _how_far(runs), *_how(runs, trained), _scored(runs)]
    if choice.tasks or choice.models:
        parts.append(f"Of the study, only {few([*choice.models, *choice.tasks], 'name')} is looked at here.")
    if findings:
        questions = len(dict.fromkeys(finding.question for finding in findings))
        asked = f"{counted(questions, 'question')} with {counted(len(findings), 'expectation')}"
        parts.append(f"The study asks {asked}: {count_verdicts(findings)}.")
    return " ".join(parts)


def few(names: Iterable[str], noun: str) -> str:
    """Names as a phrase, or how many there are of them."""
    found = list(names)
    return listed(found, "and", "") if len(found) <= _NAMED else counted(len(found), noun)


def seeds_text(seeds: Iterable[int]) -> str:
    """Seeds as a phrase: `seed 0`, `seeds 0 to 4`, `seeds 1, 7 and 42`."""
    found = sorted(set(seeds))
    if len(found) == 1:
        return f"seed {found[0]}"
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"seeds {found[0]} to {found[-1]}"
    return f"seeds {few(map(str, found), 'of them')}" if len(found) <= _NAMED else f"{len(found):,} seeds"


def _what(runs: Runs) -> str:
    chosen = runs.chosen
    each = "each of " if len(chosen.strategies) > 1 else ""
    model = "the model " if len(chosen.models) == 1 else "the models "
    return (
        f"This study fine-tunes {model}{few(chosen.models, 'model')} on {few(chosen.tasks, 'task')} with "
        f"{counted(len(chosen.strategies), 'strategy')}, {each}which trains a part of the parameters and leaves all "
        f"others as they were, and with {seeds_text(run.seed for run in runs.all)}."
    )


def _how_far(runs: Runs) -> str:
    planned = sum(cells.planned for cells in runs.chosen.cells)
    finished = len(runs.all)
    if finished == planned:
        return "Its one run is finished." if planned == 1 else f"All {planned:,} runs are finished."
    return f"Of {planned:,} runs, {finished:,} {'is' if finished == 1 else 'are'} finished."


def _how(runs: Runs, trained: Trained) -> list[str]:
    if not trained:
        return []
    epochs, batches, rates = (
        _said(runs, {place: getattr(settings, name) for place, settings in trained.items()})
        for name in ("epochs", "batch_size", "learning_rate")
    )
    noun = "epoch" if epochs == "1" else "epochs"
    return [f"Training takes {epochs} {noun} in batches of {batches} examples, at a learning rate of {rates}."]


def _said(runs: Runs, values: Mapping[Place, float]) -> str:
    """A setting in words: `7e-4 on cola and mrpc, 1e-3 on rte (2e-5 for Full-FT)`."""
    by_task: defaultdict[str, Counter[float]] = defaultdict(Counter)
    for (_, task, _), value in values.items():
        by_task[task][value] += 1
    usual = {task: counts.most_common(1)[0][0] for task, counts in by_task.items()}
    tasks_of: defaultdict[float, list[str]] = defaultdict(list)
    for task, value in usual.items():
        tasks_of[value].append(task)
    others: defaultdict[str, set[float]] = defaultdict(set)
    for (_, task, strategy), value in values.items():
        if value != usual[task]:
            others[strategy].add(value)
    strategies_of: defaultdict[str, list[str]] = defaultdict(list)
    for strategy, own in others.items():
        strategies_of[" or ".join(written_number(value) for value in sorted(own))].append(runs.titles[strategy])
    said = (
        written_number(next(iter(tasks_of)))
        if len(tasks_of) == 1
        else ", ".join(f"{written_number(value)} on {few(tasks, 'task')}" for value, tasks in tasks_of.items())
    )
    apart = [
        f"{value} for {few(titles, 'strategy') if len(titles) <= _EXCEPTIONS else counted(len(titles), 'strategy')}"
        for value, titles in strategies_of.items()
    ]
    return f"{said} ({', '.join(apart)})" if apart else said


def _scored(runs: Runs) -> str:
    metrics = {run.task: run.metric or "its main metric" for run in runs.all}
    tasks_of: defaultdict[str, list[str]] = defaultdict(list)
    for task in runs.chosen.tasks:
        if task in metrics:
            tasks_of[metrics[task]].append(task)
    said = "A score is the task's main metric on its validation set after the last epoch, × 100"
    if len(tasks_of) == 1:
        return f"{said}: {next(iter(tasks_of))}."
    parts = (f"{metric} on {few(tasks, 'task')}" for metric, tasks in tasks_of.items())
    return f"{said}: {', '.join(parts)}."
