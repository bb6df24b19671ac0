"""The study: what a spec says, once its templates are expanded and its other files are brought in."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from bitspec.ir.base import Node
from bitspec.ir.selection import PercentValue, Selection, Top, follows, walk
from bitspec.names import short


class Name(Node):
    """A name that is used: of a strategy, a task or a group."""

    name: str


class Model(Node):
    """`model small = "path" revision "…"`: a pretrained model by hub name or folder."""

    name: str
    source: str
    revision: str | None = None


class TaskData(Node):
    """Where a task's examples are: files, the columns of the text, the column of the label, the metric."""

    training: str
    validation: str
    text: tuple[str, ...]
    label: str
    metric: str


class Task(Node):
    """A task by name (GLUE or built in), or declared in place with its data."""

    name: str
    data: TaskData | None = None


class Setting(Node):
    """`learning_rate = 7e-4`, as written."""

    name: str
    value: int | float | PercentValue | str


class Train(Node):
    """`train for bitfit on rte { … }`: settings, and for what they hold.

    `targets` are strategies or tasks, `tasks` those after `on`; both empty means for all.
    """

    targets: tuple[Name, ...] = ()
    tasks: tuple[Name, ...] = ()
    settings: tuple[Setting, ...] = ()


class NamedSelection(Node):
    """A selection under a name by which others can use it."""

    name: str
    selection: Selection


class Group(NamedSelection):
    """A named selection that is only there to be used."""


class Strategy(NamedSelection):
    """A named selection that is to be trained; `label` is how reports call it."""

    label: str | None = None

    @property
    def title(self) -> str:
        """What reports call it: the label, or the name where there is none."""
        return self.label if self.label is not None else self.name


class Comparison(Node):
    """`expect a >= b - 1.0 on rte`: score of `left` against score of `right` plus `margin` (points × 100)."""

    type: Literal["comparison"] = "comparison"
    left: Name
    operator: Literal[">", ">=", "<", "<="]
    right: Name
    margin: float = 0.0
    tasks: tuple[Name, ...] = ()


class Correlation(Node):
    """`expect change correlates with score`: does a larger change go with a better score?"""

    type: Literal["correlation"] = "correlation"
    left: Literal["change"] = "change"
    right: Literal["score"] = "score"
    tasks: tuple[Name, ...] = ()


Expectation: TypeAlias = Annotated[Comparison | Correlation, Field(discriminator="type")]


class Question(Node):
    """What the study is to answer, and what would count as yes."""

    text: str
    expectations: tuple[Expectation, ...]


class ReportedScore(Node):
    """A published score of a strategy on a task, × 100."""

    strategy: Name
    task: Name
    score: float


class Reported(Node):
    """Scores from elsewhere, shown beside ours."""

    source: str
    scores: tuple[ReportedScore, ...]


class Study(Node):
    """A whole study. One without a name is a library: groups and strategies for others to use."""

    #: Of the JSON form; a new one when a field changes its meaning.
    version: Literal[1] = 1
    name: str | None = None
    title: str | None = None
    models: tuple[Model, ...] = ()
    tasks: tuple[Task, ...] = ()
    seeds: tuple[int, ...] = (0,)
    train: tuple[Train, ...] = ()
    groups: tuple[Group, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    questions: tuple[Question, ...] = ()
    reported: tuple[Reported, ...] = ()

    @cached_property
    def selections(self) -> dict[str, Selection]:
        """The selection behind every name; where a name is given twice, the first."""
        found: dict[str, Selection] = {}
        for named in self.named:
            found.setdefault(named.name, named.selection)
        return found

    @property
    def named(self) -> tuple[NamedSelection, ...]:
        """All groups and strategies."""
        return (*self.groups, *self.strategies)

    @property
    def trials(self) -> int:
        """How many trials it has: models × tasks × strategies × seeds."""
        return len(self.models) * len(self.tasks) * len(self.strategies) * len(self.seeds)

    @cached_property
    def strategy_names(self) -> frozenset[str]:
        """Names of all strategies."""
        return frozenset(strategy.name for strategy in self.strategies)

    @cached_property
    def _tasks_by_name(self) -> dict[str, str]:
        # `rte` finds `builtin/rte` too, unless both are in the study.
        shortened = {short(task.name): task.name for task in reversed(self.tasks)}
        return shortened | {task.name: task.name for task in self.tasks}

    def task_called(self, name: str) -> str | None:
        """The full name of the task that a name stands for: `rte` finds `builtin/rte` too. None if there is none."""
        return self._tasks_by_name.get(name)


def followed(study: Study) -> dict[str, tuple[str, ...]]:
    """Of every strategy, the strategies whose changes decide what it selects: they are trained before it."""
    nodes = (node for named in study.named for node in walk(named.selection))
    if not any(isinstance(node, Top) and node.by.strategy is not None for node in nodes):
        return {strategy.name: () for strategy in study.strategies}
    return {strategy.name: follows(strategy.selection, study.selections) for strategy in study.strategies}
