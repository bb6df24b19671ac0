"""The ranking in a spec, from `check` to `run`."""

from __future__ import annotations

from collections.abc import Callable

SPEC = """
study example
model "builtin/nano"
task builtin/rte
train { epochs = 1 }
strategy most = topk(bias, 40, by = saliency(examples = 16))
strategy least = topk(bias, 40, by = saliency(examples = 16, order = least))
strategy lowest = bottomk(bias, 40, by = saliency(examples = 16))
"""


def test_it_works_in_every_command(bitspec: Callable[..., str]) -> None:
    assert "3 trials" in bitspec("check", "study.bspec", spec=SPEC)
    shown = bitspec("show", "study.bspec")
    assert "saliency(examples = 16, order = most): the size of value times gradient" in shown
    assert "known once it was run" in shown
    assert "3 never trained" in bitspec("plan", "study.bspec")
    bitspec("run", "study.bspec", "--workers", "1")
    assert "as trained on builtin/rte, seed 0" in bitspec("show", "study.bspec")
    query = "select strategy, tensor, trained from changes order by tensor"
    found = [line.split(",") for line in bitspec("query", query, "-f", "csv").splitlines()[1:]]
    least, lowest = ([row[1:] for row in found if row[0] == name] for name in ("least", "lowest"))
    assert least
    assert least == lowest  # the other end, said in two ways


def test_its_mistakes_are_told_as_those_of_other_rankings(bitspec: Callable[..., str]) -> None:
    spec = (
        SPEC
        + "strategy bad = topk(bias, 40, by = saliency(order = lest))\nstrategy worse = topk(bias, 4, by = salience)\n"
    )
    said = bitspec("check", "study.bspec", spec=spec, code=2)
    assert "`order` cannot be `lest`" in said
    assert "did you mean `least`?" in said
    assert "did you mean `saliency`?" in said
