"""Parse trees of selections and amounts to the nodes of the IR.

Whatever is wrong is reported to the scope, and a stand-in is returned, so that one pass finds every error.
Nodes are made with `model_construct`: everything is checked here, once, with better messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from lark import Token, Tree

from bitspec import plugins, registry
from bitspec.diagnostics import Span
from bitspec.ir.selection import (
    MAX_DEPTH,
    Amount,
    Base,
    BaseName,
    Count,
    Difference,
    Draw,
    Intersection,
    Percent,
    PercentValue,
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Union,
    Where,
)
from bitspec.language.arguments import (
    RANKED,
    Given,
    arguments_in,
    given,
    operand_value,
    per_of,
    ranking_of,
    rule_of,
    seed_of,
    values_of,
)
from bitspec.language.conditions import condition_of
from bitspec.language.values import Bound, Node, Scope, inner_text, name_of, percent_of, value_of, variable, written
from bitspec.vocabulary import FUNCTIONS, SELECTIONS

_EXAMPLES = {
    "topk": "topk(bias, 1000, by = magnitude)",
    "bottomk": "bottomk(bias, 1000, by = magnitude)",
    "size": "rand(all, size(bias))",
}


def selection_of(node: Node, scope: Scope, depth: int = 0) -> Selection:
    """The selection that a tree stands for."""
    assert isinstance(node, Tree)
    if depth > MAX_DEPTH:
        scope.wrong(
            "too-deep",
            f"this selection is nested more than {MAX_DEPTH} deep",
            node,
            "give its parts names with `group`, and use the names",
        )
        return _stand_in(scope.span(node))
    return _BUILDERS[node.data](node, scope, depth)


def _stand_in(span: Span) -> Selection:
    return Base.model_construct(name="none", span=span)


def _chain(node: Tree[Token], scope: Scope, depth: int) -> Selection:
    """`a | b - c`: walked from the left in a loop, as a long union is a deep tree."""
    steps: list[tuple[str, Node]] = []
    first: Node = node
    while isinstance(first, Tree) and first.data in {"union", "difference"}:
        right = first.children[-1]
        if first.data == "difference" and first.children[1] == "+":
            sign = first.children[1]
            assert isinstance(sign, Token)
            scope.wrong("wrong-word", "selections are not added with `+`", sign, "write `|` for either")
        steps.append((first.data, right))
        first = first.children[0]
    left = selection_of(first, scope, depth + 1)
    nested = depth
    joined = [left]  # the parts of the union that is being read
    for operator, right in reversed(steps):
        part = selection_of(right, scope, depth + 1)
        if operator == "union":
            joined.append(part)
            continue
        left = _union(joined)
        left = Difference.model_construct(left=left, right=part, span=left.span.to(part.span))
        joined, nested = [left], nested + 2
        if nested > MAX_DEPTH:
            return selection_of(node, scope, MAX_DEPTH + 1)
    return _union(joined)


def _union(parts: list[Selection]) -> Selection:
    if len(parts) == 1:
        return parts[0]
    return Union.model_construct(parts=tuple(parts), span=parts[0].span.to(parts[-1].span))


def _intersection(node: Tree[Token], scope: Scope, depth: int) -> Selection:
    rights: list[Node] = []
    first: Node = node
    while isinstance(first, Tree) and first.data == "intersection":
        rights.append(first.children[1])
        first = first.children[0]
    parts = [selection_of(part, scope, depth + 1) for part in (first, *reversed(rights))]
    return Intersection.model_construct(parts=tuple(parts), span=scope.span(node))


def _where(node: Tree[Token], scope: Scope, depth: int) -> Selection:
    inner, _, condition = node.children
    return Where.model_construct(
        of=selection_of(inner, scope, depth + 1),
        condition=condition_of(condition, scope, depth + 1),
        span=scope.span(node),
    )


def _name(node: Tree[Token], scope: Scope, _depth: int) -> Selection:
    token = cast("Token", node.children[0])
    value = variable(token, scope) if "$" in token else name_of(token, scope)
    span = scope.span(node)
    if value is None:
        return _stand_in(span)
    if not isinstance(value, str):
        scope.wrong(
            "not-a-selection",
            f"`{token}` is {written(value)} here, and a number is not a selection",
            node,
            "loops over names give selections: `for g in {bias, gamma} { … }`",
        )
        return _stand_in(span)
    if value in SELECTIONS:
        return Base.model_construct(name=cast("BaseName", value), span=span)
    if value in FUNCTIONS:
        example = _EXAMPLES.get(value) or registry.need(plugins.Rule, value).example
        message = f"`{value}` needs arguments in parentheses"
        scope.wrong("missing-argument", message, node, f"write for example `{example}`")
        return _stand_in(span)
    return Ref.model_construct(name=value, span=span)


def _call(node: Tree[Token], scope: Scope, depth: int) -> Selection:
    token = cast("Token", node.children[0])
    function = str(token)
    span = scope.span(node)
    if function == "size":
        scope.wrong(
            "not-a-selection",
            "`size(…)` is an amount, not a selection",
            node,
            "write `rand(all, size(bias))`",
        )
        return _stand_in(span)
    if function in SELECTIONS:
        hint = f"`{function}` takes no arguments; restrict it with `{function} where …`"
        scope.wrong("unknown-function", f"there is no function called `{function}`", token, hint)
        return _stand_in(span)
    if function in RANKED:
        found = given(node, function, ("by", "per"), scope)
        operands = _operands(found, function, _EXAMPLES[function], token, scope, depth)
        if operands is None:
            return _stand_in(span)
        return Top.model_construct(
            of=operands[0],
            amount=operands[1],
            by=ranking_of(found.named.get("by"), scope),
            per=per_of(found.named.get("per"), scope),
            lowest=function == "bottomk",
            span=span,
        )
    rule = rule_of(token, scope, RANKED)
    if rule is None:
        return _stand_in(span)
    names = [argument.name for argument in rule.arguments]
    names += ["per"] * rule.has_shares + ["seed"] * rule.is_random
    found = given(node, function, names, scope)
    operands = _operands(found, function, rule.example, token, scope, depth)
    if operands is None:
        return _stand_in(span)
    return Draw.model_construct(
        rule=function,
        of=operands[0],
        amount=operands[1],
        arguments=tuple(values_of(rule.arguments, found, function, node, scope)),
        per=per_of(found.named.get("per"), scope),
        seed=seed_of(found.named.get("seed"), scope),
        is_random=rule.is_random,
        span=span,
    )


def _operands(
    found: Given, function: str, example: str, token: Token, scope: Scope, depth: int
) -> tuple[Selection, Amount] | None:
    """The selection and the amount of a call, which stand first and without names."""
    positional = found.positional
    if len(positional) == 2:
        return _pool(positional[0], function, example, scope, depth), amount_of(positional[1], function, scope, depth)
    if len(positional) > 2:
        message = f"`{function}` takes a selection and an amount, no more"
        scope.wrong("extra-argument", message, positional[2], f"write for example `{example}`")
        return None
    lone = positional[0] if positional else None
    missing = "a selection and an amount" if lone is None else "a selection first" if _is_amount(lone) else "an amount"
    scope.wrong("missing-argument", f"`{function}` needs {missing}", token, f"write for example `{example}`")
    return None


def _is_amount(node: Node) -> bool:
    return isinstance(node, Tree) and node.data in {"number", "percent", "share"}


def _pool(node: Node, function: str, example: str, scope: Scope, depth: int) -> Selection:
    if _is_amount(node):
        scope.wrong(
            "bad-argument",
            f"`{function}` takes the selection first, then the amount",
            node,
            f"write for example `{example}`",
        )
        return _stand_in(scope.span(node))
    return selection_of(node, scope, depth + 1)


def amount_of(node: Node, function: str, scope: Scope, depth: int) -> Amount:
    """The amount that a tree stands for."""
    assert isinstance(node, Tree)
    span = scope.span(node)
    value: Bound | None
    if node.data == "share":
        percent = percent_of(node, scope)
        of = selection_of(node.children[2], scope, depth + 1)
        if percent is not None and _is_sensible(percent, node, scope):
            return Share.model_construct(percent=percent.percent, of=of, span=span)
        return Count.model_construct(count=1, span=span)
    if node.data == "call" and node.children[0] == "size":
        return _size(node, scope, depth)
    if node.data in {"number", "percent"}:
        value = value_of(node, scope)
    elif node.data == "name" and "$" in str(node.children[0]):
        value = operand_value(node, scope)
    else:
        value = inner_text(node)
    if isinstance(value, str):
        _not_an_amount(node, function, scope)
    elif isinstance(value, PercentValue):
        if _is_sensible(value, node, scope):
            return Percent.model_construct(percent=value.percent, span=span)
    elif value is not None:
        if value > 0 and float(value).is_integer():
            return Count.model_construct(count=int(value), span=span)
        hint = "write a whole number of entries, or a percentage such as `0.04%`"
        if isinstance(value, float) and 0 < value < 1:
            hint = f"as a part of all parameters, write `{value * 100:g}%`"
        what = "must be above 0" if value <= 0 else "must be a whole number of entries"
        scope.wrong("bad-amount", f"an amount {what}, not `{value}`", node, hint)
    return Count.model_construct(count=1, span=span)


def _size(node: Tree[Token], scope: Scope, depth: int) -> Amount:
    span = scope.span(node)
    arguments = arguments_in(node)
    named, inner = cast("tuple[Token | None, Node]", arguments[0].children) if arguments else (None, None)
    if len(arguments) != 1 or named is not None or inner is None:
        scope.wrong("missing-argument", "`size` takes one selection", node, "write `size(bias)`")
        return Count.model_construct(count=1, span=span)
    if _is_amount(inner):
        scope.wrong("bad-argument", "`size` takes a selection, not an amount", inner, "write `size(bias)`")
        return Count.model_construct(count=1, span=span)
    return SizeOf.model_construct(of=selection_of(inner, scope, depth + 1), span=span)


def _not_an_amount(node: Node, function: str, scope: Scope) -> None:
    text = inner_text(node)
    hint = f"write `size({text})` for as many entries as it has, or a number or percentage"
    scope.wrong("bad-amount", f"`{function}` needs an amount here, not a selection", node, hint)


def _is_sensible(percent: PercentValue, node: Node, scope: Scope) -> bool:
    if 0 < percent.percent <= 100:
        return True
    scope.wrong(
        "bad-amount",
        f"a percentage lies above 0 and up to 100, not at {written(percent)}",
        node,
        "write for example `0.04%`",
    )
    return False


def _in_brackets(node: Tree[Token], scope: Scope, depth: int) -> Selection:
    return selection_of(node.children[0], scope, depth + 1)


_BUILDERS: dict[str, Callable[[Tree[Token], Scope, int], Selection]] = {
    "union": _chain,
    "difference": _chain,
    "intersection": _intersection,
    "where": _where,
    "name": _name,
    "call": _call,
    "group_of": _in_brackets,
}
