"""Which of the names that there are a user means by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bitspec.diagnostics import BitspecError, did_you_mean, error, listed

#: Names that a message lists.
_LISTED: Final = 20


def short(task: str) -> str:
    """What a task may be called where no other has that name: `rte` for `builtin/rte`."""
    return task.rpartition("/")[2]


def task_called(name: str, known: Iterable[str]) -> str | None:
    """The task that a name stands for: `rte` finds `builtin/rte` too, unless both are there. None if there is none."""
    tasks = list(known)
    return name if name in tasks else next((task for task in tasks if short(task) == name), None)


def one_called(name: str, known: Iterable[str], what: str, where: str) -> str:
    """A name that is known. Raises BitspecError if it is not: there is no `what` of that name `where`."""
    names = list(dict.fromkeys(known))
    if name in names:
        return name
    few = f"there are {listed(names, 'and')}" if len(names) > 1 else f"there is only {listed(names)}"
    few = few if len(names) <= _LISTED else f"there are {len(names):,} of them"
    hint = (did_you_mean(name, names) or few) if names else None
    raise BitspecError(error("unknown-name", f"there is no {what} called `{name}` {where}", help=hint))


def known_task(name: str, known: Iterable[str], where: str) -> str:
    """The task that a name stands for. Raises BitspecError if there is none."""
    tasks = list(known)
    return task_called(name, tasks) or one_called(name, tasks, "task", where)


def known_strategy(name: str, titled: Sequence[tuple[str, str]], where: str) -> str:
    """The strategy of a name, or of a title; `titled` are names and titles.

    Raises BitspecError if there is none, or if several have the title.
    """
    names = [strategy for strategy, _ in titled]
    found = list(dict.fromkeys(strategy for strategy, title in titled if title == name))
    if name in names or not found:
        return one_called(name, names, "strategy", where)
    if len(found) > 1:
        message = f"`{name}` is the title of {listed(found, 'and')} {where}"
        raise BitspecError(error("ambiguous-name", message, help="give the name of one of them"))
    return found[0]
