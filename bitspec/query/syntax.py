"""The nouns of a query in the short form, and their one canonical spelling.

`at` is where a node stands in the text, as character offsets [start, end); it is left out of equality. `depth` is how
deep the tree below a node is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

#: Words that are no names.
KEYWORDS = (
    "select", "from", "where", "group", "by", "having", "order", "limit", "as", "or", "and", "not", "in", "is",
    "null", "distinct", "asc", "desc", "true", "false",
)  # fmt: skip

Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Node:
    """What every noun has in common."""

    at: Place = field(default=(0, 0), compare=False, repr=False)
    depth: int = field(default=1, compare=False, repr=False)
    #: How tightly it binds: a looser part of a tighter whole needs parentheses.
    tightness: ClassVar[int] = 9


@dataclass(frozen=True)
class Name(Node):
    """A bare word: a column, an alias, `n`, a metric, or a text where it is compared with one."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Field(Node):
    """`metrics.accuracy`: one entry of a column that holds several."""

    column: str
    key: str

    def __str__(self) -> str:
        return f"{self.column}.{self.key}"


@dataclass(frozen=True)
class Number(Node):
    """A number, as it was written."""

    digits: str

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True)
class Text(Node):
    """A text in quotes."""

    value: str

    def __str__(self) -> str:
        return quoted(self.value)


@dataclass(frozen=True)
class Truth(Node):
    """`true` or `false`."""

    value: bool

    def __str__(self) -> str:
        return str(self.value).lower()


@dataclass(frozen=True)
class Call(Node):
    """`mean(score)`, `count(distinct seed)`; `of_all` is `count(*)`."""

    function: str
    arguments: tuple[Expression, ...] = ()
    distinct: bool = False
    of_all: bool = False

    def __str__(self) -> str:
        inside = "*" if self.of_all else ", ".join(map(str, self.arguments))
        return f"{self.function}({'distinct ' if self.distinct else ''}{inside})"


@dataclass(frozen=True)
class Negative(Node):
    """`-x`."""

    of: Expression
    tightness: ClassVar[int] = 7

    def __str__(self) -> str:
        return f"-{_inside(self.of, 8)}"


@dataclass(frozen=True)
class Arithmetic(Node):
    """`a + b`. `tight`: without a space, as in `builtin/rte`, which is a text where it is compared with one."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression
    tight: bool = False

    @property
    def tightness(self) -> int:  # type: ignore[override]
        """That of its operator."""
        return 5 if self.operator in "+-" else 6

    def __str__(self) -> str:
        space = "" if self.tight else " "
        left, right = _inside(self.left, self.tightness), _inside(self.right, self.tightness + 1)
        return f"{left}{space}{self.operator}{space}{right}"


@dataclass(frozen=True)
class Compares(Node):
    """`score > 60`. Both ways of writing equality are `=` here."""

    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    left: Expression
    right: Expression
    tightness: ClassVar[int] = 4

    def __str__(self) -> str:
        return f"{_inside(self.left, 5)} {self.operator} {_inside(self.right, 5)}"


@dataclass(frozen=True)
class Matches(Node):
    """`strategy ~ "^drop"`: a regular expression is found in a text, or is not."""

    of: Expression
    pattern: Expression
    negated: bool = False
    tightness: ClassVar[int] = 4

    def __str__(self) -> str:
        return f"{_inside(self.of, 5)} {'!' if self.negated else ''}~ {_inside(self.pattern, 5)}"


@dataclass(frozen=True)
class Range(Node):
    """`0..3`, both ends included."""

    first: str
    last: str

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


@dataclass(frozen=True)
class IsIn(Node):
    """`task in {cola, rte}`, `seed in 0..3`."""

    of: Expression
    members: tuple[Expression | Range, ...]
    negated: bool = False
    tightness: ClassVar[int] = 4

    def __str__(self) -> str:
        alone = len(self.members) == 1 and isinstance(self.members[0], Range)
        members = ", ".join(str(one) if isinstance(one, Range) else _inside(one, 5) for one in self.members)
        return f"{_inside(self.of, 5)} {'not ' if self.negated else ''}in {members if alone else f'{{{members}}}'}"


@dataclass(frozen=True)
class IsNull(Node):
    """`change is null`."""

    of: Expression
    negated: bool = False
    tightness: ClassVar[int] = 4

    def __str__(self) -> str:
        return f"{_inside(self.of, 5)} is {'not ' if self.negated else ''}null"


@dataclass(frozen=True)
class Not(Node):
    """`not a`."""

    of: Expression
    tightness: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"not {_inside(self.of, 3)}"


@dataclass(frozen=True)
class And(Node):
    """`a and b and …`."""

    parts: tuple[Expression, ...]
    tightness: ClassVar[int] = 2

    def __str__(self) -> str:
        return " and ".join(_inside(part, 3) for part in self.parts)


@dataclass(frozen=True)
class Or(Node):
    """`a or b or …`."""

    parts: tuple[Expression, ...]
    tightness: ClassVar[int] = 1

    def __str__(self) -> str:
        return " or ".join(_inside(part, 2) for part in self.parts)


Expression: TypeAlias = (
    Name | Field | Number | Text | Truth | Call | Negative | Arithmetic | Compares | Matches | IsIn | IsNull | Not
    | And | Or
)  # fmt: skip


@dataclass(frozen=True)
class Everything(Node):
    """`*`: every column of the view."""

    def __str__(self) -> str:
        return "*"


@dataclass(frozen=True)
class Item(Node):
    """What is selected, and what it is called."""

    expression: Expression
    alias: str | None = None

    def __str__(self) -> str:
        return f"{self.expression} as {_name(self.alias)}" if self.alias is not None else str(self.expression)


@dataclass(frozen=True)
class Term(Node):
    """What the rows are ordered by."""

    expression: Expression
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.expression}{' desc' if self.descending else ''}"


@dataclass(frozen=True)
class Query(Node):
    """A query in the short form. Without a view it asks `scores`."""

    items: tuple[Item | Everything, ...]
    view: Name | None = None
    where: Expression | None = None
    by: tuple[Name, ...] = ()
    having: Expression | None = None
    order: tuple[Term, ...] = ()
    limit: int | None = None

    def __str__(self) -> str:
        clauses = [
            f"select {_listed(self.items)}",
            f"from {self.view}" if self.view else "",
            f"where {self.where}" if self.where else "",
            f"by {_listed(self.by)}" if self.by else "",
            f"having {self.having}" if self.having else "",
            f"order {_listed(self.order)}" if self.order else "",
            f"limit {self.limit}" if self.limit is not None else "",
        ]
        return " ".join(filter(None, clauses))


def quoted(text: str) -> str:
    """A text in the quotes that need no doubling, if there are such."""
    quote = "'" if '"' in text and "'" not in text else '"'
    return quote + text.replace(quote, quote * 2) + quote


def _name(alias: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", alias) and alias.lower() not in KEYWORDS
    return alias if plain else quoted(alias)


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(str, nodes))


def _inside(node: Expression, tightness: int) -> str:
    return str(node) if node.tightness >= tightness else f"({node})"
