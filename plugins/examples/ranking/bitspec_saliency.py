"""A ranking: `topk(bias, 1%, by = saliency)` picks where value times gradient is largest (SNIP, arXiv:1810.02340)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitspec.plugins import Argument, Evidence, Ranking

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def score(evidence: Evidence) -> npt.NDArray[np.floating]:
    """What the loss would change by, to the first order, if an entry became 0."""
    assert evidence.weights is not None
    assert evidence.gradient is not None
    saliency = abs(evidence.weights * evidence.gradient)
    return -saliency if evidence.arguments["order"] == "least" else saliency


PLUGIN = Ranking(
    surface=1,
    summary="the size of value times gradient, before training",
    version="1",
    score=score,
    needs=("weights", "gradient"),
    arguments=(
        Argument(
            name="examples", takes="whole", least=1, default=256, meaning="how many training examples it looks at"
        ),
        Argument(name="order", takes="word", words=("most", "least"), default="most", meaning="which end comes first"),
    ),
)
