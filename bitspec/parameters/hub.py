"""Models of the Hugging Face hub: its local cache is asked first, and a missing network is said at once."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from logging import ERROR
from pathlib import Path
from typing import Final

from bitspec.diagnostics import BitspecError, Diagnostic, error, first_line
from bitspec.parameters.files import (
    CONFIG,
    check_weights,
    lack_of_tokenizer,
    lack_of_weights,
    survey,
    tokenizer_names,
    weight_names,
)
from bitspec.parameters.shipped import SOURCES, near
from bitspec.parameters.weights import read_index, unreadable

#: Seconds that the hub has to answer before bitspec calls it out of reach.
HUB_TIMEOUT: Final = 4.0

#: What the system says where there is no room for a file.
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def config_file(source: str, revision: str | None) -> Path:
    """The local copy of a hub model's `config.json`, fetched if there is none. Raises BitspecError."""
    with _hub_problems(source, revision):
        cached = _cached_config(source, revision)
        if cached is not None:
            return cached
        with _quiet():
            _ask(source, revision)
            return _download(source, CONFIG, revision)


def snapshot(
    source: str,
    revision: str | None,
    *,
    fetch: bool = True,
    on_fetch: Callable[[str], AbstractContextManager[None]] | None = None,
    allow_pickle: bool = False,
) -> Path | None:
    """The folder of the hub's cache with a model's config, weights and tokenizer.

    What is not there is fetched, inside the context that `on_fetch` makes of `source`: only safetensors, or pickles
    where there is nothing else and `allow_pickle` is set, and never code. None where something lacks and `fetch` is
    false; the network is asked only to fetch. Raises BitspecError.
    """
    with _hub_problems(source, revision):
        config = _cached_config(source, revision)
        if config is None or survey(config.parent, source, allow_pickle=allow_pickle)[1] is not None:
            if not fetch:
                return None
            with on_fetch(source) if on_fetch else nullcontext():
                config = _fetch(source, revision, config, allow_pickle=allow_pickle)
        files, lack = survey(config.parent, source, allow_pickle=allow_pickle)
        if lack is not None:
            raise BitspecError(lack)
        check_weights(files, source, is_cached=True)
        return config.parent


def _fetch(source: str, revision: str | None, config: Path | None, *, allow_pickle: bool) -> Path:
    """Fetch what the cache lacks. What tells that a model is there, its weights, comes last."""
    from huggingface_hub.errors import RevisionNotFoundError

    with _quiet():
        try:
            _ask(source, _commit(config) if config is not None else revision)
        except RevisionNotFoundError:
            if config is None:
                raise
            # The model's history was written anew since its config was fetched.
            config = None
            _ask(source, revision)
        config = config or _download(source, CONFIG, revision)
        # From here on everything is of one commit, even if the branch moves on.
        commit = _commit(config)
        names = _listing(source, commit)
        weights = weight_names(
            names, lambda index: read_index(_download(source, index, commit), source), allow_pickle=allow_pickle
        )
        lack = lack_of_weights(source, names, weights, where=source)
        if lack is not None:
            raise BitspecError(lack)
        for name in tokenizer_names(names):
            _download(source, name, commit)
        lack = lack_of_tokenizer(source, config.parent, names)
        if lack is not None:
            raise BitspecError(lack)
    with _quiet(bars=True):
        for name in weights:
            _download(source, name, commit)
    return config


def _commit(file: Path) -> str:
    # …/snapshots/COMMIT/config.json
    return file.parent.name


def _cached_config(source: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, CONFIG, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _ask(source: str, revision: str | None) -> None:
    """Ask the hub for a model, and nothing more: a download tries again for half a minute without a network."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    get_hf_file_metadata(hf_hub_url(source, CONFIG, revision=revision), timeout=HUB_TIMEOUT)


def _listing(source: str, commit: str) -> frozenset[str]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    entries = HfApi().list_repo_tree(source, revision=commit)
    return frozenset(entry.path for entry in entries if isinstance(entry, RepoFile))


def _download(source: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(source, name, revision=revision, etag_timeout=HUB_TIMEOUT))


# Problems -------------------------------------------------------------------------------------------------


@contextmanager
def _hub_problems(source: str, revision: str | None) -> Iterator[None]:
    """Whatever the hub's client raises, the user sees a message."""
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except BitspecError:
        raise
    except HFValidationError as problem:
        help_line = near(source) or SOURCES
        raise BitspecError(error("bad-model-name", f"`{source}` is no name for a model", help=help_line)) from problem
    except Exception as problem:
        # Not httpx's classes: versions of the hub's client differ in the transport, and so in its errors.
        raise BitspecError(_diagnostic(source, revision, problem)) from problem


def _diagnostic(source: str, revision: str | None, problem: Exception) -> Diagnostic:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(problem, LocalEntryNotFoundError) and isinstance(problem.__cause__, Exception):
        problem = problem.__cause__  # why it looked here instead
    suggestion = near(source)
    match problem:
        case OfflineModeIsEnabled():
            return error(
                "hub-offline",
                f"`{source}` is not on this machine, and HF_HUB_OFFLINE keeps bitspec from fetching it",
                help=suggestion or "unset HF_HUB_OFFLINE, or name a model that was fetched before",
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
                help=suggestion or "check the name, and run `hf auth login` if the model is private",
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
            return unreadable(source, path, problem)
        case OSError(errno=int(number)) if number in _NO_ROOM:
            return error(
                "no-room",
                f"there is no room for `{source}` in the cache of the Hugging Face hub: {problem.strerror}",
                help="make room, or set HF_HOME to a folder where there is some",
            )
        case _:
            pass
    return error(
        "hub-unreachable",
        f"`{source}` is not on this machine, and the Hugging Face hub cannot be reached",
        help=f"{f'{suggestion} Otherwise, check' if suggestion else 'check'} the network: {first_line(problem)}",
    )


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


@contextmanager
def _quiet(*, bars: bool = False) -> Iterator[None]:
    """No advice from the hub's client; its progress bars only for weights, where it shows them in a terminal."""
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hidden, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    hides = not bars and not hidden
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where HF_HUB_DISABLE_PROGRESS_BARS has the last word
        if hides:
            disable_progress_bars()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if hides:
            enable_progress_bars()
