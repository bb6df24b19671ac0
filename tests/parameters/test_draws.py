from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.parameters import draws
from bitspec.parameters.draws import Randomness, Stream
from tests.parameters.handmade import steady


def stream(number: int = 0) -> Stream:
    return Randomness(number, "rand(all, 1%)").stream("test")


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("below", [1, 2, 3, 7, 8, 1000, 2**33 + 1, 2**63])
def test_integers_are_in_range(below: int) -> None:
    drawn = stream().integers(below, 500)
    assert drawn.dtype == np.int64
    assert drawn.min() >= 0
    assert drawn.max() < below


def test_integers_are_uniform() -> None:
    # 99.9 % of chi-square with 6 and with 99 degrees of freedom. The seed is fixed, so this cannot flake.
    assert chi_square(np.bincount(stream().integers(7, 70_000))) < 22.5
    assert chi_square(np.bincount(stream().integers(100, 100_000))) < 148.2


@steady
@given(st.integers(1, 200), st.data(), st.integers(1, 9))
def test_samples_are_distinct_sorted_and_free_of_chunks(below: int, data: st.DataObject, chunk: int) -> None:
    count = data.draw(st.integers(0, below))
    drawn = stream().sample(below, count)
    assert drawn.dtype == np.int64
    assert drawn.size == count
    assert drawn.tolist() == sorted(set(drawn.tolist()) & set(range(below)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "CHUNK", chunk)
        assert np.array_equal(stream().sample(below, count), drawn)


@steady
@given(st.integers(1, 300), st.data())
def test_a_sample_is_the_first_distinct_of_one_sequence(below: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, below // 2))
    first = dict.fromkeys(stream().integers(below, 200 * below).tolist())
    assert stream().sample(below, count).tolist() == sorted(itertools.islice(first, count))


@pytest.mark.parametrize(("below", "count"), [(5, 2), (5, 3), (6, 1), (4, 2)])
def test_every_sample_is_equally_likely(below: int, count: int) -> None:
    subsets = {subset: place for place, subset in enumerate(itertools.combinations(range(below), count))}
    seen = [subsets[tuple(stream(number).sample(below, count).tolist())] for number in range(4000)]
    # 99.9 % of chi-square with at most 9 degrees of freedom.
    assert chi_square(np.bincount(seen, minlength=len(subsets))) < 27.9


def test_every_permutation_is_equally_likely() -> None:
    orders = {order: place for place, order in enumerate(itertools.permutations(range(4)))}
    seen = [orders[tuple(stream(number).permutation(4).tolist())] for number in range(6000)]
    assert chi_square(np.bincount(seen, minlength=24)) < 49.7  # 23 degrees of freedom


def test_coins_are_fair() -> None:
    seen = [stream(number).coin() for number in range(4000)]
    assert chi_square(np.bincount(seen)) < 10.8


def test_permutations_are_drawn_again_when_words_repeat() -> None:
    class Repeating:
        words = iter([np.array([3, 3, 1], np.uint64), np.array([2, 3, 1], np.uint64)])

        def random_raw(self, count: int) -> np.ndarray:
            assert count == 3
            return next(self.words)

    fixed = stream()
    fixed._bits = Repeating()  # type: ignore[assignment]
    assert fixed.permutation(3).tolist() == [2, 0, 1]


@pytest.mark.parametrize(("below", "count"), [(3, 4), (3, -1), (0, 1)])
def test_impossible_samples(below: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw {count} distinct integers out of {below}"):
        stream().sample(below, count)


@pytest.mark.parametrize("below", [0, -1, 2**63 + 1])
def test_impossible_integers(below: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw an integer below {below}"):
        stream().integers(below, 1)


def test_streams_depend_on_seed_call_and_purpose() -> None:
    streams = [
        Randomness(0, "a").stream("x"),
        Randomness(1, "a").stream("x"),
        Randomness(-1, "a").stream("x"),
        Randomness(2**80, "a").stream("x"),
        Randomness(0, "b").stream("x"),
        Randomness(0, "a").stream("y"),
        Randomness(0, "a").stream("x", ""),
        Randomness(0, 'a", "x').stream(),
    ]
    assert len({tuple(one.integers(2**63, 2).tolist()) for one in streams}) == len(streams)
    again = Randomness(0, "a").stream("x"), Randomness(0, "a").stream("x")
    assert again[0].integers(9, 5).tolist() == again[1].integers(9, 5).tolist()


def test_integers_are_the_low_bits_of_raw_words() -> None:
    key = hashlib.sha256(b'["bitspec draws 1", 5, "all", "entries"]').digest()
    words = np.random.Philox(key=np.frombuffer(key[:16], "<u8").astype(np.uint64)).random_raw(100)
    expected = [int(word) % 1024 for word in words if int(word) % 1024 < 700][:40]
    assert Randomness(5, "all").stream("entries").integers(700, 40).tolist() == expected


#: Sha256 of the samples as little-endian int64. They hold for every machine and every version of NumPy.
GOLDEN = {
    (
        0,
        "rand(all, 0.04%)",
        "entries",
        108_310_272,
        43_324,
    ): "b63a8d5ed161fe889e471c572ecb76bfc177ecb8bde11cbe3d60058bb5525ca9",
    (
        1,
        "rand(all, 0.04%)",
        "entries",
        108_310_272,
        43_324,
    ): "a6792f1acc9f8f66cab7bbb035f4c0a76da0fc691cf49910a7db36a5577cdab4",
    (
        0,
        "rand(bias, size(b_q))",
        "entries",
        102_912,
        9_216,
    ): "a55a3924bc81771d8008d7c8c21a7fb5221dbdf75ecd7a841a07fb1d8985a939",
    (
        0,
        "rand(all, 50%)",
        "entries",
        1_000,
        500,
    ): "a3e9a536eeda96d4d714c9c9a8384b88323e9947e90d7d41f17cad9c5eec5fcd",
    (
        0,
        "rand(all, 90%)",
        "entries",
        1_000,
        900,
    ): "e7356c918cba7ead454fc7c26919e681cfb10a64bb29399b1801726036b6f940",
    (
        7,
        "rand(all, 3)",
        "layer.0.bias",
        6_738_415_616,
        3,
    ): "6a86ddaaf811ecab972ac7d266d35306df779fa2c20d98125ee9f153d7955389",
}


@pytest.mark.parametrize(("case", "digest"), GOLDEN.items(), ids=str)
def test_golden_samples(case: tuple[int, str, str, int, int], digest: str) -> None:
    seed, call, purpose, below, count = case
    drawn = Randomness(seed, call).stream(purpose).sample(below, count)
    assert hashlib.sha256(drawn.astype("<i8").tobytes()).hexdigest() == digest


def test_golden_streams() -> None:
    source = Randomness(3, "rowcol(matrix, 100)")
    assert source.stream("way").integers(10, 12).tolist() == [9, 0, 3, 8, 7, 5, 4, 1, 1, 9, 4, 4]
    assert source.stream("lines").permutation(10).tolist() == [9, 4, 2, 3, 5, 6, 1, 0, 7, 8]
    assert [source.stream("way", name).coin() for name in "abcdefgh"] == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
