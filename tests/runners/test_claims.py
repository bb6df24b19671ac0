"""Packs as a run claims them: several runs on one store, whose trials nobody really trains."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.trials import Planned
from bitspec.runners import claims
from bitspec.runners.claims import Claims
from bitspec.runners.plan import VALUES_NOT_KEPT, Plan
from bitspec.runners.protocol import Pack
from bitspec.store.leases import LEASE
from bitspec.store.provenance import Provenance
from bitspec.store.store import Store
from bitspec.training import checkpoints
from tests.store.conftest import Lab, trained_values


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("bitspec.store.store.provenance", lambda _: Provenance(commit=None, versions={}))
    return Lab(Store(tmp_path / "store"))


def claimed(kept: Lab, cells: list[Planned], packs: list[Pack], **options: object) -> Claims:
    plan = Plan(tuple(cells), kept.store.statuses(), {}, {})
    return Claims(kept.store, kept.runs[-1], plan, packs, **options)  # type: ignore[arg-type]


def test_two_runs_share_what_there_is(kept: Lab) -> None:
    cells = kept.begin()
    packs = [tuple(cells[:3]), tuple(cells[3:6]), tuple(cells[6:])]
    waits: list[Mapping[str, str]] = []
    one, other = claimed(kept, cells, packs), claimed(kept, cells, packs, on_wait=waits.append)
    assert (len(one), one.trials) == (3, 8)
    assert one.take() == packs[0]
    assert other.take() == packs[1]
    assert one.take() == packs[2]
    assert (len(one), one.take()) == (1, None)  # the other's may come back
    assert other.take() is None
    assert other.take() is None
    assert [sorted(held) for held in waits] == [sorted(cell.key for pack in (packs[0], packs[2]) for cell in pack)]
    for cell in (*packs[0], *packs[2]):
        kept.record(cell)
    assert (other.take(), len(other)) == (None, 0)
    assert other.elsewhere == {cell.key: "finished" for pack in (packs[0], packs[2]) for cell in pack}
    assert len(one) == 1
    with other.held():  # whose trials are let go of at its end
        pass
    assert one.take() == packs[1]
    assert (len(one), one.elsewhere) == (0, {})


def test_what_is_left_of_a_pack_is_put_down_as_one(kept: Lab) -> None:
    cells = kept.begin()
    theirs, ours = claimed(kept, cells, [tuple(cells[:2])]), claimed(kept, cells, [tuple(cells[:4])], device="cpu")
    theirs.take()
    assert ours.take() == tuple(cells[2:4])
    assert kept.store.packs("cpu") == dict.fromkeys((cells[2].key, cells[3].key), (cells[2].key, cells[3].key))
    assert (len(ours), ours.take()) == (1, None)
    kept.record(cells[0])
    with theirs.held():
        pass
    assert ours.take() == (cells[1],)
    assert len(ours) == 0
    assert ours.elsewhere == {cells[0].key: "finished"}


def test_finished_trials_go_along_with_the_rest_of_their_pack(kept: Lab) -> None:
    cells = kept.begin()
    kept.record(cells[0])
    found = claimed(kept, cells, [tuple(cells[:3])])
    assert found.company == {cells[0].key}
    assert found.take() == tuple(cells[:3])
    assert (len(found), found.elsewhere) == (0, {})


def test_values_that_were_not_kept_are_trained_for_once_more(kept: Lab) -> None:
    cells = kept.begin()
    kept.record(cells[0])
    plan = Plan(tuple(cells), {cells[0].key: VALUES_NOT_KEPT}, {}, {})
    one, other = (Claims(kept.store, 1, plan, [(cells[0],)]) for _ in range(2))
    assert one.take() == (cells[0],)
    assert other.take() is None
    kept.record(cells[0], values=trained_values())
    assert (other.take(), len(other), other.elsewhere) == (None, 0, {cells[0].key: "finished"})


def test_what_was_saved_together_goes_on_together_whoever_takes_it(kept: Lab, tmp_path: Path) -> None:
    cells = kept.begin()
    found = claimed(kept, cells, [tuple(cells[:3])], saved=tmp_path)
    kept.record(cells[0])  # by a run that dies before the others of its pack
    checkpoints.place(tmp_path, [cell.key for cell in cells[:3]]).touch()
    assert found.take() == tuple(cells[:3])
    assert found.company == {cells[0].key}


def test_of_thousands_of_packs_each_is_to_be_had(kept: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_MANY", 2)
    cells = kept.begin()
    packs: list[Pack] = [(cell,) for cell in cells]
    gone: list[int] = []
    one, other = claimed(kept, cells, packs), claimed(kept, cells, packs, on_gone=gone.append)
    assert [one.take() for _ in range(5)] == packs[:5]
    assert [other.take() for _ in range(3)] == packs[5:]
    assert (other.take(), len(other)) == (None, 5)
    for cell in cells[1:4]:
        kept.record(cell)
    assert (other.take(), len(other)) == (None, 2)
    assert sum(gone) == 3


def test_leases_are_renewed(kept: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWAL", 0.01)
    renewed = threading.Event()
    renew = Store.renew

    def noting(self: Store, holder: object) -> None:
        if renewed.is_set():
            raise BitspecError  # of which nobody needs to know
        renew(self, holder)  # type: ignore[arg-type]
        renewed.set()

    monkeypatch.setattr(Store, "renew", noting)
    cells = kept.begin()
    found = claimed(kept, cells, [tuple(cells)])
    with found.held():
        found.take()
        before = found._holder.since + LEASE
        assert renewed.wait(10)
        ((expires,),) = kept.rows("select max(expires) from base.leases")
        assert expires > before
    assert kept.rows("select count(*) from base.leases") == [(0,)]
