"""The workers of a run: hired where nodes have room, given packs, and let go; what a lost one had begins again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ray

from bitspec.diagnostics import BitspecError, counted
from bitspec.ir.events import Event, Failed, Finished, Notice, NotSaved
from bitspec.ir.study import Model
from bitspec.plugins import Refusal
from bitspec.runners.bench import failure
from bitspec.runners.protocol import PAUSE, Known, Pack, Packs, Stop, Work
from bitspec_ray.cluster import say
from bitspec_ray.nodes import Node, Nodes, on
from bitspec_ray.parcels import Shipping
from bitspec_ray.worker import Done, Hello, Lacks, Worker

#: Seconds after which it is looked whether the run is to come to its end.
_LOOK: Final = 0.2

#: Seconds that workers have to save what is under way, once they are asked to.
SAVING: Final = 60.0

#: Seconds after which a worker that has not begun is not waited for alone: others may be using its node.
_SLOW: Final = 15.0

#: Seconds after which it is told that no worker at all could begin yet.
_TAKEN: Final = 60.0

#: Seconds without a node that can train anything after which that is told.
_DROUGHT: Final = 5.0

#: Methods of a worker that can be called at once: one says events, one stops it, one is to spare.
_CALLS: Final = 3


@dataclass
class Attempt:
    """A pack that was taken: what is known for it, the trials that have not ended, and how often it was lost."""

    pack: Pack
    known: Known
    open: set[str]
    losses: int = 0


@dataclass
class Member:
    """A worker: where it is, what it was asked last, when it was hired, and what it trains."""

    handle: Any
    node: Node
    asked: ray.ObjectRef[Any]
    hired: float = field(default_factory=time.monotonic)
    hello: Hello | None = None
    attempt: Attempt | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a pack."""
        return self.hello is not None and self.attempt is None

    @property
    def is_coming(self) -> bool:
        """Whether it will soon take a pack."""
        return self.is_idle or (self.hello is None and time.monotonic() - self.hired < _SLOW)


def hire(node: Node, nodes: Nodes, work: Work, threads: int, marker: tuple[Path, str] | None = None) -> Member:
    """A new worker on a node, which begins when the node has room."""
    needs = nodes.needs
    options = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "max_restarts": 0, "max_task_retries": 0}
    handle: Any = (
        ray.remote(Worker).options(**options, max_concurrency=_CALLS, **on(node.id)).remote(work, threads, marker)
    )
    return Member(handle, node, handle.hello.remote())


def fire(member: Member) -> None:
    """End a worker at once."""
    with suppress(Exception):  # it may have ended already, or its node is gone
        ray.kill(member.handle)


class Crew:
    """The workers that train the packs of a work on the nodes of a cluster, each pack on `threads`.

    A pack whose worker is lost begins again, up to `retries` times. `marker` is by what a node sees that it has the
    folder of checkpoints.
    """

    def __init__(
        self,
        work: Work,
        nodes: Nodes,
        shipping: Shipping,
        *,
        threads: int,
        retries: int,
        marker: tuple[Path, str] | None,
    ) -> None:
        self._work, self._nodes, self._shipping = work, nodes, shipping
        self._threads, self._retries, self._marker = threads, retries, marker
        self._members: list[Member] = []
        self._returned: deque[Attempt] = deque()
        self._none_since: float | None = None
        self._is_told_of_none = self._is_told_of_wait = False
        self._asked_for_pack = float("-inf")  # when there was none to be had
        self._deadline = float("inf")

    def run(self, packs: Packs, stop: Stop) -> Iterator[Event]:
        """Train all packs, and tell events as they happen.

        Once `stop` says so, each worker saves what it has. Closing the iterator ends them all. Raises Refusal where
        there are nodes, and none of them can be used.
        """
        try:
            while self._members or self._returned or len(packs):
                if stop():
                    self._dismiss()
                    yield from self._give_up()
                    if not self._members:
                        return
                else:
                    self._nodes.look()
                    self._hire(packs)
                    self._shipping.prepare()
                    yield from self._hand_out(packs)
                yield from self._listen()
        finally:
            for member in self._members:
                fire(member)

    # Who works --------------------------------------------------------------------------------------------

    def _hire(self, packs: Packs) -> None:
        wanted = len(packs) + len(self._returned) - sum(member.is_coming for member in self._members)
        while wanted > 0:
            # The emptiest node first, and of those that are as empty the largest.
            room = [
                (taken, -node.slots, node.id, node)
                for node in self._nodes.usable
                if (taken := sum(member.node.id == node.id for member in self._members)) < node.slots
            ]
            if not room:
                break
            self._members.append(hire(min(room)[-1], self._nodes, self._work, self._threads, self._marker))
            wanted -= 1
        self._watch_for_nodes()

    def _watch_for_nodes(self) -> None:
        if self._members:
            begun = [member for member in self._members if member.hello is not None]
            if not begun and not self._is_told_of_wait and time.monotonic() - self._members[0].hired > _TAKEN:
                self._is_told_of_wait = True
                say(f"no node has {self._nodes.needs} free; waiting until others are done")
            if self._is_told_of_none:
                say("there is a node again: the study goes on")
            self._none_since, self._is_told_of_none = None, False
            return
        why = self._nodes.why_none
        if why is not None:
            raise Refusal(f"no node can be used: {why}", "install there what is installed here")
        now = time.monotonic()
        self._none_since = now if self._none_since is None else self._none_since
        if now - self._none_since > _DROUGHT and not self._is_told_of_none:
            self._is_told_of_none = True
            say(f"no node of the cluster has {self._nodes.needs} for a pack; waiting until one comes")

    def _hand_out(self, packs: Packs) -> Iterator[Event]:
        for member in [one for one in self._members if one.is_idle]:
            attempt = self._next(packs)
            if attempt is not None:
                yield from self._begin(member, attempt)
            elif not len(packs):
                self._release(member)
        if not len(packs) and not self._returned:  # there is nothing for those that are still to come
            for member in [one for one in self._members if one.hello is None]:
                self._release(member)

    def _next(self, packs: Packs) -> Attempt | None:
        if self._returned:
            return self._returned.popleft()
        if not len(packs) or time.monotonic() - self._asked_for_pack < PAUSE:
            return None
        pack = packs.take()
        if pack is None:
            self._asked_for_pack = time.monotonic()
            return None
        return Attempt(pack, packs.known(pack), {planned.key for planned in pack})

    def _begin(self, member: Member, attempt: Attempt, lacking: Sequence[Model] = ()) -> Iterator[Event]:
        try:
            parcel = self._shipping.parcel(attempt.pack, lacking)
        except Exception as problem:  # as where they are trained: it stops these trials, and no others
            member.attempt = None
            for key in sorted(attempt.open):
                yield failure(key, problem)
            return
        member.attempt = attempt
        member.asked = member.handle.train.remote(attempt.pack, attempt.known, parcel)
        hello = member.hello
        if not lacking and self._work.checkpoints is not None and hello is not None and not hello.sees_checkpoints:
            yield NotSaved(attempt.pack[0].key, f"{member.node.name} does not see {self._work.checkpoints}")

    def _release(self, member: Member) -> None:
        self._members.remove(member)
        fire(member)

    # What they say ----------------------------------------------------------------------------------------

    def _listen(self) -> Iterator[Event]:
        asked = {member.asked: member for member in self._members if not member.is_idle}
        if not asked:
            time.sleep(_LOOK)
            return
        ready, _ = ray.wait([*asked], num_returns=1, timeout=_LOOK)
        if ready and len(asked) > 1:
            ready, _ = ray.wait([*asked], num_returns=len(asked), timeout=0)
        for ref in ready:
            member = asked[ref]
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayError as problem:
                yield from self._lost(member, problem)
                continue
            match answer:
                case Hello():
                    member.hello = answer
                case Lacks(models):
                    assert member.attempt is not None
                    yield from self._begin(member, member.attempt, models)
                case _:
                    yield from self._heard(member, answer)

    def _heard(self, member: Member, said: Sequence[Event | Done]) -> Iterator[Event]:
        attempt = member.attempt
        assert attempt is not None
        for one in said:
            if isinstance(one, Done):
                member.attempt = None
                if self._is_over:
                    self._release(member)
            elif isinstance(one, Notice) or one.key in attempt.open:  # what ended before is not told again
                if isinstance(one, Finished | Failed):
                    attempt.open.discard(one.key)
                yield one
        if member.attempt is not None:
            member.asked = member.handle.more.remote()

    def _lost(self, member: Member, problem: Exception) -> Iterator[Event]:
        self._release(member)
        is_reachable = not isinstance(problem, ray.exceptions.ActorUnavailableError)
        self._nodes.lost(member.node.id, is_reachable=is_reachable)
        why = _why(problem) if member.node.id in self._nodes else "its node is gone"
        attempt = member.attempt
        if attempt is None:
            cause = getattr(problem, "cause", None)
            if isinstance(cause, BitspecError):
                self._nodes.refuse(member.node.id, cause.diagnostics[0].message)
            elif member.hello is None and member.node.id in self._nodes:
                self._nodes.failed(member.node.id, f"no worker can begin there ({why})")
            return
        if self._is_over:
            return
        attempt.losses += 1
        trials = counted(len(attempt.open), "trial")
        if not attempt.open:
            return
        if attempt.losses <= self._retries:
            say(f"a worker on {member.node.name} was lost ({why}); its {trials} will be trained by another")
            self._returned.append(attempt)
            return
        times = counted(attempt.losses, "time")
        for key in sorted(attempt.open):
            message = f"the worker that trained it was lost {times}, the last time on {member.node.name} ({why})"
            yield Failed(key, "failed", message, "see what Ray's logs say on that node; `--retries` allows more")

    # How it ends ------------------------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self._deadline != float("inf")

    def _dismiss(self) -> None:
        """Ask all to save what they have, and to end; those that have nothing end now."""
        if self._is_over:
            return
        self._deadline = time.monotonic() + SAVING
        self._returned.clear()
        for member in [*self._members]:
            if member.attempt is None:
                self._release(member)
            else:
                member.handle.stop.remote()

    def _give_up(self) -> Iterator[Event]:
        """End those that were asked to save what they have, and did not come to it."""
        if time.monotonic() < self._deadline:
            return
        for member in [*self._members]:
            if member.attempt is not None and member.attempt.open:
                yield NotSaved(min(member.attempt.open), f"{member.node.name} took more than {SAVING:g} seconds for it")
            self._release(member)


def _why(problem: Exception) -> str:
    """Why a worker was lost, as far as Ray knows."""
    if isinstance(problem, ray.exceptions.RayTaskError):
        return f"{type(problem.cause).__name__}: {' '.join(str(problem.cause).split())[:200]}"
    if isinstance(problem, ray.exceptions.OutOfMemoryError):
        return "the memory of its node was full"
    if isinstance(problem, ray.exceptions.ActorUnavailableError):
        return "it cannot be reached"
    if isinstance(problem, ray.exceptions.ObjectLostError):
        return "what it said was lost"
    return "its process ended: it was killed, or crashed"
