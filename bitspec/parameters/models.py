"""Where a model comes from: bitspec itself, a local folder, or the Hugging Face hub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, Diagnostic, error, listed
from bitspec.parameters import hub
from bitspec.parameters.files import CONFIG, check_alone, check_weights, holding, model_files
from bitspec.parameters.shipped import BUILTIN, SHIPPED, SOURCES, shipped_config, unknown_builtin
from bitspec.parameters.weights import unreadable

#: Bytes; a config takes a few thousand.
LARGEST_CONFIG: Final = 16 * 2**20


def read_config(source: str, revision: str | None = None, *, base: Path | None = None) -> dict[str, Any]:
    """A model's config: what its `config.json` says.

    `source` is, in this order, the name of a model whose config comes with bitspec (unless a revision is asked
    for), a local folder, or a model on the hub, whose local cache is asked before the network. A folder is
    a name that starts with `.`, `/` or `~`, or any name under which there is one: first in `base` (the
    folder of the spec), then in the working directory.

    Raises BitspecError if there is no such model, or it cannot be read.
    """
    _check_name(source)
    if source in SHIPPED and revision is None:
        return read_json(shipped_config(source), source)
    folder = _local_folder(source, revision, base)
    if folder is None:
        return read_json(hub.config_file(source, revision), source)
    return read_json(_config_file(folder, source), source)


def model_folder(
    source: str,
    revision: str | None = None,
    *,
    base: Path | None = None,
    fetch: bool = True,
    on_fetch: Callable[[str], AbstractContextManager[None]] | None = None,
    allow_pickle: bool = False,
) -> Path | None:
    """The folder on this machine that holds a model: its config, its weights as safetensors, its tokenizer.

    `source`, `revision` and `base` say where the model is, as in `read_config`; of the models whose config comes with
    bitspec, only the `builtin/` ones have their weights here, those of the others are the hub's. A model of the hub
    is fetched if it is not in the hub's cache, or not all of it: inside the context that `on_fetch` makes of
    `source`, and without any file that holds code. In a terminal the hub's client shows its progress on standard
    error meanwhile. Where `fetch` is false no network is asked, and the answer is None for what is not here.

    With `allow_pickle`, a model that has its weights in `pytorch_model.bin` only is given too; none of it is unpickled
    here.

    Raises BitspecError if there is no such model, a file lacks or is cut off, the weights are pickled only, or there
    are others beside them.
    """
    _check_name(source)
    if source in SHIPPED and revision is None:
        folder = shipped_config(source).parent if source.startswith(BUILTIN) else None
    else:
        folder = _local_folder(source, revision, base)
    if folder is None:
        folder = hub.snapshot(source, revision, fetch=fetch, on_fetch=on_fetch, allow_pickle=allow_pickle)
        if folder is None:
            return None
    else:
        _config_file(folder, source)
        check_weights(model_files(folder, source, allow_pickle=allow_pickle), source)
    check_alone(folder, source, read_json(folder / CONFIG, source))
    return folder


def read_json(path: Path, source: str) -> dict[str, Any]:
    """The object in a `config.json` of a model that the user calls `source`. Raises BitspecError if it is none."""
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise BitspecError(
                _bad_json(source, "it is too large to be one", f"{path} has {path.stat().st_size} bytes")
            )
        text = path.read_bytes()
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    try:
        config = json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as problem:
        place = f"{path}:{problem.lineno}:{problem.colno}"
        raise BitspecError(_bad_json(source, "it is not JSON", f"{place}: {problem.msg}")) from problem
    except UnicodeDecodeError as problem:
        raise BitspecError(_bad_json(source, "it is not text", f"{path} is not UTF-8")) from problem
    except (ValueError, RecursionError) as problem:
        raise BitspecError(_bad_json(source, "it cannot be read", f"{path}: {problem}")) from problem
    if not isinstance(config, dict):
        raise BitspecError(_bad_json(source, "it is not an object", f"{path} should start with `{{`"))
    return config


def _bad_json(source: str, reason: str, help_line: str) -> Diagnostic:
    return error("bad-config", f"the `config.json` of `{source}` is no config: {reason}", help=help_line)


def _check_name(source: str) -> None:
    if not source.strip() or not source.isprintable():
        raise BitspecError(error("bad-model-name", f"`{source}` is no name for a model", help=SOURCES))


# A folder -------------------------------------------------------------------------------------------------


def _local_folder(source: str, revision: str | None, base: Path | None) -> Path | None:
    """The folder that a source means; None if it is a name on the hub."""
    if source.startswith(BUILTIN):
        raise BitspecError(unknown_builtin(source, revision))
    folder = _folder(source, base)
    if folder is not None and revision is not None:
        raise BitspecError(
            error(
                "revision-of-folder",
                f"`{source}` is a folder, and a folder has no revisions",
                help=f'take `revision "{revision}"` away, or name a model on the hub',
            )
        )
    return folder


def _folder(source: str, base: Path | None) -> Path | None:
    """The folder that a source means; None if it is no path."""
    must_be_path = source.startswith((".", "~")) or Path(source).is_absolute()
    try:
        path = Path(source).expanduser()
    except RuntimeError:  # the home of somebody who is unknown here
        path = Path(source)
    candidates = [start / path for start in (base, Path()) if start is not None]
    try:
        for candidate in candidates:
            if candidate.is_dir() or (must_be_path and candidate.exists()):
                return candidate
    except OSError as problem:
        raise BitspecError(unreadable(source, source, problem)) from problem
    if must_be_path:
        raise BitspecError(error("no-such-folder", f"there is no folder `{source}`", help=_looked_in(candidates)))
    return None


def _looked_in(candidates: list[Path]) -> str:
    looked = dict.fromkeys(os.path.abspath(candidate) for candidate in candidates)  # noqa: PTH100 - keeps links
    return f"looked for {listed(looked, 'and')}"


def _config_file(folder: Path, source: str) -> Path:
    if not folder.is_dir():
        file = error(
            "not-a-folder",
            f"`{source}` is a file, and a model is a folder",
            help="name the folder that holds `config.json`",
        )
        raise BitspecError(file)
    path = folder / CONFIG
    try:
        if path.is_file():
            return path
        names = {entry.name for entry in folder.iterdir()}
    except OSError as problem:
        raise BitspecError(unreadable(source, path, problem)) from problem
    if "adapter_config.json" in names:
        help_line = "it holds an adapter: name the model that the adapter was made for"
    else:
        help_line = holding(names)
    raise BitspecError(error("no-config", f"the folder `{source}` has no `config.json`", help=help_line))
