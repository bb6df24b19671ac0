"""Plugins as they are installed: found by name, looked at, and used in specs."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest
import torch

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, Diagnostic, Source
from bitspec.ir.trials import trials
from bitspec.language.load import analyse, loads
from bitspec.training.evidence import _arrays
from bitspec.training.metrics import all_scores
from tests.installed import Site, site
from tests.parameters.handmade import TINY, VALUES, selector

__all__ = ["site"]

RULES = "bitspec.rules"

GOOD = """
from bitspec.plugins import *

def take(drawing):
    import numpy as np
    return drawing.pick(np.arange(drawing.amount))

PLUGIN = Rule(surface=1, summary="the first entries", version="3", take=take, example="first(bias, 5)", is_random=False)
"""


def rule(body: str = "", **changes: str) -> str:
    """A module with a rule, of which something is different."""
    arguments = {"surface": "1", "summary": "'x'", "version": "'1'", "take": "take", "example": "'first(bias, 5)'"}
    given = ", ".join(f"{name}={value}" for name, value in (arguments | changes).items())
    return f"from bitspec.plugins import *\n\ndef take(drawing):\n{textwrap.indent(body or 'return drawing.pool', '    ')}\n\nPLUGIN = Rule({given})\n"


def fault(kind: plugins.Kind = "rule", name: str = "first") -> Diagnostic:
    found = registry.faults(registry.of_package(kind, name))
    assert found is not None
    return found


def test_bitspecs_own_register_as_anyone_does() -> None:
    assert set(registry.names("rule")) >= {"rand", "rows", "cols", "rowcol"}
    assert set(registry.names("ranking")) >= {"magnitude", "gradient", "fisher", "change"}
    assert registry.find(plugins.Rule, "rand").example == "rand(bias, 0.04%)"
    assert registry.of_package("runner", "local").is_own
    assert registry.version("rule", "rand") is None
    for kind in plugins.GROUPS:
        for them in registry.installed(kind).values():
            assert all(registry.faults(one) is None for one in them)


def test_what_a_package_registers_is_found_by_its_name(site: Site) -> None:
    module = site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    one = registry.of_package("rule", "first")
    assert str(one) == "the rule `first` of good-rules 1.0"
    assert (one.is_own, registry.faults(one), registry.summary(one)) == (False, None, "the first entries")
    assert registry.find(plugins.Rule, "first").version == registry.version("rule", "first") == "3"
    assert registry.packages() == {"good-rules": "1.0"}
    with pytest.raises(KeyError):
        registry.find(plugins.Rule, "second")
    assert module in __import__("sys").modules


def test_only_what_is_asked_for_is_imported(site: Site) -> None:
    module = site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    assert "first" in registry.names("rule")
    loads("strategy s = rand(bias, 5)")
    assert module not in __import__("sys").modules


@pytest.mark.parametrize(
    ("code", "said", "help_"),
    [
        ("raise RuntimeError('no luck')", "failed to be imported: RuntimeError: no luck (bad_rules.py:1)", "tell its authors, or do without it: `pip uninstall bad-rules`"),
        ("import sys; sys.exit(3)", "failed to be imported: SystemExit: 3", "tell its authors, or do without it: `pip uninstall bad-rules`"),
        ("PLUGIN = 5", "is not a `bitspec.plugins.Rule`, but a `int`", "tell its authors: docs/plugins.md says what a plugin has"),
        ("from bitspec.plugins import Rule as PLUGIN", "is not a `bitspec.plugins.Rule`, but a `Rule`", "tell its authors: docs/plugins.md says what a plugin has"),
        ("x = 1", "failed to be imported: AttributeError", "tell its authors"),
        (rule(surface="2"), "was built for a newer bitspec: for version 2 of the surface for plugins, and this is version 1", "update it: `pip install --upgrade bitspec`"),
        (rule(surface="0"), "was built for another bitspec: for version 0 of the surface for plugins, and this is version 1", "update it: `pip install --upgrade bad-rules`"),
        (rule(surface="'x'"), "was built for another bitspec: for version 'x'", "update it"),
        (rule(version="2"), "has 2 for a version, which must be a text", "tell its authors"),
        (rule(version="' '"), "has ' ' for a version, which must be a text", "tell its authors"),
        (rule(unheard_of="1"), "failed to be imported: TypeError", "tell its authors"),
        (rule(summary="None"), "has None for a summary, which must be a text", "tell its authors"),
        (rule(arguments="None"), "has arguments that are no tuple of `Argument`s", "tell its authors"),
        (rule(arguments="('size',)"), "has arguments that are no tuple of `Argument`s", "tell its authors"),
        (rule(arguments="(Argument(name='a', takes='int', meaning='x'),)"), "has an argument `a` that takes 'int'", "tell its authors"),
        (rule(arguments="(Argument(name='a', takes='word', meaning='x'),)"), "has an argument `a` without a tuple of the words that it takes", "tell its authors"),
        ("class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd", "failed to be imported: Odd (bad_rules.py:4)", "tell its authors"),
        ("import asyncio\nraise asyncio.CancelledError", "failed to be imported: CancelledError", "tell its authors"),
        (rule(arguments="(Argument(name='seed', takes='whole', meaning='x'),)"), "has an argument `seed` twice", "tell its authors"),
        (rule(arguments="(Argument(name='a', takes='whole', meaning='x'),) * 2"), "has an argument `a` twice", "tell its authors"),
        (rule(arguments="(Argument(name='A b', takes='whole', meaning='x'),)"), "has an argument with the name 'A b'", "tell its authors"),
        (rule(arguments="(Argument(name='a', takes='text', meaning='x'),)"), "has an argument `a` that takes a text, which only runners can have", "tell its authors"),
        (rule(arguments="(Argument(name='a', takes='strategy', meaning='x'),)"), "has an argument `a` that takes a strategy, which only rankings can have", "tell its authors"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_named(site: Site, code: str, said: str, help_: str) -> None:
    site.install("bad-rules", {RULES: {"first": "PLUGIN"}}, code)
    found = fault()
    assert found.code == "broken-plugin"
    assert found.message.startswith("the rule `first` of bad-rules 1.0 ")
    assert said in found.message
    assert help_ in (found.help or "")


@pytest.mark.parametrize("name", ["First", "for", "a b", "1st", "rand/x"])
def test_a_name_that_cannot_be_written_is_told_of(site: Site, name: str) -> None:
    site.install("bad-rules", {RULES: {name: "PLUGIN"}}, GOOD)
    assert "has a name that cannot be written where it would be used" in fault(name=name).message


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("ranking", "Ranking(surface=1, summary='x', version='1', score=abs, needs=('change',))", "needs a change and an argument that takes a strategy, or neither"),
        ("task", "Task(surface=1, summary='x', version='1', classes=('a',), metric='accuracy', read=abs)", "needs a tuple of the names of two classes or more, or none for a regression"),
        ("task", "Task(surface=1, summary='x', version='1', classes=None, metric='accuracy', read=abs)", "needs a tuple of the names of two classes or more"),
        ("task", "Task(surface=1, summary='x', version='1', classes=(), metric='accuracy', read=abs)", "is scored by `accuracy`, which does not fit a regression"),
        ("task", "Task(surface=1, summary='x', version='1', classes=('a', 'b'), metric='pearson', read=abs)", "is scored by `pearson`, which does not fit classes"),
        ("task", "Task(surface=1, summary='x', version='1', classes=('a', 'b', 'c'), metric='f1', read=abs)", "is scored by `f1`, which is for two classes, and has 3"),
        ("task", "Task(surface=1, summary='x', version='1', classes=('a', 'b'), metric=[], read=abs)", "failed to say what it is: TypeError"),
        ("ranking", "Ranking(surface=1, summary='x', version='1', score=abs, needs=('weight',))", "needs ('weight',), which is no tuple of what there is"),
        ("ranking", "Ranking(surface=1, summary='x', version='1', score=abs, needs='weights')", "needs 'weights', which is no tuple of what there is"),
        ("task", "Task(surface=1, summary='x', version='1', classes=(), metric='acuracy', read=abs)", "is scored by `acuracy`, and there is no such metric"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_of(site: Site, kind: plugins.Kind, code: str, said: str) -> None:
    site.install("bad", {plugins.GROUPS[kind]: {"first": "PLUGIN"}}, f"from bitspec.plugins import *\nPLUGIN = {code}")
    assert said in fault(kind).message


def test_of_two_packages_with_one_name_neither_is_used(site: Site) -> None:
    site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    site.install("other-rules", {RULES: {"first": "PLUGIN"}}, GOOD, version="2.1")
    ours, theirs = registry.installed("rule")["first"]
    for one, other in ((ours, "other-rules 2.1"), (theirs, "good-rules 1.0")):
        found = registry.faults(one)
        assert found is not None
        assert found.message.endswith(f"is not used: {other} registers the same name")
        assert found.help == f"uninstall all but one: `pip uninstall {one.package}`"


def test_bitspecs_own_words_stay_its_own(site: Site) -> None:
    site.install("bad-rules", {RULES: {"rand": "PLUGIN", "topk": "PLUGIN"}}, GOOD)
    assert registry.find(plugins.Rule, "rand").summary == "a sample of single entries"
    intruder = registry.installed("rule")["rand"][1]
    found = registry.faults(intruder)
    assert found is not None
    assert "is not used: `rand` is a word of bitspec's own" in found.message
    (other,) = registry.installed("rule")["topk"]
    assert "`topk` is a word of bitspec's own" in str(registry.faults(other))
    assert "topk" not in registry.names("rule")


def test_words_of_bitspecs_go_on_working_when_somebody_takes_them(site: Site) -> None:
    code = "from bitspec.plugins import *\nTASK = Task(surface=1, summary='x', version='1', classes=('a', 'b'), metric='accuracy', read=abs)\nMETRIC = Metric(surface=1, summary='x', version='1', compute=abs)"
    site.install(
        "takes-names",
        {
            "bitspec.tasks": {"rte": "TASK"},
            "bitspec.metrics": {"accuracy": "METRIC"},
            "bitspec.charts": {"bars": "TASK"},
        },
        code,
    )
    study = loads("study s model 'builtin/nano' task rte strategy b = bias")
    assert [dict(one.versions) for one in trials(study)] == [{}]
    assert all_scores("accuracy", 2, "validation", [0, 1], [0, 1])["accuracy"] == 1


def test_a_study_whose_plugin_is_gone_is_told_so(site: Site) -> None:
    site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    study = loads("group s = first(bias, 5)")
    site.remove()
    with pytest.raises(BitspecError) as raised:
        selector().select(study.selections["s"])
    (found,) = raised.value.diagnostics
    assert (found.code, found.message) == ("missing-plugin", "no package that is installed has the rule `first`")


def test_a_ranking_cannot_write_to_what_it_looks_at() -> None:
    (array,) = _arrays({"x": torch.ones(3)}, 2).values()
    with pytest.raises(ValueError, match="read-only"):
        array *= np.float32(2)


def test_bottomk_of_truths_takes_those_that_are_not(site: Site) -> None:
    code = "from bitspec.plugins import *\n\ndef score(evidence):\n    return evidence.weights > 0\n\nPLUGIN = Ranking(surface=1, summary='x', version='1', score=score, needs=('weights',))\n"
    site.install("some-rankings", {"bitspec.rankings": {"odd": "PLUGIN"}}, code)
    study = loads("group s = bottomk(bias, 5, by = odd)")
    assert selector(values=VALUES.__getitem__).select(study.selections["s"]).count == 5


# In a spec --------------------------------------------------------------------------------------------------


def said(text: str) -> list[str]:
    return [found.message for found in analyse(Source("<spec>", text)).diagnostics]


def test_a_broken_plugin_is_told_of_where_it_is_used_and_only_there(site: Site) -> None:
    site.install("bad-rules", {RULES: {"first": "PLUGIN"}}, "raise RuntimeError('no luck')")
    assert said("strategy s = rand(bias, 5)") == []
    (found,) = analyse(Source("<spec>", "strategy s = first(bias, 5)")).diagnostics
    assert found.code == "broken-plugin"
    assert found.span is not None
    assert found.span.location == "<spec>:1:14"


def test_a_groups_name_may_be_that_of_a_rule(site: Site) -> None:
    site.install("good-rules", {RULES: {"first": "PLUGIN"}}, GOOD)
    assert said("group first = bias strategy s = first | first(bias, 5)") == []
    (found,) = analyse(Source("<spec>", "strategy s = first")).diagnostics
    assert found.help == "`first` is a rule: it has arguments in parentheses"


ARGUMENTS = """(
    Argument(name="way", takes="word", words=("up", "down"), is_needed=True, meaning="which way it goes"),
    Argument(name="part", takes="percent", least=1, most=50, default=10, meaning="how much"),
    Argument(name="rate", takes="number", least=0, default=0.5, meaning="how fast"),
)"""


@pytest.mark.parametrize(
    ("call", "said", "hint"),
    [
        ("first(bias, 5)", "`first` needs `way`: which way it goes", "write `way = up`"),
        ("first(bias, 5, way = upp)", "`way` cannot be `upp`", "did you mean `up`?"),
        ("first(bias, 5, way = 3)", "`way` cannot be `3`", "it is `up` or `down`"),
        ("first(bias, 5, way = up, part = 5)", "`part` cannot be `5`", "it is a percentage from 1% up to 50%"),
        ("first(bias, 5, way = up, part = 60%)", "`part` cannot be `60%`", "it is a percentage from 1% up to 50%"),
        ("first(bias, 5, way = up, rate = -1)", "`rate` cannot be `-1`", "it is a number from 0"),
        ("first(bias, 5, way = up, rate = bias | gamma)", "`rate` cannot be `biasgamma`", "it is a number from 0"),
        ("first(bias, 5, way = up, way = down)", "`way` is given twice", "take one of them away"),
        ("first(bias, 5, way = up, wy = up)", "`first` has no argument called `wy`", "did you mean `way`?"),
    ],
)
def test_arguments_are_checked_by_their_types(site: Site, call: str, said: str, hint: str) -> None:
    site.install("some-rules", {RULES: {"first": "PLUGIN"}}, rule(arguments=ARGUMENTS))
    found = analyse(Source("<spec>", f"strategy s = {call}")).diagnostics[0]
    assert (found.message, found.help) == (said, hint)


def test_a_rule_gets_all_its_arguments_and_the_text_those_that_differ(site: Site) -> None:
    from bitspec.ir.canonical import Canonical

    body = "assert drawing.arguments == {'way': 'up', 'part': 20.0, 'rate': 0.5}, drawing.arguments\nreturn drawing.pick(__import__('numpy').arange(5))"
    call = "first(bias, 5, rate = 0.5, way = up, part = 20%)"
    assert picked(site, rule(body, arguments=ARGUMENTS), call).count == 5
    study = loads(f"group s = {call}")
    assert Canonical(study.selections).text(study.selections["s"]) == "first(bias, 5, part = 20%, way = up)"


def picked(site: Site, code: str, call: str = "first(bias, 5)") -> Any:
    from bitspec.ir.canonical import Canonical
    from bitspec.parameters.select import Selector

    site.install("some-rules", {RULES: {"first": "PLUGIN"}}, code)
    study = loads(f"group s = {call}")
    selector = Selector(TINY, 0, named=study.selections, canonical=Canonical(study.selections).text)
    return selector.select(study.selections["s"])


def test_a_rule_selects(site: Site) -> None:
    assert picked(site, GOOD).count == 5


@pytest.mark.parametrize(
    ("body", "said", "code"),
    [
        ("return 5", "returned a `int`, and no `Selected`", "broken-plugin"),
        ("return drawing.pool", "returned 20 entries, and was asked for 5", "broken-plugin"),
        ("raise KeyError('x')", "failed to select: KeyError: 'x' (some_rules.py:4)", "broken-plugin"),
        ("raise Refusal('not on a Tuesday', help='wait')", "the rule `first` of some-rules 1.0: not on a Tuesday", "refused"),
        ("return drawing.pick(__import__('numpy').arange(0))", "returned 0 entries, and was asked for 5", "broken-plugin"),
        ("from bitspec.ir.masks import Selected, Whole\nparameters = drawing.catalogue.parameters\nreturn Selected({one.name: Whole() for one in parameters}, {one.name: one.shape for one in parameters})", "returned entries that the selection does not have", "broken-plugin"),
    ],
)  # fmt: skip
def test_what_a_rule_does_wrong_is_told_at_its_place(site: Site, body: str, said: str, code: str) -> None:
    with pytest.raises(BitspecError) as raised:
        picked(site, rule(body))
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert said in found.message
    assert found.span is not None
    assert found.span.location.endswith(":1:11")


def test_an_inexact_rule_may_pick_less_but_not_nothing(site: Site) -> None:
    assert picked(site, rule("return drawing.pick(__import__('numpy').arange(3))", is_exact="False")).count == 3


def test_nothing_is_too_little_of_an_inexact_rule(site: Site) -> None:
    with pytest.raises(BitspecError, match="`first` finds nothing to select for 5 entries"):
        picked(site, rule("return drawing.pick(__import__('numpy').arange(0))", is_exact="False"))


def test_a_rule_for_lines_gets_whole_matrices(site: Site) -> None:
    with pytest.raises(BitspecError, match="`first` takes lines of matrices"):
        picked(site, rule(takes_lines="True"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [1]", "returned a `list`, and no array of numbers"),
        ("return evidence.weights[:1]", "returned scores of shape (1,)"),
        ("return 1 / 0", "failed to rank: ZeroDivisionError: division by zero (some_rankings.py:4)"),
    ],
)
def test_what_a_ranking_does_wrong_is_told_at_its_place(site: Site, body: str, said: str) -> None:
    code = f"from bitspec.plugins import *\n\ndef score(evidence):\n    {body}\n\nPLUGIN = Ranking(surface=1, summary='x', version='1', score=score, needs=('weights',))\n"
    site.install("some-rankings", {"bitspec.rankings": {"odd": "PLUGIN"}}, code)
    study = loads("group s = topk(bias, 5, by = odd)")
    with pytest.raises(BitspecError) as raised:
        selector(values=VALUES.__getitem__).select(study.selections["s"])
    (found,) = raised.value.diagnostics
    assert said in found.message
    assert found.span is not None
    assert found.span.location.endswith(":1:30")
