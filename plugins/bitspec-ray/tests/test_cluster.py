"""A study on clusters of several nodes: the same numbers as on one machine, whatever becomes of the nodes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bitspec.ir.events import EpochEnded, Event, Failed, Started
from bitspec.plugins import Refusal
from bitspec.runners.protocol import Queue
from bitspec_ray import nodes
from bitspec_ray.crew import Crew, Member
from bitspec_ray.runner import RayRunner
from studies import Asked, counts, numbers

Clusters = Callable[..., Any]


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> list[Member]:
    """All workers that were ever hired, in order."""
    from bitspec_ray import crew

    found: list[Member] = []
    hire = crew.hire

    def noting(*arguments: Any) -> Member:
        found.append(hire(*arguments))
        return found[-1]

    monkeypatch.setattr(crew, "hire", noting)
    return found


def test_three_nodes_one_of_which_is_killed(
    study: Asked, local: dict[str, object], cluster: Clusters, members: list[Member], capfd: pytest.CaptureFixture[str]
) -> None:
    several = cluster(1, 1, 1)
    by_id = {node.node_id: node for node in several.worker_nodes}
    events: list[Event] = []
    killed: str | None = None
    for event in RayRunner(several.address).run(study.work, Queue(study.packs)):
        events.append(event)
        if killed is None and isinstance(event, EpochEnded):  # in the middle of a trial
            busy = next(one for one in members if one.attempt and event.key in one.attempt.open)
            if busy.node.id in by_id:
                killed = busy.node.id
                several.remove_node(by_id[killed], allow_graceful=False)
    assert numbers(events) == local
    assert len(local) == len(study.plan.trials) == 6
    assert counts(events)["Started"] > 6  # what was lost was begun twice
    assert len({member.node.id for member in members}) == 3
    assert sum(member.node.id == killed for member in members) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"was lost \((its node is gone|it cannot be reached)\); its . trial", err)


@pytest.mark.slow
def test_a_node_that_comes_later_is_used(
    study: Asked, local: dict[str, object], cluster: Clusters, members: list[Member]
) -> None:
    several = cluster(1)
    events: list[Event] = []
    for event in RayRunner(several.address).run(study.work, Queue(study.packs)):
        if not events:
            several.add_node(num_cpus=1)
        events.append(event)
    assert numbers(events) == local
    assert len({member.node.id for member in members}) == 2


@pytest.mark.slow
def test_a_study_waits_where_there_is_no_node(
    study: Asked,
    local: dict[str, object],
    cluster: Clusters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bitspec_ray import crew

    several = cluster(0, 1)
    only = next(iter(several.worker_nodes))
    said: list[str] = []

    def say(message: str) -> None:
        said.append(message)
        if "waiting until one comes" in message:
            several.add_node(num_cpus=1)

    monkeypatch.setattr(crew, "say", say)
    events: list[Event] = []
    for event in RayRunner(several.address).run(study.work, Queue(study.packs[-2:])):
        if not events:
            several.remove_node(only, allow_graceful=False)
        events.append(event)
    assert numbers(events).items() <= local.items()
    assert counts(events)["Finished"] == 2
    assert [message.partition(" (")[0] for message in said if "was lost" not in message] == [
        "no node of the cluster has 1 CPU for a pack; waiting until one comes",
        "there is a node again: the study goes on",
    ]


@pytest.mark.slow
def test_a_worker_that_is_killed(
    study: Asked, local: dict[str, object], cluster: Clusters, members: list[Member], capfd: pytest.CaptureFixture[str]
) -> None:
    several = cluster(2)
    events: list[Event] = []
    has_killed = False
    for event in RayRunner(several.address).run(study.work, Queue(study.packs)):
        events.append(event)
        if isinstance(event, EpochEnded) and not has_killed:
            has_killed = True
            kill(members, event.key)
    assert numbers(events) == local
    assert "was lost (its process ended: it was killed, or crashed)" in capfd.readouterr().err


@pytest.mark.slow
def test_a_pack_that_is_lost_too_often_fails_and_no_other_does(
    study: Asked, local: dict[str, object], cluster: Clusters, members: list[Member]
) -> None:
    several = cluster(1)
    cursed = {planned.key for planned in study.packs[0]}
    events: list[Event] = []
    for event in RayRunner(several.address, retries=1).run(study.work, Queue(study.packs[:2])):
        events.append(event)
        if isinstance(event, EpochEnded) and event.key in cursed and event.epoch.number == 1:
            kill(members, event.key)
    failed = [event for event in events if isinstance(event, Failed)]
    assert {event.key for event in failed} == cursed
    assert "the worker that trained it was lost 2 times, the last time on" in failed[0].message
    others = numbers(event for event in events if event.key not in cursed)
    assert others.items() <= local.items()
    assert len(others) == 1


def kill(members: list[Member], key: str) -> None:
    """Kill the worker that trains a trial, if it still does."""
    for member in members:
        if member.attempt is not None and key in member.attempt.open and member.hello is not None:
            with suppress(ProcessLookupError):
                os.kill(member.hello.process, signal.SIGKILL)


@pytest.mark.slow
def test_a_node_with_another_version_is_not_used(
    study: Asked, local: dict[str, object], cluster: Clusters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "numpy-0.0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    before = os.environ.get("PYTHONPATH")
    several = cluster(0)
    several.add_node(num_cpus=1, env_vars={"PYTHONPATH": f"{tmp_path}{os.pathsep}{before or ''}"})
    with pytest.raises(Refusal, match=r"no node can be used: .* it has numpy 0\.0\.1, and here is "):
        RayRunner(several.address).device(study.work)
    several.add_node(num_cpus=1)
    runner = RayRunner(several.address)
    assert runner.device(study.work) == "cpu"
    events = list(runner.run(study.work, Queue(study.packs[-1:])))
    assert numbers(events).items() <= local.items()
    assert capsys.readouterr().err.count("is not used: it has numpy 0.0.1") == 2  # once for each runner


def test_needs_that_no_node_has(study: Asked, cluster: Clusters) -> None:
    several = cluster(1)
    with pytest.raises(Refusal, match="a pack has 7 CPUs, and no node is large enough: the cluster has") as found:
        RayRunner(several.address, cpus=7).device(study.work)
    assert "1 node with 1 CPU and no GPU" in str(found.value)
    from dataclasses import replace

    gpu = replace(study.work, device="cuda")
    with pytest.raises(Refusal, match="a pack has 1 CPU and 1 GPU, and no node is large enough"):
        RayRunner(several.address).device(gpu)


def test_an_event_of_a_trial_that_ended_before_is_not_told_again(study: Asked) -> None:
    from bitspec_ray.crew import Attempt
    from bitspec_ray.worker import Done

    first, second = (planned.key for planned in study.packs[0])
    attempt = Attempt(study.packs[0], {}, {second})
    crew = Crew(study.work, None, None, threads=1, retries=0, marker=None)  # type: ignore[arg-type]
    member = Member(None, None, None, attempt=attempt)  # type: ignore[arg-type]
    ended = [Failed(first, "failed", "…"), Started(second, 1, 1), Failed(second, "failed", "…"), Done()]
    told = list(crew._heard(member, ended))
    assert [(type(event).__name__, event.key) for event in told] == [("Started", second), ("Failed", second)]
    assert member.attempt is None


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "times"),
    [
        (1, 0, {"CPU": 4.0}, 4),
        (3, 0, {"CPU": 4.0}, 1),
        (1, 0, {}, 0),
        (1, 1.0, {"CPU": 4.0, "GPU": 2.0}, 2),
        (1, 0.5, {"CPU": 16.0, "GPU": 2.0}, 4),
        (1, 0.4, {"CPU": 16.0, "GPU": 2.0}, 4),
        (1, 0.5, {"CPU": 3.0, "GPU": 2.0}, 3),
        (1, 1.0, {"CPU": 4.0}, 0),
    ],
)
def test_how_often_needs_fit(cpus: int, gpus: float, resources: dict[str, float], times: int) -> None:
    assert nodes.Needs(cpus, gpus).times(resources) == times
