"""A model's fingerprint: one sha256 for all that a trial's numbers depend on in the model's folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, Diagnostic, error
from bitspec.parameters.cache import write
from bitspec.parameters.files import CONFIG, TOKENIZER_CONFIG, ModelFiles, model_files
from bitspec.parameters.models import read_json
from bitspec.parameters.structure import IGNORED_KEYS
from bitspec.parameters.weights import stored, unreadable

#: Raised by one when fingerprints are made in another way; all trials then have other keys.
FORMAT: Final = 1

#: The keys of a config that change no number; the class of the tokenizer changes how a text is read.
_IGNORED_IN_CONFIG: Final = IGNORED_KEYS - {"tokenizer_class"}

#: The keys of a tokenizer's config that change no token: how it was saved and loaded, or what is for chats.
_IGNORED_IN_TOKENIZER: Final = frozenset({
    "_commit_hash", "_name_or_path", "auto_map", "chat_template", "is_local", "local_files_only", "name_or_path",
    "processor_class", "special_tokens_map_file", "tokenizer_file", "transformers_version",
})  # fmt: skip

#: Bytes that are read at once: a model's weights are never in memory as a whole.
_CHUNK: Final = 2**20

#: Seconds. A file that is younger may still change without a change of its time, so nothing is remembered of it.
_SETTLED: Final = 2.0


def model_fingerprint(folder: Path, *, cache: Path | None = None, allow_pickle: bool = False) -> str:
    """The sha256, in hex, of what a training reads of a model: its config, its weights, its tokenizer.

    It depends on the names, types, shapes and bytes of the tensors, not on how they are shared out among files, on
    the order in them or on their metadata; on the config without the keys that change no number; and on the content
    of the tokenizer's files. `folder` is one that `model_folder` gave; where it lies is of no account. Pickles, if they
    are allowed and there is nothing else, count by their bytes: what is in them is not looked at.

    Hashing takes about a second for 400 MB. In `cache`, a folder such as `cache_folder()`, a JSON file remembers the
    results by the real paths, sizes and times of the files; one that cannot be read or written costs time and nothing
    else.

    Raises BitspecError if a file lacks, is damaged or changes meanwhile.
    """
    source = str(folder)
    files = model_files(folder, source, allow_pickle=allow_pickle)
    place, state = os.path.realpath(folder), _state(files, source)
    memory = cache / "fingerprints.json" if cache is not None else None
    remembered = _load(memory) if memory is not None else {}
    entry = remembered.get(place)
    if entry is not None and entry.get("state") == state and isinstance(entry.get("fingerprint"), str):
        return str(entry["fingerprint"])
    fingerprint = _fingerprint(files, source)
    if _state(files, source) != state:
        raise BitspecError(_changing(source))
    if memory is not None and _is_settled(state):
        _keep(memory, place, {"state": state, "fingerprint": fingerprint})
    return fingerprint


# What is hashed -------------------------------------------------------------------------------------------


def _fingerprint(files: ModelFiles, source: str) -> str:
    config = read_json(files.folder / CONFIG, source)
    content: dict[str, Any] = {
        "format": FORMAT,
        "config": {key: value for key, value in config.items() if key not in _IGNORED_IN_CONFIG},
        # In order of their names, whichever file they are in; one that is in two files counts once.
        "tensors": sorted({tensor for path in _tensor_files(files) for tensor in _tensors(path, source)}),
        "tokenizer": {name: _tokenizer_file(files.folder / name, source) for name in files.tokenizer},
    }
    if files.is_pickled:
        content["pickled"] = [[name, _digest(files.folder / name, source)] for name in files.weights]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _tensor_files(files: ModelFiles) -> tuple[Path, ...]:
    return () if files.is_pickled else tuple(files.folder / name for name in files.weights)


def _digest(path: Path, source: str) -> str:
    """The sha256 of a file, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem


def _tensors(path: Path, source: str) -> Iterator[tuple[str, str, tuple[int, ...], str]]:
    """The tensors of a file: name, type, shape, sha256 of the bytes."""
    tensors = stored(path, source)
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with path.open("rb", buffering=0) as file:
            for tensor in tensors:
                digest = hashlib.sha256()
                file.seek(tensor.start)
                left = tensor.end - tensor.start
                while left:
                    count = file.readinto(buffer[: min(left, _CHUNK)])
                    if not count:
                        raise BitspecError(_changing(source))
                    digest.update(buffer[:count])
                    left -= count
                yield tensor.name, tensor.dtype, tensor.shape, digest.hexdigest()
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem


def _tokenizer_file(path: Path, source: str) -> str:
    """The sha256 of a file of a tokenizer; of its config, without what changes no token."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    if path.name == TOKENIZER_CONFIG:
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            items = json.loads(content).items()
            kept = {key: value for key, value in items if key not in _IGNORED_IN_TOKENIZER}
            # Not sorted: the order may decide the numbers of tokens that are added.
            content = json.dumps(kept, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(content).hexdigest()


# What is remembered ---------------------------------------------------------------------------------------


def _state(files: ModelFiles, source: str) -> list[list[str | int]]:
    """What changes when one of the files does: real path, size, time of the content and of the entry."""
    state: list[list[str | int]] = [["format", FORMAT]]
    for path in files.paths:
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except OSError as problem:
            raise BitspecError(unreadable(source, path, problem)) from problem
        state.append([path.name, str(real), status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return state


def _is_settled(state: list[list[str | int]]) -> bool:
    latest = max(int(moment) for entry in state[1:] for moment in entry[-2:])
    return time.time() - latest / 1e9 > _SETTLED


def _load(memory: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(memory.read_bytes()).items()
        return {place: entry for place, entry in entries if isinstance(entry, dict)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _keep(memory: Path, place: str, entry: dict[str, Any]) -> None:
    # Read again: another process may have added to it while this one was hashing.
    entries = {known: value for known, value in _load(memory).items() if Path(known).is_dir()}
    write(memory, json.dumps(entries | {place: entry}))


def _changing(source: str) -> Diagnostic:
    return error(
        "unreadable-model",
        f"`{source}` changes while it is read",
        help="wait until all its files are written, and try again",
    )
