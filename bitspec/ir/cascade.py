"""Which settings a trial has: blocks cascade by how narrow they are, never by their order.

`train` < `train for TASK` < `train for STRATEGY` < `train for STRATEGY on TASK`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bitspec.diagnostics import Diagnostic, Note, did_you_mean, error, listed
from bitspec.ir.settings import Settings, check_setting, setting_value
from bitspec.ir.study import Name, Setting, Study, Train

#: What a block holds for: a strategy or any, a task or any.
Scope = tuple[str | None, str | None]


#: The values that the blocks of a study give, by what they hold for.
Given = dict[Scope, dict[str, int | float | str]]


def given(study: Study) -> Given:
    """What the blocks of a study say, once for all of its trials. It must have passed its check."""
    found: Given = {}
    for block in study.train:
        values = {setting.name: setting_value(setting) for setting in block.settings}
        if values:
            for scope in scopes(block, study):
                found.setdefault(scope, {}).update(values)
    return found


def resolve(study: Study, strategy: str, task: str, blocks: Given | None = None) -> Settings:
    """The settings of a strategy on a task, defaults filled in; `blocks` are `given(study)`, where that is at hand.

    The study must have passed its check.
    """
    return Settings.model_validate(merged(strategy, task, given(study) if blocks is None else blocks))


def merged(strategy: str, task: str, blocks: Given) -> dict[str, int | float | str]:
    """What the blocks of a study say of a strategy on a task, the narrower over the wider."""
    values: dict[str, int | float | str] = {}
    for scope in ((None, None), (None, task), (strategy, None), (strategy, task)):
        values |= blocks.get(scope, {})
    return values


def scopes(block: Train, study: Study) -> Iterator[Scope]:
    """All that a block holds for."""
    tasks = [found for name in block.tasks if (found := study.task_called(name.name))]
    if not block.targets:
        yield from ((None, task) for task in tasks)
        if not block.tasks:
            yield None, None
    for target in block.targets:
        if target.name in study.strategy_names:
            yield from ((target.name, task) for task in tasks)
            if not block.tasks:
                yield target.name, None
        elif (task := study.task_called(target.name)) is not None:
            yield None, task


def check_train(study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    """What is wrong with the settings: their names and values, what they are for, and ties."""
    first: dict[tuple[Scope, str], Setting] = {}
    for block in study.train:
        yield from _check_targets(block, study, broken)
        for setting in block.settings:
            complaint = check_setting(setting)
            if complaint is not None:
                yield complaint
        for scope in scopes(block, study) if block.settings else ():
            for setting in block.settings:
                other = first.setdefault((scope, setting.name), setting)
                if other is not setting:
                    yield error(
                        "tied-settings",
                        f"`{setting.name}` is set twice {_phrase(scope)}, and neither is narrower",
                        setting.span,
                        help="keep one of them, or make one narrower: `train for STRATEGY on TASK { … }`",
                        notes=[Note("the first is here", other.span)],
                    )


def _check_targets(block: Train, study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    for target in block.targets:
        is_strategy = target.name in study.strategy_names
        task = study.task_called(target.name)
        if is_strategy and task is not None:
            yield error(
                "ambiguous-name",
                f"`{target.name}` is both a strategy and a task",
                target.span,
                help="give the strategy another name",
            )
        elif task is not None and block.tasks:
            yield error(
                "not-a-strategy",
                f"`{target.name}` is a task, and what stands before `on` is a strategy",
                target.span,
                help=f"write `train for {target.name} {{ … }}`, or `train for STRATEGY on {target.name} {{ … }}`",
            )
        elif not is_strategy and task is None and not broken & {target.name, "$"}:
            yield _unknown_target(target, study)
    for name in block.tasks:
        yield from check_task_name(name, study, broken)


def _unknown_target(target: Name, study: Study) -> Diagnostic:
    if any(group.name == target.name for group in study.groups):
        hint = f"only strategies are trained: write `strategy {target.name} = …`, or name one that uses it"
        return error("not-a-strategy", f"`{target.name}` is a group, not a strategy or a task", target.span, help=hint)
    names = [*(strategy.name for strategy in study.strategies), *(task.name for task in study.tasks)]
    near = did_you_mean(target.name, names) or (f"there are {listed(names, 'and')}" if 0 < len(names) <= 8 else None)
    return error("unknown-name", f"there is no strategy or task called `{target.name}`", target.span, help=near)


def check_task_name(name: Name, study: Study, broken: frozenset[str]) -> Iterator[Diagnostic]:
    """What is wrong with the use of a task's name."""
    if study.task_called(name.name) is None and not broken & {name.name, "$"}:
        tasks = [task.name for task in study.tasks]
        hint = did_you_mean(name.name, tasks) or (f"it has {listed(tasks, 'and')}" if 0 < len(tasks) <= 9 else None)
        yield error("unknown-name", f"this study has no task called `{name.name}`", name.span, help=hint)


def _phrase(scope: Scope) -> str:
    strategy, task = scope
    if strategy is None:
        return "for everything" if task is None else f"for the task `{task}`"
    return f"for `{strategy}`" if task is None else f"for `{strategy}` on `{task}`"
