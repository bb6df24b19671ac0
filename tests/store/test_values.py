"""Trained values are read as they were written, whatever their masks, and their file can be read without us."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bitspec.diagnostics import BitspecError
from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Whole
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.store.values import FORMAT, read_values, write_values
from tests.store.conftest import Lab, trained_values

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)


def indices(size: int) -> st.SearchStrategy[Any]:
    return st.sets(st.integers(0, size - 1), min_size=1).map(lambda found: np.array(sorted(found)))


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> Mask:
    kinds: dict[Any, int] = {Entries: math.prod(shape)}
    if math.prod(shape) > 1:
        kinds[AllBut] = math.prod(shape) - 1
    if len(shape) == 2:
        kinds |= {Rows: shape[0], Cols: shape[1]}
    kind: Any = draw(st.sampled_from([Whole, *kinds]))
    return Whole() if kind is Whole else kind(draw(indices(kinds[kind])))


@st.composite
def tensors(draw: st.DrawFn) -> TrainedTensor:
    shape = tuple(draw(st.lists(st.integers(1, 6), max_size=3)))
    mask = draw(masks(shape))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    return TrainedTensor(shape=shape, mask=mask, values=draw(arrays.arrays(kind, mask.count(shape))))


def content(values: TrainedValues) -> Mapping[str, Any]:
    """Everything in them as plain data, bit for bit (a NaN is equal to itself)."""
    return {
        name: (tensor.shape, tensor.mask, tensor.values.dtype, tensor.values.tobytes())
        for name, tensor in values.tensors.items()
    }


@given(st.dictionaries(NAMES.filter(lambda name: "#" not in name), tensors(), max_size=4).map(TrainedValues))
def test_values_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, values: TrainedValues) -> None:
    path = tmp_path_factory.mktemp("values") / "x.safetensors"
    write_values(path, values, {})
    found = read_values(path)
    assert content(found) == content(values)
    assert list(found.tensors) == list(values.tensors)
    assert found.count == values.count


def test_the_file_tells_all_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_values(path, trained_values(), {"key": "abc"})
    arrays = load_file(path)
    assert arrays.keys() == {
        *("bert.q.bias", "bert.q.weight", "bert.q.weight#rows", "bert.k.weight", "bert.k.weight#cols"),
        *("bert.v.weight", "bert.v.weight#entries", "bert.o.weight", "bert.o.weight#allbut", "classifier.weight"),
    }
    assert arrays["bert.q.weight#rows"].tolist() == [1, 3]
    assert arrays["bert.q.weight#rows"].dtype == np.int32
    assert arrays["bert.o.weight"].dtype == np.float64
    assert all(array.ndim == 1 for array in arrays.values())
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    assert metadata["key"] == "abc"
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["tensors"])["bert.o.weight"] == {"shape": [4, 3], "mask": "allbut"}


def test_indices_that_32_bits_do_not_hold_have_64(tmp_path: Path) -> None:
    far = Entries(np.array([5, 2**31]))
    values = TrainedValues({"x": TrainedTensor(shape=(2**16, 2**16), mask=far, values=np.ones(2, np.float32))})
    write_values(tmp_path / "x", values, {})
    assert load_file(tmp_path / "x")["x#entries"].dtype == np.int64
    assert content(read_values(tmp_path / "x")) == content(values)


def test_values_that_do_not_lie_in_one_piece_are_written_in_order(tmp_path: Path) -> None:
    strided = np.arange(12, dtype=np.float32)[::2]
    values = TrainedValues({"x": TrainedTensor(shape=(6,), mask=Whole(), values=strided)})
    write_values(tmp_path / "x", values, {})
    assert read_values(tmp_path / "x").tensors["x"].values.tolist() == [0, 2, 4, 6, 8, 10]


def test_names_that_would_meet_are_a_mistake(tmp_path: Path) -> None:
    one = TrainedTensor(shape=(2, 2), mask=Rows(np.array([0])), values=np.zeros(2))
    with pytest.raises(ValueError, match="is that of another tensor"):
        write_values(tmp_path / "x", TrainedValues({"a": one, "a#rows": one}), {})


def test_what_is_kept_of_a_trial_says_what_it_is_of(lab: Lab) -> None:
    cell = lab.begin()[-1]
    lab.record(cell, values=trained_values())
    found = lab.store.values(cell.key)
    assert found is not None
    assert content(found) == content(trained_values())
    with safe_open(lab.store.folder / "values" / f"{cell.key}.safetensors", framework="np") as file:
        about = file.metadata()
    assert {name: about[name] for name in ("key", "model", "model_fingerprint", "task", "seed", "selection")} == {
        "key": cell.key,
        "model": "builtin/nano",
        "model_fingerprint": "weights",
        "task": "builtin/rte",
        "seed": "1",
        "selection": "bias",
    }


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "foreign", "newer", "a mask is missing"])
def test_a_damaged_file_is_told_of(lab: Lab, damage: str) -> None:
    cell = lab.begin()[0]
    lab.record(cell, values=trained_values())
    path = lab.store.folder / "values" / f"{cell.key}.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "garbage":
        path.write_bytes(b"no tensors here" * 100)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        save_file({"x": np.zeros(3)}, path)
    elif damage == "newer":
        save_file({"x": np.zeros(3)}, path, {"format": "bitspec.values/2"})
    else:
        save_file({"x": np.zeros(3)}, path, {"format": FORMAT, "tensors": '{"x": {"shape": [9], "mask": "entries"}}'})
    with pytest.raises(BitspecError, match=r"the trained values in `.*` cannot be read") as found:
        lab.store.values(cell.key)
    assert found.value.diagnostics[0].code == "values-broken"
    assert "put a copy" in str(found.value)


def test_those_who_share_a_store_may_read_them(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_values(tmp_path / "x", trained_values(), {})
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "x"]
