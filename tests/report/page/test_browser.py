"""The page in a real Chromium: it draws every chart, asks nobody for anything, sorts, is used by keyboard, and prints."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from bitspec.report.page.contents import Report
from bitspec.report.page.figures import figures
from bitspec.report.page.output import save
from tests.report.page.conftest import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@dataclass
class Opened:
    """A page in the browser, what it wrote to the console, and what it asked for."""

    page: Page
    report: Report
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def dismiss(self, dialog: Dialog) -> None:
        """Close a dialog, and note what it said."""
        self.said.append(dialog.message)
        dialog.dismiss()

    def column(self, table: int, column: int) -> list[str]:
        """The texts of a column of a table."""
        rows = self.page.locator("table").nth(table).locator("tbody tr")
        return [row.locator("th, td").nth(column).inner_text().split("\n")[0] for row in rows.all()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        # A container has no sandbox to give to a browser that runs as root.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def open_page(browser: Browser, folder: Path, report: Report, width: int = 1280) -> Opened:
    save(report, folder / "report.html")
    page = browser.new_page(viewport={"width": width, "height": 900})
    opened = Opened(page, report)
    page.on("console", lambda message: opened.said.append(message.text))
    page.on("pageerror", lambda problem: opened.said.append(str(problem)))
    page.on("dialog", opened.dismiss)
    page.on("request", lambda request: opened.asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("html[data-charts=drawn]", timeout=20_000)
    return opened


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Report, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_page(browser, tmp_path_factory.mktemp("page"), report)


def test_nothing_is_said_and_nobody_is_asked(opened: Opened) -> None:
    assert opened.said == []
    assert [url.partition(":")[0] for url in opened.asked if not url.startswith("data:")] == ["file"]


def test_every_chart_is_drawn(opened: Opened) -> None:
    drawn = figures(opened.report).all
    charts = opened.page.locator("figure .chart svg.marks")
    assert charts.count() == len(drawn) == 8
    for chart in charts.all():
        marks = chart.locator(
            "g.mark-symbol path, g.mark-rect path, g.mark-rule line, g.mark-line path, g.mark-text text"
        )
        assert marks.count() > 5
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 60


def test_a_click_sorts_a_table(opened: Opened) -> None:
    table = opened.page.locator("table").first
    heading = table.locator("thead th").nth(4)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert opened.column(0, 0) == ["BitFit", "Sample", "Upper", "Gammas", "Frozen"]
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert opened.column(0, 0) == ["Frozen", "Gammas", "Upper", "Sample", "BitFit"]
    assert table.locator("[aria-sort]").count() == 1
    table.locator("thead th").first.locator("button").click()
    assert opened.column(0, 0) == ["Frozen", "BitFit", "Gammas", "Sample", "Upper"]  # the order of the spec


def test_the_keyboard_sorts_a_table(opened: Opened) -> None:
    heading = opened.page.locator("#trials table thead th").nth(3)
    heading.locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    scores = [float(text) for text in opened.column(opened.page.locator("table").count() - 1, 3)]
    assert scores == sorted(scores, reverse=True)
    opened.page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "ascending"


def test_the_keyboard_reaches_the_content(opened: Opened) -> None:
    opened.page.reload()
    opened.page.wait_for_selector("html[data-charts=drawn]")
    opened.page.keyboard.press("Tab")
    focused = opened.page.locator(":focus")
    assert focused.inner_text() == "Skip to the content"
    assert focused.evaluate("link => link.getBoundingClientRect().top >= 0")
    opened.page.keyboard.press("Enter")
    assert opened.page.url.endswith("#content")


def test_a_cell_leads_to_its_trials(opened: Opened) -> None:
    opened.page.locator("#trials details").evaluate("details => { details.open = false; }")
    opened.page.locator("table").first.locator("tbody tr").nth(1).locator("td a").first.click()
    shown = opened.page.locator("tr.is-shown")
    opened.page.wait_for_selector("tr.is-shown")
    assert shown.count() == 3
    assert {row.locator("th").inner_text() for row in shown.all()} == {"BitFit"}
    assert shown.first.is_visible()


def test_it_fits_on_a_small_screen(browser: Browser, report: Report, tmp_path: Path) -> None:
    opened = open_page(browser, tmp_path, report, width=380)
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 380
    opened.page.close()


def test_it_prints(opened: Opened) -> None:
    content = opened.page.pdf(format="A4")
    assert content.startswith(b"%PDF")
    opened.page.emulate_media(media="print")
    opened.page.set_viewport_size({"width": 673, "height": 900})  # A4 without its margins
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    opened.page.emulate_media(media="screen")
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    assert width <= 673


def test_hostile_names_run_nothing(browser: Browser, hostile_report: Report, tmp_path: Path) -> None:
    opened = open_page(browser, tmp_path, hostile_report)
    assert opened.said == []
    assert [url.partition(":")[0] for url in opened.asked if not url.startswith("data:")] == ["file"]
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("h1").inner_text() == HOSTILE[0]
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280
    opened.page.close()
