"""Catalogues, kept on disk: building one imports torch, reading one takes milliseconds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.models import read_config
from bitspec.parameters.roles import digest
from bitspec.parameters.structure import build, structural
from bitspec.whole import replace

#: Raised by one when catalogues change in a way that the rest of the key does not show.
FORMAT: Final = 1


def catalogue(
    source: str,
    revision: str | None = None,
    *,
    base: Path | None = None,
    on_build: Callable[[str], AbstractContextManager[None]] | None = None,
) -> Catalogue:
    """The catalogue of a model, from the cache if it is there.

    `source`, `revision` and `base` say where the model's config is, as in `read_config`. `on_build` is
    called with `source` when the catalogue has to be built, which takes seconds; the building happens
    inside the context that it returns. A cache that cannot be read or written costs time and nothing else.

    Raises BitspecError if there is no such model, or it cannot be made.
    """
    config = read_config(source, revision, base=base)
    folder = cache_folder()
    path = folder / "catalogues" / f"{_key(config)}.json" if folder is not None else None
    found = _load(path) if path is not None else None
    if found is None:
        with on_build(source) if on_build else contextlib.nullcontext():
            found = build(config, source)
        if path is not None:
            write(path, found.model_dump_json())
    return found.model_copy(update={"model": source})


def cache_folder() -> Path | None:
    """Where bitspec keeps what it can make again: `BITSPEC_CACHE_DIR`, or the system's place for caches.

    None where the system has none, as for a user without a home in a container.
    """
    named = os.environ.get("BITSPEC_CACHE_DIR")
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    try:
        return user_cache_path("bitspec", appauthor=False)
    except RuntimeError:
        return None


def _key(config: Mapping[str, Any]) -> str:
    """All that a catalogue depends on, as a sha256."""
    canonical = json.dumps(
        [FORMAT, version("transformers"), digest(), structural(config)], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _load(path: Path) -> Catalogue | None:
    try:
        return Catalogue.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def write(path: Path, content: str) -> None:
    """Write a file of the cache, its folders included; if that cannot be done, it is left undone."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content.encode())
