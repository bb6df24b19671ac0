"""The numbers of a heatmap, against those worked out by hand, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Change
from bitspec.ir.trials import Planned
from bitspec.report.changes import FEW_PANELS, MOST_PANELS, Changes, Moved, Row, label, read
from bitspec.report.choices import Choice
from bitspec.report.words import caption
from tests.report.conftest import SMALL, SPEC, Fill, change, moved
from tests.store.conftest import Lab


def panels(changes: Changes) -> list[tuple[str, str, str]]:
    return [(panel.cells.model, panel.cells.strategy, panel.cells.task) for panel in changes.panels]


def the_rows(store: Path, strategy: str, task: str = "rte") -> dict[str, Row]:
    (panel,) = read(store, Choice(tasks=(task,), strategies=(strategy,))).panels
    return {row.label: row for row in panel.rows}


def test_a_cell_is_the_mean_over_entries_and_seeds(store: Path) -> None:
    rows = the_rows(store, "bitfit")
    of_seeds = 1.5  # the mean of 1 and 2
    assert rows["b_q"].cells == pytest.approx((0.1 * of_seeds, 0.3 * of_seeds))
    # Two tensors of one role in a layer count by their entries: (12 * 0.01 + 4 * 0.05) / 16.
    assert rows["b_m2"].cells == pytest.approx((0.02 * of_seeds, 0.03 * of_seeds))
    assert rows["b_q"].average == pytest.approx(0.2 * of_seeds)
    assert rows["b_m2"].average == pytest.approx(0.025 * of_seeds)


def test_what_lies_outside_the_layers_has_only_a_mean(store: Path) -> None:
    row = the_rows(store, "bitfit")["b_pooler"]
    assert row.cells == ()
    assert row.average == pytest.approx(0.3)


def test_the_row_that_moved_most_is_first(store: Path) -> None:
    rows = the_rows(store, "bitfit")
    assert list(rows) == ["b_q", "b_pooler", "b_m2"]
    assert [row.total for row in rows.values()] == pytest.approx([0.6, 0.3, 0.075])


def test_a_tensor_that_a_sample_passed_over_did_not_move(store: Path) -> None:
    # In layer 1 seed 0 moved it by 0.1, and seed 1 left it as it was.
    assert the_rows(store, "sample")["b_q"].cells == pytest.approx((0.1, 0.05))


def test_a_role_that_has_no_tensor_in_a_layer_has_no_cell_there(fill: Fill) -> None:
    folder = fill(changes=lambda cell: tuple(one for one in moved(cell) if one.tensor != "layer.0.q.bias"))
    rows = the_rows(folder, "bitfit")
    assert list(rows["b_q"].cells) == [None, pytest.approx(0.45)]
    assert rows["b_q"].average == pytest.approx(0.45)


def test_the_layers_are_those_of_the_model_and_not_of_the_strategy(fill: Fill) -> None:
    folder = fill(
        changes=lambda cell: tuple(one for one in moved(cell) if cell.trial.strategy != "gamma1" or one.layer == 0)
    )
    assert list(the_rows(folder, "gamma1")["g_ln1"].cells) == [pytest.approx(0.02), None]


def test_panels_stand_in_the_order_of_the_spec(store: Path) -> None:
    changes = read(store, Choice())
    assert panels(changes) == [
        ("nano", strategy, task)
        for strategy in ("bitfit", "sample", "gamma1")
        for task in ("builtin/cola", "builtin/rte")
    ]
    assert changes.unmoved == ("Frozen",)
    assert changes.unfinished == ()
    assert changes.largest == pytest.approx(0.45)
    assert (changes.chosen.study, changes.chosen.title) == ("moved", "What moved")
    assert {panel.cells.finished for panel in changes.panels} == {2}


def test_the_whole_is_narrowed_by_names(store: Path) -> None:
    found = read(store, Choice(tasks=("rte",)))
    assert {task for _, _, task in panels(found)} == {"builtin/rte"}
    found = read(store, Choice(tasks=("builtin/rte",), strategies=("gamma1", "BitFit"), models=("nano",)))
    assert panels(found) == [("nano", "bitfit", "builtin/rte"), ("nano", "gamma1", "builtin/rte")]
    assert found.unmoved == ()


def test_the_short_name_of_a_task_is_the_whole_one_of_another(fill: Fill) -> None:
    folder = fill(SPEC.replace("task builtin/cola, builtin/rte", "task builtin/rte, rte"))
    assert {task for _, _, task in panels(read(folder, Choice(tasks=("rte",))))} == {"rte"}


def test_several_models_have_panels_of_their_own(fill: Fill) -> None:
    spec = SPEC.replace('model nano = "builtin/nano"', 'model b = "two"\nmodel a = "one"').replace("builtin/cola, ", "")
    found = read(fill(spec), Choice(strategies=("bitfit",)))
    assert panels(found) == [("b", "bitfit", "builtin/rte"), ("a", "bitfit", "builtin/rte")]
    assert panels(read(fill(spec), Choice(models=("a",), strategies=("bitfit",)))) == panels(found)[1:]


def test_what_is_not_finished_is_named_and_counted(fill: Fill) -> None:
    folder = fill(
        skip=lambda cell: (
            cell.trial.strategy == "gamma1"
            or (cell.trial.strategy == "bitfit" and cell.trial.seed == 1 and cell.trial.task.name == "builtin/rte")
        )
    )
    found = read(folder, Choice(tasks=("rte",)))
    assert found.unfinished == ("g_LN1",)
    assert [(panel.cells.finished, panel.cells.planned) for panel in found.panels] == [(1, 2), (2, 2)]
    assert the_rows(folder, "bitfit")["b_q"].cells == pytest.approx((0.1, 0.3))  # of the seed that is there


def test_an_earlier_study_is_shown_as_it_stands(fill: Fill) -> None:
    fill()
    folder = fill(SPEC.replace("study moved", "study other").replace("seeds 0, 1", "seeds 0"))
    assert read(folder, Choice()).chosen.study == "other"
    earlier = read(folder, Choice(study="moved"))
    assert earlier.chosen.study == "moved"
    assert {panel.cells.finished for panel in earlier.panels} == {2}


def test_changes_of_replaced_settings_are_not_mixed_in(fill: Fill) -> None:
    fill()
    folder = fill(
        SPEC.replace("epochs = 1", "epochs = 2"),
        changes=lambda cell: tuple(one.model_copy(update={"change": 7.0}) for one in moved(cell)),
    )
    assert the_rows(folder, "bitfit")["b_q"].cells == (7.0, 7.0)


@pytest.mark.parametrize(
    ("choice", "code", "message", "hint"),
    [
        (
            Choice(tasks=("mrpc",)),
            "unknown-name",
            "there is no task called `mrpc` in the study `moved`",
            "there are `builtin/cola` and `builtin/rte`",
        ),
        (
            Choice(strategies=("bitfti",)),
            "unknown-name",
            "there is no strategy called `bitfti` in the study `moved`",
            "did you mean `bitfit`?",
        ),
        (
            Choice(models=("bert",)),
            "unknown-name",
            "there is no model called `bert` in the study `moved`",
            "there is only `nano`",
        ),
        (
            Choice(study="movd"),
            "unknown-name",
            "there is no study called `movd` in the store",
            "did you mean `moved`?",
        ),
        (
            Choice(strategies=("frozen",)),
            "nothing-trained",
            "`Frozen` trained nothing of the base model, so nothing changed",
            "choose other strategies with `--strategy`",
        ),
    ],
)
def test_what_cannot_be_shown(store: Path, choice: Choice, code: str, message: str, hint: str) -> None:
    with pytest.raises(BitspecError) as found:
        read(store, choice)
    (diagnostic,) = found.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == (code, message, hint)


def test_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(BitspecError, match="there are no results in") as found:
        read(tmp_path / "store", Choice())
    assert "bitspec run" in str(found.value)


def test_a_store_without_a_study(lab: Lab) -> None:
    lab.store.prepare()
    with pytest.raises(BitspecError, match="the store has no study yet"):
        read(lab.store.folder, Choice())


def test_nothing_is_finished_yet(fill: Fill) -> None:
    folder = fill(skip=lambda cell: cell.trial.strategy != "sample")
    with pytest.raises(BitspecError) as found:
        read(folder, Choice(tasks=("rte",), strategies=("bitfit",)))
    assert found.value.diagnostics[0].code == "nothing-finished"
    assert "no trial of `bitfit` is finished on `builtin/rte` in the study `moved`" in str(found.value)
    assert "bitspec run a/small.bspec" in str(found.value)


@pytest.mark.parametrize(
    ("role", "layer", "kind", "expected"),
    [
        ("q", 0, "bias", "b_q"),
        ("ln1", 3, "gamma", "g_ln1"),
        ("m2", 3, "matrix", "W_m2"),
        ("emb", None, "embedding", "emb"),
        ("emb_ln", None, "gamma", "g_emb_ln"),
        ("emb", None, "other", "other_emb"),
        (None, 3, "bias", "encoder.*.odd.3x.bias"),
        (None, None, "bias", "encoder.3.odd.3x.bias"),
    ],
)
def test_rows_are_called_as_in_the_paper(role: str | None, layer: int | None, kind: str, expected: str) -> None:
    assert label(Moved("encoder.3.odd.3x.bias", role, layer, kind, 4, 0.0)) == expected


def test_kinds_of_a_role_have_rows_of_their_own(fill: Fill) -> None:
    def both(cell: Planned) -> tuple[Change, ...]:
        return (*moved(cell), change("layer.0.q.weight", "q", 0, "matrix", 16, 0.5))

    assert {"b_q", "W_q"} <= the_rows(fill(changes=both), "bitfit").keys()


def test_control_characters_of_a_store_reach_nobody(fill: Fill) -> None:
    folder = fill(changes=lambda _: (change("a\x1b[31m\nb", None, None, "bias", 4, 0.5),))
    assert list(the_rows(folder, "bitfit")) == ["a�[31m�b"]


def test_of_very_many_panels_the_first_are_shown(fill: Fill) -> None:
    many = f"for n in 1..{MOST_PANELS} {{ strategy s_$n = rand(bias, $n) }}"
    found = read(fill(SMALL.replace("seeds 0, 1", "seeds 0") + many), Choice())
    assert len(found.panels) == FEW_PANELS - 1  # the first strategy is frozen
    assert found.left_out == 4 + MOST_PANELS - FEW_PANELS
    assert caption(found)[-1] == f"left out: {found.left_out} panels; choose with --task, --strategy and --model"
