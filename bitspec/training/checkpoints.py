"""Checkpoints: how far trials that are trained together have come, as a safetensors file; no pickle is involved.

A checkpoint is small where little is trained: of each trial it has the flat vector of trained values and the two
moments of AdamW. Which trials go together is part of it, and its name: what goes on from it comes out the same, bit for
bit, as what was never stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bitspec.ir.events import Epoch
from bitspec.whole import written

#: What the metadata call this form.
FORMAT: Final = "bitspec.checkpoint/1"

_Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True)
class TrialState:
    """One trial on its way: `epochs` that it has ended, and of all it trains values and moments, flat.

    `layout` stands for which value is where in them, `updates` is how many steps the optimizer has done.
    """

    key: str
    layout: str
    epochs: tuple[Epoch, ...]
    updates: int
    values: _Array
    mean: _Array
    square: _Array


@dataclass(frozen=True)
class Checkpoint:
    """Trials on their way together, at a step between two others.

    `step` counts from the beginning of the training, `epoch` is how many are ended. Of the epoch that is under way:
    `seen` examples, `seconds` that it took, and the sum of each trial's losses. `in_buckets` is what its course is.
    """

    step: int
    epoch: int
    seen: int
    seconds: float
    losses: _Array
    in_buckets: bool
    trials: tuple[TrialState, ...]


@dataclass(frozen=True)
class Saved:
    """What can be said of a checkpoint without reading it: its file, its trials in their order, and its step."""

    path: Path
    keys: tuple[str, ...]
    step: int
    epoch: int


def place(folder: Path, keys: Sequence[str]) -> Path:
    """The file of the checkpoint of trials that go together, in a folder of checkpoints."""
    return folder / f"{hashlib.sha256(' '.join(keys).encode()).hexdigest()[:32]}.safetensors"


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, in place of an earlier one of the same trials; whenever the power fails, one is whole.

    Raises OSError where it cannot be written.
    """
    keys = [trial.key for trial in checkpoint.trials]
    path = place(folder, keys)
    arrays = {"losses": checkpoint.losses}
    for number, trial in enumerate(checkpoint.trials):
        arrays |= {f"{number}.values": trial.values, f"{number}.mean": trial.mean, f"{number}.square": trial.square}
    facts = {
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "seen": checkpoint.seen,
        "seconds": checkpoint.seconds,
        "in_buckets": checkpoint.in_buckets,
        "trials": [
            {
                "layout": trial.layout,
                "updates": trial.updates,
                "epochs": [epoch.model_dump() for epoch in trial.epochs],
            }
            for trial in checkpoint.trials
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    with written(path, synced=True) as unfinished:
        try:
            save_file(arrays, unfinished, {"format": FORMAT, "keys": json.dumps(keys), "facts": json.dumps(facts)})
        except SafetensorError as problem:  # it has no class of its own for a disk that is full
            raise OSError(str(problem)) from problem
    return path


def load(folder: Path, keys: Sequence[str]) -> Checkpoint | None:
    """The checkpoint of these trials, in this order; None if there is none, or it cannot be read."""
    try:
        with safe_open(place(folder, keys), framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or json.loads(metadata["keys"]) != list(keys):
                return None
            facts = json.loads(metadata["facts"])
            return Checkpoint(
                step=facts["step"],
                epoch=facts["epoch"],
                seen=facts["seen"],
                seconds=facts["seconds"],
                losses=file.get_tensor("losses"),
                in_buckets=facts.get("in_buckets", False),  # before there were buckets, it was not said
                trials=tuple(
                    TrialState(
                        key=key,
                        layout=own["layout"],
                        epochs=tuple(Epoch.model_validate(epoch) for epoch in own["epochs"]),
                        updates=own["updates"],
                        values=file.get_tensor(f"{number}.values"),
                        mean=file.get_tensor(f"{number}.mean"),
                        square=file.get_tensor(f"{number}.square"),
                    )
                    for number, (key, own) in enumerate(zip(keys, facts["trials"], strict=True))
                ),
            )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def remove(folder: Path, keys: Sequence[str]) -> None:
    """Remove the checkpoint of these trials, if there is one."""
    with suppress(OSError):
        place(folder, keys).unlink(missing_ok=True)


def clear(folder: Path, ended: Collection[str]) -> None:
    """Remove the checkpoints all of whose trials have ended."""
    for one in saved(folder):
        if all(key in ended for key in one.keys):
            remove(folder, one.keys)


def saved(folder: Path) -> tuple[Saved, ...]:
    """All checkpoints in a folder that can be read, those that have come furthest first."""
    found = sorted(_readable(folder), key=lambda one: (-one.step, one.path.name))
    return tuple(found)


def _readable(folder: Path) -> Iterator[Saved]:
    for path in folder.glob("*.safetensors"):
        with suppress(SafetensorError, OSError, KeyError, ValueError, TypeError):
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
            if metadata.get("format") == FORMAT:
                facts = json.loads(metadata["facts"])
                yield Saved(
                    path, tuple(map(str, json.loads(metadata["keys"]))), int(facts["step"]), int(facts["epoch"])
                )
