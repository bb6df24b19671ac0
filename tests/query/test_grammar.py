"""The grammar is LALR(1) without a conflict, queries keep what they say, and the table of mistakes speaks of mistakes."""

from __future__ import annotations

import logging
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark import Lark
from lark import logger as lark_logger

from bitspec.diagnostics import BitspecError, Source
from bitspec.query.dialect import is_short, mentioned
from bitspec.query.mistakes import MISTAKES, Mistake, place_of
from bitspec.query.parser import MAX_LENGTH, grammar, parse
from bitspec.query.syntax import KEYWORDS, Query
from tests.query.queries import queries


def read(text: str) -> Query:
    return parse(Source("<query>", text))


def said(text: str) -> str:
    with pytest.raises(BitspecError) as raised:
        read(text)
    (diagnostic,) = raised.value.diagnostics
    return f"{diagnostic.code}: {diagnostic.message}"


# The grammar --------------------------------------------------------------------------------------------


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_the_grammar_has_no_conflict() -> None:
    heard = Heard()
    level = lark_logger.level
    lark_logger.addHandler(heard)
    lark_logger.setLevel(logging.DEBUG)
    try:
        text = files("bitspec.query").joinpath("query.lark").read_text("utf-8")
        Lark(text, parser="lalr", start="query", maybe_placeholders=True, debug=True)
        Lark('start: start start | A\nA: "a"', parser="lalr", debug=True)  # else nothing would be heard at all
    finally:
        lark_logger.removeHandler(heard)
        lark_logger.setLevel(level)
    conflicts = [message for message in heard.messages if "Reduce" in message or "conflict" in message.lower()]
    assert len(conflicts) == 1
    assert conflicts[0].startswith("Shift/Reduce conflict for terminal A")


def test_the_parser_is_built_once() -> None:
    assert grammar() is grammar()


def test_every_keyword_is_reserved() -> None:
    for keyword in KEYWORDS:
        for word in (keyword, keyword.upper()):
            with pytest.raises(BitspecError):
                read(f"select a by {word}")
        read(f"select a by {keyword}_ order {keyword}s")


# What is canonical stays as it is -----------------------------------------------------------------------

IDENTITY = """
select mean(score)
select *
select mean(score), n by strategy
select avg(score), sd(score), median(score), ci95(score) by strategy, task
select mean(score) as m, n from epochs where task in {cola, rte} and epoch in 0..3 by strategy having n > 2 order m desc limit 5
select strategy, task, seed, score where task = rte
select strategy where task = builtin/rte
select strategy where task in {builtin/rte, builtin/cola}
select score where strategy ~ "^drop" and not strategy ~ "k$"
select score where strategy !~ "^drop"
select score where strategy not in {bitfit, "Full FT", 'a "b" c'}
select score where seed in {1, 2, 5..7, -3}
select score where seed in -3..-1
select score where score >= 50 and score <= 60.5 or change is null
select score where (a = b or c = d) and e != f
select score where not (a = b and c = d)
select score where not a = b and not c is not null
select a + b * c - d / e
select (a + b) * (c - d) / (e - 1)
select a - (b - c), a - b - c, a / (b / c), a / b / c
select -a, -(a + b), -a * b, -(-a)
select a-b, a/b, a - b/c
select metrics.accuracy, settings.learning_rate
select count(distinct seed), count(*), count(score), n
select round(mean(score), 1) as "mean, rounded", quantile(score, 0.9) by task
select score > 60 as good, n by good
select mean(score > 60) by strategy
select f(), coalesce(a, b, 1e-3)
select true, false, null_ where a = true
select score order task, score desc, seed
select score limit 0
select a = b as c
select "it's", 'say "x"', "both ' and \"\""
select (a = b) = c
""".strip().splitlines()  # fmt: skip


@pytest.mark.parametrize("text", IDENTITY)
def test_identity(text: str) -> None:
    assert str(read(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("SELECT AVG(score) BY strategy", "select avg(score) by strategy"),
        ("select avg(score) group by strategy order by task asc", "select avg(score) by strategy order task"),
        ("select n limit 3 by task where a == b", "select n where a = b by task limit 3"),
        ("select n where a <> b;", "select n where a != b"),
        ("select n where a in ('x', 'it''s')", 'select n where a in {"x", "it\'s"}'),
        ("select n where a in {x, y,}", "select n where a in {x, y}"),
        ("select n where ((a = b))", "select n where a = b"),
        ("select\n  n -- how many\nby\n  strategy", "select n by strategy"),
        ("\ufeffselect n", "select n"),
        ("select N, Mean(score)", "select N, mean(score)"),
        ("select a where b = TRUE or c is NOT NULL", "select a where b = true or c is not null"),
        ("select a where not not b", "select a where not not b"),
    ],
)
def test_normal_form(text: str, canonical: str) -> None:
    assert str(read(text)) == canonical
    assert read(canonical) == read(text)


@given(queries())
def test_what_is_written_is_read_back(query: Query) -> None:
    assert read(str(query)) == query


def test_where_nodes_stand_is_left_out_of_equality() -> None:
    one, other = read("select a where b = c"), read("select   a   where   b = c")
    assert one == other
    assert hash(one) == hash(other)
    assert one.where is not None
    assert other.where is not None
    assert one.where.at == (15, 20)
    assert other.where.at == (21, 26)


# Mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.message)
def test_examples_of_mistakes_are_told_as_such(mistake: Mistake) -> None:
    assert mistake.examples or mistake.any_token
    for example in (*mistake.examples, *mistake.any_token):
        assert said(example) == f"{mistake.code}: {mistake.message}", example


def test_an_example_that_is_right_is_no_mistake() -> None:
    with pytest.raises(AssertionError, match="this example of a mistake is right: select a"):
        place_of("select a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select n limit 3 limit 4", "repeated: `limit` is given twice"),
        ("select n where a = b where c = d", "repeated: `where` is given twice"),
        ("select n limit 1.5", "whole-number: `limit` takes a whole number"),
        (f"select {'1' * 31}", "bad-number: this number is too long or too large"),
        ("select 1e999", "bad-number: this number is too long or too large"),
        ("select n where seed in 5..1", "bad-range: this range runs backwards"),
        ('select n as " "', "empty-text: a column needs a name"),
        (f"select {'(' * 500}a{')' * 500}", None),
        (f"select {'-' * 1 + ' -' * 200}a", "too-deep: this is nested more than 100 deep"),
        (f"select a{' + a' * 200}", "too-deep: this is nested more than 100 deep"),
        (f"select n where {'not ' * 200}a", "too-deep: this is nested more than 100 deep"),
        (f"select n where a = b{' and a = b' * 500}", None),
        (f"select {'f(' * 200}a{')' * 200}", "too-deep: this is nested more than 100 deep"),
        ("select " + "a, " * MAX_LENGTH, "too-large: this query has more than 20,000 characters"),
    ],
)  # fmt: skip
def test_limits(text: str, message: str | None) -> None:
    if message is None:
        read(text)
    else:
        assert said(text) == message


@given(st.text(max_size=40) | st.lists(st.sampled_from(
    ["select", "from", "where", "by", "having", "order", "limit", "as", "and", "or", "not", "in", "is", "null", "mean",
     "(", ")", "{", "}", ",", ".", "..", "=", "<", "~", "+", "-", "*", "/", "score", "task", "n", "3", "'x'", ";", "\n"]
), max_size=12).map(" ".join))  # fmt: skip
def test_whatever_is_asked_there_is_a_message_or_a_query(text: str) -> None:
    try:
        assert isinstance(parse(Source("<query>", text)), Query)
    except BitspecError as problem:
        (diagnostic,) = problem.diagnostics
        assert diagnostic.help
        assert diagnostic.render()


# Which language a query is in ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("select avg(score) by strategy", True),
        ("select avg(score) from epochs by strategy", True),
        ("select avg(score) from epochs by strategy order by epoch", True),
        ("select avg(score) group by strategy", True),
        ("SELECT score", True),
        ("select score where strategy = 'from'", True),
        ("select score -- from\n", True),
        ('select "from" as x', True),
        ("select score /* from */ limit 3", True),
        ("select strategy, avg(score) from scores group by 1", False),
        ("select score from scores order by 1", False),
        ("select score from scores where x = 'by'", False),
        ("select rank() over (partition by task order by score) from scores", False),
        ("select f(x by y) from scores", False),
        ("select a from b union by name select a from c", False),
        ("select a from b union all by name select a from c", False),
        ("select (select max(score) from scores)", False),
        ("with a as (select 1) select * from a", False),
        ("from scores", False),
        ("(select 1)", False),
        ("values (1)", False),
        ("-- a comment\ndelete from scores by x", False),
    ],
)
def test_the_short_form_is_told_from_sql(text: str, short: bool) -> None:
    assert is_short(Source("<query>", text)) is short


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("selct score", "a query starts with `select`, not with `selct`", "did you mean `select`?"),
        (
            "score by task",
            "a query starts with `select`, not with `score`",
            "write for example `select mean(score) by strategy`",
        ),
        ("", "there is no query", "write for example `select mean(score) by strategy`"),
        ("  -- nothing\n", "there is no query", "write for example `select mean(score) by strategy`"),
        ("'select'", "there is no query", "write for example `select mean(score) by strategy`"),
    ],
)
def test_what_starts_like_no_query(text: str, message: str, hint: str) -> None:
    with pytest.raises(BitspecError) as raised:
        is_short(Source("<query>", text))
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.message, diagnostic.help) == (message, hint)


def test_the_words_of_a_query() -> None:
    assert mentioned("""SELECT x FROM "Scores" -- epochs\n WHERE a = 'changes'""") == {
        "select", "x", "from", "scores", "where", "a"
    }  # fmt: skip
