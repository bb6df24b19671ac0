"""A report of a study whose numbers are made up by hand, and what is hostile in one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bitspec.report.choices import Choice
from bitspec.report.page.contents import Given, Report, read
from bitspec.report.page.provenance import Made
from tests.report.conftest import ASKED, filled_store

MADE = Made("bitspec report", "1.2.3", datetime(2026, 7, 2, 12, 30, tzinfo=UTC), Path("store"))

#: The study with what others report of it.
REPORTED = ASKED + 'reported "arXiv:2106.10199" { bitfit: cola 56.4, rte 70.5  frozen: rte 56.9 }\n'

#: Labels and titles that try to leave their place: in a page, a script, JSON, Markdown, LaTeX, a terminal.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)> & <!-- --> ]]>",
    "| a | [b](http://example.invalid) `c` ![d](e)",
    r"\input{/etc/passwd} $x_1^2$ % # & ~ {",
    "\u202eabc\u2066 \u05d0\u05d1\u05d2 \u200f",
    "[] * \\\\ \u4e2d\u6587 \U0001f600 \u0105\u0301 \ufdd0",
    "x" * 300,
)


def hostile(spec: str) -> str:
    """A spec whose labels, title, questions and sources are hostile."""
    names = [
        '"What was asked"', '"Frozen"', '"BitFit"', '"Gammas"', '"Is BitFit better?"',
        '"Does a larger change mean a better score?"', '"arXiv:2106.10199"',
    ]  # fmt: skip
    for place, name in enumerate(names):
        text = HOSTILE[place % len(HOSTILE)]
        assert name in spec
        spec = spec.replace(name, f'"{text}"')
    return spec


def report_of(store: Path, given: Given | None = None, **chosen: Any) -> Report:
    """The report of a store's latest study."""
    return read(store, Choice(**chosen), MADE, given)


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which REPORTED is finished; for reading."""
    return filled_store(tmp_path_factory.mktemp("reported") / "store", REPORTED)


@pytest.fixture(scope="session")
def report(reported: Path) -> Report:
    """The report of REPORTED."""
    return report_of(reported)


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The same under hostile names."""
    return report_of(filled_store(tmp_path_factory.mktemp("hostile") / "store", hostile(REPORTED)))
