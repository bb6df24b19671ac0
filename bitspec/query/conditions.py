"""Comparisons of the short form to SQL. A bare word beside a text is a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitspec.diagnostics import Span
from bitspec.names import task_called
from bitspec.query.functions import Kind
from bitspec.query.pieces import Asked, Piece, Scope
from bitspec.query.syntax import Compares, Expression, IsIn, Matches, Name, Negative, Number, Range, Text, quoted

if TYPE_CHECKING:
    from bitspec.query.expressions import Expressions


def compares(expressions: Expressions, node: Compares, scope: Scope) -> Piece:
    """`score > 60`, `task = rte`. What is null differs from every value."""
    left, right = _sides(expressions, node, scope)
    if Kind.OTHER in (left.kind, right.kind):
        other = node.left if left.kind is Kind.OTHER else node.right
        raise expressions.wrong(
            "wrong-operator",
            f"`{other}` is {Kind.OTHER}, which cannot be compared",
            other,
            "name one of them, such as `metrics.accuracy`",
        )
    if left.kind is not right.kind:
        message = f"`{node.left}` is {left.kind}, and `{node.right}` is {right.kind}"
        raise expressions.wrong("wrong-value", message, node, "compare numbers with numbers, and texts with texts")
    if node.operator not in {"=", "!="} and left.kind in {Kind.TEXT, Kind.TRUTH}:
        hint = f'write `{node.left} = …`, `{node.left} in {{…}}` or `{node.left} ~ "…"`'
        raise expressions.wrong(
            "wrong-operator", f"`{node.left}` has no order, so `{node.operator}` does not apply", node, hint
        )
    if node.operator != "!=":
        return Piece(f"({left.sql} {node.operator} {right.sql})", Kind.TRUTH)
    if any(isinstance(side, Number | Text) or expressions.word(side, scope) for side in (node.left, node.right)):
        return Piece(f"({left.sql} IS DISTINCT FROM {right.sql})", Kind.TRUTH)
    return Piece(f"(({left.sql} = {right.sql}) IS NOT TRUE)", Kind.TRUTH)


def _sides(expressions: Expressions, node: Compares, scope: Scope) -> tuple[Piece, Piece]:
    words = expressions.word(node.left, scope), expressions.word(node.right, scope)
    if words[0] is not None and (words[1] is not None or isinstance(node.right, Text)):
        return expressions.piece(node.left, scope), expressions.piece(node.right, scope)  # which says what is unknown
    if words[0] is not None or isinstance(node.left, Text):
        right = expressions.piece(node.right, scope)
        return _literal(expressions, node.left, node.right, right.kind, scope), right
    left = expressions.piece(node.left, scope)
    return left, _literal(expressions, node.right, node.left, left.kind, scope)


def _literal(expressions: Expressions, node: Expression, beside: Expression, kind: Kind, scope: Scope) -> Piece:
    """A value beside something of a kind: a bare word is a text, a task has a long and a short name."""
    value = node.value if isinstance(node, Text) else expressions.word(node, scope)
    if value is None or kind not in {Kind.TEXT, Kind.TIME}:
        if isinstance(node, Name) and value is not None and not expressions.is_value(node):
            message = f"`{beside}` is {kind}, and `{value}` is neither {kind} nor a column"
            raise expressions.wrong("wrong-value", message, node, "compare numbers with numbers, and texts with texts")
        return expressions.piece(node, scope)
    if kind is Kind.TIME:
        return Piece(f"CAST({expressions.parameter(value)} AS TIMESTAMP)", Kind.TIME)
    column = expressions.relation.find(beside.name) if isinstance(beside, Name) else None
    if column == "task":
        value = task_called(value, expressions.known.tasks) or value
    if column is not None:
        expressions.asked.append(Asked(column, value, Span(expressions.source, *node.at)))
    return Piece(expressions.parameter(value), Kind.TEXT)


def matches(expressions: Expressions, node: Matches, scope: Scope) -> Piece:
    """`strategy ~ "^drop"`, by DuckDB's linear engine."""
    of = expressions.piece(node.of, scope)
    if of.kind is not Kind.TEXT:
        hint = f"write `{node.of} = …` or `{node.of} in 0..3`"
        raise expressions.wrong("wrong-operator", f"`{node.of}` is {of.kind}, and `~` looks for text", node.of, hint)
    if not isinstance(node.pattern, Text):
        hint = f"write `{node.of} ~ {quoted(str(node.pattern))}`"
        raise expressions.wrong("missing-quotes", "a pattern stands in quotes", node.pattern, hint)
    if not node.pattern.value:
        hint = "take the condition away"
        raise expressions.wrong("bad-pattern", "this pattern is empty, and would match everything", node.pattern, hint)
    expressions.patterns.append((node.pattern.value, Span(expressions.source, *node.pattern.at)))
    sql = f"regexp_matches({of.sql}, {expressions.parameter(node.pattern.value)})"
    return Piece(f"({sql} IS NOT TRUE)" if node.negated else sql, Kind.TRUTH)


def is_in(expressions: Expressions, node: IsIn, scope: Scope) -> Piece:
    """`task in {cola, rte}`, `seed in 0..3`. What is null is in no set."""
    of = expressions.piece(node.of, scope)
    values, tests = [], []
    for member in node.members:
        if isinstance(member, Range):
            if of.kind is not Kind.NUMBER:
                raise expressions.wrong(
                    "wrong-operator",
                    f"`{node.of}` is not a number, so a range does not apply",
                    member,
                    f"write `{node.of} in {{…}}`",
                )
            tests.append(f"{of.sql} BETWEEN {member.first} AND {member.last}")
            continue
        literal = isinstance(member, Number | Text) or expressions.word(member, scope) is not None
        if not literal and not (isinstance(member, Negative) and isinstance(member.of, Number)):
            raise expressions.wrong(
                "bad-set", "a set holds numbers, or texts", member, "write for example `{cola, rte}`"
            )
        piece = _literal(expressions, member, node.of, of.kind, scope)
        if piece.kind is not of.kind:
            raise expressions.wrong(
                "wrong-value",
                f"`{node.of}` is {of.kind}, and `{member}` is {piece.kind}",
                member,
                "compare numbers with numbers, and texts with texts",
            )
        values.append(piece.sql)
    if values:
        tests.insert(0, f"{of.sql} IN ({', '.join(values)})")
    sql = f"({' OR '.join(tests)})"
    return Piece(f"({sql} IS NOT TRUE)" if node.negated else sql, Kind.TRUTH)
