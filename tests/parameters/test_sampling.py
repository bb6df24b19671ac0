from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.ir.masks import AllBut, Cols, Entries, Rows, Selected, Shape, Whole
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.draws import Randomness
from bitspec.parameters.sampling import (
    LineRule,
    Per,
    draw_lines,
    rand,
    shared,
    shortest_line,
    topk,
)
from tests.parameters.handmade import (
    dense,
    dense_all,
    int64,
    llama_7b,
    selections,
    steady,
    whole,
)

SHAPES: dict[str, Shape] = {"a": (3, 2), "b": (5,), "c": (2, 3), "d": (1, 2, 2)}
PERS: list[Per] = ["pool", "tensor"]
CALL = Randomness(0, "call")


def positions(pool: Selected) -> list[tuple[str, int]]:
    """Name and flat index of every entry of a pool, in the pool's order."""
    return [
        (name, int(index))
        for name in sorted(pool)
        for index in np.flatnonzero(dense(pool[name], pool.shapes[name]).ravel())
    ]


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


# Shares -------------------------------------------------------------------------------------------------


@steady
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.data())
def test_shares_add_up_and_are_near_their_quota(weights: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    order = data.draw(st.permutations(range(len(weights))))
    shares = shared(amount, weights, order)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)
        assert share <= weight


def test_shares_go_to_the_largest_remainders() -> None:
    assert shared(10, [5, 3, 1], range(3)) == [6, 3, 1]  # 5 5/9, 3 3/9, 1 1/9
    assert shared(1, [1, 1, 1], [2, 0, 1]) == [0, 0, 1]
    assert shared(2, [1, 1, 1], [2, 0, 1]) == [1, 0, 1]
    assert shared(2**70, [2**70, 2**71], range(2)) == [2**70 // 3, 2**70 - 2**70 // 3]


# Entries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", PERS)
@steady
@given(data=st.data())
def test_rand_takes_exactly_the_amount_from_the_pool(per: Per, data: st.DataObject) -> None:
    pool = data.draw(selections(SHAPES).filter(bool))
    amount = data.draw(st.integers(1, pool.count))
    randomness = Randomness(data.draw(st.integers(0, 50)), "call")
    taken = rand(pool, amount, per, randomness)
    assert taken.count == amount
    inside, picked = dense_all(pool, SHAPES), dense_all(taken, SHAPES)
    assert not any((picked[name] & ~inside[name]).any() for name in SHAPES)
    if per == "tensor":
        for name, count in pool.counts.items():
            assert abs(taken.counts.get(name, 0) * pool.count - amount * count) < pool.count


@steady
@given(data=st.data())
def test_rand_per_model_picks_positions_of_the_pool(data: st.DataObject) -> None:
    """However the pool's masks are written, a drawn position is the entry that is counted there."""
    pool = data.draw(selections(SHAPES).filter(bool))
    amount = data.draw(st.integers(1, pool.count))
    drawn = CALL.stream("entries").sample(pool.count, amount)
    order = positions(pool)
    assert positions(rand(pool, amount, "pool", CALL)) == [order[place] for place in drawn]


@steady
@given(data=st.data())
def test_rand_per_tensor_draws_by_the_tensors_name(data: st.DataObject) -> None:
    pool = data.draw(selections(SHAPES).filter(bool))
    taken = rand(pool, data.draw(st.integers(1, pool.count)), "tensor", CALL)
    for name, mask in pool.items():
        order = positions(Selected({name: mask}, SHAPES))
        drawn = CALL.stream("entries", name).sample(len(order), taken.counts.get(name, 0))
        assert positions(taken.only([name])) == [order[place] for place in drawn]


@pytest.mark.parametrize("per", PERS)
def test_every_entry_is_equally_likely(per: Per) -> None:
    pool = Selected({"a": Cols(int64(0)), "b": AllBut(int64(2, 3)), "c": Rows(int64(1))}, SHAPES)
    seen = {position: place for place, position in enumerate(positions(pool))}
    counts = np.zeros(len(seen))
    for seed in range(3000):
        for position in positions(rand(pool, 3, per, Randomness(seed, "call"))):
            counts[seen[position]] += 1
    assert counts.size == 9
    assert chi_square(counts) < 26.1  # 99.9 % for 8 degrees of freedom; the seeds are fixed


def test_ties_of_shares_are_broken_at_random() -> None:
    pool = Selected({"a": Whole(), "c": Whole()}, SHAPES)
    extra = [rand(pool, 5, "tensor", Randomness(seed, "call")).counts["a"] for seed in range(40)]
    assert set(extra) == {2, 3}


def test_most_of_a_pool_is_kept_as_what_is_left_out() -> None:
    pool = Selected({"a": Whole()}, {"a": (2**20, 2**20)})
    taken = rand(pool, 2**40 - 3, "pool", CALL)
    assert isinstance(taken["a"], AllBut)
    assert taken.count == 2**40 - 3


@pytest.fixture(scope="module")
def llama() -> Catalogue:
    return llama_7b()


def test_six_million_of_seven_billion(llama: Catalogue) -> None:
    assert llama.size == 6_738_415_616
    pool = whole(llama)
    taken = rand(pool, 6_000_000, "pool", Randomness(0, "rand(all, 6000000)"))
    assert taken.count == 6_000_000
    assert len({id(getattr(mask, "indices").base) for mask in taken.values()}) == 1  # noqa: B009 - one array for all
    # Tensor by tensor within six standard deviations of its quota.
    for name, size in pool.counts.items():
        quota = 6_000_000 * size / llama.size
        assert abs(taken.counts.get(name, 0) - quota) < 6 * quota**0.5 + 6
    assert taken.digest() == "3ab143692e92328f68b82581acebf142246689788ff9b27fa1a52b550b21b7e4"


def test_six_million_of_seven_billion_per_tensor(llama: Catalogue) -> None:
    taken = rand(whole(llama), 6_000_000, "tensor", Randomness(0, "rand(all, 6000000, per = tensor)"))
    assert taken.count == 6_000_000
    assert taken.counts["embed.weight"] == round(6_000_000 * 131_072_000 / llama.size)


# Lines --------------------------------------------------------------------------------------------------


RULES: list[LineRule] = ["rows", "cols", "rowcol"]
MATRICES: dict[str, Shape] = {"a": (3, 2), "b": (2, 5), "c": (4, 4), "d": (1, 3)}
MATRIX_POOL = Selected({name: Whole() for name in MATRICES}, MATRICES)


def way_of(name: str, taken: Selected, transposed: set[str]) -> set[str]:
    """Which rules could have taken what was taken of a matrix: all of it is lines of one direction."""
    picked = dense(taken[name], MATRICES[name])
    if name in transposed:
        picked = picked.T
    found = set()
    if (picked.all(1) == picked.any(1)).all():
        found.add("rows")
    if (picked.all(0) == picked.any(0)).all():
        found.add("cols")
    return found


@pytest.mark.parametrize("per", PERS)
@pytest.mark.parametrize("rule", RULES)
@steady
@given(
    amount=st.integers(1, MATRIX_POOL.count),
    seed=st.integers(0, 1000),
    transposed=st.sets(st.sampled_from(sorted(MATRICES))),
)
def test_lines_are_whole_and_fit(rule: LineRule, per: Per, amount: int, seed: int, transposed: set[str]) -> None:
    taken = draw_lines(MATRIX_POOL, rule, amount, per, Randomness(seed, "call"), transposed)
    assert taken.count <= amount
    for name in taken:
        ways = way_of(name, taken, transposed)
        assert ways >= {rule} if rule != "rowcol" else ways
    if not taken:
        assert amount < shortest_line(MATRIX_POOL, rule, transposed) or per == "tensor" or rule == "rowcol"


@steady
@given(
    amount=st.integers(1, MATRIX_POOL.count),
    seed=st.integers(0, 1000),
    transposed=st.sets(st.sampled_from(sorted(MATRICES))),
)
def test_lines_per_model_are_taken_in_a_random_order_while_they_fit(
    amount: int, seed: int, transposed: set[str]
) -> None:
    randomness = Randomness(seed, "call")
    lines = []
    for name, (first, second) in MATRICES.items():
        outputs, inputs = (second, first) if name in transposed else (first, second)
        lines += [(name, number, inputs) for number in range(outputs)]
    expected = {name: np.zeros(shape, dtype=bool) for name, shape in MATRICES.items()}
    left = amount
    for place in randomness.stream("lines").permutation(len(lines)):
        name, number, length = lines[place]
        if length <= left:
            left -= length
            (expected[name].T if name in transposed else expected[name])[number] = True
    taken = dense_all(draw_lines(MATRIX_POOL, "rows", amount, "pool", randomness, transposed), MATRICES)
    assert all(np.array_equal(taken[name], expected[name]) for name in MATRICES)


@pytest.mark.parametrize("per", PERS)
def test_all_lines_are_everything(per: Per) -> None:
    assert draw_lines(MATRIX_POOL, "rows", MATRIX_POOL.count, "pool", CALL, set()) == MATRIX_POOL
    square = Selected({"c": Whole()}, MATRICES)
    assert draw_lines(square, "cols", 16, per, CALL, set()) == square


def test_rows_are_of_output_units() -> None:
    shapes = {"plain": (4, 2), "conv": (2, 4)}
    pool = Selected({name: Whole() for name in shapes}, shapes)
    rows = draw_lines(pool, "rows", 4, "tensor", CALL, {"conv"})
    assert isinstance(rows["plain"], Rows)
    assert isinstance(rows["conv"], Cols)
    assert rows.counts == {"conv": 2, "plain": 2}
    cols = draw_lines(pool, "cols", 8, "tensor", CALL, {"conv"})
    assert isinstance(cols["plain"], Cols)
    assert isinstance(cols["conv"], Rows)
    assert cols.counts == {"conv": 4, "plain": 4}


def test_lines_per_tensor_are_shared_by_rows() -> None:
    # 10 rows in all: shares of 9, 6, 12 and 3 for 3, 2, 4 and 1 rows.
    taken = draw_lines(MATRIX_POOL, "rows", 30, "tensor", CALL, set())
    assert taken.counts == {"a": 6, "b": 5, "c": 12, "d": 3}


def test_rowcol_takes_both_ways_in_time() -> None:
    pool = Selected({"c": Whole()}, MATRICES)
    seen = {
        type(draw_lines(pool, "rowcol", 4, per, Randomness(seed, "call"), set())["c"])
        for seed in range(20)
        for per in PERS
    }
    assert seen == {Rows, Cols}


def test_a_single_line_that_fits_is_found_by_rowcol_per_tensor() -> None:
    pool = Selected({"b": Whole()}, MATRICES)
    for seed in range(20):  # a row has 5 entries, a column 2
        assert isinstance(draw_lines(pool, "rowcol", 4, "tensor", Randomness(seed, "call"), set())["b"], Cols)


def test_every_line_is_equally_likely() -> None:
    pool = Selected({"c": Whole(), "a": Whole()}, MATRICES)
    counts = np.zeros(4)
    for seed in range(4000):
        taken = draw_lines(pool, "rows", 4, "pool", Randomness(seed, "call"), set())
        counts += dense(taken.get("c"), (4, 4)).any(1)
    assert chi_square(counts) < 16.3  # 3 degrees of freedom


def test_nothing_fits() -> None:
    assert not draw_lines(MATRIX_POOL, "rows", 1, "pool", CALL, set())
    assert shortest_line(MATRIX_POOL, "rows", set()) == 2
    assert shortest_line(MATRIX_POOL, "rows", {"d"}) == 1
    assert shortest_line(MATRIX_POOL, "rowcol", set()) == 1


def test_a_million_lines(llama: Catalogue) -> None:
    pool = whole(llama, "matrix", "embedding")
    taken = draw_lines(pool, "rows", 6_000_000, "pool", Randomness(0, "rows"), set())
    assert 6_000_000 - 4096 < taken.count <= 6_000_000
    assert taken.digest() == "459537292042109915f9b039ed485f8f9784143d5a32fe47eccab2dd14ae0f75"


# Ranks --------------------------------------------------------------------------------------------------


Numbers = dict[str, np.ndarray]


def few_values(data: st.DataObject) -> Numbers:
    """Values with many ties, and some that are not numbers."""
    value = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, float("inf"), float("nan")])
    return {
        name: np.array(data.draw(st.lists(value, min_size=size, max_size=size)), np.float32).reshape(shape)
        for name, shape in SHAPES.items()
        for size in [int(np.prod(shape))]
    }


@pytest.mark.parametrize("per", PERS)
@steady
@given(data=st.data())
def test_topk_takes_the_first_largest(per: Per, data: st.DataObject) -> None:
    pool = data.draw(selections(SHAPES).filter(bool))
    amount = data.draw(st.integers(1, pool.count))
    values = few_values(data)

    def rank(position: tuple[str, int]) -> tuple[float, tuple[str, int]]:
        score = float(values[position[0]].ravel()[position[1]])
        return (float("inf") if np.isnan(score) else -score, position)

    taken = topk(pool, amount, per, values.__getitem__)
    assert taken.count == amount
    if per == "pool":
        expected = sorted(sorted(positions(pool), key=rank)[:amount])
    else:
        sizes = list(pool.counts.values())
        shares = shared(amount, sizes, range(len(sizes)))
        expected = [
            position
            for name, share in zip(pool, shares, strict=True)
            for position in sorted(sorted(positions(pool.only([name])), key=rank)[:share])
        ]
    assert positions(taken) == expected


def test_topk_reads_only_the_tensors_of_the_pool() -> None:
    read: list[str] = []

    def values(name: str) -> np.ndarray:
        read.append(name)
        return np.ones(SHAPES[name])

    pool = Selected({"c": Rows(int64(1)), "b": Entries(int64(0, 3))}, SHAPES)
    assert topk(pool, 3, "pool", values) == Selected({"b": Entries(int64(0, 3)), "c": Entries(int64(3))}, SHAPES)
    assert read == ["b", "c"]


def test_topk_wants_the_tensors_shape() -> None:
    with pytest.raises(ValueError, match=r"scores of shape \(6,\) for a tensor of shape \(3, 2\)"):
        topk(Selected({"a": Whole()}, SHAPES), 1, "pool", lambda _: np.zeros(6))


def test_topk_leaves_the_values_alone() -> None:
    kept = np.array([-1.0, np.nan, 2.0, -3.0, 0.0])
    before = kept.copy()
    topk(Selected({"b": Whole()}, SHAPES), 2, "pool", lambda _: kept)
    assert np.array_equal(kept, before, equal_nan=True)


# BERT ---------------------------------------------------------------------------------------------------

Built = Callable[[str], Catalogue]


@pytest.mark.parametrize("seed", range(6))
def test_lines_of_the_paper(catalogue_of: Built, seed: int) -> None:
    """One column, or out // in rows where out >= in: out entries of each of 73 matrices, 83,712 in all."""
    bert = catalogue_of("bert-base-cased")
    pool = whole(bert, "matrix")
    assert len(pool) == 73
    taken = draw_lines(pool, "rowcol", 83_712, "tensor", Randomness(seed, "rowcol"), set())
    assert taken.count == 83_712
    assert len(taken) == 73
    for name, mask in taken.items():
        outputs, inputs = pool.shapes[name]
        assert taken.counts[name] == outputs
        assert isinstance(mask, Rows | Cols)
        assert mask.indices.size == (1 if isinstance(mask, Cols) else outputs // inputs)
    rows = [name for name, mask in taken.items() if isinstance(mask, Rows)]
    assert not any(name.endswith("layer.0.output.dense.weight") for name in rows)
    assert 10 < len(rows) < 61 - 10  # 61 matrices have the choice


def test_entries_of_bert(catalogue_of: Built) -> None:
    bert = catalogue_of("bert-base-cased")
    assert rand(whole(bert), 43_324, "pool", CALL).count == 43_324
    taken = rand(whole(bert, "bias"), 43_324, "tensor", CALL)
    assert taken.count == 43_324
    assert taken.counts["encoder.layer.0.intermediate.dense.bias"] in {1293, 1294}
