"""Specs that nobody would write: an answer or a clear refusal, within seconds and a bounded memory.

Each runs through `check`, `fmt` and `show` in a process with limits that the system holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bitspec.ir.check import MAX_TRIALS
from bitspec.language.limits import MAX_WORDS
from bitspec.language.load import MAX_BYTES
from bitspec.parameters.cache import catalogue
from tests.limited import Took, limited

#: Each in a process that the system limits: minutes together.
pytestmark = pytest.mark.slow

HEAD = 'study s model "bert-base-cased" task rte\n'
TEN_MEGABYTES = 10_000_000
#: As long as a file may be.
LONG = MAX_BYTES - 1000


@pytest.fixture(scope="module", autouse=True)
def _warm_cache(_cache_of_the_run: None) -> None:
    catalogue("bert-base-cased")


def strategies(count: int, selection: str = "bias where layer == {layer} and numel > {n}") -> str:
    return "\n".join(f'strategy s{n} "label {n}" = {selection.format(n=n, layer=n % 12)}' for n in range(count))


def filled(part: str, length: int, before: str = "", after: str = "") -> str:
    return before + part * ((length - len(before) - len(after)) // len(part)) + after


def nested(opening: str, inside: str, closing: str, depth: int) -> str:
    return opening * depth + inside + closing * depth


#: Texts by what they are made of; those with a code are refused with it, the others get any answer.
LARGE: dict[str, tuple[Callable[[], str], str | None]] = {
    "10 MB of comments": (lambda: filled("# a comment\n", TEN_MEGABYTES), "too-long"),
    "10 MB of strategies": (lambda: HEAD + strategies(150_000)[:TEN_MEGABYTES], "too-long"),
    "one line of 10 MB": (lambda: filled("bias | ", TEN_MEGABYTES, HEAD + "strategy s = ", "bias"), "too-long"),
    "one text of 10 MB": (lambda: filled("x", TEN_MEGABYTES, HEAD + 'strategy s "', '" = bias'), "too-long"),
    "8 MB of long comments": (lambda: filled("#" + "x" * 999 + "\n", LONG, HEAD + "strategy s = bias\n"), None),
    "8 MB of short comments": (lambda: filled("#\n", LONG), "too-long"),
    "8 MB of empty lines": (lambda: filled("\n", LONG, HEAD, "strategy s = bias"), None),
    "8 MB of strategies": (lambda: HEAD + strategies(110_000)[:LONG], "too-long"),
    "a comment of 8 MB": (lambda: filled("x", LONG, HEAD + "strategy s = bias #"), None),
    "a line of 8 MB": (lambda: filled("bias | ", LONG, HEAD + "strategy s = ", "bias"), "too-long"),
    "a text of 8 MB": (lambda: filled("x", LONG, HEAD + 'strategy s "', '" = bias'), None),
    "a pattern of 8 MB": (lambda: filled("x", LONG, HEAD + 'strategy s = bias where name ~ "', '"'), "bad-pattern"),
    "a name of 8 MB": (lambda: filled("x", LONG, HEAD + "strategy ", " = bias"), "bad-name"),
    "an unknown name of 8 MB": (lambda: filled("x", LONG, HEAD + "strategy s = "), "bad-name"),
    "a number of 8 MB": (lambda: filled("9", LONG, HEAD + "strategy s = rand(bias, ", ")"), "bad-number"),
    "a percentage of 8 MB": (lambda: filled("9", LONG, HEAD + "strategy s = rand(bias, 0.", "%)"), "bad-number"),
    "a seed of 8 MB": (lambda: filled("9", LONG, HEAD + "seeds ", " strategy s = bias"), "bad-number"),
    "a layer of 8 MB": (lambda: filled("9", LONG, HEAD + "strategy s = bias where layer == "), "bad-number"),
    "8 MB of $": (lambda: filled("$", LONG), "bad-name"),
    "8 MB of ${": (lambda: filled("${", LONG), "too-long"),
    "8 MB of $r": (lambda: filled("$r", LONG, "group g", " = bias"), "bad-name"),
    "8 MB of one quote": (lambda: filled('"', LONG), "too-long"),
    "8 MB of unclosed texts": (lambda: filled('"\n', LONG), "too-long"),
    "8 MB of control characters": (lambda: filled("\x1b", LONG), "too-long"),
    "8 MB of wide characters": (lambda: filled("漢", LONG // 3), "bad-name"),
    "8 MB of combining characters": (lambda: filled("\u0301", LONG // 2), "too-long"),
    "8 MB of slashes": (lambda: filled("/", LONG), "too-long"),
    "as many strategies as there may be": (lambda: HEAD + strategies(MAX_WORDS // 14 - 1), None),
    "a union of as many parts as there may be": (
        lambda: filled("bias|", 5 * (MAX_WORDS // 2 - 20), HEAD + "strategy s = ", "bias"),
        None,
    ),
    "a set of as many members": (
        lambda: HEAD + "strategy s = bias where layer in {" + ",".join(map(str, range(74_000))) + "}",
        None,
    ),
    "as many mistakes": (lambda: "a b c\n" * (MAX_WORDS // 3 - 1), "unknown-keyword"),
    "as many mistakes in a statement": (lambda: "group g = bias\n" + "a b\n" * (MAX_WORDS // 2 - 10), None),
    "mistakes at the end": (lambda: HEAD + strategies(10_000) + ";" * 49, "bad-character"),
    "a bracket at the end": (lambda: HEAD + strategies(10_000) + "(", None),
    "names that are not known": (
        lambda: HEAD + strategies(8_000) + "".join(f"\nstrategy t{n} = s{n:05}x" for n in range(8_000)),
        "unknown-name",
    ),
    "long names that are not known": (
        lambda: (
            HEAD
            + "".join(f"\nstrategy {'a' * 190}{n} = bias" for n in range(5_000))
            + "".join(f"\nstrategy b{n} = {'a' * 180}x{n}" for n in range(500))
        ),
        "unknown-name",
    ),
    "names of settings that are not known": (
        lambda: HEAD + "strategy s = bias train { " + " ".join(f"a{n} = 3" for n in range(45_000)) + " }",
        "unknown-setting",
    ),
    "targets that are listed twice": (
        lambda: HEAD + "strategy s = bias train for " + ", ".join(["s"] * 70_000) + " { epochs = 1 }",
        "repeated",
    ),
    "targets that are not known": (
        lambda: HEAD + strategies(3_000) + "\ntrain for " + ", ".join(f"t{n}" for n in range(50_000)) + " { }",
        "unknown-name",
    ),
    "blocks for every strategy": (
        lambda: HEAD + strategies(6_000) + "".join(f"\ntrain for s{n} {{ epochs = {n + 1} }}" for n in range(6_000)),
        None,
    ),
    "blocks for nothing": (lambda: HEAD + "strategy s = bias\n" + "train { }\n" * 49_000, None),
    "many tasks": (lambda: HEAD + "task " + ", ".join(f"t{n}" for n in range(74_000)), "unknown-task"),
    "many ranges of seeds": (
        lambda: HEAD + "strategy s = bias seeds " + ", ".join(["0..9999"] * 29_000),
        "too-many",
    ),
    "questions": (
        lambda: (
            HEAD
            + strategies(2_000)
            + "".join(f'\nquestion "q{n}" {{ expect s{n % 2_000} > s{(n + 1) % 2_000} }}' for n in range(13_000))
        ),
        None,
    ),
    "reported scores": (
        lambda: (
            HEAD
            + strategies(2_000)
            + '\nreported "x" { '
            + " ".join(f"s{n}: rte 5, rte 6, rte 7" for n in range(2_000))
            + " }"
        ),
        "repeated",
    ),
    "options that are no choices": (
        lambda: HEAD + "strategy s = rand(bias, 3, per = " + "a | " * 70_000 + "a)",
        "bad-argument",
    ),
    "an amount that is a union": (lambda: HEAD + "strategy s = rand(bias, " + "a|" * 70_000 + "a)", "bad-amount"),
}

DEEP: dict[str, Callable[[int], str]] = {
    "round brackets": lambda n: "group g = " + nested("(", "bias", ")", n),
    "round brackets that stay open": lambda n: "group g = " + "(" * n,
    "round brackets that close nothing": lambda n: "group g = bias" + ")" * n,
    "calls": lambda n: "group g = " + nested("rand(", "bias", ", 3)", n),
    "sizes": lambda n: "group g = " + nested("rand(all, size(", "bias", "))", n // 2),
    "conditions": lambda n: "group g = bias where " + nested("(", "layer == 1", ")", n),
    "negations": lambda n: "group g = bias where " + "not " * n + "layer == 1",
    "wheres": lambda n: "group g = bias" + " where layer == 1" * min(n, 50_000),
    "differences": lambda n: "group g = all" + " - bias" * n,
    "curly brackets": lambda n: nested("{", "", "}", n),
    "sets": lambda n: "group g = bias where layer in " + nested("{", "1", "}", n),
    "loops": lambda n: nested("for a in {q} { ", "group g = bias", " }", min(n, 40_000)),
    "loops of many names": lambda n: (
        "".join(f"for a{i} in {{q}} {{ " for i in range(min(n, 40_000))) + "group g = bias"
    ),
    "loops with a mistake inside": lambda n: nested("for a in {q} { ", "group g = = bias\n" * 10_000, " }", min(n, 12)),
    "blocks of tasks": lambda n: nested("task t { training = ", "'x'", " }", min(n, 40_000)),
}

TEMPLATES: dict[str, tuple[str, str | None]] = {
    "a million strategies in one loop": ("for n in 1..1000000 { strategy s_$n = rand(bias, $n) }", "too-many"),
    "a million strategies in two": (
        "for a in 1..1000 { for b in 1..1000 { strategy s_${a}_$b = rand(bias, $b, seed = $a) } }",
        "too-many",
    ),
    "without end": ("for n in 0..9999999999999999999 { strategy s_$n = bias }", "too-many"),
    "without end, and empty": ("for n in 0..9999999999999999999 { } strategy s = bias", "bad-loop"),
    "loops in loops that are empty": (
        "for a in 0..99999 { for b in 0..99999 { for c in 0..99999 { } } } strategy s = bias",
        "bad-loop",
    ),
    "long statements many times": (
        "for n in 1..20000 { strategy s_$n = rand(" + "bias | " * 1_000 + "bias, $n) }",
        "too-many",
    ),
    "texts in texts": (
        "for a in {'xxxxxxxxxx'} { "
        + "".join(f"for {b} in {{'{f'${a}' * 10}'}} {{ " for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        + "strategy s '$j' = bias"
        + " }" * 10,
        "too-long",
    ),
    "a text many times in a text": (
        f"for r in {{'{'x' * 9_000}'}} {{ strategy s '{'$r' * 100_000}' = bias }}",
        "too-long",
    ),
    "a text many times in a name": (f"for r in {{'{'x' * 9_000}'}} {{ strategy {'$r' * 4_000} = bias }}", "too-long"),
    "a text many times in a path": (f"for r in {{'{'x' * 9_000}'}} {{ model '{'$r' * 100_000}' }}", "too-long"),
    "a million trials": ("seeds 0..9999 for n in 1..100 { strategy s_$n = rand(bias, $n) }", "too-many"),
    "a million trials by tasks": (
        "seeds 0..9 task cola, mrpc, sst2, qqp, stsb, mnli, qnli for n in 1..12500 { strategy s_$n = rand(bias, $n) }",
        "too-many",
    ),
    "a million trials by models": (
        "for n in 1..1000 { model m$n = 'm$n' } for n in 1..1000 { strategy s_$n = rand(bias, $n) }",
        "too-many",
    ),
    "the most that there may be": (
        f"seeds 0..{MAX_TRIALS // 1000 - 1} for n in 1..1000 {{ strategy s_$n = bias where layer == 1 and numel != $n }}",
        None,
    ),
    "patterns that take long": (
        "for n in 1..2000 { strategy s_$n = bias where name ~ '^((.|..)+)+[!?]$n$' }",
        "slow-pattern",
    ),
    "a pattern that calls itself": ("strategy s = bias where name ~ '(?R)?a'", "bad-pattern"),
    "a pattern that is long once written out": (
        "strategy s = bias where name ~ '((a{1000}){1000}){1000}'",
        "bad-pattern",
    ),
}


def run(folder: Path, text: str | bytes, model: str = "bert-base-cased") -> list[Took]:
    """A spec through `check`, `fmt` and `show`."""
    path = folder / "s.bspec"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    before = path.read_bytes()
    commands = (
        ["check", "s.bspec"],
        ["fmt", "--check", "s.bspec"],
        ["show", "s.bspec", "-m", model, "--seeds", "0", "--no-heatmap", "--json"],
    )
    found = limited(commands, folder)
    assert path.read_bytes() == before
    assert all(took.length < 500_000 for took in found)
    return found


def assert_refused(found: list[Took], code: str | None) -> None:
    check, _, show = found
    assert check.code in (0, 2)
    if code is not None:
        assert f"error[{code}]" in check.said + show.said, (check.said, show.said)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large(name: str, tmp_path: Path) -> None:
    text, code = LARGE[name]
    assert_refused(run(tmp_path, text()), code)


@pytest.mark.parametrize("depth", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DEEP)
def test_deep(name: str, depth: int, tmp_path: Path) -> None:
    assert_refused(run(tmp_path, DEEP[name](depth)), None)


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates(name: str, tmp_path: Path) -> None:
    text, code = TEMPLATES[name]
    assert_refused(run(tmp_path, HEAD + text), code)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"study s\0", "not-a-text"),
        (b"\0" * 1_000_000, "not-a-text"),
        (b"\xef\xbb\xbfgroup g = bias", None),
        (b"\xef\xbb\xbf" * 100_000, None),
        ("study s".encode("utf-16"), "not-utf8"),
        ("study s".encode("utf-16-le"), "not-a-text"),
        ("study s".encode("utf-32"), None),
        (b"study \xed\xa0\x80", "not-utf8"),  # half of a surrogate pair
        (b"study \xff\xfe", "not-utf8"),
        (b"group g = bias where name ~ '\xc3\xa9\xcc\x81'", None),
        (b"strategy s '\xe2\x80\xae\xe2\x81\xa6' = bias", None),  # what turns the direction of writing round
        (b"group g = bias\r\r\r\n", None),
        (b"\x80" * 1_000_000, "not-utf8"),
        (bytes(range(256)), "not-a-text"),
        (b"", "incomplete"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_encodings(data: bytes, code: str | None, tmp_path: Path) -> None:
    found = run(tmp_path, data)
    assert_refused(found, code)
    assert all("\x1b" not in took.said and "\u202e" not in took.said for took in found)


# Files that use others ----------------------------------------------------------------------------------


def _wrote(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    for name, text in files:
        (folder / name).write_text(text, "utf-8")


USES: dict[str, tuple[Callable[[], Iterable[tuple[str, str]]], str | None]] = {
    "a circle of a thousand": (
        lambda: ((f"f{n}.bspec", f'use "f{(n + 1) % 1000}.bspec"\ngroup g{n} = bias') for n in range(1000)),
        "too-many",
    ),
    "a circle of twenty": (
        lambda: ((f"f{n}.bspec", f'use "f{(n + 1) % 20}.bspec"\ngroup g{n} = bias') for n in range(20)),
        "circular-use",
    ),
    "a chain of two thousand": (
        lambda: ((f"f{n}.bspec", f'use "f{n + 1}.bspec"\ngroup g{n} = bias') for n in range(2000)),
        "too-many",
    ),
    "files that use all others": (
        lambda: ((f"f{n}.bspec", "".join(f'use "f{m}.bspec"\n' for m in range(n + 1, 40))) for n in range(40)),
        None,
    ),
    "thousands of files": (
        lambda: (
            *((f"f{n}.bspec", f"group g{n} = bias") for n in range(1, 3000)),
            ("f0.bspec", "".join(f'use "f{n}.bspec"\n' for n in range(1, 3000))),
        ),
        "too-many",
    ),
    "thousands of files that are not there": (
        lambda: ([("f0.bspec", "".join(f'use "g{n}.bspec"\n' for n in range(50_000)))]),
        "no-such-file",
    ),
    "one file thousands of times": (
        lambda: ([("f0.bspec", 'use "f1.bspec"\n' * 50_000), ("f1.bspec", "group g = bias")]),
        None,
    ),
    "files that are long together": (
        lambda: (
            *((f"f{n}.bspec", "".join(f"group g{n}_{m} = bias\n" for m in range(2000))) for n in range(1, 200)),
            ("f0.bspec", "".join(f'use "f{n}.bspec"\n' for n in range(1, 200))),
        ),
        "too-long",
    ),
    "files whose loops are long together": (
        lambda: (
            *((f"f{n}.bspec", f"for m in 1..9999 {{ group g{n}_$m = bias }}") for n in range(1, 200)),
            ("f0.bspec", "".join(f'use "f{n}.bspec"\n' for n in range(1, 200))),
        ),
        "too-many",
    ),
}


@pytest.mark.parametrize("name", USES)
def test_files_that_use_others(name: str, tmp_path: Path) -> None:
    files, code = USES[name]
    _wrote(tmp_path, files())
    (tmp_path / "s.bspec").unlink(missing_ok=True)
    found = run(tmp_path, HEAD + 'use "f0.bspec"\nstrategy s = bias\n')
    assert_refused(found, code)


def test_a_used_file_that_never_ends(tmp_path: Path) -> None:
    found = run(tmp_path, HEAD + 'use "/dev/zero"\nuse "/dev/stdin"\nstrategy s = bias\n')
    assert_refused(found, "outside-project")
    (found_too,) = limited([["check", "s.bspec", "--allow-outside"]], tmp_path)
    assert "error[not-a-file]" in found_too.said
