"""The rules and rankings that come with bitspec, as they are registered.

Nothing is imported here but what describes them, so that a spec can be checked in no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from bitspec.plugins import Argument, Drawing, Evidence, Ranking, Rule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bitspec.ir.masks import Selected
    from bitspec.parameters.sampling import LineRule

#: The rules that take whole lines, and what a line is called.
LINES: Final = {"rows": "row", "cols": "column", "rowcol": "row or column"}


def _rand(drawing: Drawing) -> Selected:
    from bitspec.parameters.sampling import rand

    return rand(drawing.pool, drawing.amount, drawing.per, drawing.randomness)


def _lines(rule: str, summary: str, example: str) -> Rule:
    def take(drawing: Drawing) -> Selected:
        from bitspec.parameters.sampling import draw_lines

        return draw_lines(
            drawing.pool,
            cast("LineRule", rule),
            drawing.amount,
            drawing.per,
            drawing.randomness,
            drawing.catalogue.transposed,
        )

    return Rule(
        surface=1,
        summary=summary,
        version="1",
        take=take,
        example=example,
        has_shares=True,
        takes_lines=True,
        is_exact=False,
    )


RAND: Final = Rule(
    surface=1,
    summary="a sample of single entries",
    version="1",
    take=_rand,
    example="rand(bias, 0.04%)",
    has_shares=True,
)
ROWS: Final = _lines("rows", "a sample of whole rows of matrices", "rows(matrix, 0.1%)")
COLS: Final = _lines("cols", "a sample of whole columns of matrices", "cols(matrix, 0.1%)")
ROWCOL: Final = _lines(
    "rowcol",
    "a sample of whole rows or columns, as a coin decides for each matrix",
    "rowcol(matrix, size(bias))",
)

#: Training examples whose gradients a ranking looks at, if it does not say how many.
EXAMPLES: Final = 1024

_EXAMPLES: Final = Argument(
    name="examples",
    takes="whole",
    least=1,
    default=EXAMPLES,
    meaning="how many training examples are looked at, or all if there are fewer",
)


def _magnitude(evidence: Evidence) -> npt.NDArray[np.floating]:
    assert evidence.weights is not None
    return abs(evidence.weights)


def _gradient(evidence: Evidence) -> npt.NDArray[np.floating]:
    assert evidence.gradient is not None
    return abs(evidence.gradient)


def _fisher(evidence: Evidence) -> npt.NDArray[np.floating]:
    assert evidence.fisher is not None
    return evidence.fisher


def _change(evidence: Evidence) -> npt.NDArray[np.floating]:
    assert evidence.change is not None
    return abs(evidence.change)


MAGNITUDE: Final = Ranking(
    surface=1, summary="the size of the pretrained value", version="1", score=_magnitude, needs=("weights",)
)
GRADIENT: Final = Ranking(
    surface=1,
    summary="the size of the loss's gradient before training",
    version="1",
    score=_gradient,
    needs=("gradient",),
    arguments=(_EXAMPLES,),
)
FISHER: Final = Ranking(
    surface=1,
    summary="the empirical Fisher information before training: the mean of single examples' squared gradients",
    version="1",
    score=_fisher,
    needs=("fisher",),
    arguments=(_EXAMPLES,),
)
CHANGE: Final = Ranking(
    surface=1,
    summary="how far another strategy of the study moved it",
    version="1",
    score=_change,
    needs=("change",),
    arguments=(Argument(name="trained", takes="strategy", meaning="the strategy that is trained first"),),
)
