"""How often verdicts are right: many studies in which nothing differs, and some in which something does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from bitspec.language.load import loads
from bitspec.report.differences import Difference
from bitspec.report.verdicts import Verdict, judge
from tests.report.made import QUESTIONS, runs_of

STUDIES = [150, pytest.param(1000, marks=pytest.mark.slow)]

#: The standard deviation of a run on each task, in points, and where scores lie.
SPREAD = {"cola": 1.5, "mrpc": 0.8, "rte": 2.0}
LEVELS = {"cola": 55.0, "mrpc": 88.0, "rte": 67.0}

#: Standard deviation of what a seed does to all strategies alike: the same head, the same batches.
SHARED = 0.5


@dataclass(frozen=True)
class Simulated:
    """What came of many studies: those with any verdict, verdicts of true differences, intervals that cover."""

    decided: int
    found: int
    sought: int
    covered: int
    intervals: int
    wrong: int


@cache
def simulate(studies: int, better: frozenset[str] = frozenset()) -> Simulated:
    """Studies in which `better` strategies are two run standard deviations better on every task."""
    study = loads(QUESTIONS)
    draws = np.random.default_rng(20260701)
    decided = found = sought = covered = intervals = wrong = 0
    for _ in range(studies):
        scores = {
            (task.name, strategy.name, seed): LEVELS[task.name]
            + SPREAD[task.name] * (SHARED * shared + draws.normal() + 2.0 * (strategy.name in better))
            for task in study.tasks
            for seed, shared in zip(study.seeds, draws.normal(size=len(study.seeds)), strict=True)
            for strategy in study.strategies
        }
        changes = dict.fromkeys(scores, 0.1)
        changes.update(zip(changes, draws.lognormal(-3, 0.3, len(changes)), strict=True))

        def score(task: str, strategy: str, seed: int, scores: dict[tuple[str, str, int], float] = scores) -> float:
            return scores[task, strategy, seed]

        def change(task: str, strategy: str, seed: int, changes: dict[tuple[str, str, int], float] = changes) -> float:
            return changes[task, strategy, seed]

        findings = judge(study, runs_of(study, score, change))
        assert len(findings) == 13
        decided += any(finding.verdict is not Verdict.UNDECIDED for finding in findings)
        for finding in findings:
            if not isinstance(finding.found, Difference):
                continue
            sides = [2.0 * (name in better) for name in (finding.found.left, finding.found.right)]
            truth = float(np.mean([SPREAD[task] * (sides[0] - sides[1]) for task in SPREAD]))
            assert finding.found.interval is not None
            covered += finding.found.interval.low <= truth <= finding.found.interval.high
            intervals += 1
            expected = Verdict.SUPPORTED if truth > 0 else Verdict.CONTRADICTED
            if truth:
                sought += 1
                found += finding.verdict is expected
            wrong += finding.verdict not in {Verdict.UNDECIDED, expected if truth else Verdict.UNDECIDED}
    return Simulated(decided, found, sought, covered, intervals, wrong)


@pytest.mark.parametrize("studies", STUDIES)
def test_where_nothing_differs_hardly_any_study_has_a_verdict(studies: int) -> None:
    decided = simulate(studies).decided / studies
    assert decided <= 0.05 + 1.645 * np.sqrt(0.05 * 0.95 / studies)  # the sampling error of the simulation
    assert decided > 0.005  # a test that never says anything would pass too


@pytest.mark.parametrize("studies", STUDIES)
def test_intervals_cover_the_truth(studies: int) -> None:
    for one in (simulate(studies), simulate(200, frozenset({"bitfit", "bm2_bq"}))):
        assert 0.93 <= one.covered / one.intervals <= 0.97


def test_differences_of_two_standard_deviations_are_found() -> None:
    simulated = simulate(200, frozenset({"bitfit", "bm2_bq"}))
    assert simulated.sought == 200 * 9
    assert simulated.found / simulated.sought >= 0.8
    assert simulated.wrong / 200 <= 0.08  # of what does not differ, or on the wrong side
