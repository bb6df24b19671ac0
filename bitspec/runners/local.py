"""The local runner: one pack after the other, in this process or in several, on one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from bitspec.ir.events import Event
from bitspec.ir.trials import Planned
from bitspec.parameters.files import model_files
from bitspec.parameters.models import model_folder
from bitspec.runners.bench import Bench, run_pack
from bitspec.runners.planner import Division, Packing, choose
from bitspec.runners.protocol import Pack, Work
from bitspec.runners.stopwatch import BenchStopwatch
from bitspec.runners.workers import SMALL_MODEL, cores, run_in_processes, share_of

#: Trials that are worth starting several processes for, which takes seconds.
FEW: Final = 8


class LocalRunner:
    """Trains on this machine: in this process, or in several (`workers`) that share its cores.

    Without a number, several where trials are small and there is no GPU. Models, data and selections are kept from one
    pack to the next.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self._bench: Bench | None = None

    def device(self, work: Work) -> str:
        """What provenance calls the device. Raises BitspecError if there is none."""
        from bitspec.training.devices import device, device_name

        return device_name(device(work.device))

    def crew(self, work: Work, trials: Sequence[Planned]) -> int:
        """How many processes train so many trials, if there are as many packs."""
        workers = _fitting(work, trials) if self.workers is None else self.workers
        return max(1, min(workers, len(trials)))

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Pack, ...]:
        """The packs in which this runner best trains a division of the trials of a study; see `planner.choose`."""
        workers = self.crew(work, division.plan.new)
        bench = self._bench_for(work)
        watch = BenchStopwatch(bench, threads=share_of(workers) if workers > 1 else None, workers=workers)
        try:
            return choose(division, packing, workers=workers, stopwatch=watch, on_measure=on_measure)
        finally:
            if workers > 1:  # which load for themselves what they need
                self._bench = None

    def run(self, work: Work, packs: Sequence[Pack]) -> Iterator[Event]:
        """Run all packs, the trials of each together."""
        workers = min(self.crew(work, [planned for pack in packs for planned in pack]), len(packs))
        if workers > 1:
            yield from run_in_processes(work, packs, workers)
            return
        bench = self._bench_for(work)
        self._bench = None  # another run may find other files
        for pack in packs:
            yield from run_pack(bench, pack)

    def _bench_for(self, work: Work) -> Bench:
        # What was loaded to measure serves to train.
        if self._bench is None or self._bench.work != work:
            self._bench = Bench(work)
        return self._bench


def _fitting(work: Work, trials: Sequence[Planned]) -> int:
    """How many processes fit a study: one for each core, where all models are small and the device is the CPU."""
    from bitspec.training.devices import device

    if cores() == 1 or len(trials) < FEW or device(work.device).type != "cpu":
        return 1
    folders = {
        model_folder(model.source, model.revision, base=work.base, allow_pickle=work.allow_pickle)
        for model in {planned.trial.model for planned in trials}
    }
    files = [model_files(folder, str(folder), allow_pickle=work.allow_pickle) for folder in folders if folder]
    sizes = [sum((one.folder / name).stat().st_size for name in one.weights) for one in files]
    return cores() if max(sizes, default=0) <= SMALL_MODEL else 1
