"""What is fuzzed: any text must come to a study or a query, or to messages, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from bitspec.diagnostics import BitspecError, Diagnostic, Source
from bitspec.ir.canonical import Canonical
from bitspec.language import build, limits
from bitspec.language.formatter import format_text
from bitspec.language.load import analyse
from bitspec.query import complaints
from bitspec.query.compile import compile_query, view_of
from bitspec.query.dialect import check_nesting, is_short, mentioned
from bitspec.query.parser import check_length, parse
from bitspec.store.views import VIEWS
from tests.query.relations import Names, relations

#: Seconds of the processor that an input may take.
SECONDS = 1.0

#: What loops may write is limited to a tenth here: all of it takes two seconds, however short the text that asks for it.
_LOOPS = {"MAX_REPEATED": limits.MAX_REPEATED // 10, "MAX_WRITTEN": limits.MAX_WRITTEN // 10}


def read_spec(text: str) -> None:
    """A text as a spec: parsed, checked, put into the canonical form, and laid out."""
    source = Source("<fuzz>", text)
    analysis = analyse(source)
    _assert_said(analysis.diagnostics, text)
    if not analysis.is_right:
        assert analysis.diagnostics
        return
    canonical = Canonical(analysis.study.selections)
    assert all(canonical.text(selection) for selection in analysis.study.selections.values())
    laid_out = format_text(source)
    assert format_text(Source("<fuzz>", laid_out)) == laid_out


def compile_a_query(text: str) -> None:
    """A text as a query: told which language it is in, and compiled if it is in ours."""
    source = Source("<fuzz>", text)
    try:
        check_length(source)
        check_nesting(source)
        if not is_short(source):
            mentioned(text)
            complaints.not_a_select(source, "UPDATE")
            return
        query = parse(source)
        relation = relations()[view_of(source, query, list(VIEWS))]
        compiled = compile_query(source, query, relation, Names())
        assert str(compiled)
    except BitspecError as problem:
        _assert_said(problem.diagnostics, text)


def _assert_said(diagnostics: tuple[Diagnostic, ...], text: str) -> None:
    for found in diagnostics:
        assert found.code
        assert found.message
        assert len(found.render()) < 20_000
        assert found.span is None or 0 <= found.span.start <= found.span.end <= len(text) + 1


def within_its_time(target: Callable[[str], None], text: str) -> None:
    """Run a target on a text, and hold it to SECONDS; what seems to take longer has a second try."""
    taken = 0.0
    for _ in range(2):
        begun = time.process_time()
        target(text)
        taken = time.process_time() - begun
        if taken < SECONDS:
            return
    raise AssertionError(f"{len(text):,} characters took {taken:.2f} s: {text[:2000]!r}")


@contextmanager
def prepared() -> Iterator[None]:
    """While inputs are tried: loops are short, and grammars and tables are there, with which the first is not charged."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in _LOOPS.items():
            patched.setattr(build, name, value)
        _warm_up()
        yield


def _warm_up() -> None:
    for text in ("strategy = a", "group g = bias where name ~ 'x'", "a b", "$"):
        read_spec(text)
    for text in ("select n", "select", "select mean(score) by strategi", "select 1 from scores"):
        with suppress(BitspecError):
            compile_a_query(text)
