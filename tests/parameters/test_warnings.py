from __future__ import annotations

import pytest

from bitspec.ir.masks import Selected
from bitspec.ir.selection import (
    Difference,
    Intersection,
    Not,
    Selection,
)
from bitspec.language.load import loads
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.select import Selector
from bitspec.parameters.summary import summarise
from tests.parameters.handmade import (
    ALL,
    BIAS,
    GAMMA,
    NONE,
    QUERY,
    TINY,
    catalogue_of,
    compares,
    count,
    draw_of,
    either,
    every,
    parameter,
    selector,
    where,
    within,
)


def test_nothing_stays_nothing_without_complaint() -> None:
    one = selector()
    for selection in (
        NONE,
        where(NONE, compares("role", "==", "v")),
        Intersection(parts=(NONE, BIAS)),
        Intersection(parts=(BIAS, GAMMA, NONE)),
        Difference(left=NONE, right=BIAS),
        Difference(left=BIAS, right=BIAS),
    ):
        assert one.select(selection).count == 0
    assert one.select(Difference(left=BIAS, right=NONE)).count == 20
    assert one.warnings == []


def warned(selection: Selection, catalogue: Catalogue = TINY) -> list[str]:
    one = selector(catalogue)
    one.select(selection)
    one._known.clear()
    one.select(selection)  # said once, however often it is looked at
    return [f"{said.code}: {said.message}" + (f"\nhelp: {said.help}" if said.help else "") for said in one.warnings]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (
            where(BIAS, either(compares("role", "==", "q"), compares("role", "==", "v"))),
            [
                (
                    "part-matches-nothing: no parameter of `bias` has the role `v`, so this part of the "
                    "condition adds "
                    "nothing\nhelp: the roles of tiny are `q`, `m2`, `ln1` and `emb`"
                )
            ],
        ),
        (
            where(
                BIAS,
                every(
                    Not(condition=every(compares("role", "==", "q"), compares("kind", "==", "bias"))),
                    compares("layer", "==", 0),
                ),
            ),
            [
                (
                    "part-matches-nothing: every parameter of `bias` is of the kind `bias`, so this part "
                    "of the "
                    "condition adds nothing"
                )
            ],
        ),
        (
            where(
                BIAS,
                either(
                    compares("role", "==", "m2"),
                    every(compares("role", "==", "q"), compares("role", "==", "ln1")),
                ),
            ),
            [
                (
                    "part-matches-nothing: no parameter of `bias` meets all of this at once, so this part "
                    "of the "
                    "condition adds nothing"
                )
            ],
        ),
        (
            where(BIAS, either(compares("role", "==", "m2"), within("role", "q", "v"))),
            [
                (
                    "part-matches-nothing: no parameter of `bias` has the role `v`, so this member of the "
                    "set adds "
                    "nothing\nhelp: the roles of tiny are `q`, `m2`, `ln1` and `emb`"
                )
            ],
        ),
        (
            where(BIAS, within("role", "q", "emb", negated=True)),
            [
                (
                    "part-matches-nothing: no parameter of `bias` has the role `emb`, so this member of "
                    "the set takes "
                    "nothing away\nhelp: `emb` exists in tiny, but not in `bias`, whose roles are `q`, "
                    "`m2` and `ln1`"
                )
            ],
        ),
        (
            where(BIAS, within("layer", 1, (4, 6))),
            [
                (
                    "part-matches-nothing: no parameter of `bias` is in one of the layers 4..6, so this "
                    "member of the "
                    "set adds nothing\nhelp: layers are 0..1"
                )
            ],
        ),
        (
            where(BIAS, within("layer", (1, 11))),
            [
                "part-matches-nothing: 1..11 goes beyond the layers of tiny, which are 0..1\nhelp: write `..-1` for up to the last"
            ],
        ),
        (
            where(BIAS, within("layer", (-5, -1))),
            [
                "part-matches-nothing: -5..-1 goes beyond the layers of tiny, which are 0..1\nhelp: write `..-1` for up to the last"
            ],
        ),
        (
            Difference(left=BIAS, right=GAMMA),
            [
                "removes-nothing: `gamma` shares no entries with `bias`, so `-` takes nothing away\nhelp: take it away, or mend what is meant"
            ],
        ),
        (Difference(left=QUERY, right=draw_of(BIAS, count(1), seed=1)), []),
        (Difference(left=BIAS, right=QUERY), []),
        (where(BIAS, either(compares("role", "==", "q"), compares("layer", "==", 0))), []),
        (where(BIAS, within("layer", (0, 1))), []),
        (where(ALL, within("numel", (1, 10**9))), []),
    ],
)
def test_warnings(selection: Selection, expected: list[str]) -> None:
    assert warned(selection) == expected


POOLED = catalogue_of(*TINY.parameters, parameter("pooler.bias", (3,), "bias", "pooler"))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (
            "topk(gamma, 2, by = change(queries))",
            "`queries` trains nothing of `gamma`: without a change to rank, the first by name are taken",
        ),
        (
            "bottomk(gamma, 2, by = change(queries))",
            "`queries` trains nothing of `gamma`: without a change to rank, the first by name are taken",
        ),
        (
            "topk(bias, 9, by = change(queries))",
            "`queries` trains only 6 of the 20 entries of `bias`, and 9 are to be taken: the others are the first by name",
        ),
        (
            "bottomk(bias, 1, by = change(queries))",
            "`queries` trains only 6 of the 20 entries of `bias`: those that it does not train count as changed least",
        ),
        ("topk(bias, 6, by = change(queries))", None),
        ("bottomk(bias & queries, 6, by = change(queries))", None),
        ("topk(all, 5, by = change(ranked)) | queries", None),
        (
            "topk(bias, 9, by = change(ranked))",
            "`ranked` trains only 5 of the 20 entries of `bias`, and 9 are to be taken: the others are the first by name",
        ),
        # Which of the pool there are is known later: as many as are wanted may be trained.
        ("bottomk(topk(bias, 6, by = change(queries)), 3, by = change(queries))", None),
        ("topk(pooling, 3, by = change(queries))", None),  # which a setting has it train, too
    ],
)
def test_a_change_ranks_only_what_is_trained(selection: str, expected: str | None) -> None:
    study = loads(
        'study s model "m" task rte strategy queries = bias where role == q '
        f"strategy ranked = topk(bias, 5) group pooling = bias where role == pooler strategy x = {selection}"
    )
    _, found = summarise(study, POOLED if "pooling" in selection else TINY)
    assert [(one.code, one.message) for one in found] == ([("nothing-to-rank", expected)] if expected else [])
    followed = "ranked" if "(ranked))" in selection else "queries"
    hint = f"rank entries that `{followed}` trains; `&` keeps what is in both"
    assert [one.help for one in found] == [hint] * len(found)


def test_what_many_ways_lead_to_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    find = Selector._find_bounds

    def counted(one: Selector, selection: Selection) -> tuple[int, int, Selected]:
        nonlocal looked
        looked += 1
        return find(one, selection)

    monkeypatch.setattr(Selector, "_find_bounds", counted)
    parts = [f"bias where role == {role} where layer == {layer}" for role in ("q", "ln1", "m2") for layer in (0, 1)]
    stages = "".join(
        f"strategy s{stage} = {' | '.join(f'topk({part}, 1, by = change(s{stage - 1}))' for part in parts)} "
        for stage in range(1, 9)
    )
    summary, found = summarise(loads(f'study s model "m" task rte strategy s0 = bias {stages}'), TINY)
    assert len(summary.strategies) == 9
    assert looked < 200
    assert {one.code for one in found} <= {"nothing-to-rank"}
