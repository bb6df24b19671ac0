"""Aligned columns, headings, and what characters a terminal has."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bitspec.report.text.tables import aligned, encodes, padded, print_heading
from tests.report.text.terminal import printed


def test_texts_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert aligned([["name", "n", "score"], ["a", "1", "60.0"], ["longer", "10", "7.5"]]) == [
        "name     n  score",
        "a        1   60.0",
        "longer  10    7.5",
    ]


def test_several_columns_of_texts() -> None:
    assert aligned([["a", "b", "1"], ["longer", "as long", "20"]], texts=2) == [
        "a       b         1",
        "longer  as long  20",
    ]


def test_lines_end_with_no_spaces() -> None:
    assert aligned([["a", "1"], ["b", ""]]) == ["a  1", "b"]


def test_wide_and_combining_characters_take_the_columns_that_they_take() -> None:
    assert aligned([["偏置", "1"], ["abcd", "2"], ["e\u0301", "3"]]) == ["偏置  1", "abcd  2", "e\u0301     3"]


@pytest.mark.parametrize(
    ("text", "width", "left", "right"),
    [
        ("ab", 4, "ab  ", "  ab"),
        ("偏", 4, "偏  ", "  偏"),
        ("ab", 2, "ab", "ab"),
        ("abc", 2, "abc", "abc"),
        ("", 2, "  ", "  "),
    ],
)
def test_a_text_in_so_many_columns(text: str, width: int, left: str, right: str) -> None:
    assert padded(text, width) == left
    assert padded(text, width, right=True) == right


def test_a_heading_is_not_folded_and_is_no_markup() -> None:
    lines = ["[red]first[/red]", "long " * 30]
    text = printed(lambda console: print_heading(console, "[bold]Title[/bold]", lines), width=40)
    assert text == "[bold]Title[/bold]\n[red]first[/red]\n" + "long " * 30 + "\n\n"


def test_a_heading_without_lines() -> None:
    assert printed(lambda console: print_heading(console, "Title", [])) == "Title\n\n"


@pytest.mark.parametrize(
    ("encoding", "characters", "expected"),
    [
        ("utf-8", "●├◇★", True),
        ("ascii", "abc<>|#", True),
        ("ascii", "a●", False),
        ("cp437", "├─┤", True),
        ("cp437", "◇", False),
        ("latin-1", "é", True),
    ],
)
def test_which_characters_a_terminal_has(encoding: str, characters: str, expected: bool) -> None:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert encodes(console, characters) is expected
