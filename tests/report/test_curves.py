"""Learning curves: the numbers of each epoch over seeds, against those worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Epoch
from bitspec.ir.trials import Planned
from bitspec.report.choices import Choice
from bitspec.report.curves import Curve, Curves, Spread, read
from tests.report.conftest import ASKED, asked_result
from tests.store.conftest import Lab

Answer = Callable[..., Path]


def numbers(spread: Spread | None) -> tuple[float, float, float]:
    """The mean, the lowest and the highest."""
    assert spread is not None
    return spread.mean, spread.low, spread.high


def curve(curves: Curves, strategy: str, task: str = "builtin/rte") -> Curve:
    (found,) = (one for one in curves.all if one.cells.strategy == strategy and one.cells.task == task)
    return found


def test_a_point_is_the_mean_over_seeds_with_the_lowest_and_the_highest(asked: Path) -> None:
    found = curve(read(asked, Choice()), "gammas")
    assert [(epoch.number, epoch.seeds) for epoch in found.epochs] == [(1, 3), (2, 3), (3, 3)]
    first, last = found.epochs[0], found.last
    assert numbers(first.score) == pytest.approx((52.5, 52.0, 53.0))
    assert numbers(last.score) == pytest.approx((60.5, 60.0, 61.0))
    assert numbers(last.training) == pytest.approx((0.51, 0.50, 0.52))
    assert numbers(last.validation) == pytest.approx((0.61, 0.60, 0.62))


def test_curves_stand_in_the_order_of_the_spec(asked: Path) -> None:
    found = read(asked, Choice())
    assert found.strategies == ("frozen", "bitfit", "gammas", "sample", "upper")
    assert found.strata == (("nano", "builtin/cola"), ("nano", "builtin/rte"))
    assert [one.cells.strategy for one in found.by_stratum["nano", "builtin/rte"]] == list(found.strategies)
    assert [one.cells.task for one in found.by_strategy["upper"]] == ["builtin/cola", "builtin/rte"]
    assert found.title == "What was asked"
    assert found.unfinished == ()


def test_the_whole_is_narrowed_by_names(asked: Path) -> None:
    found = read(asked, Choice(tasks=("rte",), strategies=("BitFit", "frozen")))
    assert [(one.cells.strategy, one.cells.task) for one in found.all] == [
        ("frozen", "builtin/rte"),
        ("bitfit", "builtin/rte"),
    ]


def test_seeds_that_are_not_finished_are_not_counted(answer: Answer) -> None:
    folder = answer(
        skip=lambda cell: cell.trial.strategy == "upper" or (cell.trial.strategy == "gammas" and cell.trial.seed == 2)
    )
    found = read(folder, Choice())
    assert found.unfinished == ("Upper",)
    assert "upper" not in found.strategies
    assert curve(found, "gammas").last.seeds == 2
    assert numbers(curve(found, "gammas").last.score) == pytest.approx((60.25, 60.0, 60.5))


def test_strategies_may_differ_in_their_epochs(answer: Answer) -> None:
    found = read(answer(ASKED + "train for gammas { epochs = 1 }"), Choice())
    assert [epoch.number for epoch in curve(found, "gammas").epochs] == [1]
    assert [epoch.number for epoch in curve(found, "bitfit").epochs] == [1, 2, 3]


def test_what_is_no_number_is_left_out(answer: Answer) -> None:
    def broken(cell: Planned) -> dict[str, Any]:
        found = asked_result(cell)
        epochs = found["epochs"]
        assert isinstance(epochs, tuple)
        losses = (math.nan, math.inf, 0.5)

        def spoil(epoch: Epoch) -> Epoch:
            loss = losses[cell.trial.seed] if epoch.number == 1 else math.nan
            return epoch.model_copy(update={"validation_loss": loss})

        return found | {"epochs": tuple(map(spoil, epochs))}

    first, second, _ = curve(read(answer(result=broken), Choice()), "bitfit").epochs
    assert first.validation == Spread(0.5, 0.5, 0.5)
    assert second.validation is None
    assert second.training is not None


def test_epochs_of_replaced_settings_are_not_mixed_in(answer: Answer) -> None:
    answer()
    found = read(answer(ASKED.replace("epochs = 3", "epochs = 2")), Choice())
    assert {len(one.epochs) for one in found.all} == {2}
    assert {epoch.seeds for one in found.all for epoch in one.epochs} == {3}


def test_a_store_that_lost_its_epochs(answer: Answer, lab: Lab) -> None:
    import duckdb

    folder = answer()
    with duckdb.connect(str(folder / "results.duckdb")) as connection:
        connection.execute("DELETE FROM base.epochs")
    with pytest.raises(BitspecError, match="no epoch of the study `asked` is in the store"):
        read(lab.store.folder, Choice())
