"""Findings: what a comparison comes to, when it is decided, and what is said where it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Predictions
from bitspec.language.load import loads
from bitspec.report.choices import Choice
from bitspec.report.differences import Difference, Predicted, difference
from bitspec.report.scores import read as read_scores
from bitspec.report.sentences import count_verdicts, p_text, sentence
from bitspec.report.verdicts import Finding, Verdict, Why, judge, wording
from bitspec.report.verdicts import read as read_verdicts
from tests.report.made import runs_of
from tests.store.conftest import Lab

SPEC = """
study made "A made-up study"
model nano = "builtin/nano"
task cola, mrpc, rte
seeds 0..4
strategy a "First"  = bias
strategy b "Second" = gamma
strategy c "Third"  = bias | gamma
strategy frozen     = none
question "Which is better?" { EXPECT }
"""


def one(expect: str, score: Callable[[str, str, int], float | None], seeds: range = range(5)) -> Finding:
    """The finding of a single expectation."""
    study = loads(SPEC.replace("EXPECT", f"expect {expect}"))
    (finding,) = judge(study, runs_of(study, score, seeds=seeds))
    return finding


def lead(points: float, spread: float = 0.1) -> Callable[[str, str, int], float]:
    """Scores in which strategy `a` leads by so many points, give or take a little from run to run."""
    draws = np.random.default_rng(0)

    def score(_task: str, strategy: str, _seed: int) -> float:
        return 60 + points * (strategy == "a") + spread * draws.normal()

    return score


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ("a > b", Verdict.SUPPORTED),
        ("a >= b", Verdict.SUPPORTED),
        ("b > a", Verdict.CONTRADICTED),
        ("a < b", Verdict.CONTRADICTED),
        ("b < a", Verdict.SUPPORTED),
        ("b <= a", Verdict.SUPPORTED),
        ("b > c", Verdict.UNDECIDED),
        ("b >= c", Verdict.UNDECIDED),  # alike is not yet "at least as good": that takes a margin
        ("b >= c - 1.0", Verdict.SUPPORTED),
        ("c <= b + 1.0", Verdict.SUPPORTED),
        ("b >= a - 1.0", Verdict.CONTRADICTED),
        ("b >= a - 5.0", Verdict.SUPPORTED),
        ("a > b + 2.0", Verdict.SUPPORTED),
        ("a > b + 4.0", Verdict.CONTRADICTED),
        ("a > b on rte, cola", Verdict.SUPPORTED),
        ("a > b on rte", Verdict.UNDECIDED),  # five pairs
    ],
)
def test_verdicts(expect: str, verdict: Verdict) -> None:
    finding = one(expect, lead(3.0))
    assert finding.verdict is verdict
    assert wording(finding.expectation) == expect.replace(".0", "")


def test_one_seed_is_always_undecided() -> None:
    finding = one("a > b", lead(30.0), range(1))
    assert isinstance(finding.found, Difference)
    assert finding.found.pairs == 3
    assert (finding.test, finding.corrected, finding.verdict) == (None, None, Verdict.UNDECIDED)
    assert finding.why_open is Why.ONE_SEED
    said = sentence(finding, {"a": "First", "b": "Second"})
    assert said.startswith("First scores 30.0 points above Second on average over 3 tasks, 3 pairs of runs. Undecided:")
    assert "with one seed nothing tells a difference from the luck of a run; it takes at least 2 seeds" in said


def test_fewer_than_six_pairs_are_undecided_and_the_text_says_so() -> None:
    finding = one("a > b on rte", lead(30.0))
    assert finding.why_open is Why.TOO_FEW
    assert finding.test is not None
    assert finding.test.p == 2 / 2**5
    said = sentence(finding, {})
    assert "5 pairs cannot give a p below 0.062, fewer than six none below 0.05; it takes at least 6 seeds" in said


def test_the_correction_is_for_every_expectation() -> None:
    study = loads(SPEC.replace("EXPECT", "expect a > b expect a > c expect c > b on rte"))
    findings = judge(study, runs_of(study, lead(3.0)))
    assert [finding.tests for finding in findings] == [3, 3, 3]
    ps = [finding.test.p for finding in findings if finding.test is not None]
    assert findings[0].corrected == pytest.approx(3 * min(ps))
    assert "corrected for 3 tests" in sentence(findings[0], {})
    assert count_verdicts(findings) == "2 supported, 1 undecided"


def test_what_has_no_runs() -> None:
    def score(_task: str, strategy: str, _seed: int) -> float | None:
        return None if strategy == "b" else 60.0

    finding = one("a > b", score)
    assert finding.why_open is Why.NO_RUNS
    assert sentence(finding, {"a": "First"}) == ("Undecided: no seed of First and b is finished on the same task.")


def test_only_seeds_that_both_have_are_paired() -> None:
    def score(task: str, strategy: str, seed: int) -> float | None:
        if (task, strategy, seed) in {("rte", "a", 0), ("rte", "b", 1), ("cola", "a", 3)} or task == "mrpc":
            return None
        return {"a": 62.0, "b": 60.0}.get(strategy, 0.0) + seed

    study = loads(SPEC.replace("EXPECT", "expect a > b"))
    found = difference(runs_of(study, score), "a", "b")
    assert {stratum.task: [pair.left.seed for pair in stratum.pairs] for stratum in found.strata} == {
        "cola": [0, 1, 2, 4],
        "rte": [2, 3, 4],
    }
    assert found.without == (("nano", "mrpc"),)
    assert found.mean == pytest.approx(2.0)
    finding = one("a > b", score)
    assert "There is no pair on mrpc." in sentence(finding, {})


def test_more_seeds_are_asked_for_where_they_would_help() -> None:
    def score(_task: str, strategy: str, seed: int) -> float:
        return 60 + (1.0, -0.6, 0.5)[seed] * (strategy == "a")

    finding = one("a > b", score, range(3))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.seeds_needed is not None
    assert finding.seeds_needed > 3
    assert f"about {finding.seeds_needed:,} seeds would tell" in sentence(finding, {})


def test_change_against_score() -> None:
    order = {"a": 1, "b": 2, "c": 3}

    def score(_task: str, strategy: str, seed: int) -> float:
        return 50 + 3 * order.get(strategy, 0) + 0.1 * seed

    study = loads(SPEC.replace("EXPECT", "expect change correlates with score"))
    (finding,) = judge(study, runs_of(study, score, lambda _task, strategy, _seed: 0.1 * order.get(strategy, 0)))
    assert finding.test is not None
    assert finding.test.is_exact
    assert finding.test.p == pytest.approx(2 / 6)  # three strategies
    assert finding.effect == pytest.approx(1.0)
    said = sentence(finding, {})
    assert said.startswith(
        "Spearman's correlation of change and score is 1.00 over 3 strategies, averaged over 3 tasks"
    )
    assert said.endswith("Undecided: 3 strategies cannot give a p below 0.33, and a verdict takes less than 0.05.")
    (single,) = judge(study, runs_of(study, score, lambda _t, strategy, _s: 0.1 * order.get(strategy, 0), range(1)))
    assert (single.test, single.why_open) == (None, Why.ONE_SEED)


def test_strategies_that_are_the_same_trials_count_once() -> None:
    study = loads(SPEC.replace("EXPECT", "expect change correlates with score"))
    keys = {
        (task, name, seed): f"{task} {seed}" for task in ("cola", "mrpc", "rte") for name in "ab" for seed in range(5)
    }
    (finding,) = judge(study, runs_of(study, lambda *_: 60.0, keys=keys))
    assert finding.strategies == {"a", "c"}


def test_the_validation_sets_own_error() -> None:
    study = loads(SPEC.replace("EXPECT", "expect a > b on rte"))
    runs = runs_of(study, lead(3.0))
    labels = np.arange(100.0) % 2
    wrong = labels.copy()
    wrong[:30] = 1 - wrong[:30]
    predicted = {
        f"rte {name} {seed}": Predicted(labels, labels if name == "a" else wrong) for name in "ab" for seed in range(5)
    }
    (finding,) = judge(study, runs, predicted)
    assert isinstance(finding.found, Difference)
    assert finding.found.sampling == pytest.approx(100 * np.sqrt(0.3 * 0.7 / 100))
    assert "The validation set itself leaves ± 9.0 points, whatever the seeds." in sentence(finding, {})
    del predicted["rte a 3"]
    (finding,) = judge(study, runs, predicted)
    assert isinstance(finding.found, Difference)
    assert finding.found.sampling is None


def test_from_a_store(lab: Lab) -> None:
    cells = lab.begin(SPEC.replace("EXPECT", "expect a > b expect b > c"))
    with lab.at_once():
        for cell in cells:
            best = cell.trial.strategy == "a"
            answers = (0, 1, 1, 0) if best else (0, 1, 0, 0)
            predicted = Predictions(split="validation", labels=(0, 1, 1, 0), predictions=answers, margins=(1.0,) * 4)
            lab.record(cell, score=70.0 + cell.trial.seed / 10 + 5 * best, predictions=(predicted,))
    found = read_verdicts(lab.store.folder, Choice())
    assert found.title == "A made-up study"
    assert [finding.verdict for finding in found.findings] == [Verdict.SUPPORTED, Verdict.UNDECIDED]
    first = found.findings[0].found
    assert isinstance(first, Difference)
    assert first.mean == pytest.approx(5.0)
    assert first.sampling is not None
    assert len(read_verdicts(lab.store.folder, Choice(strategies=("c",))).findings) == 1
    assert read_verdicts(lab.store.folder, Choice(tasks=("rte",))).findings[0].why_open is Why.TOO_FEW


def test_a_study_without_questions(lab: Lab) -> None:
    lab.record(lab.begin(re.sub(r"question.*", "", SPEC))[0])
    with pytest.raises(BitspecError, match=r"the study `made` asks no question") as caught:
        read_verdicts(lab.store.folder, Choice())
    assert caught.value.diagnostics[0].code == "no-questions"


#: The published table: CoLA, MRPC, RTE, and the average that is printed.
PUBLISHED = {
    "full_ft": (56.4, 89.0, 70.5, 72.0),
    "bitfit": (58.9, 90.6, 70.4, 73.3),
    "bm2_bq": (57.0, 88.7, 66.8, 70.8),
    "frozen": (29.5, 81.4, 57.0, 56.0),
    "rand_uniform": (55.7, 86.0, 63.5, 68.4),
    "rand_rowcol": (52.3, 88.6, 67.2, 69.4),
    "gamma_ln1": (49.4, 86.9, 65.0, 67.1),
    "gamma_ln2": (51.1, 88.3, 68.2, 69.2),
    "gammas": (51.1, 89.0, 66.1, 68.7),
    "rand_bias": (56.8, 89.0, 69.7, 71.8),
    "no_bm2_bq": (54.0, 90.6, 70.4, 71.7),
    "gammas_bitfit": (55.0, 90.3, 71.8, 72.4),
    "gammas_bm2_bq": (56.5, 89.9, 68.6, 71.7),
    "bias_ln": (55.8, 89.1, 70.8, 71.9),
}


def test_the_published_table_decides_nothing(lab: Lab) -> None:
    text = (Path(__file__).parents[2] / "specs" / "paper.bspec").read_text("utf-8").replace("seeds 0..4", "seeds 0")
    cells = lab.begin(text)
    with lab.at_once():
        for cell in cells:
            place = ("cola", "mrpc", "rte").index(cell.trial.task.name)
            lab.record(cell, score=PUBLISHED[cell.trial.strategy][place])
    scores = read_scores(lab.store.folder, Choice())
    averages = {average.strategy: average for average in scores.averages}
    assert averages.keys() == PUBLISHED.keys()
    for name, (*published, printed) in PUBLISHED.items():
        average = averages[name]
        assert average.mean == pytest.approx(np.mean(published))
        assert average.mean == pytest.approx(printed, abs=0.0501)
        assert (average.sd, average.seeds) == (None, 1)
    slip = next(one for one in averages["rand_rowcol"].reported if one.source == "arXiv:2106.10199")
    assert slip.score == pytest.approx(68.8, abs=0.05)  # the paper prints 68.1
    findings = read_verdicts(lab.store.folder, Choice()).findings
    assert len(findings) == 12
    assert {finding.verdict for finding in findings} == {Verdict.UNDECIDED}
    assert {finding.why_open for finding in findings} == {Why.ONE_SEED}


def test_a_task_with_one_seed_keeps_a_comparison_open() -> None:
    def score(task: str, strategy: str, seed: int) -> float | None:
        return None if task == "mrpc" and seed else 60 + 5 * (strategy == "a") + 0.1 * seed

    finding = one("a > b", score)
    assert (finding.test, finding.verdict, finding.why_open) == (None, Verdict.UNDECIDED, Why.ONE_SEED)
    assert "Undecided: with one seed on mrpc nothing tells a difference from the luck of a run" in sentence(finding, {})


def test_the_same_trials_are_not_compared() -> None:
    study = loads(SPEC.replace("EXPECT", "expect a >= b - 1.0"))
    keys = {
        (task, name, seed): f"{task} {seed}" for task in ("cola", "mrpc", "rte") for name in "ab" for seed in range(5)
    }
    (finding,) = judge(study, runs_of(study, lambda *_: 60.0, keys=keys))
    assert (finding.test, finding.why_open) == (None, Why.SAME_TRIALS)
    assert "Undecided: both are the same trials." in sentence(finding, {})


def test_what_cannot_be_tested_yet_counts_in_the_correction() -> None:
    study = loads(SPEC.replace("EXPECT", "expect a > b expect a > frozen"))

    def score(_task: str, strategy: str, seed: int) -> float | None:
        return None if strategy == "frozen" else 60 + 5 * (strategy == "a") + 0.1 * seed

    tested, untested = judge(study, runs_of(study, score, seeds=range(2)))
    assert tested.test is not None
    assert tested.test.p == 2 / 2**6
    assert (tested.corrected, tested.tests, untested.corrected) == (4 / 2**6, 2, None)


def test_what_is_decided_already_is_no_hurdle_for_others() -> None:
    study = loads(SPEC.replace("EXPECT", "expect a > b expect c > b on rte"))

    def score(_task: str, strategy: str, seed: int) -> float:
        leads = {"a": 5.0, "c": 1.0 if seed else -1.0}
        return 60 + leads.get(strategy, 0.0)

    decided, open_one = judge(study, runs_of(study, score, seeds=range(6)))
    assert (decided.verdict, decided.hurdle) == (Verdict.SUPPORTED, 2)
    assert (open_one.verdict, open_one.hurdle) == (Verdict.UNDECIDED, 1)
    assert "not enough for" not in sentence(open_one, {})  # six pairs are, now that the other is decided


def test_a_sample_is_one_for_all_tasks() -> None:
    spec = SPEC.replace('strategy c "Third"  = bias | gamma', "strategy c = rand(bias, 10)")
    study = loads(spec.replace("EXPECT", "expect a > c expect a > b expect a > c on rte"))
    across, other, single = judge(study, runs_of(study, lead(5.0)))
    assert [one.shares_sample for one in (across, other, single)] == [True, False, False]
    assert sentence(across, {}).endswith("luck in it counts on each of them, and p may be too small.")
    assert "sample for all tasks" not in sentence(other, {}) + sentence(single, {})


def test_a_margin_is_what_p_is_held_against() -> None:
    assert "against a difference of −1.0" in sentence(one("b >= c - 1.0", lead(0.0)), {})
    assert "against a difference" not in sentence(one("b >= c", lead(0.0)), {})


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "p < 0.001"), (0.0498, "p = 0.0498"), (0.0502, "p = 0.0502"), (0.05, "p = 0.05"), (0.999, "p = 1")],
)
def test_a_p_says_on_which_side_of_the_level_it_lies(p: float, text: str) -> None:
    assert p_text(p) == text


def test_pairs_that_do_not_differ_are_said_so() -> None:
    finding = one("a > b", lambda *_: 60.0)
    assert (finding.differing, finding.verdict) == (0, Verdict.UNDECIDED)
    assert "Undecided: no pair differs." in sentence(finding, {})
    some = one("a > b", lambda task, strategy, _: 60 + 5.0 * (strategy == "a" and task == "rte"))
    assert some.differing == 5
    assert "Undecided: 5 pairs that differ cannot give a p below 0.062, fewer than six none below 0.05." in sentence(
        some, {}
    )


def test_a_correlation_says_over_which_tasks_it_is() -> None:
    order = {"a": 1, "b": 2, "c": 3}

    def score(task: str, strategy: str, seed: int) -> float:
        return 60.0 if task == "mrpc" else 50 + 3 * order.get(strategy, 0) + 0.1 * seed

    study = loads(SPEC.replace("EXPECT", "expect change correlates with score"))
    (finding,) = judge(study, runs_of(study, score, lambda _task, strategy, _seed: 0.1 * order.get(strategy, 0)))
    assert "over 3 strategies, averaged over 2 tasks, as elsewhere all scores or changes are equal" in sentence(
        finding, {}
    )
    (tied,) = judge(study, runs_of(study, lambda *_: 60.0, lambda *_: 0.1))
    assert sentence(tied, {}) == (
        "Change and score of 3 strategies cannot be ranked. Undecided: all changes or all scores are equal."
    )
