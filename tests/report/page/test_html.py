"""The page as a text: well formed, in one piece, and closed to what it is of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bitspec.report.page import tables
from bitspec.report.page.contents import Report
from bitspec.report.page.figures import figures
from bitspec.report.page.html import as_html
from tests.report.page.conftest import HOSTILE, report_of

#: Elements without an end.
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, and its texts, scripts left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)

    def all(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


def page_of(report: Report) -> Page:
    return Page(as_html(report, figures(report)))


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return page_of(report)


def test_every_element_ends(page: Page) -> None:
    assert page.open == []


def test_every_link_leads_somewhere(page: Page) -> None:
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    links = page.all("href")
    assert {link for link in links if not link.startswith("#")} == set()
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {"#questions", "#question-1", "#question-2", "#scores", "#changes", "#warnings", "#provenance"} <= set(links)
    labels = page.all("aria-labelledby")
    assert len(labels) == 6
    assert set(labels) <= set(ids)


def test_landmarks(page: Page) -> None:
    names = [tag for tag, _ in page.elements]
    assert [names.count(one) for one in ("header", "nav", "main", "footer", "h1", "noscript")] == [1] * 6
    assert page.all("lang") == ["en"]
    assert names.index("a") < names.index("nav")  # the link that skips to the content comes first


def test_nothing_is_asked_for(page: Page) -> None:
    assert page.all("src") == []
    assert not [tag for tag, _ in page.elements if tag in {"link", "iframe", "img", "object", "base"}]


def test_only_the_scripts_of_the_page_may_run(page: Page) -> None:
    (policy,) = [one for one in page.all("content") if one.startswith("default-src")]
    charts, library, script = page.scripts
    assert [kind for tag, kind in page.elements if tag == "script"] == [
        {"type": "application/json", "id": "charts"}, {}, {},
    ]  # fmt: skip
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (library, script)]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert [name for name in page.all("id") if name in json.loads(charts)] == list(json.loads(charts))


def test_every_chart_has_its_caption(report: Report, page: Page) -> None:
    charts: dict[str, Any] = json.loads(page.scripts[0])
    drawn = figures(report).all
    assert list(charts) == [f"chart-{figure.name}" for figure in drawn]
    assert [figure.number for figure in drawn] == list(range(1, 9))
    for figure in drawn:
        assert "title" not in figure.chart
        assert "n " in " ".join(figure.caption)
        assert figure.chart["description"].startswith(figure.heading)
        assert set(figure.caption) <= set(page.texts)


def test_verdicts_are_words_and_shapes(page: Page) -> None:
    text = "".join(page.texts)
    assert text.count("○ undecided") == 4
    assert "BitFit > Gammas" in text
    assert "BitFit >= Sample - 1" in text


def test_cells_lead_to_their_trials(page: Page) -> None:
    cells = [link for link in page.all("href") if link.startswith("#trials-")]
    assert len(cells) == len(set(cells)) == 10
    keys = [attributes["title"] for tag, attributes in page.elements if tag == "code" and "title" in attributes]
    assert len(keys) == 30
    assert {len(key or "") for key in keys} == {64}


def test_a_long_list_of_trials_is_cut(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_TRIALS", 4)
    monkeypatch.setattr(tables, "MOST_ROWS", 2)
    page = page_of(report_of(reported))
    text = "".join(page.texts)
    assert "4 of 30 finished trials; " in text
    assert 'bitspec query "select strategy, task, seed, score, key from scores" lists all' in text
    assert "3 more strategies left out" in text
    assert [link for link in page.all("href") if link.startswith("#trials-")] == ["#trials-0", "#trials-1"]


def test_hostile_names_stay_in_their_places(hostile_report: Report) -> None:
    text = as_html(hostile_report, figures(hostile_report))
    page = Page(text)
    assert page.open == []
    assert len(page.scripts) == 3
    assert text.lower().count("<script") == text.lower().count("</script") == 3
    assert "<!--" not in text.partition("<script")[0]
    assert "img" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f]", text)
    assert HOSTILE[0] in "".join(page.texts)
    assert HOSTILE[1] in page.texts
    assert json.loads(page.scripts[0])


def test_names_are_isolated_from_the_direction_of_others(hostile_report: Report) -> None:
    text = as_html(hostile_report, figures(hostile_report))
    assert "<bdi>\ufffdabc\ufffd \u05d0\u05d1\u05d2 \ufffd</bdi>" in text


def test_a_report_without_most_of_it(answer: Callable[..., Path]) -> None:
    spec = """
        study nothing  model nano = "builtin/nano"  task builtin/rte  seeds 0  train { epochs = 2 }
        strategy frozen = none
    """
    page = page_of(report_of(answer(spec)))
    assert page.open == []
    text = "".join(page.texts)
    assert "The study asks no question." in text
    assert "There is one run in each cell" in text
    assert "changes" not in page.all("id")
