"""What a reader must know before believing a study: what is missing, and what is not what it seems."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from bitspec.diagnostics import BitspecError, counted, listed
from bitspec.ir.canonical import Canonical
from bitspec.ir.cascade import resolve
from bitspec.ir.settings import Settings, written_number
from bitspec.ir.study import Study
from bitspec.report.choices import Ask, Chosen
from bitspec.report.page.about import seeds_text
from bitspec.report.runs import Place, Runs
from bitspec.store.views import VIEWS

#: Lines of one caution, and characters of a line.
_LINES: Final = 20
_LENGTH: Final = 400

#: Names in one line.
_NAMED: Final = 6

_OPEN: Final = (
    "SELECT model, task, strategy, status, seed, key "  # noqa: S608
    f"FROM ({VIEWS['cells'].of_study()}) WHERE status <> 'finished' ORDER BY position, strategy, task, seed"
)
_MESSAGES: Final = (
    "SELECT key, replace(message, chr(10), ' ') FROM trials "
    "WHERE message IS NOT NULL AND key IN (SELECT unnest($1::VARCHAR[]))"
)
_SELECTIONS: Final = f"SELECT strategy, selection FROM ({VIEWS['strategies'].of_study()})"  # noqa: S608

#: Of the runs of the spec as it was last: what it said before was of another text.
_WARNINGS: Final = (
    "SELECT DISTINCT unnest(warnings) AS said FROM studies WHERE study = $1 AND spec_text = "
    "(SELECT spec_text FROM studies WHERE study = $1 ORDER BY began DESC, run DESC LIMIT 1) ORDER BY said"
)


@dataclass(frozen=True)
class Caution:
    """A thing to know: in a sentence, with what it is about, a line each; `more` lines are left out.

    `remedy` is the command that mends it, if one does.
    """

    text: str
    lines: tuple[str, ...] = ()
    more: int = 0
    remedy: str | None = None


#: How the text of a selection tells with what another strategy was trained.
_TRAINED: Final = re.compile(r", trained = sha256:[0-9a-f]{64}")


def open_cells(ask: Ask, runs: Runs, remedy: str) -> list[Caution]:
    """Cells without a result: those that diverged, those that failed, those that were never run."""
    chosen = runs.chosen
    places = {(cells.model, cells.task, cells.strategy) for cells in chosen.cells}
    found: defaultdict[str, dict[Place, list[tuple[int, str]]]] = defaultdict(dict)
    for model, task, strategy, status, seed, key in ask(_OPEN, (chosen.study,)):
        if (model, task, strategy) in places:
            found[status].setdefault((model, task, strategy), []).append((seed, key))
    cautions = []
    for status, words in (("diverged", "diverged"), ("failed", "failed"), ("missing", "not trained yet")):
        own = found.get(status, {})
        if not own:
            continue
        messages: dict[str, str] = dict(
            ask(_MESSAGES, ([key for trials in list(own.values())[:_LINES] for _, key in trials],))
        )
        lines = []
        for place, trials in own.items():
            said = next((f": {messages[key]}" for _, key in trials if key in messages), "")
            lines.append(f"{_named(runs, place)}, {seeds_text(seed for seed, _ in trials)}{said}")
        count = sum(map(len, own.values()))
        text = f"{counted(count, 'run')} {_has(count)} no result: {words}. Means are over the others."
        cautions.append(_caution(text, lines, remedy))
    return cautions


def without_score(runs: Runs) -> list[Caution]:
    """Trials that are finished without a number for a score, and so stand in nothing."""
    lines = []
    for cells in runs.chosen.cells:
        lacking = cells.finished - len(runs.at(cells.model, cells.task, cells.strategy))
        if lacking:
            lines.append(f"{_named(runs, (cells.model, cells.task, cells.strategy))}: {counted(lacking, 'run')}")
    return [_caution("Finished runs have a score that is no number, and are left out.", lines)] if lines else []


def one_seed(runs: Runs, remedy: str) -> list[Caution]:
    """Strategies with a single run on a task, where no verdict can be."""
    single = [place for place, own in runs.by_place.items() if len(own) == 1]
    if not single:
        return []
    if len(single) == len(runs.by_place):
        text = "There is one run in each cell: nothing tells a difference from the luck of a run."
        return [Caution(text, remedy=f"{remedy} --seeds 0..4")]
    text = f"{counted(len(single), 'cell')} of {len(runs.by_place):,} {_has(len(single))} a single run."
    return [_caution(text, [_named(runs, place) for place in single])]


def same_trials(runs: Runs) -> list[Caution]:
    """Strategies that are the same trials, and so one strategy under several names."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs.all:
        names[run.key].add(run.strategy)
    order = {strategy: place for place, strategy in enumerate(runs.titles)}
    shared: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for strategies in names.values():
        if len(strategies) > 1:
            shared[tuple(sorted(strategies, key=order.__getitem__))] += 1
    if not shared:
        return []
    lines = [
        f"{listed((runs.titles[name] for name in strategies[:_NAMED]), 'and', '')}"
        f"{' and others' if len(strategies) > _NAMED else ''}: {counted(count, 'trial')}"
        for strategies, count in shared.items()
    ]
    text = "Strategies that are the same trials differ in nothing; to compare them says nothing."
    return [_caution(text, lines)]


def other_settings(study: Study, runs: Runs, trained: Mapping[Place, Settings]) -> list[Caution]:
    """Cells that were trained with other settings than the spec gives them, as with `--set`."""
    found: defaultdict[tuple[str, Any, Any], list[Place]] = defaultdict(list)
    strategies, tasks = study.strategy_names, {task.name for task in study.tasks}
    for (model, task, strategy), settings in trained.items():
        if strategy not in strategies or task not in tasks:
            continue
        with suppress(KeyError, ValueError):  # a definition that was not written by bitspec
            wanted = resolve(study, strategy, task).model_dump()
            for name, value in settings.model_dump().items():
                if value != wanted[name]:
                    found[name, value, wanted[name]].append((model, task, strategy))
    if not found:
        return []
    lines = [
        f"{name} is {_written(value)} where the spec says {_written(wanted)}: {_places(runs, places, len(trained))}"
        for (name, value, wanted), places in found.items()
    ]
    return [_caution("Cells were trained with other settings than the spec gives them.", lines)]


def other_spec(ask: Ask, study: Study, whole: Chosen, remedy: str) -> list[Caution]:
    """Where a spec has changed since it was run: strategies that select other entries, and what is not there."""
    canonical = Canonical(study.selections)
    # With what other strategies were trained, a caution of its own says.
    trained = {name: _TRAINED.sub("", text) for name, text in ask(_SELECTIONS, (whole.study,))}
    changed = [
        f"{strategy.title}: trained {trained[strategy.name]}, now {text}"
        for strategy in study.strategies
        if strategy.name in trained and trained[strategy.name] != (text := canonical.text(strategy.selection))
    ]
    absent = [
        *(f"strategy {one.title}" for one in study.strategies if one.name not in whole.strategies),
        *(f"task {one.name}" for one in study.tasks if one.name not in whole.tasks),
        *(f"model {one.name}" for one in study.models if one.name not in whole.models),
    ]
    cautions = []
    if changed:
        text = "Strategies select something else in the spec than what was trained under their names."
        cautions.append(_caution(text, changed, remedy))
    if absent:
        cautions.append(_caution("The spec has what was never run.", absent, remedy))
    return cautions


def spec_warnings(ask: Ask, chosen: Chosen, said: Iterable[str] = ()) -> list[Caution]:
    """What bitspec had to say about the spec: when it was read now, and when it ran, with the model at hand."""
    lines = dict.fromkeys(said)
    with suppress(BitspecError):  # a store of an older bitspec has no such column
        lines |= dict.fromkeys(line for (line,) in ask(_WARNINGS, (chosen.study,)))
    return [_caution("There are warnings about the spec.", list(lines))] if lines else []


def _caution(text: str, lines: Sequence[str], remedy: str | None = None) -> Caution:
    shown = (line if len(line) <= _LENGTH else f"{line[: _LENGTH - 1]}…" for line in lines[:_LINES])
    return Caution(text, tuple(shown), max(0, len(lines) - _LINES), remedy)


def _named(runs: Runs, place: Place) -> str:
    model, task, strategy = place
    of = f" ({model})" if len(runs.chosen.models) > 1 else ""
    return f"{runs.titles.get(strategy, strategy)} on {task}{of}"


def _places(runs: Runs, places: Sequence[Place], of: int) -> str:
    if len(places) == of:
        return "all of them"
    named = listed([_named(runs, place) for place in places[:_NAMED]], "and", "")
    return named if len(places) <= _NAMED else f"{named} and {len(places) - _NAMED:,} more"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _written(value: object) -> str:
    return written_number(value) if isinstance(value, int | float) else str(value)
