"""Runs of the local runner, and what a model's file says of them: the slow oracle of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from bitspec.ir.events import Event, Failed, Finished, Started
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedTensor
from bitspec.language.load import loads
from bitspec.parameters.cache import catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.runners.local import LocalRunner
from bitspec.runners.plan import Plan, plan
from bitspec.runners.protocol import Queue, Work
from bitspec.training.model import Prepared
from tests.lab import SPEC
from tests.training.small import dense

#: What every study of the tests begins with: all but its strategies.
HEAD = SPEC.partition("strategy ")[0]

Weights: TypeAlias = Mapping[str, npt.NDArray[np.float32]]


def planned(spec: str, folder: Path, statuses: Mapping[str, str] | None = None, **options: Any) -> Plan:
    """The plan of a spec whose paths start from a folder."""
    return plan(loads(spec, allow_outside=True), statuses or {}, base=folder, **options)


@dataclass(frozen=True)
class Ran:
    """A run that came to its end. `is_restored` tells before each trial, and in the end, if the model was as before."""

    plan: Plan
    events: tuple[Event, ...]
    is_restored: tuple[bool, ...] = ()

    def cell(self, strategy: str, seed: int = 0) -> Planned:
        """The first cell of a strategy and a seed."""
        return next(cell for cell in self.plan.cells if (cell.trial.strategy, cell.trial.seed) == (strategy, seed))

    def of(self, strategy: str, seed: int = 0) -> list[Event]:
        """The events of a trial."""
        return [event for event in self.events if event.key == self.cell(strategy, seed).key]

    def finished(self, strategy: str, seed: int = 0) -> Finished:
        """How a trial was finished."""
        (event,) = (event for event in self.of(strategy, seed) if isinstance(event, Finished))
        return event

    def failed(self, strategy: str, seed: int = 0) -> Failed:
        """How a trial failed."""
        (event,) = (event for event in self.of(strategy, seed) if isinstance(event, Failed))
        return event


def ran(
    spec: str, folder: Path, *, backwards: bool = False, data_dir: Path | None = None, keep_values: bool = True
) -> Ran:
    """Run a spec whose paths start from a folder, from the first trial to the last or the other way round."""
    found = planned(spec, folder, data_dir=data_dir)
    packs = found.packs()[::-1] if backwards else found.packs()
    work = Work(loads(spec, allow_outside=True), folder, data_dir, "cpu", keep_values)
    events: list[Event] = []
    is_restored: list[bool] = []
    with _loaded() as models:
        for event in LocalRunner(workers=1).run(work, Queue(packs)):
            if isinstance(event, Started):  # bound to a trial, but not trained: its values are those of the file
                is_restored.append(_is_pretrained(models[-1], folder))
            events.append(event)
        is_restored.append(all(_is_pretrained(model, folder) for model in models))
    return Ran(found, tuple(events), tuple(is_restored))


@contextmanager
def _loaded() -> Iterator[list[Prepared]]:
    """The models that are loaded meanwhile."""
    from bitspec.training import model

    found: list[Prepared] = []
    prepare = model.prepare

    def noting(*arguments: Any, **options: Any) -> Prepared:
        found.append(prepare(*arguments, **options))
        return found[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model, "prepare", noting)
        yield found


def _is_pretrained(prepared: Prepared, folder: Path) -> bool:
    before, now = weights(folder), dict(prepared.model.named_parameters())
    return all(
        now[name].detach().numpy().tobytes() == tensor.tobytes()
        for name, tensor in before.items()
        if name in now and name not in prepared.head
    )


def weights(folder: Path) -> Weights:
    """The tensors in the file of a lab's model, by full name."""
    return load_file(folder / "model" / "model.safetensors")


def facts(folder: Path) -> Catalogue:
    """The catalogue of a lab's model."""
    return catalogue("model", base=folder)


def by_name(folder: Path) -> Callable[[str], npt.NDArray[np.float32]]:
    """A tensor's values by its name in the catalogue, as `topk` asks for them."""
    known, tensors = facts(folder), weights(folder)
    return lambda name: tensors[known.full_name(known[name])]


def after(before: npt.NDArray[np.float32], trained: TrainedTensor) -> npt.NDArray[np.float32]:
    """A tensor with its trained values put in."""
    values = before.copy()
    values[dense(trained.mask, trained.shape).numpy()] = trained.values
    return values


def trained(finished: Finished) -> Mapping[str, TrainedTensor]:
    """What a trial trained, which is kept in these tests."""
    assert finished.values is not None
    return finished.values.tensors


def without_time(finished: Finished) -> dict[str, Any]:
    """All numbers of a result that do not tell the time."""
    content = finished.result.model_dump(exclude={"seconds"})
    for epoch in content["epochs"]:
        del epoch["seconds"]
    return content
