"""What is said about each mistake, word for word. Written anew with `pytest --update-golden`; then read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from tests.golden import Case, read_cases, write_cases
from tests.query.relations import compiled

FOLDER = Path(__file__).parent / "messages"
CASES = read_cases(FOLDER)


def said(case: Case) -> str:
    with pytest.raises(BitspecError) as raised:
        compiled(case.text)
    return str(raised.value)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_message(case: Case, update_golden: bool) -> None:
    if not update_golden:
        assert said(case) == case.expected


def test_golden_messages_are_up_to_date(update_golden: bool) -> None:
    if update_golden:
        write_cases(CASES, {case: said(case) for case in CASES})


def test_each_is_an_error_with_a_place_and_says_what_to_do() -> None:
    assert len(CASES) > 70
    assert len({case.title for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.expected.startswith("error["), case.title
        assert "help:" in case.expected, case.title
        assert "--> <query>:" in case.expected, case.title
