"""What is said of texts that are too much: their limits are made small here, and tried out in test_pathological.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError, Source
from bitspec.language import load
from bitspec.language.load import analyse

USES = 'use "one.bspec"\nuse "two.bspec"\n'


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        body = " ".join(f"group {name}_{number} = bias" for number in range(20))
        (tmp_path / f"{name}.bspec").write_text(body, "utf-8")


def said(text: str) -> str:
    """The one thing that is wrong with a text: where, what, and what to do about it."""
    try:
        (found,) = analyse(Source("f", text)).diagnostics
    except BitspecError as problem:
        (found,) = problem.diagnostics
    return f"{found.code} {found.summary} | {found.help}"


def test_half_of_a_character() -> None:
    assert said('group g = bias where name ~ "\ud800"') == (
        "bad-character f:1:30: this is half of a character | write the whole of it, or take it away"
    )


def test_words_of_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_WORDS", 100)
    assert said(USES) == (
        "too-long f:2:5: with `two.bspec`, the files that are used have more than 100 words "
        "| make several studies of it"
    )


def test_files_that_use_each_other_one_through_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_CHAIN", 0)
    Path("zero.bspec").write_text('use "one.bspec"\n', "utf-8")
    assert said('use "zero.bspec"\n') == (
        "too-many zero.bspec:1:5: more than 0 files use each other, one through the other "
        "| put what they have in common into one file"
    )


def test_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_FILES", 1)
    assert said(USES) == "too-many f:2:5: these are more than 1 files | put their groups into fewer files"


def test_loops_of_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_WRITTEN", 30)
    for name in ("one", "two"):
        Path(f"{name}.bspec").write_text(f"for n in 1..9 {{ group {name}_$n = bias }}", "utf-8")
    assert said(USES) == (
        "too-many f:2:5: the loops of the files that are used make more than 30 words | make several studies of it"
    )


def test_texts_in_texts() -> None:
    text = f"for r in {{'{'x' * 9_000}'}} {{ strategy s '$r$r' = bias }}\n"
    assert said(text).partition(" f:")[2].partition(": ")[2] == (
        "with the values of its loops, this has more than 10,000 characters | write a shorter text"
    )
