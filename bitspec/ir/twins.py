"""Strategies that are one strategy with two names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator

from bitspec.diagnostics import Diagnostic, Note, warning
from bitspec.ir.canonical import Canonical
from bitspec.ir.cascade import given, merged
from bitspec.ir.settings import SETTINGS
from bitspec.ir.study import Strategy, Study, followed
from bitspec.ir.trials import canonical_for


def same_selection(
    strategies: Iterable[Strategy],
    identity: Callable[[Strategy], Hashable],
    how: str = "select the same by definition",
    hint: str = "their trials are trained once and shown under both names; if that is not meant, change one",
) -> Iterator[Diagnostic]:
    """A warning for each strategy that has the identity of one before it."""
    first: dict[Hashable, Strategy] = {}
    for strategy in strategies:
        other = first.setdefault(identity(strategy), strategy)
        if other is not strategy:
            message = f"`{strategy.name}` and `{other.name}` {how}: they are one strategy with two names"
            notes = [Note(f"`{other.name}` is here", other.span)]
            yield warning("same-selection", message, strategy.span, help=hint, notes=notes)


def same_by_definition(study: Study) -> Iterator[Diagnostic]:
    """A warning for each strategy whose trials are those of one before it: the same selection, trained alike.

    A selection that ranks by the changes of another strategy has the training of that one in it. The study must have
    passed the rest of its check.
    """
    canonical = Canonical(study.selections)
    texts = {strategy.name: canonical.text(strategy.selection) for strategy in study.strategies}
    counts = Counter(texts.values())
    alike = [strategy for strategy in study.strategies if counts[texts[strategy.name]] > 1]
    if not alike:  # what they are trained with is of no account
        return
    blocks, defaults = given(study), {row.name: row.default for row in SETTINGS.values()}
    on_tasks = [canonical_for(study, task) for task in study.tasks] if any(followed(study).values()) else []

    def identity(strategy: Strategy) -> Hashable:
        training = [tuple((defaults | merged(strategy.name, task.name, blocks)).items()) for task in study.tasks]
        return texts[strategy.name], *(own.text(strategy.selection) for own in on_tasks), *training

    yield from same_selection(alike, identity)
