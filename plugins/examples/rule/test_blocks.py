"""The rule in a spec, from `check` to `run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

SPEC = """
study example
model "builtin/nano"
task builtin/rte
train { epochs = 1 }
strategy blocks = block(all, 0.1%, size = 16)
strategy single = block(bias, 8, size = 1, seed = 7)
"""


def test_it_works_in_every_command(bitspec: Callable[..., str], tmp_path: Path) -> None:
    assert "2 trials" in bitspec("check", "study.bspec", spec=SPEC)
    shown = bitspec("show", "study.bspec")
    assert "block(size = 16): a sample of blocks of neighbouring entries; blocks" in shown
    counts = {
        one["name"]: one["least"]
        for one in json.loads(bitspec("show", "study.bspec", "--json"))["models"][0]["strategies"]
    }
    assert counts == {"blocks": 256, "single": 8}  # 0.1 % of 265,280 parameters is 265: 16 blocks of 16
    bitspec("fmt", "study.bspec")
    assert "strategy blocks = block(all, 0.1%, size = 16)" in (tmp_path / "study.bspec").read_text("utf-8")
    assert "2 never trained" in bitspec("plan", "study.bspec")
    bitspec("run", "study.bspec", "--workers", "1")
    assert "256" in bitspec("query", "select max(trainable) by strategy", "-f", "csv")
    assert "nothing to train" in bitspec("run", "study.bspec")


def test_its_mistakes_are_told_as_those_of_other_rules(bitspec: Callable[..., str]) -> None:
    wrong = """
study example
model "builtin/nano"
task builtin/rte
train { epochs = 1 }
strategy a = block(all, 0.1%, sise = 16)
strategy b = block(all, 0.1%, size = 0)
strategy c = block(all)
strategy d = block(all, 9, per = tensor)
strategy e = blok(all, 9)
"""
    said = bitspec("check", "study.bspec", spec=wrong, code=2)
    assert "`block` has no argument called `sise`" in said
    assert "did you mean `size`?" in said
    assert "`size` cannot be `0`" in said
    assert "it is a whole number from 1" in said
    assert "`block` needs an amount" in said
    assert "write for example `block(all, 0.1%, size = 16)`" in said
    assert "`block` has no argument called `per`" in said
    assert "did you mean `block`?" in said


def test_what_it_refuses_is_told_at_its_place(bitspec: Callable[..., str]) -> None:
    spec = 'study example\nmodel "builtin/nano"\ntask builtin/rte\ntrain { epochs = 1 }\nstrategy a = block(all, 9)\n'
    said = bitspec("show", "study.bspec", spec=spec, code=2)
    assert "no block of 16 entries fits into 9" in said
    assert "study.bspec:5:14" in said
    assert "ask for 16 or more, or for smaller blocks" in said


def test_its_version_is_in_the_keys(bitspec: Callable[..., str]) -> None:
    from importlib.metadata import entry_points

    from bitspec import registry
    from bitspec.ir.trials import trials
    from bitspec.language.load import loads

    assert [one.dist.name for one in entry_points(group="bitspec.rules", name="block") if one.dist] == [
        "bitspec-blocks"
    ]
    (first, *_) = trials(loads(SPEC))
    assert dict(first.versions) == {"rule block": "1"}
    assert registry.version("rule", "rand") is None
