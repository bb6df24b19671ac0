"""Tokens to values: numbers, names and texts, with the values of loops put in for their `$names`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from lark import Token, Tree

from bitspec.diagnostics import MAX_DIAGNOSTICS, Diagnostic, Note, Source, Span, did_you_mean, error
from bitspec.ir.selection import PercentValue
from bitspec.ir.study import Name

#: What a loop's name can stand for: a name, a text, a number or a percentage.
Bound: TypeAlias = str | int | float | PercentValue
Node: TypeAlias = Tree[Token] | Token

#: The least percentage: a hundredth of an entry of a model with ten billion.
LEAST_PERCENT = 1e-10
#: Characters of the longest name.
MAX_NAME = 200
#: Digits of the longest number that is read.
MAX_DIGITS = 25
#: Characters of the longest text or name in which the values of loops were put in.
MAX_PUT_IN = 10_000
#: Characters of a part of the text that a message repeats.
_SHOWN = 200

_VARIABLE = re.compile(r"\$(?:\{(\w*)\}|(\w+))")
#: Brackets, and what hides them: comments and texts, those that are not closed on their line too.
_BRACKETS = re.compile(r"""#[^\n]*|"[^"\n]*"?|'[^'\n]*'?|[()]""")
_NAME = re.compile(r"[^\W\d]\w*(/[\w-]+)*")


@dataclass(frozen=True)
class Scope:
    """Where a statement is read: its source, the values of the loops around it, and where errors go."""

    source: Source
    bindings: Mapping[str, Bound] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    #: A loop in this source is broken, so names without a value may be its own, and are not reported.
    is_partial: bool = False

    def inside(self, name: str, value: Bound) -> Scope:
        """The scope in one round of a loop."""
        return Scope(self.source, {**self.bindings, name: value}, self.diagnostics, self.is_partial)

    def wrong(
        self, code: str, message: str, node: Node | Span, hint: str | None = None, note: Note | None = None
    ) -> None:
        """Report an error at a node of the parse tree."""
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            return
        span = node if isinstance(node, Span) else self.span(node)
        self.diagnostics.append(error(code, message, span, help=hint, notes=[note] if note else []))

    def span(self, node: Node) -> Span:
        """Where a token stands, or a tree from its first token to its last."""
        first, last = _edge(node, 0), _edge(node, -1)
        assert first is not None
        assert last is not None
        start, end = first.start_pos or 0, last.end_pos or 0
        return Span(self.source, *_with_brackets(self.source.text, start, end))


def _edge(node: Node, end: int) -> Token | None:
    """The first token of a node (end 0) or its last (end -1); None in an empty set or block.

    The parser keeps no positions for trees, which takes a third of its time: they are those of their tokens.
    """
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Token):
            return node
        children = [child for child in node.children if child is not None]
        waiting += children if end else reversed(children)
    return None


def _with_brackets(text: str, start: int, end: int) -> tuple[int, int]:
    """A place widened to the brackets that it cuts in two: the parse tree does not keep them."""
    if "(" not in text[start:end] and ")" not in text[start:end]:
        return start, end
    depth = lowest = 0
    for match in _BRACKETS.finditer(text, start, end):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        lowest = min(lowest, depth)
    for _ in range(-lowest):
        found = text.rfind("(", 0, start)
        start = found if found >= 0 else start
    for _ in range(depth - lowest):
        found = text.find(")", end)
        end = found + 1 if found >= 0 else end
    return start, end


def token_of(node: Node | None) -> Token:
    """A node that the grammar makes a token."""
    assert isinstance(node, Token)
    return node


def name_of(token: Token, scope: Scope) -> str:
    """A name, with loop values put in. An error is reported where the result is no name."""
    text = _put_in(token, scope, strict=True) if "$" in token else str(token)
    if len(text) > MAX_NAME:
        scope.wrong("bad-name", f"this name has more than {MAX_NAME} characters", token, "write a shorter one")
        return text[:MAX_NAME]
    if "$" not in token:
        return text
    if not _NAME.fullmatch(text) and "$" not in text:
        scope.wrong(
            "bad-name",
            f"`{token}` becomes `{text}` here, which is not a name",
            token,
            "names have letters, digits and `_`, and start with a letter or `_`",
        )
    return text


def names_of(node: Node | None, scope: Scope) -> tuple[Name, ...]:
    """The names of a list; one that stands twice is reported."""
    if node is None:
        return ()
    assert isinstance(node, Tree)
    found: list[Name] = []
    seen: set[str] = set()
    for child in node.children:
        name = Name.model_construct(name=name_of(token_of(child), scope), span=scope.span(child))
        if name.name in seen:
            scope.wrong("repeated", f"`{name.name}` is listed twice", child, "take one of them away")
        seen.add(name.name)
        found.append(name)
    return tuple(found)


def text_of(token: Token, scope: Scope) -> str:
    """A text without its quotes. Only the names of loops around it are replaced."""
    text = str(token)[1:-1]
    return _put_in(text, scope, strict=False, token=token) if "$" in text else text


def value_of(node: Node, scope: Scope) -> Bound | None:
    """The value of a token, a number or a percentage. None where it has none; that is reported."""
    if isinstance(node, Token):
        if node.type == "STRING":
            return text_of(node, scope)
        return variable(node, scope) if "$" in node else str(node)
    if node.data == "number":
        return number_of(node, scope)
    if node.data == "percent":
        return percent_of(node, scope)
    assert node.data == "variable", node.data
    token = node.children[0]
    assert isinstance(token, Token)
    return variable(token, scope)


def variable(token: Token, scope: Scope) -> Bound | None:
    """The value of a lone `$r`; of a name around it (`drop_$r`), the name."""
    match = _VARIABLE.fullmatch(str(token))
    if match is None:
        return name_of(token, scope)
    key = match[1] or match[2] or ""
    if key in scope.bindings:
        return scope.bindings[key]
    _unbound(key, token, scope)
    return None


def number_of(node: Node, scope: Scope) -> int | float | None:
    """A number with its sign. None where it is too long or too large; that is reported."""
    assert isinstance(node, Tree)
    *signs, token = node.children
    text = str(token)
    if len(text) > MAX_DIGITS:
        scope.wrong("bad-number", f"this number has more than {MAX_DIGITS} digits", node, "write fewer digits")
        return None
    number = int(text) if text.isdigit() else float(text)
    if not math.isfinite(number):
        scope.wrong("bad-number", f"`{text}` is too large for a number", node, "write a number below 1e308")
        return None
    return -number if signs and signs[0] == "-" else number


def percent_of(node: Node, scope: Scope) -> PercentValue | None:
    """A percentage, exactly as written. None where it is not one; that is reported."""
    assert isinstance(node, Tree)
    inner = node.children[0]
    if isinstance(inner, Tree) and inner.data == "number":
        value: Bound | None = number_of(inner, scope)
        text = "".join(map(str, inner.children))
    else:
        value = value_of(inner, scope)
        text = str(value)
    if isinstance(value, int | float):
        if value != 0 and abs(value) < LEAST_PERCENT:
            least = f"write {LEAST_PERCENT:g}% or more"
            scope.wrong("bad-number", f"`{text}%` is too small to be of use", node, least)
            return None
        return PercentValue.model_construct(percent=Decimal(text if value else "0"), span=scope.span(node))
    if value is not None:
        scope.wrong("bad-number", f"`{inner_text(inner)}` is not a number here", node, "write for example `0.04%`")
    return None


def whole_number(node: Node, scope: Scope, what: str, example: str) -> int | None:
    """A whole number; anything else is reported as not being `what`, with an example of what is."""
    value = value_of(node, scope)
    if isinstance(value, int):
        return value
    if value is not None:
        scope.wrong(
            "whole-number",
            f"{what} must be a whole number, not {written(value)}",
            node,
            f"write for example `{example}`",
        )
    return None


def written(value: Bound) -> str:
    """A value as a message shows it."""
    if isinstance(value, PercentValue):
        return f"`{value.percent.normalize():f}%`"
    return f"`{value}`"


def inner_text(node: Node) -> str:
    """The tokens of a node, for a message: the first of them, if they are many."""
    # Without recursion: a chain of operators is a tree as deep as the chain is long.
    found: list[str] = []
    length, waiting = 0, [node]
    while waiting and length <= _SHOWN:
        node = waiting.pop()
        if isinstance(node, Token):
            found.append(str(node))
            length += len(node)
        else:
            waiting += reversed([child for child in node.children if child is not None])
    return "".join(found) if not waiting else f"{''.join(found)[:_SHOWN]}…"


def _put_in(text: str, scope: Scope, *, strict: bool, token: Token | None = None) -> str:
    at = token if token is not None else text
    pieces: list[str] = []
    end = length = 0
    for match in _VARIABLE.finditer(text):
        key = match[1] or match[2] or ""
        value = scope.bindings.get(key)
        if value is None:
            if strict:
                _unbound(key, at, scope)
            continue
        written = f"{value.percent.normalize():f}%" if isinstance(value, PercentValue) else str(value)
        pieces += [text[end : match.start()], written]
        end = match.end()
        length += len(written)
        if length > MAX_PUT_IN:
            # Texts in texts in texts would fill any memory.
            assert isinstance(at, Token)
            message = f"with the values of its loops, this has more than {MAX_PUT_IN:,} characters"
            scope.wrong("too-long", message, at, "write a shorter text")
            break
    return "".join([*pieces, text[end:]]) if pieces else text


def _unbound(key: str, token: Token | str, scope: Scope) -> None:
    assert isinstance(token, Token)
    if scope.is_partial or len(scope.diagnostics) >= MAX_DIAGNOSTICS:  # a name may have millions of these
        return
    if not key:
        scope.wrong("unbound", "`${}` has no name in its braces", token, "write for example `${r}`")
        return
    near = next((name for name in scope.bindings if key.startswith(name)), None)
    if near is not None:
        rest = key[len(near) :]
        hint = f"write `${{{near}}}{rest}` for the value of `{near}` with `{rest}` after it"
    else:
        hint = did_you_mean(f"${key}", [f"${name}" for name in scope.bindings]) or (
            f"a loop gives it a value: `for {key} in {{…}} {{ … }}`"
        )
    scope.wrong("unbound", f"no loop around this gives `${key}` a value", token, hint)
