"""The plugins that are installed: found by their entry points, loaded when asked for, and kept at arm's length.

Only what is asked for by name is ever imported. A plugin that cannot be used is reported with its package, and stops
nothing but what asked for it.
"""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from bitspec.diagnostics import BitspecError, Diagnostic, Span, error, listed
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
    Refusal,
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

#: The package whose plugins have no version of their own in keys: theirs is that of the numerics.
OWN: Final = "bitspec"

#: Seconds that a plugin may take to be imported, and to do what it is asked for.
LOADING: Final = 20.0
WORKING: Final = 300.0

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

#: Seconds between two rings.
_AGAIN: Final = 0.5

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_COMMAND_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")

_Plugin = TypeVar("_Plugin", bound=Plugin)


@dataclass(frozen=True)
class Installed:
    """A name that a package registers."""

    kind: Kind
    name: str
    package: str
    package_version: str
    entry: EntryPoint

    @property
    def is_own(self) -> bool:
        """Whether it comes with bitspec."""
        return self.package == OWN

    def __str__(self) -> str:
        return f"the {self.kind} `{self.name}` of {self.package} {self.package_version}"


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
    _TOLD.clear()


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


# Arm's length -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def guarded(one: Installed, doing: str, seconds: float | None = WORKING, span: Span | None = None) -> Iterator[None]:
    """Inside of it, a plugin does what it is asked for.

    What it prints to the standard output goes to the standard error, with a word on whose it is. Raises BitspecError
    at `span` for whatever it raises, and when it takes longer than `seconds`, if that is given (seen in the main thread
    only).
    """
    if one.is_own:
        yield
        return
    printed = _Printed(one)
    try:
        with contextlib.redirect_stdout(printed), _limited(seconds):
            yield
    except (BitspecError, KeyboardInterrupt, GeneratorExit):
        raise
    except _TooLong:
        message = f"{one} took more than {seconds:g} seconds to {doing}, and was stopped"
        raise BitspecError(error("broken-plugin", message, span, help=_tell(one))) from None
    except Refusal as refusal:
        raise BitspecError(error("refused", f"{one}: {refusal}", span, help=refusal.help)) from None
    except BaseException as problem:
        message = f"{one} failed to {doing}: {_said(problem)}"
        raise BitspecError(error("broken-plugin", message, span, help=_tell(one))) from problem
    finally:
        printed.finish()


def _tell(one: Installed) -> str:
    return f"tell its authors, or do without it: `pip uninstall {one.package}`"


def _said(problem: BaseException) -> str:
    """An exception in one line, with the place where it was raised."""
    try:
        said = " ".join(str(problem).split())[:300]
    except Exception:  # a plugin's own exceptions may fail to say what they are
        said = ""
    where = traceback.extract_tb(problem.__traceback__)
    place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    return f"{type(problem).__name__}{f': {said}' if said else ''}{place}"


class _TooLong(BaseException):
    """Raised in the midst of what takes too long; no `except Exception` of a plugin's holds it up."""


@contextlib.contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    can_ring = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not can_ring:
        yield
        return

    def ring(_number: int, _frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    # It rings again and again, for what takes the first one for an error of its own and goes on.
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)


#: Of whom it was said that they print to the standard output.
_TOLD: Final[set[Installed]] = set()


class _Printed(io.TextIOBase):
    """Takes what a plugin prints to the standard output to the standard error, and says once whose it is."""

    def __init__(self, one: Installed) -> None:
        self._one = one
        self._line = ""

    def write(self, text: str) -> int:
        """Print a text, line by line."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._print(line)
        return len(text)

    def writable(self) -> bool:
        """It is to be written to."""
        return True

    def finish(self) -> None:
        """Print what is left; it may be written to again."""
        if self._line:
            self._print(self._line)
        self._line = ""

    def _print(self, line: str) -> None:
        if self._one not in _TOLD:
            sys.stderr.write(f"warning: {self._one} prints to the standard output, which is for results; it says:\n")
        _TOLD.add(self._one)
        sys.stderr.write(f"  {line}\n")
