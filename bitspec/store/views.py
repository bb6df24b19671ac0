"""The views that answers are read from: every column with its SQL and what it means, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

#: Columns by name, each as its SQL and what it means.
Columns: TypeAlias = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class View:
    """A view: what one row of it is, its columns, where they come from, which of the rows and how they are grouped."""

    meaning: str
    columns: Columns
    source: str
    condition: str = "true"
    group: str = ""

    def sql(self, name: str) -> str:
        """The statement that makes it."""
        return f"CREATE OR REPLACE VIEW main.{name} AS {self._select(self.condition)}"

    def of_study(self) -> str:
        """A query for the same rows of one study, as it stands now; its parameter is the study's name."""
        return self._select("cell.current AND cell.study = $1")

    def of_trial(self) -> str:
        """A query for the same rows of one trial, once for each cell that it serves; its parameter is the key."""
        return self._select("cell.key = $1")

    def _select(self, condition: str) -> str:
        columns = ", ".join(f'{expression} AS "{column}"' for column, (expression, _) in self.columns.items())
        return f"SELECT {columns} {self.source} WHERE {condition} {self.group}".rstrip()


# By when they began: a run that was imported has a higher number than those that began after it.
_LATEST_FIRST = "ORDER BY began DESC, run DESC"

_LATEST = f"cell.current AND cell.study = (SELECT study FROM base.runs {_LATEST_FIRST} LIMIT 1)"  # noqa: S608

_CELL: Columns = {
    "study": ("cell.study", "the study's name"),
    "model": ("cell.model", "the model's name in the spec"),
    "task": ("cell.task", "the task: `rte`, `builtin/rte`, or one declared in the spec"),
    "strategy": ("cell.strategy", "the strategy's name"),
    "title": ("cell.title", "the strategy's label, or its name where it has none"),
    "position": ("cell.position", "the strategy's place in the spec"),
    "seed": ("cell.seed", "the seed"),
}

_KEY: Columns = {"key": ("cell.key", "the trial's key: the sha256 of all that its numbers depend on")}

_SCORES: Columns = {
    "score": ("trial.score", "the task's main metric × 100, after the last epoch"),
    "best_score": ("trial.best_score", "the highest score of all epochs"),
    "best_epoch": ("trial.best_epoch", "the first epoch with that score, counted from 1"),
    "metric": ("trial.metric", "the name of the task's main metric"),
    "metrics": ("trial.metrics", "every metric of the task after the last epoch, as fractions"),
    "trainable": ("trial.trainable", "entries of the base model that were trained"),
    "percent": ("trial.percent", "their share of all entries of the base model, in percent"),
    "head": (
        "trial.head",
        "entries that were trained and are not counted: the head's, and the pooler's where it goes with it",
    ),
    "change": (
        "trial.change",
        "mean absolute change of the trained entries of the base model; null where there are none",
    ),
    "loss": ("trial.loss", "mean training loss of the last epoch"),
    "epochs": ("trial.epochs", "epochs of training"),
    "learning_rate": ("trial.learning_rate", "the setting `learning_rate`"),
    "batch_size": ("trial.batch_size", "the setting `batch_size`"),
}

_RUNNING: Columns = {
    "seconds": ("trial.seconds", "seconds of training and evaluation; of a pack, its share of them"),
    "pack_size": (
        "len(trial.pack)::INTEGER",
        "how many trials were trained together with it, itself included: 1 if it was alone",
    ),
    "training_examples": ("trial.training_examples", "examples in the training set"),
    "validation_examples": ("trial.validation_examples", "examples in the validation set"),
}

_SCORE_COLUMNS: Columns = {
    **_CELL,
    **_SCORES,
    "settings": ("trial.settings", "all settings, as JSON"),
    "selection": ("trial.selection", "what was selected, in its canonical text"),
    **_RUNNING,
    "device": ("trial.device", "what it was trained on"),
    "threads": ("trial.threads", "CPU threads that it was trained with"),
    "finished": ("trial.finished", "when it finished, UTC"),
    **_KEY,
}

_EPOCH_COLUMNS: Columns = {
    **_CELL,
    "epoch": ("epoch.epoch", "the epoch, counted from 1"),
    "loss": ("epoch.loss", "mean training loss of the epoch, with dropout"),
    "validation_loss": ("epoch.validation_loss", "mean loss on the validation set after the epoch"),
    "score": ("epoch.score", "the task's main metric × 100 after the epoch"),
    "metrics": ("epoch.metrics", "every metric of the task after the epoch, as fractions"),
    "seconds": ("epoch.seconds", "seconds of training and evaluation; of a pack, its share of them"),
    **_KEY,
}

_CHANGE_COLUMNS: Columns = {
    **_CELL,
    "tensor": ("moved.tensor", "the tensor's name in the base model"),
    "role": ("moved.role", "its role: `q`, `m2`, `ln1` …; null where it has none"),
    "layer": ("moved.layer", "its layer, counted from 0; null outside the layers"),
    "kind": ("moved.kind", "its kind: `bias`, `gamma`, `matrix`, `embedding` or `other`"),
    "entries": ("moved.entries", "its number of entries"),
    "trained": ("moved.trained", "how many of them were trained"),
    "change": ("moved.change", "mean absolute change over all its entries, as in the paper"),
    "trained_change": ("moved.trained_change", "mean absolute change over the trained entries"),
    **_KEY,
}

_PREDICTION_COLUMNS: Columns = {
    **_CELL,
    "split": ("predicted.split", "the validation set"),
    "example": ("predicted.example", "the example's place in its file, counted from 0"),
    "label": ("predicted.label", "the right answer: the number of a class, or a value"),
    "prediction": ("predicted.prediction", "the model's answer"),
    "margin": (
        "predicted.margin",
        "logit of the right class less the largest other; of a regression, answer less label",
    ),
    **_KEY,
}

_STRATEGY_COLUMNS: Columns = {
    "study": ("cell.study", "the study's name"),
    "strategy": ("cell.strategy", "the strategy's name"),
    "title": ("max_by(cell.title, (covered.began, cell.run))", "the strategy's label, or its name where it has none"),
    "position": ("max_by(cell.position, (covered.began, cell.run))", "its place in the spec"),
    "selection": ("max_by(cell.selection, (covered.began, cell.run))", "what it selects, in its canonical text"),
    "trainable_min": ("min(trial.trainable)", "fewest entries that any of its trials trained"),
    "trainable_max": ("max(trial.trainable)", "most entries that any of its trials trained"),
    "percent": ("avg(trial.percent)", "their mean share of all entries of the base model, in percent"),
    "cells": ("count(*)", "its cells: models × tasks × seeds"),
    "finished": ("count(trial.key)", "how many of them are finished"),
}

_TRIAL_COLUMNS: Columns = {
    "key": ("trial.key", "the sha256 of all that the trial's numbers depend on"),
    "status": ("trial.status", "`finished`, `failed` or `diverged`"),
    "model": ("trial.model", "the model's name in the spec that ran it first"),
    "model_source": ("trial.model_source", "the hub name or folder that the model was read from"),
    "model_revision": ("trial.model_revision", "the revision, where one was asked for"),
    "model_fingerprint": ("trial.model_fingerprint", "stands for the model's weights"),
    "task": ("trial.task", "the task"),
    "data_fingerprint": ("trial.data_fingerprint", "stands for the task's examples"),
    "seed": ("trial.seed", "the seed"),
    "selection": ("trial.selection", "what was selected, in its canonical text"),
    "settings": ("trial.settings", "all settings, as JSON"),
    "strategy": ("trial.strategy", "the first name that it ran under"),
    "study": ("trial.study", "the first study that it ran in"),
    **_SCORES,
    **_RUNNING,
    "message": ("trial.message", "of a failure: what went wrong"),
    "started": ("trial.started", "when it started, UTC"),
    "finished": ("trial.finished", "when it finished or failed, UTC"),
    "device": ("trial.device", "what it was trained on"),
    "threads": ("trial.threads", "CPU threads that it was trained with"),
    "pack": ("trial.pack", "keys of the trials that were trained together with it, itself included"),
    "run": ("trial.run", "the run that trained it"),
    "values_file": ("trial.values_file", "the file of its trained values, in the store; null if they were not kept"),
}

# Of cells, not of keys: two cells may have one key.
_FINISHED_OF_RUN = (
    "(SELECT count(*) FROM (SELECT unnest(run.keys) AS key) AS covered "
    "JOIN base.trials AS trial ON trial.key = covered.key WHERE trial.status = 'finished')"
)

_STUDY_COLUMNS: Columns = {
    "run": ("run.run", "the run, counted from 1"),
    "study": ("run.study", "the study's name"),
    "title": ("run.title", "the study's title"),
    "spec": ("run.spec", "path of the spec, as it was given"),
    "spec_text": ("run.spec_text", "the spec"),
    "definition": (
        "run.definition",
        "the spec as JSON, with groups of other files; null in a store of an older bitspec",
    ),
    "warnings": ("run.warnings", "what there was to say about the spec; null in a store of an older bitspec"),
    "command": ("run.command", "the command line"),
    "began": ("run.began", "when the run began, UTC"),
    "ended": ("run.ended", "when it ended, UTC; null if it did not come to its end"),
    "commit": ("run.commit", "git commit of the spec's folder; `-dirty` if files in it were changed"),
    "versions": ("run.versions", "versions of Python and of the packages that it ran with"),
    "models": ("run.models", "models that the run covered"),
    "tasks": ("run.tasks", "tasks that the run covered"),
    "strategies": ("run.strategies", "strategies that the run covered"),
    "seeds": ("run.seeds", "seeds that the run covered"),
    "cells": ("len(run.keys)", "cells that the run covered"),
    "finished": (_FINISHED_OF_RUN, "how many of them are finished now"),
    "is_latest": (
        f"run.run = (SELECT run FROM base.runs {_LATEST_FIRST} LIMIT 1)",  # noqa: S608
        "whether this run began last",
    ),
}

_CELL_COLUMNS: Columns = {
    **_CELL,
    **_KEY,
    "status": ("coalesce(trial.status, 'missing')", "`finished`, `failed`, `diverged` or `missing`"),
}

_FINISHED = "FROM base.cells AS cell JOIN base.trials AS trial ON trial.key = cell.key AND trial.status = 'finished'"


def _both(name: str, meaning: str, columns: Columns, source: str) -> dict[str, View]:
    """A view of the latest study, and the same of all of them."""
    return {
        name: View(f"{meaning}, of the latest study", columns, source, _LATEST),
        f"all_{name}": View(f"{meaning}, of every study, replaced cells included", columns, source),
    }


def _of_trials(table: str, alias: str) -> str:
    return f"FROM base.cells AS cell JOIN base.{table} AS {alias} ON {alias}.key = cell.key"


#: Every view by name. What all of them leave out: schema `base` is the store's own business.
VIEWS: Final[Mapping[str, View]] = MappingProxyType(
    {
        **_both("scores", "a finished trial in its cell: model × task × strategy × seed", _SCORE_COLUMNS, _FINISHED),
        **_both("epochs", "an epoch of a finished trial", _EPOCH_COLUMNS, _of_trials("epochs", "epoch")),
        **_both(
            "changes",
            "a tensor of the base model that a finished trial trained, wholly or in part",
            _CHANGE_COLUMNS,
            _of_trials("changes", "moved"),
        ),
        **_both(
            "predictions",
            "a validation example as a finished trial answers it",
            _PREDICTION_COLUMNS,
            _of_trials("predictions", "predicted"),
        ),
        "strategies": View(
            "a strategy of the latest study",
            _STRATEGY_COLUMNS,
            "FROM base.cells AS cell LEFT JOIN base.runs AS covered ON covered.run = cell.run "
            "LEFT JOIN base.trials AS trial ON trial.key = cell.key AND trial.status = 'finished'",
            _LATEST,
            "GROUP BY cell.study, cell.strategy",
        ),
        "cells": View(
            "a cell of the latest study, finished or not",
            _CELL_COLUMNS,
            "FROM base.cells AS cell LEFT JOIN base.trials AS trial ON trial.key = cell.key",
            _LATEST,
        ),
        "trials": View("a trial, whatever studies it serves", _TRIAL_COLUMNS, "FROM base.trials AS trial"),
        "studies": View("a run of a study", _STUDY_COLUMNS, "FROM base.runs AS run"),
    }
)

#: What every column of every view means.
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        name: MappingProxyType({column: meaning for column, (_, meaning) in view.columns.items()})
        for name, view in VIEWS.items()
    }
)
