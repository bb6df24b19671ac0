"""What looks wrong in a selection that picks something: patterns that reach too far, strategies that train nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import regex

from bitspec.diagnostics import Diagnostic, Note, listed, warning
from bitspec.ir.masks import Selected
from bitspec.ir.selection import And, Compares, Condition, IsIn, Matches, Selection, Where, is_ranked, walk
from bitspec.ir.study import Strategy
from bitspec.parameters.catalogue import Catalogue, Parameter
from bitspec.parameters.conditions import PATTERN_TIMEOUT, PATTERNS_TIMEOUT
from bitspec.parameters.select import Selector

#: The first number among a name's parts: what stands before it, and itself, is the way to the layer.
_WAY_TO_LAYER = regex.compile(r"^(?:[^.\d][^.]*\.)*\d+\.")


def straddling_patterns(
    strategies: Iterable[Strategy], named: Mapping[str, Selection], selector: Selector, catalogue: Catalogue
) -> Iterator[Diagnostic]:
    """A warning for each pattern that matches parameters of several roles, with counts for each.

    `output.LayerNorm` also stands in `attention.output.LayerNorm`. No warning where the spec shows that it is meant:
    each alternative of `a|b` has one role, or the same `where` asks for roles. Nor where a pattern is not about what
    a module does: it matches the way to a layer (`layer\\.11\\.`), or only the last part of a name (`bias$`).
    """
    seen: set[tuple[str, str]] = set()
    deadline = time.monotonic() + PATTERNS_TIMEOUT
    for strategy in strategies:
        for node in walk(strategy.selection, named):
            if not isinstance(node, Where) or _asks_for_roles(node.condition) or is_ranked(node.of, named):
                continue
            for pattern in _patterns(node.condition):
                key = (pattern.span.location, pattern.pattern)
                if key not in seen and time.monotonic() < deadline:
                    seen.add(key)
                    # One alternative may take long where the whole pattern does not; then nothing is said of it.
                    with suppress(TimeoutError):
                        yield from _straddles(pattern, selector.select(node.of), catalogue)


def zero_gradient(strategy: Strategy, selected: Selected, catalogue: Catalogue) -> Iterator[Diagnostic]:
    """A warning where every selected entry has a gradient of zero: the biases of keys, in most architectures.

    Softmax does not see a constant that is added to every key's score.
    """
    if not selected or not catalogue.frozen_key_bias:
        return
    parameters = [catalogue[name] for name in selected]
    if all(parameter.role == "k" and parameter.kind == "bias" for parameter in parameters):
        yield warning(
            "zero-gradient",
            f"`{strategy.name}` trains only biases of keys, and their gradient is zero in this architecture "
            f"({catalogue.model_type})",
            strategy.span,
            help="attention's softmax does not see a constant added to every key's score: this strategy equals `none` "
            "but for rounding",
        )


def _asks_for_roles(condition: Condition) -> bool:
    parts = condition.conditions if isinstance(condition, And) else (condition,)
    return any(isinstance(part, Compares | IsIn) and part.attribute == "role" for part in parts)


def _patterns(condition: Condition) -> Iterator[Matches]:
    parts = condition.conditions if isinstance(condition, And) else (condition,)
    for part in parts:
        if isinstance(part, Matches) and part.attribute in {"name", "module"} and not part.negated:
            yield part


def _straddles(pattern: Matches, selected: Selected, catalogue: Catalogue) -> Iterator[Diagnostic]:
    alternatives = [pattern.pattern] if regex.search(r"[(\[\\]", pattern.pattern) else pattern.pattern.split("|")
    roles: dict[str, int] = {}
    examples: dict[str, str] = {}
    straddling = False
    deadline = time.monotonic() + PATTERN_TIMEOUT
    for alternative in alternatives:
        own: set[str] = set()
        expression = regex.compile(alternative, regex.V0)
        for name, count in selected.counts.items():
            parameter = catalogue[name]
            if parameter.role is not None and _is_about_role(expression, pattern, parameter, deadline):
                own.add(parameter.role)
                roles[parameter.role] = roles.get(parameter.role, 0) + count
                examples.setdefault(parameter.role, name)
        straddling = straddling or len(own) > 1
    if not straddling:
        return
    counts = [f"{role} ({count:,} entries)" for role, count in roles.items()]
    names = ", ".join(roles)
    yield warning(
        "straddling-pattern",
        f'the pattern "{pattern.pattern}" straddles {_number(len(roles))} roles: {listed(counts, "and", quote="")}',
        pattern.span,
        help=f"write `role == …` for one of them; if all are meant, `role in {{{names}}}` says so",
        notes=[Note(f"{role}: {name}") for role, name in list(examples.items())[:4]],
    )


def _is_about_role(expression: regex.Pattern[str], pattern: Matches, parameter: Parameter, deadline: float) -> bool:
    text = parameter.name if pattern.attribute == "name" else parameter.module
    match = expression.search(text, timeout=max(deadline - time.monotonic(), 1e-6))
    if match is None:
        return False
    way = _WAY_TO_LAYER.match(text)
    return match.end() > (way.end() if way else 0) and match.start() < len(parameter.module)


def _number(count: int) -> str:
    words = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count - 2] if count - 2 < len(words) else str(count)
