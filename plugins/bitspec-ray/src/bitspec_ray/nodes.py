"""The nodes of a cluster: which there are now, how many packs each can train at once, and which cannot be used."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bitspec.diagnostics import counted, listed
from bitspec_ray.cluster import say
from bitspec_ray.worker import Passport, passport

#: Seconds after which it is looked again which nodes there are.
LOOK: Final = 1.0

#: Seconds in which nothing is begun on a node that could not be reached: by then the cluster knows if it is gone.
_DOUBT: Final = 15.0

#: Times that what is asked of a node may come to nothing before it is not used.
_FAILURES: Final = 3


@dataclass(frozen=True)
class Needs:
    """What a pack needs of the node that trains it."""

    cpus: int
    gpus: float

    def times(self, resources: Mapping[str, float]) -> int:
        """How many such packs fit into the resources of a node."""
        fitting = resources.get("CPU", 0.0) // self.cpus
        if self.gpus:
            gpus = resources.get("GPU", 0.0)
            # A share of a GPU is one of the same GPU: three times 0.4 do not fit into two.
            fitting = min(fitting, gpus * (1 // self.gpus))
        return math.floor(fitting)

    def __str__(self) -> str:
        cpus = counted(self.cpus, "CPU")
        return f"{cpus} and {_gpus(self.gpus)}" if self.gpus else cpus


@dataclass(frozen=True)
class Node:
    """A node that is there: its id, what people call it, and how many packs it can train at once."""

    id: str
    name: str
    slots: int


class Nodes:
    """The nodes of the cluster that this process has joined, as of now; each is looked at once before it is used.

    A node that has other versions than this process, or where nothing can be begun, is told of and not used.
    """

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.refused: dict[str, str] = {}
        self._known: dict[str, Node] = {}
        self._good: set[str] = set()
        self._asked: dict[str, ray.ObjectRef[Any]] = {}
        self._failures: dict[str, int] = {}
        self._doubted: dict[str, float] = {}
        self._looked = float("-inf")

    @property
    def usable(self) -> tuple[Node, ...]:
        """Those that can train a pack."""
        now = time.monotonic()
        return tuple(
            node for id_, node in self._known.items() if id_ in self._good and self._doubted.get(id_, 0.0) <= now
        )

    @property
    def slots(self) -> int:
        """How many packs can be trained at once."""
        return sum(node.slots for node in self.usable)

    @property
    def why_none(self) -> str | None:
        """Why none of those that are there can be used; None if one can, may be found to, or there is none."""
        if self._good or self._asked or not self._known:
            return None
        return next((self.refused[id_] for id_ in self._known if id_ in self.refused), None)

    @property
    def is_settled(self) -> bool:
        """Whether all that are there have said what they are."""
        return not self._asked

    @property
    def fitting(self) -> bool:
        """Whether any node is large enough for a pack."""
        return bool(self._known)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._known

    def look(self) -> None:
        """See which nodes there are, at most once in LOOK seconds, and what the new ones say of themselves."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        self._known = {
            one["NodeID"]: Node(one["NodeID"], _name(one), slots)
            for one in _alive()
            if (slots := self.needs.times(one["Resources"])) > 0
        }
        self._good &= self._known.keys()
        self._asked = {id_: ref for id_, ref in self._asked.items() if id_ in self._known}
        for id_ in self._known.keys() - self._good - self._asked.keys() - self.refused.keys():
            self._asked[id_] = ray.remote(passport).options(num_cpus=0, max_retries=0, **on(id_)).remote()
        if self._asked:
            waiting = list(self._asked.values())
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
            for id_ in [id_ for id_, ref in self._asked.items() if ref in ready]:
                self._answered(id_, self._asked.pop(id_))

    def lost(self, id_: str, *, is_reachable: bool) -> None:
        """A worker of a node was lost: see at once whether it is there, and if it is not reachable leave it for now."""
        if not is_reachable:
            self._doubted[id_] = time.monotonic() + _DOUBT
        self._looked = float("-inf")
        self.look()

    def failed(self, id_: str, why: str) -> None:
        """Something could not be begun on a node: after a few times, it is not used any more."""
        self._failures[id_] = self._failures.get(id_, 0) + 1
        if self._failures[id_] >= _FAILURES:
            self.refuse(id_, why)

    def refuse(self, id_: str, why: str) -> None:
        """Use a node no more, and tell so once."""
        self._good.discard(id_)
        if id_ in self._known and id_ not in self.refused:
            self.refused[id_] = f"the node {self._known[id_].name} is not used: {why}"
            say(self.refused[id_])

    def _answered(self, id_: str, ref: ray.ObjectRef[Any]) -> None:
        try:
            found: Passport = ray.get(ref)
        except ray.exceptions.RayTaskError as problem:  # it cannot even import what it is asked for
            cause = problem.cause if isinstance(problem.cause, ImportError) else None
            self.refuse(id_, f"bitspec-ray cannot be used there ({cause or type(problem.cause).__name__})")
        except ray.exceptions.RayError as problem:
            self.failed(id_, f"nothing can be begun there ({type(problem).__name__})")
        else:
            wrong = passport().misfits(found)
            if wrong:
                self.refuse(id_, f"{listed(wrong, 'and', quote='')}")
            else:
                self._good.add(id_)


def on(id_: str) -> dict[str, Any]:
    """The option of a task or an actor by which it is on one node and on no other."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=id_, soft=False)}


def has() -> str:
    """What the cluster has, in words: `2 nodes with 2 CPUs and no GPU, 64 CPUs and 8 GPUs`."""
    alive = [one["Resources"] for one in _alive()]
    each = [f"{counted(round(one.get('CPU', 0)), 'CPU')} and {_gpus(one.get('GPU', 0))}" for one in alive]
    kinds = [f"{counted(each.count(one), 'node')} with {one}" for one in dict.fromkeys(each)]
    return listed(kinds, "and", quote="") if kinds else "no node"


def has_gpus() -> bool:
    """Whether a node of the cluster has a GPU."""
    return any(one["Resources"].get("GPU", 0) > 0 for one in _alive())


def _alive() -> list[dict[str, Any]]:
    return [one for one in ray.nodes() if one["Alive"]]  # type: ignore[no-untyped-call]


def _gpus(number: float) -> str:
    if not number:
        return "no GPU"
    return counted(round(number), "GPU") if number == round(number) else f"{number:g} of a GPU"


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"
