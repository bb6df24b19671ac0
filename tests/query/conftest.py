"""A store with a study that nobody had to train: four strategies, two tasks, three seeds, and some holes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from bitspec.ir.events import Change, Epoch, Failed, Predictions, Result
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned, trials
from bitspec.language.load import loads
from bitspec.query.connection import connect
from bitspec.query.reader import Reader
from bitspec.store.store import Store

STARTED = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)

SPEC = """
study small "A small study"
model nano = "builtin/nano"
task cola, builtin/rte
seeds 0..2
train { epochs = 2  learning_rate = 1e-3 }
train for full { learning_rate = 2e-5 }
strategy full   "Full-FT"  = all
strategy bitfit "BitFit"   = bias
strategy ln                = gamma
strategy frozen "Frozen"   = none
"""

#: Score after the last epoch, by strategy and task, for seeds 0, 1 and 2; None where there is no result.
SCORES: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("full", "cola"): (60.0, 62.0, 64.0),
    ("full", "builtin/rte"): (70.0, 70.5, 71.5),
    ("bitfit", "cola"): (58.0, 59.0, 57.0),
    ("bitfit", "builtin/rte"): (69.0, 71.0, 70.0),
    ("ln", "cola"): (40.0, None, 41.0),
    ("ln", "builtin/rte"): (55.25, 50.0, None),
    ("frozen", "cola"): (0.0, 0.0, 0.0),
    ("frozen", "builtin/rte"): (52.5, 52.5, 52.5),
}

TENSORS = (
    ("encoder.layer.0.attention.self.query.bias", "q", 0),
    ("encoder.layer.1.intermediate.dense.bias", "m2", 1),
    ("embeddings.LayerNorm.bias", None, None),
)


def planned(study: Study) -> list[Planned]:
    """The cells of a study, as a runner's planning would list them."""
    places = {strategy.name: place for place, strategy in enumerate(study.strategies)}
    return [
        Planned(
            trial=trial,
            key=trial.key("weights", trial.task.name),
            variant=trial.variant("weights", trial.task.name),
            title=study.strategies[places[trial.strategy]].title,
            position=places[trial.strategy],
        )
        for trial in trials(study)
    ]


def result(cell: Planned, score: float) -> Result:
    """A made-up result that ends with a score."""
    main = "matthews" if cell.trial.task.name == "cola" else "accuracy"
    epochs = tuple(
        Epoch(
            number=number,
            loss=1.0 / number,
            validation_loss=1.25 / number,
            score=score + number - 2,
            metrics={main: (score + number - 2) / 100, "accuracy": 0.5 + score / 1000},
            seconds=1.5,
        )
        for number in (1, 2)
    )
    moved = () if cell.trial.strategy == "frozen" else TENSORS
    return Result(
        key=cell.key,
        trainable=100 * len(moved),
        percent=0.03 * len(moved),
        head=258,
        epochs=epochs,
        changes=tuple(
            Change(
                tensor=tensor,
                role=role,
                layer=layer,
                kind="bias",
                entries=128,
                trained=100,
                change=0.01 * (place + 1),
                trained_change=0.0128 * (place + 1),
            )
            for place, (tensor, role, layer) in enumerate(moved)
        ),
        predictions=(
            Predictions(split="validation", labels=(0, 1, 1), predictions=(0, 1, 0), margins=(0.5, 1.25, -2.0)),
        ),
        training_examples=10,
        validation_examples=3,
        seconds=6.0,
        device="cpu",
        threads=1,
        pack=(cell.key,),
        model_fingerprint="weights",
        data_fingerprint=cell.trial.task.name,
    )


def begin(store: Store, spec: str) -> tuple[int, list[Planned]]:
    """Begin a run of a spec."""
    study = loads(spec)
    cells = planned(study)
    store.prepare()
    run = store.begin(study, cells, spec="small.bspec", spec_text=spec, command="bitspec run small.bspec", whole=True)
    return run, cells


def fill(folder: Path) -> Path:
    """Make the store, and return its folder."""
    store = Store(folder)
    run, cells = begin(store, SPEC)
    for cell in cells:
        trial = cell.trial
        score = SCORES[trial.strategy, trial.task.name][trial.seed]
        if score is not None:
            store.record(run, cell, result(cell, score), started=STARTED)
        elif trial.task.name == "cola":
            store.record_failure(run, cell, Failed(cell.key, "diverged", "its loss is no number"), started=STARTED)
    store.end(run)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the store; tests only read it."""
    return fill(tmp_path_factory.mktemp("query") / "store")


@pytest.fixture(scope="module")
def quick(store: Path) -> Iterator[None]:
    """Keeps DuckDB going for a module, as starting it takes longer than most queries."""
    with connect(store):
        yield


@pytest.fixture
def connection(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A locked connection to the store."""
    with connect(store) as found:
        yield found


@pytest.fixture
def reader(connection: duckdb.DuckDBPyConnection) -> Reader:
    return Reader(connection)


@pytest.fixture
def empty_study(tmp_path: Path) -> Path:
    """A store whose study has begun, and of which nothing is finished."""
    store = Store(tmp_path / "store")
    begin(store, SPEC)
    return store.folder


@pytest.fixture
def no_study(tmp_path: Path) -> Path:
    """A store in which no study has begun."""
    store = Store(tmp_path / "store")
    store.prepare()
    return store.folder
