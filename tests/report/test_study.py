"""The spec of a study as the store keeps it."""

from __future__ import annotations

import json

from bitspec.ir.study import Study
from bitspec.language.load import loads
from bitspec.report.choices import Ask, Choice, asking, choose, printable
from bitspec.report.study import cleaned, read_study
from bitspec.store.connection import ENGINE
from tests.store.conftest import Lab

SPEC = """
study small "A small study"
model nano = "builtin/nano"
task cola, builtin/rte
seeds 0, 1
group b_q = bias where name ~ "query"
strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias | b_q
question "Better?" { expect bitfit > frozen on rte  expect change correlates with score }
reported "elsewhere" { bitfit: rte 70.5 }
"""


def read(lab: Lab, name: str = "small") -> Study | None:
    def answer(ask: Ask) -> Study | None:
        return read_study(ask, name)

    return asking(lab.store.folder, answer)


def test_it_comes_out_as_it_went_in(lab: Lab) -> None:
    lab.run(SPEC)
    assert read(lab) == loads(SPEC)
    assert read(lab, "other") is None


def test_the_latest_run_counts(lab: Lab) -> None:
    lab.run(SPEC)
    lab.run(SPEC.replace("Better?", "Still better?"))
    found = read(lab)
    assert found is not None
    assert [question.text for question in found.questions] == ["Still better?"]


def test_what_cannot_be_read_is_as_if_it_were_not_there(lab: Lab) -> None:
    lab.run(SPEC)
    content = loads(SPEC).model_dump(mode="json")
    for broken in ('{"version": 1, "surprise": 2}', "[]", json.dumps(content | {"version": 2}), None):
        with ENGINE.writing(lab.store.read_path()) as connection:
            connection.execute("UPDATE base.runs SET definition = ?", [broken])
        assert read(lab) is None


def test_control_characters_stay_out(lab: Lab) -> None:
    hostile = loads(SPEC).model_dump(mode="json")
    hostile["title"] = "a\x1b[31mb\u202ec\n"
    hostile["questions"][0]["text"] = "\u2066?"
    assert cleaned(Study.model_validate(hostile)).title == "a\ufffd[31mb\ufffdc\ufffd"
    lab.run(SPEC)
    with ENGINE.writing(lab.store.read_path()) as connection:
        connection.execute("UPDATE base.runs SET definition = ?", [json.dumps(hostile)])
    found = read(lab)
    assert found is not None
    assert (found.title, found.questions[0].text) == ("a\ufffd[31mb\ufffdc\ufffd", "\ufffd?")


def test_printable_values() -> None:
    assert printable("plain") == "plain"
    assert printable(["a\x00", {"b\n": ["c\u200f"]}, 1]) == ["a\ufffd", {"b\ufffd": ["c\ufffd"]}, 1]
    assert printable([1.0, 2.0]) == [1.0, 2.0]
    assert printable(None) is None


def test_a_study_is_called_by_its_title_or_its_name(lab: Lab) -> None:
    lab.run(SPEC)
    assert asking(lab.store.folder, lambda ask: choose(ask, Choice()).heading) == "A small study"
    lab.run(SPEC.replace(' "A small study"', ""))
    assert asking(lab.store.folder, lambda ask: choose(ask, Choice()).heading) == "small"
