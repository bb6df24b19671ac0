from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.ir import masks as module
from bitspec.ir.masks import AllBut, Cols, Entries, Mask, Rows, Selected, Shape, Whole, canonical, complement
from tests.parameters.handmade import Dense, dense, int64, masks, steady, subsets

SHAPE = (3, 4)
SHAPES: list[Shape] = [(3, 4), (1, 4), (4, 1), (1, 1), (5,), (2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@steady
@given(data=st.data())
def test_counts_are_those_of_the_dense_mask(shape: Shape, data: st.DataObject) -> None:
    mask = data.draw(masks(shape))
    if mask is not None:
        assert mask.count(shape) == dense(mask, shape).sum()


@pytest.mark.parametrize("form", [Rows, Cols, Entries, AllBut])
@pytest.mark.parametrize(
    "indices", [int64(), int64(1, 1), int64(2, 1), int64(-1, 2), np.array([[1]]), np.array([0.5])], ids=str
)
def test_indices_must_be_sorted_unique_and_something(form: Callable[..., Mask], indices: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mask"):
        form(indices)


def test_disorder_is_found_between_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    assert Entries(int64(0, 1, 2, 3)).indices.size == 4
    with pytest.raises(ValueError, match="sorted"):
        Entries(int64(0, 2, 1, 3))


def test_masks_are_taken_over_and_read_only() -> None:
    indices = int64(1, 2)
    mask = Entries(indices)
    assert mask.indices is indices
    with pytest.raises(ValueError, match="read-only"):
        indices[0] = 0


def test_equality_and_hash_are_by_content() -> None:
    assert Rows(int64(1, 2)) == Rows(np.array([1, 2], np.int32))
    assert hash(Rows(int64(1, 2))) == hash(Rows(int64(1, 2)))
    assert len({Whole(), Rows(int64(1)), Rows(int64(2)), Cols(int64(1)), Entries(int64(1)), AllBut(int64(1))}) == 6
    assert Rows(int64(1)) != Cols(int64(1))
    assert Rows(int64(1)) != "rows"
    assert Whole() == Whole()


def test_pickled_masks_come_back_read_only() -> None:
    mask = pickle.loads(pickle.dumps(Cols(int64(1, 3))))  # noqa: S301 - our own bytes
    assert mask == Cols(int64(1, 3))
    assert not mask.indices.flags.writeable


def test_rows_and_columns_are_of_matrices() -> None:
    with pytest.raises(ValueError, match=r"rows and columns are of 2-D tensors, not of shape \(4,\)"):
        Rows(int64(1)).count((4,))


def test_selected_is_a_mapping_in_order_of_name() -> None:
    shapes = {"b": (4,), "a": SHAPE, "c": (9,)}
    selected = Selected({"b": Whole(), "a": Rows(int64(1))}, shapes)
    assert list(selected) == ["a", "b"]
    assert selected.counts == {"a": 4, "b": 4}
    assert selected.count == 8
    assert selected.shapes == {"a": SHAPE, "b": (4,)}
    assert repr(selected) == "Selected(8 entries of 2 tensors)"
    assert selected.only(["b", "c"]) == Selected({"b": Whole()}, shapes)
    assert hash(selected) == hash(Selected(dict(selected), shapes))
    assert selected != dict(selected)
    assert Selected({}, shapes).count == 0


@pytest.mark.parametrize("mask", [Rows(int64(3)), Cols(int64(4)), Entries(int64(12)), AllBut(int64(12))])
def test_selected_refuses_what_does_not_fit(mask: Mask) -> None:
    with pytest.raises(ValueError, match="beyond shape"):
        Selected({"a": mask}, {"a": SHAPE})


def test_selected_refuses_what_picks_nothing() -> None:
    with pytest.raises(ValueError, match="the mask of a picks nothing"):
        Selected({"a": AllBut(np.arange(12))}, {"a": SHAPE})


@steady
@given(data=st.data(), size=st.integers(1, 40), chunk=st.integers(1, 7))
def test_complement(data: st.DataObject, size: int, chunk: int) -> None:
    indices = data.draw(subsets(size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        assert complement(indices, size).tolist() == sorted(set(range(size)) - set(indices.tolist()))


def forms_of(picked: Dense) -> list[Mask]:
    """Every mask that picks these entries."""
    flat = picked.ravel()
    forms: list[Mask] = [Entries(np.flatnonzero(flat))]
    if flat.all():
        forms.append(Whole())
    else:
        forms.append(AllBut(np.flatnonzero(~flat)))
    if picked.ndim == 2:
        if (picked.all(1) == picked.any(1)).all():
            forms.append(Rows(np.flatnonzero(picked.any(1))))
        if (picked.all(0) == picked.any(0)).all():
            forms.append(Cols(np.flatnonzero(picked.any(0))))
    return forms


@pytest.mark.parametrize("chunk", [1, 2, 1 << 18])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (1, 4), (4, 1), (1, 1), (4,), (2, 1, 2)])
def test_same_entries_same_digest(shape: Shape, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over every set of entries of a small tensor, and every mask that picks it."""
    monkeypatch.setattr(module, "CHUNK", chunk)
    digests = set()
    for bits in product([False, True], repeat=int(np.prod(shape))):
        picked = np.array(bits).reshape(shape)
        if not picked.any():
            continue
        forms = forms_of(picked)
        assert len({canonical(form, shape) for form in forms}) == 1
        assert dense(canonical(forms[0], shape), shape).tolist() == picked.tolist()
        (digest,) = {Selected({"a": form}, {"a": shape}).digest() for form in forms}
        digests.add(digest)
    assert len(digests) == 2 ** int(np.prod(shape)) - 1


def test_digests_tell_tensors_apart() -> None:
    shapes = {"a": (4,), "b": (4,)}
    picks: list[dict[str, Mask]] = [
        {},
        {"a": Whole()},
        {"b": Whole()},
        {"a": Entries(int64(1))},
        {"a": Whole(), "b": Whole()},
    ]
    assert len({Selected(pick, shapes).digest() for pick in picks}) == len(picks)


def test_golden_digest() -> None:
    selected = Selected({"a": Rows(int64(0, 2)), "b": Entries(int64(1))}, {"a": SHAPE, "b": (4,)})
    assert selected.digest() == "37f4897b435ff76be218139ff3f6a8da62a69a914ef4e660f84c8848e5b08a7c"
