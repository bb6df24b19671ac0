"""A store of a small study, whose changes are few enough to be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitspec.ir.events import Change, Epoch
from bitspec.ir.trials import Planned
from tests.store.conftest import Lab, lab, lab_at, templates

__all__ = ["lab", "templates"]

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
        cells, done = lab.begin(spec), lab.store.statuses()
        with lab.at_once():
            for cell in cells:
                if not skip(cell) and done.get(cell.key) != "finished":
                    lab.record(cell, changes=changes(cell))
        lab.store.end(lab.runs[-1])
        return lab.store.folder

    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which SPEC is finished; for reading."""
    folder = tmp_path_factory.mktemp("moved") / "store"
    with pytest.MonkeyPatch.context() as patched:
        lab = lab_at(folder, patched)
        cells = lab.begin(SPEC)
        with lab.at_once():
            for cell in cells:
                lab.record(cell, changes=moved(cell))
    return folder


#: A study of which everything is made up by hand: scores, losses and changes from epoch to epoch and seed to seed.
ASKED = """
study asked "What was asked"
model nano = "builtin/nano"
task builtin/cola, builtin/rte
seeds 0..2
train { epochs = 3 }
strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
strategy gammas "Gammas" = gamma
strategy sample "Sample" = rand(bias, 10)
strategy upper  "Upper"  = bias where layer == -1
question "Is BitFit better?" {
  expect bitfit > gammas
  expect bitfit >= sample - 1.0
  expect gammas > frozen on rte
}
question "Does a larger change mean a better score?" { expect change correlates with score }
"""

#: The same on one task with one seed: the fewest trials.
MINIMAL = ASKED.replace("builtin/cola, ", "").replace("seeds 0..2", "seeds 0")

#: The last score of each strategy on RTE with seed 0, in points, and its mean absolute change; others have 55 and 0.03.
ASKED_SCORES = {"frozen": 50.0, "bitfit": 70.0, "gammas": 60.0, "sample": 69.5, "upper": 65.0}
ASKED_CHANGES = {"bitfit": 0.08, "gammas": 0.02, "sample": 0.04, "upper": 0.06}


def asked_result(cell: Planned) -> dict[str, Any]:
    """What a trial of ASKED comes to: each epoch gains 4 points and loses 0.1 of loss, each seed 0.5 points and 0.01."""
    trial = cell.trial
    is_cola = trial.task.name == "builtin/cola"
    luck = (0.0, 0.5, -0.25)[trial.seed] if trial.strategy == "bitfit" else 0.5 * trial.seed
    score = ASKED_SCORES.get(trial.strategy, 55.0) - 20 * is_cola + luck
    change_of = None if trial.strategy == "frozen" else ASKED_CHANGES.get(trial.strategy, 0.03)
    return {
        "epochs": tuple(
            Epoch(
                number=number,
                loss=0.8 - 0.1 * number + 0.01 * trial.seed,
                validation_loss=0.9 - 0.1 * number + 0.01 * trial.seed,
                score=score - 4.0 * (3 - number),
                metrics={"accuracy": score / 100, "matthews": score / 100},
                seconds=1.5,
            )
            for number in range(1, trial.settings.epochs + 1)
        ),
        "changes": ()
        if change_of is None
        else (change("layer.0.q.bias", "q", 0, "bias", 4, change_of * (1 + 0.1 * trial.seed)),),
    }


def filled_store(folder: Path, spec: str = ASKED) -> Path:
    """A new store in which such trials of a spec are finished, and its folder."""
    with pytest.MonkeyPatch.context() as patched:
        lab = lab_at(folder, patched)
        cells = lab.begin(spec)
        with lab.at_once():
            for cell in cells:
                lab.record(cell, **asked_result(cell))
        lab.store.end(lab.runs[-1])
    return folder


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which ASKED is finished; for reading."""
    return filled_store(tmp_path_factory.mktemp("asked") / "store")


@pytest.fixture
def answer(lab: Lab) -> Callable[..., Path]:
    """Fills a store with such trials of a spec, and gives its folder."""

    def run(
        spec: str = ASKED,
        result: Callable[[Planned], dict[str, Any]] = asked_result,
        skip: Callable[[Planned], bool] = lambda _: False,
    ) -> Path:
        cells = lab.begin(spec)
        with lab.at_once():
            for cell in cells:
                if not skip(cell):
                    lab.record(cell, **result(cell))
        lab.store.end(lab.runs[-1])
        return lab.store.folder

    return run
