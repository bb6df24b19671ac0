"""The plugins that are installed: found by their entry points, and loaded and looked at when asked for.

Only what is asked for by name is ever imported. A plugin that cannot be used is reported with its package, and stops
nothing but what asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar, get_args

from bitspec import guard
from bitspec.diagnostics import BitspecError, Diagnostic, Span, error, listed
from bitspec.guard import OWN, Installed, guarded
from bitspec.plugins import (
    GROUPS,
    SURFACE,
    Argument,
    Chart,
    Kind,
    Metric,
    Need,
    Plugin,
    Ranking,
    Rule,
    Runner,
    Takes,
    Task,
)
from bitspec.vocabulary import (
    BUILTIN_TASKS,
    CHARTS,
    FUNCTIONS,
    GLUE,
    KEYWORDS,
    METRICS,
    REGRESSION,
    SELECTIONS,
    TWO_CLASSES,
)

#: Seconds that a plugin may take to be imported.
LOADING: Final = 20.0

_CLASSES: Final[Mapping[Kind, type[Plugin]]] = {
    "rule": Rule,
    "ranking": Ranking,
    "task": Task,
    "metric": Metric,
    "chart": Chart,
    "runner": Runner,
}

#: Names that mean something already.
_TAKEN: Final[Mapping[Kind, frozenset[str]]] = {
    "rule": frozenset({*SELECTIONS, *FUNCTIONS}),
    "ranking": frozenset(),
    "task": frozenset({*GLUE, *BUILTIN_TASKS}),
    "metric": frozenset(METRICS),
    "chart": frozenset(CHARTS),
    "runner": frozenset(),
}

#: Names of arguments that every rule or ranking may have from bitspec.
_COMMON: Final = frozenset({"per", "seed", "by"})

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_COMMAND_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")

_Plugin = TypeVar("_Plugin", bound=Plugin)


@cache
def installed(kind: Kind) -> Mapping[str, tuple[Installed, ...]]:
    """What is registered of a kind, by name; of a name that several packages register, bitspec's own first."""
    found: dict[str, list[Installed]] = {}
    for entry in entry_points(group=GROUPS[kind]):
        package, version = (entry.dist.name, entry.dist.version) if entry.dist is not None else ("?", "?")
        found.setdefault(entry.name, []).append(Installed(kind, entry.name, package, version, entry))
    return {
        name: tuple(sorted(them, key=lambda one: (not one.is_own, one.package))) for name, them in sorted(found.items())
    }


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """All names that are registered of a kind, in order, those of broken plugins too.

    A word that bitspec has itself is not among them, whoever registers it.
    """
    return tuple(name for name, them in installed(kind).items() if them[0].is_own or name not in _TAKEN[kind])


def packages() -> dict[str, str]:
    """The version of every package that registers something, bitspec aside."""
    found = {one.package: one.package_version for kind in GROUPS for them in installed(kind).values() for one in them}
    found.pop(OWN, None)
    return dict(sorted(found.items()))


def of_package(kind: Kind, name: str) -> Installed:
    """Who registers a name. Raises KeyError if nobody does, or it is a word of bitspec's own."""
    if name not in names(kind):
        raise KeyError(name)
    return installed(kind)[name][0]


def find(kind: type[_Plugin], name: str, span: Span | None = None) -> _Plugin:
    """The plugin of a name, imported now if it was not before.

    Raises KeyError if no package registers the name, and BitspecError, at `span`, if the plugin cannot be used.
    """
    one = of_package(kind.kind, name)
    plugin, wrong = _loaded(one)
    if wrong is not None:
        raise BitspecError(wrong if span is None else replace(wrong, span=span))
    assert isinstance(plugin, kind)
    return plugin


def need(kind: type[_Plugin], name: str, span: Span | None = None) -> _Plugin:
    """The plugin that a study was written with. Raises BitspecError if it is not installed, or cannot be used."""
    try:
        return find(kind, name, span)
    except KeyError:
        message = f"no package that is installed has the {kind.kind} `{name}`"
        hint = "install the one that has it; if it is one of bitspec's own, install bitspec again"
        raise BitspecError(error("missing-plugin", message, span, help=hint)) from None


def faults(one: Installed) -> Diagnostic | None:
    """What is wrong with a plugin, if anything: it is imported to see."""
    return _loaded(one)[1]


def summary(one: Installed) -> str:
    """The line on what a plugin is, of one that has no faults."""
    plugin, _ = _loaded(one)
    assert plugin is not None
    return plugin.summary


def version(kind: Kind, name: str) -> str | None:
    """The version that a plugin says it has; None of bitspec's own, which goes with the numerics.

    Raises BitspecError if it cannot be used.
    """
    one = of_package(kind, name)
    return None if one.is_own else find(_CLASSES[kind], name).version


def forget() -> None:
    """Look anew at what is installed."""
    installed.cache_clear()
    names.cache_clear()
    _loaded.cache_clear()
    guard.forget()


# Loading --------------------------------------------------------------------------------------------------


@cache
def _loaded(one: Installed) -> tuple[Plugin | None, Diagnostic | None]:
    rivals = [other for other in installed(one.kind)[one.name] if other != one]
    if one.name in _TAKEN[one.kind] and not one.is_own:
        return None, _broken(
            one, f"is not used: `{one.name}` is a word of bitspec's own", "ask its authors for another name"
        )
    if rivals and not one.is_own:
        others = listed([f"{rival.package} {rival.package_version}" for rival in rivals], "and", quote="")
        hint = f"uninstall all but one: `pip uninstall {one.package}`"
        return None, _broken(one, f"is not used: {others} registers the same name", hint)
    try:
        with guarded(one, "be imported", LOADING):
            plugin: object = one.entry.load()
    except BitspecError as problem:
        return None, problem.diagnostics[0]
    try:
        with guarded(one, "say what it is", LOADING):
            wrong = _wrong_surface(one, plugin) or _wrong_form(one, plugin)
    except BitspecError as problem:
        return None, problem.diagnostics[0]
    return (None, wrong) if wrong else (plugin, None)  # type: ignore[return-value] # its class was looked at


def _wrong_surface(one: Installed, plugin: object) -> Diagnostic | None:
    surface = getattr(plugin, "surface", None)
    if surface is None or surface == SURFACE:
        return None
    what = "a newer bitspec" if isinstance(surface, int) and surface > SURFACE else "another bitspec"
    behind = "bitspec" if what == "a newer bitspec" else one.package
    return _broken(
        one,
        f"was built for {what}: for version {surface!r} of the surface for plugins, and this is version {SURFACE}",
        f"update it: `pip install --upgrade {behind}`",
    )


def _wrong_form(one: Installed, plugin: object) -> Diagnostic | None:
    expected = _CLASSES[one.kind]
    hint = "tell its authors: docs/plugins.md says what a plugin has"
    if not isinstance(plugin, expected):
        what = plugin.__name__ if isinstance(plugin, type) else type(plugin).__name__
        return _broken(one, f"is not a `bitspec.plugins.{expected.__name__}`, but a `{what}`", hint)
    pattern = _COMMAND_NAME if one.kind in {"chart", "runner"} else _NAME
    if not pattern.fullmatch(one.name) or one.name in KEYWORDS:
        return _broken(one, "has a name that cannot be written where it would be used", hint)
    for what in ("version", "summary"):
        said: object = getattr(plugin, what)
        if not isinstance(said, str) or not said.strip():
            return _broken(one, f"has {said!r} for a {what}, which must be a text", hint)
    wrong = _wrong_task(plugin) if isinstance(plugin, Task) else _wrong_arguments(plugin)
    return _broken(one, wrong, hint) if wrong else None


def _wrong_arguments(plugin: Plugin) -> str | None:
    given: Any = getattr(plugin, "arguments", getattr(plugin, "options", ()))
    seen: set[str] = set()
    if not isinstance(given, tuple) or not all(isinstance(argument, Argument) for argument in given):
        return "has arguments that are no tuple of `Argument`s"
    for argument in given:
        if argument.takes not in get_args(Takes):
            return f"has an argument `{argument.name}` that takes {argument.takes!r}"
        if argument.takes == "word" and not (isinstance(argument.words, tuple) and argument.words):
            return f"has an argument `{argument.name}` without a tuple of the words that it takes"
        if argument.name in seen or (argument.name in _COMMON and not isinstance(plugin, Runner)):
            return f"has an argument `{argument.name}` twice"
        if not _NAME.fullmatch(argument.name):
            return f"has an argument with the name {argument.name!r}"
        if argument.takes in {"flag", "text"} and not isinstance(plugin, Runner):
            return f"has an argument `{argument.name}` that takes a {argument.takes}, which only runners can have"
        if argument.takes == "strategy" and not isinstance(plugin, Ranking):
            return f"has an argument `{argument.name}` that takes a strategy, which only rankings can have"
        seen.add(argument.name)
    if isinstance(plugin, Ranking) and not (isinstance(plugin.needs, tuple) and {*plugin.needs} <= {*get_args(Need)}):
        return f"needs {plugin.needs!r}, which is no tuple of what there is: {', '.join(get_args(Need))}"
    strategies = sum(argument.takes == "strategy" for argument in given)
    if isinstance(plugin, Ranking) and strategies != ("change" in plugin.needs):
        return "needs a change and an argument that takes a strategy, or neither"
    return None


def _wrong_task(task: Task) -> str | None:
    classes: object = task.classes  # as it is, whatever it should be
    is_right = isinstance(classes, tuple) and all(isinstance(name, str) for name in classes) and len(classes) != 1
    if not is_right:
        return "needs a tuple of the names of two classes or more, or none for a regression"
    if task.metric in METRICS and (task.metric in REGRESSION) == bool(task.classes):
        return f"is scored by `{task.metric}`, which does not fit {'classes' if task.classes else 'a regression'}"
    if task.metric in TWO_CLASSES and len(task.classes) != 2:
        return f"is scored by `{task.metric}`, which is for two classes, and has {len(task.classes)}"
    if task.metric not in METRICS and task.metric not in names("metric"):
        return f"is scored by `{task.metric}`, and there is no such metric"
    return None


def _broken(one: Installed, why: str, help_: str) -> Diagnostic:
    return error("broken-plugin", f"{one} {why}", help=help_)
