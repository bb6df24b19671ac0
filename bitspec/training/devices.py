"""Where training runs: devices of torch by name, and what provenance calls them."""

from __future__ import annotations

import os
from typing import Final

import torch

from bitspec.diagnostics import BitspecError, error, listed

#: What is said of a device on which steps are captured and replayed.
GRAPHS: Final = "CUDA graphs"


def device(name: str | None) -> torch.device:
    """A device by its name (`cpu`, `cuda`, `cuda:1`), or the best there is. Raises BitspecError if there is none."""
    try:
        found = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if found.type not in {"cpu", "cuda"}:
            raise RuntimeError
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as problem:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        hint = f"this machine has {listed(there, 'and')}"
        raise BitspecError(error("no-device", f"`--device {name or 'cuda'}` cannot be used", help=hint)) from problem
    if found.type == "cuda":
        # The same trial twice is equal bit for bit: sums in a fixed order, where torch has them.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing here reads what it did not write.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - unknown to mypy
    return found


def device_name(found: torch.device, *, graphs: bool = False) -> str:
    """What provenance calls a device: `cpu`, or `cuda` with the name of the GPU.

    With `graphs`, a GPU computes steps in the shapes that CUDA graphs have, which their roundings depend on.
    """
    if found.type != "cuda":
        return str(found)
    name = f"cuda: {torch.cuda.get_device_name(found)}"
    return f"{name}, {GRAPHS}" if graphs else name


def threads() -> int:
    """Threads on which torch computes, which its sums depend on."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Compute on so many threads from here on."""
    torch.set_num_threads(count)


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that memory ran out, that of a GPU or of this machine."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(problem).lower()
    return any(words in said for words in ("allocate memory", "out of memory", "alloc_failed"))
