"""Two stores beside each other as a table, with what keys and seeds have to say below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import counted
from bitspec.query.answer import Answer
from bitspec.query.compile import Column
from bitspec.query.formats import number_text
from bitspec.query.functions import Kind
from bitspec.report.runs import Place
from bitspec.report.sentences import interval_text, signed
from bitspec.report.stores import Both, Held, Stores, Unlike
from bitspec.report.text.compare import few

#: Rows of a table that are shown; nobody reads more.
MOST_ROWS: Final = 200


def tables(found: Stores) -> list[Answer]:
    """The cells that both have."""
    several = len({one.place[0] for one in found.both}) > 1
    names = ("model", "task", "strategy") if several else ("task", "strategy")
    left, right = _short(found)
    numbers = (left, "n", right, "n", "difference (points)", "95 % interval", "same trials")
    columns = (*(Column(name, Kind.TEXT) for name in names), *(Column(name, Kind.NUMBER) for name in numbers))
    shown = found.both[:MOST_ROWS]
    rows = [(*((one.place[0],) if several else ()), one.place[1], one.title, *_cells(one)) for one in shown]
    return [Answer(columns, rows, tuple(_notes(found)), is_cut=len(shown) < len(found.both))]


def for_programs(found: Stores) -> Answer:
    """The same with every digit, and with names in place of titles."""
    names = ("model", "task", "strategy")
    points = ("a_score", "b_score", "difference", "low", "high")
    counts = ("a_n", "b_n", "pairs", "same", "identical")
    columns = (
        *(Column(name, Kind.TEXT) for name in names),
        *(Column(name, Kind.NUMBER, True) for name in points),
        *(Column(name, Kind.NUMBER) for name in counts),
    )
    rows = []
    for one in found.both:
        interval = one.interval
        ends = (None, None) if interval is None else (interval.low, interval.high)
        numbers = (len(one.left), len(one.right), len(one.pairs), one.same, one.identical)
        rows.append((*one.place, *one.means, one.difference, *ends, *numbers))
    return Answer(columns, rows, tuple(_notes(found)))


def _cells(one: Both) -> tuple[Any, ...]:
    left, right = one.means
    return (
        number_text(left, 1),
        len(one.left),
        number_text(right, 1),
        len(one.right),
        None if one.difference is None else signed(one.difference),
        None if one.interval is None else interval_text(one.interval),
        f"{one.same:,} of {len(one.pairs):,}",
    )


def _short(found: Stores) -> tuple[str, str]:
    """What the stores are called above their columns: the last part of their paths, if that tells them apart."""
    left, right = _folder(found.left.path), _folder(found.right.path)
    return (left.name, right.name) if left.name != right.name else (str(left), str(right))


def _folder(path: Path) -> Path:
    return path.parent if path.suffix == ".duckdb" and path.parent.name else path


# What is said below ---------------------------------------------------------------------------------------------------


def _notes(found: Stores) -> Iterable[str]:
    left, right = _short(found)
    yield f"{_held(found.left)} less {_held(found.right)}, paired by seed"
    yield from _same(found)
    for name, places in ((left, found.only_left), (right, found.only_right)):
        if places:
            yield f"only in {name}: {_places(places)}"
    alone = found.left.trials + found.right.trials - 2 * found.pairs
    if alone:
        yield f"{counted(alone, 'run')} without a partner of the same cell and seed in the other store"
    if any(one.interval is not None for one in found.both) and len(found.both) > 1:
        yield "intervals are those of single cells: one of twenty misses where nothing differs; and no verdict is given"


def _held(held: Held) -> str:
    return f"{held.path} ({held.chosen.study}, {counted(held.trials, 'run')})"


def _same(found: Stores) -> Iterable[str]:
    """What becomes of the same trial in two stores: on the same device, threads and pack, the same to the last bit."""
    others = found.pairs - found.same
    if others:
        yield (
            f"{others:,} of {counted(found.pairs, 'pair')}: different trials under the same names, by their keys; "
            "settings, selection, model or data are not the same"
        )
    if not found.same:
        return
    repeated = [one for one in found.unlike if one.is_repeated]
    moved = found.unlike[len(repeated) :]
    whole = f"{found.same:,} of {counted(found.pairs, 'pair')}: the same trial, by its key"
    if not found.unlike:
        yield f"{whole}, with the same numbers to the last bit"
        return
    yield f"{whole}; {found.same - len(found.unlike):,} of them with the same numbers to the last bit"
    if moved:
        yield (
            f"{counted(len(moved), 'trial')} with other numbers, on another device, with other threads or in another "
            f"pack, where they agree up to rounding: scores differ by up to {_largest(moved)} points"
        )
    if repeated:
        yield (
            f"{counted(len(repeated), 'trial')} with other numbers on the same device, threads and pack, which must "
            f"not be: {_trials(repeated)}. Were the libraries or the machine others? `bitspec show --trial` tells "
            "each one's versions"
        )


def _largest(unlike: Sequence[Unlike]) -> str:
    return number_text(max(abs(one.left.score - one.right.score) for one in unlike), None)


def _trials(unlike: Sequence[Unlike]) -> str:
    named = [
        f"{one.left.key[:12]} ({one.place[2]} on {one.place[1]}, seed {one.left.seed}: "
        f"{one.left.score:.6g} and {one.right.score:.6g})"
        for one in unlike
    ]
    return few(named)


def _places(places: Sequence[Place]) -> str:
    several = len({model for model, _, _ in places}) > 1
    named = [f"{strategy} on {task}{f' with {model}' if several else ''}" for model, task, strategy in places]
    return few(named)
