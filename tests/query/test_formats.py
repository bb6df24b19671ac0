"""An answer as a table, Markdown, LaTeX, CSV and JSON; with numbers to be read or in full, and hostile texts."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.diagnostics import columns as width_of
from bitspec.query.answer import Answer
from bitspec.query.compile import Column
from bitspec.query.formats import FORMATS, as_csv, as_json, as_latex, as_markdown, as_table
from bitspec.query.functions import Kind

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    "\\input{/etc/passwd} $x$ & 50% #1 _y_ {z} ~ ^",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe",
    "line\nbreak\ttab",
    "x" * 300,
    "表 and 🎉",
    "`code` *bold* [link](http://x) ~~gone~~",
    '=cmd|"/c calc"!A1, "quoted"',
    "",
]


def answer(
    columns: Sequence[Column], *rows: tuple[Any, ...], notes: Sequence[str] = (), is_cut: bool = False
) -> Answer:
    return Answer(tuple(columns), list(rows), tuple(notes), is_cut)


def texts(*headings: str) -> list[Column]:
    return [Column(heading, Kind.TEXT) for heading in headings]


STRATEGY, SCORE, N = Column("strategy", Kind.TEXT), Column("mean(score)", Kind.NUMBER, True), Column("n", Kind.NUMBER)
SMALL = answer(
    [STRATEGY, SCORE, N],
    ("full", 66.33333333333333, 3),
    ("bitfit", None, 12345),
    notes=["small: n = 3 runs per cell"],
)


def test_a_table() -> None:
    assert as_table(SMALL) == (
        "strategy  mean(score)       n\n"
        "full            66.33       3\n"
        "bitfit              –  12,345\n"
        "\n"
        "small: n = 3 runs per cell\n"
    )


def test_markdown() -> None:
    assert as_markdown(SMALL) == (
        "| strategy | mean(score) | n |\n"
        "| --- | ---: | ---: |\n"
        "| full | 66.33 | 3 |\n"
        "| bitfit | – | 12,345 |\n"
        "\n"
        "small: n = 3 runs per cell\n"
    )


def test_latex() -> None:
    assert as_latex(SMALL) == (
        "\\begin{tabular}{lrr}\n"
        "  \\toprule\n"
        "  strategy & mean(score) & n \\\\\n"
        "  \\midrule\n"
        "  full & 66.33 & 3 \\\\\n"
        "  bitfit & -- & 12,345 \\\\\n"
        "  \\bottomrule\n"
        "\\end{tabular}\n"
        "% small: n = 3 runs per cell\n"
    )


def test_csv() -> None:
    assert as_csv(SMALL) == "strategy,mean(score),n\nfull,66.33333333333333,3\nbitfit,,12345\n"


def test_json() -> None:
    assert as_json(SMALL) == (
        "[\n"
        '{"strategy": "full", "mean(score)": 66.33333333333333, "n": 3},\n'
        '{"strategy": "bitfit", "mean(score)": null, "n": 12345}\n'
        "]\n"
    )


def test_nothing() -> None:
    nothing = answer([STRATEGY, SCORE], notes=["no row meets the conditions"])
    assert as_table(nothing) == "no row meets the conditions\n"
    assert as_csv(nothing) == "strategy,mean(score)\n"
    assert as_json(nothing) == "[]\n"
    assert as_markdown(nothing).startswith("| strategy | mean(score) |\n| --- | ---: |\n\nno row")
    assert "\\midrule\n  \\bottomrule" in as_latex(nothing)


def test_what_is_cut_says_so() -> None:
    cut = answer([N], (1,), (2,), is_cut=True)
    assert as_table(cut).endswith("\n\nthe first 2 rows; `--format csv` gives all of them\n")


# Numbers ------------------------------------------------------------------------------------------------


def column(values: list[Any], in_points: bool = False, heading: str = "x") -> list[str]:
    table = as_table(answer([Column(heading, Kind.NUMBER, in_points)], *((value,) for value in values)))
    return [line.strip() for line in table.splitlines()[1:]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([66.333333, 7.0, 0.0, -0.005], ["66.333", "7.000", "0.000", "-0.005"]),
        ([0.5, 0.25], ["0.50", "0.25"]),
        ([0.08391], ["0.08391"]),
        ([1.0, 2.0], ["1", "2"]),
        ([1e-3, 2e-5], ["1e-3", "2e-5"]),
        ([7e-4], ["0.0007"]),
        ([123456.789], ["123,457"]),
        ([1e20], ["1e20"]),
        ([0.0], ["0"]),
        ([math.nan, math.inf, 1.5], ["nan", "inf", "1.5"]),
        ([None, 1.25], ["–", "1.25"]),
        ([1234567], ["1,234,567"]),
        ([Decimal("1.50")], ["1.50"]),
        ([True, False], ["yes", "no"]),
    ],
)
def test_numbers_to_be_read(values: list[Any], shown: list[str]) -> None:
    assert column(values) == shown


def test_points_have_two_decimals() -> None:
    assert column([66.333333, 0.0, 100.0, 1e-9], in_points=True) == ["66.33", "0.00", "100.00", "0.00"]


def test_a_seed_is_no_amount() -> None:
    assert column([12345], heading="seed") == ["12345"]
    assert column([12345], heading="trainable") == ["12,345"]


@given(st.lists(st.none() | st.integers() | st.floats(), max_size=5))
def test_programs_get_every_digit(values: list[Any]) -> None:
    found = answer([N], *((value,) for value in values))
    rows = list(csv.reader(io.StringIO(as_csv(found))))[1:]
    assert len(rows) == len(values)
    for value, row in zip(values, rows, strict=True):
        cell = row[0] if row else ""
        if value is None:
            assert cell == ""
        else:
            assert type(value)(cell) == value or math.isnan(value)
    loaded = [row["n"] for row in json.loads(as_json(found))]
    assert loaded == [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


@given(st.floats(-1e300, 1e300) | st.sampled_from((math.nan, math.inf, -math.inf)), st.booleans())
def test_every_number_can_be_shown(value: float, in_points: bool) -> None:
    (shown,) = column([value], in_points)
    if math.isfinite(value):
        read = float(shown.replace(",", ""))
        assert read == pytest.approx(value, rel=1e-3, abs=0.00501 if in_points else 0)


# Other values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "in_table", "in_csv", "in_json"),
    [
        (datetime(2026, 7, 1, 12, 0, 5, 99), Kind.TIME, "2026-07-01 12:00:05", "2026-07-01T12:00:05.000099", None),
        (date(2026, 7, 1), Kind.TIME, "2026-07-01", "2026-07-01", "2026-07-01"),
        (timedelta(seconds=90), Kind.TIME, "0:01:30", "0:01:30", 90.0),
        ({"f1": 0.5, "x": None}, Kind.OTHER, "f1 0.5000, x –", '{"f1": 0.5, "x": null}', {"f1": 0.5, "x": None}),
        (["a", "b"], Kind.OTHER, "a, b", '["a", "b"]', ["a", "b"]),
        ('{"a": 1}', Kind.OTHER, '{"a": 1}', '{"a": 1}', {"a": 1}),
        ("{", Kind.OTHER, "{", "{", "{"),
        (True, Kind.TRUTH, "yes", "true", True),
        (Decimal("1.5"), Kind.NUMBER, "1.5", "1.5", 1.5),
        (UUID(int=7), Kind.TEXT, str(UUID(int=7)), str(UUID(int=7)), str(UUID(int=7))),
        (b"\x00x", Kind.OTHER, "b'\\x00x'", "b'\\x00x'", "b'\\x00x'"),
    ],
)
def test_other_values(value: Any, kind: Kind, in_table: str, in_csv: str, in_json: Any) -> None:
    found = answer([Column("x", kind)], (value,))
    assert as_table(found).splitlines()[1].strip() == in_table
    assert list(csv.reader(io.StringIO(as_csv(found))))[1] == [in_csv]
    assert json.loads(as_json(found)) == [{"x": in_json if in_json is not None else value.isoformat()}]


# Hostile texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_in_their_cells(text: str) -> None:
    found = answer(texts("a", text, "c"), (1, text, "end"), (text, text, text), notes=[f"note {text}"])
    for form, write in FORMATS.items():
        written = write(found)
        if form in {"table", "markdown", "latex"}:
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", written), form
    lines = as_table(found).splitlines()
    assert len(lines) == 5
    assert len({width_of(line) for line in lines[1:2]}) == 1
    cells = [re.split(r"(?<!\\)\|", line) for line in as_markdown(found).splitlines()[:4]]
    assert {len(row) for row in cells} == {5}
    assert "<script" not in as_markdown(found)
    rows = [line for line in as_latex(found).splitlines() if line.startswith("  ") and line.endswith("\\\\")]
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == [3, 3, 3]
    assert not re.search(r"(?<!\\)[$#%_](?!.*% note)", "\n".join(rows))
    assert list(csv.reader(io.StringIO(as_csv(found), newline="")))[1:] == [["1", text, "end"], [text, text, text]]
    (first, second) = json.loads(as_json(found))
    assert second == {"a": text, text: text, "c": text}
    assert first["c"] == "end"


@given(st.lists(st.text(max_size=10), min_size=2, max_size=2))
def test_any_text_is_one_cell(values: list[str]) -> None:
    found = answer(texts("a", "b"), tuple(values))
    assert len(as_table(found).splitlines()) <= 2
    assert len(re.split(r"(?<!\\)\|", as_markdown(found).splitlines()[2].replace("\\\\", ""))) == 4
    assert as_latex(found).count("\n") == 7
    assert json.loads(as_json(found)) == [{"a": values[0], "b": values[1]}]


def test_a_row_of_latex_takes_no_cell_for_an_argument() -> None:
    for text in ("[2pt] wide", "*", "[", "*best"):
        lines = as_latex(answer(texts(text, "b"), (text, "x"), (text, text))).splitlines()
        assert not [line for line in lines if re.match(r"\s*[\[*]", line)]  # after `\\` or a rule it would be one


def test_latex_has_only_commands_that_every_encoding_knows() -> None:
    found = as_latex(answer(texts("a"), *((text,) for text in [*HOSTILE, '"', "’", "[", "|<>"])))
    known = {"begin", "end", "toprule", "midrule", "bottomrule", "symbol"}
    known |= {f"text{name}" for name in ("backslash", "asciitilde", "asciicircum", "less", "greater", "bar")}
    assert set(re.findall(r"\\([a-zA-Z]+)", found)) <= known


# Narrow terminals ---------------------------------------------------------------------------------------


def test_a_table_is_cut_to_a_terminal() -> None:
    wide = answer(texts("one", "two"), ("x" * 100, "表" * 50), ("short", "short"))
    for width in (40, 60, 100):
        lines = as_table(wide, width).splitlines()
        assert all(width_of(line) <= width for line in lines)
        assert "…" in lines[1]
        assert "short" in lines[2]
    assert "…" not in as_table(wide)
    assert "…" not in as_table(wide, 250)
    many = answer(texts(*(f"column_{place}" for place in range(30))), tuple(range(30)))
    assert as_table(many, 40) == as_table(many)  # narrow columns are never cut


def test_styles_go_around_whole_lines() -> None:
    lines = as_table(SMALL, None, lambda text: f"<b>{text}</b>", lambda text: f"<i>{text}</i>").splitlines()
    assert lines[0] == "<b>strategy  mean(score)       n</b>"
    assert lines[-1] == "<i>small: n = 3 runs per cell</i>"
    assert "<" not in lines[1]
