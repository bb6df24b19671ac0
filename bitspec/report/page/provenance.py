"""Where a report's numbers come from: the spec, the runs, the machines, the model and the data."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from bitspec.diagnostics import counted
from bitspec.report.choices import Ask, Chosen, printable
from bitspec.store.views import VIEWS

#: Runs that are listed, the latest of them; lines of one fact.
_RUNS: Final = 20
_LINES: Final = 30

#: Lines of a spec that are shown.
_SPEC_LINES: Final = 2000

_KEYS: Final = f"(SELECT key FROM ({VIEWS['scores'].of_study()}))"  # noqa: S608

_SPEC: Final = (
    "SELECT spec, string_split(replace(spec_text, chr(9), '    '), chr(10)) FROM studies WHERE study = $1 "
    "ORDER BY began DESC, run DESC LIMIT 1"
)
_BEGUN: Final = (
    "SELECT run, began, ended, command, commit, cells FROM studies WHERE study = $1 ORDER BY began DESC, run DESC"
)
#: A trial may have been trained in a run of another study.
_VERSIONS: Final = (
    f"SELECT DISTINCT versions, commit FROM studies WHERE run IN (SELECT run FROM trials WHERE key IN {_KEYS})"  # noqa: S608
)
_DEVICES: Final = (
    "SELECT device, threads, count(*), sum(seconds) FROM trials "  # noqa: S608
    f"WHERE key IN {_KEYS} GROUP BY ALL ORDER BY 3 DESC, 1, 2"
)
_MODELS: Final = (
    "SELECT DISTINCT model, model_source, model_revision, model_fingerprint FROM trials "  # noqa: S608
    f"WHERE key IN {_KEYS} ORDER BY ALL"
)
_DATA: Final = (
    "SELECT DISTINCT task, data_fingerprint, training_examples, validation_examples FROM trials "  # noqa: S608
    f"WHERE key IN {_KEYS} ORDER BY ALL"
)


@dataclass(frozen=True)
class Made:
    """How a report came to be: its command line, the version of bitspec, when (UTC), and of which store."""

    command: str
    version: str
    when: datetime
    store: Path

    @property
    def where(self) -> str:
        """What a command needs to find the store."""
        return "" if self.store == Path("store") else f" --store {shlex.quote(str(self.store))}"


@dataclass(frozen=True)
class Begun:
    """A run of the study: its number, when it began and ended (UTC), its command line, the spec's commit, its cells."""

    number: int
    began: datetime
    ended: datetime | None
    command: str
    commit: str | None
    cells: int


@dataclass(frozen=True)
class Text:
    """A spec: where it was read, and its text."""

    heading: str
    text: str


@dataclass(frozen=True)
class Provenance:
    """All that a report says of its origin: facts by what they are, the latest runs of the study, its specs.

    `more` runs came before those.
    """

    facts: tuple[tuple[str, tuple[str, ...]], ...]
    runs: tuple[Begun, ...]
    more: int
    specs: tuple[Text, ...]


def spec_text(ask: Ask, study: str) -> Text:
    """The spec of a study as its latest run read it."""
    # Line by line, as line breaks are control characters too.
    ((path, lines),) = ask(_SPEC, (study,))
    return Text(path, "\n".join(lines))


def provenance(ask: Ask, chosen: Chosen, made: Made, given: Text | None = None) -> Provenance:
    """The provenance of a study. `given` is the spec that the report was asked for with."""
    ran = spec_text(ask, chosen.study)
    rows = ask(_BEGUN, (chosen.study,))
    specs = [Text(f"The spec as it ran last, {ran.heading}", _cut(ran.text))]
    if given is not None and given.text.strip() != ran.text.strip():
        specs.insert(0, Text(f"The spec of this report, {given.heading}", _cut(given.text)))
    facts: list[tuple[str, Sequence[str]]] = [
        ("spec", [chosen.spec if given is None else given.heading]),
        *_packages(ask, chosen),
        *_machines(ask, chosen),
        ("models", [_model(*row) for row in ask(_MODELS, (chosen.study,))]),
        ("data", [_data(*row) for row in ask(_DATA, (chosen.study,))]),
        ("report", [f"bitspec {made.version}, {made.when:%Y-%m-%d %H:%M} UTC", made.command]),
    ]
    return Provenance(
        tuple((what, _few(lines)) for what, lines in facts if lines),
        tuple(Begun(*row) for row in rows[:_RUNS]),
        max(0, len(rows) - _RUNS),
        tuple(specs),
    )


def _packages(ask: Ask, chosen: Chosen) -> list[tuple[str, list[str]]]:
    """Commits and versions of the runs that trained the trials; of each package every version that there was."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    commits: dict[str, None] = {}
    for versions, commit in ask(_VERSIONS, (chosen.study,)):
        commits[commit or "none: the spec is not in a git repository"] = None
        for package, version in versions.items():
            found[package][version] = None
    said = [f"{package} {' and '.join(sorted(versions))}" for package, versions in found.items()]
    return [("commit", sorted(commits)), ("versions", [", ".join(said)] if said else [])]


def _machines(ask: Ask, chosen: Chosen) -> list[tuple[str, list[str]]]:
    rows = ask(_DEVICES, (chosen.study,))
    devices = [f"{device}{_threads(threads)}: {counted(trials, 'trial')}" for device, threads, trials, _ in rows]
    seconds = sum(one or 0.0 for *_, one in rows)
    trials = sum(count for _, _, count, _ in rows)
    took = f"{_time(seconds)} of training and evaluation, {counted(trials, 'trial')}"
    return [("devices", devices), ("time", [took])]


def _threads(threads: int | None) -> str:
    return "" if threads is None else f", {counted(threads, 'thread')}"


def _time(seconds: float) -> str:
    """A time in hours, or in minutes where it is short: `3.5 hours`, `12 minutes`."""
    value, unit = (seconds / 3600, "hour") if seconds >= 3600 else (seconds / 60, "minute")
    text = f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"
    return f"{text} {unit}{'' if text == '1' else 's'}"


def _model(name: str, source: str, revision: str | None, fingerprint: str | None) -> str:
    read = source if name == source else f"{name}, read from {source}"
    at = f", revision {revision}" if revision else ""
    return f"{read}{at}{f', fingerprint {fingerprint}' if fingerprint else ''}"


def _data(task: str, fingerprint: str | None, training: int | None, validation: int | None) -> str:
    known = training is not None and validation is not None
    sizes = f": {training:,} training and {validation:,} validation examples" if known else ""
    return f"{task}{sizes}{f', fingerprint {fingerprint}' if fingerprint else ''}"


def _few(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - _LINES
    return (*lines[:_LINES], f"and {more:,} more") if more > 0 else tuple(lines)


def _cut(text: str) -> str:
    lines = [printable(line.expandtabs(4)) for line in text.strip("\n").split("\n")]
    more = len(lines) - _SPEC_LINES
    return "\n".join(lines[:_SPEC_LINES]) + (f"\n# … {more:,} more lines" if more > 0 else "")
