"""Regular expressions that are not even tried: they take more time or memory than any limit while matching would see.

Only the engine knows whether the others are right, and only a clock how long they take.
"""

from __future__ import annotations

import re
from math import prod
from typing import Final

#: Longest pattern, in characters; and the longest that it may be with its repetitions written out, as engines do it.
MAX_PATTERN: Final = 1000
MAX_REPEATED_PATTERN: Final = 100_000

_COUNTS = re.compile(r"\{([^{},]*)")

# What calls the pattern itself or a group of it, which needs memory without end.
_RECURSION = re.compile(r"\(\?(?:R|[+-]?\d|&|P>)")


def excess(pattern: str) -> str | None:
    """Why a pattern is not tried, in words that follow `this pattern is refused:`; None if it is."""
    if len(pattern) > MAX_PATTERN:
        return f"it has more than {MAX_PATTERN} characters"
    counts = (int("".join(re.findall(r"\d", inside)) or 1) for inside in _COUNTS.findall(pattern))
    if len(pattern) * prod(max(1, count) for count in counts) > MAX_REPEATED_PATTERN:
        return "it repeats or nests too much"
    if _RECURSION.search(pattern):
        return "it calls itself"
    return None
