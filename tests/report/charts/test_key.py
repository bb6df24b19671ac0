"""A key: a sample and a text for each entry, in one column or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitspec.report.charts.key import Entry, key

LINE = Entry("a line", "#111", dash=(6, 3))
POINT = Entry("a point", "#222", shape="diamond")
BOTH = Entry("both", "#333", shape="circle", dash=(1, 0), width=3.0)


def drawn(entries: Sequence[Entry], columns: int = 1) -> dict[str, Any]:
    """The key as Vega-Lite, checked by Altair."""
    return key(entries, columns).to_dict()


def rows(chart: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["datasets"][chart["data"]["name"]]
    return found


def kinds(chart: dict[str, Any]) -> list[str]:
    return [layer["mark"]["type"] for layer in chart["layer"]]


def test_what_an_entry_is_drawn_with() -> None:
    chart = drawn([LINE, POINT, BOTH])
    assert [(row["text"], row["color"], row["shape"], row["dash"], row["width"]) for row in rows(chart)] == [
        ("a line", "#111", None, [6, 3], 1.8),
        ("a point", "#222", "diamond", None, 1.8),
        ("both", "#333", "circle", [1, 0], 3.0),
    ]
    assert kinds(chart) == ["rule", "point", "text"]
    line, point, _ = chart["layer"]
    assert line["transform"] == [{"filter": "datum.dash !== null"}]
    assert point["transform"] == [{"filter": "datum.shape !== null"}]


def test_colours_and_shapes_are_taken_as_they_are() -> None:
    line, point, _ = drawn([BOTH])["layer"]
    for encoding in (line["encoding"], point["encoding"]):
        assert encoding["color"] == {"field": "color", "type": "nominal", "scale": None}
    assert point["encoding"]["shape"]["scale"] is None
    assert line["encoding"]["strokeDash"]["scale"] is None


def test_only_marks_that_some_entry_has() -> None:
    assert kinds(drawn([LINE])) == ["rule", "text"]
    assert kinds(drawn([POINT])) == ["point", "text"]
    assert kinds(drawn([Entry("words alone", "#111")])) == ["text"]


def test_entries_stand_below_each_other() -> None:
    chart = drawn([LINE, POINT, BOTH])
    assert [row["row"] for row in rows(chart)] == [0, 1, 2]
    assert {row["x"] for row in rows(chart)} == {0}
    assert chart["height"] == 3 * 17
    y = chart["encoding"]["y"]
    assert (y["scale"]["domain"], y["scale"]["reverse"], y["axis"]) == ([-0.5, 2.5], True, None)


def test_a_sample_ends_before_its_text() -> None:
    (row,) = rows(drawn([BOTH]))
    assert (row["x"], row["middle"], row["end"], row["start"]) == (0, 13, 26, 33)


def test_columns_are_filled_from_the_top() -> None:
    entries = [Entry(name, "#111", shape="circle") for name in ("a", "b", "c", "d", "a longer one")]
    chart = drawn(entries, columns=2)
    first, *_, last = rows(chart)
    step = last["x"]
    assert [(row["text"], row["x"], row["row"]) for row in rows(chart)] == [
        ("a", 0, 0),
        ("b", 0, 1),
        ("c", 0, 2),
        ("d", step, 0),
        ("a longer one", step, 1),
    ]
    assert step > first["start"] + 12 * 5.6  # the longest text has room
    assert chart["width"] == 2 * step
    assert chart["height"] == 3 * 17


def test_hostile_texts_are_kept_as_texts() -> None:
    evil = "<script>alert(1)</script>\u202e" * 12
    assert [row["text"] for row in rows(drawn([Entry(evil, "#111", shape="circle")]))] == [evil]
