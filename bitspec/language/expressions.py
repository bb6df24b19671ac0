"""Parse trees of selections and amounts to the nodes of the IR.

Whatever is wrong is reported to the scope, and a stand-in is returned, so that one pass finds every error.
Nodes are made with `model_construct`: everything is checked here, once, with better messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from lark import Token, Tree

from bitspec.diagnostics import Span, did_you_mean, listed
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
    Ref,
    Selection,
    Share,
    SizeOf,
    Top,
    Union,
    Where,
)
from bitspec.ir.study import PercentValue
from bitspec.language.conditions import condition_of
from bitspec.language.values import Bound, Node, Scope, inner_text, name_of, percent_of, value_of, variable, written
from bitspec.vocabulary import SELECTIONS

_DRAWS = ("rand", "rows", "cols", "rowcol")
_EXAMPLES = {
    "rand": "rand(bias, 0.04%)",
    "rows": "rows(matrix, 0.1%)",
    "cols": "cols(matrix, 0.1%)",
    "rowcol": "rowcol(matrix, size(bias))",
    "topk": "topk(bias, 1000, by = magnitude)",
    "size": "rand(all, size(bias))",
}
_OPTIONS = {
    **dict.fromkeys(_DRAWS, ("per", "seed")),
    "topk": ("by", "per"),
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
    if value in _EXAMPLES:
        scope.wrong(
            "missing-argument",
            f"`{value}` needs arguments in parentheses",
            node,
            f"write for example `{_EXAMPLES[value]}`",
        )
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
    if function not in _OPTIONS:
        hint = did_you_mean(function, _OPTIONS)
        if function in SELECTIONS:
            hint = f"`{function}` takes no arguments; restrict it with `{function} where …`"
        scope.wrong(
            "unknown-function",
            f"there is no function called `{function}`",
            token,
            hint or f"there are {listed(_OPTIONS, 'and')}",
        )
        return _stand_in(span)
    positional: list[Node] = []
    options: dict[str, tuple[Token, Node]] = {}
    for argument in _arguments(node):
        key, operand = cast("tuple[Token | None, Node]", argument.children)
        if key is None:
            positional.append(operand)
        elif str(key) not in _OPTIONS[function]:
            hint = did_you_mean(key, _OPTIONS[function]) or f"it takes {listed(_OPTIONS[function], 'and')}"
            scope.wrong("unknown-argument", f"`{function}` has no argument called `{key}`", key, hint)
        elif str(key) in options:
            scope.wrong("repeated", f"`{key}` is given twice", key, "take one of them away")
        else:
            options[str(key)] = (key, operand)
    if len(positional) != 2:
        missing = None
        if len(positional) < 2:
            lone = positional[0] if positional else None
            missing = (
                "a selection and an amount"
                if lone is None
                else "a selection first"
                if _is_amount(lone)
                else "an amount"
            )
        message = (
            f"`{function}` needs {missing}" if missing else f"`{function}` takes a selection and an amount, no more"
        )
        where = positional[2] if len(positional) > 2 else token
        scope.wrong(
            "missing-argument" if missing else "extra-argument",
            message,
            where,
            f"write for example `{_EXAMPLES[function]}`",
        )
        return _stand_in(span)
    inner = _pool(positional[0], function, scope, depth)
    amount = amount_of(positional[1], function, scope, depth)
    per = _choice(options.get("per"), "per", ("pool", "tensor"), scope)
    if function == "topk":
        _choice(options.get("by"), "by", ("magnitude",), scope)
        return Top.model_construct(of=inner, amount=amount, per=_per(per), span=span)
    seed = None
    if "seed" in options:
        seed = _seed(options["seed"][1], scope)
    return Draw.model_construct(
        rule=cast("Literal['rand', 'rows', 'cols', 'rowcol']", function),
        of=inner,
        amount=amount,
        per=_per(per),
        seed=seed,
        span=span,
    )


def _arguments(node: Tree[Token]) -> list[Tree[Token]]:
    # An empty pair of brackets holds one placeholder.
    return [child for child in node.children[1:] if isinstance(child, Tree)]


def _per(choice: str | None) -> Literal["pool", "tensor"]:
    return "tensor" if choice == "tensor" else "pool"


def _seed(node: Node, scope: Scope) -> int | None:
    is_value = isinstance(node, Tree) and node.data in {"number", "percent"}
    value = value_of(node, scope) if is_value else _operand_value(node, scope)
    if isinstance(value, int) and value >= 0:
        return value
    scope.wrong("whole-number", "`seed` must be a whole number, 0 or above", node, "write for example `seed = 7`")
    return None


def _operand_value(node: Node, scope: Scope) -> Bound | None:
    """The value of an operand that the grammar takes for a selection: a name, perhaps a loop's."""
    if isinstance(node, Tree) and node.data == "name":
        return (
            variable(cast("Token", node.children[0]), scope) if "$" in str(node.children[0]) else str(node.children[0])
        )
    return None


def _choice(option: tuple[Token, Node] | None, key: str, choices: tuple[str, ...], scope: Scope) -> str | None:
    if option is None:
        return None
    value = _operand_value(option[1], scope)
    if isinstance(value, str) and value in choices:
        return value
    shown = value if isinstance(value, str) else inner_text(option[1])
    scope.wrong(
        "bad-argument",
        f"`{key}` cannot be `{shown}`",
        option[1],
        (did_you_mean(shown, choices) or f"it is {listed(choices)}"),
    )
    return None


def _is_amount(node: Node) -> bool:
    return isinstance(node, Tree) and node.data in {"number", "percent", "share"}


def _pool(node: Node, function: str, scope: Scope, depth: int) -> Selection:
    if _is_amount(node):
        scope.wrong(
            "bad-argument",
            f"`{function}` takes the selection first, then the amount",
            node,
            f"write for example `{_EXAMPLES[function]}`",
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
        value = _operand_value(node, scope)
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
    arguments = _arguments(node)
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
