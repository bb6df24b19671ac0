"""The surface for plugins: what a package registers so that bitspec has one more of something.

A package names an object of one of the classes below as an entry point of the group that GROUPS gives; the entry
point's name is the word that specs and commands use for it. bitspec's own rules and runner are registered in the same
way. Nothing else of a package is looked at, and nothing is ever imported from the folder of a spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bitspec.ir.masks import Selected
    from bitspec.parameters.catalogue import Catalogue, Parameter
    from bitspec.parameters.draws import Randomness
    from bitspec.runners.protocol import Runner as TrainsPacks

#: The version of this surface. A plugin says which it was written for; another one than this is not used.
SURFACE: Final = 1

#: What can be registered, and the group of entry points for each.
Kind: TypeAlias = Literal["rule", "ranking", "task", "metric", "chart", "runner"]
GROUPS: Final[Mapping[Kind, str]] = {
    "rule": "bitspec.rules",
    "ranking": "bitspec.rankings",
    "task": "bitspec.tasks",
    "metric": "bitspec.metrics",
    "chart": "bitspec.charts",
    "runner": "bitspec.runners",
}

#: What an argument can be. A `strategy` is one of the same study, by its name.
Takes: TypeAlias = Literal["whole", "number", "percent", "word", "text", "flag", "strategy"]

#: What a ranking can ask to be told of a tensor; see Evidence.
Need: TypeAlias = Literal["weights", "gradient", "fisher", "change"]


class Refusal(ValueError):  # noqa: N818 - no mistake, but an answer
    """What a plugin raises when its user asked for something that cannot be done; `help` says what to do instead.

    It becomes a message at the place in the spec where the plugin is used. Any other exception is taken for a mistake
    of the plugin's, and reported as one.
    """

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002 - as in a Diagnostic
        super().__init__(message)
        self.help = help


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A named argument of a rule or a ranking, `name = value` in a spec; or an option of a runner, `--name value`.

    One that `is_needed` must be given, any other has its `default` else. Numbers lie between `least` and `most`, both
    included; a `percent` is written with its sign. A `word` is one of `words`. `flag` and `text` are for runners only,
    `strategy` for rankings only: the first one of a ranking may be given without its name, as in `change(bitfit)`.
    """

    name: str
    takes: Takes
    meaning: str
    default: int | float | str | bool | None = None
    is_needed: bool = False
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What all plugins have: the `surface` that they were written for, a line on what they are, and a version.

    The `version` of a rule, a ranking, a task or a metric is part of the keys of the trials that it influences, so give
    it a new one whenever the same call would come out otherwise, and only then. That of a package is another matter.
    """

    kind: ClassVar[Kind]

    surface: int
    summary: str
    version: str


@dataclass(frozen=True)
class Drawing:
    """What a rule is asked for: `amount` entries of a pool, at least 1 and at most as many as the pool has.

    `per` is `tensor` where each tensor is to have its share. `arguments` are complete: those that were not given have
    their defaults. `randomness` depends on the call as it stands in the spec and on the seed, and on nothing else.
    """

    pool: Selected
    amount: int
    per: Literal["pool", "tensor"]
    arguments: Mapping[str, Any]
    randomness: Randomness
    catalogue: Catalogue

    def pick(self, positions: npt.NDArray[np.int64]) -> Selected:
        """The entries of the pool at sorted, distinct positions.

        A pool's entries are numbered from 0 through its tensors in order of name, and through each in row-major order.
        """
        from bitspec.parameters.sampling import pick

        return pick(self.pool, positions)


@dataclass(frozen=True, kw_only=True)
class Rule(Plugin):
    """A rule that picks some entries of a selection: `NAME(SELECTION, AMOUNT, …)` in a spec.

    `take` returns entries of the pool: exactly the amount, or not above it if `is_exact` is false. `example` is a call
    that messages and the documentation show. A rule that `is_random` takes `seed`; one that `has_shares` takes `per`.
    With `takes_lines`, the pool has nothing but whole matrices.
    """

    kind = "rule"

    take: Callable[[Drawing], Selected]
    example: str
    arguments: tuple[Argument, ...] = ()
    is_random: bool = True
    has_shares: bool = False
    takes_lines: bool = False
    is_exact: bool = True


@dataclass(frozen=True)
class Evidence:
    """What a ranking is told of one tensor, as arrays of its shape; what it does not need is None.

    `weights` are the pretrained values. `gradient` is the gradient of the mean loss over training examples, and
    `fisher` the mean of the squares of their single gradients, both before anything is trained. `change` is what the
    strategy that the ranking names changed: trained minus pretrained value, 0 where it trains nothing.
    """

    parameter: Parameter
    arguments: Mapping[str, Any]
    weights: npt.NDArray[np.floating] | None = None
    gradient: npt.NDArray[np.floating] | None = None
    fisher: npt.NDArray[np.floating] | None = None
    change: npt.NDArray[np.floating] | None = None


@dataclass(frozen=True, kw_only=True)
class Ranking(Plugin):
    """An order of entries: `topk(SELECTION, AMOUNT, by = NAME)`, or `by = NAME(…)` where it has arguments.

    `score` gives a number for each entry of a tensor, in an array of the tensor's shape; the highest rank first, and
    what is not a number last. `needs` says what it looks at. One that needs `change` has a `strategy` among its
    arguments.
    """

    kind = "ranking"

    score: Callable[[Evidence], npt.NDArray[np.floating]]
    needs: tuple[Need, ...]
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Examples of a task: of each the one or two texts, and the label: a class's number from 0, or a float."""

    texts: Sequence[tuple[str, ...]]
    labels: Sequence[int] | Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Task(Plugin):
    """A task: `task NAME` in a spec.

    `classes` are the names of its classes, in the order of their numbers; none for a regression. `metric` is the name
    of what it is scored by. `read` returns its training and its validation examples, given the folder of `--data-dir`,
    if there is one.
    """

    kind = "task"

    classes: tuple[str, ...]
    metric: str
    read: Callable[[Any], tuple[Rows, Rows]]


@dataclass(frozen=True, kw_only=True)
class Metric(Plugin):
    """What a task can be scored by: `metric = NAME` in a task of one's own, or in a task that is a plugin.

    `compute` is given the labels and the predictions of all validation examples, numbers of classes or floats of a
    regression, and returns a fraction, as accuracy is one; scores are 100 times that.
    """

    kind = "metric"

    compute: Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]
    is_regression: bool = False


@dataclass(frozen=True)
class Answer:
    """What a chart's query found. `notes` say what study it is of and how many runs are behind it: show them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chart(Plugin):
    """A chart: `bitspec plot NAME`.

    `query` asks the store, in the language of `bitspec query`. `draw` makes an Altair chart of the answer; `text` what
    a terminal shows, in no more columns than it is told, or None: then the answer is shown as a table.
    """

    kind = "chart"

    query: str
    draw: Callable[[Answer], Any]
    text: Callable[[Answer, int], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Runner(Plugin):
    """A runner: `bitspec run SPEC --runner NAME`; `options` are options of the command then.

    `make` is called with the options by their names, and returns an object as `bitspec.runners.protocol.Runner` says.
    """

    kind = "runner"

    make: Callable[..., TrainsPacks]
    options: tuple[Argument, ...] = ()
