"""What is asked of `torch.cuda` to capture and replay; there is no GPU to try it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bitspec.training.capture import CudaGraphs


class FakeCuda:
    """Takes down what is asked of `torch.cuda`, for want of a GPU."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.now = "usual"
        self.has_end = True

    def stream_called(self, name: str) -> Any:
        return SimpleNamespace(name=name, wait_stream=lambda other: self.said.append(f"{name} waits for {other.name}"))

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.now = self.now, stream.name
        yield
        self.now = before

    @contextmanager
    def graph(self, graph: Any, *, pool: str, stream: Any) -> Iterator[None]:
        self.said.append(f"capture {graph.number} in {pool} on {stream.name}")
        try:
            yield
        finally:
            if not self.has_end:  # it raises by itself then, and hides what went wrong
                raise RuntimeError("operation failed due to a previous error during capture")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake, numbers = FakeCuda(), iter(range(9))

    def made() -> Any:
        number = next(numbers)
        return SimpleNamespace(
            number=number,
            replay=lambda: fake.said.append(f"replay {number}"),
            reset=lambda: fake.said.append(f"reset {number}"),
        )

    monkeypatch.setattr(CudaGraphs, "failed", None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: fake.stream_called("own"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: fake.stream_called("usual"))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "one pool")
    monkeypatch.setattr(torch.cuda, "stream", fake.stream)
    monkeypatch.setattr(torch.cuda, "graph", fake.graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", made)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: fake.said.append("synchronize"))
    return fake


def test_cuda_graphs_have_a_stream_and_a_pool_of_their_own(cuda: FakeCuda) -> None:
    capture = CudaGraphs(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="broken"), capture.running():
        raise RuntimeError("broken")
    assert cuda.said == ["own waits for usual", "usual waits for own"]
    cuda.said.clear()
    with capture.running():
        replays = [capture.capture(lambda: cuda.said.append(f"a step on {cuda.now}")) for _ in range(2)]
    replays[1]()
    capture.close()
    assert cuda.said[1:] == [
        "capture 0 in one pool on own",
        "a step on own",
        "capture 1 in one pool on own",
        "a step on own",
        "usual waits for own",
        "replay 1",
        "synchronize",
        "reset 0",
        "reset 1",
    ]


@pytest.mark.parametrize("problem", [torch.OutOfMemoryError("short"), RuntimeError("broken"), KeyboardInterrupt()])
def test_a_step_that_fails_says_why_and_others_are_captured(cuda: FakeCuda, problem: BaseException) -> None:
    capture = CudaGraphs(torch.device("cuda"))
    with pytest.raises(type(problem)) as failed:
        capture.capture(fails(problem))
    assert failed.value is problem
    capture.capture(lambda: None)()
    assert cuda.said[-1] == "replay 1"


@pytest.mark.parametrize("problem", [RuntimeError("broken\nby something"), KeyboardInterrupt()])
def test_where_a_capture_has_no_end_the_process_tries_no_other(cuda: FakeCuda, problem: BaseException) -> None:
    cuda.has_end = False
    with pytest.raises(type(problem)) as failed:
        CudaGraphs(torch.device("cuda")).capture(fails(problem))
    assert failed.value is problem
    said = list(cuda.said)
    with pytest.raises(RuntimeError, match=r"^(broken|KeyboardInterrupt)$"):
        CudaGraphs(torch.device("cuda")).capture(lambda: None)
    assert cuda.said == said


def test_a_capture_that_fails_by_itself(cuda: FakeCuda) -> None:
    cuda.has_end = False
    with pytest.raises(RuntimeError, match="previous error"):
        CudaGraphs(torch.device("cuda")).capture(lambda: None)
    assert CudaGraphs.failed == "operation failed due to a previous error during capture"


def fails(problem: BaseException) -> Callable[[], None]:
    def step() -> None:
        raise problem

    return step
