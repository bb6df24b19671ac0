"""What a report says: the paragraph, the table, the warnings, the provenance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.trials import Planned
from bitspec.language.load import loads
from bitspec.report.choices import Choice
from bitspec.report.page.about import seeds_text
from bitspec.report.page.contents import MOST_STRATEGIES, Given, Report, read
from bitspec.report.page.provenance import Made
from bitspec.report.page.tables import MOST_TRIALS
from bitspec.store.connection import ENGINE
from tests.report.conftest import ASKED, asked_result
from tests.report.page.conftest import MADE, REPORTED, report_of
from tests.store.conftest import STARTED, Lab, failed
from tests.store.conftest import result as result_of

Answer = Callable[..., Path]


def given(spec: str) -> Given:
    return Given(loads(spec), "other.bspec", spec)


def said(report: Report) -> str:
    return "\n".join(
        f"{one.text}\n" + "".join(f"  {line}\n" for line in one.lines) + f"  $ {one.remedy}" for one in report.cautions
    )


# The paragraph ------------------------------------------------------------------------------------------------------


def test_the_study_in_a_paragraph(report: Report) -> None:
    assert report.about == (
        "This study fine-tunes the model nano on builtin/cola and builtin/rte with 5 strategies, each of which trains a "
        "part of the parameters and leaves all others as they were, and with seeds 0 to 2. All 30 runs are finished. "
        "Training takes 3 epochs in batches of 8 examples, at a learning rate of 1e-3. A score is the task's main metric "
        "on its validation set after the last epoch, × 100: matthews on builtin/cola, accuracy on builtin/rte. "
        "The study asks 2 questions with 4 expectations: 4 undecided."
    )


def test_settings_that_differ_are_told_by_task_and_strategy(answer: Answer) -> None:
    spec = ASKED.replace(
        "train { epochs = 3 }",
        "train { epochs = 3 learning_rate = 7e-4 batch_size = 16 } train for rte { learning_rate = 1e-3 } "
        "train for gammas { learning_rate = 2e-5 } train for frozen on rte { batch_size = 4 }",
    )
    about = report_of(answer(spec)).about
    assert "in batches of 16 (4 for Frozen) examples" in about
    assert "at a learning rate of 7e-4 on builtin/cola, 1e-3 on builtin/rte (2e-5 for Gammas)." in about


def test_what_is_not_finished_and_what_is_left_out_is_told(answer: Answer) -> None:
    store = answer(skip=lambda cell: cell.trial.strategy == "upper" and cell.trial.seed > 0)
    about = report_of(store, tasks=("rte",)).about
    assert "Of 15 runs, 13 are finished." in about
    assert "Of the study, only rte is looked at here." in about


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([3], "seed 3"), ([0, 1], "seeds 0 and 1"), ([2, 0, 1], "seeds 0 to 2"), ([1, 7, 42], "seeds 1, 7 and 42")],
)
def test_seeds(seeds: list[int], text: str) -> None:
    assert seeds_text(seeds) == text
    assert seeds_text(range(0, 100, 2)) == "50 seeds"


# The table ----------------------------------------------------------------------------------------------------------


def test_the_table_of_scores(report: Report) -> None:
    (table,) = report.tables
    assert table.columns == ("builtin/cola", "builtin/rte", "average")
    assert table.sources == ("arXiv:2106.10199",)
    rows = {
        row.title: [f"{'*' if cell.is_best else ''}{cell.mean_text}{cell.spread_text}" for cell in row.cells]
        for row in table.rows
    }
    assert rows == {
        "Frozen": ["30.5 ± 0.5 (3)", "50.5 ± 0.5 (3)", "40.5 ± 0.5 (3)"],
        "BitFit": ["*50.1 ± 0.4 (3)", "*70.1 ± 0.4 (3)", "*60.1 ± 0.4 (3)"],
        "Gammas": ["40.5 ± 0.5 (3)", "60.5 ± 0.5 (3)", "50.5 ± 0.5 (3)"],
        "Sample": ["50.0 ± 0.5 (3)", "70.0 ± 0.5 (3)", "60.0 ± 0.5 (3)"],
        "Upper": ["45.5 ± 0.5 (3)", "65.5 ± 0.5 (3)", "55.5 ± 0.5 (3)"],
    }
    frozen, bitfit = table.rows[0], table.rows[1]
    assert [[one.score for one in cell.reported] for cell in bitfit.cells] == [[56.4], [70.5], [pytest.approx(63.45)]]
    assert [[one.score for one in cell.reported] for cell in frozen.cells] == [[], [56.9], []]
    assert (frozen.entries_text, frozen.percent_text) == ("0", "0")
    assert (bitfit.entries_text, bitfit.percent_text) == ("260", "0.750")


def test_a_size_that_depends_on_the_seed_is_a_range(answer: Answer) -> None:
    def result(cell: Planned) -> dict[str, Any]:
        return asked_result(cell) | {"trainable": 1000 + cell.trial.seed, "percent": 0.5 + cell.trial.seed / 100}

    row = report_of(answer(result=result)).tables[0].rows[3]
    assert (row.entries_text, row.percent_text) == ("1,000 to 1,002", "0.500 to 0.520")


def test_means_that_look_alike_are_marked_alike(answer: Answer) -> None:
    def result(cell: Planned) -> dict[str, Any]:
        score = {"bitfit": 70.02, "upper": 69.98}.get(cell.trial.strategy, 60.0)
        (last,) = result_of(cell, score=score).epochs[-1:]
        return asked_result(cell) | {"epochs": (last,)}

    table = report_of(answer(result=result)).tables[0]
    assert [row.strategy for row in table.rows if row.cells[0].is_best] == ["bitfit", "upper"]


def test_every_number_leads_to_its_trials(report: Report) -> None:
    (table,) = report.tables
    cell = table.rows[1].cells[1]
    own = [listed.run for listed in report.trials if listed.place == cell.place]
    assert [(run.strategy, run.task, run.seed) for run in own] == [("bitfit", "builtin/rte", seed) for seed in range(3)]
    assert cell.mean == pytest.approx(sum(run.score for run in own) / 3)
    assert len(report.trials) == 30 < MOST_TRIALS


# Questions ----------------------------------------------------------------------------------------------------------


def test_a_question_can_be_added_without_training(answer: Answer) -> None:
    spec = ASKED.replace(
        '"Is BitFit better?" {', '"What of the sample?" { expect sample > upper }\nquestion "Is it?" {'
    )
    spec = spec.replace('"BitFit"', '"All biases"')
    report = report_of(answer(), given(spec))
    assert [question for question, _ in report.questions][:2] == ["What of the sample?", "Is it?"]
    assert len(report.verdicts.findings if report.verdicts else ()) == 5
    assert report.titles["bitfit"] == "All biases"
    assert [row.title for row in report.tables[0].rows] == ["Frozen", "All biases", "Gammas", "Sample", "Upper"]
    assert [text.heading for text in report.provenance.specs] == [
        "The spec of this report, other.bspec",
        "The spec as it ran last, a/small.bspec",
    ]
    assert report.cautions == ()


def test_strategies_are_in_the_order_of_the_spec_that_is_given(answer: Answer) -> None:
    lines = ASKED.splitlines()
    upper = next(line for line in lines if line.startswith("strategy upper"))
    lines.remove(upper)
    lines.insert(5, upper)
    report = report_of(answer(), given("\n".join(lines)))
    assert [row.strategy for row in report.tables[0].rows] == ["upper", "frozen", "bitfit", "gammas", "sample"]


def test_a_study_without_questions(answer: Answer) -> None:
    report = report_of(answer(ASKED.partition("question")[0]))
    assert (report.verdicts, report.questions) == (None, ())
    assert "question" not in report.about


def test_the_study_of_the_spec_is_looked_for(answer: Answer) -> None:
    store = answer()
    with pytest.raises(BitspecError, match="there is no study called `other` in the store"):
        report_of(store, given(ASKED.replace("study asked", "study other")))
    assert report_of(store, given(ASKED.replace("study asked", "study other")), study="asked").study == "asked"


def test_a_store_of_an_older_bitspec_is_read_by_its_text(answer: Answer, lab: Lab) -> None:
    store = answer()
    with ENGINE.writing(lab.store.read_path()) as connection:
        connection.execute("UPDATE base.runs SET definition = NULL, warnings = NULL")
    with pytest.raises(BitspecError) as problem:
        report_of(store)
    (found,) = problem.value.diagnostics
    assert (found.code, found.help) == ("no-definition", "name the spec: `bitspec report a/small.bspec`")
    report = read(store, Choice(), MADE, parse=lambda text, path: loads(text, path))
    assert len(report.questions) == 2


# Warnings -----------------------------------------------------------------------------------------------------------


def test_nothing_to_warn_of(report: Report) -> None:
    assert report.cautions == ()


def test_runs_without_a_result(answer: Answer, lab: Lab) -> None:
    def is_open(cell: Planned) -> bool:
        return cell.trial.strategy in {"sample", "upper"} and cell.trial.task.name == "builtin/rte"

    store = answer(skip=is_open)
    cells = [cell for cell in lab.begin(ASKED) if is_open(cell)]
    for cell, status in zip(cells, ["failed", "diverged", "diverged"], strict=False):
        lab.store.record_failure(lab.runs[-1], cell, failed(cell, status, message="it\nbroke"), started=STARTED)
    report = read(store, Choice(), Made("bitspec report", "1", MADE.when, Path("my results")))
    assert said(report) == (
        "2 runs have no result: diverged. Means are over the others.\n"
        "  Sample on builtin/rte, seeds 1 and 2: it broke\n"
        "  $ bitspec run a/small.bspec --store 'my results'\n"
        "1 run has no result: failed. Means are over the others.\n"
        "  Sample on builtin/rte, seed 0: it broke\n"
        "  $ bitspec run a/small.bspec --store 'my results'\n"
        "3 runs have no result: not trained yet. Means are over the others.\n"
        "  Upper on builtin/rte, seeds 0 to 2\n"
        "  $ bitspec run a/small.bspec --store 'my results'"
    )
    only = report_of(store, tasks=("cola",))
    assert only.cautions == ()


def test_one_seed(answer: Answer) -> None:
    report = report_of(answer(ASKED.replace("seeds 0..2", "seeds 0")))
    (caution,) = report.cautions
    assert caution.text == "There is one run in each cell: nothing tells a difference from the luck of a run."
    assert caution.remedy == "bitspec run a/small.bspec --seeds 0..4"


def test_cells_with_one_seed_among_others(answer: Answer) -> None:
    store = answer(skip=lambda cell: cell.trial.strategy == "upper" and cell.trial.seed > 0)
    texts = [(caution.text, caution.lines) for caution in report_of(store).cautions]
    assert texts[1] == ("2 cells of 10 have a single run.", ("Upper on builtin/cola", "Upper on builtin/rte"))


def test_strategies_that_are_the_same_trials(answer: Answer) -> None:
    spec = ASKED.replace('strategy gammas "Gammas" = gamma', 'strategy gammas "Gammas" = bias')
    (caution,) = report_of(answer(spec)).cautions
    assert caution.text == "Strategies that are the same trials differ in nothing; to compare them says nothing."
    assert caution.lines == ("BitFit and Gammas: 6 trials",)


def test_other_settings_than_the_spec_says(answer: Answer) -> None:
    store = answer()
    everywhere = report_of(store, given(ASKED.replace("epochs = 3", "epochs = 4"))).cautions
    assert [caution.lines for caution in everywhere] == [("epochs is 3 where the spec says 4: all of them",)]
    somewhere = ASKED.replace("epochs = 3 }", "epochs = 3 } train for upper on rte { clip_norm = off }")
    (caution,) = report_of(store, given(somewhere)).cautions
    assert caution.lines == ("clip_norm is 1 where the spec says off: Upper on builtin/rte",)


def test_a_spec_that_has_changed_since(answer: Answer) -> None:
    changed = ASKED.replace("= bias\n", "= bias where layer == 0\n").replace("builtin/rte\n", "builtin/rte, mrpc\n")
    changed += 'strategy new "New" = gamma where layer == 0\n'
    report = report_of(answer(), given(changed))
    assert said(report) == (
        "Strategies select something else in the spec than what was trained under their names.\n"
        "  BitFit: trained bias, now bias where layer == 0\n"
        "  $ bitspec run other.bspec\n"
        "The spec has what was never run.\n"
        "  strategy New\n"
        "  task mrpc\n"
        "  $ bitspec run other.bspec"
    )


def test_warnings_about_the_spec(answer: Answer, lab: Lab) -> None:
    store = answer()
    with ENGINE.writing(lab.store.read_path()) as connection:
        connection.execute("UPDATE base.runs SET warnings = ['it straddles two roles', 'a group is not used']")
    report = report_of(store, Given(loads(ASKED), "x.bspec", ASKED, ("a group is not used", "new")))
    assert report.cautions[-1].lines == ("a group is not used", "new", "it straddles two roles")
    lab.begin(ASKED.replace("Is BitFit", "Is the BitFit"))  # of another text, about which nothing was said
    assert report_of(store).cautions == ()


# Provenance and figures ---------------------------------------------------------------------------------------------


def test_the_provenance(report: Report) -> None:
    facts = dict(report.provenance.facts)
    assert facts["spec"] == ("a/small.bspec",)
    assert facts["commit"] == ("none: the spec is not in a git repository",)
    assert facts["versions"] == ("python 3",)
    assert facts["devices"] == ("cpu, 1 thread: 30 trials",)
    assert facts["time"] == ("3 minutes of training and evaluation, 30 trials",)
    assert facts["models"] == ("nano, read from builtin/nano, fingerprint weights",)
    assert facts["data"][0] == ("builtin/cola: 10 training and 3 validation examples, fingerprint data of builtin/cola")
    assert facts["report"] == ("bitspec 1.2.3, 2026-07-02 12:30 UTC", "bitspec report")
    (run,) = report.provenance.runs
    assert (run.number, run.command, run.cells) == (1, "bitspec run a/small.bspec", 30)
    assert report.provenance.specs[0].text == REPORTED.strip("\n")


def test_control_characters_stay_out_of_a_spec_that_is_shown(answer: Answer) -> None:
    spec = ASKED + "# \x1b[31m red \u202e turned\n\tindented\n"
    report = report_of(answer(), Given(loads(ASKED), "x", spec))
    assert report.provenance.specs[0].text.endswith("# \ufffd[31m red \ufffd turned\n    indented")


def test_heatmaps_are_of_a_few_strategies_and_the_others_are_named(answer: Answer) -> None:
    more = "".join(f'strategy x{place} "X {place}" = bias where layer == {place}\n' for place in range(MOST_STRATEGIES))
    report = report_of(answer(ASKED.replace("question", f"{more}question", 1).replace("seeds 0..2", "seeds 0")))
    assert report.heatmaps is not None
    assert [changes.chosen.tasks for changes in report.heatmaps.all] == [("builtin/cola",), ("builtin/rte",)]
    assert [len(changes.panels) for changes in report.heatmaps.all] == [MOST_STRATEGIES, MOST_STRATEGIES]
    assert report.heatmaps.left_out == ("X 11", "X 12", "X 13", "X 14")
    assert report.heatmaps.all[0].unmoved == ("Frozen",)


def test_a_study_that_trains_nothing(answer: Answer) -> None:
    spec = """
        study nothing  model nano = "builtin/nano"  task builtin/rte  seeds 0, 1  train { epochs = 2 }
        strategy frozen = none
    """
    report = report_of(answer(spec))
    assert (report.heatmaps, report.association, report.verdicts) == (None, None, None)
