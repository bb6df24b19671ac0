"""Parse trees of questions and reported scores to their nouns."""

from __future__ import annotations

from typing import Literal, cast

from lark import Token, Tree

from bitspec.ir.study import Comparison, Correlation, Expectation, Name, Question, Reported, ReportedScore
from bitspec.language.values import Scope, name_of, names_of, text_of, token_of, value_of, written


def question_of(tree: Tree[Token], scope: Scope) -> Question:
    """A question and what it expects."""
    text = token_of(tree.children[1])
    expectations = [_expectation(child, scope) for child in tree.children[2:] if isinstance(child, Tree)]
    if not expectations:
        scope.wrong("empty-question", "this question expects nothing", text, "add for example `expect a > b`")
    return Question.model_construct(
        text=text_of(text, scope),
        expectations=tuple(part for part in expectations if part is not None),
        span=scope.span(text),
    )


def _expectation(tree: Tree[Token], scope: Scope) -> Expectation | None:
    if tree.data == "correlate":
        return _correlation(tree, scope)
    _, left, operator, right, sign, margin, _, tasks = tree.children
    comparison = token_of(operator)
    if comparison not in {">", ">=", "<", "<="}:
        hint = "write `expect a > b`, or `expect a >= b - 1.0` for at most one point worse"
        scope.wrong(
            "bad-expectation",
            f"scores are not compared with `{comparison}`: noise alone makes them differ",
            comparison,
            hint,
        )
        return None
    value = 0 if margin is None else value_of(margin, scope)
    if not isinstance(value, int | float):
        if value is not None and margin is not None:
            scope.wrong(
                "bad-expectation",
                f"the margin must be a number of points, not {written(value)}",
                margin,
                "write `expect a >= b - 1.0`",
            )
        return None
    return Comparison.model_construct(
        left=Name.model_construct(name=name_of(token_of(left), scope), span=scope.span(left)),
        operator=cast("Literal['>', '>=', '<', '<=']", str(comparison)),
        right=Name.model_construct(name=name_of(token_of(right), scope), span=scope.span(right)),
        margin=float(-value if sign == "-" else value),
        tasks=names_of(tasks, scope),
        span=scope.span(tree),
    )


def _correlation(tree: Tree[Token], scope: Scope) -> Expectation | None:
    words = tree.children[1:5]
    for word, right in zip(words, ("change", "correlates", "with", "score"), strict=True):
        if str(word) != right:
            hint = "write `expect change correlates with score`, or `expect a > b`"
            scope.wrong("bad-expectation", f"`{word}` is not understood in this expectation", token_of(word), hint)
            return None
    return Correlation.model_construct(tasks=names_of(tree.children[6], scope), span=scope.span(tree))


def reported_of(tree: Tree[Token], scope: Scope) -> Reported:
    """Scores from elsewhere."""
    source = token_of(tree.children[1])
    scores: list[ReportedScore] = []
    for row in tree.children[2:]:
        assert isinstance(row, Tree)
        strategy = Name.model_construct(
            name=name_of(token_of(row.children[0]), scope), span=scope.span(row.children[0])
        )
        for cell in row.children[1:]:
            assert isinstance(cell, Tree)
            task = Name.model_construct(
                name=name_of(token_of(cell.children[0]), scope), span=scope.span(cell.children[0])
            )
            score = value_of(cell.children[1], scope)
            if not isinstance(score, int | float):
                continue
            if abs(score) > 100:
                scope.wrong(
                    "bad-report",
                    f"a score × 100 lies between -100 and 100, not at {score:g}",
                    cell,
                    "write for example `rte 70.5`",
                )
            scores.append(
                ReportedScore.model_construct(strategy=strategy, task=task, score=float(score), span=scope.span(cell))
            )
    if not scores:
        scope.wrong("bad-report", "no scores are reported here", source, "write `bitfit: cola 58.8, rte 72.3`")
    return Reported.model_construct(source=text_of(source, scope), scores=tuple(scores), span=scope.span(source))
