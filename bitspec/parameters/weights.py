"""The files of a model's weights: which of them there are, whether they are whole, and where each tensor lies."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from safetensors import SafetensorError, safe_open

from bitspec.diagnostics import BitspecError, Diagnostic, error

#: All weights in one file, or the file that names those that hold them.
SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"

#: The same as pickles, which are read only where the user allows it.
PICKLED_SINGLE: Final = "pytorch_model.bin"
PICKLED_INDEX: Final = "pytorch_model.bin.index.json"
PICKLED: Final = ".bin"

#: How the files begin in which torch has kept tensors since its version 1.6.
_ZIP: Final = b"PK\x03\x04"

#: Bytes; the index of the largest models takes a few hundred thousand.
LARGEST_INDEX: Final = 64 * 2**20

#: What Git leaves in the place of a large file that it did not fetch.
_LFS_POINTER: Final = b"version https://git-lfs"


class Stored(NamedTuple):
    """A tensor in a file: its bytes are those from `start` to `end`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def stored(path: Path, source: str) -> tuple[Stored, ...]:
    """The tensors of a safetensors file in the order of their bytes; only the header is read.

    Raises BitspecError if the file is cut off, or no safetensors file.
    """
    check_whole(path, source)
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    header.pop("__metadata__", None)
    data = 8 + size
    tensors = [
        Stored(name, entry["dtype"], tuple(entry["shape"]), *(data + offset for offset in entry["data_offsets"]))
        for name, entry in header.items()
    ]
    return tuple(sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)))


def check_whole(path: Path, source: str, *, help_line: str | None = None) -> None:
    """Compare a safetensors file's header with its size. Raises BitspecError if it is cut off, or none at all."""
    try:
        with safe_open(path, framework="numpy"):
            return
    except SafetensorError as problem:
        raise BitspecError(_damaged(path, source, str(problem), help_line)) from problem
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem


def check_whole_pickle(path: Path, source: str, *, help_line: str | None = None) -> None:
    """Look at a pickle of weights from outside: nothing of it is unpickled. Raises BitspecError if it is cut off."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
        is_cut = not start or (start.startswith(_ZIP) and not zipfile.is_zipfile(path))
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    if is_cut or start == _LFS_POINTER:
        reason = "it has no end" if start else "it is empty"
        raise BitspecError(_damaged(path, source, reason, help_line))


def read_index(path: Path, source: str) -> tuple[str, ...]:
    """The names of the files that an index says hold the weights, in order.

    Raises BitspecError if it is no index, or names files outside its folder.
    """
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        content = json.loads(path.read_bytes())
        names = sorted(set(content["weight_map"].values()))
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as problem:
        reason = "it has no `weight_map` of files" if isinstance(problem, KeyError | TypeError | AttributeError) else ""
        raise BitspecError(_bad_index(path, source, reason or str(problem))) from problem
    ending, kind = (PICKLED, "pickle") if path.name == PICKLED_INDEX else (".safetensors", "safetensors file")
    for name in names:
        # A model is data: reading one never leaves its folder.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(ending):
            raise BitspecError(_bad_index(path, source, f"it names `{name}`, which is no {kind} beside it"))
    if not names:
        raise BitspecError(_bad_index(path, source, "it names no file"))
    return tuple(names)


def unreadable(source: str, path: Path | str, problem: OSError) -> Diagnostic:
    """What to say of a file of a model that the system does not let us read."""
    return error("unreadable-model", f"`{source}` cannot be read", help=f"{path}: {problem.strerror or problem}")


def _damaged(path: Path, source: str, problem: str, help_line: str | None) -> Diagnostic:
    with path.open("rb") as file:
        is_pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
    if is_pointer:
        return error(
            "bad-weights",
            f"`{path.name}` of `{source}` is only a pointer that Git LFS left in the place of the weights",
            help=f"run `git lfs pull` in {path.parent}",
        )
    kind = "file of weights" if path.suffix == PICKLED else "safetensors file"
    return error(
        "bad-weights",
        f"`{path.name}` of `{source}` is cut off, or no {kind}",
        help=f"{help_line or 'copy or fetch it again'} ({path} has {path.stat().st_size:,} bytes: {problem})",
    )


def _bad_index(path: Path, source: str, reason: str) -> Diagnostic:
    return error("bad-weights", f"the `{path.name}` of `{source}` is no index of weights: {reason}", help=str(path))
