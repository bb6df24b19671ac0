"""The grammar is LALR(1) without a conflict, its traps are kept, and the table of mistakes speaks of mistakes."""

from __future__ import annotations

import logging
from importlib.resources import files

import pytest
from lark import Lark
from lark import logger as lark_logger

from bitspec.diagnostics import Source
from bitspec.language.grammar import grammar
from bitspec.language.load import analyse, loads
from bitspec.language.mistakes import MISTAKES
from bitspec.language.parser import parse
from bitspec.language.syntax_errors import Place, _with_strategies, place_of
from bitspec.vocabulary import KEYWORDS

# Conflicts ----------------------------------------------------------------------------------------------


class Heard(logging.Handler):
    """Keeps what lark says while it builds a parser."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def conflicts(text: str, start: list[str]) -> list[str]:
    """What lark has to say about conflicts in a grammar."""
    heard = Heard()
    level = lark_logger.level
    lark_logger.addHandler(heard)
    lark_logger.setLevel(logging.DEBUG)
    try:
        Lark(text, parser="lalr", start=start, maybe_placeholders=True, debug=True)
    finally:
        lark_logger.removeHandler(heard)
        lark_logger.setLevel(level)
    return [message for message in heard.messages if "Reduce" in message or "conflict" in message.lower()]


def test_a_conflict_would_be_heard() -> None:
    assert conflicts('start: start start | A\nA: "a"', ["start"])[0].startswith("Shift/Reduce conflict")


def test_the_grammar_has_no_conflict() -> None:
    text = files("bitspec.language").joinpath("bspec.lark").read_text("utf-8")
    assert grammar().options.start == ["file", "statement"]
    assert conflicts(text, ["file", "statement"]) == []


def test_the_parser_is_built_once() -> None:
    assert grammar() is grammar()


# The table of mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.code}: {mistake.message}"[:60])
def test_every_example_of_a_mistake_is_one(mistake: object) -> None:
    from bitspec.language.mistakes import Mistake

    assert isinstance(mistake, Mistake)
    examples = (*mistake.examples, *mistake.any_token)
    assert examples
    assert mistake.message
    assert mistake.help
    for example in _with_strategies(examples):
        place, kind = place_of(example)  # fails for one that is right
        assert place[1] == example.split()[0].upper()
        assert kind
        source = Source("f", example)
        assert parse(source).diagnostics, example


def test_no_two_mistakes_claim_one_place() -> None:
    claims: dict[tuple[Place, str], tuple[str, str]] = {}
    clashes = []
    for mistake in MISTAKES:
        said = (mistake.message, mistake.help)
        for example in _with_strategies(mistake.examples):
            key = place_of(example)
            if claims.setdefault(key, said) != said:
                clashes.append((example, said, claims[key]))
        for example in _with_strategies(mistake.any_token):
            key = (place_of(example)[0], "any")
            if claims.setdefault(key, said) != said:
                clashes.append((example, said, claims[key]))
    assert clashes == []


def test_every_example_gets_the_message_of_its_mistake() -> None:
    # Save where something that is looked at before the table, such as an open brace, says it better.
    elsewhere = {"unclosed", "reserved-name", "unknown-keyword", "misplaced-expect", "bad-character"}
    for mistake in MISTAKES:
        for example in (*mistake.examples, *mistake.any_token):
            (found, *_) = parse(Source("f", example)).diagnostics
            assert found.code in elsewhere or found.message == mistake.message, example


def test_what_is_right_is_not_taken_for_an_example() -> None:
    with pytest.raises(AssertionError, match=r"^this example of a mistake is right: seeds 1$"):
        place_of("seeds 1")


# Keywords and names -------------------------------------------------------------------------------------

#: A statement with a hole wherever a name can stand.
PLACES = {
    "study": "study {}",
    "model": 'model {} = "m"',
    "task": "task {}",
    "second task": "task rte, {}",
    "task with a block": 'task {} {{ training = "a" }}',
    "property of a task": "task a {{ {} = b }}",
    "value": "train {{ schedule = {} }}",
    "second value": "task a {{ text = b, {} }}",
    "setting": "train {{ {} = 3 }}",
    "target": "train for {} {{ }}",
    "second target": "train for a, {} {{ }}",
    "task of a block": "train for a on {} {{ }}",
    "group": "group {} = bias",
    "strategy": "strategy {} = bias",
    "selection": "group g = {}",
    "part of a union": "group g = bias | {}",
    "what is taken away": "group g = bias - {}",
    "part of an intersection": "group g = bias & {}",
    "selection with a where": "group g = {} where layer == 1",
    "function": "group g = {}(bias, 3)",
    "pool": "group g = rand({}, 3)",
    "argument": "group g = rand(bias, 3, {} = 4)",
    "value of an argument": "group g = rand(bias, 3, per = {})",
    "size": "group g = rand(bias, size({}))",
    "share": "group g = rand(all, 5% of {})",
    "attribute": "group g = bias where {} == 1",
    "attribute before in": "group g = bias where {} in {{1}}",
    "value of a test": "group g = bias where role == {}",
    "member": "group g = bias where role in {{q, {}}}",
    "end of a range": "group g = bias where layer in 0..{}",
    "left of a comparison": 'question "?" {{ expect {} > b }}',
    "right of a comparison": 'question "?" {{ expect a > {} }}',
    "margin": 'question "?" {{ expect a > b - {} }}',
    "task of a comparison": 'question "?" {{ expect a > b on {} }}',
    "word of a correlation": 'question "?" {{ expect {} correlates with score }}',
    "row": 'reported "r" {{ {}: rte 70 }}',
    "cell": 'reported "r" {{ a: {} 70 }}',
    "loop": "for {} in {{q}} {{ group g = bias }}",
    "value of a loop": "for r in {{{}}} {{ group g_$r = bias }}",
    "inside a loop": "for r in {{q}} {{ group {} = bias }}",
}

NEARLY_KEYWORDS = (
    "format", "inner", "order", "model_2", "one", "often", "android", "notes", "where_", "seeds0", "users",
    "Study", "FOR", "in_", "of2", "grouping", "tasks", "training", "forêt",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_keyword_is_a_name_nowhere(place: str) -> None:
    for keyword in KEYWORDS:
        said = parse(Source("f", place.format(keyword))).diagnostics
        assert said, f"{place.format(keyword)} parses"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_only_begins_like_a_keyword_is_a_name(place: str) -> None:
    for name in NEARLY_KEYWORDS:
        assert parse(Source("f", place.format(name))).diagnostics == [], place.format(name)


def test_the_keywords_are_those_of_the_grammar() -> None:
    words = {
        terminal.pattern.value
        for terminal in grammar().terminals
        if terminal.pattern.type == "str" and terminal.pattern.value.isalpha()
    }
    assert words == set(KEYWORDS)
    (name,) = (terminal for terminal in grammar().terminals if terminal.name == "NAME")
    reserved = name.pattern.value.partition("(?:")[2].partition(")")[0].split("|")
    assert set(reserved) == set(KEYWORDS)
    assert len(reserved) == len(KEYWORDS)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_before_a_template_is_no_keyword(keyword: str) -> None:
    text = f"for r in {{a}} {{ group {keyword}$r = bias group {keyword}_${{r}}x = bias }}"
    assert [group.name for group in loads(text).groups] == [f"{keyword}a", f"{keyword}_ax"]


# Lexing -------------------------------------------------------------------------------------------------


def kinds(text: str) -> list[tuple[str, str]]:
    return [(token.type, str(token)) for token in grammar().lex(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0..4", "NUMBER:0 DOTS:.. NUMBER:4"),
        ("0 .. 4", "NUMBER:0 DOTS:.. NUMBER:4"),
        ("0.5..4.25", "NUMBER:0.5 DOTS:.. NUMBER:4.25"),
        ("6..-1", "NUMBER:6 DOTS:.. SIGN:- NUMBER:1"),
        ("1e-3", "NUMBER:1e-3"),
        ("1e3..2", "NUMBER:1e3 DOTS:.. NUMBER:2"),
        ("a-1", "NAME:a SIGN:- NUMBER:1"),
        ("a - b", "NAME:a SIGN:- NAME:b"),
        ("builtin/cola", "NAME:builtin/cola"),
        ("builtin/my-task_2", "NAME:builtin/my-task_2"),
        ("0.04%", "NUMBER:0.04 PERCENT:%"),
        ("a$r", "NAME:a$r"),
        ("${r}x", "NAME:${r}x"),
        ("'a\"b' \"c'd\"", "STRING:'a\"b' STRING:\"c'd\""),
        ("'#' # x", "STRING:'#'"),
        ("a!~b", "NAME:a MATCH:!~ NAME:b"),
        ("a>=b>c", "NAME:a COMPARE:>= NAME:b COMPARE:> NAME:c"),
        ("a=b==c", "NAME:a EQUAL:= NAME:b COMPARE:== NAME:c"),
        ("in inner in_", "IN:in NAME:inner NAME:in_"),
        ("\ufeffbias\ufeff", "NAME:bias"),
        ("a\r\n\f\tb", "NAME:a NAME:b"),
        ("größe 漢字", "NAME:größe NAME:漢字"),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    # Kinds and texts; a space stands in no token here.
    assert " ".join(f"{kind}:{value}" for kind, value in kinds(text)) == expected


SPEC = 'study s\nmodel "m"\ntask builtin/rte\nseeds 0..4\nstrategy x = bias where layer in 0..-1'


def test_line_ends_and_byte_order_marks_make_no_difference() -> None:
    expected = loads(SPEC)
    assert expected.seeds == (0, 1, 2, 3, 4)
    assert expected.tasks[0].name == "builtin/rte"
    for text in (
        SPEC.replace("\n", "\r\n"),
        SPEC.replace("\n", "\r"),
        "\ufeff" + SPEC,
        SPEC + "\n\n",
        SPEC.replace("\n", " "),
    ):
        assert loads(text) == expected


def test_a_comment_ends_with_its_line_whatever_the_line_ends_with() -> None:
    for end in ("\n", "\r\n", "\r"):
        assert len(loads(f"group g = bias # a comment{end}group h = gamma # another").groups) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train { epochs = -3 }", "`epochs` cannot be -3"),
        ("train { eps = - 3 }", "`eps` cannot be -3"),
        ("train { warmup = -3% }", "`warmup` cannot be -3%"),
        ("group g = rand(bias, -3)", "an amount must be above 0, not `-3`"),
        ("group g = rand(bias, -3%)", "a percentage lies above 0 and up to 100, not at `-3%`"),
        ("seeds -3", "a seed is 0 or above, not -3"),
    ],
)
def test_a_minus_sign_belongs_to_its_number(text: str, message: str) -> None:
    assert message in [found.message for found in analyse(Source("f", text)).diagnostics]


def test_minus_in_reported_scores_margins_and_layers() -> None:
    study = loads("""
        study s model "m" task rte strategy a = bias strategy b = gamma where layer == -1
        question "?" { expect a > b - 1.5 expect a > b - -1.5 expect a > b + 2 expect a > b }
        reported "r" { a: rte -3.5 b: rte +4 }
        """)
    assert [getattr(one, "margin", None) for one in study.questions[0].expectations] == [-1.5, 1.5, 2.0, 0.0]
    assert [score.score for score in study.reported[0].scores] == [-3.5, 4.0]


@pytest.mark.parametrize("selection", ["-bias", "bias | -gamma", "bias & -3", "bias where -1 == layer", "all - -bias"])
def test_there_is_no_minus_before_a_selection(selection: str) -> None:
    assert parse(Source("f", f"group g = {selection}")).diagnostics
