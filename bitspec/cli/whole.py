"""Writing a file whole or not at all: a spec must not be lost to a full disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a text to a file, in the place of what is there. Raises OSError where it cannot; then all is as it was."""
    target = path.resolve()
    if target.exists() and not target.is_file():  # a folder is refused, and a device takes what it is given
        target.write_text(text, encoding="utf-8", newline="")
        return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:32]}-")
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        unfinished.chmod(target.stat().st_mode if target.exists() else 0o666 & ~_umask())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _umask() -> int:
    # There is no other way to ask.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
