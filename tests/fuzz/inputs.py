"""Inputs to fuzz with: by the grammars, by hand-written strategies for what is valid, and all of these mutated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark

from bitspec.ir.settings import SETTINGS
from bitspec.query.functions import AGGREGATES, SCALARS
from bitspec.query.syntax import KEYWORDS as QUERY_KEYWORDS
from bitspec.store.views import VIEWS
from bitspec.vocabulary import ATTRIBUTES, FUNCTIONS, KEYWORDS, KINDS, ROLES, SELECTIONS
from tests.language.strategies import spec_texts
from tests.query.queries import queries

ROOT = Path(__file__).parent.parent.parent

_STRANGE = (
    "",
    "\n",
    "\0",
    "\x1b[31m",
    "\ufeff",
    "\u2028",
    "\u202e",
    "é",
    "漢字",
    "🎉",
    "\ud800",
    "9" * 40,
    "1e999",
    "-",
    "#",
)

#: Words that mean something in a spec, and signs.
SPEC_WORDS: tuple[str, ...] = (
    *KEYWORDS, *SELECTIONS, *FUNCTIONS, *ATTRIBUTES, *ROLES, *KINDS, *SETTINGS, *_STRANGE,
    "..", "==", "!=", "<=", ">=", "!~", "~", "$r", "${r}", "$", "rte", "builtin/rte", "0", "3", "-1", "0.5", "5%", "0..4",
    *"{}()=,|&+%:\"'.!/\\;[]*", '"a"', "'b'", "per = tensor", "by = magnitude", "seed = 7", "size(bias)", "50% of bias",
    "by = change(x)", "by = fisher(examples = 3)", "bottomk(bias, 5, by = gradient)",
    "train.csv", "'(?R)'", "'(a+)+$'", "'a{9999}'", "'['", "1e9", "{0..3}", "{ }", "use '../x'",
)  # fmt: skip

#: The same for queries.
QUERY_WORDS: tuple[str, ...] = (
    *QUERY_KEYWORDS, *VIEWS, *(column for view in VIEWS.values() for column in view.columns), *AGGREGATES, *SCALARS,
    *_STRANGE, *"(){},.=<>~+-*/;:[]%$@?!", "!=", "<>", "==", "!~", "..", "'x'", '"y"', "0", "1.5", "1e9", "--", "/*", "*/",
    "$$", "$a$", "metrics.f1", "settings.learning_rate", "n", "ci95(score)", "count(distinct seed)", "with", "union",
)  # fmt: skip


def mutated(text: str, random: Random, words: Sequence[str]) -> str:
    """A text with a few changes: words put in, parts taken away, doubled, moved or repeated."""
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(text))
        end = min(len(text), start + random.choice((0, 1, 3, 10, 40)))
        part = text[start:end]
        match random.randrange(6):
            case 0:
                text = text[:start] + random.choice(words) + text[end:]
            case 1:
                text = f"{text[:start]} {random.choice(words)} {text[start:]}"
            case 2:
                text = text[:start] + text[end:]
            case 3:
                place = random.randint(0, len(text))
                text = text[:place] + part + text[place:]
            case 4:
                text = text[:end] + part * random.choice((2, 5, 60)) + text[end:]
            case _:
                text = text[:start] + part[::-1] + text[end:]
    return text[:20_000]


def _shuffled(words: Sequence[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=40).flatmap(
        lambda found: st.sampled_from([" ", "", "\n"]).map(lambda by: by.join(found))
    )


@cache
def spec_inputs() -> st.SearchStrategy[str]:
    """Texts that are specs, or are like them."""
    text = files("bitspec.language").joinpath("bspec.lark").read_text("utf-8")
    by_grammar = from_lark(
        Lark(text, parser="lalr", start="file"),
        start="file",
        explicit={
            "NAME": st.sampled_from(
                ("a", "b", "bias", "gamma", "rand", "size", "role", "layer", "q", "rte", "$r", "x_${r}", "per")
            ),
            "STRING": st.sampled_from(('"a"', "'b'", '"query|key"', "'$r'", '"../x"', "''")),
            "NUMBER": st.sampled_from(("0", "3", "0.5", "1e-3", "7e400")),
            "COMMENT": st.just("# a\n"),
        },
    )
    return st.one_of(by_grammar, spec_texts(), _shuffled(SPEC_WORDS), st.text(max_size=80))


@cache
def query_inputs() -> st.SearchStrategy[str]:
    """Texts that are queries in the short form, or are like them."""
    text = files("bitspec.query").joinpath("query.lark").read_text("utf-8")
    columns = ("score", "seed", "task", "strategy", "metrics", "n", "mean", "ci95", "count", "scores", "epochs", "x")
    by_grammar = from_lark(
        Lark(text, parser="lalr", start="query"),
        start="query",
        explicit={
            "NAME": st.sampled_from(columns),
            "STRING": st.sampled_from(('"a"', "'rte'", '"^b"', "''", "'('")),
            "NUMBER": st.sampled_from(("0", "3", "0.5", "1e3")),
            "TRUTH": st.sampled_from(("true", "false")),
            "COMMENT": st.just("-- a\n"),
        },
    )
    shuffled = _shuffled(QUERY_WORDS).map(lambda words: f"select {words}")
    return st.one_of(by_grammar, queries().map(str), shuffled, st.text(max_size=80))


def seeds(kind: str) -> list[str]:
    """Texts for a fuzzer to begin with: those that come with bitspec and with its tests."""
    if kind == "spec":
        found = [path.read_text("utf-8") for path in sorted((ROOT / "specs").glob("*.bspec"))]
        found += [path.read_text("utf-8") for path in sorted((ROOT / "tests" / "language" / "format").glob("*.bspec"))]
        folders = [ROOT / "tests" / "language" / "messages"]
    else:
        found, folders = [], [ROOT / "tests" / "query" / "messages", ROOT / "tests" / "query" / "compiled"]
    for folder in folders:
        for path in sorted(folder.glob("*.txt")):
            found += re.findall(r"^=== [^\n]*\n(.*?)\n---\n", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return found
