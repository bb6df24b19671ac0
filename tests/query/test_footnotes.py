"""What stands below an answer: whose runs and how many, what is missing, why there is nothing."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.query.answer import ask, explain, schema
from bitspec.store.store import Store
from bitspec.store.views import VIEWS
from tests.query.conftest import SPEC, STARTED, begin, result

RUNS = "small: n = 2 to 3 runs per cell"
LACKING = "2 of 24 cells have no result: ln on builtin/rte, seed 2 (missing); ln on cola, seed 1 (diverged)"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("select mean(score) by strategy", [RUNS, LACKING]),
        ("select mean(score)", [RUNS, LACKING]),
        ("select * from scores", [RUNS, LACKING]),
        ("select avg(score) from main.scores", [RUNS, LACKING]),
        ("select mean(score) by strategy where seed = 0", ["small: n = 1 run per cell"]),
        ("select mean(score) by strategy where strategy != ln", ["small: n = 3 runs per cell"]),
        (
            "select mean(score) by strategy where strategy = ln and task = rte",
            ["small: n = 2 runs per cell", "1 of 3 cells have no result: ln on builtin/rte, seed 2 (missing)"],
        ),
        (
            "select n where strategy = ln and task = cola and seed in 0..1",
            ["small: n = 1 run per cell", "1 of 2 cells have no result: ln on cola, seed 1 (diverged)"],
        ),
        (
            "select mean(score) by strategy where score > 60",
            ["small: n = 2 to 3 runs per cell", LACKING.replace("cells", "cells of the whole study")],
        ),
        ("select mean(loss) from epochs by epoch", [RUNS, LACKING]),
        ("select mean(loss) from epochs by epoch where epoch = 1 and seed = 1", [
            "small: n = 1 run per cell",
            LACKING.replace("cells", "cells of the whole study"),
        ]),
        ("select mean(change) from changes by role where strategy = full", ["small: n = 3 runs per cell"]),
        ("select n from predictions by split where strategy = full", ["small: n = 3 runs per cell"]),
        ("select mean(score) from all_scores by strategy", [RUNS]),
        ("select avg(score) from all_scores", [RUNS]),
        ("select n from trials by status", []),
        ("select n from cells by status", []),
        ("select strategy, cells from strategies", []),
        ("select strategy, n from strategies by strategy", [LACKING]),
        ("select 1 from studies", []),
        ("select mean(score) by strategy where strategy in {ln, bitfitt}", [
            "small: n = 2 runs per cell",
            "2 of 6 cells have no result: ln on builtin/rte, seed 2 (missing); ln on cola, seed 1 (diverged)",
            "no strategy is called `bitfitt`; did you mean `bitfit`?",
        ]),
        ("select mean(score) where task = rt", ["no task is called `rt`; did you mean `rte`?"]),
        ("select mean(score) where task = xyz", ["no task is called `xyz`; there are `builtin/rte` and `cola`"]),
        ("select n from changes by role where role = xyz", ["no role is called `xyz`; there are `m2` and `q`"]),
        ("select score where score > 99", ["no row meets the conditions"]),
        ("select mean(score) where score > 99", ["no row meets the conditions"]),
        ("select mean(score) by strategy having n > 99", ["no row meets the conditions"]),
        ("select * from scores where score > 99", ["no row meets the conditions"]),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quick")
def test_notes(text: str, notes: list[str], store: Path) -> None:
    assert list(ask(text, store).notes) == notes


def test_where_no_study_was_begun(no_study: Path) -> None:
    for text in ("select mean(score)", "select score", "select * from scores", "select n from changes by role"):
        assert ask(text, no_study).notes == ("the store holds no study yet: `bitspec run SPEC` fills it",)


def test_where_nothing_is_finished(empty_study: Path) -> None:
    for text in ("select mean(score)", "select score", "select * from scores", "select n from epochs by epoch"):
        (note,) = ask(text, empty_study).notes
        assert note == "no trial of small has finished yet (24 missing): `bitspec run` goes on with it"
    assert ask("select n from cells by status", empty_study).rows == [("missing", 24)]


def test_several_studies_are_told_one_by_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for name, seeds in (("first", 1), ("second", 2)):
        run, cells = begin(store, SPEC.replace("study small", f"study {name}"))
        for cell in cells:
            if cell.trial.strategy == "bitfit" and cell.trial.seed < seeds:
                store.record(run, cell, result(cell, 50.0), started=STARTED)
    assert list(ask("select mean(score) from all_scores by study", store.folder).notes) == [
        "first: n = 2 runs per cell",  # both studies have the same trials
        "second: n = 2 runs per cell",
    ]
    notes = ask("select mean(score) by strategy", store.folder).notes
    assert notes[0] == "second: n = 2 runs per cell"
    assert notes[1].startswith("20 of 24 cells have no result: full on builtin/rte, seed 0 (missing); ")
    assert notes[1].endswith("; and 17 more")


def test_models_are_named_where_there_are_several(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run, cells = begin(store, SPEC.replace('model nano = "builtin/nano"', 'model a = "x"\nmodel b = "y"'))
    store.record(run, cells[0], result(cells[0], 50.0), started=STARTED)
    assert (
        ask("select n", store.folder)
        .notes[1]
        .startswith("46 of 48 cells have no result: full on builtin/rte with a, seed 0 (missing); ")
    )


def test_a_real_task_comes_before_the_built_in_one_of_its_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run, cells = begin(store, SPEC.replace("task cola, builtin/rte", "task rte, builtin/rte, builtin/cola"))
    for cell in cells:
        store.record(run, cell, result(cell, 50.0), started=STARTED)
        if cell.trial.seed == 1:
            break
    rows = explain("select n by task where task in {rte, cola}", store.folder)
    assert "-- $1 = 'rte'\n-- $2 = 'builtin/cola'\n" in rows


# The schema, and SQL without a store --------------------------------------------------------------------


def test_the_schema_lists_the_views() -> None:
    found = schema()
    assert [column.heading for column in found.columns] == ["view", "a row is"]
    assert [row[0] for row in found.rows] == list(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_the_schema_of_a_view(view: str) -> None:
    found = schema(view)
    assert [row[0] for row in found.rows] == list(VIEWS[view].columns)
    assert all(sql_type and meaning for _, sql_type, meaning in found.rows)


def test_the_schema_of_what_is_no_view() -> None:
    with pytest.raises(BitspecError) as raised:
        schema("score")
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.help) == ("unknown-view", "did you mean `scores` or `all_scores`?")


def test_a_query_is_explained_without_a_store(tmp_path: Path) -> None:
    text = explain("select mean(score) by strategy where task = rte", tmp_path / "nowhere")
    assert text == (
        'SELECT scores.strategy, avg(scores.score) AS "mean(score)"\n'
        "FROM scores\n"
        "WHERE scores.task = $1\n"
        "GROUP BY scores.strategy\n"
        "ORDER BY min(scores.position) NULLS LAST, scores.strategy NULLS LAST;\n"
        "-- $1 = 'rte'\n"
    )
    assert explain(" select 1 from scores ", tmp_path) == "select 1 from scores\n"


def test_a_store_that_is_none_of_ours(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "results.duckdb") as connection:
        connection.execute("CREATE TABLE x (y INTEGER)")
    assert ask("select * from x", tmp_path).notes == ()
    with pytest.raises(BitspecError) as raised:
        ask("select mean(score)", tmp_path)
    assert raised.value.diagnostics[0].code == "store-broken"
