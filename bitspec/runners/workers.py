"""Several processes of this machine, each training one pack after the other: for small models on several cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, TypeAlias

from bitspec.diagnostics import BitspecError, Diagnostic, error
from bitspec.ir.events import Event, Failed, Finished
from bitspec.runners.protocol import PAUSE, Packs, Stop, Work, never

#: Model sizes (bytes of weights) up to which several trials at once pay: a larger one keeps all cores busy by itself.
SMALL_MODEL: Final = 64 * 2**20

#: Seconds after which it is looked whether the run is to come to its end.
_LOOK: Final = 0.1

#: Seconds in which a signal to a whole group of processes has come to all of them.
_GRACE: Final = 0.2


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


def run_in_processes(work: Work, packs: Packs, workers: int, threads: int, stop: Stop = never) -> Iterator[Event]:
    """Run packs in so many processes of so many threads; events come as they happen, of several trials at once.

    A process that dies fails the trials that it had, and another takes its place; where none can even begin, all that
    wait fail. Once `stop` says so, each saves what it has. Closing the iterator ends them all.
    """
    crew = _Crew(work, threads)
    try:
        for _ in range(workers):
            crew.hire()
        while crew.workers:
            if stop():
                crew.dismiss()
            crew.hand_out(packs)
            for connection in crew.wait():
                worker = crew.workers[connection]
                try:
                    message: _Message = connection.recv()
                except (EOFError, OSError):
                    crew.release(worker)
                    if worker.process.exitcode in {0, -signal.SIGTERM}:
                        time.sleep(_GRACE)  # a signal to all of us may have come to it first
                    if stop():
                        crew.dismiss()
                        continue
                    yield from worker.died()
                    if worker.has_begun and len(packs):
                        crew.hire()
                    elif not crew.workers and len(packs):  # another would die as this one did
                        raise BitspecError(worker.cannot_begin()) from None
                    continue
                match message:
                    case _Ready():
                        worker.has_begun, worker.is_idle = True, True
                    case tuple():
                        raise BitspecError(*message)
                    case _:
                        if isinstance(message, Finished | Failed):
                            worker.keys.discard(message.key)
                        yield message
    finally:
        crew.end()


class _Crew:
    """The processes that train, by our ends of their lines."""

    def __init__(self, work: Work, threads: int) -> None:
        self._work, self._threads = work, threads
        self._context = multiprocessing.get_context("spawn")
        self.workers: dict[Connection, _Worker] = {}
        self.is_dismissed = False
        self._asked = float("-inf")  # when there was no pack to be had

    def hire(self) -> None:
        """One more process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work, self._threads), daemon=True)
        with _deaf():
            process.start()
        theirs.close()
        self.workers[ours] = _Worker(process, ours)

    def hand_out(self, packs: Packs) -> None:
        """Give packs to those that wait for one, and let go those for which there will be none."""
        for worker in [one for one in self.workers.values() if one.is_idle]:
            if self.is_dismissed or not len(packs):
                self.release(worker)
                continue
            if time.monotonic() - self._asked < PAUSE:
                return
            pack = packs.take()
            if pack is not None:
                worker.is_idle, worker.keys = False, {planned.key for planned in pack}
                with contextlib.suppress(OSError):  # that it died is told by its end of the line
                    worker.connection.send((pack, packs.known(pack)))
            elif len(packs):
                self._asked = time.monotonic()

    def wait(self) -> list[Connection]:
        """The lines on which somebody says something, none after a moment."""
        found = wait(list(self.workers), _LOOK)
        return [one for one in found if isinstance(one, Connection)]

    def dismiss(self) -> None:
        """Ask all to save what they have, and to end."""
        if not self.is_dismissed:
            self.is_dismissed = True
            for worker in self.workers.values():
                worker.process.terminate()

    def release(self, worker: _Worker) -> None:
        """Part with a process that has ended, or has nothing to do."""
        del self.workers[worker.connection]
        worker.connection.close()
        worker.process.join()

    def end(self) -> None:
        """End all processes at once, whatever they do."""
        for connection, worker in self.workers.items():
            worker.process.kill()
            worker.process.join()
            connection.close()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    # What is started here does not hear Ctrl-C from its first moment on: it is for the parent.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class _Worker:
    """A process with our end of its line, and the keys of the trials that it has not finished.

    It `has_begun` once it asked for a pack, and `is_idle` while it waits for one.
    """

    process: BaseProcess
    connection: Connection
    keys: set[str] = field(default_factory=set)
    has_begun: bool = False
    is_idle: bool = False

    def died(self) -> Iterator[Failed]:
        """What becomes of the trials that it had."""
        for key in sorted(self.keys):
            yield Failed(key, "failed", f"the process that trained it ended early ({self._why})", "try `--workers 1`")

    def cannot_begin(self) -> Diagnostic:
        """What to say where none of the processes comes as far as to ask for work."""
        return error("no-workers", f"no process that trains can begin ({self._why})", help="try `--workers 1`")

    @property
    def _why(self) -> str:
        code = self.process.exitcode
        return (
            "it was killed: perhaps the memory of this machine is full" if code == -signal.SIGKILL else f"code {code}"
        )


def _serve(connection: Connection, work: Work, threads: int) -> None:
    """What a worker does: asks for packs until there are no more, or it is asked to stop."""
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which asks its workers to stop
    signal.signal(signal.SIGTERM, stop)
    from bitspec.runners.bench import Bench, run_pack
    from bitspec.training.devices import use_threads

    use_threads(threads)
    try:
        bench = Bench(work)
    except BitspecError as problem:
        connection.send(problem.diagnostics)
        return
    with contextlib.suppress(EOFError, OSError):  # the parent is done with us
        while not stopped:
            connection.send(_Ready())
            pack, known = connection.recv()
            for event in run_pack(bench, pack, lambda: stopped, known):
                connection.send(event)
