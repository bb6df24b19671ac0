"""The Python API, as a notebook uses it."""

from __future__ import annotations

import numpy as np
import pytest

import bitspec
from bitspec.ir.study import Study

SPEC = """
study s "Two strategies"
model "bert-base-cased"
task rte
seeds 0..2
strategy a = rand(bias, 100)
strategy b = bias where role == q
"""


def test_a_study_is_shown_as_a_table() -> None:
    shown = bitspec.show(bitspec.loads(SPEC), strategies="b")
    assert [summary.model for summary in shown.models] == ["bert-base-cased"]
    assert "<td>b</td>" in shown._repr_html_()
    assert "9,216" in shown._repr_html_()


def test_what_is_wrong_is_in_the_table_too() -> None:
    shown = bitspec.show(bitspec.loads(SPEC + "strategy c = bias where layer == 99"))
    assert not shown.is_right
    assert "no parameter of `bias` is in layer 99" in shown._repr_html_()


def test_seeds_may_be_of_numpy_but_must_be_whole() -> None:
    study = bitspec.loads(SPEC)
    assert bitspec.show(study, seeds=list(np.arange(3))) == bitspec.show(study, seeds=[0, 1, 2])
    assert bitspec.select("rand(bias, 5)", "bert-base-cased", seed=np.int64(3)) == bitspec.select(
        "rand(bias, 5)", "bert-base-cased", seed=3
    )
    with pytest.raises(TypeError):
        bitspec.select("rand(bias, 5)", "bert-base-cased", seed=0.0)  # type: ignore[arg-type]


def test_no_seeds_at_all() -> None:
    with pytest.raises(bitspec.BitspecError, match="there is no seed to show this for"):
        bitspec.show(bitspec.loads(SPEC), seeds=[])


def test_a_study_from_json_is_checked_first() -> None:
    study = Study.model_validate(
        {"name": "s", "models": [{"name": "m", "source": "bert-base-cased"}], "tasks": [{"name": "rte"}],
         "strategies": [{"name": "a", "selection": {"type": "ref", "name": "nowhere"}}]}
    )  # fmt: skip
    with pytest.raises(bitspec.BitspecError, match="there is no group or strategy called `nowhere`"):
        bitspec.show(study)


def test_topk_needs_values() -> None:
    with pytest.raises(bitspec.BitspecError, match="depends on the model's weights") as raised:
        bitspec.select("topk(bias, 5)", "bert-base-cased")
    assert "error[needs-weights]: " in str(raised.value)
    assert "help: pass `values`, a function from a tensor's name to its values as a NumPy array" in str(raised.value)
    picked = bitspec.select("topk(bias where role == q, 5)", "bert-base-cased", values=lambda _: np.arange(768.0))
    assert picked.count == 5


def test_topk_under_a_pattern_is_shown() -> None:
    spec = SPEC + 'strategy c = topk(bias, 1000, by = magnitude) where name ~ "output.LayerNorm"'
    (summary,) = bitspec.show(bitspec.loads(spec), strategies="c").models
    assert (summary.strategies[0].least, summary.strategies[0].most) == (0, 1000)


def test_a_mistake_is_found_wherever_it_stands() -> None:
    # `all | x` is `all`, but x is looked at all the same, in whatever order.
    for order in (
        ("a2 = all", "b2 = all | (bias where layer == 99)"),
        ("b2 = all | (bias where layer == 99)", "a2 = all"),
    ):
        spec = SPEC + "".join(f"strategy {text}\n" for text in order)
        assert [found.code for found in bitspec.show(bitspec.loads(spec)).diagnostics if "99" in found.message] == [
            "matches-nothing"
        ]


def test_what_a_draw_happens_to_miss_is_no_mistake_of_the_selection() -> None:
    spec = SPEC + "strategy c = bias | (rand(all, 100) where role == ln1)"
    assert bitspec.show(bitspec.loads(spec)).is_right
    shown = bitspec.show(bitspec.loads(SPEC + "strategy c = rand(all, 100) where role == ln1"))
    assert [found.message for found in shown.diagnostics] == ["`c` selects nothing with the seed 0"]
