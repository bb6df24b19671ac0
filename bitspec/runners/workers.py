"""Several processes of this machine, each training one pack after the other: for small models on several cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, TypeAlias

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.ir.events import Event, Failed, Finished
from bitspec.runners.protocol import Pack, Work

#: Model sizes (bytes of weights) up to which several trials at once pay: a larger one keeps all cores busy by itself.
SMALL_MODEL: Final = 64 * 2**20


class _Ready:
    """A worker asks for a pack: it has just begun, or has done the last one."""


#: What a worker sends: events of its pack, that it is ready, or why it cannot work at all.
_Message: TypeAlias = "Event | _Ready | tuple[Diagnostic, ...]"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of(workers: int) -> int:
    """Threads that each of so many workers has."""
    return max(1, cores() // workers)


def run_in_processes(work: Work, packs: Sequence[Pack], workers: int) -> Iterator[Event]:
    """Run packs in so many processes, which share the cores; events come as they happen, of several trials at once.

    A process that dies fails the trials that it had, and another takes its place; where none can even begin, all that
    wait fail. Closing the iterator ends them all.
    """
    context = multiprocessing.get_context("spawn")
    waiting = deque(packs)
    threads = share_of(workers)
    crew: dict[Connection, _Worker] = {}

    def hire() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, work, threads), daemon=True)
        process.start()
        theirs.close()
        crew[ours] = _Worker(process)

    try:
        for _ in range(min(workers, len(packs))):
            hire()
        while crew:
            for connection in wait(list(crew)):
                assert isinstance(connection, Connection)
                worker = crew[connection]
                try:
                    message: _Message = connection.recv()
                except (EOFError, OSError):
                    del crew[connection]
                    worker.process.join()
                    yield from worker.died(worker.keys)
                    if worker.has_begun and waiting:
                        hire()
                    elif not crew:  # another would die as this one did
                        yield from worker.died([planned.key for pack in waiting for planned in pack])
                    continue
                if isinstance(message, _Ready):
                    worker.has_begun = True
                match message:
                    case _Ready() if waiting:
                        worker.keys = {planned.key for planned in waiting[0]}
                        with contextlib.suppress(OSError):  # that it died is told by its end of the line
                            connection.send(waiting.popleft())
                    case _Ready():
                        connection.close()
                        worker.process.join()
                        del crew[connection]
                    case tuple():
                        raise BitspecError(*message)
                    case _:
                        if isinstance(message, Finished | Failed):
                            worker.keys.discard(message.key)
                        yield message
    finally:
        for connection, worker in crew.items():
            worker.process.terminate()
            worker.process.join()
            connection.close()


@dataclass
class _Worker:
    """A process, and the keys of the trials that it has not finished; `has_begun` once it asked for a pack."""

    process: BaseProcess
    keys: set[str] = field(default_factory=set)
    has_begun: bool = False

    def died(self, keys: Iterable[str]) -> Iterator[Failed]:
        """What becomes of trials that it was to train."""
        code = self.process.exitcode
        why = "it was killed: perhaps the memory of this machine is full" if code == -signal.SIGKILL else f"code {code}"
        for key in sorted(keys):
            yield Failed(key, "failed", f"the process that trained it ended early ({why})", "try `--workers 1`")


def _serve(connection: Connection, work: Work, threads: int) -> None:
    """What a worker does: asks for packs until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    from bitspec.runners.bench import Bench, run_pack
    from bitspec.training.devices import use_threads

    use_threads(threads)
    try:
        bench = Bench(work)
    except BitspecError as problem:
        connection.send(problem.diagnostics)
        return
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is done with us
        while True:
            connection.send(_Ready())
            for event in run_pack(bench, connection.recv()):
                connection.send(event)
