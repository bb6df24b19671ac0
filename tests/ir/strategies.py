"""Hypothesis strategies for selections as trees, and for the same selection said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from bitspec.ir import selection as ir

ROLES = ("q", "m2", "ln1")


def _matches(attribute: str, pattern: str, negated: bool) -> ir.Condition:
    return ir.Matches.model_validate({"attribute": attribute, "pattern": pattern, "negated": negated})


TESTS: st.SearchStrategy[ir.Condition] = st.one_of(
    st.builds(
        _matches, st.sampled_from(["name", "module"]), st.sampled_from(["query", "up|no", "'"]), st.booleans()
    ),
    st.builds(
        ir.Compares, attribute=st.just("role"), operator=st.sampled_from(["==", "!="]), value=st.sampled_from(ROLES)
    ),
    st.builds(
        ir.Compares,
        attribute=st.just("layer"),
        operator=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        value=st.integers(-2, 2),
    ),
    st.builds(
        ir.IsIn,
        attribute=st.just("layer"),
        items=st.lists(
            st.one_of(
                st.builds(ir.Value, value=st.integers(-2, 2)),
                st.builds(lambda low, more: ir.Range(first=low, last=low + more), st.integers(0, 1), st.integers(0, 1)),
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
        negated=st.booleans(),
    ),
)  # fmt: skip

CONDITIONS: st.SearchStrategy[ir.Condition] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        inner.map(lambda part: ir.Not(condition=part)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.And(conditions=tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.Or(conditions=tuple(parts))),
    ),
    max_leaves=4,
)

BASES: st.SearchStrategy[ir.Selection] = st.sampled_from(
    ["all", "none", "bias", "gamma", "matrix", "embedding", "weight"]
).map(lambda name: ir.Base.model_validate({"name": name}))


def _amounts(inner: st.SearchStrategy[ir.Selection]) -> st.SearchStrategy[ir.Amount]:
    return st.one_of(
        st.integers(1, 5).map(lambda number: ir.Count(count=number)),
        st.sampled_from(["10", "3.50"]).map(lambda number: ir.Percent(percent=Decimal(number))),
        inner.map(lambda of: ir.SizeOf(of=of)),
        st.builds(ir.Share, percent=st.just(Decimal("50.0")), of=inner),
    )


def _inner(inner: st.SearchStrategy[ir.Selection]) -> st.SearchStrategy[ir.Selection]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        several.map(lambda parts: ir.Union(parts=parts)),
        several.map(lambda parts: ir.Intersection(parts=parts)),
        st.builds(lambda left, right: ir.Difference(left=left, right=right), inner, inner),
        st.builds(lambda of, condition: ir.Where(of=of, condition=condition), inner, CONDITIONS),
        st.builds(
            ir.Draw,
            rule=st.sampled_from(["rand", "rows"]),
            of=inner,
            amount=_amounts(inner),
            per=st.sampled_from(["pool", "tensor"]),
            seed=st.sampled_from([None, 7]),
        ),
        st.builds(ir.Top, of=inner, amount=_amounts(inner)),
    )


SELECTIONS = st.recursive(BASES, _inner, max_leaves=6)

#: Selections that nothing draws or ranks.
PLAIN = st.recursive(
    BASES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.Union(parts=tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: ir.Intersection(parts=tuple(parts))),
        st.builds(lambda left, right: ir.Difference(left=left, right=right), inner, inner),
        st.builds(lambda of, condition: ir.Where(of=of, condition=condition), inner, CONDITIONS),
    ),
    max_leaves=5,
)


@st.composite
def rewritten(draw: st.DrawFn, selection: ir.Selection, named: dict[str, ir.Selection]) -> ir.Selection:
    """The same selection said otherwise: in another order, with brackets, repetitions and names."""

    def again(part: ir.Selection) -> ir.Selection:
        return draw(rewritten(part, named))

    def mixed(parts: tuple[Any, ...], kind: type[ir.Union] | type[ir.Intersection]) -> ir.Selection:
        fresh = draw(st.permutations([again(part) for part in parts]))
        if draw(st.booleans()):
            fresh = [*fresh, again(parts[0])]
        if len(fresh) > 2 and draw(st.booleans()):
            fresh = [kind(parts=tuple(fresh[:-1])), fresh[-1]]
        return kind(parts=tuple(fresh))

    result = selection
    match selection:
        case ir.Union(parts=parts) | ir.Intersection(parts=parts):
            result = mixed(parts, type(selection))
        case ir.Difference(left=left, right=right):
            result = ir.Difference(left=again(left), right=again(right))
            if draw(st.booleans()):
                result = ir.Difference(left=result, right=again(right))
        case ir.Where(of=of, condition=condition):
            result = ir.Where(of=again(of), condition=condition)
            if draw(st.booleans()):
                result = ir.Where(of=result, condition=condition)
        case ir.Draw(of=of) | ir.Top(of=of):
            result = selection.model_copy(update={"of": again(of)})
        case _:
            pass
    if draw(st.booleans()):
        name = f"g{len(named)}"
        named[name] = result
        result = ir.Ref(name=name)
    return result


def inlined(node: ir.Selection, named: Mapping[str, ir.Selection]) -> ir.Selection:
    match node:
        case ir.Ref(name=name):
            return inlined(named[name], named)
        case ir.Union(parts=parts) | ir.Intersection(parts=parts):
            return node.model_copy(update={"parts": tuple(inlined(part, named) for part in parts)})
        case ir.Difference(left=left, right=right):
            return ir.Difference(left=inlined(left, named), right=inlined(right, named))
        case ir.Where(of=of) | ir.Draw(of=of) | ir.Top(of=of):
            return node.model_copy(update={"of": inlined(of, named)})
        case _:
            return node
