"""Hypothesis strategies for the texts of valid specs: every statement, templates, any layout, comments anywhere.

A spec is drawn as tokens, `BREAK` marking where a person would start a new line, and laid out afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle

from hypothesis import strategies as st

from bitspec.vocabulary import METRICS, ROLES, SELECTIONS

BREAK = "\n"
TASKS = ("cola", "mrpc", "rte")

Tokens = tuple[str, ...]

_BASES = tuple(name for name in SELECTIONS if name != "none")
_SETTINGS = (
    ("epochs", ("3",)),
    ("batch_size", ("8",)),
    ("learning_rate", ("7e-4",)),
    ("optimizer", ("adamw",)),
    ("clip_norm", ("off",)),
    ("weight_decay", ("+", "0.10")),
    ("warmup", ("6", "%")),
    ("schedule", ("linear",)),
)
_PUNCTUATION = frozenset("(){}=,|&:%~")
_GAPS = (
    " ",
    "",
    "\n",
    "  \t",
    "\n\n\n",
    "\r\n",
    " \f\ufeff",
    "# a\n",
    " # b {()}\r\n",
    "\n# c\n",
    "\n\n  #\n\n\n#'\"d\n ",
)


def _joined(parts: Iterable[Tokens], by: Tokens) -> Tokens:
    tokens: list[str] = []
    for number, part in enumerate(parts):
        tokens += (*by, *part) if number else part
    return tuple(tokens)


def _words(words: Iterable[str]) -> st.SearchStrategy[Tokens]:
    return st.sampled_from([(word,) for word in words])


def _texts(words: Sequence[str]) -> st.SearchStrategy[Tokens]:
    return st.sampled_from([quote.format(word) for word in words for quote in ('"{}"', "'{}'")]).map(
        lambda text: (text,)
    )


def _sets(members: st.SearchStrategy[Tokens], min_size: int = 1) -> st.SearchStrategy[Tokens]:
    several = st.lists(members, unique=True, min_size=min_size, max_size=30)
    return st.builds(
        lambda parts, last: ("{", *_joined(parts, (",",)), *last, "}"), several, st.sampled_from([(), (",",)])
    )


LAYERS = st.sampled_from([("0",), ("3",), ("-", "1"), ("5", "..", "7"), ("8", "..", "-", "2")])

_TESTS = st.one_of(
    _words(ROLES).map(lambda role: ("role", "==", *role)),
    st.builds(
        lambda negation, members: ("role", *negation, "in", *members),
        st.sampled_from([(), ("not",)]),
        _sets(_words(ROLES)),
    ),
    _sets(LAYERS).map(lambda members: ("layer", "in", *members)),
    st.just(("layer", "not", "in", "0", "..", "3")),
    st.just(("layer", "<=", "-", "1")),
    st.builds(
        lambda operator, pattern: ("module", operator, *pattern),
        st.sampled_from(["~", "!~"]),
        _texts(["query", "LayerNorm", r"layer\.\d+", "p" * 60]),
    ),
)

CONDITIONS: st.SearchStrategy[Tokens] = st.recursive(
    _TESTS,
    lambda inner: st.one_of(
        st.builds(
            lambda parts, word: _joined(parts, (word,)),
            st.lists(inner, min_size=2, max_size=3),
            st.sampled_from(["and", "or"]),
        ),
        inner.map(lambda condition: ("not", *condition)),
        inner.map(lambda condition: ("(", *condition, ")")),
    ),
    max_leaves=4,
)


def selections(names: Sequence[str] = ()) -> st.SearchStrategy[Tokens]:
    """Selections that may use the names of groups and strategies."""
    return st.recursive(
        _words([*_BASES, *names]),
        lambda inner: st.one_of(
            st.builds(
                lambda parts, operator: _joined(parts, (operator,)),
                st.lists(inner, min_size=2, max_size=6),
                st.sampled_from(["|", "-", "&"]),
            ),
            st.builds(lambda part, condition: ("(", *part, ")", "where", *condition), inner, CONDITIONS),
            inner.map(lambda part: ("(", *part, ")")),
            _calls(inner),
        ),
        max_leaves=6,
    )


def _calls(inner: st.SearchStrategy[Tokens]) -> st.SearchStrategy[Tokens]:
    amounts = st.one_of(
        st.sampled_from([("5",), ("46080",), ("0.040", "%")]),
        inner.map(lambda part: ("size", "(", *part, ")")),
        inner.map(lambda part: ("50", "%", "of", "(", *part, ")")),
    )
    options = st.lists(st.sampled_from([(",", "per", "=", "tensor"), (",", "seed", "=", "7")]), unique=True)
    return st.builds(
        lambda function, pool, amount, options: (
            function,
            "(",
            *pool,
            ",",
            *amount,
            *_joined(options, ()),
            ")",
        ),
        st.sampled_from(["rand", "rows", "cols", "rowcol"]),
        inner,
        amounts,
        options,
    )


def _blocks(entries: st.SearchStrategy[list[Tokens]]) -> st.SearchStrategy[Tokens]:
    def block(entries: list[Tokens], is_broken: bool) -> Tokens:
        edge = (BREAK,) if is_broken else ()
        return ("{", *edge, *_joined(entries, (BREAK,) if is_broken else ()), *edge, "}")

    return st.builds(block, entries, st.booleans())


SETTING_BLOCKS = _blocks(
    st.lists(st.sampled_from(_SETTINGS), unique=True).map(lambda rows: [(name, "=", *value) for name, value in rows])
)


@st.composite
def _declared_tasks(draw: st.DrawFn) -> Tokens:
    columns = draw(st.sampled_from([("review",), ("review", ",", "'the reply'")]))
    settings: list[Tokens] = [
        ("training", "=", '"train.csv"'),
        ("validation", "=", "'dev.csv'"),
        ("text", "=", *columns),
        ("label", "=", "stars"),
        ("metric", "=", draw(st.sampled_from(sorted(METRICS)))),
    ]
    return ("task", "reviews", *draw(_blocks(st.permutations(settings))))


@st.composite
def _questions(draw: st.DrawFn, strategies: Sequence[str]) -> Tokens:
    def comparison(pair: Sequence[str], operator: str, margin: Tokens, tasks: Tokens) -> Tokens:
        return ("expect", pair[0], operator, pair[1], *margin, *tasks)

    expectations = st.one_of(
        st.builds(
            comparison,
            st.permutations(strategies),
            st.sampled_from([">", ">=", "<", "<="]),
            st.sampled_from([(), ("-", "1.0"), ("+", "2"), ("-", "-", "0.5")]),
            st.sampled_from([(), ("on", "cola"), ("on", "cola", ",", "rte")]),
        ),
        st.just(("expect", "change", "correlates", "with", "score", "on", "mrpc")),
    )
    block = draw(_blocks(st.lists(expectations, min_size=1, max_size=3)))
    return ("question", *draw(_texts(["Is it so?", "What, then, of this?"])), *block)


@st.composite
def _reports(draw: st.DrawFn, strategies: Sequence[str]) -> Tokens:
    scores = st.sampled_from([("58.8",), ("-", "1.5"), ("+", "3")])
    rows = []
    for strategy in draw(st.lists(st.sampled_from(strategies), unique=True, min_size=1)):
        tasks = draw(st.lists(st.sampled_from(TASKS), unique=True, min_size=1))
        rows.append((strategy, ":", *_joined([(task, *draw(scores)) for task in tasks], (",",))))
    return ("reported", *draw(_texts(["arXiv:2106.10199"])), *draw(_blocks(st.just(rows))))


@st.composite
def _loops(draw: st.DrawFn, number: int, names: Sequence[str], other: str) -> Tokens:
    name = f"t{number}_$r"
    over = draw(st.one_of(_sets(_words(["q", "k", "m1", "ln2"])), st.just(("{", "'v'", "}"))))
    part = draw(selections(names))
    body: list[Tokens] = [
        (
            "strategy",
            name,
            "'without $r'",
            "=",
            "(",
            *part,
            ")",
            "-",
            "(",
            "bias",
            "where",
            "role",
            "==",
            "$r",
            ")",
        )
    ]
    more: list[Tokens] = [
        ("question", '"And $r?"', "{", "expect", name, ">", other, "}"),
        ("train", "for", name, *draw(SETTING_BLOCKS)),
        (
            "for",
            f"l{number}",
            "in",
            "0",
            "..",
            "1",
            "{",
            "group",
            f"t{number}_${{r}}_${{l{number}}}x",
            "=",
            "bias",
            "where",
            "layer",
            "in",
            f"$l{number}",
            "..",
            "11",
            "}",
        ),
    ]
    body += draw(st.lists(st.sampled_from(more), unique=True))
    return ("for", "r", "in", *over, *draw(_blocks(st.permutations(body))))


@st.composite
def spec_tokens(draw: st.DrawFn) -> Tokens:
    """The tokens of a valid spec, with a `BREAK` between statements."""
    names: list[str] = []
    statements: list[Tokens] = [
        ("study", "s", *draw(st.one_of(st.just(()), _texts(["A study", "Biases and gammas"])))),
        draw(st.sampled_from([("model", '"bert-base-cased"'), ("model", "small", "=", "'m'", "revision", '"v1"')])),
        ("task", *_joined([(task,) for task in TASKS], (",",))),
        draw(
            st.sampled_from(
                [
                    ("seeds", "0", "..", "4"),
                    ("seeds", "{", "1", ",", "2", "..", "3", ",", "}"),
                    ("seeds", "5", ",", "7"),
                ]
            )
        ),
    ]
    for name in draw(st.sampled_from([(), ("g",), ("g", "a_longer_name")])):
        statements.append(("group", name, "=", *draw(selections(names))))
        names.append(name)
    strategies = draw(st.sampled_from([("a", "bb"), ("a", "bb", "a_strategy_with_quite_a_long_name")]))
    for name in strategies:
        label = draw(st.one_of(st.just(()), _texts(["A", "b_m2, b_q", "漢字"]), st.just(("'the \"best\"'",))))
        statements.append(("strategy", name, *label, "=", *draw(selections(names))))
        names.append(name)
    targets: tuple[Tokens, ...] = (
        (),
        ("for", "cola", ",", "rte"),
        ("for", "a"),
        ("for", "a", ",", "bb", "on", "rte"),
    )
    for target in draw(st.lists(st.sampled_from(targets), unique=True, max_size=3)):
        statements.append(("train", *target, *draw(SETTING_BLOCKS)))
    optional = (
        _declared_tasks(),
        _questions(strategies),
        _reports(strategies),
        _loops(1, names, "a"),
        _loops(2, names, "bb"),
    )
    for extra in draw(st.lists(st.sampled_from(optional), unique=True, max_size=4)):
        statements.append(draw(extra))
    return _joined(draw(st.permutations(statements)), (BREAK,))


def laid_out(tokens: Tokens, gaps: Sequence[str], everywhere: bool) -> str:
    """Tokens with gaps between them, `everywhere` or where a person would start a line. Comments are numbered."""
    supply = cycle(gaps)
    pieces = [next(supply)]
    previous = ""
    for token in tokens:
        if token == BREAK:
            pieces.append(next(supply) or BREAK)
            previous = ""
            continue
        gap = next(supply) if everywhere else " "
        if not gap and previous and not _PUNCTUATION & {previous, token}:
            gap = " "
        pieces += [gap if previous else "", token]
        previous = token
    pieces.append(next(supply))
    return "".join(piece.replace("#", f"# {number}") if "#" in piece else piece for number, piece in enumerate(pieces))


def spec_texts() -> st.SearchStrategy[str]:
    """The texts of valid specs."""
    gaps = st.lists(st.sampled_from(_GAPS), min_size=1, max_size=30)
    return st.builds(laid_out, spec_tokens(), gaps, st.booleans())
