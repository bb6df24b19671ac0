"""What is wrong with a study that can be told without a model: names, circles, settings, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from graphlib import TopologicalSorter
from itertools import islice
from math import prod
from typing import TypeVar

from bitspec import plugins, registry
from bitspec.diagnostics import (
    MAX_DIAGNOSTICS,
    BitspecError,
    Diagnostic,
    Note,
    Span,
    counted,
    did_you_mean,
    error,
    listed,
    warning,
)
from bitspec.ir.cascade import check_task_name, check_train
from bitspec.ir.selection import MAX_DEPTH, Ref, Selection, Top, children, walk
from bitspec.ir.study import Comparison, Expectation, Model, Name, NamedSelection, Study, Task, followed
from bitspec.ir.twins import same_by_definition
from bitspec.vocabulary import BUILTIN_TASKS, FUNCTIONS, GLUE, METRICS, SELECTIONS

#: Strategies that select by each other's changes, one after the other.
MAX_STAGES = 8

#: Trials of the largest study; to plan as many takes a minute.
MAX_TRIALS = 100_000

Declared = TypeVar("Declared", Model, Task, NamedSelection)


def check(
    study: Study,
    *,
    broken: Collection[str] = (),
    own_groups: Collection[str] | None = None,
    clean: bool = True,
) -> list[Diagnostic]:
    """Errors and warnings of a study.

    `broken`: names that unreadable statements may have declared (`$`: any name), so their uses are not reported.
    `own_groups`: the groups to warn of when nothing uses them (all by default). `clean`: the text was read without an
    error; where it was not, what seems missing may only be unreadable.
    """
    unknowable = frozenset(broken)
    too_large = excess(study)
    if too_large is not None:
        return [too_large]
    found: list[Diagnostic] = []
    passes: tuple[Iterator[Diagnostic], ...] = (
        _check_declarations(study),
        _check_references(study, unknowable),
        _check_tasks(study),
        check_train(study, unknowable),
        _check_questions(study, unknowable),
        _check_reported(study, unknowable),
    )
    for check_pass in passes:
        for diagnostic in check_pass:
            found.append(diagnostic)
            if len(found) >= MAX_DIAGNOSTICS:
                return found
    if clean and not found:
        found += _check_completeness(study)
    if clean and not found:
        own = frozenset(own_groups) if own_groups is not None else None
        found += islice(_warn(study, own), MAX_DIAGNOSTICS)
    return found[:MAX_DIAGNOSTICS]


def excess(study: Study) -> Diagnostic | None:
    """That a study has more trials than can be kept in order, or would have with a model, a task and a seed."""
    counts = {
        "model": len(study.models),
        "task": len(study.tasks),
        "strategy": len(study.strategies),
        "seed": len(study.seeds),
    }
    trials = prod(max(1, count) for count in counts.values())
    if trials <= MAX_TRIALS:
        return None
    product = " × ".join(counted(count, noun) for noun, count in counts.items() if count)
    message = f"this study has {product} = {trials:,} trials, and none may have more than {MAX_TRIALS:,}"
    return error("too-many", message, study.span, help="make several studies of it, or take fewer seeds")


def _check_declarations(study: Study) -> Iterator[Diagnostic]:
    yield from _repeated("model", study.models)
    yield from _repeated("task", study.tasks)
    selections = sorted(study.named, key=lambda named: (named.span.source.name, named.span.start))
    yield from _repeated("group or strategy", selections)
    for named in selections:
        meaning = SELECTIONS.get(named.name) or FUNCTIONS.get(named.name)
        if meaning is not None:
            hint = f"choose another name, such as `my_{named.name}`"
            message = f"`{named.name}` already means {meaning}"
            yield error("reserved-name", message, named.span, help=hint)
        elif "/" in named.name:
            yield error(
                "bad-name",
                f"`{named.name}` has a `/`, which only the names of tasks have",
                named.span,
                help="write `_` instead",
            )


def _repeated(what: str, declared: Iterable[Declared]) -> Iterator[Diagnostic]:
    first: dict[str, Declared] = {}
    for noun in declared:
        other = first.setdefault(noun.name, noun)
        if other is not noun:
            notes = [Note("the first is here", other.span)]
            hint = "give one of them another name" if what != "task" else "take one of them away"
            if (other.span.source, other.span.start) == (noun.span.source, noun.span.start):
                hint = "every round of the loop declares it again: put the loop's `$name` into it"
            yield error(
                "repeated",
                f"there is already a {what} called `{noun.name}`",
                noun.span,
                help=hint,
                notes=notes,
            )


def _check_references(study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    uses: dict[str, list[Ref]] = {}
    is_known = True
    for named in study.named:
        refs, trained = _refs(named.selection), _trained(named.selection)
        uses.setdefault(named.name, refs + trained)
        for ref in trained:
            is_known &= ref.name in study.strategy_names
            yield from _check_strategy_name(ref, study, broken)
        for ref in refs:
            is_known &= ref.name in study.selections
            if ref.name not in study.selections and not broken & {ref.name, "$"}:
                yield _unknown_selection(ref, study)
    circles = list(_circles(uses))
    yield from circles or _too_deep(study, uses)
    # Of a name that is declared twice, one may use the other: that is no circle, and has no order either.
    if is_known and not circles and len(uses) == len(study.named):
        yield from _too_long(study)


def _refs(selection: Selection) -> list[Ref]:
    return [node for node in walk(selection) if isinstance(node, Ref)]


def _trained(selection: Selection) -> list[Ref]:
    """The strategies whose changes a selection ranks by, as if they were used where the ranking stands."""
    rankings = [node.by for node in walk(selection) if isinstance(node, Top)]
    return [Ref.model_construct(name=by.strategy, span=by.span) for by in rankings if by.strategy is not None]


def _unknown_selection(ref: Ref, study: Study) -> Diagnostic:
    # Close names among ten thousand take a second each: names of another length are not close.
    names = [name for name in study.selections if abs(len(name) - len(ref.name)) <= 3]
    hint = did_you_mean(ref.name, [*names, *SELECTIONS])
    if ref.name in registry.names("rule"):
        hint = f"`{ref.name}` is a rule: it has arguments in parentheses"
    if hint is None:
        hint = f"declare it with `group {ref.name} = …`, or take one of {listed(SELECTIONS, 'and')}"
    return error("unknown-name", f"there is no group or strategy called `{ref.name}`", ref.span, help=hint)


def _circles(uses: dict[str, list[Ref]]) -> Iterator[Diagnostic]:
    """Names that are defined by themselves. Depth first, without recursion: a chain may be ten thousand long."""
    done: set[str] = set()
    for start in uses:
        path: dict[str, None] = {}  # in the order of use; a dict, as long chains are looked up often
        stack: list[tuple[str, Ref | None, bool]] = [(start, None, False)]
        while stack:
            name, ref, leaving = stack.pop()
            if leaving:
                del path[name]
                done.add(name)
            elif name in path:
                assert ref is not None
                names = list(path)
                way = " -> ".join([*names[names.index(name) :], name])
                message = f"`{name}` is defined by itself: {way}"
                yield error("circular-name", message, ref.span, help="break the circle at one of these")
                done.update(path)
            elif name not in done and name in uses:
                path[name] = None
                stack.append((name, ref, True))
                stack += [(used.name, used, False) for used in reversed(uses[name])]


def _too_deep(study: Study, uses: dict[str, list[Ref]]) -> Iterator[Diagnostic]:
    """Names that stand for selections nested too deep through the names that they use; there are no circles."""
    depths: dict[str, int] = {}
    waiting = [named.name for named in reversed(study.named)]
    while waiting:
        name = waiting[-1]
        unknown = [ref.name for ref in uses[name] if ref.name in uses and ref.name not in depths]
        if unknown and name not in depths:
            waiting += unknown
            continue
        waiting.pop()
        if name not in depths:
            depths[name] = _depth(study.selections[name], depths)
            if depths[name] > MAX_DEPTH:
                depths[name] = 0  # what uses it is not at fault
                span = next(named.span for named in study.named if named.name == name)
                message = f"`{name}` is more than {MAX_DEPTH} selections deep, with all the names that it uses"
                yield error("too-deep", message, span, help="take what is common to many steps into one group")


def _depth(selection: Selection, depths: dict[str, int]) -> int:
    if isinstance(selection, Ref):
        return depths.get(selection.name, 0)
    trained = selection.by.strategy if isinstance(selection, Top) else None
    return 1 + max([depths.get(trained or "", 0), *(_depth(child, depths) for child in children(selection))])


def _too_long(study: Study) -> Iterator[Diagnostic]:
    """Strategies that are trained after too many others, one after the other."""
    names = study.strategy_names
    before = {name: [other for other in others if other in names] for name, others in followed(study).items()}
    stages: dict[str, int] = {}
    for name in TopologicalSorter(before).static_order():
        stages[name] = 1 + max((stages[other] for other in before[name]), default=-1)
    for strategy in study.strategies:
        if stages[strategy.name] > MAX_STAGES:
            message = f"`{strategy.name}` is trained after more than {MAX_STAGES} others, one after the other"
            yield error("too-deep", message, strategy.span, help="rank by the changes of an earlier one")
            return


def _check_tasks(study: Study) -> Iterator[Diagnostic]:
    for task in study.tasks:
        is_own = task.data is not None or task.name in GLUE or task.name in BUILTIN_TASKS
        if not is_own and task.name in registry.names("task"):
            yield from _check_plugin(plugins.Task, task.name, task.span)
        elif not is_own:
            hint = did_you_mean(task.name, [*GLUE, *BUILTIN_TASKS, *registry.names("task")])
            if hint is None:
                hint = f"GLUE has {listed(GLUE, 'and')}; a task of your own has a block: `task {task.name} {{ … }}`"
            yield error("unknown-task", f"there is no task called `{task.name}`", task.span, help=hint)
        if task.data is not None and task.data.metric and task.data.metric not in METRICS:
            metric = task.data.metric
            if metric in registry.names("metric"):
                yield from _check_plugin(plugins.Metric, metric, task.data.span)
                continue
            known = [*METRICS, *registry.names("metric")]
            hint = did_you_mean(metric, known) or f"the metrics are {listed(known, 'and')}"
            yield error("unknown-metric", f"there is no metric called `{metric}`", task.data.span, help=hint)


def _check_plugin(kind: type[plugins.Plugin], name: str, span: Span) -> Iterator[Diagnostic]:
    try:
        registry.find(kind, name, span)
    except BitspecError as problem:
        yield from problem.diagnostics


def _check_questions(study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    for question in study.questions:
        for expectation in question.expectations:
            yield from _check_expectation(expectation, study, broken)


def _check_expectation(expectation: Expectation, study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    for task in expectation.tasks:
        yield from check_task_name(task, study, broken)
    if not isinstance(expectation, Comparison):
        return
    yield from _check_strategy_name(expectation.left, study, broken)
    yield from _check_strategy_name(expectation.right, study, broken)
    if expectation.left == expectation.right:
        hint = "compare it with another strategy"
        yield error(
            "bad-expectation",
            f"`{expectation.left.name}` is compared with itself",
            expectation.span,
            help=hint,
        )


def _check_strategy_name(name: Name | Ref, study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    if name.name in study.strategy_names or broken & {name.name, "$"}:
        return
    if name.name in study.selections:
        hint = f"only strategies are trained and scored: write `strategy {name.name} = …`"
        yield error("not-a-strategy", f"`{name.name}` is a group, not a strategy", name.span, help=hint)
        return
    if name.name in SELECTIONS:
        hint = f"write `strategy my_{name.name} = {name.name}`, and use that name"
        yield error("not-a-strategy", f"`{name.name}` is a selection, not a strategy", name.span, help=hint)
        return
    names = [strategy.name for strategy in study.strategies]
    hint_line = did_you_mean(name.name, names) or (
        f"there {'is' if len(names) == 1 else 'are'} {listed(names, 'and')}" if 0 < len(names) <= 9 else None
    )
    yield error("unknown-name", f"there is no strategy called `{name.name}`", name.span, help=hint_line)


def _check_reported(study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    for reported in study.reported:
        first: dict[tuple[str, str], Name] = {}
        checked: set[int] = set()
        for score in reported.scores:
            if id(score.strategy) not in checked:  # a row names its strategy once
                checked.add(id(score.strategy))
                yield from _check_strategy_name(score.strategy, study, broken)
            yield from check_task_name(score.task, study, broken)
            other = first.setdefault((score.strategy.name, score.task.name), score.task)
            if other is not score.task:
                message = f"`{score.strategy.name}` has two scores on `{score.task.name}` from this source"
                notes = [Note("the first is here", other.span)]
                yield error("repeated", message, score.task.span, help="keep one of them", notes=notes)


def _check_completeness(study: Study) -> Iterator[Diagnostic]:
    if study.name is not None:
        wanted: tuple[tuple[str, Sequence[object], str], ...] = (
            ("model", study.models, 'write `model "bert-base-cased"`'),
            ("task", study.tasks, "write `task rte`"),
            ("strategy", study.strategies, "write `strategy bitfit = bias`"),
        )
        for what, found, hint in wanted:
            if not found:
                yield error("incomplete", f"this study has no {what}", study.span, help=hint)
        return
    for noun in (
        *study.models[:1],
        *study.tasks[:1],
        *study.train[:1],
        *study.questions[:1],
        *study.reported[:1],
    ):
        hint = 'start the file with `study name "What it is about"`'
        yield error("incomplete", "this belongs to a study, and the file has no `study`", noun.span, help=hint)
        return
    if not study.groups and not study.strategies:
        yield error(
            "incomplete",
            "there is nothing in this file",
            study.span,
            help="`bitspec new` writes a first spec",
        )


def _warn(study: Study, own_groups: frozenset[str] | None) -> Iterator[Diagnostic]:
    used = {ref.name for named in study.named for ref in _refs(named.selection)}
    if study.name is not None:
        for group in study.groups:
            if group.name not in used and (own_groups is None or group.name in own_groups):
                hint = "take it away, or use it in a strategy"
                yield warning("unused-group", f"no strategy uses the group `{group.name}`", group.span, help=hint)
    yield from same_by_definition(study)
