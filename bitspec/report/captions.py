"""What stands below the titles of learning curves, scatter and forest plots: what is shown, of which runs, how many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bitspec.diagnostics import counted
from bitspec.report.associations import Association
from bitspec.report.choices import Cells, Chosen
from bitspec.report.curves import Curves
from bitspec.report.differences import Difference
from bitspec.report.sentences import count_verdicts, p_text
from bitspec.report.statistics import LEVEL
from bitspec.report.verdicts import Finding, Verdicts
from bitspec.report.words import number_of_runs, seeds, some, subject


def curves_caption(curves: Curves) -> list[str]:
    """What learning curves show."""
    has_spread = any(epoch.seeds > 1 for curve in curves.all for epoch in curve.epochs)
    over = ": means over seeds, in a band from the lowest to the highest" if has_spread else ""
    runs = number_of_runs((seeds_of([curve.cells]) for curve in curves.all), "name")
    lines = [f"score and loss after each epoch{over}", f"{subject(curves.chosen)}, {runs}"]
    if curves.unfinished:
        lines.append(f"not finished yet: {some(curves.unfinished)}")
    return lines


def association_caption(found: Association) -> list[str]:
    """What change against score shows, and how they go together."""
    counts = {point.seeds for points in found.points for point in points}
    over = ": means over seeds" if max(counts, default=1) > 1 else ""
    lines = [
        f"mean absolute change of the trained entries, and score, of each strategy{over}",
        f"{subject(found.runs.chosen)}, n = {span(counts)} {'seed' if counts == {1} else 'seeds'}",
        correlation_text(found),
    ]
    if found.left_out:
        why = "as nothing is trained, a task is not finished, or the trials are another strategy's"
        lines.append(f"left out, {why}: {some(found.runs.titles[strategy] for strategy in found.left_out)}")
    return lines


def correlation_text(found: Association) -> str:
    """Spearman's rank correlation within each task and on average, with its p."""
    over = counted(found.strategies, "strategy")
    if found.correlation is None:
        return f"Spearman's ρ: none, as {over} cannot be ranked"
    ranks = [
        f"{stratum_title(found.runs.chosen, *stratum)} {rho_text(rho)}"
        for stratum, rho in zip(found.strata, found.correlation.strata, strict=True)
    ]
    mean = rho_text(found.correlation.mean)
    rhos = f"{some(ranks)}; mean {mean}" if len(ranks) > 1 else mean
    p = f"{p_text(found.correlation.test.p)} by permuting them" if found.seeds > 1 else "no p of a single seed"
    return f"Spearman's ρ: {rhos}, over {over}, {p}"


def verdicts_caption(verdicts: Verdicts) -> list[str]:
    """What a forest plot shows."""
    findings = verdicts.findings
    differences = [finding for finding in findings if isinstance(finding.found, Difference)]
    lines = []
    if differences:
        lines.append(
            "score of the left strategy less that of the right: paired differences, as means over tasks with their "
            "95 % intervals over seeds"
        )
    if len(differences) < len(findings):
        lines.append("change with score: Spearman's ρ over strategies, as a mean over tasks with its 95 % interval")
    return [*lines, f"{subject(verdicts.runs.chosen)}, n beside each row", verdict_counts(findings)]


def verdict_counts(findings: Sequence[Finding]) -> str:
    """How many expectations there are of each verdict, and what a verdict takes."""
    tests = max((finding.tests for finding in findings if finding.test is not None), default=0)
    if not tests:
        return count_verdicts(findings)
    corrected = f", corrected by Holm for {tests} tests" if tests > 1 else ""
    return f"{count_verdicts(findings)}; a verdict takes p < {LEVEL:g}{corrected}"


# Words --------------------------------------------------------------------------------------------------------------


def seeds_of(cells: Iterable[Cells]) -> str:
    """The number of runs of some cells: `5 seeds`, `3 of 5 seeds`; `3 to 5 seeds` where it is not the same."""
    counts = {(one.finished, one.planned) for one in cells}
    if len(counts) == 1:
        return seeds(*counts.pop())
    finished = span(finished for finished, _ in counts)
    return f"{finished} seed{'' if finished == '1' else 's'}"


def span(numbers: Iterable[int]) -> str:
    """The least and the greatest number: `3 to 5`, or `5`."""
    low, high = min(there := set(numbers)), max(there)
    return str(low) if low == high else f"{low} to {high}"


def stratum_title(chosen: Chosen, model: str, task: str) -> str:
    """What a model and task are called: the task, with the model where there are several."""
    return f"{task} · {model}" if len(chosen.models) > 1 else task


def rho_text(rho: float | None) -> str:
    """A correlation: `−0.31`; a dash where all ranks are tied."""
    return "–" if rho is None else f"{rho:.2f}".replace("-", "−")
