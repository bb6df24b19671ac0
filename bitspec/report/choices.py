"""Which study, tasks, strategies and models a figure is about, as users name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Final, TypeAlias, TypeVar
from unicodedata import category

from bitspec.diagnostics import BitspecError, Source, error, listed
from bitspec.names import known_strategy, known_task, one_called
from bitspec.query.connection import connect
from bitspec.query.running import fetch
from bitspec.store.views import VIEWS

T = TypeVar("T")

#: Asks the store for rows; its second argument is the parameters.
Ask: TypeAlias = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]

_CELLS: Final = (
    "SELECT model, task, strategy, any_value(title), min(position), count(*), "  # noqa: S608
    f"count(*) FILTER (status = 'finished') FROM ({VIEWS['cells'].of_study()}) GROUP BY ALL"
)

#: Kinds of characters that are none to read.
_CONTROL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: Types in which there is nothing to read.
_NUMBERS: Final = frozenset({int, float, bool, datetime, NoneType})


@dataclass(frozen=True)
class Choice:
    """What a figure is to show; what is empty means all there is, and no study the latest."""

    tasks: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    study: str | None = None


@dataclass(frozen=True)
class Cells:
    """The cells of a study that differ only in their seed: how many there are, how many of them are finished."""

    model: str
    task: str
    strategy: str
    title: str
    position: int
    planned: int
    finished: int


@dataclass(frozen=True)
class Chosen:
    """The cells that a figure shows, in the order of the spec, and the study that they are of."""

    study: str
    title: str | None
    spec: str
    cells: tuple[Cells, ...]

    @property
    def heading(self) -> str:
        """What figures of the study are called: its title, or its name where it has none."""
        return self.title or self.study

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it shows."""
        return tuple(dict.fromkeys(cells.model for cells in self.cells))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it shows."""
        return tuple(dict.fromkeys(cells.task for cells in self.cells))

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies that it shows."""
        return tuple(dict.fromkeys(cells.strategy for cells in self.cells))


def choose(ask: Ask, choice: Choice) -> Chosen:
    """The cells that a choice stands for.

    Raises BitspecError if there is no such study, task, strategy or model, or if none of the cells is finished.
    """
    runs = ask("SELECT study, title, spec, models, tasks FROM studies ORDER BY began DESC, run DESC", ())
    if not runs:
        hint = "train a study with `bitspec run SPEC`, or say where its results are with `--store`"
        raise BitspecError(error("nothing-finished", "the store has no study yet", help=hint))
    known = list(dict.fromkeys(run[0] for run in runs))
    study = known[0] if choice.study is None else one_called(choice.study, known, "study", "in the store")
    _, title, spec, model_order, task_order = next(run for run in runs if run[0] == study)
    rows = ask(_CELLS, (study,))
    cells = sorted(
        (Cells(*row) for row in rows),
        key=lambda one: (
            _place(one.model, model_order),
            one.position,
            one.strategy,
            _place(one.task, task_order),
        ),
    )
    where = f"in the study `{study}`"
    models = {one_called(name, (one.model for one in cells), "model", where) for name in choice.models}
    tasks = {known_task(name, (one.task for one in cells), where) for name in choice.tasks}
    titled = [(one.strategy, one.title) for one in cells]
    strategies = {known_strategy(name, titled, where) for name in choice.strategies}
    chosen = tuple(
        one
        for one in cells
        if (not models or one.model in models)
        and (not tasks or one.task in tasks)
        and (not strategies or one.strategy in strategies)
    )
    if not any(one.finished for one in chosen):
        what = f"of {listed(sorted(strategies), 'and')} " if strategies else ""
        on = f" on {listed(sorted(tasks), 'and')}" if tasks else ""
        message = f"no trial {what}is finished{on} {where}"
        raise BitspecError(error("nothing-finished", message, help=f"train them with `bitspec run {spec}`"))
    return Chosen(study, title, spec, chosen)


def asking(store: Path, answer: Callable[[Ask], T]) -> T:
    """What `answer` makes of the store's rows; the store is open for as long as that takes."""
    with connect(store) as connection:

        def ask(sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
            rows = fetch(connection, Source("<figure>", sql), parameters).rows
            columns = zip(*rows, strict=True)
            return rows if all(map(_is_printable, columns)) else [tuple(map(printable, row)) for row in rows]

        return answer(ask)


def _is_printable(column: tuple[Any, ...]) -> bool:
    """Whether a column of an answer is sure to have no control characters; each text is looked at once."""
    kinds = set(map(type, column))
    return kinds <= _NUMBERS or (
        kinds <= {str, NoneType} and all(value is None or value.isprintable() for value in set(column))
    )


def printable(value: Any) -> Any:
    """A value from a store or a spec without control characters, line breaks included, however deep they stand.

    Both come from strangers: what they hold must not steer a terminal, or turn the text that stands beside it.
    """
    match value:
        case str() if not value.isprintable():
            return "".join("\N{REPLACEMENT CHARACTER}" if category(char) in _CONTROL else char for char in value)
        case list() if value and not isinstance(value[0], int | float):  # numbers are many, and harmless
            return [printable(one) for one in value]
        case dict():
            return {printable(name): printable(one) for name, one in value.items()}
    return value


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    # The latest run may have been narrowed: what it did not cover comes after.
    return (order.index(name) if name in order else len(order), name)
