"""Trial keys: what a trial's numbers depend on changes its key, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitspec.ir import trials as trials_module
from bitspec.ir.settings import SETTINGS, Settings
from bitspec.ir.trials import Trial, trials
from bitspec.language.load import loads

BASE = """
study s "A study"
model "bert-base-cased"
task rte
seeds 3
train { epochs = 4 learning_rate = 7e-4 }
group g = bias where role in {q, m2}
strategy x "X" = g | gamma
"""


def all_trials(text: str) -> list[Trial]:
    return list(trials(loads(text)))


def key_of(text: str, model: str = "m", data: str = "d") -> str:
    """The key of the only trial of a spec."""
    (trial,) = all_trials(text)
    return trial.key(model, data)


def keys_of(text: str) -> set[str]:
    return {trial.key("m", "d") for trial in all_trials(text)}


def changed(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


def test_golden_keys() -> None:
    """These stand in result stores: should they change, NUMERICS_VERSION must, and everything is trained anew."""
    found = all_trials(
        """
        study s model "bert-base-cased" model other = "o" task rte seeds 0, 7
        task reviews { training = "a" validation = "b" text = t, u label = l metric = f1 }
        train { epochs = 3 warmup = 6% } train for y on rte { clip_norm = off }
        strategy x = none strategy y = rand(bias where role in {q, "k"}, 0.040%) | gamma - bias
        """
    )
    assert len(found) == 2 * 2 * 2 * 2
    shown = {(trial.strategy, trial.task.name, trial.seed): trial.key("model", "data") for trial in found[:8]}
    assert shown["x", "rte", 0] == "6f6c50fac6cf92faff7317cd135b6363ecbfb24f3a2c8a3a48fe6a263acb1e7a"
    assert shown["y", "rte", 7] == "ce1c8625e7f3b8d70a648dab026bca256abb633b7171a11eb9fe94f38f906b62"
    assert shown["y", "reviews", 0] == "05e06465129b76b1f81213f2d9e33c3fe239223011d6060cd6ef2f96539ce5f0"


def test_trials_come_in_the_order_of_models_tasks_strategies_and_seeds() -> None:
    text = """
    study s model b = "x" model a = "y" task rte, cola seeds 5, 2
    strategy z = bias strategy y = gamma
    """
    found = [(trial.model.name, trial.task.name, trial.strategy, trial.seed) for trial in all_trials(text)]
    assert found == [
        (model, task, strategy, seed)
        for model in ("b", "a")
        for task in ("rte", "cola")
        for strategy in ("z", "y")
        for seed in (5, 2)
    ]


SAME = {
    "a label": changed('"X"', '"Y"'),
    "no label": changed('"X"', ""),
    "the title": changed('"A study"', '"Another"'),
    "the study's name": changed("study s", "study t"),
    "a comment": changed("task rte", "# comment\ntask rte # another"),
    "white space": " ".join(BASE.split()),
    "line ends": BASE.replace("\n", "\r\n"),
    "the strategy's name": changed("strategy x", "strategy quite_another"),
    "the group's name": BASE.replace("group g", "group h").replace("= g |", "= h |"),
    "no group": changed("= g |", "= (bias where role in {q, m2}) |"),
    "a strategy for a group": changed("= g |", "= gamma | g & all | none |"),
    "order in a union": changed("g | gamma", "gamma | g"),
    "order in a set": changed("{q, m2}", "{m2, q}"),
    "quotes": changed("{q, m2}", "{\"q\", 'm2'}"),
    "order of statements": "\n".join(reversed(BASE.strip().split("\n"))),
    "order of settings": changed("epochs = 4 learning_rate = 7e-4", "learning_rate = 7e-4 epochs = 4"),
    "blocks of settings": changed("epochs = 4 ", "epochs = 4 } train for rte { "),
    "a setting for the strategy": changed("train {", "train for x on rte {"),
    "a setting that is overruled": changed("train {", "train { eps = 1 } train for x { eps = 1e-6 } train for rte {"),
    "another way to write a number": changed("7e-4", "0.0007"),
    "a default that is written out": changed("epochs", "clip_norm = 1 weight_decay = 0 dropout = config epochs"),
    "seeds as a range": changed("seeds 3", "seeds 3..3"),
    "seeds as a set": changed("seeds 3", "seeds {3}"),
    "the model's name": changed('"bert-base-cased"', 'mine = "./elsewhere"'),
    "a revision": changed('"bert-base-cased"', '"bert-base-cased" revision "main"'),
    "a question": BASE + 'question "Is it?" { expect change correlates with score }',
    "reported scores": BASE + 'reported "r" { x: rte 70 }',
    "a group that nothing uses": BASE + "group h = matrix",
    "a loop": changed("strategy x", "for n in {x} { strategy $n").rstrip() + " }",
}  # fmt: skip


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_the_numbers_do_not_depend_on_is_not_in_the_key(text: str) -> None:
    assert text != BASE
    assert key_of(text) == key_of(BASE)


OTHER = {
    "the seed": changed("seeds 3", "seeds 4"),
    "a role": changed("{q, m2}", "{q, m3}"),
    "the selection": changed("g | gamma", "g"),
    "the operator": changed("g | gamma", "g & gamma"),
    "the task": changed("task rte", "task cola"),
    "a generated task": changed("task rte", "task builtin/rte"),
    **{
        f"the setting {name}": changed("epochs = 4", f"{'' if name == 'epochs' else 'epochs = 4 '}{name} = {value}")
        for name, value in {
            "epochs": "5", "batch_size": "9", "max_length": "64", "beta1": "0.8", "beta2": "0.9",
            "eps": "1e-8", "weight_decay": "0.01", "clip_norm": "off", "schedule": "linear", "warmup": "6%",
            "dropout": "0.1", "pooler": "trained", "precision": "bf16",
        }.items()
    },
    "the learning rate": changed("7e-4", "7.0001e-4"),
}  # fmt: skip


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_the_numbers_depend_on_is_in_the_key(text: str) -> None:
    assert key_of(text) != key_of(BASE)


def test_no_two_of_these_have_one_key() -> None:
    assert len({key_of(text) for text in OTHER.values()}) == len(OTHER)


def test_every_setting_was_tried() -> None:
    fixed = {"optimizer"}  # there is only one
    tried = {name.removeprefix("the setting ") for name in OTHER} | {"learning_rate"}
    assert tried >= SETTINGS.keys() - fixed


def test_fingerprints_are_in_the_key_and_are_not_confused() -> None:
    found = {key_of(BASE, model, data) for model, data in [("m", "d"), ("n", "d"), ("m", "e"), ("d", "m")]}
    assert len(found) == 4


def test_the_numerics_version_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(BASE)
    monkeypatch.setattr(trials_module, "NUMERICS_VERSION", trials_module.NUMERICS_VERSION + 1)
    assert key_of(BASE) != before


def test_a_key_is_a_sha256_in_hex() -> None:
    key = key_of(BASE)
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


DECLARED = """
study s model "m" seeds 3 strategy x = bias
task reviews { training = "a.csv" validation = "b.csv" text = review, reply label = stars metric = accuracy }
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("a.csv", "c.csv", True),  # where the examples are is no matter: their fingerprint is in the key
        ("b.csv", "c.csv", True),
        ("task reviews", "task others", True),
        ("review, reply", "review", False),
        ("review, reply", "reply, review", False),
        ("stars", "hearts", False),
        ("accuracy", "f1", False),
    ],
)
def test_a_task_of_ones_own_is_known_by_its_columns_and_metric(old: str, new: str, same: bool) -> None:
    assert old in DECLARED
    assert (key_of(DECLARED.replace(old, new)) == key_of(DECLARED)) is same


def test_seeds_as_a_list_or_a_range_are_the_same_trials() -> None:
    for written in ("0..4", "{0..4}", "0, 1, 2, 3, 4", "4, 3, 2, 1, 0", "0..1, 2..4", "{2, 0..1, 3..4,}"):
        assert keys_of(changed("seeds 3", f"seeds {written}")) == keys_of(changed("seeds 3", "seeds 0..4"))


def test_the_same_selection_under_two_names_is_one_trial() -> None:
    text = BASE + "strategy y = gamma | (bias where role == m2) | (bias where role == q)"
    assert len(all_trials(text)) == 2
    assert len(keys_of(BASE + "strategy y = gamma | (bias where role in {m2, q})")) == 1
    assert len(keys_of(BASE + "strategy y = gamma")) == 2


def test_a_draw_is_known_by_its_own_seed_and_by_the_trials() -> None:
    text = changed("g | gamma", "rand(g, 5)")
    drawn = changed("g | gamma", "rand(g, 5, seed = 3)")
    assert key_of(text) != key_of(drawn)


# Explicit defaults --------------------------------------------------------------------------------------


def _values(name: str) -> st.SearchStrategy[str]:
    row = SETTINGS[name]
    forms = [st.sampled_from(row.words)] if row.words else []
    if row.numbers is not None:
        sign = "%" if row.numbers.percent else ""
        low, high = row.numbers.low, min(row.numbers.high, 50)
        numbers: st.SearchStrategy[Any] = (
            st.integers(int(low), int(high))
            if row.numbers.whole
            else st.decimals(
                str(low), str(high), places=4, allow_nan=False, allow_infinity=False
            )
        )  # fmt: skip
        interval = row.numbers
        forms.append(numbers.filter(lambda number: float(number) in interval).map(lambda it: f"{it}{sign}"))
    return st.one_of(*forms)


@settings(deadline=None)
@given(st.data())
def test_a_default_that_is_written_out_changes_no_key(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(list(SETTINGS)), unique=True))
    given_here = {name: data.draw(_values(name), name) for name in chosen}
    filled = {name: row.written_default for name, row in SETTINGS.items()} | given_here
    blocks = (" ".join(f"{name} = {value}" for name, value in block.items()) for block in (given_here, filled))
    few, all_of_them = (key_of(changed("epochs = 4 learning_rate = 7e-4", block)) for block in blocks)
    assert few == all_of_them


def test_a_trial_with_settings_made_in_python_has_the_key_of_one_that_was_read() -> None:
    (trial,) = all_trials(BASE)
    made = trial.model_copy(update={"settings": Settings(epochs=4, learning_rate=7e-4)})
    assert made.key("m", "d") == trial.key("m", "d")
    whole = trial.model_copy(update={"settings": Settings(epochs=4, learning_rate=7e-4, clip_norm=1)})
    assert whole.key("m", "d") == trial.key("m", "d")
