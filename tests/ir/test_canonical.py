"""One text for all the ways in which the same selection can be written, and different texts for different ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError
from bitspec.ir import selection as ir
from bitspec.ir.canonical import MAX_TEXT, Canonical, condition_text, quoted
from bitspec.language.load import loads
from bitspec.parameters.select import NotKnown, Selector
from tests.ir.strategies import CONDITIONS, PLAIN, SELECTIONS, inlined, rewritten
from tests.parameters.handmade import TINY
from tests.tiers import examples

steady = settings(deadline=None)


def text_of(selection: ir.Selection, named: Mapping[str, ir.Selection] | None = None) -> str:
    return Canonical(named or {}).text(selection)


def canonical(text: str, before: str = "") -> str:
    """The canonical text of a selection in the language."""
    study = loads(f"{before}\ngroup it = {text}")
    return Canonical(study.selections).text(study.selections["it"])


# What makes no difference -------------------------------------------------------------------------------


@steady
@given(SELECTIONS, st.data())
def test_order_brackets_names_and_repetition_make_no_difference(selection: ir.Selection, data: st.DataObject) -> None:
    named: dict[str, ir.Selection] = {}
    other = data.draw(rewritten(selection, named))
    assert text_of(other, named) == text_of(selection)


@steady
@given(SELECTIONS, st.lists(SELECTIONS, min_size=2, max_size=3))
def test_taking_away_one_by_one_is_taking_away_all_at_once(left: ir.Selection, taken: list[ir.Selection]) -> None:
    one_by_one = left
    for part in taken:
        one_by_one = ir.Difference(left=one_by_one, right=part)
    at_once = ir.Difference(left=left, right=ir.Union(parts=tuple(taken)))
    assert text_of(one_by_one) == text_of(at_once)


@steady
@given(SELECTIONS, st.lists(CONDITIONS, min_size=2, max_size=3), st.randoms())
def test_wheres_in_a_row_are_one_where(of: ir.Selection, parts: list[ir.Condition], random: Any) -> None:
    chain = of
    for part in parts:
        chain = ir.Where(of=chain, condition=part)
    random.shuffle(parts)
    assert text_of(chain) == text_of(ir.Where(of=of, condition=ir.And(conditions=tuple(parts))))


@steady
@given(SELECTIONS)
def test_it_reads_back_as_itself(selection: ir.Selection) -> None:
    text = text_of(selection)
    if "sha256:" not in text:
        assert canonical(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gamma | bias", "bias | gamma"),
        ("((bias) | (gamma | bias))", "bias | gamma"),
        ("bias | bias", "bias"),
        ("bias | none", "bias"),
        ("bias | all", "all"),
        ("none | none", "none"),
        ("gamma & bias & gamma", "bias & gamma"),
        ("bias & all", "bias"),
        ("bias & none", "none"),
        ("all & all", "all"),
        ("all - bias - gamma", "all - (bias | gamma)"),
        ("all - (gamma | bias)", "all - (bias | gamma)"),
        ("all - none", "all"),
        ("none - bias", "none"),
        ("(all - bias) - none", "all - bias"),
        ("all - (bias - gamma)", "all - (bias - gamma)"),
        ("bias where role == q", 'bias where role == "q"'),
        ("bias where role in {q}", 'bias where role == "q"'),
        ("bias where role in {v, q, m1}", 'bias where role in {"m1", "q", "v"}'),
        ("bias where not role in {q}", 'bias where role != "q"'),
        ("bias where role not in {v, q}", 'bias where role not in {"q", "v"}'),
        ("bias where not not role == q", 'bias where role == "q"'),
        ("bias where layer in 3..3", "bias where layer == 3"),
        ("bias where layer in {1..2, 0}", "bias where layer in {0, 1..2}"),
        ("bias where not layer < 3", "bias where not (layer < 3)"),
        ('bias where not name ~ "q"', 'bias where name !~ "q"'),
        ("bias where name ~ 'a\"b'", "bias where name ~ 'a\"b'"),
        ("bias where layer == 1 where role == q", 'bias where layer == 1 and role == "q"'),
        (
            "bias where (layer == 1 or role == q) and ndim == 1",
            'bias where (layer == 1 or role == "q") and ndim == 1',
        ),
        ("rand(gamma | bias, 0.040%)", "rand(bias | gamma, 0.04%)"),
        ("rand(bias, 100%)", "rand(bias, 100%)"),
        ("rand(bias, 1e1%)", "rand(bias, 10%)"),
        ("rand(bias, 5, per = pool)", "rand(bias, 5)"),
        ("rand(bias, 5, seed = 7, per = tensor)", "rand(bias, 5, per = tensor, seed = 7)"),
        ("rowcol(matrix, size(gamma | bias))", "rowcol(matrix, size(bias | gamma))"),
        ("rand(all, 50.0% of bias)", "rand(all, 50% of bias)"),
        ("topk(bias, 5)", "topk(bias, 5, by = magnitude)"),
        ("topk(bias, 5, per = tensor, by = magnitude)", "topk(bias, 5, by = magnitude, per = tensor)"),
        ("rand(all, 5) | bias & gamma", "(bias & gamma) | rand(all, 5)"),
    ],
)
def test_the_form(text: str, expected: str) -> None:
    assert canonical(text) == expected
    assert canonical(expected) == expected


# What makes a difference --------------------------------------------------------------------------------

DIFFERENT = [
    "bias",
    "gamma",
    "bias & gamma",
    "bias | gamma",
    "bias - gamma",
    "gamma - bias",
    "all - bias - gamma",
    "all - (bias - gamma)",
    "(all - bias) & gamma",
    "all - bias & gamma",
    "bias where layer == 1",
    "bias where layer != 1",
    "bias where layer == -1",
    "bias where layer < 1",
    "bias where not layer >= 1",
    "bias where numel == 1",
    "bias where layer in {1, 2}",
    "bias where layer in {1..3, 5}",
    "bias where layer in {1, 3..5}",
    'bias where name ~ "layer == 1"',
    'bias where name ~ "a" or name ~ "b"',
    'bias where name ~ "a" and name ~ "b"',
    'bias where name ~ "a|b"',
    'bias where name ~ "A|b"',
    'bias where name == "a|b"',
    'bias where module ~ "a|b"',
    'bias where role == q and (layer == 1 or layer == 2) and layer == 3',
    'bias where role == q and layer == 1 or layer == 2 and layer == 3',
    'bias where not (layer < 1 and layer > 2)',
    'bias where not (layer < 1 or layer > 2)',
    'bias where not layer < 1 and layer > 2',
    "rand(bias, 5)",
    "rand(bias, 5%)",
    "rand(bias, 5, per = tensor)",
    "rand(bias, 5, seed = 5)",
    "rand(bias, 5, seed = 0)",
    "rows(bias, 5)",
    "cols(bias, 5)",
    "rowcol(bias, 5)",
    "topk(bias, 5)",
    "rand(bias, size(gamma))",
    "rand(gamma, size(bias))",
    "rand(bias, 5% of gamma)",
    "rand(rand(bias, 5), 5)",
    "rand(bias where layer == 1, 5)",
    "rand(bias, 5) where layer == 1",
]  # fmt: skip


def test_different_selections_have_different_texts() -> None:
    by_text: dict[str, str] = {}
    for text in DIFFERENT:
        assert by_text.setdefault(canonical(text), text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Each pair is two selections, whatever brackets and double negations stand around their parts.
        (
            "bias where role == q and not not (layer == 1 or ndim == 1)",
            "bias where layer == 1 or not not (ndim == 1 and role == q)",
        ),
        (
            "bias where role == q and (not not (layer == 1 or ndim == 1) or kind == bias)",
            "bias where role == q and (kind == bias or layer == 1) or ndim == 1",
        ),
    ],
)
def test_and_is_never_taken_for_or(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('bias where not (name ~ "a" and name ~ "a")', 'bias where name !~ "a"'),
        ('bias where not (name ~ "a" or name ~ "a")', 'bias where name !~ "a"'),
        ("bias where (layer < 1 or ndim == 1) and (ndim == 1 or layer < 1)", "bias where layer < 1 or ndim == 1"),
        ("all where layer < 1 and not not (ndim == 1 and numel>2)", "all where layer < 1 and ndim == 1 and numel>2"),
        ("all where layer < 1 or not not (ndim == 1 and numel>2)", "all where layer < 1 or (ndim == 1 and numel>2)"),
    ],
)  # fmt: skip
def test_repetition_and_double_negation_inside_conditions_make_no_difference(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


def test_what_stands_in_quotes_cannot_pass_for_something_else() -> None:
    inner = 'a" or layer == "1'
    tricky = ir.Matches(attribute="name", pattern=inner)
    honest = ir.Or(
        conditions=(
            ir.Matches(attribute="name", pattern="a"),
            ir.Compares(attribute="layer", operator="==", value="1"),
        )
    )
    assert condition_text(tricky) != condition_text(honest)
    assert quoted("a'b") == '"a\'b"'
    assert quoted('a"b') == "'a\"b'"
    both = [quoted(f"'{part}\"") for part in ("a", "b")]
    assert both[0] != both[1]


def test_two_names_of_one_length_are_not_confused() -> None:
    study = loads("group a = bias group b = gamma group c = a | b group d = a - b group e = b - a")
    one = Canonical(study.selections)
    assert [one.text(ir.Ref(name=name)) for name in "abcde"] == [
        "bias",
        "gamma",
        "bias | gamma",
        "bias - gamma",
        "gamma - bias",
    ]


# Groups that use each other many times ------------------------------------------------------------------


def doubling(step: str, levels: int) -> dict[str, ir.Selection]:
    lines = ["group g0 = bias where layer in 0..7"]
    lines += [f"group g{number} = {step.format(before=f'g{number - 1}', number=number)}" for number in range(1, levels)]
    return loads("\n".join(lines)).selections


@pytest.mark.parametrize(
    "step",
    [
        "{before} | rand({before}, {number})",
        "{before} | (gamma where layer == {number})",
        "{before} - ({before} where layer == {number})",
        "({before} & all) - rand({before}, {number})",
        "rand({before}, size({before}), seed = {number})",
        "rand({before}, size({before}))",
        "({before} | gamma) & ({before} | matrix) & (all - {before})",
        "{before} where layer == {number} or layer > {number}",
    ],
)
def test_groups_that_double_stay_small_and_quick(step: str) -> None:
    # Counted on few levels first: what doubles with every level would take for ever on many.
    assert _steps(doubling(step, levels=10)) < 10 * _steps(doubling(step, levels=5))
    selections = doubling(step, levels=48)
    assert _steps(selections) < 5000
    one = Canonical(selections)
    texts = [one.text(ir.Ref(name=name)) for name in selections]
    assert max(map(len, texts)) <= MAX_TEXT
    assert len(set(texts)) == len(texts)


def _steps(selections: Mapping[str, ir.Selection]) -> int:
    """How many texts are asked for while that of the last group is made."""

    class Counting(Canonical):
        steps = 0

        def text(self, selection: ir.Selection) -> str:
            self.steps += 1
            return super().text(selection)

    one = Counting(selections)
    one.text(selections[list(selections)[-1]])
    return one.steps


def test_a_long_part_stands_as_its_digest() -> None:
    parts = [f'name ~ "{letter * 900}"' for letter in "abc"]
    two, three = (canonical(f"bias where {' or '.join(parts[:count])}") for count in (2, 3))
    assert two.startswith('bias where name ~ "aaa')
    assert three.startswith("bias where sha256:")
    assert len(three) == len("bias where sha256:") + 64
    assert canonical(f"gamma | (bias where {' or '.join(parts)})") == f"({three}) | gamma"
    assert canonical(f"bias where {' or '.join(reversed(parts))}") == three


def test_a_chain_of_ten_thousand_names_needs_no_stack() -> None:
    lines = ["group g0 = bias", *(f"group g{number} = g{number - 1}" for number in range(1, 10_000))]
    study = loads("\n".join(lines))
    assert text_of(ir.Ref(name="g9999"), study.selections) == "bias"


# Sound against evaluation -------------------------------------------------------------------------------


def picked(selection: ir.Selection, seed: int) -> object:
    one = Selector(TINY, seed, named={}, canonical=Canonical({}).text)
    try:
        return one.select(selection).digest()
    except (BitspecError, LookupError, NotKnown):
        return None


@settings(deadline=None, max_examples=examples(60))
@given(SELECTIONS, st.data())
def test_what_has_one_text_picks_the_same_entries(selection: ir.Selection, data: st.DataObject) -> None:
    named: dict[str, ir.Selection] = {}
    other = inlined(data.draw(rewritten(selection, named)), named)
    one, two = picked(selection, 3), picked(other, 3)
    if one is not None and two is not None:
        assert one == two


def test_texts_that_agree_agree_in_what_they_pick() -> None:
    # Not by construction: whatever two trees of a large sample come to the same text must pick the same.
    seen: dict[str, list[object]] = {}

    @settings(deadline=None, max_examples=examples(250), database=None)
    @given(PLAIN)
    def collect(selection: ir.Selection) -> None:
        found = picked(selection, 0)
        if found is not None:
            seen.setdefault(text_of(selection), []).append(found)

    collect()
    assert sum(len(found) > 1 for found in seen.values()) > 5
    for text, found in seen.items():
        assert all(one == two for one, two in pairwise(found)), text


def test_a_shortened_part_keeps_its_brackets() -> None:
    long = " | ".join(f"(all where numel == {number})" for number in range(200))
    pairs = [
        ("early - (late where kind == bias)", "(early - late) where kind == bias"),
        ("early - (late | weight)", "(early - late) | weight"),
        ("early & (late where kind == bias)", "(early & late) where kind == bias"),
    ]
    for left, right in pairs:
        study = loads(f"group early = {long}\ngroup late = {long} | gamma\ngroup a = {left}\ngroup b = {right}")
        assert text_of(ir.Ref(name="a"), study.selections) != text_of(ir.Ref(name="b"), study.selections)
