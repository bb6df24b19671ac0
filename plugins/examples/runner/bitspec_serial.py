"""A runner: `bitspec run SPEC --runner serial` trains one trial after the other, and rests between them if asked to."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from bitspec.plugins import Argument, Runner

if TYPE_CHECKING:
    from bitspec.ir.events import Event
    from bitspec.runners.planner import Division, Packing
    from bitspec.runners.protocol import Pack, Packs, Stop, Work


class Serial:
    """Trains in this process, each trial alone; `rest` is in seconds."""

    def __init__(self, rest: float) -> None:
        self.rest = rest

    def device(self, work: Work) -> str:
        """As the results will name it."""
        from bitspec.runners.bench import place

        return place(work)

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Pack, ...]:
        """Every trial by itself."""
        return division.plan.packs()

    def run(self, work: Work, packs: Packs, stop: Stop) -> Generator[Event, None, None]:
        """One pack after the other, until there are no more or the user stops the run."""
        from bitspec.runners.bench import Bench, run_pack
        from bitspec.runners.protocol import handed_out

        bench = Bench(work)
        for pack in handed_out(packs, stop):
            yield from run_pack(bench, pack, stop, packs.known(pack))
            time.sleep(self.rest)


PLUGIN = Runner(
    surface=1,
    summary="trains on this machine, one trial after the other",
    version="1",
    make=Serial,
    options=(Argument(name="rest", takes="number", least=0, default=0.0, meaning="Seconds between two trials."),),
)
