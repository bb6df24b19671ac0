"""What stands for CUDA graphs on a CPU: every operation of a step is taken down with its tensors, and done once more.

As in a graph, each operation reads and writes the memory that it did when it was captured, and numbers that came from
Python are what they were then. Whatever a step reads from elsewhere, a replay would not notice: its values differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations whose result Python looks at, or whose shape depends on what is in a tensor.
_WAITS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class Recorder:
    """A `Capture` of the CPU's. `captured` and `replayed` count; it `is_open` until it is closed."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0
        self.is_open, self.is_capturing = True, False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Nothing to do."""
        yield

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Take down a step, and undo it: a graph is not computed while it is captured."""
        assert self.is_open
        mode, self.is_capturing = _Mode(), True
        try:
            with mode:
                step()
        finally:
            self.is_capturing = False
            mode.undo()
        self.captured += 1

        def replay() -> None:
            assert self.is_open
            self.replayed += 1
            mode.replay()

        return replay

    def close(self) -> None:
        """No graph may be replayed from here on."""
        self.is_open = False


class Recorders:
    """Makes recorders, and keeps them."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []

    def __call__(self) -> Recorder:
        self.made.append(Recorder())
        return self.made[-1]


class Failing(Recorder):
    """Cannot capture anything."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002 - it fails before
        raise RuntimeError("CUDA error: operation not permitted\nCompile with `TORCH_USE_CUDA_DSA`")


class _Mode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        named = named or {}
        if function.namespace == "profiler":
            return function(*arguments, **named)
        if _WAITS & set(function.tags) and not _is_by_number(function, arguments):
            raise RuntimeError(f"{function} waits for the device")
        slots = function._schema.arguments
        given = dict(zip((slot.name for slot in slots), arguments, strict=False)) | named
        written = [
            given[slot.name]
            for slot in slots
            if slot.name in given and slot.alias_info is not None and slot.alias_info.is_write
        ]
        for tensor in tree_leaves(written):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.before:
                whole = torch.empty(0, dtype=torch.uint8).set_(storage)
                self.before[storage.data_ptr()] = (whole, whole.clone())
        found = function(*arguments, **named)
        self.calls.append((function, arguments, named, found))
        return found

    def undo(self) -> None:
        for whole, before in self.before.values():
            whole.copy_(before)

    @torch.no_grad()
    def replay(self) -> None:
        for function, arguments, named, found in self.calls:
            again = function(*arguments, **named)
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():  # no view, and not written in place
                    old.copy_(new)


def _is_by_number(function: Any, arguments: Any) -> bool:
    # Indexing has the shape of its indices, unless they are booleans.
    return function is torch.ops.aten.index.Tensor and all(
        index is None or index.dtype == torch.int64 for index in arguments[1]
    )
