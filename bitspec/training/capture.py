"""How a device captures what is computed on it, to replay it with one launch: CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import ClassVar, Protocol

import torch

from bitspec.diagnostics import first_line


class Capture(Protocol):
    """How a device captures what is computed on it."""

    def running(self) -> AbstractContextManager[None]:
        """Steps are computed, captured and replayed inside of this."""
        ...

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Capture a step, which is not computed then, and return what replays it. Raises RuntimeError if it cannot."""
        ...

    def close(self) -> None:
        """Give back what was captured."""
        ...


class CudaGraphs:
    """CUDA graphs on a stream of their own. They share their memory: none reads what another has left."""

    #: Why a capture could not be ended in this process, in which none is tried again: torch may believe that it still
    #: goes on, and then neither gives back memory nor lets another one begin.
    failed: ClassVar[str | None] = None

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: list[torch.cuda.CUDAGraph] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """On the stream of the graphs, after all that was asked of the usual one, and before all that will be."""
        outside = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Capture a step, and return what replays it. Raises what the step does, or RuntimeError if it has no end."""
        if CudaGraphs.failed is not None:
            raise RuntimeError(CudaGraphs.failed)
        graph = torch.cuda.CUDAGraph()
        first: BaseException | None = None
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                try:
                    step()
                except BaseException as problem:
                    first = problem
                    raise
        except BaseException as problem:
            if problem is not first:  # of a step that may not be captured, the end only says that it cannot be had
                CudaGraphs.failed = first_line(first or problem)
            raise first or problem from None
        self._graphs.append(graph)
        return graph.replay

    def close(self) -> None:
        """Give back the graphs, all at once: torch clears what graphs of one stream share when the first one goes."""
        torch.cuda.synchronize(self._device)
        for graph in self._graphs:
            graph.reset()
        self._graphs.clear()


def capture_on(device: torch.device) -> Callable[[], Capture] | None:
    """What makes a capture for the steps of a pack on a device; None where there is none."""
    return partial(CudaGraphs, device) if device.type == "cuda" else None
