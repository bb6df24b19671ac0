"""Trained values as a safetensors file, one for each trial.

For every tensor of the whole model, by its full name, there is a flat tensor of its trained values; beside it, under
the name with `#rows`, `#cols`, `#entries` or `#allbut`, are the indices of its mask (none where all of it is trained).
The metadata say which tensor has which shape and mask, so the file can be read without a store.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.whole import sync, usual_mode

#: What the metadata call this form.
FORMAT: Final = "bitspec.values/1"

_MASKS: Final[Mapping[str, type[Rows | Cols | Entries | AllBut]]] = {
    "rows": Rows,
    "cols": Cols,
    "entries": Entries,
    "allbut": AllBut,
}
_WORDS: Final = {mask: word for word, mask in _MASKS.items()}


def write_values(path: Path, values: TrainedValues, about: Mapping[str, str]) -> None:
    """Write trained values to a new file and have the disk keep it; `about` goes into its metadata.

    Raises ValueError if two tensors would go by one name, OSError where the file cannot be written.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    shapes: dict[str, dict[str, Any]] = {}
    for name, tensor in values.tensors.items():
        word = "whole" if isinstance(tensor.mask, Whole) else _WORDS[type(tensor.mask)]
        if tensor.values.size != tensor.mask.count(tensor.shape):
            raise ValueError(f"{name} has {tensor.values.size} values for {tensor.mask.count(tensor.shape)} entries")
        parts = {name: np.ascontiguousarray(tensor.values).reshape(-1)}
        if not isinstance(tensor.mask, Whole):
            indices = tensor.mask.indices
            is_small = indices[-1] <= np.iinfo(np.int32).max
            parts[f"{name}#{word}"] = indices.astype(np.int32) if is_small else indices
        if arrays.keys() & parts.keys():
            raise ValueError(f"the name {name} is that of another tensor, or of its indices")
        arrays |= parts
        shapes[name] = {"shape": list(tensor.shape), "mask": word}
    metadata = {**about, "format": FORMAT, "tensors": json.dumps(shapes)}
    try:
        save_file(arrays, path, metadata)
    except SafetensorError as problem:
        raise _of_system(problem) from problem
    path.chmod(usual_mode(path.parent))  # safetensors leaves it to nobody else, and a store may be shared
    sync(path)


def read_about(path: Path) -> dict[str, str]:
    """What a file of trained values says of its trial: its key, model, task, seed, selection and settings.

    Raises BitspecError if it is not one of ours, or is damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            return _about(path, file)
    except (SafetensorError, OSError) as problem:
        raise BitspecError(_not_ours(path, str(problem))) from problem


def read_values(path: Path) -> TrainedValues:
    """The trained values in a file. Raises BitspecError if it is not one of ours, or is damaged."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = _about(path, file)
            return TrainedValues(
                {
                    name: TrainedTensor(
                        shape=tuple(facts["shape"]),
                        mask=_mask(file, name, facts["mask"]),
                        values=file.get_tensor(name),
                    )
                    for name, facts in json.loads(metadata["tensors"]).items()
                }
            )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise BitspecError(_not_ours(path, str(problem))) from problem


def _about(path: Path, file: Any) -> dict[str, str]:
    metadata: dict[str, str] = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise BitspecError(_not_ours(path, f"its format is {metadata.get('format', 'unknown')}, not {FORMAT}"))
    return metadata


def _of_system(problem: SafetensorError) -> OSError:
    """What the system said, which safetensors has only as a text: `I/O error: … (os error 28)`."""
    found = re.search(r"\(os error (\d+)\)", str(problem))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else OSError(str(problem))


def _mask(file: Any, name: str, word: str) -> Mask:  # safetensors has no name for what it opens
    return Whole() if word == "whole" else _MASKS[word](file.get_tensor(f"{name}#{word}"))


def _not_ours(path: Path, why: str) -> Any:
    return error(
        "values-broken",
        f"the trained values in `{path}` cannot be read: {why}",
        help="put a copy of the file back; or move the store away and run the trial again",
    )
