"""Hypothesis: what the grammars allow and what is near it. A few hundred inputs; 100,000 of each by `make test-slow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import QUERY_WORDS, SPEC_WORDS, mutated, query_inputs, seeds, spec_inputs
from tests.fuzz.targets import compile_a_query, prepared, read_spec, within_its_time

#: Each text that is drawn is tried as it is and in so many mutations.
MUTATIONS = 19
FEW, MANY = 8, 5_000

_SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> Iterator[None]:
    with prepared():
        yield


def tried(target: Callable[[str], None], text: str, seed: int, words: tuple[str, ...]) -> None:
    """Try a text and its mutations, each of which starts from the one before or from the text."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    within_its_time(target, text)
    latest = text
    for _ in range(MUTATIONS):
        latest = mutated(latest if random.random() < 0.5 else text, random, words)
        within_its_time(target, latest)


@settings(_SETTINGS, max_examples=FEW)
@given(spec_inputs(), st.integers(0, 2**32))
def test_specs(text: str, seed: int) -> None:
    tried(read_spec, text, seed, SPEC_WORDS)


@settings(_SETTINGS, max_examples=FEW)
@given(query_inputs(), st.integers(0, 2**32))
def test_queries(text: str, seed: int) -> None:
    tried(compile_a_query, text, seed, QUERY_WORDS)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=MANY)
@given(spec_inputs(), st.integers(0, 2**32))
def test_a_hundred_thousand_specs(text: str, seed: int) -> None:
    tried(read_spec, text, seed, SPEC_WORDS)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=MANY)
@given(query_inputs(), st.integers(0, 2**32))
def test_a_hundred_thousand_queries(text: str, seed: int) -> None:
    tried(compile_a_query, text, seed, QUERY_WORDS)


def test_the_texts_to_begin_with_are_found() -> None:
    assert len(seeds("spec")) > 100
    assert len(seeds("query")) > 50
    for text in seeds("spec"):
        within_its_time(read_spec, text)
    for text in seeds("query"):
        within_its_time(compile_a_query, text)
