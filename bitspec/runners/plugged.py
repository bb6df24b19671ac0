"""Runners as they are installed: each by its name, and kept at arm's length."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, Final

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, did_you_mean, error, listed
from bitspec.ir.events import Event
from bitspec.runners.planner import Division, Packing
from bitspec.runners.protocol import Pack, Packs, Runner, Stop, Work, never

#: Trains on this machine.
DEFAULT: Final = "local"


def installed_runner(name: str) -> plugins.Runner:
    """What is registered under a runner's name. Raises BitspecError if there is none, or it cannot be used."""
    try:
        return registry.find(plugins.Runner, name)
    except KeyError:
        names = registry.names("runner")
        hint = did_you_mean(name, names) or f"installed are {listed(names, 'and')}; `bitspec plugins` lists them"
        raise BitspecError(error("unknown-runner", f"there is no runner called `{name}`", help=hint)) from None


def runner(name: str, options: Mapping[str, Any]) -> Runner:
    """A runner with its options. Raises BitspecError if there is none of that name, or it cannot be used."""
    make = installed_runner(name).make
    one = registry.of_package("runner", name)
    with registry.guarded(one, "begin"):
        made = make(**options)
    return made if one.is_own else _Guarded(made, one)


class _Guarded:
    """A runner of another package: whatever it raises becomes a message that names it."""

    def __init__(self, inner: Runner, one: registry.Installed) -> None:
        self._inner, self._one = inner, one

    def device(self, work: Work) -> str:
        """As the runner says."""
        with registry.guarded(self._one, "name its device"):
            return str(self._inner.device(work))

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Pack, ...]:
        """As the runner says."""
        with registry.guarded(self._one, "make packs", seconds=None):
            packs = tuple(map(tuple, self._inner.pack(work, division, packing, on_measure)))
            given = sorted(planned.key for pack in packs for planned in pack)
            if given != sorted(planned.key for planned in division.plan.new):
                raise ValueError("its packs do not have each trial to be trained once")
            return packs

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        """As the runner does."""
        with registry.guarded(self._one, "train", seconds=None):
            events = self._inner.run(work, packs, stop)
            if not isinstance(events, Generator):
                raise TypeError("what it returns to tell its events is no generator")
        with closing(events):
            while True:
                with registry.guarded(self._one, "train", seconds=None):
                    event = next(events, None)
                if event is None:
                    return
                yield event
