"""How a diagnostic looks, whatever the text that it speaks of, and the small phrases that messages share."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import (
    LINE_WIDTH,
    NOWHERE,
    BitspecError,
    Diagnostic,
    Note,
    Severity,
    Source,
    Span,
    closest,
    did_you_mean,
    error,
    is_error,
    listed,
    raise_errors,
    warning,
)


def at(text: str, part: str, name: str = "spec.bspec") -> Span:
    """The span of a part's first occurrence in a text."""
    start = text.index(part)
    return Span(Source(name, text), start, start + len(part))


def shown(span: Span) -> str:
    """The line of the source and the line of carets, as a message shows them."""
    return "\n".join(error("code", "message", span).render().split("\n")[3:])


# The whole of a message ---------------------------------------------------------------------------------


def test_a_whole_message() -> None:
    text = "study s\ngroup g = bias\nstrategy x = gmma\nstrategy x = g\n"
    found = error(
        "unknown-name",
        "there is no `gmma`",
        at(text, "gmma"),
        help="did you mean `gamma`?\nor declare it",
        notes=[Note("the group is here", at(text, "g = bias")), Note("and this one has no place")],
    )
    assert str(found) == (
        "error[unknown-name]: there is no `gmma`\n"
        " --> spec.bspec:3:14\n"
        "  |\n"
        "3 | strategy x = gmma\n"
        "  |              ^^^^\n"
        "  = note: the group is here\n"
        " --> spec.bspec:2:7\n"
        "  |\n"
        "2 | group g = bias\n"
        "  |       ^^^^^^^^\n"
        "  = note: and this one has no place\n"
        "  = help: did you mean `gamma`?\n"
        "          or declare it"
    )


def test_the_margin_is_as_wide_as_the_longest_line_number_of_all_places() -> None:
    text = "first\n" + "\n" * 98 + "hundred"
    found = warning("code", "message", at(text, "first"), notes=[Note("note", at(text, "hundred"))])
    assert found.render() == (
        "warning[code]: message\n"
        "   --> spec.bspec:1:1\n"
        "    |\n"
        "  1 | first\n"
        "    | ^^^^^\n"
        "    = note: note\n"
        "   --> spec.bspec:100:1\n"
        "    |\n"
        "100 | hundred\n"
        "    | ^^^^^^^"
    )


@pytest.mark.parametrize("span", [None, NOWHERE])
def test_what_is_nowhere_shows_no_text(span: Span | None) -> None:
    found = error("no-such-file", "there is no file `x`", span, help="check it", notes=[Note("a note", span)])
    assert found.render() == ("error[no-such-file]: there is no file `x`\n  = note: a note\n  = help: check it")


def test_the_style_is_asked_for_every_piece_that_has_one() -> None:
    text = "group g = gmma"
    found = error("c", "wrong", at(text, "gmma"), help="mend it", notes=[Note("see", at(text, "group"))]).render(
        lambda role, piece: f"<{role}:{piece}>"
    )
    assert found == (
        "<error:error[c]><message:: wrong>\n"
        " <gutter:-->> spec.bspec:1:11\n"
        "  <gutter:|>\n"
        "<gutter:1> <gutter:|> group g = gmma\n"
        "  <gutter:|>           <error:^^^^>\n"
        "  <gutter:=> note: see\n"
        " <gutter:-->> spec.bspec:1:1\n"
        "  <gutter:|>\n"
        "<gutter:1> <gutter:|> group g = gmma\n"
        "  <gutter:|> <note:^^^^^>\n"
        "  <gutter:=> <help:help>: mend it"
    )
    mild = warning("c", "odd", at(text, "g")).render(lambda role, piece: f"<{role}:{piece}>")
    assert mild.startswith("<warning:warning[c]><message:: odd>\n")
    assert mild.endswith("<warning:^>")


# The place ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("a\tb", "b", "1 | a b\n  |   ^"),
        ("\t\tgroup", "group", "1 |   group\n  |   ^^^^^"),
        ("a\tb\tc", "b\tc", "1 | a b c\n  |   ^^^"),
        ('"漢字" x', "x", '1 | "漢字" x\n  |        ^'),
        ('"漢字" x', "字", '1 | "漢字" x\n  |    ^^'),
        ("e\u0301e\u0301 x", "x", "1 | e\u0301e\u0301 x\n  |    ^"),
        ("e\u0301e\u0301 x", "e\u0301e\u0301", "1 | e\u0301e\u0301 x\n  | ^^"),
        ("e\u0301", "\u0301", "1 | e\u0301\n  |  ^"),
        ("one\r\ntwo\r\n", "two", "2 | two\n  | ^^^"),
        ("one\ntwo", "two", "2 | two\n  | ^^^"),
        ("one\ntwo", "ne\ntw", "1 | one\n  |  ^^"),
        ("one\ntwo", "\n", "1 | one\n  |    ^"),
    ],
)
def test_the_carets_stand_below_their_part(text: str, part: str, expected: str) -> None:
    assert shown(at(text, part)) == expected


def test_marks_that_take_no_column_of_their_own_move_no_caret() -> None:
    # Neither has a combining class: a sign for a vowel, and the selector that makes a heart red.
    assert shown(at("'\u0915\u0941' x", "x")) == "1 | '\u0915\u0941' x\n  |     ^"
    assert shown(at("'\u2764\ufe0f' x", "x")).splitlines()[1] == "  |     ^"


@pytest.mark.parametrize(("text", "line"), [("", "1 | "), ("abc", "1 | abc"), ("abc\n", "2 | ")])
def test_the_end_of_a_text_is_a_place_too(text: str, line: str) -> None:
    span = Span(Source("f", text), len(text), len(text))
    pad = " " * (len(line) - 4)
    assert shown(span) == f"{line}\n  | {pad}^"


def test_a_long_line_is_cut_around_the_carets() -> None:
    text = "a" * 500 + "WRONG" + "b" * 500
    line, carets = shown(at(text, "WRONG")).split("\n")
    assert line == "1 | …" + "a" * (LINE_WIDTH // 3) + "WRONG" + "b" * (LINE_WIDTH - 5 - LINE_WIDTH // 3) + "…"
    assert carets == "  | " + " " * (1 + LINE_WIDTH // 3) + "^^^^^"


def test_a_long_line_is_cut_at_one_end_where_the_carets_are_at_the_other() -> None:
    text = "WRONG" + "b" * 500
    assert shown(at(text, "WRONG")) == "1 | " + text[:LINE_WIDTH] + "…\n  | ^^^^^"
    text = "a" * 500 + "WRONG"
    line, carets = shown(at(text, "WRONG")).split("\n")
    assert line == "1 | …" + text[-LINE_WIDTH:]
    assert carets == "  | " + " " * (LINE_WIDTH - 4) + "^^^^^"
    exact = "x" * LINE_WIDTH
    assert shown(at(exact, exact)) == f"1 | {exact}\n  | {'^' * LINE_WIDTH}"


def test_carets_below_a_long_part_end_with_the_line() -> None:
    text = "a" * 100 + "b" * 1000
    line, carets = shown(at(text, "b" * 1000)).split("\n")
    assert len(carets) == len(line) - 1  # the last column is the sign that the line goes on
    assert carets.strip(" |") == "^" * (LINE_WIDTH - LINE_WIDTH // 3)


CONTROLS = "".join(map(chr, range(32))) + "\x7f\x80\x9b\x9d\u200b\u202e\u2066\ufeff\ud800\U000e0041"


def test_control_characters_never_reach_the_output() -> None:
    text = f"a{CONTROLS.replace(chr(10), '')}b"
    rendered = error(
        f"{'code'}",
        f"no \x1b[31m`{CONTROLS}`",
        at(text, "b", name="x\x1b[2J.bspec"),
        help=f"{CONTROLS}",
        notes=[Note(CONTROLS, at(text, "a"))],
    ).render()
    bad = {char for char in rendered if unicodedata.category(char) in {"Cc", "Cf", "Cs"}}
    assert bad == {"\n"}
    assert " --> x\N{REPLACEMENT CHARACTER}[2J.bspec:1:" in rendered


def test_a_line_break_in_a_file_name_starts_no_line_of_its_own() -> None:
    rendered = error("code", "message", at("a", "a", name="x\nerror[fake]: all is lost")).render()
    assert len(rendered.split("\n")) == 5


def _width(text: str) -> int:
    # By its own reckoning, for the few characters below.
    return sum({"漢": 2, "\u0301": 0}.get(char, 1) for char in text)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \t漢e\u0301"), max_size=80), st.data())
def test_carets_stand_below_any_part_of_any_line(line: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, len(line)))
    source, carets = shown(Span(Source("f", f"first\n{line}\nlast"), 6 + start, 6 + end)).split("\n")
    assert source == "2 | " + line.replace("\t", " ")
    assert carets == "  | " + " " * _width(line[:start]) + "^" * max(1, _width(line[start : max(end, start + 1)]))


@settings(deadline=None)
@given(st.text(max_size=400), st.data())
def test_any_place_in_any_text_can_be_shown(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    rendered = error("code", "message", Span(Source("f", text), start, end)).render()
    assert len(rendered.split("\n")) == 5
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in rendered.replace("\n", ""))
    assert 1 <= rendered.rpartition("\n")[2].count("^") <= 2 * LINE_WIDTH


# Places -------------------------------------------------------------------------------------------------


def test_lines_and_columns_are_counted_from_one() -> None:
    source = Source("f", "ab\n\ncd")
    assert [source.position(offset) for offset in range(7)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (3, 1),
        (3, 2),
        (3, 3),
    ]
    assert [source.line(number) for number in (1, 2, 3)] == ["ab", "", "cd"]
    assert Span(source, 5, 6).location == "f:3:2"
    assert Span(source, 5, 6).line == 3


def test_all_spans_are_equal_and_nothing_else_is_equal_to_one() -> None:
    one, other = at("a b", "a"), at("c d", "d", name="other")
    assert one == other
    assert hash(one) == hash(other)
    assert one == NOWHERE
    assert one != (0, 1)
    assert error("c", "m", one) == error("c", "m", other)
    assert error("c", "m", one) != error("c", "n", one)


def test_spans_join() -> None:
    source = Source("f", "a where b")
    joined = Span(source, 0, 1).to(Span(source, 8, 9))
    assert (joined.start, joined.end) == (0, 9)
    inner = Span(source, 0, 9).to(Span(source, 2, 7))
    assert (inner.start, inner.end) == (0, 9)


# Errors -------------------------------------------------------------------------------------------------


def test_severity() -> None:
    assert error("c", "m").severity is Severity.ERROR
    assert is_error(error("c", "m"))
    assert not is_error(warning("c", "m"))
    assert error("c", "m").render() == "error[c]: m"
    assert warning("c", "m").render() == "warning[c]: m"


def test_errors_are_raised_together_with_the_warnings() -> None:
    found = [warning("w", "odd"), error("e", "wrong")]
    with pytest.raises(BitspecError) as raised:
        raise_errors(iter(found))
    assert raised.value.diagnostics == tuple(found)
    assert str(raised.value) == "warning[w]: odd\n\nerror[e]: wrong"


def test_warnings_alone_are_not_raised() -> None:
    raise_errors([warning("w", "odd")])
    raise_errors([])


def test_a_diagnostic_cannot_be_changed() -> None:
    found = Diagnostic("c", "m")
    with pytest.raises(AttributeError):
        found.code = "other"  # type: ignore[misc]


# Phrases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "candidates", "near"),
    [
        ("gmma", ["bias", "gamma", "matrix"], ["gamma"]),
        ("BIAS", ["bias", "gamma"], ["bias"]),
        ("bias", ["Bias", "BIAS", "bias"], ["Bias"]),
        ("b_q", ["b_k", "b_q1", "b_v"], ["b_q1", "b_v", "b_k"]),
        ("g1", ["g0", "g2", "g3", "g4"], []),
        ("xyz", ["bias"], []),
        ("", ["bias"], []),
        ("bias", [], []),
    ],
)
def test_closest(name: str, candidates: list[str], near: list[str]) -> None:
    assert closest(name, candidates) == near
    assert closest(name, iter(candidates), 1) == near[:1]


def test_did_you_mean() -> None:
    assert did_you_mean("gmma", ["bias", "gamma"]) == "did you mean `gamma`?"
    assert did_you_mean("b_q", ["b_k", "b_q1", "b_v"]) == "did you mean `b_q1`, `b_v` or `b_k`?"
    assert did_you_mean("zzz", ["bias", "gamma"]) is None


def test_listed() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "`a`"
    assert listed(["a", "b"]) == "`a` or `b`"
    assert listed(iter("abc"), "and") == "`a`, `b` and `c`"
    assert listed(["a", "b"], quote="") == "a or b"
