"""Rankings in a study: what follows what, canonical texts, and keys."""

from __future__ import annotations

import pytest

from bitspec.diagnostics import Source
from bitspec.ir.selection import Top, deciding, follows, is_random, needs
from bitspec.ir.study import Study, followed
from bitspec.ir.trials import Trial, canonical_for, canonical_of, trials
from bitspec.language.load import analyse, loads

HEAD = 'study s model "builtin/nano" task rte, cola seeds 0, 1\n'
SPEC = HEAD + (
    "strategy bitfit = bias\n"
    "strategy most = topk(bias, 10, by = change(bitfit))\n"
    "strategy random = rand(bias, size(most))\n"
    "strategy rest = bias - most\n"
    "strategy again = topk(gamma, 5, by = change(most))\n"
)


def trial(spec: str, strategy: str, task: str = "rte", seed: int = 0) -> Trial:
    found = [one for one in trials(loads(spec)) if (one.strategy, one.task.name, one.seed) == (strategy, task, seed)]
    return found[0]


def key(spec: str, strategy: str) -> str:
    return trial(spec, strategy).key("weights", "data")


def test_what_follows_what() -> None:
    assert followed(loads(SPEC)) == {
        "bitfit": (),
        "most": ("bitfit",),
        "random": (),  # it has as many entries, whichever they are
        "rest": ("bitfit",),
        "again": ("most",),
    }
    assert [trial(SPEC, name).stage for name in ("bitfit", "most", "random", "rest", "again")] == [0, 1, 0, 1, 2]


def test_a_trial_follows_those_of_its_model_task_and_seed() -> None:
    (before,) = trial(SPEC, "most", "cola", 1).after
    assert (before.strategy, before.task.name, before.seed) == ("bitfit", "cola", 1)


def test_trials_come_in_the_order_of_the_spec_whatever_follows_what() -> None:
    turned = HEAD + "strategy most = topk(bias, 10, by = change(bitfit))\nstrategy bitfit = bias\n"
    assert [one.strategy for one in trials(loads(turned))][:4] == ["most", "most", "bitfit", "bitfit"]


@pytest.mark.parametrize(
    ("selection", "expected", "random"),
    [
        ("bias", set(), False),
        ("topk(bias, 5)", {"weights"}, False),
        ("topk(bias, 5, by = gradient)", {"gradient"}, True),
        ("bottomk(bias, 5, by = fisher(examples = 3))", {"fisher"}, True),
        ("topk(bias, 5, by = change(other))", {"change"}, True),
        ("rand(bias, size(topk(bias, 5, by = gradient)))", set(), True),
        ("rand(bias, size(topk(bias, 5, by = gradient)), seed = 1)", set(), False),
        ("rand(bias, 50% of topk(bias, 5, by = gradient))", {"gradient"}, True),
        ("rand(topk(bias, 5, by = fisher), 2)", {"fisher"}, True),
    ],
)
def test_what_a_selection_looks_at(selection: str, expected: set[str], random: bool) -> None:
    study = loads(f"strategy other = gamma strategy s = {selection}")
    node = study.selections["s"]
    assert needs(node, study.selections) == expected
    assert is_random(node, study.selections) == random
    assert follows(node, study.selections) == (("other",) if "change" in expected else ())


def test_the_size_of_a_ranking_is_what_it_was_asked_for_through_names_too() -> None:
    study = loads(
        "group a = topk(bias, size(b)) group b = topk(bias, size(c)) group c = rand(bias, 3) strategy s = rand(bias, size(a))"
    )
    found = list(deciding(study.selections["s"], study.selections))
    assert not any(isinstance(node, Top) for node in found)


def canonical(spec: str, strategy: str, task: int = 0) -> str:
    study = loads(spec)
    return canonical_for(study, study.tasks[task]).text(study.selections[strategy])


def test_a_ranking_has_one_text_for_what_it_says() -> None:
    assert canonical(HEAD + "strategy s = topk(bias, 5)", "s") == "topk(bias, 5, by = magnitude)"
    assert canonical(HEAD + "strategy s = bottomk(bias, 5, per = tensor, by = fisher(examples = 3))", "s") == (
        "bottomk(bias, 5, by = fisher(examples = 3), per = tensor)"
    )
    default = HEAD + "strategy s = topk(bias, 5, by = fisher(examples = 1024))"
    assert canonical(default, "s") == "topk(bias, 5, by = fisher)"
    assert canonical(SPEC, "most").startswith("topk(bias, 10, by = change(bias, trained = sha256:")


def test_the_name_of_what_is_followed_does_not_count_but_its_training_does() -> None:
    other_name = SPEC.replace("bitfit", "biases")
    longer = SPEC + "train for bitfit { epochs = 3 }"
    longer_on_cola = SPEC + "train for bitfit on cola { epochs = 3 }"
    assert key(SPEC, "most") == key(other_name, "most")
    assert key(SPEC, "most") == key(longer_on_cola, "most")
    assert len({key(spec, "most") for spec in (SPEC, longer, SPEC.replace("= bias\n", "= bias | gamma\n"))}) == 3
    assert len({key(spec, "again") for spec in (SPEC, longer, SPEC.replace("= bias\n", "= bias | gamma\n"))}) == 3
    assert key(SPEC, "random") == key(longer, "random")


def test_two_trainings_of_one_selection_are_told_apart() -> None:
    spec = HEAD + (
        "strategy a = bias strategy b = bias train for b { epochs = 3 }\n"
        "strategy x = topk(bias, 3, by = change(a)) strategy y = topk(bias, 3, by = change(b))\n"
        "strategy z = x | y"
    )
    assert canonical(spec, "x") != canonical(spec, "y")
    assert " | " in canonical(spec, "z")


def test_settings_in_the_place_of_a_trials_own_are_as_if_the_spec_had_them() -> None:
    study = loads(SPEC)
    changed = {one.strategy: one for one in trials(study, {"epochs": 5}) if one.task.name == "rte" and one.seed == 0}
    assert changed["again"].after[0].after[0].settings.epochs == 5
    written = SPEC + "train { epochs = 5 }"
    for name, one in changed.items():
        assert one.key("weights", "data") == key(written, name)
        assert canonical_of(study, one).text(study.selections[name]) == one.selection


def test_the_order_and_the_number_of_names_do_not_count() -> None:
    head = HEAD + "strategy a = bias strategy b = gamma strategy c = bias "
    ways = (
        "topk(bias, 3, by = change(a)) | topk(bias, 3, by = change(b))",
        "topk(bias, 3, by = change(b)) | topk(bias, 3, by = change(c))",
    )
    assert len({key(f"{head} strategy s = {way}", "s") for way in ways}) == 1


def test_keys_of_many_that_follow_many_are_soon_told() -> None:
    spec = HEAD + "".join(f"strategy a{number} = rand(bias, {number + 5}) " for number in range(6))
    for stage in "bcdefgh":
        before = chr(ord(stage) - 1)
        for number in range(6):
            parts = " | ".join(f"topk(bias, {number + 3}, by = change({before}{other}))" for other in range(6))
            spec += f"strategy {stage}{number} = {parts} "
    assert len({one.key("weights", "data") for one in trials(loads(spec))}) == 8 * 6 * 2 * 2


def test_repetitions_have_one_variant_and_each_its_key() -> None:
    first, second = trial(SPEC, "most", seed=0), trial(SPEC, "most", seed=1)
    assert first.variant("w", "d") == second.variant("w", "d")
    assert first.key("w", "d") != second.key("w", "d")


def test_a_study_that_was_kept_before_there_were_rankings_can_be_read() -> None:
    study = loads(HEAD + "strategy s = topk(bias, 5)")
    old = study.model_dump(mode="json")
    old["strategies"][0]["selection"]["by"] = "magnitude"
    del old["strategies"][0]["selection"]["lowest"]
    assert Study.model_validate(old).selections == study.selections


def test_a_copy_has_a_key_of_its_own() -> None:
    one = trial(SPEC, "most")
    before = one.key("w", "d"), one.stage
    copied = one.model_copy(update={"seed": 7, "after": ()})
    assert (copied.key("w", "d") != before[0], copied.stage) == (True, 0)
    assert (one.key("w", "d"), one.stage) == before
    assert one == trial(SPEC, "most")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("strategy other = bias", ["`other` and `bitfit`", "`followed` and `most`"]),
        ("strategy other = bias train for other { learning_rate = 0.02 }", []),
        ("strategy other = bias train for other on cola { epochs = 7 }", []),
        ("strategy other = bias train for other { epochs = 16 }", ["`other` and `bitfit`", "`followed` and `most`"]),
    ],
)
def test_what_is_trained_otherwise_is_another_strategy_and_so_is_what_follows_it(more: str, said: list[str]) -> None:
    spec = SPEC + "train { epochs = 16 }" + more + " strategy followed = topk(bias, 10, by = change(other))"
    found = [one for one in analyse(Source("s.bspec", spec)).diagnostics if one.code == "same-selection"]
    assert [one.message.partition(" select the same")[0] for one in found] == said
    keys = {
        name: [trial(spec, name, task).key("weights", "data") for task in ("rte", "cola")]
        for name in ("bitfit", "other", "most", "followed")
    }
    assert (keys["bitfit"] == keys["other"]) is bool(said)  # as the warning says, they are trained once
    assert (keys["most"] == keys["followed"]) is bool(said)


@pytest.mark.parametrize(
    "declared",
    [
        "strategy a = bias strategy a = topk(bias, 3, by = change(a))",
        "strategy a = topk(bias, 3, by = change(b)) strategy b = bias strategy b = topk(bias, 3, by = change(a))",
        "group a = topk(bias, 3, by = change(b)) strategy b = bias strategy b = a",
    ],
)
def test_of_two_with_one_name_one_may_follow_the_other(declared: str) -> None:
    # Their order cannot be told, and need not be: that there are two is what is wrong.
    found = analyse(Source("spec.bspec", HEAD + declared)).diagnostics
    assert {one.code for one in found} == {"repeated"}
