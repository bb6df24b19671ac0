"""Fingerprints of data that was read before, so that a plan need not read it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bitspec.whole import replace

#: Raised by one when the same files would be read as other examples, or have another fingerprint.
FORMAT: Final = 1

#: Nanoseconds in which a file may change again without showing another time of change.
_TICK: Final = 2 * 10**9


@dataclass(frozen=True)
class Memory:
    """A folder that keeps fingerprints; one that cannot be written costs time and nothing else. None keeps nothing."""

    folder: Path | None

    def recall(self, state: str | None) -> str | None:
        """The fingerprint of data in this state, if it was read before."""
        if self.folder is None or state is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            found = self._path(self.folder, state).read_text("ascii")
            return found if re.fullmatch("[0-9a-f]{64}", found) else None
        return None

    def keep(self, state: str | None, fingerprint: str) -> None:
        """Remember the fingerprint of data in this state."""
        if self.folder is None or state is None:
            return
        path = self._path(self.folder, state)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, fingerprint.encode("ascii"))

    @staticmethod
    def _path(folder: Path, state: str) -> Path:
        return folder / "data" / state


def state_of(recipe: Any, files: Iterable[Path] = ()) -> str | None:
    """A digest of how data is read (anything that JSON takes) and of the state of the files that it is read from.

    None where a file is not there, or is so new that it may change without a sign of it.
    """
    states: list[tuple[str, int, int]] = []
    try:
        for file in files:
            status = file.stat()
            if time.time_ns() - status.st_mtime_ns < _TICK:
                return None
            states.append((str(file.resolve()), status.st_size, status.st_mtime_ns))
    except (OSError, ValueError, RuntimeError):
        return None
    return hashlib.sha256(json.dumps([FORMAT, recipe, states]).encode()).hexdigest()
