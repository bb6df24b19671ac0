"""The runner: packs of a study, each trained by a worker somewhere on a Ray cluster."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import ray

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Event
from bitspec.ir.trials import Planned
from bitspec.plugins import Refusal
from bitspec.runners.local import LocalRunner
from bitspec.runners.planner import Division, Packing, choose
from bitspec.runners.protocol import Pack, Packs, Stop, Work, never
from bitspec_ray.cluster import Cluster
from bitspec_ray.crew import Crew, Member, fire, hire
from bitspec_ray.nodes import LOOK, Needs, Nodes, has, has_gpus
from bitspec_ray.parcels import Shipping
from bitspec_ray.worker import Hello, Lacks

#: Seconds in which all nodes should have said what they are: how packs are made depends on how many there are.
_SETTLING: Final = 15.0

#: Seconds in which a node must be found to be usable, and in which a worker must begin, before a run does.
_FINDING: Final = 90.0
_BEGINNING: Final = 180.0


class RayRunner:
    """Trains on a Ray cluster: at `address`, or one on this machine that ends with the run.

    A pack has `cpus` CPUs and as many threads, and `gpus` GPUs. What is not given is as the local runner would have it:
    the same study comes out the same. A pack that is lost with its worker begins again, up to `retries` times.
    """

    def __init__(
        self, address: str | None = None, cpus: int | None = None, gpus: float | None = None, retries: int = 3
    ) -> None:
        self.address, self.cpus, self.gpus, self.retries = address, cpus, gpus, retries
        self._cluster: Cluster | None = None
        self._nodes: Nodes | None = None

    def device(self, work: Work) -> str:
        """What provenance calls the device. Raises Refusal if no cluster can be had, or none that could train it."""
        try:
            nodes = self._find_nodes(work)
            if not nodes.needs.gpus:
                return "cpu"
            member, hello = self._first(work, nodes)
            fire(member)
            return hello.device
        except BaseException:
            self._leave()
            raise

    def pack(
        self,
        work: Work,
        division: Division,
        packing: Packing,
        on_measure: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Pack, ...]:
        """The packs in which the cluster, as it is now, best trains a division of the trials of a study."""
        try:
            nodes = self._find_nodes(work)
            watch = _Stopwatch(self, work, nodes)
            workers = max(1, min(nodes.slots, len(division.plan.new)))
            try:
                return choose(division, packing, workers=workers, stopwatch=watch, on_measure=on_measure)
            finally:
                watch.close()
        except BaseException:
            self._leave()
            raise

    def run(self, work: Work, packs: Packs, stop: Stop = never) -> Generator[Event, None, None]:
        """Run all packs, wherever there is room."""
        try:
            nodes = self._find_nodes(work)
            sent = self._sent(work, nodes.needs)
            with _marked(work.checkpoints) as marker:
                crew = Crew(
                    sent, nodes, Shipping(work), threads=self.threads(work), retries=self.retries, marker=marker
                )
                yield from crew.run(packs, stop)
        finally:
            self._leave()

    def threads(self, work: Work) -> int:
        """With how many threads each worker trains: as many as the local runner would here."""
        from bitspec.training.devices import threads

        if self.cpus is not None:
            return self.cpus
        is_cpu = work.device == "cpu" or not self._gpus(work)
        alone = LocalRunner().threads(replace(work, device="cpu")) if is_cpu else None
        return alone or threads()

    def needs(self, work: Work) -> Needs:
        """What a pack needs. Raises Refusal if what is asked for makes no sense."""
        gpus = self._gpus(work)
        return Needs(self.cpus or (1 if gpus else self.threads(work)), gpus)

    def _gpus(self, work: Work) -> float:
        name = work.device
        if name not in {None, "cpu", "cuda"}:
            hint = "write `--device cuda`, or `--device cpu`"
            raise Refusal(f"`--device {name}` names one GPU of this machine, and Ray says which one a pack has", hint)
        if name == "cpu" and self.gpus:
            raise Refusal(
                f"`--device cpu` needs no GPU, and `--gpus {self.gpus:g}` asks for one", "leave one of both out"
            )
        if name == "cuda" and self.gpus == 0:
            raise Refusal("`--device cuda` needs a GPU, and `--gpus 0` asks for none", "leave one of both out")
        if name == "cpu":
            return 0.0
        if self.gpus is not None:
            return self.gpus
        return 1.0 if name == "cuda" or has_gpus() else 0.0

    def _sent(self, work: Work, needs: Needs) -> Work:
        """The work as workers have it: paths say the same wherever they are read."""
        checkpoints = None if work.checkpoints is None else work.checkpoints.absolute()
        device = "cuda" if needs.gpus else "cpu"
        return replace(work, base=work.base.absolute(), data_dir=None, device=device, checkpoints=checkpoints)

    def _find_nodes(self, work: Work) -> Nodes:
        """The nodes of the cluster, at least one of which can be used. Raises Refusal if none can."""
        if self._nodes is not None:
            return self._nodes
        if self._cluster is None:
            self._cluster = Cluster(self.address)
        needs = self.needs(work)
        nodes = Nodes(needs)
        began = time.monotonic()
        while not nodes.usable or not (nodes.is_settled or time.monotonic() - began > _SETTLING):
            nodes.look()
            if not nodes.fitting:
                hint = "`--cpus` and `--gpus` say what a pack has"
                raise Refusal(f"a pack has {needs}, and no node is large enough: the cluster has {has()}", hint)
            if nodes.why_none is not None:
                raise Refusal(f"no node can be used: {nodes.why_none}", "install there what is installed here")
            if not nodes.usable and time.monotonic() - began > _FINDING:
                raise Refusal(f"no node of the cluster answered in {_FINDING:g} seconds", "see what `ray status` says")
            time.sleep(LOOK / 20)
        self._nodes = nodes
        return nodes

    def _first(self, work: Work, nodes: Nodes) -> tuple[Member, Hello]:
        """A worker that has begun, the first one that does. Raises Refusal if none does in time."""
        members = [hire(node, nodes, self._sent(work, nodes.needs), self.threads(work)) for node in nodes.usable]
        refs = {member.asked: member for member in members}
        first: Member | None = None
        try:
            ready, _ = ray.wait([*refs], num_returns=1, timeout=_BEGINNING)
            if not ready:
                raise Refusal(
                    f"all nodes with {nodes.needs} are taken", "`ray status` says by how much; try again later"
                )
            try:
                hello: Hello = ray.get(ready[0])
            except ray.exceptions.RayTaskError as problem:
                if isinstance(problem.cause, BitspecError):
                    raise problem.cause from None
                raise
            first = refs[ready[0]]
            return first, hello
        finally:
            for member in members:
                if member is not first:
                    fire(member)

    def _leave(self) -> None:
        self._nodes = None
        if self._cluster is not None:
            self._cluster.leave()
            self._cluster = None


class _Stopwatch:
    """Times packs on a worker of the cluster, which is hired when the first one is timed."""

    def __init__(self, runner: RayRunner, work: Work, nodes: Nodes) -> None:
        self._runner, self._work, self._nodes = runner, work, nodes
        self._shipping = Shipping(work)
        self._member: Member | None = None
        self.threads = runner.threads(work)
        self.device = "cpu" if not nodes.needs.gpus else self._hired()[1]

    def steps(self, planned: Planned) -> int:
        """Steps that a trial takes."""
        settings = planned.trial.settings
        return settings.epochs * math.ceil(self._shipping.facts(planned.trial.task).training / settings.batch_size)

    def seconds(self, pack: Pack, steps: int, repeats: int) -> float | None:
        """Seconds of a step of a pack; None if there is not enough memory."""
        member, _ = self._hired()
        answer = ray.get(
            member.handle.seconds.remote(pack, steps, repeats, self._shipping.parcel(pack), member.node.slots)
        )
        if isinstance(answer, Lacks):
            parcel = self._shipping.parcel(pack, answer.models)
            answer = ray.get(member.handle.seconds.remote(pack, steps, repeats, parcel, member.node.slots))
        assert not isinstance(answer, Lacks)
        return None if answer is None else float(answer)

    def close(self) -> None:
        """End the worker."""
        if self._member is not None:
            fire(self._member)

    def _hired(self) -> tuple[Member, str]:
        if self._member is None:
            self._member, hello = self._runner._first(self._work, self._nodes)
            self._device = hello.device
        return self._member, self._device


@contextmanager
def _marked(folder: Path | None) -> Iterator[tuple[Path, str] | None]:
    """A file in a folder, and what is in it: whoever reads the same has the same folder. None without a folder."""
    if folder is None:
        yield None
        return
    word = secrets.token_hex(16)
    marker = folder.absolute() / f".here-{word[:8]}"
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(word, "ascii")
    except OSError:  # nothing can be saved there, and the first who tries says so
        pass
    try:
        yield marker, word
    finally:
        with suppress(OSError):
            marker.unlink()
