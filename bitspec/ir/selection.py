"""Selections: which entries of which parameters. The nouns of the language's expressions.

A selection is a tree of the nodes below, told apart by `type`. Amounts say how many entries a sample takes;
conditions restrict a selection by the attributes of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PlainSerializer, field_validator

from bitspec.ir.base import Node
from bitspec.plugins import Need

#: Deepest nesting of a selection, through names too. It keeps every pass over one clear of Python's own limit.
MAX_DEPTH = 100

Percentage = Annotated[Decimal, PlainSerializer(lambda number: f"{number.normalize():f}", return_type=str)]

BaseName: TypeAlias = Literal["all", "none", "bias", "gamma", "matrix", "embedding", "weight"]
Attribute: TypeAlias = Literal["name", "module", "class", "role", "layer", "kind", "numel", "ndim"]
Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


# Conditions ---------------------------------------------------------------------------------------------


class Matches(Node):
    """`module ~ "query"`: a regular expression is found somewhere in an attribute (or, negated, is not)."""

    type: Literal["matches"] = "matches"
    attribute: Attribute
    pattern: str
    negated: bool = False


class Compares(Node):
    """`layer >= 6`: an attribute against a value."""

    type: Literal["compares"] = "compares"
    attribute: Attribute
    operator: Operator
    value: int | str


class Range(Node):
    """`0..3`: whole numbers, both ends included. In a condition on layers, -1 is the last layer."""

    type: Literal["range"] = "range"
    first: int
    last: int


class Value(Node):
    """One member of a set: a name, a text or a whole number."""

    type: Literal["value"] = "value"
    value: int | str


Item: TypeAlias = Annotated[Value | Range, Field(discriminator="type")]


class IsIn(Node):
    """`role in {q, k}` or `layer not in 0..3`: an attribute is among values and ranges."""

    type: Literal["in"] = "in"
    attribute: Attribute
    items: tuple[Item, ...]
    negated: bool = False


class Not(Node):
    """`not` a condition."""

    type: Literal["not"] = "not"
    condition: Condition


class And(Node):
    """Every one of the conditions holds."""

    type: Literal["and"] = "and"
    conditions: tuple[Condition, ...]


class Or(Node):
    """At least one of the conditions holds."""

    type: Literal["or"] = "or"
    conditions: tuple[Condition, ...]


Condition: TypeAlias = Annotated[Matches | Compares | IsIn | Not | And | Or, Field(discriminator="type")]


# Amounts ------------------------------------------------------------------------------------------------


class Count(Node):
    """`46080`: a number of entries."""

    type: Literal["count"] = "count"
    count: int


class Percent(Node):
    """`0.04%` of all backbone parameters, tied ones once, rounded half to even."""

    type: Literal["percent"] = "percent"
    percent: Percentage


class SizeOf(Node):
    """`size(bias)`: as many entries as a selection has."""

    type: Literal["size"] = "size"
    of: Selection


class Share(Node):
    """`50% of bias`: a part of a selection's entries, rounded half to even."""

    type: Literal["share"] = "share"
    percent: Percentage
    of: Selection


Amount: TypeAlias = Annotated[Count | Percent | SizeOf | Share, Field(discriminator="type")]


# Selections ---------------------------------------------------------------------------------------------


class Base(Node):
    """A base selection: `all`, `none`, or every parameter of a kind. `weight` is all that is not a bias."""

    type: Literal["base"] = "base"
    name: BaseName


class Ref(Node):
    """A group or a strategy by its name."""

    type: Literal["ref"] = "ref"
    name: str


class Where(Node):
    """The parameters of a selection for which a condition holds."""

    type: Literal["where"] = "where"
    of: Selection
    condition: Condition


class Union(Node):
    """`a | b`: entries of any part."""

    type: Literal["union"] = "union"
    parts: tuple[Selection, ...]


class Intersection(Node):
    """`a & b`: entries of every part."""

    type: Literal["intersection"] = "intersection"
    parts: tuple[Selection, ...]


class Difference(Node):
    """`a - b`: entries of the first that are not in the second."""

    type: Literal["difference"] = "difference"
    left: Selection
    right: Selection


class PercentValue(Node):
    """The value of a setting or of an argument that is given in percent."""

    percent: Percentage


class Argument(Node):
    """`eps = 1e-3` in the call of a rule or a ranking."""

    name: str
    value: int | float | PercentValue | str


class Draw(Node):
    """Some entries of a selection, as a rule picks them: `rand` draws single ones; `rows`, `cols` and `rowcol` lines.

    `per`: from the pool as a whole, or with a share of the amount for every tensor. `arguments` are the rule's own, in
    the order of their names, those that have their defaults left out. A rule that `is_random` is keyed by `seed`, or by
    the trial's seed where it is None, and by the canonical form of this node.
    """

    type: Literal["draw"] = "draw"
    rule: str
    of: Selection
    amount: Amount
    arguments: tuple[Argument, ...] = ()
    per: Literal["pool", "tensor"] = "pool"
    seed: int | None = None
    is_random: bool = True


class Ranking(Node):
    """By what entries rank: `magnitude`, `gradient`, `fisher`, or `change(bitfit)`, by what that `strategy` changed.

    `arguments` are the ranking's own, as those of a rule; `needs` is what it looks at.
    """

    name: str
    strategy: str | None = None
    arguments: tuple[Argument, ...] = ()
    needs: tuple[Need, ...] = ("weights",)


class Top(Node):
    """`topk(bias, 0.04%, by = magnitude)`: the entries that rank highest, or with `lowest` those that rank lowest.

    Of equals, the first in order of name and place.
    """

    type: Literal["top"] = "top"
    of: Selection
    amount: Amount
    by: Ranking = Ranking(name="magnitude")
    per: Literal["pool", "tensor"] = "pool"
    lowest: bool = False

    @field_validator("by", mode="before")
    @classmethod
    def _by_its_name(cls, by: Any) -> Any:
        # As studies had it that were kept before there were other rankings.
        return {"name": by} if isinstance(by, str) else by


Selection: TypeAlias = Annotated[
    Base | Ref | Where | Union | Intersection | Difference | Draw | Top, Field(discriminator="type")
]


def children(selection: Selection) -> Iterator[Selection]:
    """The selections directly inside a selection, the one inside its amount included."""
    match selection:
        case Where(of=inner):
            yield inner
        case Union(parts=parts) | Intersection(parts=parts):
            yield from parts
        case Difference(left=left, right=right):
            yield left
            yield right
        case Draw(of=inner, amount=amount) | Top(of=inner, amount=amount):
            yield inner
            if isinstance(amount, SizeOf | Share):
                yield amount.of
        case _:
            pass


def walk(selection: Selection, named: Mapping[str, Selection] | None = None) -> Iterator[Selection]:
    """A selection and everything inside it, outermost first.

    With `named`, what names stand for is walked too, each name once.
    """
    seen: set[str] = set()
    waiting = [selection]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Ref) and named is not None and node.name not in seen:
            seen.add(node.name)
            waiting.append(named[node.name])
        waiting += reversed(list(children(node)))


def conditions(condition: Condition) -> Iterator[Matches | Compares | IsIn]:
    """The single tests inside a condition, in the order in which they stand."""
    match condition:
        case Not(condition=inner):
            yield from conditions(inner)
        case And(conditions=parts) | Or(conditions=parts):
            for part in parts:
                yield from conditions(part)
        case _:
            yield condition


def sized(amount: Amount, named: Mapping[str, Selection]) -> Amount:
    """An amount as what it is worked out from: the size of a ranking is the amount that it was asked for."""
    while isinstance(amount, SizeOf):
        of = amount.of
        while isinstance(of, Ref):
            of = named[of.name]
        if not isinstance(of, Top):
            break
        amount = of.amount
    return amount


def deciding(selection: Selection, named: Mapping[str, Selection]) -> Iterator[Selection]:
    """All selections that decide which entries one picks, itself included; each name's once."""
    seen: set[str] = set()
    waiting = [selection]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Ref):
            if node.name not in seen:
                seen.add(node.name)
                waiting.append(named[node.name])
        elif isinstance(node, Draw | Top):
            amount = sized(node.amount, named)
            waiting += [node.of, *([amount.of] if isinstance(amount, SizeOf | Share) else [])]
        else:
            waiting += children(node)


def is_random(selection: Selection, named: Mapping[str, Selection]) -> bool:
    """Whether the entries depend on the trial's seed: by a draw, or by what is trained or is about to be."""
    return any(
        (isinstance(node, Draw) and node.is_random and node.seed is None)
        or (isinstance(node, Top) and not set(node.by.needs) <= {"weights"})
        for node in deciding(selection, named)
    )


def is_ranked(selection: Selection, named: Mapping[str, Selection]) -> bool:
    """Whether the entries depend on more than the model's structure: on its weights, or on data."""
    return any(isinstance(node, Top) for node in deciding(selection, named))


def needs(selection: Selection, named: Mapping[str, Selection]) -> frozenset[Need]:
    """What the rankings in a selection look at."""
    return frozenset(need for node in deciding(selection, named) if isinstance(node, Top) for need in node.by.needs)


def follows(selection: Selection, named: Mapping[str, Selection]) -> tuple[str, ...]:
    """The strategies whose changes decide what a selection picks, each once."""
    found = (node.by.strategy for node in deciding(selection, named) if isinstance(node, Top))
    return tuple(dict.fromkeys(name for name in found if name is not None))
