"""GLUE from the Hugging Face hub: its local cache is asked before the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from logging import CRITICAL
from typing import TYPE_CHECKING, Any, Final

from bitspec.diagnostics import BitspecError, Diagnostic, Span, error, first_line

if TYPE_CHECKING:
    import pyarrow

#: The dataset in which the hub keeps all of GLUE.
DATASET: Final = "nyu-mll/glue"

#: Seconds that the hub has to answer before bitspec calls it out of reach.
HUB_TIMEOUT: Final = 4.0

_INSTEAD: Final = "name a folder that holds GLUE with `--data-dir`"


def fetch(
    name: str,
    splits: Sequence[str],
    span: Span | None,
    on_fetch: Callable[[str], AbstractContextManager[None]] | None = None,
) -> dict[str, pyarrow.Table]:
    """Splits of a task, by their names on the hub.

    What is not in the cache of `datasets` is fetched, inside the context that `on_fetch` makes of `name`. `span` is
    where the spec names the task.

    Raises BitspecError, at once if there is no network.
    """
    with _quiet():
        found = _cached(name)
        if found is None:
            try:
                _ask()
                with on_fetch(name) if on_fetch else nullcontext():
                    found = _load(name)
            except Exception as problem:
                # Not httpx's classes: versions of the hub's client differ in the transport, and so in its errors.
                raise BitspecError(_diagnostic(name, span, problem)) from problem
    for split in splits:
        if split not in found:
            raise BitspecError(_unusable(name, span, f"it has no split `{split}`"))
    return {split: found[split].with_format("arrow")[:] for split in splits}


def _load(name: str) -> Mapping[str, Any]:
    import datasets

    loaded: Mapping[str, Any] = datasets.load_dataset(DATASET, name)
    return loaded


def _cached(name: str) -> Mapping[str, Any] | None:
    """What the cache of `datasets` holds of a task, without asking the network whether there is anything newer."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        return _load(name)
    except Exception:
        # Nothing there, or nothing that can be used: either way it is to be fetched.
        return None
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _ask() -> None:
    """Ask the hub for the dataset's card, and nothing more: without a network, fetching takes half a minute to fail."""
    import datasets
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import OfflineModeIsEnabled

    if datasets.config.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set")
    get_hf_file_metadata(hf_hub_url(DATASET, "README.md", repo_type="dataset"), timeout=HUB_TIMEOUT)


def _diagnostic(name: str, span: Span | None, problem: Exception) -> Diagnostic:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    match problem:
        case OfflineModeIsEnabled():
            return error(
                "hub-offline",
                f"the data of `{name}` is not on this machine, and HF_HUB_OFFLINE keeps bitspec from fetching it",
                span,
                help=f"unset HF_HUB_OFFLINE, or {_INSTEAD}",
            )
        case LocalEntryNotFoundError() | ConnectionError():
            pass
        case HfHubHTTPError() if problem.response.status_code in {401, 403}:
            return error(
                "hub-refused",
                f"the Hugging Face hub does not let you read `{DATASET}`, which has the data of `{name}`",
                span,
                help=f"run `hf auth login` with a valid token, or {_INSTEAD}",
            )
        case HfHubHTTPError():
            return error(
                "hub-failed",
                f"the Hugging Face hub answered {problem.response.status_code} when asked for `{DATASET}`, "
                f"which has the data of `{name}`",
                span,
                help=f"try again later, or {_INSTEAD}",
            )
        case ValueError() | FileNotFoundError():  # no such configuration, or no files for it
            return _unusable(name, span, first_line(problem))
        case OSError() if type(problem) in {OSError, PermissionError, FileExistsError, NotADirectoryError}:
            return error(
                "unwritable-cache",
                f"the data of `{name}` cannot be kept on this machine: {problem.strerror or first_line(problem)}",
                span,
                help="set HF_HOME to a folder that can be written and has room",
            )
        case _:
            pass
    return error(
        "hub-unreachable",
        f"the data of `{name}` is not on this machine, and the Hugging Face hub cannot be reached",
        span,
        help=f"check the network ({first_line(problem)}), or {_INSTEAD}",
    )


def _unusable(name: str, span: Span | None, reason: str) -> Diagnostic:
    message = f"`{DATASET}` on the Hugging Face hub has no data of `{name}` that can be used: {reason}"
    return error("bad-dataset", message, span, help=_INSTEAD)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no messages of the libraries beside ours."""
    import datasets
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = datasets.are_progress_bars_disabled(), are_progress_bars_disabled()
    verbosity = datasets.logging.get_verbosity(), logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the environment has the last word on bars
        datasets.disable_progress_bars()
        disable_progress_bars()
    datasets.logging.set_verbosity(CRITICAL)
    logging.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity[0])
        logging.set_verbosity(verbosity[1])
        if not hidden[0]:
            datasets.enable_progress_bars()
        if not hidden[1]:
            enable_progress_bars()
