"""Queries that nobody would write, by the command: an answer or a clear refusal, within seconds and a bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.query.parser import MAX_LENGTH
from tests.limited import limited
from tests.query.test_hostile import LONG

#: Each in a process that the system limits: minutes together.
pytestmark = pytest.mark.slow

TEN_MEGABYTES = 10_000_000

#: On standard input, as no command line takes ten megabytes.
LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "10 MB of spaces": (lambda: b" " * TEN_MEGABYTES, "too-large"),
    "10 MB of comments": (lambda: b"-- a comment\n" * (TEN_MEGABYTES // 13), "too-large"),
    "10 MB of columns": (lambda: b"select " + b"score, " * (TEN_MEGABYTES // 7) + b"n", "too-large"),
    "a text of 10 MB": (lambda: b"select n where task = '" + b"x" * TEN_MEGABYTES + b"'", "too-large"),
    "10 MB of brackets": (lambda: b"select " + b"(" * TEN_MEGABYTES, "too-large"),
    "10 MB that are no text": (lambda: b"\xff" * TEN_MEGABYTES, "too-large"),
    "a byte that is no text": (lambda: b"select n where task = '\xff'", "not-utf8"),
    "half of a character": (lambda: b"select n where task = '\xed\xa0\x80'", "not-utf8"),
    "UTF-16": (lambda: "select n".encode("utf-16"), "not-utf8"),
    "a zero": (lambda: b"select n where task = '\0' from", "syntax"),
    "nothing": (lambda: b"", "missing-value"),
    "1,000 brackets": (lambda: b"select " + b"(" * 1_000 + b"n" + b")" * 1_000, "too-deep"),
    "1,000 brackets of SQL": (lambda: b"select " + b"(" * 1_000 + b"1" + b")" * 1_000 + b" from scores", "too-deep"),
    "100,000 brackets": (lambda: b"select " + b"(" * 100_000, "too-large"),
    "a number of 19,000 digits": (lambda: b"select " + b"9" * 19_000, "bad-number"),
    "a name of 19,000 characters": (lambda: b"select " + b"a" * 19_000, "unknown-column"),
}


@pytest.mark.parametrize("name", LARGE)
def test_large(name: str, store: Path, root: Path) -> None:
    data, code = LARGE[name]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "bitspec", "query", "-", "--store", store],
        input=data(),
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    said = done.stderr.decode()
    assert said.startswith(f"error[{code}]"), said[:500]
    assert len(said) < 10_000
    assert ("the query is not UTF-8: byte" in said) == (code == "not-utf8")


def test_standard_input_that_never_ends(store: Path, root: Path) -> None:
    with open("/dev/zero", "rb") as zeros:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "bitspec", "query", "-", "--store", store],
            stdin=zeros,
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 2
    assert b"error[too-large]" in done.stderr


def test_a_command_line_that_is_no_text(store: Path, root: Path) -> None:
    for query in (b"select n where task = '\xff'", b"select '\xff' from scores", b"\xff"):
        done = subprocess.run(
            [sys.executable, "-m", "bitspec", "query", query, "--store", store],
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 2
        assert b"error[bad-character]" in done.stderr, done.stderr


def test_long_queries_in_a_bounded_memory(store: Path) -> None:
    """What `test_hostile` tries in this process, in one that the system limits."""
    texts = [text for text in LONG if "\0" not in text and len(text) <= MAX_LENGTH]
    commands = [["query", text, "--store", str(store), "--timeout", "5"] for text in texts]
    for first in range(0, len(commands), 8):  # a command line has room for no more
        found = limited(commands[first : first + 8], store, memory=4 * 2**30)
        assert {took.code for took in found} <= {0, 2}
