"""Charts against what they were when somebody last looked at them: Vega-Lite's JSON, one file a chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt

FOLDER = Path(__file__).parent / "golden"


def check_golden(name: str, chart: dict[str, Any], *, update: bool) -> None:
    """That a chart is right by Vega-Lite's schema and as its file has it; with `update` the file is written anew."""
    alt.Chart.from_dict(chart)  # raises where it is not right
    text = json.dumps(chart, ensure_ascii=False, indent=1) + "\n"
    file = FOLDER / f"{name}.json"
    if update:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert json.loads(text) == json.loads(file.read_text("utf-8")), "see what changed with `--update-golden`"
