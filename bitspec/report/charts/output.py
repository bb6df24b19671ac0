"""Charts as files: a page that works without a network, SVG, PNG, PDF, or Vega-Lite's own JSON.

Charts are Altair's; what is written is the Vega-Lite that they come to.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bitspec.diagnostics import BitspecError, did_you_mean, error, listed
from bitspec.whole import replace

if TYPE_CHECKING:
    from altair.typing import ChartType

#: A chart as Vega-Lite's JSON has it.
_Spec: TypeAlias = dict[str, Any]

#: Pixels of a PNG for each of the chart's own.
_PNG_SCALE: Final = 2

#: The page asks nobody for anything, and the chart's menu leads nowhere either.
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
</head>
<body>
<div id="chart"></div>
<script>{program}</script>
<script>
const chart = {chart};
const actions = {{export: true, source: false, compiled: false, editor: false}};
vegaEmbed("#chart", chart, {{renderer: "svg", actions}}).catch(console.error);
</script>
</body>
</html>
"""


@cache
def library() -> str:
    """The script that draws charts in a page, as `window.vegaEmbed`."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _html(chart: _Spec, title: str) -> bytes:
    # A title from a spec must not end the script that it stands in.
    text = json.dumps(chart, ensure_ascii=False).replace("<", "\\u003c")
    return _PAGE.format(title=html.escape(title), program=library(), chart=text).encode()


def _svg(chart: _Spec, _: str) -> bytes:
    import vl_convert

    return vl_convert.vegalite_to_svg(chart, allowed_base_urls=[]).encode()


def _png(chart: _Spec, _: str) -> bytes:
    import vl_convert

    return vl_convert.vegalite_to_png(chart, scale=_PNG_SCALE, allowed_base_urls=[])


def _pdf(chart: _Spec, _: str) -> bytes:
    import vl_convert

    return vl_convert.vegalite_to_pdf(chart, allowed_base_urls=[])


def _json(chart: _Spec, _: str) -> bytes:
    return json.dumps(chart, ensure_ascii=False, indent=1).encode() + b"\n"


#: The forms of a chart by the endings of files.
FORMS: Final[Mapping[str, Callable[[_Spec, str], bytes]]] = MappingProxyType(
    {".html": _html, ".svg": _svg, ".png": _png, ".pdf": _pdf, ".json": _json}
)


def check_form(path: Path, forms: Collection[str] = FORMS, what: str = "a chart") -> None:
    """Raise BitspecError if a file's ending is none of these."""
    if path.suffix.lower() in forms:
        return
    wrong = f"`{path.suffix}` is no form of {what}" if path.suffix else f"`{path}` has no ending that says its form"
    hint = did_you_mean(path.suffix, forms) or f"give it the ending {listed(forms)}"
    raise BitspecError(error("unknown-form", wrong, help=hint))


def save(chart: ChartType, path: Path, title: str) -> None:
    """Write a chart to a file, in the form that its ending stands for; `title` is that of a page.

    Raises BitspecError if there is no such form, or the file cannot be written.
    """
    check_form(path)
    spec = chart.to_dict(validate=False)  # as it was built: the tests check charts, and that takes a while
    write(path, FORMS[path.suffix.lower()](spec, title))


def write(path: Path, content: bytes) -> None:
    """Write a file, and the folders that it lies in. Raises BitspecError if it cannot; then it is as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content, in_place=True)
    except OSError as problem:
        message = f"`{path}` cannot be written: {problem.strerror or problem}"
        raise BitspecError(error("unwritable-file", message, help="choose another place with `-o`")) from None
