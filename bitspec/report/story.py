"""One trial's whole story: what it is and serves, how it was trained, what came of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bitspec.query.connection import database
from bitspec.report.changes import Moved, label
from bitspec.report.choices import Ask, asking, printable
from bitspec.store.lookups import NAMED, check_beginning, check_unique
from bitspec.store.views import VIEWS

#: Examples that the trial is surest and wrong about.
WORST: Final = 5

#: Where the errors of a regression are told, from the least to the greatest.
QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

#: Classes of the largest task; what has more different labels, and numbers as predictions, is a regression.
_CLASSES: Final = 1000

_KEYS: Final = f"SELECT key, strategy, task, seed FROM trials WHERE starts_with(key, $1) ORDER BY key LIMIT {NAMED + 1}"  # noqa: S608

_FACTS: Final = (
    "key", "status", "model", "model_source", "model_revision", "model_fingerprint", "task", "data_fingerprint", "seed",
    "selection", "settings", "score", "best_score", "best_epoch", "metric", "metrics", "trainable", "percent", "head",
    "change", "loss", "seconds", "training_examples", "validation_examples", "started", "finished", "device",
    "threads", "values_file",
)  # fmt: skip

_TRIAL: Final = f"SELECT {', '.join(_FACTS)}, replace(message, chr(10), ' '), pack, run FROM trials WHERE key = $1"  # noqa: S608

_CELL: Final = "study, model, task, strategy, seed"
_CELLS: Final = f"SELECT {_CELL}, title FROM ({VIEWS['cells'].of_trial()}) ORDER BY study, model, task, position"  # noqa: S608
_CURRENT: Final = f"SELECT {_CELL} FROM ({VIEWS['cells'].of_study()}) WHERE key = $2"  # noqa: S608

_PACK: Final = "SELECT key, strategy, task, seed, status FROM trials WHERE key IN (SELECT unnest($1::VARCHAR[]))"

_RUN: Final = "SELECT run, study, spec, command, began, ended, commit, versions FROM studies WHERE run = $1"

# A trial that serves several cells has its rows in each of them.
_EPOCHS: Final = (
    "SELECT DISTINCT ON (epoch) epoch, loss, validation_loss, score, seconds, metrics "  # noqa: S608
    f"FROM ({VIEWS['epochs'].of_trial()}) ORDER BY epoch"
)
_CHANGES: Final = (
    "SELECT DISTINCT ON (tensor) tensor, role, layer, kind, entries, change, trained, trained_change "  # noqa: S608
    f"FROM ({VIEWS['changes'].of_trial()}) ORDER BY tensor"
)
_PREDICTED: Final = f"(SELECT DISTINCT ON (split, example) * FROM ({VIEWS['predictions'].of_trial()}))"  # noqa: S608
_SPLITS: Final = (
    "SELECT split, count(*), count(*) FILTER (label = prediction), count(DISTINCT label), "  # noqa: S608
    "bool_and(label = trunc(label) AND prediction = trunc(prediction)), avg(abs(margin)), "
    f"quantile_cont(margin, {list(QUANTILES)}) FROM {_PREDICTED} GROUP BY split ORDER BY split"
)
_CONFUSION: Final = f"SELECT split, label, prediction, count(*) FROM {_PREDICTED} GROUP BY ALL ORDER BY ALL"  # noqa: S608
_WORST: Final = (
    f"SELECT split, example, label, prediction, margin FROM {_PREDICTED} WHERE label <> prediction "  # noqa: S608
    "QUALIFY row_number() OVER (PARTITION BY split ORDER BY abs(margin) DESC, example) <= $2 "
    "ORDER BY split, abs(margin) DESC, example"
)

#: Metrics of a regression.
_OF_REGRESSION: Final = frozenset({"pearson", "spearman"})


@dataclass(frozen=True)
class Served:
    """A cell that the trial serves. `is_current`: the study has no other trial in its place by now."""

    study: str
    model: str
    task: str
    strategy: str
    seed: int
    title: str
    is_current: bool


@dataclass(frozen=True)
class Companion:
    """A trial that was trained together with it; what the store does not know of it is None."""

    key: str
    strategy: str | None = None
    task: str | None = None
    seed: int | None = None
    status: str | None = None


@dataclass(frozen=True)
class Origin:
    """The run that trained it. Times are UTC; `ended` is None if the run did not come to its end."""

    run: int
    study: str
    spec: str
    command: str
    began: datetime
    ended: datetime | None
    commit: str | None
    versions: dict[str, str]


@dataclass(frozen=True)
class Epoch:
    """An epoch, counted from 1: mean losses, score in points, seconds, metrics as fractions."""

    number: int
    loss: float | None
    validation_loss: float | None
    score: float | None
    seconds: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class Trained(Moved):
    """A tensor of which something was trained, and its mean absolute change over the `trained` entries too."""

    trained: int
    trained_change: float


@dataclass(frozen=True)
class Role:
    """All tensors of a role and kind: their mean absolute change over all entries, and over the trained ones."""

    label: str
    tensors: int
    entries: int
    trained: int
    change: float
    trained_change: float


@dataclass(frozen=True)
class Example:
    """A validation example, counted from 0, that the trial is wrong about.

    `margin` is the logit of the right class less the largest other; of a regression, answer less label.
    """

    example: int
    label: float
    prediction: float
    margin: float


@dataclass(frozen=True)
class Predicted:
    """What it predicts for a validation set.

    Of classes, `confusion` counts examples by label and prediction; of a regression, `errors` are the QUANTILES of
    prediction less label and `mean_error` is the mean of its size. `worst` are those that it is surest and wrong about.
    """

    split: str
    examples: int
    right: int
    confusion: tuple[tuple[float, float, int], ...]
    errors: tuple[float, ...]
    mean_error: float | None
    worst: tuple[Example, ...]


@dataclass(frozen=True)
class Story:
    """A trial. What one that failed does not have is None or empty; `message` says why it failed.

    Scores are in points, `metrics` fractions, times UTC. `values_file` is where its trained values lie, if they do.
    """

    key: str
    status: str
    model: str
    model_source: str
    model_revision: str | None
    model_fingerprint: str | None
    task: str
    data_fingerprint: str | None
    seed: int
    selection: str
    settings: dict[str, Any]
    score: float | None
    best_score: float | None
    best_epoch: int | None
    metric: str | None
    metrics: dict[str, float] | None
    trainable: int | None
    percent: float | None
    head: int | None
    change: float | None
    loss: float | None
    seconds: float | None
    training_examples: int | None
    validation_examples: int | None
    message: str | None
    started: datetime
    finished: datetime
    device: str | None
    threads: int | None
    values_file: str | None
    serves: tuple[Served, ...]
    pack: tuple[Companion, ...]
    origin: Origin | None
    epochs: tuple[Epoch, ...]
    tensors: tuple[Trained, ...]
    predictions: tuple[Predicted, ...]

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """The tensors by role and kind; what changed most over all its entries is first."""
        groups: defaultdict[str, list[Trained]] = defaultdict(list)
        for tensor in self.tensors:
            groups[label(tensor)].append(tensor)
        found = [_role(name, group) for name, group in groups.items()]
        return tuple(sorted(found, key=lambda role: (-role.change, role.label)))


def read(store: Path, key: str) -> Story:
    """The story of the trial whose key begins like this, in either case.

    Raises BitspecError if that is no key, or there is no such trial, or more than one.
    """
    check_beginning(key)
    return asking(store, lambda ask: _story(ask, key.lower(), database(store).parent))


def _story(ask: Ask, beginning: str, folder: Path) -> Story:
    found = ask(_KEYS, (beginning,))
    check_unique(beginning, [(key, strategy, task, seed) for key, strategy, task, seed in found])
    key = found[0][0]
    ((*values, message, pack, run),) = ask(_TRIAL, (key,))
    facts: dict[str, Any] = dict(zip(_FACTS, values, strict=True))
    facts["message"] = message
    facts["settings"] = _settings(facts["settings"])
    facts["values_file"] = _kept(folder, facts["values_file"])
    runs = ask(_RUN, (run,))
    epochs = ask(_EPOCHS, (key,))
    return Story(
        **facts,
        serves=_serves(ask, key),
        pack=_companions(ask, [one for one in pack or () if one != key]),
        origin=Origin(*runs[0]) if runs else None,
        epochs=tuple(
            Epoch(number, loss, validation_loss, score, seconds, metrics or {})
            for number, loss, validation_loss, score, seconds, metrics in epochs
        ),
        tensors=tuple(Trained(*row) for row in ask(_CHANGES, (key,))),
        predictions=_predictions(ask, key, _OF_REGRESSION & {*(facts["metrics"] or ())}),
    )


def _settings(text: str) -> dict[str, Any]:
    try:
        found = printable(json.loads(text))
    except ValueError:  # not of bitspec's making
        return {}
    return found if isinstance(found, dict) else {}


def _kept(folder: Path, name: str | None) -> str | None:
    """The path of the trained values; None where they were not kept, or are not there any more."""
    try:
        return (folder / name).as_posix() if name is not None and (folder / name).is_file() else None
    except OSError:  # a name that no file can have
        return None


def _serves(ask: Ask, key: str) -> tuple[Served, ...]:
    cells = ask(_CELLS, (key,))
    current = {tuple(cell) for study in {cell[0] for cell in cells} for cell in ask(_CURRENT, (study, key))}
    return tuple(
        Served(study, model, task, strategy, seed, title, (study, model, task, strategy, seed) in current)
        for study, model, task, strategy, seed, title in cells
    )


def _companions(ask: Ask, keys: Sequence[str]) -> tuple[Companion, ...]:
    known = {row[0]: Companion(*row) for row in (ask(_PACK, (list(keys),)) if keys else [])}
    return tuple(known.get(key, Companion(key)) for key in keys)


def _predictions(ask: Ask, key: str, of_regression: frozenset[str]) -> tuple[Predicted, ...]:
    splits = ask(_SPLITS, (key,))
    are_classes = not of_regression and all(whole and labels <= _CLASSES for _, _, _, labels, whole, _, _ in splits)
    confusion: defaultdict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for split, *row in ask(_CONFUSION, (key,)) if splits and are_classes else []:
        confusion[split].append((row[0], row[1], row[2]))
    worst: defaultdict[str, list[Example]] = defaultdict(list)
    for split, *example in ask(_WORST, (key, WORST)) if splits else []:
        worst[split].append(Example(*example))
    return tuple(
        Predicted(
            split,
            examples,
            right,
            tuple(confusion[split]),
            () if are_classes else tuple(quantiles),
            None if are_classes else error_size,
            tuple(worst[split]),
        )
        for split, examples, right, _, _, error_size, quantiles in splits
    )


def _role(name: str, tensors: Sequence[Trained]) -> Role:
    entries, trained = sum(one.entries for one in tensors), sum(one.trained for one in tensors)
    return Role(
        name,
        len(tensors),
        entries,
        trained,
        sum(one.entries * one.change for one in tensors) / max(1, entries),
        sum(one.trained * one.trained_change for one in tensors) / max(1, trained),
    )
