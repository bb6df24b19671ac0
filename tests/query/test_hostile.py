"""Queries that nobody would write come to an answer or a message, soon."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError, Source
from bitspec.query.answer import ask
from bitspec.query.complaints import not_a_select
from bitspec.query.dialect import check_nesting, is_short, mentioned
from bitspec.query.parser import MAX_LENGTH
from tests.tiers import examples

pytestmark = pytest.mark.usefixtures("quick")

#: Seconds of the processor that any query may cost before it runs: a few times what it does on a machine at leisure.
SECONDS = 5.0


def long(before: str, part: str, after: str = "") -> str:
    """A query that is as long as one may be."""
    return before + part * ((MAX_LENGTH - len(before) - len(after)) // len(part)) + after


LONG = [
    long("select ", "("),
    long("select ", "(", ")"),
    "select " + "(" * 9_000 + "a" + ")" * 9_000,
    long("select a where b in ", "{"),
    long("select ", "f("),
    long("select ", "'"),
    long("select ", "\"'"),
    long("select ", "/*"),
    long("select ", "$a$ "),
    "select " + " ".join(f"$a{place}$" for place in range(2400)),
    long("select ", "- ", "a"),
    long("select ", "-"),
    long("select n where ", "not ", "a"),
    long("select ", "a+", "a"),
    long("select n where ", "a = b and ", "a = b"),
    long("select n where ", "task = x or ", "task = y"),
    long("select ", "n, ", "n"),
    long("select ", "score, ", "score"),
    long("select ", "ci95(score), ", "n"),
    long("select ", "n as a, ", "n"),
    "select " + "a" * 19_000,
    "select mean(" + "scor" * 4_000 + ")",
    "select " + "mea" * 6_000 + "(score)",
    long("select n where task in {", "a,", "a}"),
    "select " + "1" * 19_000,
    long("select n ", "by "),
    long("select n ", "by task "),
    long("select n by task order ", "task,", "task"),
    'select n where task = "' + "x" * 19_000 + '"',
    'select n where task ~ "' + "(a*)*" * 3_000 + '"',
    'select n where task ~ "' + "(a|b|c){1,500}" * 50 + '"',
    'select n where task ~ "' + "(" * 3_000 + "a" + ")" * 3_000 + '"',
    long("select ", "é"),
    long("select n", ";"),
    long("select n ", "\0"),
    long("select ", "🎉"),
    long("select ", "\u202e"),
    "select x from " + "(" * 19_000,
    "select " + "[" * 900 + "1" + "]" * 900 + " from scores",
    "select * from (" * 1_000 + "select 1 from scores" + ")" * 1_000,
    long("select * from scores where ", "score = 1 or ", "score = 2"),
    long("select ", "1+", "1 from scores"),
    long("select 1 from ", "scores,", "scores limit 0"),
    long("select * from scores where ", "not ", "true"),
    long("select ", "case when ", "1 from scores"),
    long("select ", "-", " 1 from scores"),
    long("with ", "a as (select 1), ", "b as (select 2) select 3"),
    long("select 1 from scores ", "union all select 1 ", ""),
]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=text[:24], marks=() if place % 3 == 0 else pytest.mark.slow)
        for place, text in enumerate(LONG)
    ],
)
def test_long_queries(text: str, store: Path) -> None:
    assert len(text) <= MAX_LENGTH
    begun, said = time.process_time(), ""
    try:
        ask(text, store, seconds=10)
    except BitspecError as problem:
        said = str(problem)
    assert len(said) < 10_000
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("part", ["/*", "$a$ ", "/*--\n", "$a", "''", "'\"", "--", "$$", "$1$ ", "/*'"])
def test_what_is_never_closed_is_looked_for_once(part: str) -> None:
    for text in (long("select ", part), "select " + " ".join(f"{part}{place}$" for place in range(1400))):
        source = Source("<query>", text[:MAX_LENGTH])
        begun = time.process_time()
        with suppress(BitspecError):
            check_nesting(source)
        with suppress(BitspecError):
            is_short(source)
        mentioned(source.text)
        not_a_select(source, "UPDATE")
        assert time.process_time() - begun < 0.5


def test_what_follows_a_keyword_that_is_no_word_of_its_own(store: Path) -> None:
    """Found by fuzzing: `notn` is read in two ways, and after it stands what is no token."""
    with pytest.raises(BitspecError) as raised:
        ask("select n by strategy where seed notn  1i..2 and task std in {cola}", store)
    assert raised.value.diagnostics[0].help


def test_brackets_after_a_number_in_dollars_are_counted() -> None:
    # `$1$` begins no text in dollars, for which it would be skipped.
    with pytest.raises(BitspecError, match="too-deep"):
        check_nesting(Source("<query>", "select $1$ " + "(" * 1_000))


WORDS = re.findall(
    r"\S+",
    """
    select from where by having order limit as and or not in is null distinct desc group with values describe mean n ci95
    count sd score task strategy metrics accuracy settings learning_rate position title rte scores epochs changes 0 1 2.5
    'x' $1 -- /* */ ( ) ( ) { } , , . .. = != < > ~ !~ + - * / ; ? : [ ] @ # %
    """,
)


@settings(deadline=None, max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join) | st.text(max_size=30))
def test_whatever_is_asked(store: Path, text: str) -> None:
    for query in (text, f"select {text}", f"select mean(score) {text}", f"select {text} from scores"):  # noqa: S608
        try:
            ask(query, store, seconds=10, rows=10)
        except BitspecError as problem:
            (diagnostic,) = problem.diagnostics
            assert diagnostic.help
            assert "Traceback" not in diagnostic.render()
            assert "exception_message" not in diagnostic.render()
