"""The made-up stores hold what they say, as bitspec's own readers see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.language.load import loads
from bitspec.query.answer import ask
from bitspec.report.choices import Choice
from bitspec.report.scores import read
from tests.benchmarks.answers import CHARTS, QUERIES, commands
from tests.benchmarks.stores import fill

SPEC = """
study made "Made up"
model nano = "builtin/nano"
task cola, rte
seeds 0..2
strategy frozen "Frozen" = none
strategy first  "First"  = bias
strategy second "Second" = gamma
question "Which?" { expect first > second }
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("made") / "store", loads(SPEC), SPEC, tensors=5, epochs=3, examples=10)


def test_the_store_holds_a_finished_study(store: Path) -> None:
    counted = "select count(*), count(distinct key) from"
    assert ask(f"{counted} scores", store).rows == [(18, 18)]
    assert ask(f"{counted} epochs", store).rows == [(18 * 3, 18)]
    assert ask(f"{counted} changes", store).rows == [(12 * 5, 12)]
    assert ask(f"{counted} predictions", store).rows == [(18 * 10, 18)]
    assert ask("select n by status from cells", store).rows == [("finished", 18)]


def test_its_study_asks_what_the_spec_asks(store: Path) -> None:
    found = read(store, Choice())
    assert found.runs.study == loads(SPEC)
    assert [score.title for score in found.all if score.task == "rte"] == ["Frozen", "First", "Second"]
    assert all(len(set(score.values)) == 3 for score in found.all)


def test_every_query_and_chart_is_timed(store: Path) -> None:
    timed = list(commands(store, is_large=True))
    assert {one.arguments[1] for one in timed if one.arguments[0] == "plot"} == set(CHARTS)
    assert {one.arguments[0] for one in timed} == {"query", "plot", "compare", "show", "report"}
    for query in QUERIES:
        ask(query.replace("FIRST", "first"), store)
