"""The local runner: one pack after the other, in this process or in several, on one device."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from bitspec import plugins
from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Event
from bitspec.parameters.files import model_files
from bitspec.parameters.models import model_folder
from bitspec.runners.bench import Bench, place, run_pack
from bitspec.runners.planner import Division, Packing, choose
from bitspec.runners.protocol import Pack, Packs, Stop, Work, handed_out, never
from bitspec.runners.stopwatch import BenchStopwatch
from bitspec.runners.workers import SMALL_MODEL, cores, run_in_processes, share_of

#: Trials that are worth starting several processes for, which takes seconds.
FEW: Final = 8


class LocalRunner:
    """Trains on this machine: in this process, or in several (`workers`) that share its cores.

    Without a number, several where models are small and there is no GPU. Models, data and selections are kept from one
    pack to the next.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self._bench: Bench | None = None

    def device(self, work: Work) -> str:
        """What provenance calls the device. Raises BitspecError if there is none."""
        return place(work)

    def crew(self, work: Work, trials: int) -> int:
        """How many processes train so many trials, if there are as many packs."""
        fitting = cores() if trials >= FEW and _is_small(work) else 1
        return max(1, min(self.workers or fitting, trials))

    def threads(self, work: Work) -> int | None:
        """With how many threads each process trains; None leaves it to torch.

        However many trials are left, it is the same: they come out as they would have without an interruption.
        """
        if self.workers is not None and self.workers > 1:
            return share_of(self.workers)
        return 1 if self.workers is None and _is_small(work) else None

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Pack, ...]:
        """The packs in which this runner best trains a division of the trials of a study; see `planner.choose`."""
        workers = self.crew(work, len(division.plan.new))
        bench = self._bench_for(work)
        watch = BenchStopwatch(bench, threads=self.threads(work), workers=workers)
        try:
            return choose(division, packing, workers=workers, stopwatch=watch, on_measure=on_measure)
        finally:
            if workers > 1:  # which load for themselves what they need
                self._bench = None

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        """Run all packs, the trials of each together."""
        workers = min(self.crew(work, packs.trials), len(packs))
        if workers > 1:
            yield from run_in_processes(work, packs, workers, self.threads(work) or share_of(workers), stop)
        else:
            yield from self._run_here(work, packs, stop)

    def _run_here(self, work: Work, packs: Packs, stop: Stop) -> Iterator[Event]:
        from bitspec.training.devices import threads, use_threads

        bench = self._bench_for(work)
        self._bench = None  # another run may find other files
        before = threads()
        use_threads(self.threads(work) or before)
        try:
            for pack in handed_out(packs, stop):
                yield from run_pack(bench, pack, stop, packs.known(pack))
        finally:
            use_threads(before)

    def _bench_for(self, work: Work) -> Bench:
        # What was loaded to measure serves to train.
        if self._bench is None or self._bench.work != work:
            self._bench = Bench(work)
        return self._bench


#: How it is registered.
PLUGIN: Final = plugins.Runner(
    surface=1,
    summary="trains on this machine, in one process or several",
    version="1",
    make=LocalRunner,
    options=(
        plugins.Argument(
            name="workers",
            takes="whole",
            least=1,
            most=1024,
            meaning="Processes that train at once.  "
            "[default: one a core where models are small and there is no GPU, else 1]",
        ),
    ),
)


def _is_small(work: Work) -> bool:
    """Whether a core is best given a trial of its own: all models are small, and the device is the CPU."""
    from bitspec.training.devices import device

    if device(work.device).type != "cpu":
        return False
    pickle = work.allow_pickle
    try:
        folders = {
            model_folder(model.source, model.revision, base=work.base, fetch=False, allow_pickle=pickle)
            for model in work.study.models
        }
        files = [model_files(folder, str(folder), allow_pickle=pickle) for folder in folders if folder]
        sizes = [sum((one.folder / name).stat().st_size for name in one.weights) for one in files]
    except (BitspecError, OSError):  # its trials will tell
        return False
    return max(sizes, default=0) <= SMALL_MODEL
