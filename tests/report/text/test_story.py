"""A trial's story as text, word for word, and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from bitspec.report.story import Companion, Epoch, Example, Origin, Predicted, Served, Story, Trained
from bitspec.report.text.story import as_json, as_text, sections, show

KEY = "3f2a91" + "0" * 58

STORY = Story(
    key=KEY,
    status="finished",
    model="nano",
    model_source="builtin/nano",
    model_revision=None,
    model_fingerprint="weights",
    task="rte",
    data_fingerprint="data",
    seed=0,
    selection="bias",
    settings={"epochs": 2, "learning_rate": 0.004},
    score=62.25,
    best_score=63.5,
    best_epoch=1,
    metric="accuracy",
    metrics={"accuracy": 0.6225, "f1": 0.5},
    trainable=7936,
    percent=0.0932,
    head=258,
    change=0.0312,
    loss=0.6,
    seconds=6.04,
    training_examples=2490,
    validation_examples=277,
    message=None,
    started=datetime(2026, 7, 1, 12, 0, 0),
    finished=datetime(2026, 7, 1, 12, 0, 9),
    device="cpu",
    threads=1,
    values_file=f"store/values/{KEY}.safetensors",
    serves=(
        Served("quickstart", "nano", "rte", "bitfit", 0, "BitFit", is_current=True),
        Served("older", "nano", "rte", "biases", 0, "biases", is_current=False),
    ),
    pack=(Companion("ab" * 32, "frozen", "rte", 0, "finished"), Companion("cd" * 32)),
    origin=Origin(
        run=3,
        study="quickstart",
        spec="specs/quickstart.bspec",
        command="bitspec run specs/quickstart.bspec",
        began=datetime(2026, 7, 1, 11, 59, 0),
        ended=None,
        commit="0123abc",
        versions={"python": "3.11.7", "torch": "2.13.0"},
    ),
    epochs=(
        Epoch(1, 0.7, 0.65, 63.5, 3.04, {"accuracy": 0.635}),
        Epoch(2, 0.6, None, 62.25, 3.0, {"accuracy": 0.6225}),
    ),
    tensors=(
        Trained("layer.0.q.bias", "q", 0, "bias", 4, 0.125, 4, 0.125),
        Trained("layer.1.q.bias", "q", 1, "bias", 4, 0.375, 4, 0.375),
        Trained("layer.0.up.bias", "m2", 0, "bias", 16, 0.0125, 8, 0.025),
    ),
    predictions=(
        Predicted(
            "validation",
            277,
            172,
            ((0, 0, 90), (0, 1, 41), (1, 0, 64), (1, 1, 82)),
            (),
            None,
            (Example(17, 0, 1, -3.214), Example(1203, 1, 0, -2.5)),
        ),
    ),
)

GOLDEN = Path(__file__).parent / "story.txt"


def test_every_line(update_golden: bool) -> None:
    if update_golden:
        GOLDEN.write_text(as_text(STORY), "utf-8")
    assert as_text(STORY) == GOLDEN.read_text("utf-8")


def section(story: Story, title: str) -> tuple[str, ...]:
    return next(one.lines for one in sections(story) if one.title.startswith(title))


def fact(story: Story, name: str) -> str:
    lines = sections(story)[0].lines
    (found,) = (line for line in lines if line.startswith(name + " "))
    return found.removeprefix(name).strip()


def test_a_trial_that_failed() -> None:
    failed = replace(
        STORY, status="diverged", message="its loss is no number", score=None, best_score=None, best_epoch=None,
        metrics=None, trainable=None, device=None, threads=None, seconds=None, epochs=(), tensors=(), predictions=(),
        values_file=None, pack=(),
    )  # fmt: skip
    (only,) = sections(failed)
    assert only.title == "BitFit on rte, seed 0: diverged"
    assert fact(failed, "why") == "its loss is no number"
    assert not [line for line in only.lines if line.startswith(("score", "values", "pack", "device"))]


def test_what_is_not_there_is_said() -> None:
    assert fact(replace(STORY, pack=()), "pack") == "alone"
    assert fact(replace(STORY, values_file=None), "values").startswith(
        "not kept; `bitspec run specs/quickstart.bspec --keep-values`"
    )
    assert "best" not in fact(replace(STORY, best_score=62.25, best_epoch=2), "score")
    assert sections(replace(STORY, serves=()))[0].title == "bias on rte, seed 0: finished"


def test_many_epochs_companions_roles_and_classes_are_cut_and_said_to_be() -> None:
    epochs = tuple(Epoch(number, 0.5, 0.5, 60.0, 1.0, {}) for number in range(1, 101))
    lines = section(replace(STORY, epochs=epochs), "epochs")
    assert len(lines) == 22
    assert lines[-1] == "80 epochs between them are left out; `--json` has them"
    pack = tuple(Companion(f"{number:064x}", "s", "rte", number, "finished") for number in range(100))
    text = as_text(replace(STORY, pack=pack))
    assert "with 100 others:" in text
    assert "and 92 more\n" in text
    tensors = tuple(Trained(f"odd{number}", None, None, "bias", 4, number / 8, 4, number / 8) for number in range(30))
    lines = section(replace(STORY, tensors=tensors), "change")
    assert lines[1].startswith("odd29")
    assert lines[-2] == "and 10 more, which changed less; `--json` has them"
    assert lines[-1] == "most: odd29 3.6, odd28 3.5, odd27 3.4, odd26 3.2, odd25 3.1"
    confusion = tuple((one, other, 1 + one) for one in range(20) for other in (one, (one + 1) % 20))
    many = replace(STORY.predictions[0], confusion=confusion)
    lines = section(replace(STORY, predictions=(many,)), "predictions")
    assert lines[1].split() == ["label", "says", "examples"]
    assert lines[2].split() == ["19", "0", "20"]
    assert lines[14] == "and 8 more confusions, which are rarer; `--json` has them"


def test_a_regression() -> None:
    errors = (-1.0, -0.75, -0.5, 0.0, 0.25, 1.5, 2.0)
    of = Predicted("validation", 5, 0, (), errors, 0.4321, (Example(3, 5, 3.25, -1.75),))
    lines = section(replace(STORY, predictions=(of,)), "predictions")
    assert lines[0] == "prediction less label, quantiles; their mean size is 0.432"
    assert lines[1].split() == ["0%", "5%", "25%", "50%", "75%", "95%", "100%"]
    assert lines[2].split() == ["−1.000", "−0.750", "−0.500", "0.000", "0.250", "1.500", "2.000"]
    assert lines[3] == "furthest from the label:"
    assert lines[5].split() == ["3", "5", "3.25", "−1.75"]


def test_in_a_terminal_the_titles_are_bold_and_the_lines_are_the_same() -> None:
    out = io.StringIO()
    show(Console(file=out, force_terminal=True, width=60, color_system="standard", legacy_windows=False), STORY)
    written = out.getvalue()
    assert written.count("\x1b[1m") == 4
    assert written.replace("\x1b[1m", "").replace("\x1b[0m", "") == as_text(STORY)


def test_json_has_everything() -> None:
    found = json.loads(as_json(replace(STORY, score=float("nan"))))
    assert found["key"] == KEY
    assert found["score"] is None  # which JSON has no other word for
    assert found["started"] == "2026-07-01T12:00:00"
    assert found["origin"]["versions"] == {"python": "3.11.7", "torch": "2.13.0"}
    assert found["tensors"][0] == {
        "tensor": "layer.0.q.bias",
        "role": "q",
        "layer": 0,
        "kind": "bias",
        "entries": 4,
        "change": 0.125,
        "trained": 4,
        "trained_change": 0.125,
    }
    assert found["predictions"][0]["confusion"][1] == [0, 1, 41]


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a | b", "x" * 300, "[bold]no markup[/]", ":smile:"])
def test_hostile_texts_are_only_texts(text: str) -> None:
    hostile = replace(STORY, selection=text, serves=(replace(STORY.serves[0], title=text),))
    out = io.StringIO()
    show(Console(file=out, width=80), hostile)
    assert fact(hostile, "selection") == text
    assert out.getvalue().count(text) == 3
