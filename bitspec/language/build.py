"""Parse trees of statements to the nouns of a study. Loops are run here: each round reads its body anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lark import Token, Tree

from bitspec.diagnostics import Note, Span, did_you_mean, listed
from bitspec.ir.study import (
    Group,
    Model,
    Question,
    Reported,
    Setting,
    Strategy,
    Task,
    TaskData,
    Train,
)
from bitspec.language.conditions import range_of
from bitspec.language.expressions import selection_of
from bitspec.language.limits import MAX_REPEATED, MAX_WRITTEN, words_in
from bitspec.language.questions import question_of, reported_of
from bitspec.language.values import (
    Bound,
    Node,
    Scope,
    name_of,
    names_of,
    text_of,
    token_of,
    value_of,
    whole_number,
    written,
)

#: Most seeds that a study may have.
MAX_SEEDS = 10_000


@dataclass
class Parts:
    """What the statements of one file say, in the order in which they stand.

    `uses` and `data` are the paths in it. `repeated` and `written` count the statements and words that loops make.
    """

    study: list[tuple[str, str | None, Span]] = field(default_factory=list)
    uses: list[tuple[str, Span]] = field(default_factory=list)
    data: list[tuple[str, Span]] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    seeds: list[tuple[tuple[int, ...], Span]] = field(default_factory=list)
    train: list[Train] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    strategies: list[Strategy] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    used_groups: list[Group] = field(default_factory=list)
    used_strategies: list[Strategy] = field(default_factory=list)
    repeated: int = 0
    written: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that the loops say is here, and not only a part of it."""
        return self.repeated <= MAX_REPEATED and self.written <= MAX_WRITTEN


def build(trees: list[Tree[Token]], scope: Scope) -> Parts:
    """What statements say. Errors go to the scope; a wrong statement still declares its name."""
    parts = Parts()
    for tree in trees:
        _BUILDERS[tree.data](tree, scope, parts)
    return parts


def _study(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, name, title = (*tree.children, None)[:3]
    label = text_of(title, scope) if isinstance(title, Token) else None
    parts.study.append((name_of(token_of(name), scope), label, scope.span(tree)))


def _use(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    path = token_of(tree.children[1])
    parts.uses.append((text_of(path, scope), scope.span(path)))


def _model(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, name, source, keyword, revision = tree.children
    text = text_of(token_of(source), scope)
    if keyword is not None and keyword != "revision":
        hint = did_you_mean(token_of(keyword), ["revision"]) or 'write `model "name" revision "main"`'
        scope.wrong("unknown-argument", f"a model has no `{keyword}`", token_of(keyword), hint)
    if not text.strip():
        scope.wrong("empty-text", "this model has no name", token_of(source), 'write `model "bert-base-cased"`')
    parts.models.append(
        Model.model_construct(
            name=name_of(name, scope) if isinstance(name, Token) else text,
            source=text,
            revision=text_of(revision, scope) if isinstance(revision, Token) else None,
            span=scope.span(tree),
        )
    )


def _tasks(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    for child in tree.children[1:]:
        parts.tasks.append(Task.model_construct(name=name_of(token_of(child), scope), span=scope.span(child)))


_TASK_PROPERTIES = {
    "training": 'the file of training examples, such as "train.csv"',
    "validation": 'the file of validation examples, such as "dev.csv"',
    "text": "the column of the text, or two columns for a pair",
    "label": "the column of the label",
    "metric": "the main metric, such as `accuracy`",
}


def _task(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    name = token_of(tree.children[1])
    given: dict[str, tuple[str, ...]] = {}
    for key, values in _properties(tree.children[2:], scope):
        if str(key) not in _TASK_PROPERTIES:
            hint = did_you_mean(key, _TASK_PROPERTIES) or f"a task has {listed(_TASK_PROPERTIES, 'and')}"
            scope.wrong("unknown-setting", f"a task has no `{key}`", key, hint)
            continue
        texts = []
        for value in values:
            read = value_of(value, scope)
            if isinstance(read, str):
                texts.append(read)
                if str(key) in {"training", "validation"}:
                    parts.data.append((read, scope.span(value)))
            elif read is not None:
                scope.wrong(
                    "setting-value",
                    f"`{key}` cannot be {written(read)}",
                    value,
                    f"`{key}` is {_TASK_PROPERTIES[key]}",
                )
        most = 2 if key == "text" else 1
        if len(values) > most:
            message = f"`{key}` takes {'one or two columns' if most == 2 else 'one value'}, not {len(values)}"
            scope.wrong("setting-value", message, key, f"`{key}` is {_TASK_PROPERTIES[key]}")
        given[str(key)] = tuple(texts[:most]) or ("",)
    missing = [key for key in _TASK_PROPERTIES if key not in given]
    if missing:
        hint = "\n".join(f"`{key}` is {_TASK_PROPERTIES[key]}" for key in missing)
        scope.wrong("missing-setting", f"the task `{name}` has no {listed(missing)}", name, hint)
    data = TaskData.model_construct(
        training=given.get("training", ("",))[0],
        validation=given.get("validation", ("",))[0],
        text=given.get("text", ("",)),
        label=given.get("label", ("",))[0],
        metric=given.get("metric", ("",))[0],
        span=scope.span(name),
    )
    parts.tasks.append(Task.model_construct(name=name_of(name, scope), data=data, span=scope.span(name)))


def _properties(nodes: list[Node], scope: Scope) -> Iterator[tuple[Token, list[Node]]]:
    """The settings of a block; one that is given twice is reported and given once."""
    seen: dict[str, Token] = {}
    for node in nodes:
        assert isinstance(node, Tree)
        key, *values = node.children
        key = token_of(key)
        if str(key) in seen:
            note = Note("the first is here", scope.span(seen[str(key)]))
            scope.wrong("repeated", f"`{key}` is set twice in this block", key, "take one of them away", note)
            continue
        seen[str(key)] = key
        yield key, values


def _seeds(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    items = tree.children[1:]
    if items and isinstance(items[0], Tree) and items[0].data == "set":
        items = [item for item in items[0].children if item is not None]
        if not items:
            scope.wrong("missing-seeds", "this set of seeds is empty", tree, "write `seeds 0..4`")
    seeds: dict[int, Node] = {}
    given = 0
    for item in items:
        found = _seeds_of(item, scope)
        given += len(found)
        if given > MAX_SEEDS:
            break
        for seed in found:
            if seed in seeds:
                note = Note("the first is here", scope.span(seeds[seed]))
                scope.wrong("repeated", f"the seed {seed} is given twice", item, "take one of them away", note)
            elif seed < 0:
                scope.wrong("bad-seed", f"a seed is 0 or above, not {seed}", item, "write `seeds 0..4`")
            else:
                seeds[seed] = item
    if given > MAX_SEEDS:
        message = f"these are more than {MAX_SEEDS:,} seeds, and a study has no more"
        scope.wrong("too-many", message, tree, "write `seeds 0..4`")
        seeds = {}
    parts.seeds.append((tuple(seeds), scope.span(tree)))


def _seeds_of(item: Node, scope: Scope) -> range | tuple[int, ...]:
    if isinstance(item, Tree) and item.data == "range":
        ends = range_of(item, scope)
        if ends is None:
            return ()
        if ends[0] > ends[1]:
            scope.wrong(
                "bad-range",
                f"this range runs backwards, from {ends[0]} to {ends[1]}",
                item,
                f"write `{ends[1]}..{ends[0]}`",
            )
            return ()
        if ends[1] - ends[0] >= MAX_SEEDS:
            scope.wrong(
                "too-many",
                f"these are {ends[1] - ends[0] + 1:,} seeds; a study has {MAX_SEEDS:,} at most",
                item,
                "write `seeds 0..4`",
            )
            return ()
        return range(ends[0], ends[1] + 1)
    seed = whole_number(item, scope, "a seed", "seeds 0..4")
    return () if seed is None else (seed,)


def _train(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, _, targets, _, tasks, *properties = tree.children
    settings = []
    for key, values in _properties(properties, scope):
        if len(values) > 1:
            scope.wrong(
                "setting-value",
                f"`{key}` takes one value, not {len(values)}",
                key,
                "settings are separated by white space",
            )
            continue
        value = value_of(values[0], scope)
        if value is not None:
            span = scope.span(key).to(scope.span(values[0]))
            settings.append(Setting.model_construct(name=name_of(key, scope), value=value, span=span))
    parts.train.append(
        Train.model_construct(
            targets=names_of(targets, scope),
            tasks=names_of(tasks, scope),
            settings=tuple(settings),
            span=_header(tree, scope),
        )
    )


def _header(tree: Tree[Token], scope: Scope) -> Span:
    """Where a statement with a block stands, without the block."""
    first = scope.span(token_of(tree.children[0]))
    for child in tree.children[1:]:
        if isinstance(child, Tree) and child.data not in {"names"}:
            break
        if child is not None:
            first = first.to(scope.span(child))
    return first


def _group(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, name, label, selection = tree.children
    if label is not None:
        hint = "only strategies have labels, as only they are reported: take it away"
        scope.wrong("misplaced-label", "a group has no label", token_of(label), hint)
    parts.groups.append(
        Group.model_construct(
            name=name_of(token_of(name), scope),
            selection=selection_of(selection, scope),
            span=scope.span(token_of(name)),
        )
    )


def _strategy(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, name, label, selection = tree.children
    title = text_of(token_of(label), scope) if label is not None else None
    if title is not None and not title.strip():
        scope.wrong("empty-text", "this label is empty", token_of(label), "write a label, or take the quotes away")
    parts.strategies.append(
        Strategy.model_construct(
            name=name_of(token_of(name), scope),
            label=title,
            selection=selection_of(selection, scope),
            span=scope.span(token_of(name)),
        )
    )


def _question(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    parts.questions.append(question_of(tree, scope))


def _reported(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    parts.reported.append(reported_of(tree, scope))


def _for(tree: Tree[Token], scope: Scope, parts: Parts) -> None:
    _, variable, _, values, *body = tree.children
    name = token_of(variable)
    if "$" in name:
        scope.wrong(
            "bad-loop",
            "the name in `for` has no `$`; its uses have",
            name,
            f"write `for {str(name).strip('${}')} in …`",
        )
        return
    if str(name) in scope.bindings:
        scope.wrong("bad-loop", f"a loop around this already gives `${name}` its values", name, "choose another name")
        return
    if not body:
        scope.wrong("bad-loop", "this loop repeats nothing", name, "write statements between its braces")
        return
    words = sum(words_in(_text(statement, scope)) for statement in body)
    for value in _loop_values(values, name, scope):
        was_whole = parts.is_whole
        parts.repeated += len(body)
        parts.written += words
        if not parts.is_whole:
            if was_whole:
                is_long = parts.repeated <= MAX_REPEATED
                most = f"{MAX_WRITTEN:,} words" if is_long else f"{MAX_REPEATED:,} statements"
                message = f"the loops of this file make more than {most}"
                scope.wrong("too-many", message, name, "make several specs of it")
            return
        inside = scope.inside(str(name), value)
        before = len(scope.diagnostics)
        for statement in body:
            assert isinstance(statement, Tree)
            if statement.data in {"study", "use", "seeds"}:
                keyword = token_of(statement.children[0])
                scope.wrong("bad-loop", f"`{keyword}` cannot be repeated", keyword, "move it out of the loop")
            else:
                _BUILDERS[statement.data](statement, inside, parts)
        if len(scope.diagnostics) > before:
            return  # the other rounds would say the same again


def _text(node: Node, scope: Scope) -> str:
    span = scope.span(node)
    return span.source.text[span.start : span.end]


def _loop_values(node: Node, name: Token, scope: Scope) -> Iterator[Bound]:
    assert isinstance(node, Tree)
    items = [node] if node.data == "range" else [item for item in node.children if item is not None]
    if not items:
        scope.wrong("bad-loop", "this loop runs over an empty set", name, "write for example `{q, k, v}`")
    for item in items:
        if isinstance(item, Tree) and item.data == "range":
            ends = range_of(item, scope)
            if ends is not None and ends[0] > ends[1]:
                message = f"this range runs backwards, from {ends[0]} to {ends[1]}"
                scope.wrong("bad-range", message, item, f"write `{ends[1]}..{ends[0]}`")
            if ends is not None:
                yield from range(ends[0], ends[1] + 1)
        else:
            value = value_of(item, scope)
            if value is not None:
                yield value


_BUILDERS: dict[str, Callable[[Tree[Token], Scope, Parts], None]] = {
    "study": _study,
    "use": _use,
    "model": _model,
    "tasks": _tasks,
    "task": _task,
    "seeds": _seeds,
    "train": _train,
    "group": _group,
    "strategy": _strategy,
    "question": _question,
    "reported": _reported,
    "for": _for,
}
