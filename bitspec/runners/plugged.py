"""Runners as they are installed: each by its name, and kept at arm's length."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, Final, get_args

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, did_you_mean, error, listed
from bitspec.guard import Installed, guarded
from bitspec.ir.events import Ending, Event, Failed, Finished, Notice, Result, Started
from bitspec.ir.values import TrainedValues
from bitspec.runners.planner import Division, Packing
from bitspec.runners.protocol import Known, Pack, Packs, Runner, Stop, Work, never

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
    with guarded(one, "begin"):
        made = make(**options)
    return made if one.is_own else _Guarded(made, one)


class _Guarded:
    """A runner of another package: whatever it raises becomes a message that names it."""

    def __init__(self, inner: Runner, one: Installed) -> None:
        self._inner, self._one = inner, one

    def device(self, work: Work) -> str:
        """As the runner says."""
        with guarded(self._one, "name its device"):
            return str(self._inner.device(work))

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Pack, ...]:
        """As the runner says."""
        with guarded(self._one, "make packs", seconds=None):
            packs = tuple(map(tuple, self._inner.pack(work, division, packing, on_measure)))
            given = sorted(planned.key for pack in packs for planned in pack)
            if given != sorted(planned.key for planned in division.plan.new):
                raise ValueError("its packs do not have each trial to be trained once")
            return packs

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        """As the runner does, if what it tells makes sense."""
        watched = _Watched(packs)
        with guarded(self._one, "train", seconds=None):
            events = self._inner.run(work, watched, stop)
            if not isinstance(events, Generator):
                raise TypeError("what it returns to tell its events is no generator")
        with closing(events):
            while True:
                with guarded(self._one, "train", seconds=None):
                    event = next(events, None)
                    if event is None:
                        watched.check_end(is_stopped=stop())
                        return
                    watched.check(event)
                yield event


class _Watched:
    """Packs as they are handed out, and how far each of their trials has come by what a runner tells."""

    def __init__(self, inner: Packs) -> None:
        self._inner = inner
        #: Of those that were taken and have not ended, whether they were begun.
        self._begun: dict[str, bool] = {}
        self._ended: set[str] = set()

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def trials(self) -> int:
        """How many trials there are in them."""
        return self._inner.trials

    def take(self) -> Pack | None:
        """The next pack."""
        pack = self._inner.take()
        self._begun |= dict.fromkeys((planned.key for planned in pack or ()), False)
        return pack

    def known(self, pack: Pack) -> Known:
        """What must be known of other trials to train a pack."""
        return self._inner.known(pack)

    def check(self, event: Event) -> None:
        """Raises TypeError or ValueError for an event that cannot be."""
        if not isinstance(event, get_args(Event)):
            raise TypeError(f"it told {event!r}, which is none of the events of bitspec.ir.events")
        what = type(event).__name__
        is_known = event.key in self._begun or (isinstance(event, Notice) and event.key in self._ended)
        if not is_known:
            why = "had ended" if event.key in self._ended else "it did not take"
            raise ValueError(f"it told {what} of a trial that {why}: {event.key[:12]}")
        if isinstance(event, Started):
            self._begun[event.key] = True
        elif not isinstance(event, Failed | Notice) and not self._begun[event.key]:
            raise ValueError(f"it told {what} of a trial before Started: {event.key[:12]}")
        if isinstance(event, Finished):
            _check_finished(event)
        if isinstance(event, Failed) and event.status not in get_args(Ending):
            raise ValueError(
                f"it told Failed with the status {event.status!r}, and it is one of {', '.join(get_args(Ending))}"
            )
        if isinstance(event, Finished | Failed):
            del self._begun[event.key]
            self._ended.add(event.key)

    def check_end(self, *, is_stopped: bool) -> None:
        """Raises ValueError if trials were begun and not ended, though nobody stopped the runner."""
        if not is_stopped and (self._begun or len(self)):
            left = len(self._begun) + self.trials
            raise ValueError(f"it ended and left {left:,} trial{'s' if left > 1 else ''} without an end")


def _check_finished(event: Finished) -> None:
    """Raises TypeError or ValueError for a result that is none, or another trial's."""
    if not isinstance(event.result, Result) or not isinstance(event.values, TrainedValues | None):
        raise TypeError("it told Finished with something else than a Result and TrainedValues, or None for these")
    if event.result.key != event.key:
        raise ValueError(f"it told Finished of {event.key[:12]} with the result of {event.result.key[:12]}")
