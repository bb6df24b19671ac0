"""What expressions are compiled with: the pieces that come of them, where they stand, and what a store is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bitspec.diagnostics import Span
from bitspec.query.functions import Kind
from bitspec.query.syntax import Expression, Name


class Known(Protocol):
    """What a store holds, asked for only where a query depends on it."""

    @property
    def tasks(self) -> Collection[str]:
        """The names of all tasks."""

    @property
    def metrics(self) -> Collection[str]:
        """The names of all metrics."""


@dataclass(frozen=True)
class Piece:
    """The SQL of an expression, what it gives, and whether that is in points."""

    sql: str
    kind: Kind
    in_points: bool = False


@dataclass(frozen=True)
class Scope:
    """Where an expression stands: which names have a value there, and whether aggregates do.

    `groups` is what rows are grouped by, None where rows stand for themselves. `no_aggregates` is why an aggregate
    cannot stand there, and what to do about it.
    """

    groups: tuple[Expression, ...] | None = None
    aliases: Mapping[str, Expression] = field(default_factory=dict)
    no_aggregates: tuple[str, str] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns among the groups."""
        return [one.name for one in self.groups or () if isinstance(one, Name)]


@dataclass(frozen=True)
class Asked:
    """A text that a column was compared with."""

    column: str
    value: str
    span: Span
