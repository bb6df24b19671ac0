"""Findings in plain words: what was seen, how sure it is, and what would make it surer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bitspec.diagnostics import counted
from bitspec.ir.study import Comparison
from bitspec.report.associations import Association
from bitspec.report.differences import Difference
from bitspec.report.statistics import FEWEST_UNITS, LEVEL, MOST_SEEDS, Interval
from bitspec.report.verdicts import Finding, Verdict, Why

#: Standard errors on each side of what covers 95 % of a normal distribution.
TWO_SIDED: Final = 1.96


def sentence(finding: Finding, titles: Mapping[str, str]) -> str:
    """A finding as one or a few plain sentences; `titles` are what strategies are called."""
    if finding.why_open is Why.NO_RUNS:
        return f"Undecided: {_nothing(finding, titles)}."
    found = finding.found
    parts = [_of_difference(found, titles) if isinstance(found, Difference) else _of_association(found)]
    if finding.test is not None:
        assert finding.corrected is not None
        margin = finding.expectation.margin if isinstance(finding.expectation, Comparison) else 0.0
        against = f" against a difference of {signed(margin)}" if margin else ""
        several = f", {p_text(finding.corrected)} corrected for {finding.tests} tests" if finding.tests > 1 else ""
        parts[0] += f" ({_interval(finding)}{p_text(finding.test.p)}{against}{several})"
    parts[0] += "."
    parts += _verdict(finding)
    if isinstance(found, Difference):
        parts += _sampling(found)
        if finding.shares_sample and finding.test is not None:
            parts.append(
                "A seed draws one sample for all tasks: luck in it counts on each of them, and p may be too small."
            )
        if found.without:
            models = {model for model, _ in found.without} | {one.model for one in found.strata}
            places = (f"{task} with {model}" if len(models) > 1 else task for model, task in found.without)
            parts.append(f"There is no pair on {', '.join(dict.fromkeys(places))}.")
    return " ".join(parts)


def signed(value: float) -> str:
    """A difference in points: `+1.3`, `−0.4`."""
    return f"{value:+.1f}".replace("-", "−")


def interval_text(interval: Interval, decimals: int = 1) -> str:
    """An interval: `−0.3 to 1.9`."""
    return f"{interval.low:.{decimals}f} to {interval.high:.{decimals}f}".replace("-", "−")


def p_text(p: float) -> str:
    """A p as it is read: `p = 0.032`, `p < 0.001`."""
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.2g}" if p < 0.995 else "1"
    return f"p = {p:.4f}" if text == "0.05" != f"{p:g}" else f"p = {text}"  # which side of it decides


def _of_difference(found: Difference, titles: Mapping[str, str]) -> str:
    left, right = titles.get(found.left, found.left), titles.get(found.right, found.right)
    size = f"{abs(found.mean):.1f}"
    where = _where((stratum.model, stratum.task) for stratum in found.strata)
    over = f"{where}, {counted(found.pairs, 'pair')} of runs"
    if size == "0.0":
        return f"{left} and {right} differ by less than 0.05 points {over}"
    return f"{left} scores {size} points {'above' if found.mean > 0 else 'below'} {right} {over}"


def _where(strata: Iterable[tuple[str, str]], average: str = "on average over") -> str:
    models, tasks = (list(dict.fromkeys(names)) for names in zip(*strata, strict=True))
    on = f"on {tasks[0]}" if len(tasks) == 1 else f"{average} {len(tasks)} tasks"
    return on if len(models) == 1 else f"{on} and {len(models)} models"


def _of_association(found: Association) -> str:
    of = counted(found.strategies, "strategy")
    if found.correlation is None:
        return f"Change and score of {of} cannot be ranked"
    ranked = [place for place, rho in zip(found.strata, found.correlation.strata, strict=True) if rho is not None]
    tied = "" if len(ranked) == len(found.strata) else ", as elsewhere all scores or changes are equal"
    rho = f"{found.correlation.mean:.2f}".replace("-", "−")
    return f"Spearman's correlation of change and score is {rho} over {of}, {_where(ranked, 'averaged over')}{tied}"


def _interval(finding: Finding) -> str:
    found = finding.found
    if isinstance(found, Difference):
        return f"95 % interval {interval_text(found.interval)}; " if found.interval is not None else ""
    if found.correlation is None or found.correlation.interval is None:
        return ""
    return f"95 % interval {interval_text(found.correlation.interval, 2)}; "


def _verdict(finding: Finding) -> list[str]:
    match finding.verdict:
        case Verdict.SUPPORTED:
            return [f"Supported{_margin(finding)}."]
        case Verdict.CONTRADICTED:
            return [f"Contradicted{_margin(finding)}."]
        case Verdict.UNDECIDED:
            return _undecided(finding)


def _margin(finding: Finding) -> str:
    expectation = finding.expectation
    if not isinstance(expectation, Comparison) or not expectation.margin:
        return ""
    margin = f"{abs(expectation.margin):g}"
    points = f"{margin} point{'' if margin == '1' else 's'}"
    if (expectation.margin < 0) == expectation.operator.startswith(">"):
        return f", with the {points} less that the expectation allows"
    return f", with the {points} more that the expectation asks for"


def _undecided(finding: Finding) -> list[str]:
    found = finding.found
    if finding.why_open is Why.SAME_TRIALS:
        return ["Undecided: both are the same trials."]
    if finding.why_open is Why.ONE_SEED:
        return [_one_seed(finding)]
    if isinstance(found, Association) and finding.test is None:
        few = found.strategies < FEWEST_UNITS
        return [f"Undecided: {'there are too few strategies' if few else 'all changes or all scores are equal'}."]
    if not finding.differing:
        return ["Undecided: no pair differs."]
    if finding.least * finding.hurdle < LEVEL:
        said = f"Undecided{_margin(finding)}."
        return [said, *_needed(finding, found, found.seeds)] if isinstance(found, Difference) else [said]
    open_ones = " that are open" if finding.hurdle < finding.tests else ""
    several = f"which is not enough for {counted(finding.hurdle, 'test')}{open_ones}"
    if isinstance(found, Association):
        short = several if finding.least < LEVEL else f"and a verdict takes less than {LEVEL:g}"
        return [
            f"Undecided: {counted(found.strategies, 'strategy')} cannot give a p below {finding.least:.2g}, {short}."
        ]
    short = several if finding.least < LEVEL else f"fewer than six none below {LEVEL:g}"
    takes = finding.seeds_for_any or 0
    pairs = counted(finding.differing, "pair") + ("" if finding.differing == found.pairs else " that differ")
    said = f"Undecided: {pairs} cannot give a p below {finding.least:.2g}, {short}"
    more = f"; it takes at least {takes} seeds" if takes > found.seeds else ""
    return [f"{said}{more}.", *_needed(finding, found, max(takes, found.seeds))]


def _one_seed(finding: Finding) -> str:
    found = finding.found
    tasks = [one.task for one in found.strata if len(one.pairs) < 2] if isinstance(found, Difference) else []
    on = f" on {', '.join(dict.fromkeys(tasks))}" if found.seeds > 1 and tasks else ""
    takes = f"; it takes at least {finding.seeds_for_any} seeds on every task" if finding.seeds_for_any else ""
    return f"Undecided: with one seed{on} nothing tells a difference from the luck of a run{takes}."


def _needed(finding: Finding, found: Difference, known: int) -> list[str]:
    """How many seeds would tell, if that is more than those that are there or are asked for already."""
    if abs(finding.effect) < 0.05:
        return []
    if finding.seeds_needed is None:
        return [] if found.interval is None else [f"More than {MOST_SEEDS:,} seeds would be needed to tell."]
    if finding.seeds_needed <= known:
        likely = "With so many seeds a difference like this is mostly found: a few more would probably tell."
        return [] if known > found.seeds else [likely]
    return [f"If this is the true difference and spread, about {finding.seeds_needed:,} seeds would tell."]


def _sampling(found: Difference) -> list[str]:
    if found.sampling is None:
        return []
    sets = "sets themselves leave" if len({stratum.task for stratum in found.strata}) > 1 else "set itself leaves"
    return [f"The validation {sets} ± {TWO_SIDED * found.sampling:.1f} points, whatever the seeds."]


def _nothing(finding: Finding, titles: Mapping[str, str]) -> str:
    if isinstance(finding.found, Difference):
        left, right = (titles.get(name, name) for name in (finding.found.left, finding.found.right))
        return f"no seed of {left} and {right} is finished on the same task"
    return "no strategy that is finished on every task has a change"


def count_verdicts(findings: Sequence[Finding]) -> str:
    """`2 supported, 1 contradicted, 9 undecided`."""
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
