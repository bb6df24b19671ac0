"""Trials that follow others: when they are handed out, what is known for them, and what becomes of orphans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitspec.ir.events import Event, Failed, Started
from bitspec.ir.masks import Entries, Whole
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.language.load import loads
from bitspec.parameters.cache import catalogue
from bitspec.runners.changes import changes
from bitspec.runners.claims import Claims
from bitspec.runners.plan import VALUES_NOT_KEPT, Plan, plan
from bitspec.store.provenance import Provenance
from bitspec.store.store import Store
from tests.runners.test_execute import Actor, carried_out
from tests.store.conftest import STARTED, Lab, result

SPEC = """
study following
model nano = "builtin/nano"
task builtin/rte
strategy most = topk(bias, 5, by = change(bitfit))
strategy bitfit = bias
strategy next = topk(gamma, 5, by = change(most))
strategy frozen = none
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("bitspec.store.store.provenance", lambda _: Provenance(commit=None, versions={}))
    return Lab(Store(tmp_path / "store"))


def by_name(cells: list[Planned]) -> dict[str, Planned]:
    return {cell.trial.strategy: cell for cell in cells}


def test_they_are_trained_after_what_they_follow(kept: Lab) -> None:
    actor = Actor()
    _, came = carried_out(kept, actor, SPEC)
    assert [cell.trial.strategy for cell in actor.given] == ["bitfit", "most", "next", "frozen"]
    assert (len(came.finished), came.failed, came.is_stopped) == (4, [], False)


def test_they_wait_while_it_is_trained(kept: Lab) -> None:
    cells = by_name(kept.begin(SPEC))
    packs = [(cell,) for cell in cells.values()]
    claims = Claims(kept.store, kept.runs[-1], Plan(tuple(cells.values()), {}, {}, {}), packs)
    assert claims.take() == (cells["bitfit"],)
    assert claims.take() == (cells["frozen"],)
    assert claims.take() is None
    assert len(claims) == 2
    kept.record(cells["bitfit"])
    claims.ended(cells["bitfit"].key, "finished")
    assert claims.orphans() == ()
    assert claims.take() == (cells["most"],)


def test_what_another_run_trains_can_be_followed(kept: Lab) -> None:
    cells = by_name(kept.begin(SPEC))
    packs = [(cell,) for cell in cells.values()]
    one, other = (Claims(kept.store, kept.runs[-1], Plan(tuple(cells.values()), {}, {}, {}), packs) for _ in range(2))
    assert one.take() == (cells["bitfit"],)
    assert other.take() == (cells["frozen"],)
    assert other.take() is None
    kept.record(cells["bitfit"])
    assert other.take() == (cells["most"],)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_what_follows_a_failure_fails_with_it(kept: Lab, status: str) -> None:
    cells = by_name(kept.begin(SPEC))
    bitfit = cells["bitfit"]
    told: dict[tuple[str, int], list[Event]] = {
        ("bitfit", 0): [Started(bitfit.key, 2, 5), Failed(bitfit.key, status, "it broke")]  # type: ignore[arg-type]
    }
    seen: list[tuple[str, str]] = []
    actor = Actor(told)
    _, came = carried_out(
        kept, actor, SPEC, report=lambda cell, event: seen.append((cell.trial.strategy, type(event).__name__))
    )
    assert [cell.trial.strategy for cell in actor.given] == ["bitfit", "frozen"]
    assert {cell.trial.strategy: event.status for cell, event in came.failed} == {
        "bitfit": status,
        "most": "failed",
        "next": "failed",
    }
    assert kept.rows("select message from base.trials where strategy = 'most'") == [
        (
            "it selects by what `bitfit` changed, and that has no result; see what became of `bitfit`, and run the same again",
        )
    ]
    assert [name for name, event in seen if event == "Failed"] == ["bitfit", "most", "next"]
    assert not came.is_stopped

    again = Actor()
    carried_out(kept, again, SPEC)
    assert [cell.trial.strategy for cell in again.given] == ["bitfit", "most", "next"]


def test_the_values_of_what_is_followed_go_with_a_pack(kept: Lab) -> None:
    cells = by_name(kept.begin(SPEC))
    packs = [(cell,) for cell in cells.values()]
    claims = Claims(kept.store, kept.runs[-1], Plan(tuple(cells.values()), {}, {}, {}), packs)
    assert claims.known((cells["most"],)) == {}
    kept.record(cells["bitfit"])
    values = TrainedValues({"x": TrainedTensor((3,), Whole(), np.ones(3, np.float32))})
    kept.store.record(kept.runs[-1], cells["bitfit"], result(cells["bitfit"]), values, started=STARTED)
    (key,) = claims.known((cells["most"],))
    assert key == cells["most"].follows["bitfit"] == cells["bitfit"].key


def test_it_is_trained_again_where_its_values_are_gone(tmp_path: Path) -> None:
    study = loads(SPEC)

    def planned(statuses: dict[str, str], kept: frozenset[str]) -> Plan:
        return plan(study, statuses, base=tmp_path, kept=lambda: kept)

    cells = by_name(list(planned({}, frozenset()).cells))
    finished = {cells[name].key: "finished" for name in ("bitfit", "most", "frozen")}
    new = planned(finished, frozenset(finished)).new
    assert [cell.trial.strategy for cell in new] == ["next"]
    lost = planned(finished, frozenset())
    assert [cell.trial.strategy for cell in lost.new] == ["most", "bitfit", "next"]
    assert lost.reason(cells["bitfit"]) == VALUES_NOT_KEPT
    assert planned(finished | {cells["next"].key: "finished"}, frozenset()).new == ()


def test_what_is_followed_is_planned_with_it(tmp_path: Path) -> None:
    found = plan(loads(SPEC), {}, base=tmp_path, only=("next",))
    assert sorted(by_name(list(found.cells))) == ["bitfit", "most", "next"]


def test_changes_are_told_entry_by_entry() -> None:
    facts = catalogue("builtin/nano", base=Path())
    first, second, *_ = (one for one in facts.parameters if one.kind == "bias")
    before = {one.name: np.full(one.shape, 2, np.float32) for one in (first, second)}
    trained = TrainedValues(
        {facts.full_name(first): TrainedTensor(first.shape, Entries(np.array([1, 3])), np.array([5, 1], np.float32))}
    )
    change = changes(trained, facts, before.__getitem__)
    assert change(first.name).tolist()[:5] == [0, 3, 0, -1, 0]
    assert not change(second.name).any()


def test_nobody_stays_unclaimed_at_the_end(kept: Lab) -> None:
    cells = by_name(kept.begin(SPEC))
    packs = [(cells["most"], cells["next"]), (cells["bitfit"],)]
    claims = Claims(kept.store, kept.runs[-1], Plan(tuple(cells.values()), {}, {}, {}), packs)
    claims.ended(cells["bitfit"].key, "failed")
    assert [(cell.trial.strategy, name) for cell, name in claims.orphans()] == [("most", "bitfit"), ("next", "most")]
    assert len(claims) == 1


def test_what_fails_in_another_run_is_not_waited_for(kept: Lab) -> None:
    kept.begin(SPEC)
    cells = by_name(kept.begin(SPEC))
    packs = [(cell,) for cell in cells.values()]
    one, other = (Claims(kept.store, run, Plan(tuple(cells.values()), {}, {}, {}), packs) for run in kept.runs)
    assert one.take() == (cells["bitfit"],)
    assert other.take() == (cells["frozen"],)
    kept.store.record_failure(
        kept.runs[0], cells["bitfit"], Failed(cells["bitfit"].key, "failed", "it broke"), started=STARTED
    )
    assert other.take() is None
    assert len(other) == 0
    assert [(cell.trial.strategy, name) for cell, name in other.orphans()] == [("most", "bitfit"), ("next", "most")]
    assert other.orphans() == ()


def test_a_pack_with_what_its_own_trials_follow_is_parted(kept: Lab) -> None:
    cells = by_name(kept.begin(SPEC))
    pack = (cells["most"], cells["bitfit"], cells["frozen"], cells["next"])
    claims = Claims(kept.store, kept.runs[-1], Plan(tuple(cells.values()), {}, {}, {}), [pack])
    assert claims.take() == (cells["bitfit"], cells["frozen"])
    assert claims.take() is None
