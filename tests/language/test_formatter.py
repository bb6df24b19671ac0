"""One canonical layout: the golden files say which; everything that formats keeps its study and its comments."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from bitspec.diagnostics import BitspecError, Source
from bitspec.ir.study import Study
from bitspec.language.formatter import format_text
from bitspec.language.grammar import grammar
from bitspec.language.limits import MAX_BLOCKS
from bitspec.language.load import analyse, loads
from bitspec.language.words import WIDTH
from tests.language.strategies import spec_texts
from tests.tiers import examples

FOLDER = Path(__file__).parent / "format"
SPECS = Path(__file__).parents[2] / "specs"
INPUTS = sorted(FOLDER.glob("*.in.bspec"))
TEXTS = [*INPUTS, *sorted(SPECS.glob("*.bspec"))]


def formatted(text: str) -> str:
    return format_text(Source("spec.bspec", text))


def meaning(text: str) -> tuple[Study, list[str]]:
    """What a text says, and what is wrong with it: the goldens need not be whole studies."""
    analysis = analyse(Source("spec.bspec", text), FOLDER)
    return analysis.study, sorted(f"{found.code}: {found.message}" for found in analysis.diagnostics)


def signature(text: str) -> list[tuple[str, str, bool]]:
    """Tokens and comments in order; of a comment, whether it stands on a line of its own.

    Left out is what formatting may change: the quotes of texts, and the last commas of sets.
    """
    found: list[tuple[str, str, bool]] = []
    for token in grammar().lex(text, dont_ignore=True):
        line = text[: token.start_pos].rpartition("\n")[2]
        if token.type == "COMMENT":
            found.append(("COMMENT", token.rstrip(), not line.strip(" \t\r\f\ufeff")))
        elif token.type == "STRING":
            found.append(("STRING", token[1:-1], False))
        elif not token.type.startswith("__IGNORE"):
            found.append((token.type, str(token), False))
    words = [word for word in found if word[0] != "COMMENT"]
    last_commas = {id(word) for word, after in pairwise(words) if (word[0], after[0]) == ("COMMA", "RBRACE")}
    return [word for word in found if id(word) not in last_commas]


def check_format(text: str) -> str:
    once = formatted(text)
    assert formatted(once) == once
    assert signature(once) == signature(text)
    assert meaning(once) == meaning(text)
    assert "\n\n\n" not in once
    assert not once.startswith("\n")
    assert not once or once.endswith("\n")
    assert not once.endswith("\n\n")
    assert all(line == line.rstrip() for line in once.split("\n"))
    return once


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name.partition(".")[0])
def test_golden(path: Path, update_golden: bool) -> None:
    golden = path.with_name(path.name.replace(".in.", ".out."))
    output = formatted(path.read_text("utf-8"))
    if update_golden:
        golden.write_text(output, "utf-8")
    assert output == golden.read_text("utf-8")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name.partition(".")[0])
def test_only_the_layout_changes(path: Path) -> None:
    check_format(path.read_text("utf-8"))


@pytest.mark.parametrize("path", [path for path in INPUTS if "strings" not in path.name], ids=lambda path: path.name)
def test_only_long_texts_make_long_lines(path: Path) -> None:
    for line in formatted(path.read_text("utf-8")).splitlines():
        assert len(line.partition("  #")[0]) <= WIDTH


@settings(
    max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(spec_texts())
def test_only_the_layout_of_any_spec_changes(text: str) -> None:
    loads(text)  # the specs that are drawn are valid, or the rest says little
    check_format(text)


@settings(
    max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(spec_texts())
@example("")
def test_windows_line_ends_change_nothing(text: str) -> None:
    windows = "\ufeff" + text.replace("\r\n", "\n").replace("\n", "\r\n")
    assert formatted(windows) == formatted(text)
    assert "\r" not in formatted(windows)
    assert "\ufeff" not in formatted(windows)


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\ufeff", "\r\n\r\n"])
def test_nothing_stays_nothing(text: str) -> None:
    assert formatted(text) == ""


def test_what_does_not_parse_is_refused_with_every_mistake() -> None:
    with pytest.raises(BitspecError) as raised:
        formatted("group a = \ngroup b = bias\nstrategy = gamma")
    assert len(raised.value.diagnostics) == 2


def test_templates_stay_templates() -> None:
    assert formatted("for r in {q,k}{group a_$r=bias where role==$r}") == (
        "for r in {q, k} { group a_$r = bias where role == $r }\n"
    )


@pytest.mark.parametrize(
    ("unit", "closing", "times"),
    [
        ("(", ")", 100),
        ("a | b & (", ") where role == q", 100),
        ("rand(a, b | c & rand(d, e) where x == y, z - (", ") where role == q)", 50),
    ],
)
def test_the_deepest_nesting_formats(unit: str, closing: str, times: int) -> None:
    text = "group g = " + f"{unit}  # why\n" * times + "bias" + closing * times
    once = formatted(text)
    assert formatted(once) == once
    assert signature(once) == signature(text)


@pytest.mark.parametrize("end", [" ", " # why\n"])
def test_the_deepest_loops_format(end: str) -> None:
    text = "".join(f"for x{number} in 0..1 {{{end}" for number in range(MAX_BLOCKS))
    text += "group g = bias" + "}" * MAX_BLOCKS
    once = formatted(text)
    assert formatted(once) == once
    assert signature(once) == signature(text)


@pytest.mark.parametrize(
    "tail",
    [
        " | b" * 10_000,
        pytest.param(" where x == 1" * 10_000, marks=pytest.mark.slow),
        pytest.param(" where" + " not" * 10_000 + " x == 1", marks=pytest.mark.slow),
    ],
    ids=["union", "where", "not"],
)
def test_long_chains_format(tail: str) -> None:
    text = f"group g = bias{tail}"
    assert signature(formatted(text)) == signature(text)


@pytest.mark.slow
def test_ten_thousand_strategies_take_seconds() -> None:
    text = "".join(f'strategy s{number} "Number {number}" = bias | rand(gamma, 0.04%)\n' for number in range(10_000))
    start = time.perf_counter()
    formatted(text)
    assert time.perf_counter() - start < 15
