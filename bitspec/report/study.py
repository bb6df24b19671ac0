"""What a study asks and what is reported elsewhere: its spec, as it was when the study ran last."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from bitspec.diagnostics import BitspecError
from bitspec.ir.study import Study
from bitspec.report.choices import Ask, printable


def read_study(ask: Ask, name: str) -> Study | None:
    """The spec of a study as its latest run read it; None where the store is of a bitspec that did not keep it."""
    rows: list[tuple[Any, ...]] = []
    with suppress(BitspecError):  # a store of an older bitspec has no such column
        rows = ask("SELECT definition FROM studies WHERE study = $1 ORDER BY began DESC, run DESC LIMIT 1", (name,))
    if not rows or rows[0][0] is None:
        return None
    try:
        return _study(json.loads(rows[0][0]))
    except (ValueError, ValidationError):  # a newer bitspec's, or not bitspec's at all
        return None


def cleaned(study: Study) -> Study:
    """A study to be shown: without control characters in its texts, and without places in a file."""
    return _study(study.model_dump(mode="json"))


def _study(content: Any) -> Study:
    return Study.model_validate(printable(content), strict=False)
