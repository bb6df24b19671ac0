"""A query in the short form to one parameterised statement of SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bitspec.diagnostics import BitspecError, Source, Span, did_you_mean, error, listed
from bitspec.query.expressions import Expressions
from bitspec.query.functions import AGGREGATES, BARE, Kind
from bitspec.query.pieces import Asked, Known, Piece, Scope
from bitspec.query.relation import DEFAULT_VIEW, Relation
from bitspec.query.syntax import (
    And,
    Arithmetic,
    Call,
    Compares,
    Expression,
    IsIn,
    IsNull,
    Item,
    Matches,
    Name,
    Negative,
    Not,
    Number,
    Or,
    Query,
    Text,
)

#: Columns of the widest answer to a query in the short form.
MAX_COLUMNS: Final = 200


@dataclass(frozen=True)
class Column:
    """A column of an answer: its heading, what it holds, and whether that is in points."""

    heading: str
    kind: Kind
    in_points: bool = False


@dataclass(frozen=True)
class Compiled:
    """A statement, its parameters `$1`, `$2` …, and the columns that come of it.

    `patterns` are its regular expressions; `asked` the texts that columns are compared with.
    """

    sql: str
    parameters: tuple[object, ...]
    columns: tuple[Column, ...]
    patterns: tuple[tuple[str, Span], ...] = ()
    asked: tuple[Asked, ...] = ()

    def __str__(self) -> str:
        values = (f"-- ${place} = {_shown(value)}\n" for place, value in enumerate(self.parameters, 1))
        return f"{self.sql};\n{''.join(values)}"


@dataclass(frozen=True)
class Condition:
    """What rows must meet: SQL without `WHERE`, and its parameters. Without a condition, `true`."""

    sql: str = "true"
    parameters: tuple[object, ...] = ()


@dataclass(frozen=True)
class _Output:
    column: Column
    sql: str
    expression: Expression


def view_of(source: Source, query: Query, views: list[str]) -> str:
    """The name of the view that a query reads. Raises BitspecError if there is none of that name."""
    if query.view is None:
        return DEFAULT_VIEW
    found = next((view for view in views if view.lower() == query.view.name.lower()), None)
    if found is None:
        hint = did_you_mean(query.view.name, views) or f"the views are {listed(views, 'and')}"
        message = f"there is no view called `{query.view}`"
        raise BitspecError(error("unknown-view", message, Span(source, *query.view.at), help=hint))
    return found


def condition_of(source: Source, query: Query, relation: Relation, known: Known) -> Condition:
    """What a query asks of its rows, put to a view that may be another than its own.

    Raises BitspecError where that view lacks a column.
    """
    if query.where is None:
        return Condition()
    expressions = Expressions(source, relation, known)
    return Condition(_where(expressions, query.where), tuple(expressions.parameters))


def compile_query(source: Source, query: Query, relation: Relation, known: Known) -> Compiled:
    """The statement that a query comes to. Raises BitspecError with the first thing that is wrong."""
    aliases = {item.alias: item.expression for item in query.items if isinstance(item, Item) and item.alias is not None}
    return _Compiler(Expressions(source, relation, known, aliases.keys()), query, aliases).compiled()


_NOT_IN_WHERE = ("is an aggregate, and `where` chooses single rows", "put the condition into `having`")


def _where(expressions: Expressions, where: Expression) -> str:
    return expressions.condition(where, Scope(no_aggregates=_NOT_IN_WHERE), "where")


class _Compiler:
    def __init__(self, expressions: Expressions, query: Query, aliases: Mapping[str, Expression]) -> None:
        self.expressions, self.query, self.relation = expressions, query, expressions.relation
        self.aliases = aliases
        self.by = [self._by(name) for name in query.by]
        selected = [item.expression for item in query.items if isinstance(item, Item)]
        later = [*(term.expression for term in query.order), *([] if query.having is None else [query.having])]
        self.grouped = (
            bool(self.by)
            or any(self._aggregates(one, {}) for one in selected)
            or any(self._aggregates(one, aliases) for one in later)
        )
        self.scope = Scope(tuple(self.by) if self.grouped else None)

    def compiled(self) -> Compiled:
        query, expressions = self.query, self.expressions
        outputs = _unique_headings(self._outputs())
        selected = _lines([self._selected(output) for output in outputs])
        clauses = [f"SELECT{selected}", f"FROM {self.relation.name}"]
        if query.where is not None:
            clauses.append(f"WHERE {_without_parentheses(_where(expressions, query.where))}")
        if self.by:
            clauses.append(f"GROUP BY {', '.join(self._group(place, one) for place, one in enumerate(self.by, 1))}")
        last = dataclasses.replace(self.scope, aliases=self.aliases)
        if query.having is not None:
            if not self.grouped:
                raise expressions.wrong(
                    "missing-argument",
                    "`having` chooses groups, and there are none",
                    query.having,
                    "write `where` to choose rows, or `by strategy` for groups",
                )
            clauses.append(f"HAVING {_without_parentheses(expressions.condition(query.having, last, 'having'))}")
        order = list(dict.fromkeys([*self._asked_order(outputs, last), *self._default_order()]))
        if order:
            clauses.append(f"ORDER BY{_lines(order)}")
        if query.limit is not None:
            clauses.append(f"LIMIT {query.limit}")
        return Compiled(
            "\n".join(clauses),
            tuple(expressions.parameters),
            tuple(output.column for output in outputs),
            tuple(expressions.patterns),
            tuple(expressions.asked),
        )

    def _by(self, name: Name) -> Expression:
        """What is grouped by: a column under its own name, or the expression behind an alias."""
        column = self.relation.find(name.name)
        if column is not None:
            return Name(column, at=name.at)
        expression = self.aliases.get(name.name)
        if expression is None:
            raise self.expressions.unknown(name, Scope(aliases=self.aliases))
        if self._aggregates(expression, {}):
            raise self.expressions.wrong(
                "misplaced-aggregate", f"`{name}` is an aggregate, which makes no groups", name, "group by a column"
            )
        return self._as_column(expression)

    def _as_column(self, expression: Expression) -> Expression:
        column = self.relation.find(expression.name) if isinstance(expression, Name) else None
        return expression if column is None else Name(column, at=expression.at)

    def _aggregates(self, node: Expression, aliases: Mapping[str, Expression]) -> bool:
        """Whether there is an aggregate in an expression in which these aliases can be used."""
        parts: Sequence[Expression] = ()
        match node:
            case Call(function, arguments):
                if function in AGGREGATES:
                    return True
                parts = arguments
            case Name(name):
                if name in aliases:
                    return self._aggregates(aliases[name], {})
                return name.lower() in BARE and self.relation.find(name) is None
            case Negative(of) | Not(of) | IsNull(of) | IsIn(of) | Matches(of):
                parts = (of,)
            case Arithmetic(_, left, right) | Compares(_, left, right):
                parts = (left, right)
            case And(parts) | Or(parts):
                pass
        return any(self._aggregates(part, aliases) for part in parts)

    def _outputs(self) -> list[_Output]:
        """The columns of the answer: those that are grouped by come first."""
        items: list[tuple[Expression, str | None]] = []
        for item in self.query.items:
            if isinstance(item, Item):
                items.append((self._as_column(item.expression), item.alias))
            elif self.grouped:
                message = "`*` is every column of single rows, not of groups"
                hint = "name the columns, or leave out `by` and the aggregates"
                raise self.expressions.wrong("not-grouped", message, item, hint)
            else:
                items += [(Name(column), None) for column in self.relation.types]
        if len(items) > MAX_COLUMNS:
            message = f"this query selects {len(items):,} columns, and none may have more than {MAX_COLUMNS}"
            raise BitspecError(error("too-large", message, help="ask for less at once"))
        named = {expression: alias for expression, alias in items if alias is not None}
        first = [(one, named.get(one)) for one in self.by]
        rest = [(expression, alias) for expression, alias in items if expression not in self.by]
        rows = Scope(None, {}, _NOT_IN_WHERE)
        return [
            *(self._output(expression, alias, rows) for expression, alias in first),
            *(self._output(expression, alias, self.scope) for expression, alias in rest),
        ]

    def _output(self, expression: Expression, alias: str | None, scope: Scope) -> _Output:
        piece: Piece = self.expressions.piece(expression, scope)
        column = Column(alias if alias is not None else str(expression), piece.kind, piece.in_points)
        return _Output(column, _without_parentheses(piece.sql), expression)

    def _selected(self, output: _Output) -> str:
        is_plain = output.sql == self.expressions.column(output.column.heading)
        return output.sql if is_plain else f"{output.sql} AS {_quoted(output)}"

    def _group(self, place: int, one: Expression) -> str:
        return self.expressions.column(one.name) if isinstance(one, Name) else str(place)

    def _asked_order(self, outputs: list[_Output], scope: Scope) -> list[str]:
        order = []
        for term in self.query.order:
            expression = term.expression
            if isinstance(expression, Name | Text) and str(expression) in self.aliases:
                expression = self.aliases[str(expression)]
            expression = self._as_column(expression)
            if isinstance(expression, Number | Text):
                hint = "name the column: `order mean(score) desc`"
                raise self.expressions.wrong("wrong-value", "rows are not ordered by a value", expression, hint)
            shown = next((output for output in outputs if output.expression == expression), None)
            sql = _quoted(shown) if shown is not None else self.expressions.piece(expression, scope).sql
            order.append(f"{sql}{' DESC' if term.descending else ''} NULLS LAST")
        return order

    def _default_order(self) -> list[str]:
        """By the place in the spec, then by what is grouped by; of single rows, the order that their view has."""
        column = self.expressions.column
        if not self.grouped:
            return [f"{column(name)} NULLS LAST" for name in self.relation.natural_order]
        order = []
        for place, one in enumerate(self.by, 1):
            if isinstance(one, Name) and one.name in {"strategy", "title"} and self.relation.has("position"):
                order.append(f"min({column('position')}) NULLS LAST")
            order.append(f"{self._group(place, one)} NULLS LAST")
        return order


def _lines(parts: list[str]) -> str:
    """Parts after a keyword, with commas, on lines of their own where they are long."""
    line = ", ".join(parts)
    return f" {line}" if len(line) <= 100 else "\n  " + ",\n  ".join(parts)


def _unique_headings(outputs: list[_Output]) -> list[_Output]:
    unique = unique_names([output.column.heading for output in outputs])
    return [
        dataclasses.replace(output, column=dataclasses.replace(output.column, heading=heading))
        for output, heading in zip(outputs, unique, strict=True)
    ]


def unique_names(names: list[str]) -> list[str]:
    """Names of which those that were there before get a number: `score`, `score_2`."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        unique = name
        while unique.lower() in counts:
            counts[name.lower()] += 1
            unique = f"{name}_{counts[name.lower()]}"
        counts[unique.lower()] = 1
        found.append(unique)
    return found


def _quoted(output: _Output) -> str:
    return '"' + output.column.heading.replace('"', '""') + '"'


def _without_parentheses(sql: str) -> str:
    """SQL without the parentheses around the whole of it."""
    depth = 0
    for place, char in enumerate(sql):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and place < len(sql) - 1:
            return sql
    return sql[1:-1] if sql.startswith("(") else sql


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(f'{one:.4f}' for one in value[:3])}, …] ({len(value)} quantiles of Student's t)"
    return "'" + str(value).replace("'", "''") + "'"
