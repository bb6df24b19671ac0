"""Clusters of several nodes on one machine, and the numbers that the local runner comes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch

from studies import Asked, asked, numbers, write_study

#: Ray's own sockets and processes are closed when it pleases.
_OF_RAY = ("ignore::ResourceWarning", "ignore::DeprecationWarning:ray.*", "ignore::FutureWarning:ray.*")

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for filter_ in _OF_RAY:
            item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture(scope="session", autouse=True)
def _of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers of small models have
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BITSPEC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """A study whose trials take a few seconds each."""
    return asked(write_study(tmp_path_factory.mktemp("study"), epochs=12))


@pytest.fixture(scope="session")
def local(study: Asked) -> dict[str, object]:
    """What the local runner makes of it."""
    from bitspec.runners.local import LocalRunner
    from bitspec.runners.protocol import Queue

    return numbers(LocalRunner().run(study.work, Queue(study.packs)))


Clusters = Callable[..., Any]


@pytest.fixture
def cluster() -> Iterator[Clusters]:
    """Starts a cluster: a head with so many CPUs, and nodes. `remove_node` kills one that is not the head."""
    import ray
    from ray.cluster_utils import Cluster

    made: list[Cluster] = []

    def make(head: int, *others: int) -> Cluster:
        made.append(Cluster(initialize_head=True, head_node_args={"num_cpus": head, "include_dashboard": False}))
        for count in others:
            made[-1].add_node(num_cpus=count)
        return made[-1]

    yield make
    ray.shutdown()
    for one in made:
        with suppress(Exception):
            one.shutdown()
