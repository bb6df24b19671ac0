"""Heatmaps as text: in colour, in shades, in ASCII, and as numbers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bitspec.report.changes import Changes, read
from bitspec.report.choices import Choice
from bitspec.report.text.heatmap import as_text, show
from bitspec.report.words import short
from tests.report.conftest import Fill, change


@pytest.fixture
def changes(store: Path) -> Changes:
    return read(store, Choice(tasks=("rte",)))


def printed(changes: Changes, *, encoding: str = "utf-8", **options: Any) -> str:
    """What a terminal gets."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline="")
    given: dict[str, Any] = {"color_system": None, "width": 100, "force_terminal": True} | options
    show(Console(file=file, highlight=False, **given), changes)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_numbers(changes: Changes) -> None:
    assert (
        as_text(changes)
        == """\
What moved
mean absolute change of each role in each layer, over all its entries and all runs
study moved, model nano, task builtin/rte, n = 2 seeds
no panel, as nothing of the base model is trained: Frozen

BitFit, 2 seeds
mean |Δ|      1      2   Avg.
b_q        0.15   0.45   0.30
b_pooler                 0.30
b_m2      0.030  0.045  0.037

Rand bias, 2 seeds
mean |Δ|     1      2   Avg.
b_q       0.10  0.050  0.075

g_LN1, 2 seeds
mean |Δ|      1      2   Avg.
g_ln1     0.020  0.020  0.020
"""
    )


def test_shades_where_there_are_no_colours(changes: Changes) -> None:
    said = printed(changes)
    assert "\x1b[4" not in said  # no colour of a background
    for line in (
        "BitFit  2 seeds",
        "          1 2 Avg.",
        "     b_q ▒▒██ ▓▓ 0.30",
        "b_pooler      ▓▓ 0.30",
        "    b_m2 ░░░░ ░░ 0.037",
        "mean |Δ|: · none  ░▒▓█ up to 0.45",
        "no panel, as nothing of the base model is trained: Frozen",
    ):
        assert line in said.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", ""), line


def test_ascii_where_there_are_no_shades(changes: Changes) -> None:
    said = printed(changes, encoding="ascii")
    assert "b_q --## == 0.30" in said
    assert "up to 0.45" in said


def test_colours_from_light_to_dark(changes: Changes) -> None:
    said = printed(changes, color_system="truecolor")
    line = next(line for line in said.splitlines() if line.strip().startswith("b_q"))
    first, second = (tuple(map(int, part.split("m")[0].split(";"))) for part in line.split("\x1b[48;2;")[1:3])
    assert all(light > dark for light, dark in zip(first, second, strict=True))
    assert second == (10, 74, 144)
    assert "▒" not in said


def test_sixteen_colours_are_no_scale(changes: Changes) -> None:
    assert "▒▒██" in printed(changes, color_system="standard")


def test_panels_stand_beside_each_other_as_far_as_they_fit(changes: Changes) -> None:
    def lines(width: int) -> list[str]:
        return [
            line for line in printed(changes, width=width).splitlines() if "2 seeds" in line and "study" not in line
        ]

    assert len(lines(100)) == 1
    assert len(lines(60)) == 2
    assert len(lines(30)) == 3


def test_numbers_of_many_layers_do_not_run_into_each_other(fill: Fill) -> None:
    folder = fill(changes=lambda _: tuple(change(f"{n}.q", "q", n, "bias", 4, 0.1) for n in range(12)))
    said = printed(read(folder, Choice(tasks=("rte",), strategies=("bitfit",))))
    assert "  8  9 10 11 12 Avg." in said


def test_more_rows_than_a_screen_has_are_counted_and_all_are_written_to_a_pipe(fill: Fill) -> None:
    folder = fill(changes=lambda _: tuple(change(f"t{n}", None, None, "bias", 4, 0.1) for n in range(50)))
    changes = read(folder, Choice(tasks=("rte",), strategies=("bitfit",)))
    assert "and 10 rows more" in printed(changes)
    assert "t49" in as_text(changes)


def test_changes_of_nothing(fill: Fill) -> None:
    changes = read(fill(changes=lambda _: (change("q", "q", 0, "bias", 4, 0.0),)), Choice(tasks=("rte",)))
    assert "b_q ·· ·· 0" in printed(changes)
    assert printed(changes, color_system="truecolor")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1e-9, "1e-9"),
        (0.00072, "7e-4"),
        (0.00999, "0.010"),
        (0.084, "0.084"),
        (0.1, "0.10"),
        (1.0, "1.0"),
        (9.94, "9.9"),
        (9.96, "10"),
        (123.4, "123"),
    ],
)
def test_short_numbers(value: float, expected: str) -> None:
    assert short(value) == expected
