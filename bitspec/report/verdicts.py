"""What a study says to its questions: for each expectation a finding, with a verdict that statistics bear out.

A verdict comes from a two-sided p alone, corrected by Holm for all expectations of the study. An expectation is
supported where p is below LEVEL and the effect is on its side, contradicted where it is on the other, else undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.selection import is_random
from bitspec.ir.study import Comparison, Correlation, Expectation, Study
from bitspec.report import statistics
from bitspec.report.associations import Association, association
from bitspec.report.choices import Ask, Choice, asking, choose
from bitspec.report.differences import Difference, Predicted, difference, predictions_of
from bitspec.report.runs import Runs, runs_of
from bitspec.report.statistics import LEVEL, Significance


class Verdict(StrEnum):
    """What the runs say to an expectation."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


class Why(StrEnum):
    """What keeps a verdict open, before any chance comes into it."""

    NO_RUNS = "there are no runs to compare"
    SAME_TRIALS = "both are the same trials"
    ONE_SEED = "one seed shows no spread"
    TOO_FEW = "there are too few runs for any verdict"


@dataclass(frozen=True)
class Finding:
    """What came of one expectation.

    `found` is a Difference of a comparison, an Association of a correlation. `test` is None where there is nothing to
    test; `corrected` is its p by Holm over all `tests` of the study, `hurdle` of which are not decided without it: so
    many times its p has to lie below LEVEL. `shares_sample`: a strategy is a sample, of which each seed draws one for
    all tasks and models, so that pairs of one seed are not independent.
    """

    question: str
    expectation: Expectation
    found: Difference | Association
    test: Significance | None
    corrected: float | None = None
    tests: int = 1
    hurdle: int = 1
    shares_sample: bool = False

    @property
    def strategies(self) -> set[str]:
        """The strategies that it speaks of."""
        if isinstance(self.found, Association):
            return {point.strategy for points in self.found.points for point in points}
        return {self.found.left, self.found.right}

    @property
    def effect(self) -> float:
        """How far what was found lies on the side of the expectation: in points beyond its margin, or as a rank
        correlation. Only where there is a test."""
        if isinstance(self.found, Association):
            assert self.found.correlation is not None
            return self.found.correlation.mean
        assert isinstance(self.expectation, Comparison)
        return (self.found.mean - self.expectation.margin) * (1 if self.expectation.operator.startswith(">") else -1)

    @property
    def verdict(self) -> Verdict:
        """What the runs say."""
        if self.corrected is None or self.corrected >= LEVEL:
            return Verdict.UNDECIDED
        return Verdict.SUPPORTED if self.effect > 0 else Verdict.CONTRADICTED

    @property
    def why_open(self) -> Why | None:
        """What makes any verdict impossible, if something does."""
        found = self.found
        if not (found.strata if isinstance(found, Difference) else found.points):
            return Why.NO_RUNS
        if isinstance(found, Difference) and found.is_of_itself:
            return Why.SAME_TRIALS
        if found.fewest_seeds < 2:
            return Why.ONE_SEED
        return Why.TOO_FEW if self.test is None or self.least >= LEVEL else None

    @cached_property
    def least(self) -> float:
        """The smallest p that such runs could give. Only where there is a test."""
        if isinstance(self.found, Association):
            return statistics.smallest_p_of_ranks(self.found.strategies)
        return statistics.smallest_p(self.differing)

    @property
    def differing(self) -> int:
        """How many pairs differ, from the margin where there is one; of a correlation, its strategies."""
        if isinstance(self.found, Association):
            return self.found.strategies
        assert isinstance(self.expectation, Comparison)
        return sum(value != 0 for stratum in self.found.beyond(self.expectation.margin) for value in stratum)

    @cached_property
    def seeds_needed(self) -> int | None:
        """Seeds that a difference like the observed would need to be found; None where that cannot be said."""
        if not isinstance(self.found, Difference) or self.test is None:
            return None
        assert isinstance(self.expectation, Comparison)
        return statistics.seeds_needed(self.found.beyond(self.expectation.margin), LEVEL / self.hurdle)

    @property
    def seeds_for_any(self) -> int | None:
        """The fewest seeds with which sign flips could reach a verdict at all; None for a correlation."""
        if not isinstance(self.found, Difference) or not self.found.strata:
            return None
        pairs = statistics.pairs_needed(LEVEL / self.hurdle)
        return max(2, -(-pairs // len(self.found.strata)))


@dataclass(frozen=True)
class Verdicts:
    """The findings of a study, in the order of its questions, and the runs that they are made of."""

    runs: Runs
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """What a figure of them is called."""
        return self.runs.chosen.heading


def read(store: Path, choice: Choice) -> Verdicts:
    """What a study says to its questions; of chosen strategies, to those that speak of them.

    Raises BitspecError if it asks nothing, or nothing is finished.
    """
    return asking(store, lambda ask: _read(ask, choice))


def _read(ask: Ask, choice: Choice) -> Verdicts:
    # The other side of a comparison is needed too, and the correction is for all of the study's questions.
    runs = runs_of(ask, choose(ask, replace(choice, strategies=())))
    wanted = set(choose(ask, choice).strategies) if choice.strategies else None
    if runs.study is None or not runs.study.questions:
        hint = 'write `question "…" { expect a > b }` into the spec and run it again: nothing is trained anew'
        message = f"the study `{runs.chosen.study}` asks no question"
        raise BitspecError(error("no-questions", message, help=hint))
    findings = verdicts(ask, runs.study, runs).findings
    return Verdicts(runs, tuple(one for one in findings if wanted is None or wanted & one.strategies))


def verdicts(ask: Ask, study: Study, runs: Runs) -> Verdicts:
    """What runs say to the questions of a study, with the sampling error of the validation sets."""
    names = {name for one in _expectations(study) for name in _compared(one)}
    predicted = predictions_of(ask, (run for run in runs.all if run.strategy in names))
    return Verdicts(runs, tuple(judge(study, runs, predicted)))


def _expectations(study: Study) -> list[Expectation]:
    return [one for question in study.questions for one in question.expectations]


def _compared(expectation: Expectation) -> set[str]:
    return {expectation.left.name, expectation.right.name} if isinstance(expectation, Comparison) else set()


def judge(study: Study, runs: Runs, predicted: Mapping[str, Predicted] | None = None) -> list[Finding]:
    """A finding for each expectation of a study, in their order, corrected for all of them.

    `predicted` are predictions of runs by key, for the sampling error of the validation sets.
    """
    findings = [
        _finding(study, question.text, expectation, runs, predicted)
        for question in study.questions
        for expectation in question.expectations
    ]
    # What cannot be tested yet counts too: to finish it later must not take back a verdict.
    corrected = statistics.holm([1.0 if finding.test is None else finding.test.p for finding in findings])
    decided = sum(p < LEVEL for p in corrected)
    return [
        replace(
            finding,
            corrected=None if finding.test is None else p,
            tests=len(findings),
            hurdle=len(findings) - decided + (p < LEVEL),
        )
        for finding, p in zip(findings, corrected, strict=True)
    ]


def _finding(
    study: Study,
    question: str,
    expectation: Expectation,
    runs: Runs,
    predicted: Mapping[str, Predicted] | None,
) -> Finding:
    tasks = tuple(task for name in expectation.tasks if (task := study.task_called(name.name)) is not None)
    found: Difference | Association
    if isinstance(expectation, Correlation):
        found = association(runs, tasks)
        has_test = found.correlation is not None and found.fewest_seeds > 1
        return Finding(question, expectation, found, found.correlation.test if has_test and found.correlation else None)
    found = difference(runs, expectation.left.name, expectation.right.name, tasks, predicted)
    test = found.test(expectation.margin) if found.fewest_seeds > 1 and not found.is_of_itself else None
    sides = (study.selections.get(name) for name in (found.left, found.right))
    is_sample = any(side is not None and is_random(side, study.selections) for side in sides)
    return Finding(question, expectation, found, test, shares_sample=is_sample and len(found.strata) > 1)


def wording(expectation: Expectation, titles: Mapping[str, str] | None = None) -> str:
    """An expectation as the language has it; with `titles`, strategies go by those."""

    def name(strategy: str) -> str:
        return (titles or {}).get(strategy, strategy)

    on = f" on {', '.join(task.name for task in expectation.tasks)}" if expectation.tasks else ""
    if isinstance(expectation, Correlation):
        return f"change correlates with score{on}"
    margin = expectation.margin
    beyond = f" {'-' if margin < 0 else '+'} {abs(margin):g}" if margin else ""
    return f"{name(expectation.left.name)} {expectation.operator} {name(expectation.right.name)}{beyond}{on}"


def by_question(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings of each question, in their order."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.question, []).append(finding)
    return list(found.items())
