"""Which trials stand in the cells of a study, as its spec is edited, narrowed and run again."""

from __future__ import annotations

from bitspec.store.views import VIEWS
from tests.store.conftest import SPEC, Lab

CURRENT = "SELECT strategy, task, seed FROM scores ORDER BY ALL"

#: Every cell of SPEC.
ALL = [
    (strategy, task, seed) for strategy in ("bitfit", "frozen") for task in ("builtin/rte", "cola") for seed in (0, 1)
]


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    lab.run()
    before = lab.rows("SELECT * EXCLUDE (run) FROM base.cells ORDER BY ALL")
    lab.run()
    assert lab.rows("SELECT * EXCLUDE (run) FROM base.cells ORDER BY ALL") == before
    assert lab.rows(CURRENT) == ALL
    assert len(lab.rows("FROM trials")) == 8


def test_edited_settings_replace_their_cells(lab: Lab) -> None:
    lab.run()
    edited = SPEC + "train for bitfit on cola { learning_rate = 5e-3 }"
    lab.run(edited)
    assert lab.rows(CURRENT) == ALL
    assert lab.rows("SELECT DISTINCT learning_rate FROM scores WHERE strategy = 'bitfit' AND task = 'cola'") == [
        (5e-3,)
    ]
    assert lab.rows("SELECT DISTINCT learning_rate FROM scores WHERE strategy = 'frozen'") == [(1e-3,)]
    assert len(lab.rows("FROM all_scores")) == 10  # the two that were replaced are still there


def test_replaced_cells_come_back_when_the_edit_is_undone(lab: Lab) -> None:
    lab.run()
    before = lab.rows("SELECT key FROM scores ORDER BY ALL")
    lab.run(SPEC + "train for bitfit { learning_rate = 5e-3 }")
    assert lab.rows("SELECT key FROM scores ORDER BY ALL") != before
    lab.run()
    assert lab.rows("SELECT key FROM scores ORDER BY ALL") == before
    assert len(lab.rows("FROM trials")) == 12


def test_an_edited_cell_that_is_not_trained_yet_is_missing_and_does_not_show_old_numbers(lab: Lab) -> None:
    lab.run()
    lab.begin(SPEC + "train for bitfit { learning_rate = 5e-3 }")
    assert lab.rows(CURRENT) == [row for row in ALL if row[0] == "frozen"]
    assert lab.rows("SELECT strategy, status, count(*) FROM cells GROUP BY ALL ORDER BY ALL") == [
        ("bitfit", "missing", 4),
        ("frozen", "finished", 4),
    ]


def test_other_seeds_join_those_that_are_there(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("seeds 0, 1", "seeds 2"))
    assert lab.rows("SELECT DISTINCT seed FROM scores ORDER BY seed") == [(0,), (1,), (2,)]
    assert lab.rows("SELECT strategy, cells, finished FROM strategies ORDER BY ALL") == [
        ("bitfit", 6, 6),
        ("frozen", 6, 6),
    ]


def test_other_seeds_of_another_variant_do_not_join(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("seeds 0, 1", "seeds 2").replace("epochs = 2", "epochs = 3"))
    assert lab.rows("SELECT DISTINCT seed FROM scores ORDER BY seed") == [(2,)]


def test_a_strategy_that_is_no_longer_in_the_spec_goes(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace('strategy frozen "Frozen" = none', ""))
    assert lab.rows(CURRENT) == [row for row in ALL if row[0] == "bitfit"]
    assert lab.rows("SELECT strategy FROM strategies") == [("bitfit",)]
    assert len(lab.rows("FROM all_scores")) == 8
    lab.run()
    assert lab.rows(CURRENT) == ALL


def test_a_task_or_a_model_that_is_no_longer_in_the_spec_goes(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("task cola, builtin/rte", "task cola"))
    assert lab.rows("SELECT DISTINCT task FROM scores") == [("cola",)]
    lab.run(SPEC.replace("model nano", "model pico"))
    assert lab.rows("SELECT DISTINCT model FROM scores") == [("pico",)]


def test_a_narrowed_run_leaves_the_others_be(lab: Lab) -> None:
    lab.run()
    lab.run(only=["bitfit"], whole=False)
    assert lab.rows(CURRENT) == ALL


def test_a_narrowed_run_replaces_only_what_it_covers(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("epochs = 2", "epochs = 3"), only=["bitfit"], whole=False)
    assert lab.rows("SELECT DISTINCT strategy, epochs FROM scores ORDER BY ALL") == [("bitfit", 3), ("frozen", 2)]


def test_another_label_or_place_is_no_other_trial_and_holds_for_every_seed(lab: Lab) -> None:
    lab.run()
    relabelled = SPEC.replace('"BitFit"', '"Biases"').replace("seeds 0, 1", "seeds 0")
    lab.run(relabelled.replace('strategy frozen "Frozen" = none', "") + 'strategy frozen "Frozen" = none')
    assert len(lab.rows("FROM trials")) == 8
    assert lab.rows("SELECT DISTINCT title, position FROM scores ORDER BY position") == [("Biases", 0), ("Frozen", 1)]
    assert lab.rows("SELECT title, position, cells FROM strategies ORDER BY position") == [
        ("Biases", 0, 4),
        ("Frozen", 1, 4),
    ]


def test_two_studies_share_trials_and_not_cells(lab: Lab) -> None:
    lab.run()
    other = SPEC.replace("study small", "study other").replace("strategy bitfit", "strategy all_biases")
    lab.run(other)
    assert len(lab.rows("FROM trials")) == 8
    assert lab.rows("SELECT DISTINCT study FROM scores") == [("other",)]
    assert lab.rows("SELECT DISTINCT strategy FROM scores ORDER BY ALL") == [("all_biases",), ("frozen",)]
    assert lab.rows("SELECT study, count(*) FROM all_scores GROUP BY ALL ORDER BY ALL") == [("other", 8), ("small", 8)]
    assert lab.rows("SELECT DISTINCT study FROM trials") == [("small",)]
    assert lab.rows("SELECT study, is_latest FROM studies ORDER BY run") == [("small", False), ("other", True)]


def test_the_latest_study_is_the_one_whose_run_began_last(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("study small", "study other"))
    lab.begin()  # nothing is left to do, and still it is asked about now
    assert lab.rows("SELECT DISTINCT study FROM scores") == [("small",)]
    assert lab.rows("SELECT run, study FROM studies WHERE is_latest") == [(3, "small")]


def test_a_study_that_is_not_the_latest_is_read_as_it_stands(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC + "train for bitfit { learning_rate = 5e-3 }")
    before = {view: lab.rows(f"FROM {view} ORDER BY ALL") for view in ("scores", "epochs", "cells", "strategies")}
    assert before["scores"]
    lab.run(SPEC.replace("study small", "study other"))
    for view, rows in before.items():
        assert sorted(lab.rows(VIEWS[view].of_study(), "small"), key=repr) == sorted(rows, key=repr)


def test_to_drop_from_one_study_leaves_the_other(lab: Lab) -> None:
    lab.run()
    lab.run(SPEC.replace("study small", "study other").replace('strategy bitfit "BitFit" = bias', ""))
    assert lab.rows("SELECT count(*) FROM base.cells WHERE study = 'small' AND current") == [(8,)]


def test_a_large_study_begins_at_once(lab: Lab) -> None:
    spec = """
    study large  model "m"  task cola, mrpc, rte, sst2  seeds 0..4
    for l in 0..99 { strategy s_$l = rand(bias, 10, seed = $l) }
    """
    assert len(lab.begin(spec)) == 2000
    assert lab.rows("SELECT status, count(*) FROM cells GROUP BY ALL") == [("missing", 2000)]
    lab.begin(spec)
    assert lab.rows("SELECT count(*) FROM base.cells") == [(2000,)]
