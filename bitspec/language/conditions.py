"""Parse trees of conditions to the nodes of the IR: what a `where` asks of a parameter."""

from __future__ import annotations

from typing import cast

from lark import Token, Tree

from bitspec.diagnostics import Note, Span, did_you_mean, listed
from bitspec.ir.patterns import excess
from bitspec.ir.selection import (
    MAX_DEPTH,
    And,
    Attribute,
    Compares,
    Condition,
    IsIn,
    Item,
    Matches,
    Not,
    Operator,
    Or,
    Range,
    Value,
)
from bitspec.language.values import Bound, Node, Scope, value_of, whole_number, written
from bitspec.vocabulary import ATTRIBUTES, KINDS, ROLES

_NUMERIC = {"layer", "numel", "ndim"}
_VOCABULARY = {"role": ROLES, "kind": KINDS}


def condition_of(node: Node, scope: Scope, depth: int = 0) -> Condition:
    """The condition that a tree stands for. What is wrong is reported, and a stand-in returned."""
    assert isinstance(node, Tree)
    span = scope.span(node)
    if depth > MAX_DEPTH:
        scope.wrong("too-deep", f"this condition is nested more than {MAX_DEPTH} deep", node, "use several `where`s")
        return _stand_in(span)
    if node.data in {"and_", "or_"}:
        parts = [part for part in node.children if isinstance(part, Tree)]
        built = tuple(condition_of(part, scope, depth + 1) for part in parts)
        return (And if node.data == "and_" else Or).model_construct(conditions=built, span=span)
    if node.data == "not_":
        return Not.model_construct(condition=condition_of(node.children[1], scope, depth + 1), span=span)
    if node.data == "condition_of":
        return condition_of(node.children[0], scope, depth + 1)
    return _compares(node, scope, span) if node.data == "compares" else _is_in(node, scope, span)


def _stand_in(span: Span) -> Condition:
    return Compares.model_construct(attribute="ndim", operator=">=", value=0, span=span)


def _attribute(token: Token, scope: Scope) -> Attribute | None:
    if str(token) in ATTRIBUTES:
        return cast("Attribute", str(token))
    hint = did_you_mean(token, ATTRIBUTES) or f"the attributes are {listed(ATTRIBUTES, 'and')}"
    for words, attribute in ((ROLES, "role"), (KINDS, "kind")):
        if str(token) in words:
            hint = f"write `{attribute} == {token}`"
    scope.wrong("unknown-attribute", f"a parameter has no attribute called `{token}`", token, hint)
    return None


def _compares(node: Tree[Token], scope: Scope, span: Span) -> Condition:
    name, operator, literal = node.children
    assert isinstance(name, Token)
    attribute = _attribute(name, scope)
    if isinstance(operator, Tree):  # a single `=`
        sign = cast("Token", operator.children[0])
        scope.wrong("wrong-operator", "values are compared with two equals signs", sign, f"write `{name} == …`")
        operator = Token("COMPARE", "==")
    if attribute is None:
        return _stand_in(span)
    value = value_of(literal, scope)
    if value is None:
        return _stand_in(span)
    if operator.type == "MATCH":
        return _matches(attribute, operator, literal, value, scope, span)
    if attribute not in _NUMERIC and operator in {"<", "<=", ">", ">="}:
        hint = f'write `{attribute} == …`, `{attribute} in {{…}}` or `{attribute} ~ "…"`'
        scope.wrong("wrong-operator", f"`{attribute}` has no order, so `{operator}` does not apply", operator, hint)
        return _stand_in(span)
    checked = _checked(attribute, value, literal, scope)
    if checked is None:
        return _stand_in(span)
    return Compares.model_construct(
        attribute=attribute, operator=cast("Operator", str(operator)), value=checked, span=span
    )


def _matches(attribute: Attribute, operator: Token, literal: Node, value: Bound, scope: Scope, span: Span) -> Condition:
    if attribute in _NUMERIC:
        hint = f"write `{attribute} == 3` or `{attribute} in 0..3`"
        scope.wrong("wrong-operator", f"`{attribute}` is a number, and `{operator}` looks for text", operator, hint)
        return _stand_in(span)
    if not (isinstance(literal, Token) and literal.type == "STRING") or not isinstance(value, str):
        scope.wrong("missing-quotes", "a pattern stands in quotes", literal, f'write `{attribute} {operator} "…"`')
        return _stand_in(span)
    complaint = _pattern_complaint(value)
    if complaint is not None:
        message, offset = complaint
        place = scope.span(literal)
        if offset is not None and "$" not in str(literal):
            place = Span(place.source, place.start + 1 + offset, place.start + 2 + offset)
        hint = "patterns are regular expressions; write `\\.` for a dot and `\\(` for a parenthesis"
        scope.wrong("bad-pattern", f"this pattern is not a regular expression: {message}", place, hint)
        return _stand_in(span)
    return Matches.model_construct(attribute=attribute, pattern=value, negated=operator == "!~", span=span)


def _pattern_complaint(pattern: str) -> tuple[str, int | None] | None:
    import regex  # only where there is a pattern

    if not pattern:
        return "it is empty, and would match everything", None
    too_much = excess(pattern)
    if too_much is not None:
        return too_much, None
    try:
        regex.compile(pattern, regex.V0)
    except regex.error as problem:
        offset = getattr(problem, "pos", None)
        return getattr(problem, "msg", str(problem)), offset if offset is not None and offset < len(pattern) else None
    except ValueError as problem:  # flags that exclude each other
        return str(problem), None
    except (OverflowError, RecursionError, MemoryError):
        return "it repeats or nests too much", None
    return None


def _is_in(node: Tree[Token], scope: Scope, span: Span) -> Condition:
    name, negation, _, members = node.children
    assert isinstance(name, Token)
    assert isinstance(members, Tree)
    attribute = _attribute(name, scope)
    if attribute is None:
        return _stand_in(span)
    parts = [members] if members.data == "range" else [part for part in members.children if part is not None]
    if not parts:
        scope.wrong(
            "bad-set",
            "this set is empty, so nothing is in it",
            span,
            f"write for example `{attribute} in {{…}}`",
        )
        return _stand_in(span)
    items: list[Item] = []
    seen: dict[object, Node] = {}
    for part in parts:
        item = _item(attribute, part, scope)
        if item is None:
            continue
        if item in seen:
            note = Note("the first is here", scope.span(seen[item]))
            scope.wrong("repeated", "this member is in the set twice", part, "take one of them away", note)
        seen.setdefault(item, part)
        items.append(item)
    if not items:
        return _stand_in(span)
    return IsIn.model_construct(attribute=attribute, items=tuple(items), negated=negation is not None, span=span)


def _item(attribute: Attribute, part: Node, scope: Scope) -> Item | None:
    if isinstance(part, Tree) and part.data == "range":
        if attribute not in _NUMERIC:
            scope.wrong(
                "wrong-operator",
                f"`{attribute}` is not a number, so a range does not apply",
                part,
                f"write `{attribute} in {{…}}`",
            )
            return None
        ends = range_of(part, scope)
        # A range may mix ends counted from the front and from the back: `6..-1` is valid.
        if ends is None or not _is_ordered(ends, attribute, part, scope):
            return None
        return Range.model_construct(first=ends[0], last=ends[1], span=scope.span(part))
    value = value_of(part, scope)
    checked = None if value is None else _checked(attribute, value, part, scope)
    return None if checked is None else Value.model_construct(value=checked, span=scope.span(part))


def range_of(node: Tree[Token], scope: Scope) -> tuple[int, int] | None:
    """Both ends of a range; None where one is no whole number, which is reported."""
    ends = [whole_number(end, scope, "an end of a range", "0..4") for end in (node.children[0], node.children[2])]
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _is_ordered(ends: tuple[int, int], attribute: Attribute, node: Node, scope: Scope) -> bool:
    first, last = ends
    mixed = attribute == "layer" and (first < 0) != (last < 0)
    if first <= last or mixed:
        return True
    scope.wrong("bad-range", f"this range runs backwards, from {first} to {last}", node, f"write `{last}..{first}`")
    return False


def _checked(attribute: Attribute, value: Bound, node: Node, scope: Scope) -> int | str | None:
    """A value that fits an attribute, or None after reporting why it does not."""
    if attribute in _NUMERIC:
        if isinstance(value, int):
            return value
        scope.wrong(
            "wrong-value",
            f"`{attribute}` is a whole number, not {written(value)}",
            node,
            f"write `{attribute} == 3`",
        )
        return None
    if not isinstance(value, str):
        hint = (
            f"the {attribute}s are {listed(_VOCABULARY[attribute], 'and')}"
            if attribute in _VOCABULARY
            else "put it in quotes"
        )
        scope.wrong("wrong-value", f"`{attribute}` is a text, not {written(value)}", node, hint)
        return None
    words = _VOCABULARY.get(attribute)
    if words is not None and value not in words:
        hint = did_you_mean(value, words) or f"the {attribute}s are {listed(words, 'and')}"
        scope.wrong(f"unknown-{attribute}", f"there is no {attribute} called `{value}`", node, hint)
        return None
    return value
