"""What lies in a store's folder beside its database: trained values, checkpoints, and what was half-written."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from bitspec.whole import UNFINISHED

#: What safetensors calls a file while it writes it.
_UNDER_ANOTHER_NAME: Final = ".tmp*"

#: Seconds after which a half-written file is taken for one of a process that was killed.
STALE: Final = 3600

#: The folders in a store's own.
VALUES: Final = "values"
CHECKPOINTS: Final = "checkpoints"

#: What the metadata of a checkpoint call its form.
CHECKPOINT_FORMAT: Final = "bitspec.checkpoint/1"

#: The key of a trial, as a whole.
KEY: Final = re.compile("[0-9a-f]{64}")

_CHECKPOINT: Final = re.compile(r"[0-9a-f]{32}\.safetensors")


def values_name(key: str) -> str:
    """Where the values of a trial are kept, relative to the store's folder."""
    return f"{VALUES}/{key}.safetensors"


def values_files(store: Path) -> dict[str, Path]:
    """The files of trained values in a store's folder, by the keys that their names say."""
    found = (store / VALUES).glob("*.safetensors")
    return {path.stem: path for path in sorted(found) if KEY.fullmatch(path.stem) and path.is_file()}


def checkpoints(store: Path) -> list[Path]:
    """The checkpoints in a store's folder."""
    return [path for path in sorted((store / CHECKPOINTS).glob("*")) if _CHECKPOINT.fullmatch(path.name)]


def strangers(store: Path) -> list[Path]:
    """What lies among the values and the checkpoints and was not put there by bitspec; hidden files aside."""
    ours = {*values_files(store).values(), *checkpoints(store)}
    lying = [path for folder in (VALUES, CHECKPOINTS) for path in sorted((store / folder).glob("[!.]*"))]
    return [path for path in lying if path not in ours]


def stale(folder: Path) -> list[Path]:
    """What was half-written in a folder when its process was killed."""
    found = []
    for path in sorted([*folder.glob(f"{UNFINISHED}*"), *folder.glob(_UNDER_ANOTHER_NAME)]):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - STALE:
                found.append(path)
    return found


def sweep(folder: Path) -> None:
    """Remove what was half-written in a folder when its process was killed."""
    for path in stale(folder):
        with suppress(OSError):
            remove(path)


def remove(path: Path) -> int:
    """Remove a file, or a folder with all that is in it, and return how many bytes it had; none if it is gone."""
    size = 0
    with suppress(FileNotFoundError):  # its own process may be quicker
        if path.is_dir():
            size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
            shutil.rmtree(path)
        else:
            size = path.stat().st_size
            path.unlink()
    return size


def checkpoint_keys(path: Path) -> tuple[str, ...]:
    """The keys of the trials that a checkpoint holds. Raises ValueError, with the reason, if it cannot be read."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as problem:
        raise ValueError(str(problem)) from problem
    form = metadata.get("format", "unknown")
    if form != CHECKPOINT_FORMAT:
        raise ValueError(f"its format is {form}, not {CHECKPOINT_FORMAT}")
    keys = json.loads(metadata.get("keys", "[]"))
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError("it does not say which trials it holds")
    return tuple(keys)
