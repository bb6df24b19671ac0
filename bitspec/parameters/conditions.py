"""What a `where` asks of a parameter, and which parameters of a catalogue meet it."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import regex

from bitspec.diagnostics import BitspecError, Diagnostic, error
from bitspec.ir.patterns import excess
from bitspec.ir.selection import (
    And,
    Attribute,
    Compares,
    Condition,
    IsIn,
    Item,
    Matches,
    Not,
    Or,
    Range,
    Value,
)
from bitspec.parameters.catalogue import Catalogue, Parameter

#: Seconds that a pattern may take over a whole catalogue, and that all patterns of a study may take together.
PATTERN_TIMEOUT: Final = 1.0
PATTERNS_TIMEOUT: Final = 5.0

#: A single test, as opposed to tests joined by `and`, `or` and `not`.
Atom: TypeAlias = Matches | Compares | IsIn

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.eq,  # turned round, like every negated test
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def attribute_of(parameter: Parameter, attribute: Attribute) -> str | int | None:
    """The value of an attribute; None for a role or a layer that a parameter does not have."""
    if attribute == "class":
        return parameter.module_class
    value: str | int | None = getattr(parameter, attribute)
    return value


def is_negated(atom: Atom) -> bool:
    """Whether a test is written the negative way: `!~`, `!=` or `not in`."""
    return atom.operator == "!=" if isinstance(atom, Compares) else atom.negated


class Conditions:
    """Finds the parameters of a catalogue for which a condition holds.

    Where a parameter has no layer or no role, every positive test on it is false and every negated one is
    true. Negative layers count from the end: -1 is the last.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._all = frozenset(parameter.name for parameter in catalogue.parameters)
        self._known: dict[Atom, frozenset[str]] = {}
        self._slow: dict[Atom, BitspecError] = {}
        self._spent = 0.0

    def meeting(self, condition: Condition) -> frozenset[str]:
        """Names of all parameters of the catalogue for which the condition holds.

        Raises BitspecError (`slow-pattern`, `bad-pattern`) for a regular expression that cannot be used.
        """
        match condition:
            case Not(condition=inner):
                return self._all - self.meeting(inner)
            case And(conditions=parts):
                return self._all.intersection(*map(self.meeting, parts))
            case Or(conditions=parts):
                return frozenset[str]().union(*map(self.meeting, parts))
            case _:
                found = self.having(condition)
                return self._all - found if is_negated(condition) else found

    def having(self, atom: Atom) -> frozenset[str]:
        """Names of all parameters with what a test speaks of, whether it asks for that or against it."""
        if atom not in self._known:
            self._known[atom] = self._find(atom)
        return self._known[atom]

    def having_item(self, attribute: Attribute, item: Item) -> frozenset[str]:
        """Names of all parameters whose attribute is one member of a set, or within one range."""
        if isinstance(item, Value):
            return self._where(attribute, operator.eq, self._resolved(attribute, item.value))
        first, last = self.bounds(attribute, item)
        return self._where(attribute, operator.ge, first) & self._where(attribute, operator.le, last)

    def bounds(self, attribute: Attribute, item: Range) -> tuple[int, int]:
        """First and last of a range, layers counted from 0; one that does not exist may still be negative."""
        return int(self._resolved(attribute, item.first)), int(self._resolved(attribute, item.last))

    def _find(self, atom: Atom) -> frozenset[str]:
        match atom:
            case Matches():
                return self._matching(atom)
            case Compares(attribute=attribute, operator=sign, value=value):
                return self._where(attribute, _COMPARE[sign], self._resolved(attribute, value))
            case IsIn(attribute=attribute, items=items):
                return frozenset[str]().union(*(self.having_item(attribute, item) for item in items))

    def _resolved(self, attribute: Attribute, value: int | str) -> int | str:
        if attribute == "layer" and isinstance(value, int) and value < 0:
            return value + self._catalogue.layers
        return value

    def _where(self, attribute: Attribute, holds: Callable[[Any, Any], bool], value: int | str) -> frozenset[str]:
        # Attributes that are missing, or not of the value's type, are neither equal nor less nor more.
        return frozenset(
            parameter.name
            for parameter in self._catalogue.parameters
            for have in [attribute_of(parameter, attribute)]
            if type(have) is type(value) and holds(have, value)
        )

    def _matching(self, atom: Matches) -> frozenset[str]:
        if atom in self._slow:
            raise self._slow[atom]
        pattern = _compiled(atom)
        start = time.monotonic()
        deadline = start + min(PATTERN_TIMEOUT, max(PATTERNS_TIMEOUT - self._spent, 1e-3))
        found: dict[str, bool] = {}  # the names of modules and classes repeat
        names = set()
        try:
            for parameter in self._catalogue.parameters:
                text = attribute_of(parameter, atom.attribute)
                if text is None:
                    continue
                text = str(text)
                if text not in found:
                    left = max(deadline - time.monotonic(), 1e-6)
                    found[text] = pattern.search(text, timeout=left) is not None
                if found[text]:
                    names.add(parameter.name)
        except (TimeoutError, MemoryError) as problem:
            self._slow[atom] = BitspecError(_slow(atom))
            raise self._slow[atom] from problem
        finally:
            self._spent += time.monotonic() - start
        return frozenset(names)


def _compiled(atom: Matches) -> regex.Pattern[str]:
    # A spec was checked for this, but a study may come from elsewhere.
    reason = excess(atom.pattern)
    if reason is None:
        try:
            return regex.compile(atom.pattern, regex.V0)
        except (regex.error, ValueError) as problem:
            reason = str(problem)
        except (OverflowError, RecursionError, MemoryError):
            reason = "it repeats or nests too much"
    raise BitspecError(error("bad-pattern", f'"{atom.pattern}" is not a regular expression: {reason}', atom.span))


def _slow(atom: Matches) -> Diagnostic:
    message = f'the pattern "{atom.pattern}" takes too long: over {PATTERN_TIMEOUT:g} second for one model'
    hint = "a repetition inside a repetition, such as `(a+)+`, is the usual cause: one of them will do"
    return error("slow-pattern", message, atom.span, help=hint)
