"""Expressions of the short form to SQL. Names are looked up, texts become parameters, kinds are checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bitspec.diagnostics import BitspecError, Source, Span, did_you_mean, error, listed
from bitspec.query import conditions, student
from bitspec.query.functions import AGGREGATES, BARE, SCALARS, Function, Kind, kind_of
from bitspec.query.pieces import Asked, Known, Piece, Scope
from bitspec.query.relation import OF_STRATEGY, Relation, identifier
from bitspec.query.syntax import (
    And,
    Arithmetic,
    Call,
    Compares,
    Expression,
    Field,
    IsIn,
    IsNull,
    Matches,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Text,
    Truth,
)


class Expressions:
    """Turns the expressions of one query into SQL, and collects its parameters, texts and patterns."""

    def __init__(self, source: Source, relation: Relation, known: Known, aliases: Collection[str] = ()) -> None:
        self.source, self.relation, self.known, self.aliases = source, relation, known, aliases
        self.parameters: list[object] = []
        self.asked: list[Asked] = []
        self.patterns: list[tuple[str, Span]] = []

    def wrong(self, code: str, message: str, node: Node, hint: str) -> BitspecError:
        """What is wrong with a node, to be raised."""
        return BitspecError(error(code, message, Span(self.source, *node.at), help=hint))

    def column(self, name: str) -> str:
        """The SQL of a column of the view. Even a word of SQL's own needs no quotes after a point."""
        return f"{self.relation.name}.{identifier(name)}"

    def parameter(self, value: object) -> str:
        """The place of a value among the parameters."""
        if value not in self.parameters:
            self.parameters.append(value)
        return f"${self.parameters.index(value) + 1}"

    def condition(self, node: Expression, scope: Scope, word: str) -> str:
        """The SQL of what must be true or false."""
        piece = self.piece(node, scope)
        if piece.kind is not Kind.TRUTH:
            raise self.wrong(
                "missing-condition",
                f"`{word}` needs a condition, and this is {piece.kind}",
                node,
                f"compare it: `{word} {node} = …`",
            )
        return piece.sql

    def piece(self, node: Expression, scope: Scope) -> Piece:
        """The SQL of an expression."""
        if scope.groups and node in scope.groups:
            scope = replace(scope, groups=None)
        match node:
            case Number(digits):
                return Piece(digits, Kind.NUMBER)
            case Text(value):
                return Piece(self.parameter(value), Kind.TEXT)
            case Truth(value):
                return Piece(str(value).lower(), Kind.TRUTH)
            case Name():
                return self._name(node, scope)
            case Field():
                return self._field(node, scope)
            case Call():
                return self._call(node, scope)
            case Negative(of):
                piece = self._number(of, scope, "-")
                return Piece(f"(-{piece.sql})", Kind.NUMBER, piece.in_points)
            case Arithmetic():
                return self._arithmetic(node, scope)
            case Compares():
                return conditions.compares(self, node, scope)
            case Matches():
                return conditions.matches(self, node, scope)
            case IsIn():
                return conditions.is_in(self, node, scope)
            case IsNull(of, negated):
                return Piece(f"({self.piece(of, scope).sql} IS {'NOT ' if negated else ''}NULL)", Kind.TRUTH)
            case Not(of):
                # What is unknown because something is null is not so: `not a = b` holds there.
                return Piece(f"({self.condition(of, scope, 'not')} IS NOT TRUE)", Kind.TRUTH)
            case And(parts) | Or(parts):
                word = "and" if isinstance(node, And) else "or"
                joined = f" {word.upper()} ".join(self.condition(part, scope, word) for part in parts)
                return Piece(f"({joined})", Kind.TRUTH)

    # Names and calls --------------------------------------------------------------------------------------

    def _name(self, node: Name, scope: Scope) -> Piece:
        if node.name in scope.aliases:
            return self.piece(scope.aliases[node.name], replace(scope, aliases={}))
        column = self.relation.find(node.name)
        if column is not None:
            kind, in_points = self.relation.kinds[column], self.relation.is_points(column)
            if scope.groups is None or column in scope.columns:
                return Piece(self.column(column), kind, in_points)
            if column in OF_STRATEGY and "strategy" in scope.columns:
                return Piece(f"min({self.column(column)})", kind)
            raise self._not_grouped(node, column, scope)
        if node.name.lower() in BARE:
            return self._call(Call(node.name.lower(), of_all=True, at=node.at), scope)
        if self.is_value(node):
            return self._field(Field("metrics", node.name, at=node.at), scope)
        if node.name.lower() in {**AGGREGATES, **SCALARS}:
            raise self.wrong(
                "missing-argument",
                f"`{node.name}` is a function, and needs to be told of what",
                node,
                f"write for example `{node.name}(score)`",
            )
        raise self.unknown(node, scope)

    def is_value(self, node: Name) -> bool:
        """Whether a word that is no column has a value: it is `n`, or a metric."""
        return node.name.lower() in BARE or (self.relation.has("metrics") and node.name in self.known.metrics)

    def unknown(self, node: Name, scope: Scope = Scope()) -> BitspecError:  # noqa: B008 - it is frozen
        """That the view has no column of this name, to be raised."""
        message = f"`{self.relation.name}` has no column called `{node.name}`"
        hint = did_you_mean(node.name, [*scope.aliases, *self.relation.types, *BARE])
        if node.name in self.aliases:
            message = f"`{node.name}` is a name of this query's own, which cannot be used here"
            hint = "it can stand in `by`, `having` and `order`; here, write again what it stands for"
        elif hint is None:
            hint = f"`bitspec query --schema {self.relation.name}` lists its columns"
        return self.wrong("unknown-column", message, node, hint)

    def _not_grouped(self, node: Name | Field, column: str, scope: Scope) -> BitspecError:
        by = ", ".join([*scope.columns, column])
        hint = f"write `by {by}`, or an aggregate such as `min({column})`"
        if isinstance(node, Field):
            hint = f"write an aggregate such as `max({node})`, or `{node} as {node.key}` and `by {node.key}`"
        return self.wrong("not-grouped", f"`{node}` has many values here, and one is needed", node, hint)

    def _field(self, node: Field, scope: Scope) -> Piece:
        column = self.relation.find(node.column)
        if column is None:
            raise self.unknown(Name(node.column, at=(node.at[0], node.at[0] + len(node.column))))
        if scope.groups is not None:
            raise self._not_grouped(node, column, scope)
        sql_type = self.relation.types[column]
        if column == "settings" and sql_type == "JSON":
            return self._setting(node)
        if not sql_type.startswith("MAP(VARCHAR, "):
            raise self.wrong(
                "unknown-column",
                f"`{column}` is {self.relation.kinds[column]} and has no parts",
                node,
                f"write `{column}` alone",
            )
        if column == "metrics" and self.known.metrics and node.key not in self.known.metrics:
            hint = (
                did_you_mean(node.key, self.known.metrics) or f"there are {listed(sorted(self.known.metrics), 'and')}"
            )
            raise self.wrong("unknown-metric", f"no trial here has a metric called `{node.key}`", node, hint)
        value = sql_type.removeprefix("MAP(VARCHAR, ").removesuffix(")")
        return Piece(f"{self.column(column)}[{self.parameter(node.key)}]", kind_of(value))

    def _setting(self, node: Field) -> Piece:
        from bitspec.ir.settings import SETTINGS  # only where one is asked for

        row = SETTINGS.get(node.key)
        if row is None:
            hint = did_you_mean(node.key, SETTINGS) or f"the settings are {listed(SETTINGS, 'and')}"
            raise self.wrong("unknown-setting", f"there is no setting called `{node.key}`", node, hint)
        text = f"json_extract_string({self.column('settings')}, {self.parameter(node.key)})"
        return Piece(f"TRY_CAST({text} AS DOUBLE)", Kind.NUMBER) if row.numbers else Piece(text, Kind.TEXT)

    def _call(self, node: Call, scope: Scope) -> Piece:
        function = AGGREGATES.get(node.function) or SCALARS.get(node.function)
        if function is None:
            names = {**AGGREGATES, **SCALARS}
            hint = did_you_mean(node.function, names) or f"the functions are {listed(names, 'and')}"
            raise self.wrong("unknown-function", f"there is no function called `{node.function}`", node, hint)
        inner = scope
        if node.function in AGGREGATES:
            if scope.no_aggregates is not None:
                why, what = scope.no_aggregates
                raise self.wrong("misplaced-aggregate", f"`{node.function}` {why}", node, what)
            inner = Scope(None, {}, ("cannot stand inside another aggregate", "take one of the two"))
        counts = node.function in {"n", "count"}
        if (node.of_all or node.distinct) and not counts:
            what = "count(*)" if node.of_all else "count(distinct …)"
            message = f"`{node.function}` takes no `{'*' if node.of_all else 'distinct'}`"
            raise self.wrong("bad-argument", message, node, f"only `{what}` does")
        if counts and (node.of_all or (not node.arguments and not node.distinct)):
            return Piece("count(*)", Kind.NUMBER)
        self._check_arguments(node, function)
        pieces = [self._argument(argument, node, function, inner) for argument in node.arguments]
        first = pieces[0]
        in_points = function.in_points and first.in_points
        if node.function == "ci95":
            return Piece(self._ci95(first.sql), Kind.NUMBER, in_points)
        if counts:
            return Piece(f"count({'DISTINCT ' if node.distinct else ''}{first.sql})", Kind.NUMBER)
        if node.function == "coalesce" and any(piece.kind is not first.kind for piece in pieces):
            raise self.wrong(
                "bad-argument",
                "what `coalesce` chooses from is of different kinds",
                node,
                "give it numbers only, or texts only",
            )
        sqls = [piece.sql for piece in pieces]
        sql = function.sql.format(*sqls, all=", ".join(sqls))
        return Piece(f"({sql})" if " " in function.sql else sql, function.gives or first.kind, in_points)

    def _check_arguments(self, node: Call, function: Function) -> None:
        count, name = len(node.arguments), node.function
        example = "quantile(score, 0.9)" if name == "quantile" else f"{name}(score)"
        if count < max(function.least, 1):
            needs = "two arguments" if function.least > 1 else "a column"
            raise self.wrong("missing-argument", f"`{name}` needs {needs}", node, f"write for example `{example}`")
        if count > function.most:
            takes = "one argument" if function.most == 1 else "fewer arguments"
            extra = node.arguments[function.most]
            raise self.wrong("extra-argument", f"`{name}` takes {takes}", extra, "take it away")
        if name not in {"quantile", "round"} or count < 2:
            return
        second = node.arguments[1]
        number = second.of if isinstance(second, Negative) else second
        value = float(str(second)) if isinstance(number, Number) else None
        if name == "quantile" and (value is None or not 0 <= value <= 1):
            raise self.wrong("bad-argument", "a quantile lies between 0 and 1", second, f"write `{example}`")
        if name == "round" and (value is None or not value.is_integer() or abs(value) > 20):
            hint = "write `round(score, 1)`"
            raise self.wrong("bad-argument", "a number of digits is a whole number", second, hint)

    def _argument(self, argument: Expression, node: Call, function: Function, scope: Scope) -> Piece:
        piece = self.piece(argument, scope)
        if function.takes is None or piece.kind is function.takes:
            return piece
        if function.takes is Kind.NUMBER and piece.kind is Kind.TRUTH:  # the mean of a condition is a share
            return Piece(f"CAST({piece.sql} AS INTEGER)", Kind.NUMBER)
        wanted = "numbers" if function.takes is Kind.NUMBER else "texts"
        raise self.wrong(
            "bad-argument",
            f"`{node.function}` takes {wanted}, and `{argument}` is {piece.kind}",
            argument,
            "`bitspec query --schema` lists the columns",
        )

    def _ci95(self, of: str) -> str:
        exact = self.parameter(list(student.quantiles(0.975)))
        freedom = f"(count({of}) - 1)"
        first, *rest = (repr(coefficient) for coefficient in student.expansion(0.975))
        series = rest[-1]
        for coefficient in reversed(rest[:-1]):
            series = f"({coefficient} + {series} / {freedom})"
        quantile = (
            f"CASE WHEN {freedom} <= {student.EXACT} THEN list_extract({exact}, {freedom}) "
            f"ELSE {first} + {series} / {freedom} END"
        )
        return f"CASE WHEN {freedom} > 0 THEN stddev_samp({of}) / sqrt(count({of})) * {quantile} END"

    # Operators --------------------------------------------------------------------------------------------

    def _number(self, node: Expression, scope: Scope, operator: str) -> Piece:
        piece = self.piece(node, scope)
        if piece.kind is not Kind.NUMBER:
            raise self.wrong(
                "wrong-operator",
                f"`{operator}` is for numbers, and `{node}` is {piece.kind}",
                node,
                "a text of this name stands in quotes",
            )
        return piece

    def _arithmetic(self, node: Arithmetic, scope: Scope) -> Piece:
        left = self._number(node.left, scope, node.operator)
        right = self._number(node.right, scope, node.operator)
        sql = f"({left.sql} {node.operator} {f'nullif({right.sql}, 0)' if node.operator == '/' else right.sql})"
        return Piece(sql, Kind.NUMBER, node.operator in "+-" and (left.in_points or right.in_points))

    def word(self, node: Expression, scope: Scope) -> str | None:
        """The text that a node may stand for where a text is needed: a bare word that is neither column nor alias."""
        leftmost: Expression = node
        while isinstance(leftmost, Arithmetic):
            if not leftmost.tight or leftmost.operator not in "/-" or not isinstance(leftmost.right, Name | Number):
                return None
            leftmost = leftmost.left
        if not isinstance(leftmost, Name) or leftmost.name in scope.aliases or self.relation.find(leftmost.name):
            return None
        return str(node)
