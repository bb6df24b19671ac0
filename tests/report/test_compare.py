"""Two strategies beside each other, against numbers worked out by hand; and what A and B are taken for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.report.choices import Choice
from bitspec.report.compare import Row, Strategies, read
from bitspec.report.stores import Stores
from bitspec.report.verdicts import Verdict, Why
from bitspec.store.store import Store
from tests.report.conftest import SMALL, SPEC, Fill
from tests.store.conftest import Lab


def compared(left: str, right: str, store: Path, **chosen: tuple[str, ...]) -> Strategies:
    found = read(left, right, store, Choice(**chosen))  # type: ignore[arg-type]
    assert isinstance(found, Strategies)
    return found


def row(found: Strategies, task: str | None) -> Row:
    (one,) = (one for one in found.rows if one.task == task)
    return one


def test_a_task(asked: Path) -> None:
    found = row(compared("bitfit", "gammas", asked), "builtin/rte")
    assert found.sides is not None
    left, right = found.sides
    # 70, 70.5 and 69.75 against 60, 60.5 and 61.
    assert (left.mean, right.mean) == pytest.approx((70.0833333, 60.5))
    assert (left.sd, right.sd) == pytest.approx((0.3818813, 0.5))
    assert (left.n, right.n) == (3, 3)
    assert found.difference.mean == pytest.approx((10 + 10 + 8.75) / 3)
    interval = found.difference.interval
    assert interval is not None
    half = 4.302653 * 0.7216878 / 3**0.5  # t of two degrees of freedom
    assert (interval.low, interval.high) == pytest.approx((9.5833333 - half, 9.5833333 + half))
    assert found.test is not None
    assert (found.test.p, found.test.is_exact) == (0.25, True)  # two of eight ways to flip three signs


def test_what_they_cost(asked: Path) -> None:
    found = row(compared("bitfit", "frozen", asked), "builtin/rte")
    assert found.sides is not None
    left, right = found.sides
    assert (left.percent, right.percent) == ((0.75, 0.75), (0.0, 0.0))
    assert left.change == pytest.approx(0.08 * 1.1)
    assert right.change is None
    assert (left.seconds, right.seconds) == (6.0, 6.0)


def test_the_average_is_the_one_thing_that_is_tested(asked: Path) -> None:
    found = compared("bitfit", "gammas", asked)
    assert [one.task for one in found.rows] == ["builtin/cola", "builtin/rte", None]
    average = row(found, None)
    assert average.difference.mean == found.difference.mean == pytest.approx(9.5833333)
    assert average.difference.pairs == 6
    assert average.test == found.finding.test
    assert (found.finding.corrected, found.finding.tests) == (2 / 64, 1)
    assert found.finding.verdict is Verdict.SUPPORTED
    assert average.sides is not None
    assert [side.mean for side in average.sides] == pytest.approx([60.0833333, 50.5])
    assert [side.n for side in average.sides] == [3, 3]
    assert compared("gammas", "bitfit", asked).finding.verdict is Verdict.CONTRADICTED


def test_the_validation_set_is_paired_by_example(asked: Path) -> None:
    # All runs give the same answers, so no other examples could set them apart.
    assert row(compared("bitfit", "gammas", asked), "builtin/rte").difference.sampling == 0.0


def test_one_task_has_no_average(asked: Path) -> None:
    found = compared("BitFit", "Gammas", asked, tasks=("rte",))
    assert [one.task for one in found.rows] == ["builtin/rte"]
    assert (found.left, found.right) == ("bitfit", "gammas")
    assert found.finding.verdict is Verdict.UNDECIDED
    assert found.finding.why_open is Why.TOO_FEW


def test_one_seed_is_undecided_and_not_tested(fill: Fill) -> None:
    found = compared("bitfit", "gamma1", fill(SPEC.replace("seeds 0, 1", "seeds 3")))
    assert found.finding.verdict is Verdict.UNDECIDED
    assert found.finding.why_open is Why.ONE_SEED
    assert [(one.test, one.difference.interval) for one in found.rows] == [(None, None)] * 3


def test_several_models_have_rows_of_their_own_and_one_for_all(fill: Fill) -> None:
    spec = SPEC.replace('model nano = "builtin/nano"', 'model b = "two"\nmodel a = "one"')
    found = compared("bitfit", "gamma1", fill(spec))
    tasks = ["builtin/cola", "builtin/rte", None]
    assert [(one.model, one.task) for one in found.rows] == [
        *(("b", task) for task in tasks),
        *(("a", task) for task in tasks),
        (None, None),
    ]
    assert found.rows[-1].sides is None
    assert found.rows[-1].difference.pairs == 8


def test_runs_without_a_partner_count_in_no_difference(fill: Fill) -> None:
    folder = fill(skip=lambda cell: cell.trial.strategy == "bitfit" and cell.trial.seed == 1)
    found = compared("bitfit", "gamma1", folder)
    assert found.unpaired == {"gamma1": 1}
    assert found.difference.pairs == 1
    assert compared("gamma1", "sample", folder).unpaired == {}


def test_nothing_in_common(fill: Fill) -> None:
    folder = fill(skip=lambda cell: (cell.trial.strategy == "bitfit") == (cell.trial.seed == 0))
    found = compared("bitfit", "gamma1", folder)
    assert found.finding.why_open is Why.NO_RUNS
    assert found.rows[0].difference.pairs == 0


def test_two_names_of_one_selection_are_the_same_trials(fill: Fill) -> None:
    found = compared("bitfit", "twin", fill(SMALL + 'strategy twin = bias where name ~ "."\nstrategy same = bias'))
    assert found.same == 0
    found = compared("bitfit", "same", fill(SMALL + 'strategy twin = bias where name ~ "."\nstrategy same = bias'))
    assert found.same == found.difference.pairs == 2
    assert found.difference.mean == 0.0


def test_settings_that_are_not_the_same_are_told(fill: Fill) -> None:
    spec = SPEC + "train for bitfit { learning_rate = 2e-3 }\ntrain for bitfit on rte { learning_rate = 3e-3 }"
    found = compared("bitfit", "gamma1", fill(spec))
    assert found.other_settings == [("learning_rate", {"0.002", "0.003"}, {"0.001"})]
    assert compared("gamma1", "sample", fill(spec)).other_settings == []
    assert compared("bitfit", "gamma1", fill(spec), tasks=("rte",)).other_settings == [
        ("learning_rate", {"0.003"}, {"0.001"})
    ]


# What A and B are taken for ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores `store`, `old` and `new`, and one that is called as a strategy is."""
    made = tmp_path_factory.mktemp("places")
    Lab(Store(made / "store")).run()
    for name in ("old", "new", "bitfit"):
        shutil.copytree(made / "store", made / name)
    return made


@pytest.fixture
def places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store in that folder, which is the working directory."""
    monkeypatch.chdir(folder)
    return folder / "store"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("old", "new"),
        ("./old", "./new"),
        ("old", "new/results.duckdb"),
        ("old/", "./bitfit"),
    ],
)
def test_two_stores(places: Path, left: str, right: str) -> None:
    found = read(left, right, places, Choice())
    assert isinstance(found, Stores)
    assert (found.left.path, found.right.path) == (Path(left), Path(right))


@pytest.mark.usefixtures("places")
def test_two_stores_where_no_results_are_looked_for() -> None:
    assert isinstance(read("bitfit", "old", Path("nowhere"), Choice()), Stores)


def test_a_strategy_goes_before_a_folder_of_its_name(places: Path) -> None:
    assert isinstance(read("bitfit", "frozen", places, Choice()), Strategies)


@pytest.mark.parametrize(
    ("left", "right", "choice", "code", "message"),
    [
        ("bitfti", "frozen", Choice(), "unknown-name", "there is no strategy called `bitfti` in the study `small`"),
        ("bitfit", "bitfit", Choice(), "bad-comparison", "`bitfit` is named twice"),
        ("bitfit", "BitFit", Choice(), "bad-comparison", "`bitfit` and `BitFit` are one strategy"),
        ("bitfit", "old", Choice(), "bad-comparison", "`old` is a store, and `bitfit` is none"),
        ("./old", "frozen", Choice(), "bad-comparison", "`./old` is a store, and `frozen` is none"),
        ("./old", "old/results.duckdb", Choice(), "bad-comparison", "are the same store"),
        ("runs/older", "frozen", Choice(), "no-store", "there are no results in `runs/older`"),
        ("runs/older", "./old", Choice(), "no-store", "there are no results in `runs/older`"),
        ("bitfit", "frozen", Choice(strategies=("bitfit",)), "bad-comparison", "these are two strategies"),
        ("bitfit", "frozen", Choice(tasks=("mrpc",)), "unknown-name", "there is no task called `mrpc`"),
        ("./old", "./new", Choice(study="smal"), "unknown-name", "in `old`: there is no study called `smal`"),
    ],
)
def test_what_cannot_be_compared(places: Path, left: str, right: str, choice: Choice, code: str, message: str) -> None:
    with pytest.raises(BitspecError) as found:
        read(left, right, places, choice)
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == code
    assert message in diagnostic.message
    assert diagnostic.help


def test_a_title_may_look_like_a_path(fill: Fill) -> None:
    folder = fill(SMALL.replace('"g_LN1"', '"Rand row/col"'))
    assert compared("bitfit", "Rand row/col", folder).right == "gamma1"


def test_without_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BitspecError, match="there are no results in `store`"):
        read("bitfit", "frozen", Path("store"), Choice())
