"""Tasks: where the data of each is, and how it becomes examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, error, listed
from bitspec.guard import guarded
from bitspec.ir.study import Task, TaskData
from bitspec.training import hub
from bitspec.training.arrow import of_arrow
from bitspec.training.examples import Examples, Split
from bitspec.training.files import read_table, read_tsv
from bitspec.training.glue import BUILTINS, GLUE, Glue, Layout
from bitspec.training.labels import check_spread, found_classes, given_classes, is_regression, numbers, texts
from bitspec.training.memory import Memory, state_of
from bitspec.training.tables import Origin, Table
from bitspec.vocabulary import BUILTIN_TASKS, METRICS
from bitspec.vocabulary import GLUE as MAIN_METRICS

#: Called with a task's name when its data has to be fetched, which happens inside the context that it returns.
OnFetch: TypeAlias = Callable[[str], AbstractContextManager[None]]

#: The names of splits. The second validation set is MNLI's.
SPLITS: Final = ("training", "validation", "validation_mismatched")

#: Folders that a message lists.
_LISTED: Final = 9


def read_task(
    task: Task, *, base: Path, data_dir: Path | None, cache: Path | None = None, on_fetch: OnFetch | None = None
) -> Examples:
    """A task's examples.

    Those of a `builtin/` task come with bitspec. Those of a task of GLUE are in `data_dir`, a folder in GLUE's usual
    layout, or else on the hub, whose local cache is asked before the network. Those of a task of one's own are in the
    files that it names, which start from `base`, the folder of the spec. `cache` is where fingerprints are remembered.

    Raises BitspecError if they are not there, or cannot be read.
    """
    source = _source(task, base, data_dir)
    state = source.state()
    examples = source.read(on_fetch)
    Memory(cache).keep(state, examples.fingerprint)
    return examples


def task_fingerprint(task: Task, *, base: Path, data_dir: Path | None, cache: Path | None = None) -> str | None:
    """The fingerprint of a task's examples, without asking the network: None where they would have to be fetched.

    Files are read, unless `cache` remembers them as they are; that a task was read from the hub, only `cache` knows.

    Raises BitspecError as `read_task` does.
    """
    source = _source(task, base, data_dir)
    known = Memory(cache).recall(source.state())
    if known is not None or isinstance(source, _OnHub):
        return known
    return read_task(task, base=base, data_dir=data_dir, cache=cache).fingerprint


# Where the data is ----------------------------------------------------------------------------------------


class _Source(Protocol):
    def state(self) -> str | None:
        """A digest of what the examples depend on, told without reading them; None if it cannot be told."""

    def read(self, on_fetch: OnFetch | None) -> Examples:
        """The examples. Raises BitspecError."""


def _source(task: Task, base: Path, data_dir: Path | None) -> _Source:
    if task.data is not None:
        return _OwnFiles(task, task.data, base)
    if task.name in BUILTINS:
        return _Folder(task, builtin_folder(task.name), BUILTINS[task.name])
    if task.name in registry.names("task"):
        return _OfPlugin(task, registry.find(plugins.Task, task.name, task.span), data_dir)
    if task.name not in GLUE:
        raise ValueError(f"there is no task `{task.name}`: the study has not passed its check")
    known = GLUE[task.name]
    return _OnHub(task, known) if data_dir is None else _Folder(task, _glue_folder(task, known, data_dir), known.layout)


def builtin_folder(name: str) -> Path:
    """The folder with the files of a generated task, `builtin/…`."""
    return Path(str(resources.files("bitspec"))).joinpath("builtin", "tasks", name.rpartition("/")[2])


def _glue_folder(task: Task, known: Glue, data_dir: Path) -> Path:
    """The folder of a task in that of GLUE, by its usual name or the hub's, in capitals or not."""
    try:
        folders = sorted(entry.name for entry in data_dir.iterdir() if entry.is_dir())
    except NotADirectoryError:
        raise BitspecError(
            error("not-a-folder", f"`{data_dir}` is a file", task.span, help="name the folder that holds GLUE")
        ) from None
    except FileNotFoundError:
        hint = "`--data-dir` names the folder that holds GLUE; without it, the data comes from the hub"
        raise BitspecError(error("no-such-folder", f"there is no folder `{data_dir}`", task.span, help=hint)) from None
    except OSError as problem:
        message = f"`{data_dir}` cannot be read: {problem.strerror}"
        raise BitspecError(error("unreadable-file", message, task.span, help="check its permissions")) from None
    likely = [name for name in folders if _plain(name) == _plain(known.folder)]
    if not likely:
        if (data_dir / known.layout.training).is_file():
            hint = "name the folder in which the folders of the tasks are"
        else:
            shown = folders[:_LISTED] + ["…"] * (len(folders) > _LISTED)
            hint = f"it has {listed(shown, 'and')}" if folders else "it has no folders in it"
        message = f"`{data_dir}` has no folder `{known.folder}`, which would hold the data of `{task.name}`"
        raise BitspecError(error("no-task-data", message, task.span, help=hint))
    return data_dir / (known.folder if known.folder in likely else likely[0])


def _plain(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")


# From tables to examples ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OwnFiles:
    """A task that is declared in a spec: its classes are those of the training file."""

    task: Task
    data: TaskData
    base: Path

    def state(self) -> str | None:
        return state_of([self.data.text, self.data.label, self.data.metric], self._files().values())

    def read(self, on_fetch: OnFetch | None) -> Examples:  # noqa: ARG002 - it is all here
        text, label, metric = self.data.text, self.data.label, self.data.metric
        if metric not in METRICS and metric not in registry.names("metric"):
            raise ValueError(f"there is no metric `{metric}`: the study has not passed its check")
        tables = {split: read_table(path, (*text, label), self.task.span) for split, path in self._files().items()}
        labels: Mapping[str, tuple[int, ...] | tuple[float, ...]]
        if is_regression(metric):
            classes: tuple[str, ...] = ()
            labels = {split: numbers(table, label, metric) for split, table in tables.items()}
            check_spread(tables["training"], label, labels["training"])
        else:
            classes, labels = found_classes(tables, label, metric)
        splits = (Split(split, texts(table, text), labels[split]) for split, table in tables.items())
        return _examples(self.task, splits, classes, metric)

    def _files(self) -> dict[str, Path]:
        named = (self.data.training, self.data.validation)
        # Not Path.expanduser(), which raises where there is no such home.
        return {split: self.base / os.path.expanduser(name) for split, name in zip(SPLITS, named, strict=False)}  # noqa: PTH111


@dataclass(frozen=True)
class _Folder:
    """A task whose files are laid out in a known way."""

    task: Task
    folder: Path
    layout: Layout

    def state(self) -> str | None:
        return state_of(self.task.name, self._files().values())

    def read(self, on_fetch: OnFetch | None) -> Examples:  # noqa: ARG002 - it is all here
        layout, columns = self.layout, (*self.layout.text, self.layout.label)
        splits = (
            _known(
                self.task,
                read_tsv(path, columns, self.task.span, header=layout.header, ragged=layout.ragged),
                split,
                columns,
                layout.classes,
            )
            for split, path in self._files().items()
        )
        return _examples(self.task, splits, layout.classes)

    def _files(self) -> dict[str, Path]:
        named = (self.layout.training, *self.layout.validation)
        return {split: self.folder / name for split, name in zip(SPLITS, named, strict=False)}


@dataclass(frozen=True)
class _OnHub:
    """A task of GLUE on the hub. What was read from there once is taken to be what is there."""

    task: Task
    known: Glue

    def state(self) -> str | None:
        return state_of([hub.DATASET, self.task.name])

    def read(self, on_fetch: OnFetch | None) -> Examples:
        classes, columns = self.known.layout.classes, (*self.known.hub_text, "label")
        names = ("train", *self.known.hub_validation)
        fetched = hub.fetch(self.task.name, names, self.task.span, on_fetch)
        splits = (
            _known(
                self.task,
                of_arrow(table, columns, Origin(f"{hub.DATASET}/{self.task.name}/{name}", self.task.span)),
                split,
                columns,
                classes,
            )
            for split, (name, table) in zip(SPLITS, fetched.items(), strict=False)
        )
        return _examples(self.task, splits, classes)


@dataclass(frozen=True)
class _OfPlugin:
    """A task that another package reads. What it depends on is its own affair: it is always read."""

    task: Task
    plugin: plugins.Task
    data_dir: Path | None

    def state(self) -> str | None:
        return None

    def read(self, on_fetch: OnFetch | None) -> Examples:  # noqa: ARG002 - it shows its own progress
        one = registry.of_package("task", self.task.name)
        with guarded(one, "read its examples", span=self.task.span):
            training, validation = self.plugin.read(self.data_dir)
            splits = [
                _checked(rows, split, self.plugin) for split, rows in zip(SPLITS, (training, validation), strict=False)
            ]
        return _examples(self.task, splits, tuple(self.plugin.classes), self.plugin.metric)


def _checked(rows: plugins.Rows, split: str, plugin: plugins.Task) -> Split:
    """A split of a plugin's examples. Raises ValueError if they are not what a task has."""
    texts = tuple(tuple(texts) for texts in rows.texts)
    if not texts or len(texts) != len(rows.labels):
        raise ValueError(f"{len(texts)} examples with {len(rows.labels)} labels in the {split} set")
    if {len(one) for one in texts} not in ({1}, {2}) or not all(isinstance(text, str) for one in texts for text in one):
        raise ValueError(f"an example of the {split} set has neither one nor two texts")
    if not plugin.classes:
        numbers = tuple(float(label) for label in rows.labels)
        if not all(map(isfinite, numbers)):
            raise ValueError(f"a label of the {split} set is no finite number")
        return Split(split, texts, numbers)
    classes = tuple(int(label) for label in rows.labels)
    if not all(0 <= number < len(plugin.classes) for number in classes):
        raise ValueError(f"a label of the {split} set is not the number of a class, 0 to {len(plugin.classes) - 1}")
    return Split(split, texts, classes)


def _known(task: Task, table: Table, split: str, columns: tuple[str, ...], classes: tuple[str, ...]) -> Split:
    """A split of a task whose classes are known; it has none if it is a regression."""
    *names, label = columns
    labels = given_classes(table, label, classes, task.name) if classes else numbers(table, label, "spearman")
    return Split(split, texts(table, names), labels)


def _examples(task: Task, splits: Iterable[Split], classes: tuple[str, ...], metric: str | None = None) -> Examples:
    training, *validation = splits
    metric = metric or MAIN_METRICS.get(task.name) or BUILTIN_TASKS[task.name]
    return Examples(task.name, training, tuple(validation), classes, metric)
