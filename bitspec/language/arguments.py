"""The named arguments of a call: those of every function, and those that a rule or a ranking declares itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from lark import Token, Tree

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, cut, did_you_mean, listed
from bitspec.ir.selection import Argument, PercentValue, Ranking
from bitspec.ir.settings import written_number
from bitspec.language.values import Bound, Node, Scope, inner_text, name_of, token_of, value_of, variable, written

#: What orders the entries of a selection, and the ranking that it goes by if none is named.
RANKED = ("topk", "bottomk")
#: Characters of what stands in a spec that a message repeats.
_SHOWN = 50

_BY = Ranking(name="magnitude")


@dataclass
class Given:
    """What stands between the brackets of a call: operands without a name, and those with one, by it."""

    positional: list[Node] = field(default_factory=list)
    named: dict[str, tuple[Token, Node]] = field(default_factory=dict)


def given(node: Tree[Token], function: str, names: Collection[str], scope: Scope) -> Given:
    """The arguments of a call; a name that is not among `names`, or stands twice, is reported."""
    found = Given()
    for argument in arguments_in(node):
        key, operand = cast("tuple[Token | None, Node]", argument.children)
        if key is None:
            found.positional.append(operand)
        elif str(key) not in names:
            hint = did_you_mean(key, names) or (f"it takes {listed(names, 'and')}" if names else "it takes none")
            scope.wrong("unknown-argument", f"`{function}` has no argument called `{key}`", key, hint)
        elif str(key) in found.named:
            scope.wrong("repeated", f"`{key}` is given twice", key, "take one of them away")
        else:
            found.named[str(key)] = (key, operand)
    return found


def arguments_in(node: Tree[Token]) -> list[Tree[Token]]:
    """The arguments of a call as they stand; an empty pair of brackets holds one placeholder."""
    return [child for child in node.children[1:] if isinstance(child, Tree)]


def rule_of(token: Token, scope: Scope, others: Collection[str]) -> plugins.Rule | None:
    """The rule of a name; None where there is none, or it cannot be used: that is reported.

    `others` are functions that are no rules, for the hint.
    """
    function = str(token)
    try:
        return registry.find(plugins.Rule, function, scope.span(token))
    except KeyError:
        names = (*registry.names("rule"), *others)
        hint = did_you_mean(function, names) or f"there are {listed(names, 'and')}"
        scope.wrong("unknown-function", f"there is no function called `{function}`", token, hint)
    except BitspecError as problem:
        scope.diagnostics.extend(problem.diagnostics)
    return None


def ranking_of(option: tuple[Token, Node] | None, scope: Scope) -> Ranking:
    """What `by = …` says: a ranking, with its arguments in brackets where it has some."""
    if option is None:
        return _BY
    node = option[1]
    if not isinstance(node, Tree) or node.data not in {"name", "call"}:
        hint = f"it is {listed(registry.names('ranking'))}"
        scope.wrong("bad-argument", f"`by` cannot be `{_as_written(node, scope)}`", node, hint)
        return _BY
    token = token_of(node.children[0])
    name = str(operand_value(node, scope)) if node.data == "name" else str(token)
    try:
        ranking = registry.find(plugins.Ranking, name, scope.span(token))
    except KeyError:
        names = registry.names("ranking")
        hint = did_you_mean(name, names) or f"it is {listed(names)}"
        scope.wrong("bad-argument", f"`by` cannot be `{name}`", node, hint)
        return _BY
    except BitspecError as problem:
        scope.diagnostics.extend(problem.diagnostics)
        return _BY
    strategy, values = _of_ranking(ranking, name, node, scope)
    return Ranking.model_construct(
        name=name, strategy=strategy, arguments=values, needs=ranking.needs, span=scope.span(node)
    )


def _of_ranking(
    ranking: plugins.Ranking, name: str, node: Tree[Token], scope: Scope
) -> tuple[str | None, tuple[Argument, ...]]:
    declared = {argument.name: argument for argument in ranking.arguments}
    found = given(node, name, tuple(declared), scope) if node.data == "call" else Given()
    strategies = [one for one in declared.values() if one.takes == "strategy"]
    if found.positional and strategies and strategies[0].name not in found.named:
        operand = found.positional.pop(0)
        first = _edge(operand)
        found.named[strategies[0].name] = (first, operand)
    for extra in found.positional:
        if len(declared) > len(strategies):
            shown = _as_written(extra, scope)
            names = [one.name for one in declared.values() if one.takes != "strategy"]
            message, hint = f"`{name}` takes its arguments by name", f"write for example `{names[0]} = {shown}`"
        else:
            message, hint = f"`{name}` takes no {'other ' if strategies else ''}arguments", "take it away"
        scope.wrong("extra-argument", message, extra, hint)
    if strategies and strategies[0].name not in found.named:
        message = f"`{name}` needs the name of a strategy in parentheses"
        scope.wrong("missing-argument", message, node, f"write for example `by = {name}(bitfit)`")
    strategy = None
    for one in strategies:
        if one.name in found.named:
            strategy = _strategy(name, found.named[one.name][1], scope)
    plain = [one for one in ranking.arguments if one.takes != "strategy"]
    return strategy, tuple(values_of(plain, found, name, node, scope))


def _strategy(name: str, node: Node, scope: Scope) -> str | None:
    if isinstance(node, Tree) and node.data == "name":
        token = token_of(node.children[0])
        value = variable(token, scope) if "$" in token else name_of(token, scope)
        if isinstance(value, str):
            return value
    message = f"`{name}` takes the name of a strategy, not `{_as_written(node, scope)}`"
    scope.wrong("bad-argument", message, node, f"give it a name with `strategy`, and write `{name}(that_name)`")
    return None


def values_of(
    declared: Sequence[plugins.Argument], found: Given, function: str, node: Tree[Token], scope: Scope
) -> Iterator[Argument]:
    """The values of the arguments that a rule or a ranking declares, by name; those at their defaults are left out."""
    for argument in sorted(declared, key=lambda one: one.name):
        if argument.name not in found.named:
            if argument.is_needed:
                message = f"`{function}` needs `{argument.name}`: {argument.meaning}"
                scope.wrong("missing-argument", message, node, f"write `{argument.name} = {_example(argument)}`")
            continue
        operand = found.named[argument.name][1]
        value = _value(argument, operand, scope)
        plain = float(value.percent) if isinstance(value, PercentValue) else value
        if value is not None and plain != argument.default:
            yield Argument.model_construct(name=argument.name, value=value, span=scope.span(operand))


def _value(argument: plugins.Argument, node: Node, scope: Scope) -> Bound | None:
    is_plain = isinstance(node, Tree) and node.data in {"number", "percent"}
    value = value_of(node, scope) if is_plain else operand_value(node, scope)
    if _fits(argument, value):
        return float(value) if argument.takes == "number" and isinstance(value, int) else value
    shown = written(value) if value is not None else f"`{inner_text(node)}`"
    near = did_you_mean(str(value), argument.words) if argument.takes == "word" else None
    scope.wrong("bad-argument", f"`{argument.name}` cannot be {shown}", node, near or f"it is {takes(argument)}")
    return None


def _fits(argument: plugins.Argument, value: Bound | None) -> bool:
    if argument.takes == "word":
        return value in argument.words
    if argument.takes == "percent":
        return isinstance(value, PercentValue) and _is_between(argument, float(value.percent))
    if not isinstance(value, int | float):
        return False
    return _is_between(argument, value) and (argument.takes == "number" or isinstance(value, int))


def _is_between(argument: plugins.Argument, number: float) -> bool:
    return (argument.least is None or number >= argument.least) and (argument.most is None or number <= argument.most)


def takes(argument: plugins.Argument) -> str:
    """What an argument can be, in words: `a whole number from 1 to 9`."""
    if argument.takes == "word":
        return listed(argument.words)
    if argument.takes == "strategy":
        return "the name of a strategy"
    noun = {"whole": "a whole number", "number": "a number", "percent": "a percentage"}[argument.takes]
    sign = "%" if argument.takes == "percent" else ""
    low = "" if argument.least is None else f" from {written_number(argument.least)}{sign}"
    high = "" if argument.most is None else f" up to {written_number(argument.most)}{sign}"
    return f"{noun}{low}{high}"


def _example(argument: plugins.Argument) -> str:
    if argument.takes == "word":
        return argument.words[0]
    number = written_number(argument.least if argument.least is not None else 1)
    return f"{number}%" if argument.takes == "percent" else number


def choice(option: tuple[Token, Node] | None, key: str, choices: tuple[str, ...], scope: Scope) -> str | None:
    """The word that an option of every function is; None where it is not given, or wrong: that is reported."""
    if option is None:
        return None
    value = operand_value(option[1], scope)
    if isinstance(value, str) and value in choices:
        return value
    shown = value if isinstance(value, str) else inner_text(option[1])
    hint = did_you_mean(shown, choices) or f"it is {listed(choices)}"
    scope.wrong("bad-argument", f"`{key}` cannot be `{shown}`", option[1], hint)
    return None


def per_of(option: tuple[Token, Node] | None, scope: Scope) -> Literal["pool", "tensor"]:
    """What `per = …` says."""
    return "tensor" if choice(option, "per", ("pool", "tensor"), scope) == "tensor" else "pool"


def seed_of(option: tuple[Token, Node] | None, scope: Scope) -> int | None:
    """What `seed = …` says; None where it is not given, or wrong: that is reported."""
    if option is None:
        return None
    node = option[1]
    is_value = isinstance(node, Tree) and node.data in {"number", "percent"}
    value = value_of(node, scope) if is_value else operand_value(node, scope)
    if isinstance(value, int) and value >= 0:
        return value
    scope.wrong("whole-number", "`seed` must be a whole number, 0 or above", node, "write for example `seed = 7`")
    return None


def operand_value(node: Node, scope: Scope) -> Bound | None:
    """The value of an operand that the grammar takes for a selection: a name, perhaps a loop's."""
    if isinstance(node, Tree) and node.data == "name":
        token = token_of(node.children[0])
        return variable(token, scope) if "$" in token else str(token)
    return None


def _as_written(node: Node, scope: Scope) -> str:
    span = scope.span(node)
    return cut(" ".join(scope.source.text[span.start : span.end].split()), _SHOWN)


def _edge(node: Node) -> Token:
    while isinstance(node, Tree):
        node = next(child for child in node.children if child is not None)
    return node
