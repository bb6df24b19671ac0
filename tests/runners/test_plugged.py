"""Runners of other packages: what they raise, and events that cannot be, become messages that name them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Event
from bitspec.runners.plugged import runner
from bitspec.runners.protocol import Queue, never
from tests.installed import Site, site

__all__ = ["site"]

RUNNER = """
from bitspec.ir.events import *
from bitspec.plugins import Runner

class Odd:
    def device(self, work):
        raise OSError("no device")

    def run(self, work, packs, stop):
{body}

PLUGIN = Runner(surface=1, summary="x", version="1", make=Odd)
"""

#: Lines of a runner that trains a trial as it should.
RIGHT = """
pack = packs.take()
yield Started("first", 1, 2)
yield Failed("first", "failed", "it broke", "mend it")
"""

#: Lines of one that finishes it with the result of another.
FINISHED = """
packs.take()
yield Started("first", 1, 2)
result = Result.model_construct(key="second")
yield Finished("first", {result}, {values})
"""


def events(site: Site, body: str, stop: Callable[[], bool] = never) -> list[Event]:
    """What is told of the one trial that there is."""
    site.install(
        "odd-runner", {"bitspec.runners": {"odd": "PLUGIN"}}, RUNNER.format(body=textwrap.indent(body, " " * 8))
    )
    packs = Queue([(SimpleNamespace(key="first"),)])  # type: ignore[list-item] # nobody looks further
    return list(runner("odd", {}).run(None, packs, stop))  # type: ignore[arg-type]


def test_what_it_raises_names_it(site: Site) -> None:
    with pytest.raises(BitspecError, match="failed to train: OSError: broke") as caught:
        events(site, "yield from ()\nraise OSError('broke')")
    assert "`odd` of odd-runner 1.0" in caught.value.diagnostics[0].message
    with pytest.raises(
        BitspecError, match=r"the runner `odd` of odd-runner 1\.0 failed to name its device: OSError: no device"
    ):
        runner("odd", {}).device(None)  # type: ignore[arg-type]


def test_a_name_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(BitspecError, match="there is no runner called `od`"):
        runner("od", {})


def test_what_makes_sense_is_handed_on(site: Site) -> None:
    assert [type(event).__name__ for event in events(site, RIGHT)] == ["Started", "Failed"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("yield 1", "TypeError: it told 1, which is none of the events of bitspec.ir.events"),
        ("yield Failed('first', 'failed', '')", "it told Failed of a trial that it did not take: first"),
        ("packs.take()\nyield Stepped('first', 1, 1, 0.5)", "it told Stepped of a trial before Started: first"),
        (RIGHT + "yield Failed('first', 'failed', '')", "it told Failed of a trial that had ended: first"),
        (RIGHT.replace("yield Failed", "Failed"), "it ended and left 1 trial without an end"),
        ("return\nyield", "it ended and left 1 trial without an end"),
        (
            RIGHT.replace('"failed"', '"lost"'),
            "it told Failed with the status 'lost', and it is one of failed, diverged",
        ),
        (
            FINISHED.format(result="None", values="None"),
            "TypeError: it told Finished with something else than a Result",
        ),
        (
            FINISHED.format(result="result", values="[1]"),
            "TypeError: it told Finished with something else than a Result",
        ),
        (FINISHED.format(result="result", values="None"), "it told Finished of first with the result of second"),
        ("return []", "TypeError: what it returns to tell its events is no generator"),
    ],
)
def test_events_that_cannot_be_name_it(site: Site, body: str, said: str) -> None:
    with pytest.raises(BitspecError) as caught:
        events(site, body)
    assert "the runner `odd` of odd-runner 1.0 failed to train: " in caught.value.diagnostics[0].message
    assert said in caught.value.diagnostics[0].message


def test_one_that_was_stopped_may_leave_trials_without_an_end(site: Site) -> None:
    assert events(site, "return\nyield", stop=lambda: True) == []


def test_what_could_not_be_saved_may_be_told_of_a_trial_that_ended(site: Site) -> None:
    assert len(events(site, RIGHT + "yield NotSaved('first', 'the disk is full')")) == 3
