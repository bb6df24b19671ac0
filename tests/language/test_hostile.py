"""What a hostile or careless author may write: an answer in time, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError, Source
from bitspec.language.load import analyse, load, loads


def codes(text: str) -> list[str]:
    return [found.code for found in analyse(Source("f", text)).diagnostics]


@pytest.mark.parametrize("percent", ["1e-99999999%", "1e-99999999999999999999%", "0.000000000001%"])
def test_a_percentage_of_nothing_is_refused(percent: str) -> None:
    assert codes(f"group g = rand(bias, {percent})")[0] in {"bad-number", "bad-amount"}


def test_many_statements_in_many_rounds_are_refused() -> None:
    body = " ".join(f"strategy s{number}_$l = bias" for number in range(500))
    assert codes(f"for l in 1..19999 {{ {body} }}") == ["too-many"]


def test_seeds_are_counted_over_all_ranges() -> None:
    ranges = ", ".join(f"{start}..{start + 9999}" for start in range(0, 100_000, 10_000))
    assert codes(f"seeds {ranges}\nstrategy s = bias") == ["too-many"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_no_spec(tmp_path: Path) -> None:
    pipe = tmp_path / "p.bspec"
    os.mkfifo(pipe)
    with pytest.raises(BitspecError, match="is not a regular file"):
        load(pipe)


@pytest.mark.parametrize("pattern", ["(?V1)query", "(?a)(?u)x", "(", "x{5,1}"])
def test_a_pattern_that_cannot_be_compiled_is_refused_by_the_check(pattern: str) -> None:
    assert codes(f'group g = bias where module ~ "{pattern}"') == ["bad-pattern"]


def test_a_name_with_a_dash_is_one_mistake() -> None:
    assert codes("strategy my-strategy = bias") == ["bad-name"]


def test_whole_amounts_may_have_an_exponent() -> None:
    assert loads("group g = rand(bias, 1e3)") == loads("group g = rand(bias, 1000)")


def test_a_span_closes_the_brackets_that_it_opens() -> None:
    text = 'group g = rand(matrix & (all - bias), 3) where name ~ "("'
    text = text.replace('"("', '"[(]"')
    selection = loads(text).groups[0].selection
    for node in (selection, selection.of, selection.of.of):  # type: ignore[union-attr]
        shown = text[node.span.start : node.span.end].replace("[(]", "")
        assert shown.count("(") == shown.count(")")


@pytest.mark.parametrize(
    "text", ['(((model")))))\ns"(a', '(model ")', "((task \"a))' (", 'group g = (bias where name ~ "(((\n) model ")))"']
)
def test_brackets_in_a_text_that_is_not_closed_are_none(text: str) -> None:
    found = analyse(Source("f", text)).diagnostics
    spans = [one.span for one in found if one.span is not None]
    assert spans
    assert all(0 <= span.start <= span.end <= len(text) + 1 for span in spans)
    # What is said of a text stands at the text, from its first quote on.
    assert all(
        text[one.span.start] in "\"'" for one in found if one.code in {"empty-text", "unclosed-text"} and one.span
    )
