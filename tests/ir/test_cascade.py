"""Settings cascade by how narrow they are, never by their order; two that tie are an error."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from bitspec.diagnostics import Source
from bitspec.ir.cascade import resolve, scopes
from bitspec.ir.settings import Settings
from bitspec.ir.study import Study
from bitspec.language.load import analyse, loads

HEAD = """
study s model "m" task cola, rte seeds 0
strategy a = bias strategy b = gamma
"""

#: The four levels, the narrower the later; the value that each gives.
LEVELS = {
    "train { epochs = 1 }": 1,
    "train for rte { epochs = 2 }": 2,
    "train for a { epochs = 3 }": 3,
    "train for a on rte { epochs = 4 }": 4,
}


def study(*blocks: str) -> Study:
    return loads(HEAD + "\n".join(blocks))


def epochs(found: Study) -> dict[str, int]:
    return {
        f"{strategy} {task.rpartition('/')[2]}": resolve(found, strategy, task).epochs
        for strategy, task in product(("a", "b"), (task.name for task in found.tasks))
    }


def said(*blocks: str, head: str = HEAD) -> str:
    """All messages of a study: code, place, message, help and notes."""
    found = analyse(Source("f", head.replace("\n", " ") + "\n" + "\n".join(blocks))).diagnostics
    return "\n".join(
        f"{one.code} {one.span.line if one.span else '-'}: {one.message}"
        + (f" | {one.help}" if one.help else "")
        + "".join(f" ({note.message}: {note.span.line if note.span else '-'})" for note in one.notes)
        for one in found
    )


def test_without_a_block_there_are_the_defaults() -> None:
    assert resolve(study(), "a", "rte") == Settings()


@pytest.mark.parametrize(
    "blocks", list(permutations(LEVELS)), ids=lambda blocks: "".join(str(LEVELS[one]) for one in blocks)
)
def test_the_narrowest_wins_in_any_order(blocks: tuple[str, ...]) -> None:
    assert epochs(study(*blocks)) == {"a rte": 4, "a cola": 3, "b rte": 2, "b cola": 1}


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((0,), {"a rte": 1, "a cola": 1, "b rte": 1, "b cola": 1}),
        ((1,), {"a rte": 2, "a cola": 16, "b rte": 2, "b cola": 16}),
        ((2,), {"a rte": 3, "a cola": 3, "b rte": 16, "b cola": 16}),
        ((3,), {"a rte": 4, "a cola": 16, "b rte": 16, "b cola": 16}),
        ((0, 1), {"a rte": 2, "a cola": 1, "b rte": 2, "b cola": 1}),
        ((0, 2), {"a rte": 3, "a cola": 3, "b rte": 1, "b cola": 1}),
        ((1, 2), {"a rte": 3, "a cola": 3, "b rte": 2, "b cola": 16}),
        ((0, 3), {"a rte": 4, "a cola": 1, "b rte": 1, "b cola": 1}),
        ((1, 3), {"a rte": 4, "a cola": 16, "b rte": 2, "b cola": 16}),
        ((2, 3), {"a rte": 4, "a cola": 3, "b rte": 16, "b cola": 16}),
    ],
)
def test_any_levels_together(levels: tuple[int, ...], expected: dict[str, int]) -> None:
    chosen = [list(LEVELS)[level] for level in levels]
    assert epochs(study(*chosen)) == expected
    assert epochs(study(*reversed(chosen))) == expected


def test_each_setting_cascades_by_itself() -> None:
    found = study("train for a { epochs = 3 }", "train { epochs = 1 beta1 = 0.5 }", "train for rte { eps = 1e-8 }")
    assert resolve(found, "a", "rte") == Settings(epochs=3, beta1=0.5, eps=1e-8)
    assert resolve(found, "b", "cola") == Settings(epochs=1, beta1=0.5)


def test_blocks_of_one_level_add_up() -> None:
    found = study("train { epochs = 1 }", "train { beta1 = 0.5 }", "train for a, b { eps = 1e-8 }")
    assert resolve(found, "b", "cola") == Settings(epochs=1, beta1=0.5, eps=1e-8)


def test_lists_of_targets_and_of_tasks() -> None:
    assert epochs(study("train for a, rte { epochs = 7 }")) == {
        "a rte": 7, "a cola": 7, "b rte": 7, "b cola": 16,
    }  # fmt: skip
    assert set(epochs(study("train for a, b on rte, cola { epochs = 7 }")).values()) == {7}
    assert set(epochs(study("train for rte, cola { epochs = 7 }", "train { epochs = 2 }")).values()) == {7}


def test_on_without_for_is_for_every_strategy_on_those_tasks() -> None:
    found = study("train on rte { epochs = 7 }", "train { epochs = 1 }")
    assert epochs(found) == {"a rte": 7, "b rte": 7, "a cola": 1, "b cola": 1}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("train {}", [(None, None)]),
        ("train for rte {}", [(None, "rte")]),
        ("train on rte, cola {}", [(None, "rte"), (None, "cola")]),
        ("train for a {}", [("a", None)]),
        ("train for a, b on rte {}", [("a", "rte"), ("b", "rte")]),
        ("train for a, cola {}", [("a", None), (None, "cola")]),
    ],
)
def test_scopes(block: str, expected: list[tuple[str | None, str | None]]) -> None:
    found = study(block)
    assert list(scopes(found.train[0], found)) == expected


def test_a_short_name_finds_a_generated_task() -> None:
    head = 'study s model "m" task cola, builtin/rte strategy a = bias strategy b = gamma\n'
    for name in ("rte", "builtin/rte"):
        for block in (f"train for {name} {{ epochs = 7 }}", f"train for a, b on {name} {{ epochs = 7 }}"):
            assert epochs(loads(head + block)) == {"a rte": 7, "b rte": 7, "a cola": 16, "b cola": 16}


def test_a_short_name_is_the_other_task_where_both_are_there() -> None:
    head = 'study s model "m" task builtin/rte, rte strategy a = bias\n'
    found = loads(head + "train for rte { epochs = 7 } train for builtin/rte { epochs = 2 }")
    assert resolve(found, "a", "rte").epochs == 7
    assert resolve(found, "a", "builtin/rte").epochs == 2


TIE = (
    "is set twice {}, and neither is narrower | "
    "keep one of them, or make one narrower: `train for STRATEGY on TASK {{ … }}`"
)


@pytest.mark.parametrize(
    ("blocks", "phrase"),
    [
        (("train { epochs = 1 }", "train { epochs = 1 }"), "for everything"),
        (("train for rte { epochs = 1 }", "train for rte { epochs = 2 }"), "for the task `rte`"),
        (("train for rte { epochs = 1 }", "train on rte { epochs = 2 }"), "for the task `rte`"),
        (("train for a { epochs = 1 }", "train for b, a { epochs = 2 }"), "for `a`"),
        (("train for a on rte { epochs = 1 }", "train for a, b on cola, rte { epochs = 2 }"), "for `a` on `rte`"),
    ],
)
def test_a_tie_is_an_error(blocks: tuple[str, str], phrase: str) -> None:
    assert said(*blocks) == f"tied-settings 3: `epochs` {TIE.format(phrase)} (the first is here: 2)"


def test_two_names_of_one_task_tie() -> None:
    head = 'study s model "m" task builtin/rte strategy a = bias'
    found = said("train for rte { epochs = 1 }", "train for builtin/rte { epochs = 2 }", head=head)
    assert found == f"tied-settings 3: `epochs` {TIE.format('for the task `builtin/rte`')} (the first is here: 2)"


def test_no_tie_where_settings_or_scopes_differ() -> None:
    assert said("train for a { epochs = 1 }", "train for a { beta1 = 0.5 }", "train for b { epochs = 2 }") == ""
    assert said("train for a on rte { epochs = 1 }", "train for a on cola { epochs = 2 }") == ""
    assert said("train for a { epochs = 1 }", "train for rte { epochs = 2 }") == ""


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            "train for cloa { epochs = 1 }",
            "unknown-name 2: there is no strategy or task called `cloa` | did you mean `cola`?",
        ),
        (
            "train for zzz { epochs = 1 }",
            "unknown-name 2: there is no strategy or task called `zzz` | there are `a`, `b`, `cola` and `rte`",
        ),
        (
            "train for a on xxx { epochs = 1 }",
            "unknown-name 2: this study has no task called `xxx` | it has `cola` and `rte`",
        ),
        (
            "train for rte on cola { epochs = 1 }",
            (
                "not-a-strategy 2: `rte` is a task, and what stands before `on` is a strategy | "
                "write `train for rte { … }`, or `train for STRATEGY on rte { … }`"
            ),
        ),
        (
            "group g = bias strategy c = g train for g { epochs = 1 }",
            (
                "not-a-strategy 2: `g` is a group, not a strategy or a task | "
                "only strategies are trained: write `strategy g = …`, or name one that uses it"
            ),
        ),
        (
            "strategy rte = matrix train for rte { epochs = 1 }",
            "ambiguous-name 2: `rte` is both a strategy and a task | give the strategy another name",
        ),
        (
            "train for a, a { epochs = 1 }",
            "repeated 2: `a` is listed twice | take one of them away",
        ),
    ],
)
def test_what_a_block_cannot_be_for(block: str, expected: str) -> None:
    assert expected in said(block).split("\n")


def test_names_are_listed_in_the_order_of_the_spec() -> None:
    # A set of names would list them in another order in every process.
    head = 'study s model "m" task rte\n' + " ".join(f"strategy {name} = bias" for name in "zyxwvu")
    assert said("train for qqq { epochs = 1 }", head=head) == (
        "unknown-name 2: there is no strategy or task called `qqq` | there are `z`, `y`, `x`, `w`, `v`, `u` and `rte`"
    )
