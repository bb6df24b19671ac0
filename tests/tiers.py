"""How much is tried: little by `make test`, and more of the same by `make test-slow`."""

from __future__ import annotations

import os
from typing import Final

#: How many times as many examples Hypothesis draws; `make test-slow` sets it for those tests that are in both tiers.
TIMES: Final = int(os.environ.get("BITSPEC_EXAMPLES_TIMES", "1"))


def examples(count: int) -> int:
    """So many examples of Hypothesis, or as many times more as the tier has time for."""
    return count * TIMES
