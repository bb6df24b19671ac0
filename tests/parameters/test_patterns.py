"""Regular expressions that would take time or memory without end: an answer, or a message, within a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError, Source
from bitspec.ir.patterns import MAX_REPEATED_PATTERN, excess
from bitspec.ir.study import Study
from bitspec.language.load import analyse, loads
from bitspec.parameters import conditions, suspicions
from bitspec.parameters.cache import catalogue
from bitspec.parameters.conditions import PATTERN_TIMEOUT, PATTERNS_TIMEOUT
from bitspec.parameters.summary import summarise
from tests.limited import limited


@pytest.fixture(scope="module", autouse=True)
def _warm_cache(_cache_of_the_run: None) -> None:
    catalogue("bert-base-cased")


HEAD = 'study s model "bert-base-cased" task rte\n'

PATTERNS = [
    "(a+)+$", "(.*)*x", "(.+)+$!", "(a|aa)+$", "(a|a?)+$", "((.|e)+)+$!", "^(([a-z.])+.)+[A-Z]([a-z])+$", "(.*.*)*!",
    "(?:x){e<=5}", "(?:encoder.layer.99.xttention){e<=40}", "(?b)(?:enkoder.leyer.99.xtention.query){e<=40}",
    "(?be)(?:encoder.layer.99.xttention.query.weights.abcdefgh){e<=60}", "(?e)(?:(?:a|b|e)*z){e<=30}",
    "(a{1,60000}){1,60000}", "((((.{0,60000}){0,60000}){0,60000}){0,60000}){0,60000}!", "(?:){1,4000000000}!",
    "(?:(?:(?:(?:.*)*)*)*)*!", "(?r)(.+)+^!", r"(\w+\.?)+\1!", r"(.*?){40}!", "(?=(.*)*!)", "(?<=(.*)*)!", "(?>(.+)+)!",
    "(?if)s+ß", "(?(DEFINE)(.*))!", r"\X+\R!", "(?:.?){30}.{30}!", "(.?){30}(.?){30}!",
]  # fmt: skip

REFUSED = {
    "(?R)": "it calls itself",
    "(?R)?a": "it calls itself",
    "a(?0)b": "it calls itself",
    "(a|(?1)b)*": "it calls itself",
    "(?P<x>a(?&x)?)": "it calls itself",
    "(?P<x>a(?P>x)?)": "it calls itself",
    "(?:a{4000000000})": "it repeats or nests too much",
    "a{100000000}": "it repeats or nests too much",
    "((a{1000}){1000}){1000}": "it repeats or nests too much",
    "(?:ab{300}){300}": "it repeats or nests too much",
    "(?x)a{ 1000000 }": "it repeats or nests too much",
    "(" * 400 + "a" + ")" * 400: "it repeats or nests too much",
    "a" * 1001: "it has more than 1000 characters",
    "(?:" * 190 + "a" + ")*" * 190: "it repeats or nests too much",
    "": "it is empty, and would match everything",
}

FINE = [r"query|key", r"layer\.\d{1,2}\.", r"^encoder\.layer\.(1[01]|[0-9])\.", "a{3}b{3}c{3}", r"\(\?R\)", "x{0,500}"]


@pytest.mark.parametrize(
    "pattern",
    [*PATTERNS[::4], *(pytest.param(one, marks=pytest.mark.slow) for one in PATTERNS if one not in PATTERNS[::4])],
)
def test_patterns_that_are_slow_come_to_an_end(pattern: str) -> None:
    study = loads(f'{HEAD}strategy s = bias where name !~ "{pattern}"')
    begun = time.thread_time()  # that of the process has torch's idle threads in it, where other tests came before
    _, found = summarise(study, catalogue("bert-base-cased"))
    assert time.thread_time() - begun < 4 * PATTERN_TIMEOUT
    codes = {said.code for said in found}
    assert codes <= {"slow-pattern", "matches-nothing", "selects-nothing", "straddling-pattern", "idle-condition"}, (
        found
    )


@pytest.mark.parametrize(("pattern", "reason"), REFUSED.items(), ids=lambda text: text[:20])
def test_patterns_that_are_not_even_tried(pattern: str, reason: str) -> None:
    begun = time.process_time()
    (found,) = (one for one in analyse(Source("f", f'group g = bias where name ~ "{pattern}"')).diagnostics)
    assert time.process_time() - begun < 1
    assert (found.code, found.message) == ("bad-pattern", f"this pattern is not a regular expression: {reason}")


def test_a_study_that_no_text_was_checked_for_is_held_to_the_same() -> None:
    study = loads(f'{HEAD}strategy s = bias where name ~ "pattern"')
    made = Study.model_validate_json(study.model_dump_json().replace(':"pattern"', ':"(?R)"'))
    _, (found,) = summarise(made, catalogue("bert-base-cased"))
    assert found.code == "bad-pattern"
    assert "it calls itself" in found.message


@pytest.mark.parametrize("pattern", FINE)
def test_patterns_that_people_write_are_tried(pattern: str) -> None:
    assert excess(pattern) is None
    assert analyse(Source("f", f'group g = bias where name ~ "{pattern}"')).is_right


def test_the_most_that_a_pattern_may_repeat_takes_little(tmp_path: Path) -> None:
    inside = "a" * 300
    count = MAX_REPEATED_PATTERN // 320
    patterns = [f"(?:{inside}){{{count}}}", f"(?i)(?:{inside}){{{count}}}", f"(?if)(?:{inside}){{{count}}}"]
    text = "".join(f"group g{n} = bias where name ~ '{pattern}'\n" for n, pattern in enumerate(patterns))
    assert loads(text).groups
    (tmp_path / "s.bspec").write_text(text, "utf-8")
    (found,) = limited([["check", "s.bspec"]], tmp_path)
    assert found.code == 0


@pytest.mark.parametrize("seconds", [1.5, pytest.param(PATTERNS_TIMEOUT, marks=pytest.mark.slow)])
def test_many_slow_patterns_take_no_longer_together_than_a_few(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (conditions, suspicions):
        monkeypatch.setattr(module, "PATTERNS_TIMEOUT", seconds)
    lines = "\n".join(f'strategy s{n} = bias where name ~ "^((.|..)+)+[!?]{n}$"' for n in range(50))
    begun = time.process_time()
    _, found = summarise(loads(HEAD + lines), catalogue("bert-base-cased"))
    assert time.process_time() - begun < 2 * seconds
    assert {one.code for one in found} <= {"slow-pattern", "matches-nothing"}  # in no time, nothing is found or told
    assert found[0].code == "slow-pattern"


def test_an_alternative_that_is_slow_by_itself_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> bool:
        raise TimeoutError("regex timed out")

    monkeypatch.setattr(suspicions, "_is_about_role", slow)
    summary, found = summarise(loads(f'{HEAD}strategy s = bias where name ~ "e|output"'), catalogue("bert-base-cased"))
    assert summary.strategies
    assert not found


def test_an_error_of_a_slow_pattern_is_the_same_the_second_time() -> None:
    text = f'{HEAD}group g = bias where name ~ "^((.|..)+)+[!?]$"\nstrategy a = g\nstrategy b = g | gamma'
    begun = time.process_time()
    _, found = summarise(loads(text), catalogue("bert-base-cased"))
    assert time.process_time() - begun < 2 * PATTERN_TIMEOUT
    assert [one.code for one in found] == ["slow-pattern"]


def test_one_slow_pattern_stops_select() -> None:
    from bitspec.api import select

    with pytest.raises(BitspecError, match="slow-pattern"):
        select('bias where name ~ "^((.|..)+)+[!?]$"', "bert-base-cased")
