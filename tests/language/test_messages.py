"""What a user is told about each mistake, word for word. Written anew with `pytest --update-golden`; then read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.diagnostics import Source
from bitspec.language.load import analyse
from tests.golden import Case, read_cases, write_cases

FOLDER = Path(__file__).parent / "messages"
CASES = read_cases(FOLDER)


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)  # so that messages name files as they are from there


def said(case: Case) -> str:
    diagnostics = analyse(Source("spec.bspec", case.text)).diagnostics
    return "\n\n".join(diagnostic.render() for diagnostic in diagnostics)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_message(case: Case, update_golden: bool) -> None:
    if not update_golden:
        assert said(case) == case.expected


def test_golden_messages_are_up_to_date(update_golden: bool) -> None:
    if update_golden:
        write_cases(CASES, {case: said(case) for case in CASES})


def test_there_are_many_and_each_says_something() -> None:
    wrong = [case for case in CASES if case.expected.startswith("error[")]
    assert len(wrong) >= 100
    assert len({case.title for case in CASES}) == len(CASES)
    for case in CASES:
        assert "help:" in case.expected or case.file.stem == "no_help", case.title
