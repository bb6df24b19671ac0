"""What a terminal gets: its width, its characters and its colours are what a test says."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console


def printed(show: Callable[[Console], None], *, encoding: str = "utf-8", **options: Any) -> str:
    """What is printed, without colours unless some are asked for."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline="")
    given: dict[str, Any] = {"color_system": None, "width": 100, "force_terminal": True} | options
    console = Console(file=file, highlight=False, **given)
    show(console)
    file.flush()
    text = raw.getvalue().decode(encoding)
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):
        text = text.replace(code, "")
    return text
