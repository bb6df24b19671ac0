"""The canonical form of a selection: one text for all the ways in which the same thing can be written.

Names are put in, unions and intersections are flattened, sorted and freed of repetitions, so that names, order and
brackets make no difference. The form is what keys and random draws are made from; it is itself valid bitspec.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bitspec import plugins
from bitspec.ir.selection import (
    Amount,
    And,
    Argument,
    Base,
    Compares,
    Condition,
    Count,
    Difference,
    Draw,
    Intersection,
    IsIn,
    Item,
    Matches,
    Not,
    Or,
    Percent,
    PercentValue,
    Range,
    Ranking,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Union,
    Value,
    Where,
    sized,
)

#: A part longer than this stands as its sha256. It bounds the form of groups that use each other many times over.
MAX_TEXT = 2000

# A hash alone: what only begins with one, such as `sha256:… - bias`, needs brackets like any other.
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Canonical:
    """Canonical texts of selections over named groups and strategies. Names must exist and not run in circles."""

    def __init__(self, selections: Mapping[str, Selection], trainings: Mapping[str, str] | None = None) -> None:
        self._selections = selections
        # What a strategy is trained with, beside what it selects: for rankings by what it changed.
        self._trainings = trainings or {}
        # By identity, as comparing trees costs as much as writing them; the node is kept so that its id stays its own.
        self._known: dict[int, tuple[Selection, str]] = {}
        self._stands_for: dict[int, tuple[Selection, Selection]] = {}

    def text(self, selection: Selection) -> str:
        """The canonical text of a selection."""
        selection = self._looked_up(selection)
        known = self._known.get(id(selection))
        if known is None:
            known = self._known[id(selection)] = (selection, self._text(selection))
        return known[1]

    def _text(self, selection: Selection) -> str:
        match selection:
            case Base(name=name):
                return name
            case Union() | Intersection() | Difference():
                return self._algebra(selection)
            case Where():
                return self._where(selection)
            case Draw(rule=rule, of=of, amount=amount, per=per, seed=seed):
                options = [f", {_argument(argument)}" for argument in selection.arguments]
                options += [f", per = {per}"] if per != "pool" else []
                options += [f", seed = {seed}"] if seed is not None else []
                return _short(f"{rule}({self.text(of)}, {self._amount(amount)}{''.join(options)})")
            case Top(of=of, amount=amount, by=by, per=per):
                option = f", per = {per}" if per != "pool" else ""
                function = "bottomk" if selection.lowest else "topk"
                return _short(f"{function}({self.text(of)}, {self._amount(amount)}, by = {self._ranking(by)}{option})")
            case Ref():
                raise AssertionError("names are looked up before")

    def _algebra(self, selection: Selection) -> str:
        if isinstance(selection, Union):
            parts = self._parts(selection, Union) - {"none"}
            return "all" if "all" in parts else _joined(" | ", parts, empty="none")
        if isinstance(selection, Intersection):
            parts = self._parts(selection, Intersection) - {"all"}
            return "none" if "none" in parts else _joined(" & ", parts, empty="all")
        left: Selection = selection
        taken: frozenset[str] = frozenset()
        while True:  # a - b - c is a - (b | c)
            left = self._looked_up(left)
            if not isinstance(left, Difference):
                break
            taken |= self._parts(left.right, Union)
            left = left.left
        taken = frozenset({"all"}) if "all" in taken else taken - {"none"}
        kept = self.text(left)
        if not taken or kept == "none":
            return kept
        return _short(f"{_bracketed(kept)} - {_bracketed(_joined(' | ', taken, empty='none'))}")

    def _looked_up(self, selection: Selection) -> Selection:
        known = self._stands_for.get(id(selection))
        if known is None:
            known = self._stands_for[id(selection)] = (selection, self._look_up(selection))
        return known[1]

    def _look_up(self, selection: Selection) -> Selection:
        """What a name stands for, or the only part of a union or intersection that counts."""
        # In a loop, as names may stand for names through thousands of steps.
        while True:
            if isinstance(selection, Ref):
                selection = self._selections[selection.name]
            elif isinstance(selection, Union | Intersection):
                neutral = "none" if isinstance(selection, Union) else "all"
                counting = {self.text(part): part for part in selection.parts}
                counting.pop(neutral, None)
                if len(counting) != 1:
                    return selection
                (selection,) = counting.values()
            else:
                return selection

    def _parts(self, selection: Selection, kind: type[Union] | type[Intersection]) -> frozenset[str]:
        """The canonical texts of the parts of nested unions, or of nested intersections."""
        found: set[str] = set()
        waiting = [selection]
        seen: set[str] = set()
        while waiting:
            part = waiting.pop()
            if isinstance(part, Ref):
                if part.name in seen:
                    continue
                seen.add(part.name)
                waiting.append(self._selections[part.name])
                continue
            part = self._looked_up(part)
            if isinstance(part, kind):
                waiting += part.parts
            else:
                found.add(self.text(part))
        return frozenset(found)

    def _where(self, selection: Where) -> str:
        conditions: list[Condition] = []
        inner: Selection = selection
        while True:  # `x where a where b` is `x where a and b`
            inner = self._looked_up(inner)
            if not isinstance(inner, Where):
                break
            conditions.append(inner.condition)
            inner = inner.of
        condition = And.model_construct(conditions=tuple(conditions))
        return _short(f"{_bracketed(self.text(inner))} where {condition_text(condition)}")

    def _ranking(self, by: Ranking) -> str:
        arguments = [_argument(argument) for argument in by.arguments]
        if by.strategy is not None:
            # By what is trained and with what, and not by the name.
            training = self._trainings.get(by.strategy)
            arguments = [
                self.text(self._selections[by.strategy]),
                *([f"trained = {training}"] if training else []),
                *arguments,
            ]
        return f"{by.name}({', '.join(arguments)})" if arguments else by.name

    def _amount(self, amount: Amount) -> str:
        match sized(amount, self._selections):
            case Count(count=count):
                return str(count)
            case Percent(percent=percent):
                return f"{percent.normalize():f}%"
            case SizeOf(of=of):
                return f"size({self.text(of)})"
            case Share(percent=percent, of=of):
                return f"{percent.normalize():f}% of {self.text(of)}"


def _argument(argument: Argument) -> str:
    value = argument.value
    return f"{argument.name} = {f'{value.percent.normalize():f}%' if isinstance(value, PercentValue) else value}"


def written_arguments(declared: Iterable[plugins.Argument], given: Iterable[Argument]) -> Iterator[str]:
    """All arguments of a rule or a ranking as a spec would have them, those with their defaults too."""
    known = {argument.name: _argument(argument) for argument in given}
    for argument in declared:
        if argument.takes != "strategy":
            sign = "%" if argument.takes == "percent" else ""
            yield known.get(argument.name, f"{argument.name} = {argument.default}{sign}")


def condition_text(condition: Condition) -> str:
    """The canonical text of a condition."""
    return _normal(condition).text


@dataclass(frozen=True)
class _Normal:
    """A condition in normal form: a single test, a negation, or a flat `and` or `or` of at least two others."""

    kind: Literal["test", "not", "and", "or"]
    text: str
    parts: frozenset[_Normal] = frozenset()
    #: The text of the opposite test, where the language has one.
    opposite: str | None = None


def _normal(condition: Condition) -> _Normal:
    match condition:
        case And(conditions=parts):
            return _all_or_any("and", parts)
        case Or(conditions=parts):
            return _all_or_any("or", parts)
        case Not(condition=inner):
            return _negated(_normal(inner))
        case Matches(attribute=attribute, pattern=pattern, negated=negated):
            texts = [f"{attribute} {operator} {quoted(pattern)}" for operator in ("~", "!~")]
            return _Normal("test", texts[negated], opposite=texts[not negated])
        case IsIn(attribute=attribute, items=items, negated=negated):
            texts = [_membership(attribute, items, negated=turn) for turn in (False, True)]
            return _Normal("test", texts[negated], opposite=texts[not negated])
        case Compares(attribute=attribute, operator=operator, value=value):
            text = f"{attribute} {operator} {_value(value)}"
            # `<` has no opposite: a parameter without a layer is neither below 6 nor at 6 or above.
            turned = {"==": "!=", "!=": "=="}.get(operator)
            return _Normal("test", text, opposite=f"{attribute} {turned} {_value(value)}" if turned else None)


def _all_or_any(kind: Literal["and", "or"], conditions: tuple[Condition, ...]) -> _Normal:
    parts: set[_Normal] = set()
    for part in map(_normal, conditions):
        parts |= part.parts if part.kind == kind else {part}
    if len(parts) == 1:
        return parts.pop()
    texts = sorted(f"({part.text})" if part.kind in {"and", "or"} else part.text for part in parts)
    return _Normal(kind, _short(f" {kind} ".join(texts)), frozenset(parts))


def _negated(condition: _Normal) -> _Normal:
    if condition.kind == "not":
        (inner,) = condition.parts
        return inner
    if condition.opposite is not None:
        return _Normal("test", condition.opposite, opposite=condition.text)
    return _Normal("not", f"not ({condition.text})", frozenset({condition}))


def quoted(text: str) -> str:
    """A text in quotes, double ones where possible."""
    if '"' not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else '"' + text.replace('"', "\\u0022") + '"'


def _membership(attribute: str, items: tuple[Item, ...], *, negated: bool) -> str:
    texts = sorted({_item(item) for item in items})
    if len(texts) == 1 and ".." not in texts[0]:
        return f"{attribute} {'!=' if negated else '=='} {texts[0]}"
    members = texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"
    return _short(f"{attribute} {'not in' if negated else 'in'} {members}")


def _item(item: Item) -> str:
    if isinstance(item, Range):
        return str(item.first) if item.first == item.last else f"{item.first}..{item.last}"
    assert isinstance(item, Value)
    return _value(item.value)


def _value(value: int | str) -> str:
    return quoted(value) if isinstance(value, str) else str(value)


def _joined(operator: str, parts: Iterable[str], empty: str) -> str:
    texts = sorted(parts)
    if not texts:
        return empty
    return texts[0] if len(texts) == 1 else _short(operator.join(map(_bracketed, texts)))


def _bracketed(text: str) -> str:
    return text if text.isidentifier() or _HASH.fullmatch(text) or _is_call(text) else f"({text})"


def _is_call(text: str) -> bool:
    """Whether a text is one call, with nothing after its closing bracket."""
    name, bracket, rest = text.partition("(")
    if not bracket or not name.isidentifier():
        return False
    depth, quote = 1, ""
    for position, char in enumerate(rest):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth == 0:
                return position == len(rest) - 1
    return False


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
