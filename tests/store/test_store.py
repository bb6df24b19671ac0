"""What goes into the store comes out of it, once, and a success is never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Predictions
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.store.records import utc
from bitspec.store.store import Store
from tests.store.conftest import CHANGES, SPEC, STARTED, Lab, failed, plan, result, trained_values


def everything(lab: Lab) -> dict[str, list[tuple[Any, ...]]]:
    """All rows that trials have."""
    tables = ("trials", "epochs", "changes", "predictions")
    return {table: lab.rows(f"FROM base.{table} ORDER BY ALL") for table in tables}


def test_nothing_is_made_before_it_is_asked_for(lab: Lab) -> None:
    assert lab.store.statuses() == {}
    assert lab.store.durations().paces == ()
    assert lab.store.values("0" * 64) is None
    assert not lab.store.folder.exists()


def test_to_prepare_twice_is_to_prepare_once(lab: Lab) -> None:
    lab.run()
    before = lab.rows("SELECT * FROM all_scores ORDER BY ALL")
    lab.store.prepare()
    assert lab.rows("SELECT * FROM all_scores ORDER BY ALL") == before
    assert {path.name for path in lab.store.folder.iterdir()} == {"results.duckdb", "values"}


def test_a_finished_trial_comes_out_as_it_went_in(lab: Lab) -> None:
    planned = lab.begin()
    cell = planned[-1]
    went_in = result(cell)
    assert lab.store.record(lab.runs[0], cell, went_in, started=STARTED)
    (row,) = lab.dicts("SELECT * FROM trials")
    assert row.pop("finished") - datetime.now(UTC).replace(tzinfo=None) < timedelta(minutes=1)
    assert json.loads(row.pop("settings")) == cell.trial.settings.model_dump(mode="json")
    assert row == {
        "key": cell.key,
        "status": "finished",
        "model": "nano",
        "model_source": "builtin/nano",
        "model_revision": None,
        "model_fingerprint": "weights",
        "task": "builtin/rte",
        "data_fingerprint": "data of builtin/rte",
        "seed": 1,
        "selection": "bias",
        "strategy": "bitfit",
        "study": "small",
        "score": went_in.score,
        "best_score": went_in.best.score,
        "best_epoch": went_in.best.number,
        "metric": "accuracy",
        "metrics": went_in.epochs[-1].metrics,
        "trainable": 260,
        "percent": 0.75,
        "head": 258,
        "change": (128 * 0.125 + 128 * 0.25 + 4 * 1.0) / 260,
        "loss": went_in.epochs[-1].loss,
        "epochs": 2,
        "learning_rate": 1e-3,
        "batch_size": 8,
        "seconds": 6.0,
        "pack_size": 1,
        "training_examples": 10,
        "validation_examples": 3,
        "message": None,
        "started": STARTED.replace(tzinfo=None),
        "device": "cpu",
        "threads": 1,
        "pack": [cell.key],
        "run": 1,
        "values_file": None,
    }
    assert lab.rows(
        "SELECT epoch, loss, validation_loss, score, metrics, seconds FROM epochs WHERE key = ? ORDER BY epoch",
        cell.key,
    ) == [(one.number, one.loss, one.validation_loss, one.score, one.metrics, one.seconds) for one in went_in.epochs]
    assert lab.rows(
        "SELECT tensor, role, layer, kind, entries, trained, change, trained_change FROM changes ORDER BY tensor"
    ) == [tuple(moved.model_dump().values()) for moved in CHANGES]  # which are in order of name
    assert lab.rows("SELECT split, example, label, prediction, margin FROM predictions ORDER BY example") == [
        ("validation", 0, 0.0, 0.0, 0.5),
        ("validation", 1, 1.0, 1.0, 1.25),
        ("validation", 2, 1.0, 0.0, -2.0),
    ]


def test_many_predictions_of_two_sets_stay_apart_and_in_order(lab: Lab) -> None:
    cell = lab.begin()[0]
    draws = np.random.default_rng(0)
    sets = {
        name: tuple(tuple(draws.normal(size=size).tolist()) for _ in range(3))
        for name, size in (("validation_matched", 9815), ("validation_mismatched", 9832))
    }
    lab.record(
        cell,
        predictions=tuple(
            Predictions(split=name, labels=labels, predictions=answers, margins=margins)
            for name, (labels, answers, margins) in sets.items()
        ),
    )
    for name, columns in sets.items():
        rows = lab.rows(
            "SELECT example, label, prediction, margin FROM predictions WHERE split = ? ORDER BY example", name
        )
        assert [row[0] for row in rows] == list(range(len(columns[0])))
        assert tuple(zip(*rows, strict=True))[1:] == columns


def test_a_trial_of_nothing_has_no_change(lab: Lab) -> None:
    lab.record(lab.begin(only=["frozen"])[0])
    assert lab.rows("SELECT change, trainable FROM scores") == [(None, 0)]
    assert lab.rows("SELECT * FROM changes") == []


def test_what_is_known_of_the_model_goes_before_what_the_spec_says(lab: Lab) -> None:
    cell = lab.begin()[0]
    lab.store.record(
        lab.runs[0], cell, result(cell), started=STARTED, model_source="/models/nano", model_revision="abc"
    )
    assert lab.rows("SELECT model, model_source, model_revision FROM trials") == [("nano", "/models/nano", "abc")]


def test_a_task_of_ones_own_is_scored_by_its_metric(lab: Lab) -> None:
    cell = lab.begin("""
        study own  model "m"  strategy s = bias
        task reviews { training = "a.csv" validation = "b.csv" text = review label = stars metric = spearman }
    """)[0]
    lab.record(cell)
    assert lab.rows("SELECT metric FROM scores") == [("spearman",)]
    assert lab.store.trial(cell.key).task == cell.trial.task


def test_a_success_takes_the_place_of_a_failure(lab: Lab) -> None:
    cell = lab.begin()[0]
    run = lab.runs[0]
    lab.store.record_failure(run, cell, failed(cell, "diverged", message="no number"), started=STARTED)
    lab.store.record_failure(run, cell, failed(cell, message="it broke", help="mend it"), started=STARTED)
    assert lab.rows("SELECT key, status, message, score, device FROM trials") == [
        (cell.key, "failed", "it broke; mend it", None, None)
    ]
    assert lab.store.statuses() == {cell.key: "failed"}
    assert lab.rows("SELECT * FROM scores") == []
    lab.record(cell)
    assert lab.rows("SELECT key, status, message FROM trials") == [(cell.key, "finished", None)]
    assert len(lab.rows("SELECT * FROM scores")) == 1


def test_a_failure_never_takes_the_place_of_a_success(lab: Lab) -> None:
    cell = lab.begin()[0]
    lab.record(cell)
    before = lab.rows("SELECT * FROM trials")
    lab.store.record_failure(lab.runs[0], cell, failed(cell), started=STARTED)
    assert lab.rows("SELECT * FROM trials") == before


def test_the_first_success_stays_with_its_values(lab: Lab) -> None:
    cell = lab.begin()[0]
    first = trained_values()
    other = TrainedValues({"x": replace(first.tensors["bert.q.bias"])})
    assert lab.record(cell, values=first)
    before = everything(lab)
    assert not lab.record(cell, values=other, seconds=99.0)
    assert everything(lab) == before
    kept = lab.store.values(cell.key)
    assert kept is not None
    assert kept.tensors.keys() == first.tensors.keys()
    assert [path.name for path in (lab.store.folder / "values").iterdir()] == [f"{cell.key}.safetensors"]


def test_a_trial_that_is_trained_once_more_for_its_values_keeps_its_numbers(lab: Lab) -> None:
    cell = lab.begin()[0]
    assert lab.record(cell)
    before = lab.rows("SELECT * EXCLUDE (values_file) FROM trials")
    assert not lab.record(cell, values=trained_values(), seconds=99.0)
    assert lab.rows("SELECT * EXCLUDE (values_file) FROM trials") == before
    assert lab.store.trial(cell.key).has_values
    kept = lab.store.values(cell.key)
    assert kept is not None
    assert kept.count == trained_values().count


def test_values_are_in_place_when_their_trial_is(lab: Lab) -> None:
    with_values, without = lab.begin()[:2]
    lab.record(with_values, values=trained_values())
    lab.record(without)
    assert dict(lab.rows("SELECT key, values_file FROM trials")) == {
        with_values.key: f"values/{with_values.key}.safetensors",
        without.key: None,
    }
    assert lab.store.trial(with_values.key).has_values
    assert lab.store.values(without.key) is None


def test_a_transaction_that_fails_leaves_nothing(lab: Lab) -> None:
    cell = lab.begin()[0]
    wrong = Predictions(split="validation", labels=(0, 1), predictions=(0,), margins=(0.5, 1))
    with pytest.raises(Exception, match=r"(?i)array|column|length|size"):
        lab.record(cell, values=trained_values(), predictions=(wrong,))
    assert not any(everything(lab).values())
    assert list((lab.store.folder / "values").iterdir()) == []
    assert lab.record(cell)


def test_a_trial_is_found_by_the_beginning_of_its_key(lab: Lab) -> None:
    planned = lab.begin()
    for cell in planned:
        lab.record(cell)
    cell = planned[2]
    found = lab.store.trial(cell.key[:20].upper())
    assert found.key == cell.key
    assert found.model == cell.trial.model
    assert found.settings == cell.trial.settings
    assert (found.strategy, found.study, found.seed, found.status) == ("bitfit", "small", 0, "finished")


def test_a_key_that_is_none_or_several(lab: Lab) -> None:
    for cell in lab.begin()[:2]:
        lab.record(cell)
    with pytest.raises(BitspecError, match="no trial has a key that begins with `xyz`") as none:
        lab.store.trial("xyz")
    assert "bitspec query" in str(none.value)
    with pytest.raises(BitspecError, match="more than one trial has a key that begins with ``") as several:
        lab.store.trial("")
    assert "frozen on cola, seed 0" in str(several.value)
    assert "frozen on cola, seed 1" in str(several.value)


def test_without_a_store_there_is_no_trial(lab: Lab) -> None:
    with pytest.raises(BitspecError, match="no results in") as found:
        lab.store.trial("abc")
    assert found.value.diagnostics[0].code == "no-store"
    assert "bitspec run" in str(found.value)


def test_the_pace_of_earlier_trials(lab: Lab) -> None:
    for cell, seconds in zip(lab.begin(), (1, 3, 30, 40, 5, 6, 70, 80), strict=True):  # of 2 epochs
        lab.record(cell, seconds=float(seconds))
    pace = lab.store.durations()
    assert pace.seconds("weights", "data of cola", "none") == 1.0
    assert pace.seconds("weights", "data of cola", "bias") == 17.5
    assert pace.seconds("weights", "data of cola", "gamma") == (1.0 + 17.5) / 2  # of what is nearest
    assert pace.seconds("others", "data of cola", "bias") is None
    assert pace.seconds("weights", "other data", "bias") is None


def test_failures_have_no_pace(lab: Lab) -> None:
    cell = lab.begin()[0]
    lab.store.record_failure(lab.runs[0], cell, failed(cell), started=STARTED)
    assert lab.store.durations().paces == ()


def test_a_run_is_put_down_with_all_that_it_came_from(lab: Lab) -> None:
    planned = lab.begin(only=["bitfit"], whole=False)
    lab.record(planned[0])
    (row,) = lab.dicts("SELECT * FROM studies")
    assert row["ended"] is None
    lab.store.end(1)
    (row,) = lab.dicts("SELECT * FROM studies")
    assert row["began"] <= row["ended"]
    assert row["versions"] == {"python": "3"}
    assert {name: row[name] for name in ("run", "study", "title", "spec", "command", "commit", "is_latest")} == {
        "run": 1,
        "study": "small",
        "title": "A small study",
        "spec": "a/small.bspec",
        "command": "bitspec run a/small.bspec",
        "commit": None,
        "is_latest": True,
    }
    assert row["spec_text"].lstrip().startswith('study small "A small study"')
    assert (row["models"], row["tasks"]) == (["nano"], ["cola", "builtin/rte"])
    assert (row["strategies"], row["seeds"]) == (["bitfit"], [0, 1])
    assert (row["cells"], row["finished"]) == (4, 1)


def test_text_of_a_spec_is_only_data(lab: Lab) -> None:
    spec = """study evil "'); DROP TABLE base.trials; --" model "m" task rte strategy s "x' OR 1=1" = bias"""
    lab.run(spec)
    assert lab.rows("SELECT title FROM scores") == [("x' OR 1=1",)]
    assert lab.rows("SELECT spec_text FROM studies") == [(spec,)]


def test_times_are_utc_without_a_zone() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert utc(noon) == datetime(2026, 1, 1, 12)
    assert utc(noon.astimezone()) == utc(noon)
    assert utc(noon.astimezone().replace(tzinfo=None)) == utc(noon)


def test_values_of_another_size_than_their_mask_are_a_mistake(lab: Lab) -> None:
    cell = lab.begin()[0]
    short = TrainedTensor(shape=(3,), mask=trained_values().tensors["bert.q.bias"].mask, values=np.zeros(2))
    with pytest.raises(ValueError, match="2 values for 3 entries"):
        lab.record(cell, values=TrainedValues({"x": short}))
    assert lab.store.statuses() == {}


def test_a_store_has_a_place_of_its_own(tmp_path: Path) -> None:
    one, two = Lab(Store(tmp_path / "one")), Lab(Store(tmp_path / "two" / "deeper"))
    one.run()
    two.begin()
    assert len(one.store.statuses()) == 8
    assert two.store.statuses() == {}


def test_two_cells_of_one_key_are_one_trial(lab: Lab) -> None:
    spec = """study twins model "m" task rte strategy a "A" = bias strategy b "B" = bias | bias"""
    _, planned = plan(spec)
    assert planned[0].key == planned[1].key
    lab.run(spec)
    assert lab.rows("SELECT strategy, title, position FROM scores ORDER BY position") == [("a", "A", 0), ("b", "B", 1)]
    assert lab.rows("SELECT strategy FROM trials") == [("a",)]
    assert lab.rows("SELECT cells, finished FROM studies") == [(2, 2)]
    assert lab.rows("SELECT strategy, cells, finished FROM strategies ORDER BY strategy") == [("a", 1, 1), ("b", 1, 1)]


def test_the_database_stands_for_its_folder(lab: Lab) -> None:
    lab.record(lab.begin()[0])
    assert Store(lab.store.database).statuses() == lab.store.statuses() != {}


def test_a_file_in_the_way_is_no_empty_store(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no store", "utf-8")
    with pytest.raises(BitspecError, match="is a file"):
        Store(tmp_path / "notes.txt").statuses()


def test_what_a_selection_came_to_is_that_of_the_revision_and_the_first_task(lab: Lab) -> None:
    lab.run(SPEC.replace('"builtin/nano"', '"org/x" revision "r1"'))
    found = lab.store.picked("org/x", "r1", {"rte": "bias", "builtin/rte": "bias", "cola": "bias"})
    assert found is not None
    assert (found.task, found.seed) == ("builtin/rte", 0)
    assert sum(entries for _, _, entries in found.entries) == sum(change.trained for change in CHANGES)
    assert lab.store.picked("org/x", "r2", {"cola": "bias"}) is None
    assert lab.store.picked("org/x", None, {"cola": "bias"}) is None
    assert lab.store.picked("org/x", "r1", {"cola": "gamma", "builtin/rte": "all"}) is None
