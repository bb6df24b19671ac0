"""Small studies, and results for them that nobody had to train."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitspec.ir.events import Change, Epoch, Failed, Predictions, Result
from bitspec.ir.masks import AllBut, Cols, Entries, Rows, Whole
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned, trials
from bitspec.ir.values import TrainedTensor, TrainedValues
from bitspec.language.load import loads
from bitspec.store.connection import ENGINE
from bitspec.store.provenance import Provenance
from bitspec.store.records import now
from bitspec.store.store import Store

#: The user id that owns nothing.
NOBODY = 65534

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)

SPEC = """
study small "A small study"
model nano = "builtin/nano"
task cola, builtin/rte
seeds 0, 1
train { epochs = 2  learning_rate = 1e-3 }
strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
"""


def plan(spec: str, fingerprint: str = "weights", only: Sequence[str] = ()) -> tuple[Study, list[Planned]]:
    """A study and its cells, as a runner's planning would list them."""
    study = loads(spec)
    places = {strategy.name: place for place, strategy in enumerate(study.strategies)}
    return study, [
        Planned(
            trial=trial,
            key=trial.key(fingerprint, f"data of {trial.task.name}"),
            variant=trial.variant(fingerprint, f"data of {trial.task.name}"),
            title=study.strategies[places[trial.strategy]].title,
            position=places[trial.strategy],
            follows={other.strategy: other.key(fingerprint, f"data of {trial.task.name}") for other in trial.after},
        )
        for trial in trials(study)
        if not only or trial.strategy in only
    ]


def result(planned: Planned, score: float | None = None, **changed: Any) -> Result:
    """Made-up results: the same for the same key, others for another."""
    draws = np.random.default_rng(int(hashlib.sha256(planned.key.encode()).hexdigest()[:8], 16))
    epochs = tuple(
        Epoch(
            number=number,
            loss=float(draws.random()),
            validation_loss=float(draws.random()),
            score=float(draws.random() * 100) if score is None else score,
            metrics={"accuracy": float(draws.random()), "matthews": float(draws.random())},
            seconds=1.5,
        )
        for number in range(1, planned.trial.settings.epochs + 1)
    )
    moved = () if planned.trial.selection == "none" else CHANGES
    return Result(
        **{
            "key": planned.key,
            "trainable": sum(change.trained for change in moved),
            "percent": 0.25 * len(moved),
            "head": 258,
            "epochs": epochs,
            "changes": moved,
            "predictions": (
                Predictions(split="validation", labels=(0, 1, 1), predictions=(0, 1, 0), margins=(0.5, 1.25, -2.0)),
            ),
            "training_examples": 10,
            "validation_examples": 3,
            "seconds": 6.0,
            "device": "cpu",
            "threads": 1,
            "pack": (planned.key,),
            "model_fingerprint": "weights",
            "data_fingerprint": f"data of {planned.trial.task.name}",
            **changed,
        }
    )


CHANGES = (
    Change(
        tensor="encoder.layer.0.attention.self.query.bias",
        role="q",
        layer=0,
        kind="bias",
        entries=128,
        trained=128,
        change=0.125,
        trained_change=0.125,
    ),
    Change(
        tensor="encoder.layer.1.intermediate.dense.bias",
        role="m2",
        layer=1,
        kind="bias",
        entries=512,
        trained=128,
        change=0.0625,
        trained_change=0.25,
    ),
    Change(
        tensor="encoder.odd.bias",
        role=None,
        layer=None,
        kind="bias",
        entries=4,
        trained=4,
        change=1.0,
        trained_change=1.0,
    ),
)


def trained_values() -> TrainedValues:
    """One tensor of every kind of mask."""

    def tensor(shape: tuple[int, ...], mask: Any, dtype: Any = np.float32) -> TrainedTensor:
        count = mask.count(shape)
        return TrainedTensor(shape=shape, mask=mask, values=np.linspace(-1, 1, count, dtype=dtype))

    return TrainedValues(
        {
            "bert.q.bias": tensor((6,), Whole()),
            "bert.q.weight": tensor((4, 3), Rows(np.array([1, 3]))),
            "bert.k.weight": tensor((4, 3), Cols(np.array([0]))),
            "bert.v.weight": tensor((4, 3), Entries(np.array([2, 5, 11]))),
            "bert.o.weight": tensor((4, 3), AllBut(np.array([7])), np.float64),
            "classifier.weight": tensor((2, 3), Whole()),
        }
    )


def failed(planned: Planned, status: Any = "failed", **said: str) -> Failed:
    return Failed(planned.key, status, said.get("message", "it broke"), said.get("help"))


@dataclass
class Lab:
    """A store, and runs in it that train nothing."""

    store: Store
    runs: list[int] = field(default_factory=list)
    #: Where stores are kept in which a spec came to its end, to be copied: that takes no time, and to fill one does.
    templates: Path | None = None

    def begin(self, spec: str = SPEC, *, only: Sequence[str] = (), whole: bool = True) -> list[Planned]:
        """Begin a run of a spec."""
        study, planned = plan(spec, only=only)
        self.store.prepare()
        run = self.store.begin(
            study, planned, spec="a/small.bspec", spec_text=spec, command="bitspec run a/small.bspec", whole=whole
        )
        self.runs.append(run)
        return planned

    def record(self, planned: Planned, *, values: TrainedValues | None = None, **changed: Any) -> bool:
        """Finish a trial of the latest run."""
        return self.store.record(self.runs[-1], planned, result(planned, **changed), values, started=STARTED)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is recorded inside is one transaction: a third of the time that one for each trial takes."""
        with self.store.writing() as connection, pytest.MonkeyPatch.context() as patched:
            patched.setattr(self.store, "_writing", lambda: nullcontext(connection))
            yield

    def run(self, spec: str = SPEC, *, only: Sequence[str] = (), whole: bool = True) -> list[Planned]:
        """Run a spec to its end: what is not finished is finished."""
        if self.templates is not None and whole and not only and not self.store.folder.exists():
            template = self.templates / hashlib.sha256(spec.encode()).hexdigest()
            if not template.exists():
                Lab(Store(template)).run(spec)
            shutil.copytree(template, self.store.folder)
            with self.store.writing() as connection:  # it is as if it ran now
                connection.execute("UPDATE base.runs SET began = ?, ended = ?", [now(), now()])
            self.runs.append(1)
            return plan(spec)[1]
        planned = self.begin(spec, only=only, whole=whole)
        done = self.store.statuses()
        with self.at_once():
            for cell in planned:
                if done.get(cell.key) != "finished":
                    self.record(cell)
                    done[cell.key] = "finished"
        self.store.end(self.runs[-1])
        return planned

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query on the store's database gives."""
        with ENGINE.reading(self.store.read_path()) as connection:
            return connection.execute(statement, list(parameters)).fetchall()

    def dicts(self, statement: str) -> list[dict[str, Any]]:
        """The same, with names."""
        with ENGINE.reading(self.store.read_path()) as connection:
            cursor = connection.execute(statement)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def lab_at(folder: Path, patched: pytest.MonkeyPatch) -> Lab:
    source = Provenance(commit=None, versions={"python": "3"})  # to look for the true one takes longer than a test
    patched.setattr("bitspec.store.store.provenance", lambda _: source)
    return Lab(Store(folder))


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, templates: Path) -> Lab:
    made = lab_at(tmp_path / "store", monkeypatch)
    made.templates = templates
    return made


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of an ordinary user's, and the rights of no other than that user for as long as the test lasts."""
    if os.name != "posix":
        pytest.skip("rights are told by POSIX modes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(0)
