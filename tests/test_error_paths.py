"""Every path on which something is wrong: a test reads what is said there. Where, stands in `error_paths.txt`.

What a message says is found in the package by its syntax tree: the words that stand at a call which makes one. A test
reads a message if some words in a row of it stand in a text of that test, or in a golden file.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "tests" / "error_paths.txt"

#: Functions that make a message: the first argument of ours is its code; click's have none, and are called `usage`.
OURS = {"error", "warning", "wrong", "refuse", "Mistake"}
CLICKS = {"UsageError", "BadParameter", "ClickException"}

#: Makers of messages that are handed all their words; what they are handed is looked at where it is written.
HANDED_ON = {
    "language/load.py:decode.refuse",
    "language/load.py:read.refuse",
    "language/syntax_errors.py:explain",
    "language/values.py:Scope.wrong",
    "query/expressions.py:Expressions.wrong",
    "query/mistakes.py:explain",
    "query/parser.py:parse",
    "registry.py:_broken",
    "training/tables.py:Origin.refuse",
    "training/tables.py:Table.refuse",
}

#: Messages whose words are mostly filled in: by place and code, the test that reads one, and what it reads.
FILLED_IN = {
    ("language/build.py:_task", "setting-value"): ("language/messages/settings.txt", "`training` cannot be `3`"),
    ("language/arguments.py:choice", "bad-argument"): (
        "language/messages/selections.txt",
        "`per` cannot be `tensors`",
    ),
    ("language/arguments.py:_value", "bad-argument"): (
        "language/messages/selections.txt",
        "`examples` cannot be `0`",
    ),
    ("language/arguments.py:values_of", "missing-argument"): (
        "test_registry.py",
        "`first` needs `way`: which way it goes",
    ),
    ("guard.py:guarded", "refused"): ("test_registry.py", "the rule `first` of some-rules 1.0: not on a Tuesday"),
    ("parameters/complaints.py:Complaints.lacking", "matches-nothing"): (
        "parameters/test_complaints.py",
        "gpt2 has no gammas; it has biases and matrices",
    ),
    ("parameters/complaints.py:_idle", "part-matches-nothing"): (
        "parameters/test_warnings.py",
        "part-matches-nothing: no parameter of `bias` has the role `v`",
    ),
    ("query/complaints.py:complaint", "syntax"): ("query/test_running.py", "`from` is out of place"),
    ("query/complaints.py:complaint", "wrong-statement"): (
        "query/test_running.py",
        "could not convert string 'x' to INT32",
    ),
    ("query/expressions.py:Expressions._call", "bad-argument"): ("query/messages/meaning.txt", "`mean` takes no `*`"),
    ("query/expressions.py:Expressions._call", "misplaced-aggregate"): (
        "query/messages/meaning.txt",
        "`mean` cannot stand inside another aggregate",
    ),
    ("store/foreign.py:see_that_it_is_sound", "store-unsound"): ("store/test_exchange.py", "contradicts itself"),
    ("store/complaints.py:complaint", "store-unusable"): ("store/test_full_disk.py", "there is no space left"),
    ("training/labels.py:_labels", "bad-label"): (
        "training/test_own_tasks.py",
        "the label `good` in `label` is no number",
    ),
}

#: Codes that nobody sees: what a trial failed of is told by its message.
UNSEEN = {"input-changed", "model-not-loaded", "tokenizer-misfit", "too-many-tokens", "values-gone", "weights-misfit"}

#: Words in a row by which a message is known again: as many as a piece of it has, of these numbers.
FEWEST, MOST = 3, 5

Words: TypeAlias = tuple[str, ...]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """A place where something is said to be wrong: its codes, and the texts that stand there."""

    place: str
    inside: str
    codes: frozenset[str]
    texts: tuple[str, ...]

    @property
    def phrases(self) -> frozenset[Words]:
        """Words in a row of the pieces of its texts; what stands in backticks is mostly filled in, and divides them."""
        pieces = [_words(piece) for text in self.texts for piece in text.split("`")]
        if all(len(words) < FEWEST for words in pieces):
            pieces = [_words(text) for text in self.texts]
        found = (_phrases(words, min(len(words), MOST)) for words in pieces if len(words) >= FEWEST)
        return frozenset[Words]().union(*found)


def _words(text: str) -> Words:
    return tuple(re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower()))


def _phrases(words: Words, length: int) -> frozenset[Words]:
    return frozenset(words[start : start + length] for start in range(len(words) - length + 1))


# What the package says ------------------------------------------------------------------------------------


def _calls(
    node: ast.AST, functions: tuple[_Function, ...] = (), names: tuple[str, ...] = ()
) -> Iterator[tuple[ast.Call, tuple[_Function, ...], tuple[str, ...]]]:
    """All calls in a tree, with the functions that they stand in, and their names with those of classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, functions, names
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(child, (*functions, child), (*names, child.name))
        elif isinstance(child, ast.ClassDef):
            yield from _calls(child, functions, (*names, child.name))
        else:
            yield from _calls(child, functions, names)


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _texts(node: ast.AST) -> list[str]:
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def _codes(argument: ast.expr) -> frozenset[str]:
    if isinstance(argument, ast.JoinedStr):  # f"unknown-{attribute}", for the attributes with a vocabulary
        return frozenset({"unknown-role", "unknown-kind"})
    return frozenset(text for text in _texts(argument) if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", text))


def _assigned(functions: tuple[_Function, ...], call: ast.Call) -> Iterator[str]:
    """The texts of variables that a call is given."""
    names = {one.id for one in ast.walk(call) if isinstance(one, ast.Name)}
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and names & {
                one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)
            }:
                yield from _texts(node.value)


@cache
def places() -> tuple[Place, ...]:
    found = []
    for file in sorted((ROOT / "bitspec").rglob("*.py")):
        name = file.relative_to(ROOT / "bitspec").as_posix()
        for call, functions, inside in _calls(ast.parse(file.read_text("utf-8"))):
            maker = _name(call.func)
            if maker in OURS and call.args:
                codes = _codes(call.args[0])
            elif maker in CLICKS:
                codes = frozenset({"usage"})
            else:
                continue
            said = call.args[1:3] if maker == "Mistake" else [call]  # what follows are examples of it
            texts = (*(text for node in said for text in _texts(node)), *_assigned(functions, call))
            found.append(Place(f"{name}:{call.lineno}", f"{name}:{'.'.join(inside)}", codes, texts))
    return tuple(found)


def is_filled_in(place: Place) -> bool:
    """Whether the words of a place are handed to it, or filled in and read where FILLED_IN says."""
    return place.inside in HANDED_ON or any((place.inside, code) in FILLED_IN for code in place.codes)


# What the tests read --------------------------------------------------------------------------------------


@cache
def read() -> dict[str, frozenset[Words]]:
    """The words in a row of every test and golden file, by its path."""
    found = {}
    for file in sorted((ROOT / "tests").rglob("*")):
        if "benchmarks" in file.parts:
            continue
        if file.suffix == ".py" and file != Path(__file__):
            texts = _texts(ast.parse(file.read_text("utf-8")))
        elif file.suffix == ".txt" and file != TABLE:
            texts = [file.read_text("utf-8")]
        else:
            continue
        found[file.relative_to(ROOT / "tests").as_posix()] = frozenset[Words]().union(
            *(_phrases(_words(text), length) for text in texts for length in range(FEWEST, MOST + 1))
        )
    return found


def _table() -> dict[str, str]:
    return dict(line.split() for line in TABLE.read_text("utf-8").splitlines() if line)


@cache
def by_code() -> dict[str, frozenset[Words]]:
    """The words in a row of all that is said under a code."""
    found: defaultdict[str, set[Words]] = defaultdict(set)
    for place in places():
        for code in place.codes:
            found[code] |= place.phrases
    return {code: frozenset(phrases) for code, phrases in found.items()}


def _where(code: str) -> list[str]:
    """The tests that name a code and read one of its messages, those of the command line first."""
    filled_in = {file for (_, one), (file, _) in FILLED_IN.items() if one == code}
    named = re.compile("" if code in UNSEEN else "Error: " if code == "usage" else rf"(?<![\w-]){code}(?![\w-])")
    found = [
        file
        for file, phrases in read().items()
        if (phrases & by_code()[code] or file in filled_in) and named.search((ROOT / "tests" / file).read_text("utf-8"))
    ]
    return sorted(found, key=lambda file: (not file.startswith("cli/"), file))


def test_paths_were_found_at_all() -> None:
    assert len(places()) > 400
    assert len(by_code()) > 150


def test_the_exceptions_are_still_some() -> None:
    inside = {place.inside for place in places()}
    assert inside >= HANDED_ON
    assert {(place.inside, code) for place in places() for code in place.codes} >= FILLED_IN.keys()
    for file, said in FILLED_IN.values():
        assert said in (ROOT / "tests" / file).read_text("utf-8")


def test_every_code_is_read_where_the_table_says(update_golden: bool) -> None:
    table = _table() if TABLE.exists() else {}
    stale = [code for code in by_code() if table.get(code) not in _where(code)]
    if update_golden:
        found = table | {code: _where(code)[0] for code in stale if _where(code)}
        lines = (f"{code:<22} {file}\n" for code, file in sorted(found.items()) if code in by_code())
        TABLE.write_text("".join(lines), "utf-8")
    else:
        assert stale == [], "write a test that reads the message, and run this one with `--update-golden`"
        assert table.keys() == by_code().keys()


def test_every_place_is_read_by_some_test() -> None:
    seen = frozenset[Words]().union(*read().values())
    unread = [
        f"{place.place} {sorted(place.codes)}"
        for place in places()
        if not is_filled_in(place) and not place.phrases & seen
    ]
    assert unread == []
