"""Charts as files: each form is what its name says, asks nobody for anything, and runs nothing of a spec's."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.report.changes import read
from bitspec.report.charts.heatmap import draw as draw_heatmap
from bitspec.report.charts.output import check_form, save
from bitspec.report.choices import Choice
from tests.report.conftest import SPEC, Fill

EVIL = "</script><script>alert(1)</script><!-- & {x}"


@pytest.fixture
def chart(store: Path) -> alt.HConcatChart:
    return draw_heatmap(read(store, Choice(tasks=("rte",))))


def texts(svg: str) -> list[str]:
    return [part.text or "" for part in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_an_svg_has_every_label(chart: alt.HConcatChart, tmp_path: Path) -> None:
    save(chart, tmp_path / "x.svg", "moved")
    said = texts((tmp_path / "x.svg").read_text("utf-8"))
    assert {"What moved", "BitFit", "Rand bias", "g_LN1", "b_q", "g_ln1", "mean |Δ|", "Avg.", "2 seeds"} <= set(said)
    assert "layer, counted from 1" in said
    assert "0.30" in said  # the mean of b_q
    assert said.count("mean |Δ|") == 1  # one legend for all


def test_a_png_has_twice_the_pixels(chart: alt.HConcatChart, tmp_path: Path) -> None:
    save(chart, tmp_path / "x.PNG", "moved")
    save(chart, tmp_path / "x.svg", "moved")
    content = (tmp_path / "x.PNG").read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", content[16:24])
    svg = ElementTree.fromstring((tmp_path / "x.svg").read_text("utf-8"))  # noqa: S314
    assert (width, height) == (
        pytest.approx(2 * float(svg.attrib["width"]), abs=2),
        pytest.approx(2 * float(svg.attrib["height"]), abs=2),
    )


def test_json_is_the_chart(chart: alt.HConcatChart, tmp_path: Path) -> None:
    save(chart, tmp_path / "x.json", "moved")
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == chart.to_dict()


def test_a_page_asks_nobody_for_anything(chart: alt.HConcatChart, tmp_path: Path) -> None:
    save(chart, tmp_path / "x.html", "What <moved>")
    page = (tmp_path / "x.html").read_text("utf-8")
    assert not re.search(r"src=|href=|url\(|@import", re.sub(r"(?s)<script>.*?</script>", "", page))
    assert "<script>" in page
    assert "default-src 'none'" in page
    assert "<title>What &lt;moved&gt;</title>" in page
    assert "vegaEmbed" in page
    ((_, program),) = re.findall(r"const (chart) = (.*);\n", page)
    assert json.loads(program) == chart.to_dict()


def test_text_of_a_spec_cannot_leave_its_place_in_a_page(fill: Fill, tmp_path: Path) -> None:
    folder = fill(SPEC.replace("What moved", EVIL).replace("BitFit", EVIL))
    chart = draw_heatmap(read(folder, Choice(tasks=("rte",))))
    save(chart, tmp_path / "x.html", EVIL)
    page = (tmp_path / "x.html").read_text("utf-8")
    assert page.count("<script>") == page.count("</script>") == 2
    assert "<!--" not in page
    assert "alert(1)" in page
    save(chart, tmp_path / "x.svg", EVIL)
    assert EVIL in texts((tmp_path / "x.svg").read_text("utf-8"))


def test_folders_are_made(chart: alt.HConcatChart, tmp_path: Path) -> None:
    save(chart, tmp_path / "a" / "b" / "x.json", "moved")
    assert (tmp_path / "a" / "b" / "x.json").exists()


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("x.pngg", "`.pngg` is no form of a chart", "did you mean `.png`?"),
        ("x.gif", "`.gif` is no form of a chart", "give it the ending `.html`, `.svg`, `.png`, `.pdf` or `.json`"),
        (
            "heatmap",
            "`heatmap` has no ending that says its form",
            "give it the ending `.html`, `.svg`, `.png`, `.pdf` or `.json`",
        ),
    ],
)
def test_forms_that_there_are_not(name: str, message: str, hint: str) -> None:
    with pytest.raises(BitspecError) as found:
        check_form(Path(name))
    (diagnostic,) = found.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == ("unknown-form", message, hint)


def test_a_file_that_cannot_be_written(chart: alt.HConcatChart, tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    (tmp_path / "file").write_text("", "utf-8")
    for place in ("x.json", "file/x.json"):
        with pytest.raises(BitspecError, match="cannot be written") as found:
            save(chart, tmp_path / place, "moved")
        assert found.value.diagnostics[0].code == "unwritable-file"
