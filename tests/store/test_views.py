"""The views: their columns are those that are written down, and their rows those that were worked out by hand."""

from __future__ import annotations

import re

import duckdb
import pytest

from bitspec.store import schema
from bitspec.store.connection import ENGINE
from bitspec.store.store import Store
from bitspec.store.views import COLUMNS, VIEWS
from tests.store.conftest import STARTED, Lab, failed, trained_values

#: The columns that were agreed on, in their order, with their types.
CONTRACT = {
    "scores": "study VARCHAR, model VARCHAR, task VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, "
    "seed BIGINT, score DOUBLE, best_score DOUBLE, best_epoch INTEGER, metric VARCHAR, metrics MAP(VARCHAR, DOUBLE), "
    "trainable BIGINT, percent DOUBLE, head BIGINT, change DOUBLE, loss DOUBLE, epochs INTEGER, learning_rate DOUBLE, "
    "batch_size INTEGER, settings JSON, selection VARCHAR, seconds DOUBLE, pack_size INTEGER, training_examples BIGINT, "
    "validation_examples BIGINT, device VARCHAR, threads INTEGER, finished TIMESTAMP, key VARCHAR",
    "epochs": "study VARCHAR, model VARCHAR, task VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, "
    "seed BIGINT, epoch INTEGER, loss DOUBLE, validation_loss DOUBLE, score DOUBLE, metrics MAP(VARCHAR, DOUBLE), "
    "seconds DOUBLE, key VARCHAR",
    "changes": "study VARCHAR, model VARCHAR, task VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, "
    "seed BIGINT, tensor VARCHAR, role VARCHAR, layer INTEGER, kind VARCHAR, entries BIGINT, trained BIGINT, "
    "change DOUBLE, trained_change DOUBLE, key VARCHAR",
    "predictions": "study VARCHAR, model VARCHAR, task VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, "
    "seed BIGINT, split VARCHAR, example INTEGER, label DOUBLE, prediction DOUBLE, margin DOUBLE, key VARCHAR",
    "strategies": "study VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, selection VARCHAR, "
    "trainable_min BIGINT, trainable_max BIGINT, percent DOUBLE, cells BIGINT, finished BIGINT",
    "trials": "key VARCHAR, status VARCHAR, model VARCHAR, model_source VARCHAR, model_revision VARCHAR, "
    "model_fingerprint VARCHAR, task VARCHAR, data_fingerprint VARCHAR, seed BIGINT, selection VARCHAR, settings JSON, "
    "strategy VARCHAR, study VARCHAR, score DOUBLE, best_score DOUBLE, best_epoch INTEGER, metric VARCHAR, "
    "metrics MAP(VARCHAR, DOUBLE), trainable BIGINT, percent DOUBLE, head BIGINT, change DOUBLE, loss DOUBLE, "
    "epochs INTEGER, learning_rate DOUBLE, batch_size INTEGER, seconds DOUBLE, pack_size INTEGER, training_examples BIGINT, "
    "validation_examples BIGINT, message VARCHAR, started TIMESTAMP, finished TIMESTAMP, device VARCHAR, "
    "threads INTEGER, pack VARCHAR[], run INTEGER, values_file VARCHAR",
    "studies": "run INTEGER, study VARCHAR, title VARCHAR, spec VARCHAR, spec_text VARCHAR, definition JSON, warnings VARCHAR[], "
    "command VARCHAR, "
    "began TIMESTAMP, ended TIMESTAMP, commit VARCHAR, versions MAP(VARCHAR, VARCHAR), models VARCHAR[], "
    "tasks VARCHAR[], strategies VARCHAR[], seeds BIGINT[], cells BIGINT, finished BIGINT, is_latest BOOLEAN",
    "cells": "study VARCHAR, model VARCHAR, task VARCHAR, strategy VARCHAR, title VARCHAR, position INTEGER, "
    "seed BIGINT, key VARCHAR, status VARCHAR",
}
CONTRACT |= {f"all_{name}": CONTRACT[name] for name in ("scores", "epochs", "changes", "predictions")}


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_has_the_columns_that_were_agreed_on(lab: Lab, view: str) -> None:
    lab.store.prepare()
    found = lab.rows(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'main' "
        "AND database_name = 'results' ORDER BY column_index",
        view,
    )
    assert ", ".join(f"{name} {kind}" for name, kind in found) == CONTRACT[view]
    assert [name for name, _ in found] == list(COLUMNS[view])


def test_every_view_and_column_is_written_down() -> None:
    assert COLUMNS.keys() == VIEWS.keys() == CONTRACT.keys()
    meanings = [meaning for columns in COLUMNS.values() for meaning in columns.values()]
    meanings += [view.meaning for view in VIEWS.values()]
    assert not [meaning for meaning in meanings if not meaning or meaning.endswith(".") or meaning[0].isspace()]


def test_an_ordinary_connection_reads_the_views(lab: Lab) -> None:
    lab.run()
    with duckdb.connect(lab.store.read_path(), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (8,)
        assert connection.execute("SELECT count(DISTINCT settings->>'epochs') FROM scores").fetchone() == (1,)


def test_what_a_view_shows_of_one_trial(lab: Lab) -> None:
    cells = lab.begin()
    lab.record(cells[2], score=70.0)
    assert lab.rows(
        "SELECT study, model, task, strategy, title, position, seed, score, trainable, percent, change FROM scores"
    ) == [("small", "nano", "cola", "bitfit", "BitFit", 1, 0, 70.0, 260, 0.75, (16 + 32 + 4) / 260)]
    assert lab.rows("SELECT task, strategy, title, seed, epoch, score FROM epochs ORDER BY epoch") == [
        ("cola", "bitfit", "BitFit", 0, 1, 70.0),
        ("cola", "bitfit", "BitFit", 0, 2, 70.0),
    ]
    assert lab.rows("SELECT strategy, seed, role, layer, change, trained_change FROM changes ORDER BY tensor") == [
        ("bitfit", 0, "q", 0, 0.125, 0.125),
        ("bitfit", 0, "m2", 1, 0.0625, 0.25),
        ("bitfit", 0, None, None, 1.0, 1.0),
    ]
    assert lab.rows("SELECT title, count(*), sum(margin) FROM predictions GROUP BY ALL") == [("BitFit", 3, -0.25)]


def test_the_change_in_scores_is_the_one_of_all_trained_entries(lab: Lab) -> None:
    lab.run()
    assert (
        lab.rows(
            "SELECT s.change = c.change FROM scores AS s JOIN (SELECT key, sum(trained * trained_change) / sum(trained) "
            "AS change FROM changes GROUP BY key) AS c USING (key)"
        )
        == [(True,)] * 4
    )


def test_the_best_epoch_is_the_first_of_the_best(lab: Lab) -> None:
    lab.record(lab.begin()[0], score=50.0)
    assert lab.rows("SELECT best_score, best_epoch, score FROM scores") == [(50.0, 1, 50.0)]


def test_the_last_epoch_is_the_one_that_counts(lab: Lab) -> None:
    for cell in lab.begin():
        lab.record(cell)
    assert lab.rows(
        "SELECT count(*) FROM scores JOIN epochs ON epochs.key = scores.key AND epochs.epoch = scores.epochs "
        "WHERE scores.score = epochs.score AND scores.loss = epochs.loss AND scores.metrics = epochs.metrics"
    ) == [(8,)]
    assert lab.rows("SELECT count(*) FROM scores WHERE best_score > score AND best_epoch = 1") != [(0,)]


def test_the_sizes_of_a_strategy_and_its_missing_cells(lab: Lab) -> None:
    cells = lab.begin()
    lab.record(cells[2], trainable=100, percent=1.0)
    lab.record(cells[3], trainable=140, percent=2.0)
    lab.store.record_failure(lab.runs[0], cells[6], failed(cells[6]), started=STARTED)
    assert lab.rows(
        "SELECT strategy, title, position, selection, trainable_min, trainable_max, percent, cells, finished "
        "FROM strategies ORDER BY position"
    ) == [
        ("frozen", "Frozen", 0, "none", None, None, None, 4, 0),
        ("bitfit", "BitFit", 1, "bias", 100, 140, 1.5, 4, 2),
    ]
    assert lab.rows("SELECT status, count(*) FROM cells GROUP BY ALL ORDER BY ALL") == [
        ("failed", 1),
        ("finished", 2),
        ("missing", 5),
    ]


def test_a_key_is_one_row_of_trials_however_many_cells_it_has(lab: Lab) -> None:
    lab.record(lab.begin()[0], values=trained_values())
    assert len(lab.rows("FROM trials")) == 1
    ((name,),) = lab.rows("SELECT values_file FROM trials")
    assert re.fullmatch(r"values/[0-9a-f]{64}\.safetensors", name)
    assert (lab.store.folder / name).exists()


def test_views_of_another_bitspec_are_made_anew(lab: Lab) -> None:
    lab.run()
    with ENGINE.writing(lab.store.database) as connection:
        connection.execute("CREATE OR REPLACE VIEW scores AS SELECT 1 AS old")
        connection.execute("UPDATE base.meta SET views = 'of another'")
    assert lab.rows("FROM scores") == [(1,)]
    Store(lab.store.folder).prepare()
    assert len(lab.rows("FROM scores")) == 8
    with ENGINE.reading(lab.store.database) as connection:
        assert schema.version(connection) == (schema.SCHEMA_VERSION, schema.views_digest())
    with duckdb.connect(lab.store.read_path(), read_only=True) as connection:  # whatever it was attached as
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (8,)
