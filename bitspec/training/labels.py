"""From the cells of a table to what a model takes: texts, numbers of classes, numbers of a regression.

The label is always in the last column of a table, and the texts are in those before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from bitspec import plugins, registry
from bitspec.diagnostics import did_you_mean, listed
from bitspec.training.tables import Cell, Table
from bitspec.vocabulary import REGRESSION, TWO_CLASSES

#: More classes than this make one wonder whether the labels are classes at all.
MANY_CLASSES: Final = 50

#: Classes that a message lists.
_LISTED: Final = 8

#: How programs write that there is nothing. `none` and `na` are not among them: they are classes in some data.
_MISSING: Final = frozenset({"nan", "null", "<na>", "#n/a"})

#: A number as a class is written. 01 is none: it may be a code, in which 1 is something else.
_CLASS_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

#: A class as the labels say it; 1 and 1.0 are one, and so are `1` and 1.
_Class: TypeAlias = int | float | str
_Label = TypeVar("_Label")


def is_regression(metric: str) -> bool:
    """Whether a metric compares numbers, and not classes."""
    if metric in registry.names("metric"):
        return registry.find(plugins.Metric, metric).is_regression
    return metric in REGRESSION


def texts(table: Table, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The sentences of each row; `names` are those of their columns.

    Raises BitspecError where one is missing, or is no text; an empty text is one.
    """
    columns = [_texts(table, name, column) for name, column in zip(names, table.columns[:-1], strict=True)]
    return tuple(zip(*columns, strict=True))


def _texts(table: Table, name: str, column: Sequence[Cell]) -> list[str]:
    found = [cell for cell in column if isinstance(cell, str)]
    if len(found) == len(column):
        return found
    wrong = [row for row, cell in enumerate(column) if not isinstance(cell, str)]
    cell = column[wrong[0]]
    if _is_missing(cell):
        raise table.refuse("missing-text", wrong, f"there is no text in `{name}`", "write one; it may be empty")
    raise table.refuse("bad-cell", wrong, f"`{name}` is no text but `{cell}`", "name a column of texts")


def numbers(table: Table, name: str, metric: str) -> tuple[float, ...]:
    """The labels of a regression. Raises BitspecError where one is missing or no number."""
    hint = f"`{metric}` compares numbers; for classes, choose another metric, such as `accuracy`"
    return tuple(_labels(table, name, _number, "is no number", hint))


def check_spread(table: Table, name: str, labels: Sequence[float]) -> None:
    """Raise BitspecError if a regression has nothing to learn: all its labels are equal."""
    if min(labels) == max(labels):
        raise _one_label(table, name, f"{labels[0]:g}")


def given_classes(table: Table, name: str, classes: Sequence[str], task: str) -> tuple[int, ...]:
    """The labels of a task whose classes are known, by name or by number.

    Raises BitspecError where one is missing, or is not one of them.
    """
    known: dict[_Class, int] = {label: number for number, label in enumerate(classes)}
    known |= {number: number for number in range(len(classes))}

    def number_of(cell: Cell) -> int | None:
        return known.get(_class_of(cell))

    hint = f"its labels are {listed(classes, 'and')}, or 0 to {len(classes) - 1}; leave out what has none"
    return tuple(_labels(table, name, number_of, f"is not one of `{task}`", hint))


def found_classes(
    tables: Mapping[str, Table], name: str, metric: str
) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """The classes that the labels of the first table, the training set, name; and the labels of all as numbers.

    Classes are in order: numbers by their size, anything else by its letters. Raises BitspecError where a label is
    missing, or is not in the training set, or where the metric does not fit.
    """
    training = next(iter(tables.values()))
    are_numbers = all(not isinstance(_class_of(cell), str) for cell in training.columns[-1] if not _is_missing(cell))
    read: Callable[[Cell], _Class] = _class_of if are_numbers else _written
    labels: dict[str, list[_Class]] = {
        split: _labels(table, name, read, "is no class", "") for split, table in tables.items()
    }
    if are_numbers:
        _check_all_labelled(tables, labels, name)
    else:
        for table in tables.values():
            _check_words(table, name)
    _check_kinds(training, name)
    found: list[Any] = list(set(next(iter(labels.values()))))  # all numbers, or all texts: they have an order
    classes: list[_Class] = sorted(found)
    _check_classes(classes, training, name, metric)
    return tuple(map(str, classes)), {
        split: _numbered(labels[split], classes, table, name, training) for split, table in tables.items()
    }


def _numbered(
    labels: Sequence[_Class], classes: Sequence[_Class], table: Table, name: str, training: Table
) -> tuple[int, ...]:
    number_of = {label: number for number, label in enumerate(classes)}
    unseen = [row for row, label in enumerate(labels) if label not in number_of]
    if unseen:
        label, known = labels[unseen[0]], [str(label) for label in classes]
        shown = known[:_LISTED] + ["…"] * (len(known) > _LISTED)
        near = did_you_mean(label, known) if isinstance(label, str) else None
        hint = near or f"the labels there are {listed(shown, 'and')}"
        message = f"the label `{label}` in `{name}` is not in `{training.origin.name}`, so it cannot be learnt"
        raise table.refuse("unknown-label", unseen, message, hint)
    return tuple(number_of[label] for label in labels)


def _check_all_labelled(tables: Mapping[str, Table], labels: Mapping[str, Sequence[_Class]], name: str) -> None:
    for split, table in tables.items():
        rows = [row for row, label in enumerate(labels[split]) if label == -1]
        if rows:
            hint = "this is how examples without a label are marked: leave them out, or write another label"
            raise table.refuse("bad-label", rows, f"the label in `{name}` is -1", hint)


def _check_words(table: Table, name: str) -> None:
    rows = [row for row, cell in enumerate(table.columns[-1]) if _written(cell).casefold() in _MISSING]
    if rows:
        hint = "this is how programs write that there is none: leave these examples out, or write another label"
        message = f"the label in `{name}` is `{_written(table.columns[-1][rows[0]])}`"
        raise table.refuse("bad-label", rows, message, hint)


def _check_kinds(table: Table, name: str) -> None:
    """Raise BitspecError where a file that tells kinds apart has labels of several: one of them is a mistake."""
    cells = table.columns[-1]
    if all(isinstance(cell, str) for cell in cells):  # CSV has nothing else
        return
    first = _kind(cells[0])
    rows = [row for row, cell in enumerate(cells) if _kind(cell) != first]
    if rows:
        other = _written(cells[rows[0]])
        message = f"the label `{other}` in `{name}` is {_kind(cells[rows[0]])}, and the first one is {first}"
        raise table.refuse("bad-label", rows, message, "write all labels as texts, or all as numbers")


def _kind(cell: Cell) -> str:
    """What a label is. A number that is written as a text is the number."""
    if isinstance(cell, bool):
        return "true or false"
    return "a text" if isinstance(cell, str) and isinstance(_class_of(cell), str) else "a number"


def _check_classes(classes: Sequence[_Class], training: Table, name: str, metric: str) -> None:
    if len(classes) == 1:
        raise _one_label(training, name, str(classes[0]))
    have = f"`{name}` has {len(classes):,} different labels in `{training.origin.name}`"
    fractions = any(isinstance(label, float) for label in classes)
    if len(classes) > MANY_CLASSES and (fractions or 2 * len(classes) > len(training)):
        hint = "name the column of the classes"
        if not isinstance(classes[0], str):
            hint += f"; for a regression, choose {listed(REGRESSION)} as metric"
        raise training.origin.refuse("metric-misfit", f"{have}: `{metric}` is for classes", hint)
    if metric in TWO_CLASSES and len(classes) != 2:
        message = f"`{metric}` is for two classes, and {have}"
        raise training.origin.refuse("metric-misfit", message, "write `metric = accuracy`")


def _one_label(table: Table, name: str, label: str) -> Exception:
    message = f"all labels in `{table.origin.name}` are `{label}`, so there is nothing to learn"
    return table.origin.refuse("one-label", message, f"is `{name}` the right column?")


# Cells ----------------------------------------------------------------------------------------------------


def _labels(table: Table, name: str, read: Callable[[Cell], _Label | None], wrong: str, hint: str) -> list[_Label]:
    """The last column, read cell by cell; `read` answers None for what is no label."""
    cells = table.columns[-1]
    missing = [row for row, cell in enumerate(cells) if _is_missing(cell)]
    if missing:
        help_line = "give every example a label, or leave out those without"
        raise table.refuse("missing-label", missing, f"there is no label in `{name}`", help_line)
    found = [read(cell) for cell in cells]
    bad = [row for row, label in enumerate(found) if label is None]
    if bad:
        raise table.refuse("bad-label", bad, f"the label `{_written(cells[bad[0]])}` in `{name}` {wrong}", hint)
    return [label for label in found if label is not None]


def _is_missing(cell: Cell) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def _written(cell: Cell) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell).strip()


def _number(cell: Cell) -> float | None:
    if isinstance(cell, bool) or cell is None or (isinstance(cell, str) and not _NUMBER.fullmatch(cell.strip())):
        return None
    try:
        number = float(cell) + 0.0  # which leaves one of the two zeros
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _class_of(cell: Cell) -> _Class:
    """The number that a cell says, whole if it can be; or else its text."""
    if isinstance(cell, str) and _CLASS_NUMBER.fullmatch(cell.strip()):
        cell = float(cell) if "." in cell else int(cell)
    if isinstance(cell, float) and math.isfinite(cell):
        return int(cell) if cell.is_integer() else cell
    return cell if isinstance(cell, int) and not isinstance(cell, bool) else _written(cell)
