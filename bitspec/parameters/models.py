"""Where a model's config comes from: bitspec itself, a local folder, or the Hugging Face hub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from logging import ERROR
from pathlib import Path
from typing import Any, Final

from bitspec.diagnostics import BitspecError, Diagnostic, did_you_mean, error, listed

#: Models whose config comes with bitspec, by every name they go by: the file in `configs/`.
SHIPPED: Final[dict[str, str]] = {
    "bert-base-cased": "bert-base-cased.json",
    "bert-base-uncased": "bert-base-uncased.json",
    "google-bert/bert-base-cased": "bert-base-cased.json",
    "google-bert/bert-base-uncased": "bert-base-uncased.json",
}

#: Names that belong to bitspec.
BUILTIN: Final = "builtin/"

#: Seconds that the hub has to answer before bitspec calls it out of reach.
HUB_TIMEOUT: Final = 4.0

#: Bytes; a config takes a few thousand.
LARGEST_CONFIG: Final = 16 * 2**20


def read_config(source: str, revision: str | None = None, *, base: Path | None = None) -> dict[str, Any]:
    """A model's config: what its `config.json` says.

    `source` is, in this order, the name of a model that comes with bitspec (unless a revision is asked
    for), a local folder, or a model on the hub, whose local cache is asked before the network. A folder is
    a name that starts with `.`, `/` or `~`, or any name under which there is one: first in `base` (the
    folder of the spec), then in the working directory.

    Raises BitspecError if there is no such model, or it cannot be read.
    """
    if not source.strip() or not source.isprintable():
        raise BitspecError(error("bad-model-name", f"`{source}` is no name for a model", help=_SOURCES))
    if source in SHIPPED and revision is None:
        return _parse(resources.files("bitspec.parameters").joinpath("configs", SHIPPED[source]).read_bytes(), source)
    if source.startswith(BUILTIN):
        raise BitspecError(_unknown_builtin(source, revision))
    folder = _folder(source, base)
    if folder is None:
        return _read(_fetch(source, revision), source)
    if revision is not None:
        raise BitspecError(
            error(
                "revision-of-folder",
                f"`{source}` is a folder, and a folder has no revisions",
                help=f'take `revision "{revision}"` away, or name a model on the hub',
            )
        )
    return _read(_config_file(folder, source), source)


_SOURCES = "write a name on the Hugging Face hub, such as `bert-base-cased`, or a folder, such as `./model`"


def _unknown_builtin(source: str, revision: str | None) -> Diagnostic:
    if source in SHIPPED:
        return error(
            "revision-of-builtin",
            f"`{source}` comes with bitspec and has no revision `{revision}`",
            help="take it away",
        )
    builtins = [name for name in SHIPPED if name.startswith(BUILTIN)]
    there_are = f"there are {listed(builtins, 'and')}" if builtins else "this version has none of its own"
    return error(
        "unknown-builtin",
        f"no model `{source}` comes with bitspec",
        help=did_you_mean(source, builtins) or there_are,
    )


# A folder -------------------------------------------------------------------------------------------------


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
        raise BitspecError(_unreadable(source, source, problem)) from problem
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
    path = folder / "config.json"
    try:
        if path.is_file():
            return path
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as problem:
        raise BitspecError(_unreadable(source, str(path), problem)) from problem
    if "adapter_config.json" in names:
        help_line = "it holds an adapter: name the model that the adapter was made for"
    else:
        shown = names[:5] + ["…"] * (len(names) > 5)
        help_line = f"it holds {listed(shown, 'and')}" if names else "it is empty"
    raise BitspecError(error("no-config", f"the folder `{source}` has no `config.json`", help=help_line))


def _read(path: Path, source: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise BitspecError(
                _bad_json(source, "it is too large to be one", f"{path} has {path.stat().st_size} bytes")
            )
        text = path.read_bytes()
    except OSError as problem:
        raise BitspecError(_unreadable(source, str(path), problem)) from problem
    return _parse(text, source, str(path))


def _parse(text: bytes, source: str, where: str = "") -> dict[str, Any]:
    try:
        config = json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as problem:
        place = f"{where}:{problem.lineno}:{problem.colno}"
        raise BitspecError(_bad_json(source, "it is not JSON", f"{place}: {problem.msg}")) from problem
    except UnicodeDecodeError as problem:
        raise BitspecError(_bad_json(source, "it is not text", f"{where} is not UTF-8")) from problem
    except (ValueError, RecursionError) as problem:
        raise BitspecError(_bad_json(source, "it cannot be read", f"{where}: {problem}")) from problem
    if not isinstance(config, dict):
        raise BitspecError(_bad_json(source, "it is not an object", f"{where} should start with `{{`"))
    return config


def _bad_json(source: str, reason: str, help_line: str) -> Diagnostic:
    return error("bad-config", f"the `config.json` of `{source}` is no config: {reason}", help=help_line)


def _unreadable(source: str, path: str, problem: OSError) -> Diagnostic:
    return error("unreadable-model", f"`{source}` cannot be read", help=f"{path}: {problem.strerror or problem}")


# The hub --------------------------------------------------------------------------------------------------


def _fetch(source: str, revision: str | None) -> Path:
    """The local copy of a hub model's `config.json`, fetched if there is none."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(source, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        with _quiet():
            # A download tries again for half a minute where there is no network; asking first fails at once.
            get_hf_file_metadata(hf_hub_url(source, "config.json", revision=revision), timeout=HUB_TIMEOUT)
            return Path(hf_hub_download(source, "config.json", revision=revision, etag_timeout=HUB_TIMEOUT))
    except HFValidationError as problem:
        help_line = _near(source) or _SOURCES
        raise BitspecError(error("bad-model-name", f"`{source}` is no name for a model", help=help_line)) from problem
    except Exception as problem:
        # Not httpx's classes: versions of the hub's client differ in the transport, and so in its errors.
        raise BitspecError(_hub_diagnostic(source, revision, problem)) from problem


def _hub_diagnostic(source: str, revision: str | None, problem: Exception) -> Diagnostic:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    near = _near(source)
    match problem:
        case OfflineModeIsEnabled():
            return error(
                "hub-offline",
                f"`{source}` is not on this machine, and HF_HUB_OFFLINE keeps bitspec from fetching it",
                help=near or "unset HF_HUB_OFFLINE, or name a model that was fetched before",
            )
        case GatedRepoError():
            return error(
                "gated-model",
                f"`{source}` is given only to those who have accepted its terms",
                help=f"accept them at https://huggingface.co/{source}, then run `hf auth login`",
            )
        case RepositoryNotFoundError():
            return error(
                "unknown-model",
                f"there is no model `{source}` on the Hugging Face hub, or it is private",
                help=near or "check the name, and run `hf auth login` if the model is private",
            )
        case RevisionNotFoundError():
            return error(
                "unknown-revision",
                f"the model `{source}` has no revision `{revision}`",
                help=f"its branches, tags and commits are at https://huggingface.co/{source}/commits/main",
            )
        case LocalEntryNotFoundError():
            pass
        case EntryNotFoundError():
            return error(
                "no-config",
                f"the model `{source}` has no `config.json` on the Hugging Face hub",
                help="bitspec needs a model of transformers",
            )
        case HfHubHTTPError():
            return _refused(source, problem.response.status_code)
        case PermissionError(filename=str(path)):
            return _unreadable(source, path, problem)
        case _:
            pass
    return error(
        "hub-unreachable",
        f"`{source}` is not on this machine, and the Hugging Face hub cannot be reached",
        help=f"{f'{near} Otherwise, check' if near else 'check'} the network: {_first_line(problem)}",
    )


def _near(source: str) -> str | None:
    # Each shipped model has a short and a full name: suggest the like of what was written.
    return did_you_mean(source, [name for name in SHIPPED if ("/" in name) == ("/" in source)])


def _refused(source: str, status: int) -> Diagnostic:
    if status in {401, 403}:
        return error(
            "hub-refused",
            f"the Hugging Face hub does not let you read `{source}`",
            help="run `hf auth login` with a valid token",
        )
    return error(
        "hub-failed",
        f"the Hugging Face hub answered {status} when asked for `{source}`",
        help="try again later",
    )


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for a file of a few hundred bytes, and no advice from the hub's client."""
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hidden, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    if not hidden:
        disable_progress_bars()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not hidden:
            enable_progress_bars()
