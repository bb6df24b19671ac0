"""Leases: each trial goes to one of several runs, and what somebody died with is to be had again."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from bitspec.store import leases
from bitspec.store.leases import LEASE, Holder
from bitspec.store.records import now
from tests.store.conftest import STARTED, Lab, failed


def dead() -> int:
    """The number of a process that was."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.fixture
def keys(lab: Lab) -> list[str]:
    return [cell.key for cell in lab.begin()]


def test_what_is_claimed_is_for_one_only(lab: Lab, keys: list[str]) -> None:
    one, other = Holder(1), Holder(2)
    packs = [keys[:3], keys[3:5]]
    first = lab.store.claim(one, packs)
    assert (first.place, first.keys, first.over, first.held) == (0, tuple(keys[:3]), (), {})
    second = lab.store.claim(other, packs)
    assert (second.place, second.keys) == (1, tuple(keys[3:5]))
    third = lab.store.claim(other, [keys[:3]])
    assert (third.place, third.over) == (None, ())
    assert third.held == dict.fromkeys(keys[:3], f"process {os.getpid()}")


def test_of_a_pack_that_others_share_the_rest_is_to_be_had(lab: Lab, keys: list[str]) -> None:
    lab.store.claim(Holder(1), [keys[1:3]])
    claim = lab.store.claim(Holder(2), [keys[:4]])
    assert (claim.place, claim.keys) == (0, (keys[0], keys[3]))


def test_what_is_released_is_to_be_had(lab: Lab, keys: list[str]) -> None:
    one, other = Holder(1), Holder(2)
    lab.store.claim(one, [keys])
    lab.store.release(other)
    assert lab.store.claim(other, [keys]).place is None
    lab.store.release(one)
    assert lab.store.claim(other, [keys]).keys == tuple(keys)


def test_what_ends_is_over(lab: Lab, keys: list[str]) -> None:
    cells = lab.begin()
    one, other = Holder(2), Holder(3)
    lab.store.claim(one, [keys])
    lab.record(cells[0])
    lab.store.record_failure(2, cells[1], failed(cells[1]), started=STARTED)
    assert {key for (key,) in lab.rows("select key from base.leases")} == set(keys[2:])
    claim = lab.store.claim(other, [keys[:2], keys[:3]])
    assert (claim.place, claim.over) == (None, (0,))
    assert claim.elsewhere == {keys[0]: "finished", keys[1]: "failed"}
    # What failed in this very run is not in its way, nor is what failed before it began.
    assert lab.store.claim(one, [keys[1:2]]).keys == (keys[1],)
    lab.store.release(one)
    later = replace(other, since=now() + timedelta(seconds=1))
    assert lab.store.claim(later, [keys[1:2]]).keys == (keys[1],)


def test_finished_trials_may_be_wanted_again_or_go_along(lab: Lab, keys: list[str]) -> None:
    cells = lab.begin()
    lab.record(cells[0])
    holder = Holder(1)
    assert lab.store.claim(holder, [keys[:1]]).over == (0,)
    assert lab.store.claim(holder, [keys[:1]], company=keys[:1]).over == (0,)  # there is nobody to go along with
    assert lab.store.claim(holder, [keys[:1]], again=keys[:1]).keys == (keys[0],)
    assert lab.store.claim(holder, [keys[:2]]).keys == (keys[1],)
    assert lab.store.claim(holder, [keys[:2]], company=keys[:1]).keys == tuple(keys[:2])


def test_what_is_saved_as_a_whole_stays_together(lab: Lab, keys: list[str]) -> None:
    cells = lab.begin()
    for cell in cells[:2]:
        lab.record(cell)
    asked: list[list[str]] = []

    def is_saved(pack: list[str]) -> bool:
        asked.append(pack)
        return pack == keys[1:4]

    claim = lab.store.claim(Holder(1), [keys[:2], keys[1:4]], is_saved=is_saved)  # type: ignore[arg-type]
    assert (claim.place, claim.keys, claim.over) == (1, tuple(keys[1:4]), (0,))
    assert claim.elsewhere == dict.fromkeys(keys[:2], "finished")
    assert asked == [keys[1:4]]
    claim = lab.store.claim(Holder(2), [keys[1:3], keys[5:]], is_saved=is_saved)  # type: ignore[arg-type]
    assert claim.keys == tuple(keys[5:])


def test_who_died_holds_nothing(lab: Lab, keys: list[str]) -> None:
    gone = Holder(1, pid=dead())
    lab.store.claim(gone, [keys])
    assert lab.store.claim(Holder(2), [keys]).keys == tuple(keys)
    assert {pid for (pid,) in lab.rows("select pid from base.leases")} == {os.getpid()}


def test_who_died_elsewhere_holds_for_a_while(lab: Lab, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    far = Holder(1, host="far 12345678", pid=dead())
    lab.store.claim(far, [keys])
    claim = lab.store.claim(Holder(2), [keys])
    assert (claim.place, claim.held[keys[0]]) == (None, f"process {far.pid} on far")
    today = now()
    monkeypatch.setattr(leases, "now", lambda: today + 0.9 * LEASE)
    lab.store.renew(far)
    monkeypatch.setattr(leases, "now", lambda: today + 1.8 * LEASE)
    assert lab.store.claim(Holder(2), [keys]).place is None
    monkeypatch.setattr(leases, "now", lambda: today + 2 * LEASE)
    assert lab.store.claim(Holder(2), [keys]).keys == tuple(keys)
