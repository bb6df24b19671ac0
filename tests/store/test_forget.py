"""What is forgotten is gone with all that there was of it, runs again, and nothing else is touched."""

# ruff: noqa: S608 - statements of the tests' own

from __future__ import annotations

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.store.connection import ENGINE
from bitspec.store.forget import Chosen, forget
from bitspec.store.health import check
from bitspec.store.store import Store
from tests.store.conftest import STARTED, Lab, failed, trained_values
from tests.store.stores import alter, checkpoint, everything, files

OTHER = """
study other "Another study"
model nano = "builtin/nano"
task cola
seeds 0, 1
train { epochs = 2  learning_rate = 1e-3 }
strategy same   = bias
strategy gammas = gamma
"""


def found(lab: Lab, asked: Chosen, **options: bool) -> set[tuple[str, str, int]]:
    return {(trial.strategy, trial.task, trial.seed) for trial in forget(lab.store, asked, **options).trials}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Chosen(strategies=["bitfit"], tasks=["cola"]), {("bitfit", "cola", 0), ("bitfit", "cola", 1)}),
        (Chosen(strategies=["BitFit"], seeds=[1]), {("bitfit", "cola", 1), ("bitfit", "builtin/rte", 1)}),
        (Chosen(tasks=["rte"], seeds=[0]), {("bitfit", "builtin/rte", 0), ("frozen", "builtin/rte", 0)}),
        (Chosen(strategies=["frozen", "bitfit"], tasks=["rte"], seeds=[0, 1], models=["nano"]), 4),
        (Chosen(models=["nano"]), 8),
        (Chosen(study="small"), 8),
    ],
)
def test_trials_are_told_by_what_they_are(lab: Lab, asked: Chosen, expected: set[tuple[str, str, int]] | int) -> None:
    lab.run()
    before = everything(lab.store)
    would = found(lab, asked, dry_run=True)
    assert everything(lab.store) == before
    assert found(lab, asked) == would
    assert would == expected or len(would) == expected
    gone = lab.rows("SELECT strategy, task, seed FROM cells WHERE status = 'missing'")
    assert set(gone) == would
    assert len(lab.rows("FROM cells")) == 8
    assert found(lab, asked) == set()  # there is nothing left of them
    assert check(lab.store).findings == ()


def test_all_that_there_is_of_a_trial_goes(lab: Lab) -> None:
    cells = lab.begin()
    for cell in cells[:4]:
        lab.record(cell, values=trained_values())
    kept, gone = cells[0].key, cells[2].key
    its, another = checkpoint(lab.store, [gone, cells[5].key], "1" * 32), checkpoint(lab.store, [kept], "2" * 32)
    unreadable = its.with_name(f"{'3' * 32}.safetensors")
    unreadable.write_bytes(b"x")
    before = everything(lab.store)
    forgotten = forget(lab.store, [gone[:12].upper()])
    assert [trial.key for trial in forgotten.trials] == [gone]
    after = everything(lab.store)
    for table, rows in before.items():
        place = None if table in ("runs", "cells", "packs", "meta") else 0
        assert after[table] == [row for row in rows if place is None or row[place] != gone]
    assert lab.store.kept() == {cell.key for cell in cells[:4]} - {gone}
    assert (its.exists(), another.exists(), unreadable.exists()) == (False, True, True)
    # It is trained again.
    assert gone not in lab.store.statuses()
    assert lab.record(cells[2], values=trained_values())
    assert everything(lab.store).keys() == before.keys()
    assert lab.rows("SELECT count(*) FROM base.predictions WHERE key = ?", gone) == [(3,)]


def test_a_failure_is_forgotten_as_well(lab: Lab) -> None:
    cell = lab.begin()[0]
    lab.store.record_failure(lab.runs[0], cell, failed(cell), started=STARTED)
    assert len(forget(lab.store, [cell.key]).trials) == 1
    assert lab.store.statuses() == {}


def test_rows_of_no_trial_are_forgotten_by_their_key(lab: Lab) -> None:
    lab.run()
    ((key,),) = lab.rows("SELECT min(key) FROM base.changes")
    alter(lab.store, f"DELETE FROM base.trials WHERE key = '{key}'")
    assert len(check(lab.store).findings) == 3
    assert [trial.key for trial in forget(lab.store, [key[:12]]).trials] == [key]
    assert check(lab.store).findings == ()


def test_a_trial_that_is_there_twice_is_forgotten_as_one(lab: Lab) -> None:
    lab.run()
    ((key,),) = lab.rows("SELECT min(key) FROM base.trials")
    alter(lab.store, f"INSERT INTO base.trials SELECT * REPLACE ('x' AS study) FROM base.trials WHERE key = '{key}'")
    assert [trial.key for trial in forget(lab.store, [key[:12]]).trials] == [key]
    assert check(lab.store).findings == ()


def test_what_else_a_trial_serves_is_said(lab: Lab) -> None:
    lab.run()
    lab.run(OTHER)
    assert forget(lab.store, Chosen(strategies=["same"], seeds=[0]), dry_run=True).others == ("bitfit of small",)
    assert forget(lab.store, Chosen(strategies=["gammas"]), dry_run=True).others == ()
    forgotten = forget(lab.store, Chosen(strategies=["bitfit"], tasks=["cola"], study="small"))
    assert forgotten.others == ("same of other",)
    assert lab.rows("SELECT strategy, status, count(*) FROM cells GROUP BY ALL ORDER BY ALL") == [
        ("gammas", "finished", 2),
        ("same", "missing", 2),
    ]


def test_the_latest_study_is_meant(lab: Lab) -> None:
    lab.run()
    lab.run(OTHER)
    assert found(lab, Chosen(tasks=["cola"]), dry_run=True) == {
        (strategy, "cola", seed) for strategy in ("same", "gammas") for seed in (0, 1)
    }


def test_replaced_cells_are_not_meant(lab: Lab) -> None:
    lab.run()
    lab.run(lab_with_other_rate := OTHER.replace("1e-3", "1e-4"))
    lab.run(lab_with_other_rate.replace("1e-4", "1e-5"))
    assert len(found(lab, Chosen(study="other"))) == 4
    assert lab.rows("SELECT count(*) FROM all_scores WHERE study = 'other'") == [(4,)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Chosen(strategies=["bitft"]), "there is no strategy called `bitft` in the study `small`"),
        (Chosen(tasks=["rtee"]), "there is no task called `rtee` in the study `small`"),
        (Chosen(models=["bert"]), "there is no model called `bert` in the study `small`"),
        (Chosen(seeds=[7]), "there is no seed called `7` in the study `small`"),
        (Chosen(study="smal"), "there is no study called `smal` in the store"),
        (["0123456789"], "no trial has a key that begins with `0123456789`"),
        (["012"], "`012` is too short for a key"),
        (["bitfit"], "`bitfit` is no key"),
    ],
)
def test_what_is_not_there(lab: Lab, asked: Chosen | list[str], said: str) -> None:
    lab.run()
    before = everything(lab.store)
    with pytest.raises(BitspecError) as raised:
        forget(lab.store, asked)
    assert raised.value.diagnostics[0].message == said
    assert raised.value.diagnostics[0].help
    assert everything(lab.store) == before


def test_a_key_of_several_trials(lab: Lab) -> None:
    lab.run()
    alter(lab.store, "UPDATE base.trials SET key = 'abcd' || key[5:]")
    with pytest.raises(BitspecError, match="more than one trial has a key that begins with `abcd`"):
        forget(lab.store, ["ABCD"])
    assert len(lab.store.statuses()) == 8


def test_a_title_of_two_strategies(lab: Lab) -> None:
    lab.run(OTHER.replace("same   =", 'same "x" =').replace("gammas =", 'gammas "x" ='))
    with pytest.raises(BitspecError, match="`x` is the title of `same` and `gammas`"):
        forget(lab.store, Chosen(strategies=["x"]))


def test_a_store_without_a_study(lab: Lab) -> None:
    with pytest.raises(BitspecError, match="there are no results in"):
        forget(lab.store, Chosen(strategies=["bitfit"]))
    lab.store.prepare()
    with pytest.raises(BitspecError, match="the store has no study yet"):
        forget(lab.store, Chosen(strategies=["bitfit"]))


def test_who_is_killed_before_the_files_are_removed_leaves_what_a_compaction_removes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = lab.begin()[0]
    lab.record(cell, values=trained_values())
    monkeypatch.setattr("bitspec.store.forget._remove_files", lambda *_: None)
    forget(lab.store, [cell.key])
    (finding,) = check(lab.store).findings
    assert finding.problem == "no trial has these values"


def test_values_that_are_trained_again_meanwhile_stay(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = lab.begin()[0]
    lab.record(cell, values=trained_values())
    from bitspec.store import forget as module

    remove = module._remove_files

    def trained_again(store: Store, keys: frozenset[str]) -> None:
        assert lab.record(cell, values=trained_values())
        remove(store, keys)

    monkeypatch.setattr(module, "_remove_files", trained_again)
    forget(lab.store, [cell.key])
    assert lab.store.statuses() == {cell.key: "finished"}
    assert lab.store.values(cell.key) is not None
    assert check(lab.store).findings == ()


def test_a_dry_run_only_reads(lab: Lab) -> None:
    lab.run()
    before = files(lab.store.folder)
    with ENGINE.reading(lab.store.database):  # as another process has it
        pass
    assert len(forget(lab.store, Chosen(strategies=["bitfit"]), dry_run=True).trials) == 4
    assert files(lab.store.folder) == before
