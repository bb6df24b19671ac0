"""A store of a small study, whose changes are few enough to be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.ir.events import Change
from bitspec.ir.trials import Planned
from bitspec.store.store import Store
from tests.store.conftest import Lab, lab

__all__ = ["lab"]

SPEC = """
study moved "What moved"
model nano = "builtin/nano"
task builtin/cola, builtin/rte
seeds 0, 1
train { epochs = 1 }
strategy frozen "Frozen"    = none
strategy bitfit "BitFit"    = bias
strategy sample "Rand bias" = rand(bias, 10)
strategy gamma1 "g_LN1"     = gamma where role == ln1
"""


def change(tensor: str, role: str | None, layer: int | None, kind: str, entries: int, value: float) -> Change:
    """A change over all entries of a tensor."""
    return Change(
        tensor=tensor,
        role=role,
        layer=layer,
        kind=kind,
        entries=entries,
        trained=entries,
        change=value,
        trained_change=value,
    )


def moved(cell: Planned) -> tuple[Change, ...]:
    """What a trial of SPEC changed: seed 1 moves everything by twice as much, and its sample passes over a tensor."""
    seed, strategy = cell.trial.seed, cell.trial.strategy
    if strategy == "frozen":
        return ()
    if strategy == "gamma1":
        return tuple(change(f"layer.{layer}.ln1.weight", "ln1", layer, "gamma", 4, 0.02) for layer in range(2))
    if strategy == "sample":
        there = [change("layer.0.q.bias", "q", 0, "bias", 4, 0.1), change("layer.1.q.bias", "q", 1, "bias", 4, 0.1)]
        return tuple(there[: 2 - seed])
    return tuple(
        change(tensor, role, layer, "bias", entries, value * (1 + seed))
        for tensor, role, layer, entries, value in (
            ("layer.0.q.bias", "q", 0, 4, 0.1),
            ("layer.1.q.bias", "q", 1, 4, 0.3),
            ("layer.0.up.bias", "m2", 0, 12, 0.01),
            ("layer.0.gate.bias", "m2", 0, 4, 0.05),
            ("layer.1.up.bias", "m2", 1, 16, 0.03),
            ("pooler.bias", "pooler", None, 4, 0.2),
        )
    )


#: The same on one task.
SMALL = SPEC.replace("builtin/cola, ", "")

Fill = Callable[..., Path]


@pytest.fixture
def fill(lab: Lab) -> Fill:
    """Fills a store with the finished trials of a spec, and gives its folder."""

    def run(
        spec: str = SMALL,
        changes: Callable[[Planned], tuple[Change, ...]] = moved,
        skip: Callable[[Planned], bool] = lambda _: False,
    ) -> Path:
        for cell in lab.begin(spec):
            if not skip(cell) and lab.store.statuses().get(cell.key) != "finished":
                lab.record(cell, changes=changes(cell))
        lab.store.end(lab.runs[-1])
        return lab.store.folder

    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which SPEC is finished; for reading."""
    lab = Lab(Store(tmp_path_factory.mktemp("moved") / "store"))
    for cell in lab.begin(SPEC):
        lab.record(cell, changes=moved(cell))
    return lab.store.folder
