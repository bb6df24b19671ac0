"""What the short form reads: a view with its columns, the order that its rows have, what goes with what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from bitspec.query.functions import Kind, kind_of

#: The view that is meant where none is named.
DEFAULT_VIEW: Final = "scores"

#: Columns that have one value for each strategy of a study.
OF_STRATEGY: Final = ("title", "position")

#: The order of rows where none is asked for: that of the spec, then of training.
_ORDER: Final = ("run", "position", "model", "task", "seed", "split", "epoch", "layer", "example")

#: Columns in points: a metric × 100.
_POINTS: Final = ("score", "best_score")


@dataclass(frozen=True)
class Relation:
    """A view: its name, and its columns with their DuckDB types."""

    name: str
    types: Mapping[str, str]

    @cached_property
    def kinds(self) -> Mapping[str, Kind]:
        """What each column holds."""
        return MappingProxyType({column: kind_of(of_type) for column, of_type in self.types.items()})

    def find(self, word: str) -> str | None:
        """The column of a name, in whatever case it is written."""
        return next((column for column in self.types if column.lower() == word.lower()), None)

    def has(self, *columns: str) -> bool:
        """Whether it has all of these columns."""
        return self.types.keys() >= set(columns)

    def is_points(self, column: str) -> bool:
        """Whether a column is in points."""
        return column in _POINTS

    @property
    def natural_order(self) -> list[str]:
        """Columns that its rows are ordered by where nothing else is asked for."""
        return [column for column in _ORDER if column in self.types]


def identifier(name: str) -> str:
    """The name of a column as SQL: a store from elsewhere may call its columns whatever it likes."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
