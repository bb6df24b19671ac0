"""What a query means, said once more in plain Python over rows that are dicts; slow, and easy to check."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from scipy import stats

from bitspec.query.syntax import (
    And,
    Arithmetic,
    Call,
    Compares,
    Expression,
    IsIn,
    IsNull,
    Item,
    Matches,
    Name,
    Negative,
    Not,
    Number,
    Or,
    Query,
    Range,
    Text,
)

Row = dict[str, Any]


def answer(query: Query, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """The rows of the answer, in the order of what is grouped by, position first."""
    kept = [row for row in rows if query.where is None or value(query.where, [row]) is True]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in kept:
        groups.setdefault(tuple(row[name.name] for name in query.by), []).append(row)
    if not query.by:
        groups = {(): kept}
    aliases = {item.alias: item.expression for item in query.items if isinstance(item, Item)}
    found = []
    for key, members in groups.items():
        if query.having is not None and value(query.having, members, aliases) is not True:
            continue
        values = [value(item.expression, members) for item in query.items if isinstance(item, Item)]
        places = [row["position"] for row in members if row["position"] is not None]
        found.append((ordering(query, key, min(places, default=math.inf)), (*key, *values)))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def ordering(query: Query, key: tuple[Any, ...], position: float) -> tuple[Any, ...]:
    parts: list[Any] = []
    for name, one in zip(query.by, key, strict=True):
        if name.name == "strategy":
            parts.append(position)
        parts += [one is None, one if one is not None else 0]
    return tuple(parts)


def value(node: Expression, rows: Sequence[Row], aliases: dict[Any, Expression] | None = None) -> Any:
    """The value of an expression for a group of rows, or for the one row that is not in a group."""

    def of(part: Expression) -> Any:
        return value(part, rows, aliases)

    match node:
        case Number(digits):
            return float(digits)
        case Text(text):
            return text
        case Name("n"):
            return len(rows)
        case Name(name) if aliases and name in aliases:
            return value(aliases[name], rows)
        case Name(name):
            (row,) = {row[name] for row in rows}
            return row
        case Call(function, (argument,)):
            present = [one for one in (value(argument, [row]) for row in rows) if one is not None]
            return AGGREGATES[function](present)
        case Negative(part):
            return None if of(part) is None else -of(part)
        case Arithmetic(operator, left, right):
            return arithmetic(operator, of(left), of(right))
        case Compares(operator, left, right):
            return compares(operator, of(left), of(right))
        case Matches(part, Text(pattern), negated):
            return (re.search(pattern, of(part)) is not None) != negated if of(part) is not None else negated
        case IsIn(part, members, negated):
            one = of(part)
            inside = one is not None and any(
                float(member.first) <= one <= float(member.last) if isinstance(member, Range) else one == of(member)
                for member in members
            )
            return inside != negated
        case IsNull(part, negated):
            return (of(part) is None) != negated
        case Not(part):
            return of(part) is not True
        case And(parts):
            return all(of(part) is True for part in parts)
        case Or(parts):
            return any(of(part) is True for part in parts)
    raise AssertionError(node)


def arithmetic(operator: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if operator == "/":
        return left / right if right else None
    return {"+": left + right, "-": left - right, "*": left * right}[operator]


def compares(operator: str, left: Any, right: Any) -> bool:
    if operator == "!=":  # what is null differs from every value
        return left is None or right is None or left != right
    if left is None or right is None:
        return False
    return bool(
        {"=": left == right}.get(operator)
        if operator == "="
        else {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
    )


def ci95(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))


def sd(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "mean": lambda values: statistics.fmean(values) if values else None,
    "sd": sd,
    "median": lambda values: statistics.median(values) if values else None,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "sum": lambda values: math.fsum(values) if values else None,
    "count": len,
    "se": lambda values: sd(values) / math.sqrt(len(values)) if len(values) > 1 else None,  # type: ignore[operator]
    "ci95": ci95,
}
