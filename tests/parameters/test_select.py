from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError
from bitspec.ir import selection as ir
from bitspec.ir.masks import Cols, Rows, Whole
from bitspec.ir.selection import (
    Condition,
    Difference,
    Intersection,
    Not,
    Ref,
    Selection,
    Share,
    SizeOf,
    Union,
)
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.draws import Randomness
from bitspec.parameters.sampling import rand
from bitspec.parameters.select import Selector
from tests.parameters.handmade import (
    ALL,
    BIAS,
    GAMMA,
    GROUPS,
    MATRIX,
    NONE,
    QUERY,
    TINY,
    VALUES,
    base,
    catalogue_of,
    compares,
    complaint,
    count,
    dense_all,
    draw_of,
    either,
    every,
    matches,
    parameter,
    percent,
    selector,
    shapes_of,
    steady,
    where,
    within,
)


def names(selection: Selection, catalogue: Catalogue = TINY) -> list[str]:
    return list(selector(catalogue).select(selection))


def bias_where(condition: Condition) -> list[str]:
    """Modules, without `layer.`, of the biases that meet a condition."""
    return [name.removeprefix("layer.").removesuffix(".bias") for name in names(where(BIAS, condition))]


# Kinds and conditions -----------------------------------------------------------------------------------


def test_kinds() -> None:
    select = selector().select
    sizes = {name: select(base(name)).count for name in get_args(ir.BaseName)}
    assert sizes == {
        "all": 92,
        "none": 0,
        "bias": 20,
        "gamma": 6,
        "matrix": 48,
        "embedding": 15,
        "weight": 72,
    }
    assert all(isinstance(mask, Whole) for mask in select(ALL).values())


QUERIES = ["0.attention.query", "1.attention.query"]
NORMS = ["0.norm", "1.norm"]
UPS = ["0.up", "1.up"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (matches("module", "query"), QUERIES),
        (matches("module", r"^layer\.1"), ["1.attention.query", "1.norm", "1.up"]),
        (matches("module", "query", negated=True), NORMS + UPS),
        (matches("role", "q|ln"), QUERIES + NORMS),
        (matches("class", "Norm"), NORMS),
        (matches("name", "up.bias$"), UPS),
        (compares("role", "==", "m2"), UPS),
        (compares("role", "!=", "m2"), QUERIES + NORMS),
        (compares("layer", "==", -1), ["1.attention.query", "1.norm", "1.up"]),
        (compares("layer", "<", 1), ["0.attention.query", "0.norm", "0.up"]),
        (compares("layer", "<=", -2), ["0.attention.query", "0.norm", "0.up"]),
        (compares("layer", ">=", -1), ["1.attention.query", "1.norm", "1.up"]),
        (compares("numel", ">", 3), UPS),
        (compares("numel", "==", 3), QUERIES + NORMS),
        (compares("ndim", "==", 1), QUERIES + NORMS + UPS),
        (compares("class", "==", "LayerNorm"), NORMS),
        (compares("name", "==", "layer.0.up.bias"), ["0.up"]),
        (compares("module", "==", "layer.0.up"), ["0.up"]),
        (within("role", "q", "ln1"), QUERIES + NORMS),
        (within("role", "q", "ln1", negated=True), UPS),
        (within("layer", -1), ["1.attention.query", "1.norm", "1.up"]),
        (within("layer", (0, 0), negated=True), ["1.attention.query", "1.norm", "1.up"]),
        (within("layer", (-1, -1)), ["1.attention.query", "1.norm", "1.up"]),
        (within("layer", (0, -1)), QUERIES + NORMS + UPS),
        (within("numel", (4, 9)), UPS),
        (Not(condition=compares("role", "==", "q")), NORMS + UPS),
        (every(compares("role", "==", "q"), compares("layer", "==", 1)), ["1.attention.query"]),
        (either(compares("role", "==", "q"), compares("role", "==", "ln1")), QUERIES + NORMS),
        (every(compares("layer", "==", 0), Not(condition=within("role", "q", "m2"))), ["0.norm"]),
    ],
    ids=str,
)
def test_conditions(condition: Condition, expected: list[str]) -> None:
    assert bias_where(condition) == sorted(expected)


def test_what_has_no_role_and_no_layer_passes_negated_tests_only() -> None:
    bare = {"token", "out.weight", "embeddings.word.weight"}

    def kept(condition: Condition) -> set[str]:
        return bare & set(names(where(ALL, condition)))

    assert kept(compares("layer", ">=", 0)) == set()
    assert kept(within("layer", (0, 1))) == set()
    assert kept(matches("role", "")) == {"embeddings.word.weight"}
    assert kept(compares("layer", "!=", 0)) == bare
    assert kept(within("layer", 0, 1, negated=True)) == bare
    assert kept(Not(condition=compares("layer", "<", 5))) == bare
    assert kept(matches("role", "emb", negated=True)) == {"token", "out.weight"}
    assert kept(compares("role", "!=", "emb")) == {"token", "out.weight"}


def test_values_of_another_type_are_unequal() -> None:
    assert names(where(ALL, compares("role", "!=", 3))) == names(ALL)
    assert names(where(ALL, compares("numel", "!=", "3"))) == names(ALL)


def test_patterns_are_of_the_regex_module() -> None:
    assert names(where(BIAS, matches("module", r"(?<=0\.)\p{Ll}+$"))) == [
        "layer.0.norm.bias",
        "layer.0.up.bias",
    ]


def test_where_on_a_sample_keeps_the_sampled_entries() -> None:
    sample = draw_of(ALL, count(60))
    one = selector()
    whole, kept = one.select(sample), one.select(where(sample, compares("layer", "==", 0)))
    assert dict(kept) == {name: mask for name, mask in whole.items() if name.startswith("layer.0.")}
    assert 0 < kept.count < 60


# Trees --------------------------------------------------------------------------------------------------


LEAVES: list[Selection] = [
    ALL,
    NONE,
    BIAS,
    QUERY,
    MATRIX,
    Ref(name="sample"),
    draw_of(MATRIX, count(12), "rowcol"),
    draw_of(ALL, percent("30")),
    Ref(name="top"),
]


def trees() -> st.SearchStrategy[Selection]:
    def grown(inner: st.SearchStrategy[Selection]) -> st.SearchStrategy[Selection]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            parts.map(lambda some: Union(parts=some)),
            st.tuples(inner, inner).map(lambda pair: Difference(left=pair[0], right=pair[1])),
            parts.map(lambda some: Intersection(parts=some)),
        )

    return st.recursive(st.sampled_from(LEAVES), grown, max_leaves=8)


@steady
@given(trees())
def test_trees_are_evaluated_as_dense_masks(tree: Selection) -> None:
    one = selector(groups=GROUPS, values=VALUES.__getitem__)
    shapes = shapes_of(TINY)

    def oracle(node: Selection) -> Mapping[str, np.ndarray]:
        match node:
            case Union(parts=parts):
                return {name: np.any([oracle(part)[name] for part in parts], axis=0) for name in shapes}
            case Intersection(parts=parts):
                return {name: np.all([oracle(part)[name] for part in parts], axis=0) for name in shapes}
            case Difference(left=left, right=right):
                kept, gone = oracle(left), oracle(right)
                return {name: kept[name] & ~gone[name] for name in shapes}
            case _:
                return dense_all(one.select(node), shapes)

    try:
        result = one.select(tree)
    except BitspecError as raised:
        shares_nothing = "shares no entries" in complaint(raised).message
        assert shares_nothing
        return
    expected = oracle(tree)
    assert all(np.array_equal(picked, expected[name]) for name, picked in dense_all(result, shapes).items())
    low, high = selector(groups=GROUPS).size_bounds(tree)
    assert low <= result.count <= high
    assert result.count == sum(int(picked.sum()) for picked in expected.values())


def test_groups_are_evaluated_once_and_draws_are_shared() -> None:
    one = selector(groups=GROUPS)
    assert one.select(Ref(name="sample")) is one.select(Ref(name="sample"))
    assert one.select(GROUPS["sample"]) is one.select(Ref(name="sample"))
    rest = one.select(Difference(left=BIAS, right=Ref(name="sample")))
    assert rest.count == 20 - 6
    assert one.select(Union(parts=(rest_of := Ref(name="sample"), rest_of))).digest() == one.select(rest_of).digest()


def test_draws_are_keyed_by_seed_and_call() -> None:
    free, fixed = draw_of(ALL, count(30)), draw_of(ALL, count(30), seed=7)
    digests = {selector(seed=seed).select(free).digest() for seed in range(4)}
    assert len(digests) == 4
    assert len({selector(seed=seed).select(fixed).digest() for seed in range(4)}) == 1
    everything = selector().select(ALL)
    assert selector(seed=3).select(free) == rand(everything, 30, "pool", Randomness(3, free.model_dump_json()))
    assert selector(seed=3).select(fixed) == rand(everything, 30, "pool", Randomness(7, fixed.model_dump_json()))


def test_lines_of_a_transposed_matrix() -> None:
    out = where(MATRIX, matches("name", "^out"))  # kept as (2, 3): three outputs, two inputs
    rows = selector().select(draw_of(out, count(2), "rows"))["out.weight"]
    assert isinstance(rows, Cols)
    assert rows.count((2, 3)) == 2
    assert isinstance(selector().select(draw_of(out, count(3), "cols"))["out.weight"], Rows)


#: The first 16 digits of the digest of what each draw picks of the tiny catalogue with seed 3.
GOLDEN: dict[tuple[Literal["rand", "rows", "cols", "rowcol"], Literal["pool", "tensor"]], str] = {
    ("rand", "pool"): "ab2af6b19715fe46",
    ("rand", "tensor"): "ec861b605340df2d",
    ("rows", "pool"): "caca06ed3f0951a0",
    ("rows", "tensor"): "f2e8818c2801a3e6",
    ("cols", "pool"): "21af9abde40fe40b",
    ("cols", "tensor"): "d694bc797aed927f",
    ("rowcol", "pool"): "f390ae87c83d6b04",
    ("rowcol", "tensor"): "004d833bfa3a5f04",
}


@pytest.mark.parametrize(("rule", "per"), GOLDEN)
def test_golden_draws(rule: Literal["rand", "rows", "cols", "rowcol"], per: Literal["pool", "tensor"]) -> None:
    one = Selector(TINY, 3, named=GROUPS, canonical=lambda node: f"{node.type} {per}")
    taken = one.select(draw_of(MATRIX, count(23), rule, per))
    assert taken.digest()[:16] == GOLDEN[rule, per]


# Amounts ------------------------------------------------------------------------------------------------


def test_amounts() -> None:
    one = selector(groups=GROUPS)
    assert one.amount(count(46_080)) == 46_080
    assert one.amount(SizeOf(of=QUERY)) == 6
    assert one.amount(SizeOf(of=NONE)) == 0
    assert one.amount(Share(percent=Decimal(50), of=BIAS)) == 10
    assert one.amount(percent("50")) == 46


@pytest.mark.parametrize(
    ("text", "expected"), [("12.5", 2), ("37.5", 6), ("62.5", 10), ("31.25", 5), ("100", 16), ("0.1", 0)]
)
def test_percentages_are_exact_and_rounded_half_to_even(text: str, expected: int) -> None:
    sixteen = catalogue_of(parameter("a.weight", (4, 4), "matrix"))
    assert selector(sixteen).amount(percent(text)) == expected
    assert selector(sixteen).amount(Share(percent=Decimal(text), of=ALL)) == expected


def test_halves_go_to_the_even_number() -> None:
    twenty = catalogue_of(parameter("a.weight", (5, 4), "matrix"))
    assert [selector(twenty).amount(percent(text)) for text in ("2.5", "7.5", "12.5", "17.5")] == [0, 2, 2, 4]


# BERT ---------------------------------------------------------------------------------------------------

Built = Callable[[str], Catalogue]


@pytest.fixture
def bert(catalogue_of: Built) -> Selector:
    return selector(catalogue_of("bert-base-cased"))


def test_bert(bert: Selector) -> None:
    assert bert.select(ALL).count == 108_310_272
    assert bert.select(BIAS).count == 102_912
    assert bert.select(where(BIAS, matches("module", "query"))).count == 9_216
    assert bert.select(where(BIAS, compares("role", "==", "m2"))).count == 36_864
    assert bert.select(where(GAMMA, within("role", "ln1", "ln2"))).count == 18_432
    assert bert.select(where(BIAS, within("role", "q", "m2"))).count == 46_080
    assert bert.amount(percent("0.04")) == 43_324
    assert bert.amount(percent("0.095")) == 102_895
    assert bert.select(draw_of(BIAS, percent("0.04"))).count == 43_324
    assert bert.select(draw_of(ALL, SizeOf(of=BIAS))).count == 102_912
    rest = Difference(left=ALL, right=draw_of(ALL, percent("0.04")))
    assert bert.select(rest).count == 108_310_272 - 43_324


def test_gpt2_rows_are_stored_columns(catalogue_of: Built) -> None:
    taken = selector(catalogue_of("gpt2")).select(draw_of(MATRIX, count(200), "rows"))
    assert all(isinstance(mask, Cols) for mask in taken.values())
