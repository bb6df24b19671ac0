"""Metrics: against scikit-learn, SciPy and the formulas; where they are not defined; without network, files or haste."""

from __future__ import annotations

import math
import socket
import tempfile
import time
import warnings
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from bitspec.training.examples import Examples, Split
from bitspec.training.metrics import metric, scores
from bitspec.vocabulary import METRICS

steady = settings(deadline=None, max_examples=100)

BINARY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 3))


def _columns(rows: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [float(label) for label, _ in rows], [float(prediction) for _, prediction in rows]


# Against other programs -----------------------------------------------------------------------------------


@steady
@given(BINARY)
def test_two_classes_as_scikit_learn_scores_them(rows: list[tuple[int, int]]) -> None:
    labels, predictions = _columns(rows)
    found = scores(2, "validation", labels, predictions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": accuracy_score(labels, predictions),
            "f1": f1_score(labels, predictions, pos_label=1, zero_division=0.0),
            "matthews": matthews_corrcoef(labels, predictions),
        }
    assert found == pytest.approx(expected, abs=1e-12)
    assert {type(value) for value in found.values()} == {float}


@steady
@given(BINARY)
def test_two_classes_by_hand(rows: list[tuple[int, int]]) -> None:
    tp, tn, fp, fn = (rows.count(pair) for pair in ((1, 1), (0, 0), (0, 1), (1, 0)))
    found = scores(2, "validation", *_columns(rows))
    assert found["accuracy"] == float(Fraction(tp + tn, len(rows)))
    assert found["f1"] == (float(Fraction(2 * tp, 2 * tp + fp + fn)) if tp + fp + fn else 0.0)
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    assert found["matthews"] == pytest.approx((tp * tn - fp * fn) / math.sqrt(product) if product else 0.0, abs=1e-12)


@steady
@given(
    st.integers(3, 5).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), min_size=1))
    )
)
def test_more_classes_have_an_accuracy(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, rows = case
    found = scores(classes, "validation", *_columns(rows))
    assert found == {"accuracy": sum(label == prediction for label, prediction in rows) / len(rows)}


@steady
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=30))
def test_a_regression_as_its_formulas_say(rows: list[tuple[float, float]]) -> None:
    labels, predictions = _columns(rows)
    found = scores(1, "validation", labels, predictions)
    if len(set(labels)) == 1 or len(set(predictions)) == 1:
        assert found == {"pearson": 0.0, "spearman": 0.0}
        return
    ranks = np.corrcoef(stats.rankdata(labels), stats.rankdata(predictions))[0, 1]
    values = np.corrcoef(labels, predictions)[0, 1]
    assert found == pytest.approx({"pearson": values, "spearman": ranks}, abs=1e-7)


def test_known_values() -> None:
    assert scores(2, "validation", [1, 1, 0, 0], [1, 0, 0, 0]) == pytest.approx(
        {"accuracy": 3 / 4, "f1": 2 / 3, "matthews": 1 / math.sqrt(3)}
    )
    assert scores(1, "validation", [1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(
        {"pearson": 0.984374038697697, "spearman": 1.0}
    )
    # F1 is that of the second class.
    assert scores(2, "validation", [0, 0, 1], [0, 0, 0])["f1"] == 0.0
    assert scores(2, "validation", [1, 1, 0], [1, 1, 1])["f1"] == pytest.approx(4 / 5)


# Where they are not defined -------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("said", [0, 1])
def test_a_constant_prediction_is_no_correlation(labels: list[float], said: float) -> None:
    for order in ((labels, [said] * 4), ([said] * 4, labels)):
        assert scores(2, "validation", *order)["matthews"] == 0.0
        assert scores(1, "validation", *order) == {"pearson": 0.0, "spearman": 0.0}


def test_a_prediction_that_is_almost_constant() -> None:
    almost = [1.0, 1.0 + 1e-15, 1.0, 1.0 - 1e-15]
    found = scores(1, "validation", [0.0, 1.0, 2.0, 3.0], almost)
    assert all(math.isfinite(value) and abs(value) <= 1 for value in found.values())


def test_a_single_example() -> None:
    assert scores(2, "validation", [1], [1]) == {"accuracy": 1.0, "f1": 1.0, "matthews": 0.0}
    assert scores(1, "validation", [1.5], [2.5]) == {"pearson": 0.0, "spearman": 0.0}


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([], []), ([1.0], []), ([1.0], [1.0, 0.0]), ([math.nan], [1.0]), ([1.0], [math.inf])],
)
def test_what_cannot_be_scored(labels: list[float], predictions: list[float]) -> None:
    for outputs in (1, 2):
        with pytest.raises(ValueError, match=r"cannot be compared|must be finite"):
            scores(outputs, "validation", labels, predictions)


# Names ----------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_language() -> None:
    named = {name for outputs in (1, 2, 3) for name in scores(outputs, "validation", [0, 1], [0, 1])}
    assert named == METRICS.keys()


def test_a_second_validation_set_has_names_of_its_own() -> None:
    split = Split("validation", (("a",), ("b",)), (0, 1))
    examples = Examples("mnli", split, (split,), ("entailment", "neutral", "contradiction"), "accuracy")
    assert examples.scores("validation", [0, 1], [0, 1]) == {"accuracy": 1.0}
    assert examples.scores("validation_mismatched", [0, 1], [0, 2]) == {"accuracy_mismatched": 0.5}


# The metric of the library --------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_it_is_a_metric_of_evaluate_and_there_is_one(outputs: int) -> None:
    import evaluate

    found = metric(outputs)
    assert isinstance(found, evaluate.Metric)
    assert found is metric(outputs)
    expected = scores(outputs, "validation", [0, 1, 1], [0, 1, 0])
    for label, prediction in ((0, 0), (1, 1)):
        found.add(prediction=prediction, reference=label)
    found.add_batch(predictions=[0], references=[1])
    assert found.compute() == expected
    assert found.compute(predictions=[0, 1, 0], references=[0, 1, 1]) == expected


def test_the_library_keeps_all_digits_of_a_regression() -> None:
    labels, predictions = [0.1, 0.2, 0.35], [0.11, 0.19, 0.3]
    metric(1).add_batch(predictions=predictions, references=labels)
    assert metric(1).compute() == scores(1, "validation", labels, predictions)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_it_needs_no_network_and_leaves_no_files(outputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate.config

    def no_network(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "hub")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = metric.__wrapped__(outputs)
    assert made.compute(predictions=[0, 1, 1], references=[0, 1, 0]) == scores(
        outputs, "validation", [0, 1, 0], [0, 1, 1]
    )
    made.add_batch(predictions=[0, 1], references=[0, 0])
    assert made.compute()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_it_is_quick_enough_for_every_epoch(outputs: int) -> None:
    draws = np.random.default_rng(0)
    labels, predictions = draws.integers(0, 2, (2, 1_000)).tolist()
    scores(outputs, "validation", labels, predictions)

    def seconds() -> float:
        start = time.perf_counter()
        scores(outputs, "validation", labels, predictions)
        return time.perf_counter() - start

    # The quickest of many, for other processes run beside this one.
    assert min(seconds() for _ in range(20)) < 0.005
