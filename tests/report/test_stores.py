"""Two stores beside each other: which trials are the same, whether their numbers are, and what only one has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.trials import Planned
from bitspec.report.choices import Choice
from bitspec.report.stores import Both, Stores, read
from bitspec.store.store import Store
from tests.report.conftest import SMALL
from tests.store.conftest import Lab

#: What is changed in the result of a trial.
Changed = Callable[[Planned], dict[str, Any]]

#: Fills the store of a name, and gives its folder.
FillOne = Callable[..., Path]


@pytest.fixture
def one(lab: Lab) -> FillOne:
    folder = lab.store.folder.parent

    def fill(name: str, spec: str = SMALL, changed: Changed = lambda _: {}, skip: Any = lambda _: False) -> Path:
        other = Lab(Store(folder / name))
        cells = other.begin(spec)
        with other.at_once():
            for cell in cells:
                if not skip(cell):
                    other.record(cell, **changed(cell))
        return other.store.folder

    return fill


def by_strategy(found: Stores) -> dict[str, Both]:
    return {both.place[2]: both for both in found.both}


def test_a_store_and_its_repetition(one: FillOne) -> None:
    found = read(one("left"), one("right"), Choice())
    assert [both.place for both in found.both] == [
        ("nano", "builtin/rte", strategy) for strategy in ("frozen", "bitfit", "sample", "gamma1")
    ]
    assert (found.pairs, found.same, found.unlike) == (8, 8, ())
    assert (found.only_left, found.only_right) == ((), ())
    for both in found.both:
        assert (len(both.pairs), both.same, both.identical, both.difference) == (2, 2, 2, 0.0)


def is_one(cell: Planned) -> bool:
    return (cell.trial.strategy, cell.trial.seed) == ("bitfit", 1)


@pytest.mark.parametrize(
    ("changed", "is_repeated"),
    [({"score": 50.0}, True), ({"score": 50.0, "threads": 2}, False), ({"score": 50.0, "device": "cuda"}, False)],
)
def test_the_same_trial_with_other_numbers(one: FillOne, changed: dict[str, Any], is_repeated: bool) -> None:
    left = one("left", changed=lambda cell: {"score": 40.0} if is_one(cell) else {})
    found = read(left, one("right", changed=lambda cell: changed if is_one(cell) else {}), Choice())
    (unlike,) = found.unlike
    assert unlike.place == ("nano", "builtin/rte", "bitfit")
    assert (unlike.left.score, unlike.right.score, unlike.left.seed) == (40.0, 50.0, 1)
    assert unlike.is_repeated is is_repeated
    assert (by_strategy(found)["bitfit"].same, by_strategy(found)["bitfit"].identical) == (2, 1)
    assert found.same == 8


def test_another_pack_is_another_way_to_train(one: FillOne) -> None:
    right = one("right", changed=lambda cell: {"score": 50.0, "pack": (cell.key, "f" * 64)} if is_one(cell) else {})
    assert [unlike.is_repeated for unlike in read(one("left"), right, Choice()).unlike] == [False]


def test_a_number_that_is_not_the_score(one: FillOne) -> None:
    found = read(one("left"), one("right", changed=lambda cell: {"head": 259} if is_one(cell) else {}), Choice())
    assert [(unlike.left.score == unlike.right.score, unlike.is_repeated) for unlike in found.unlike] == [(True, True)]


def test_what_must_not_be_comes_first(one: FillOne) -> None:
    def changed(cell: Planned) -> dict[str, Any]:
        if cell.trial.strategy != "bitfit":
            return {}
        return {"score": -50.0, "threads": 2} if cell.trial.seed else {"score": 1.0}

    found = read(one("left"), one("right", changed=changed), Choice())
    assert [unlike.is_repeated for unlike in found.unlike] == [True, False]


def test_other_settings_make_other_trials(one: FillOne) -> None:
    def score(base: float) -> Changed:
        return lambda cell: {"score": base + (cell.trial.seed if base == 60.0 else 0.0)}

    left = one("left", changed=score(60.0))
    right = one("right", SMALL.replace("epochs = 1", "epochs = 2"), changed=score(55.0))
    found = read(left, right, Choice(tasks=("rte",), strategies=("bitfit",)))
    (both,) = found.both
    assert (both.same, both.identical, len(both.pairs)) == (0, 0, 2)
    assert both.means == (60.5, 55.0)
    assert both.difference == 5.5
    assert both.interval is not None
    half = 12.7062047 * 0.5  # t of one degree of freedom; the differences are 5 and 6
    assert (both.interval.low, both.interval.high) == pytest.approx((5.5 - half, 5.5 + half))


def test_what_only_one_has(one: FillOne) -> None:
    left = one("left", skip=lambda cell: cell.trial.strategy == "sample")
    right = one("right", SMALL.replace("strategy gamma1", "strategy gammas"))
    found = read(left, right, Choice())
    assert found.only_left == (("nano", "builtin/rte", "gamma1"),)
    assert set(found.only_right) == {("nano", "builtin/rte", "sample"), ("nano", "builtin/rte", "gammas")}


def test_seeds_without_a_partner(one: FillOne) -> None:
    found = read(one("left"), one("right", SMALL.replace("seeds 0, 1", "seeds 1, 2")), Choice())
    assert {tuple(pair[0].seed for pair in both.pairs) for both in found.both} == {(1,)}
    assert all(both.interval is None for both in found.both)
    found = read(one("left2"), one("right2", SMALL.replace("seeds 0, 1", "seeds 7")), Choice())
    assert [both.difference for both in found.both] == [None] * 4


def test_an_earlier_study(one: FillOne) -> None:
    left = one("left")
    later = Lab(Store(left))
    later.run(SMALL.replace("study moved", "study later").replace("seeds 0, 1", "seeds 0"))
    right = one("right")
    assert read(left, right, Choice()).left.chosen.study == "later"
    found = read(left, right, Choice(study="moved"))
    assert (found.left.chosen.study, found.pairs) == ("moved", 8)


@pytest.mark.parametrize(
    ("before", "after", "hint"),
    [
        ("strategy ", "strategy x", "they have no strategy in common: `"),
        ("model nano", "model micro", "they have no model in common: `"),
        ("task builtin/rte", "task mrpc", "they have no task in common: `"),
    ],
)
def test_nothing_in_common(one: FillOne, before: str, after: str, hint: str) -> None:
    left, right = one("left"), one("right", SMALL.replace(before, after))
    with pytest.raises(BitspecError) as found:
        read(left, right, Choice())
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "nothing-finished"
    assert (diagnostic.help or "").startswith(hint)


def test_which_store_lacks_something_is_said(one: FillOne) -> None:
    left, right = one("left", SMALL.replace("builtin/rte", "cola")), one("right")
    with pytest.raises(BitspecError) as found:
        read(left, right, Choice(tasks=("cola",)))
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.message == f"in `{right}`: there is no task called `cola` in the study `moved`"
