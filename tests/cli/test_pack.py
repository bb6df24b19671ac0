"""`--pack` and `--packs-of`: trials that are trained together, and studies that are repeated or go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch

from bitspec.ir.events import EpochEnded, Event, Started
from bitspec.parameters import cache
from bitspec.runners import timings
from bitspec.runners.bench import Bench
from bitspec.runners.protocol import Pack
from bitspec.store.store import Store
from tests.cli.conftest import Bitspec, Ran
from tests.lab import SPEC, write_lab
from tests.training.recorder import Failing, Recorders

#: Four trials that can go together for each of two seeds, and two that cannot.
STUDY = SPEC.partition("strategy ")[0].replace("seeds 0", "seeds 0..1").replace("1e-2", "1e-3") + (
    'strategy full "Full" = all\n'
    'strategy queries "Queries" = bias where role == q\n'
    'strategy gammas "Gammas" = gamma\n'
    'strategy drawn "Drawn" = rand(gamma, 20)\n'
    'strategy m2 "m2" = bias where role == m2\n'
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lab(tmp_path_factory.mktemp("packs"), STUDY).parent


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "lab.bspec"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("bitspec.runners.planner.cache_folder", lambda: tmp_path / "cache")
    assert cache.cache_folder() != tmp_path / "cache"


def rows(sql: str, store: str = "store") -> list[tuple[Any, ...]]:
    with duckdb.connect(f"{store}/results.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def packs(store: str = "store") -> list[tuple[str, ...]]:
    """What was trained together, in words, in the order in which it was begun."""
    known = {key: f"{name}{seed}" for key, name, seed in rows("select key, strategy, seed from trials", store)}
    begun = rows("select keys from base.packs order by run, number", store)
    return [tuple(known.get(key, "?") for key in keys) for (keys,) in begun]


def bits(store: str) -> dict[str, object]:
    """All that the trials of a store came to, bit for bit."""
    found: dict[str, object] = {}
    kept = Store(Path(store))
    for key in kept.statuses():
        values = kept.values(key)
        assert values is not None
        found[key] = {name: tensor.values.tobytes() for name, tensor in values.tensors.items()}
    for table in ("epochs", "predictions", "changes"):
        columns = "* exclude (seconds)" if table == "epochs" else "*"
        found[table] = rows(f"select {columns} from {table} order by all", store)  # noqa: S608
    return found


def run(bitspec: Bitspec, lab: Path, *options: str) -> Ran:
    ran = bitspec("run", lab, "--workers", "1", "--keep-values", *options)
    assert ran.code == 0, ran.err
    return ran


PACKS_OF_4 = [
    ("full0",),
    ("full1",),
    ("queries0", "gammas0", "drawn0", "m20"),
    ("queries1", "gammas1", "drawn1", "m21"),
]


def test_packs_change_nothing_but_the_time(bitspec: Bitspec, lab: Path) -> None:
    packed = run(bitspec, lab, "--pack", "4", "--store", "packed")
    assert "trained together: 2 packs of up to 4 trials, and 2 alone" in packed.err
    alone = run(bitspec, lab, "--pack", "off", "--store", "alone")
    assert "trained together" not in alone.err
    assert packs("packed") == PACKS_OF_4
    assert {len(pack) for pack in packs("alone")} == {1}
    assert rows("select strategy, pack_size from scores where seed = 0 order by position", "packed") == [
        ("full", 1),
        ("queries", 4),
        ("gammas", 4),
        ("drawn", 4),
        ("m2", 4),
    ]
    numbers = "select validation_loss, loss from epochs order by strategy, seed, epoch"
    for one, other in zip(rows(numbers, "packed"), rows(numbers, "alone"), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    margins = "select margin from predictions order by strategy, seed, example"
    assert rows(margins, "packed") == [pytest.approx(row, abs=1e-4) for row in rows(margins, "alone")]
    assert Store(Path("packed")).statuses() == Store(Path("alone")).statuses()


def test_a_study_is_repeated_with_the_packs_of_another(bitspec: Bitspec, lab: Path) -> None:
    run(bitspec, lab, "--pack", "3", "--store", "first")
    assert max(map(len, packs("first"))) == 2  # of nearly equal size
    again = run(bitspec, lab, "--packs-of", "first", "--store", "second")
    assert "; 8 trials as in the store that is repeated" in again.err
    assert packs("second") == packs("first")
    assert bits("second") == bits("first")
    assert "packs: as in the store that is repeated" in bitspec("plan", lab, "--packs-of", "first", "--store", "x").out
    # What that store does not have is packed as it is asked for.
    more = run(bitspec, lab, "--packs-of", "first", "--pack", "off", "--seeds", "0..2", "--store", "third")
    assert "; 8 trials as in the store that is repeated" in more.err
    assert packs("third")[-1] == ("m22",)
    assert sorted(map(len, packs("third"))) == sorted([*map(len, packs("first")), 1, 1, 1, 1, 1])


def test_a_run_that_was_stopped_goes_on_with_its_packs(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bitspec, lab, "--pack", "4", "--store", "whole")
    trained = Bench.run

    def stopped(self: Bench, pack: Pack, _stop: object) -> Iterator[Event]:
        for event in trained(self, pack):
            if pack[0].trial.strategy == "queries" and pack[0].trial.seed == 1 and isinstance(event, EpochEnded):
                raise KeyboardInterrupt
            yield event

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "run", stopped)
        ran = bitspec("run", lab, "--workers", "1", "--keep-values", "--pack", "4")
    assert ran.code == 130
    assert rows("select count(*) from scores") == [(6,)]
    assert "packs: as the run before began them" in bitspec("plan", lab).out
    on = run(bitspec, lab)  # which would have been measured, and alone
    assert "4 trials in packs of the run before" in on.err
    assert packs() == [*PACKS_OF_4, PACKS_OF_4[-1]]
    assert bits("store") == bits("whole")


def test_what_is_asked_for_comes_before_the_packs_of_the_run_before(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: Bench, pack: Pack, _stop: object) -> Iterator[Event]:
        yield Started(pack[0].key, 2, 5)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bench, "run", stopped)
        assert bitspec("run", lab, "--workers", "1", "--pack", "4").code == 130
    assert "packs: one trial at a time" in bitspec("plan", lab, "--pack", "off").out
    assert "packs: up to 2 trials at once" in bitspec("plan", lab, "--pack", "3").out
    # Whole matrices are alone in any case.
    shown = bitspec("plan", lab, "--pack", "4").out
    assert "packs: 8 trials as the run before began them; one trial at a time" in shown


def test_what_measures_best_is_kept(bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "SHARE", 1.0)
    measured: list[int] = []

    def seconds(_: object, pack: Pack, steps: int, repeats: int) -> float:
        measured.append(len(pack))
        return 0.001 if steps * repeats else 0.0

    monkeypatch.setattr("bitspec.runners.stopwatch.BenchStopwatch.seconds", seconds)
    before = bitspec("plan", lab)
    assert "packs: how many trials are best trained at once is measured when the run begins" in before.out
    run(bitspec, lab)
    assert packs()[2:] == [tuple(name for pack in PACKS_OF_4[2:] for name in pack)]
    assert set(measured) == {1, 2, 4, 8}
    measured.clear()
    after = bitspec("plan", lab, "--store", "other")
    assert "packs: up to 8 trials at once, which measured best (cpu, 1 thread)" in after.out
    run(bitspec, lab, "--store", "other")
    assert measured == []
    assert packs("other") == packs()


def test_a_study_that_is_short_is_not_measured(bitspec: Bitspec, lab: Path, tmp_path: Path) -> None:
    assert "trained together" not in run(bitspec, lab).err
    assert not (tmp_path / "cache").exists()
    assert {len(pack) for pack in packs()} == {1}


def test_a_measurement_that_takes_long_is_told_of(bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("bitspec.cli.progress.TELLING_PATIENCE", 0.01)
    monkeypatch.setattr(timings, "SHARE", 1.0)

    def seconds(_: object, pack: Pack, steps: int, repeats: int) -> float:
        time.sleep(0.1)
        return 0.001 * len(pack) if steps * repeats else 0.0

    monkeypatch.setattr("bitspec.runners.stopwatch.BenchStopwatch.seconds", seconds)
    assert "measuring how many trials are best trained at once" in run(bitspec, lab).err
    assert "measuring" not in run(bitspec, lab, "--store", "again", "--pack", "off").err


@pytest.mark.parametrize("value", ["0", "-1", "on", "2.5", "8x", ""])
def test_what_pack_does_not_take(bitspec: Bitspec, lab: Path, value: str) -> None:
    for command in ("run", "plan"):
        ran = bitspec(command, lab, f"--pack={value}")
        assert ran.code == 2
        assert f"error[bad-pack]: `--pack {value}` is not understood" in ran.err
        assert "`--pack auto`, `--pack off`" in ran.err
    assert not Path("store").exists()


def test_packs_of_a_store_that_is_not_there(bitspec: Bitspec, lab: Path) -> None:
    ran = bitspec("run", lab, "--packs-of", "nowhere")
    assert ran.code == 2
    assert "there are no results in `nowhere`" in ran.err
    assert not Path("store").exists()


def test_planning_packs_loads_nothing_heavy(process: Any, lab: Path, bitspec: Bitspec) -> None:
    assert bitspec("plan", lab).code == 0  # the catalogue is cached now
    before = """
import atexit, sys
heavy = {"torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "pyarrow", "huggingface_hub"}
atexit.register(lambda: print("LOADED", sorted(heavy & set(sys.modules))))
"""
    for options in ([], ["--pack", "4"], ["--pack", "off"]):
        done = process("plan", lab, *options, before=before)
        assert done.returncode == 0, done.stderr
        assert "packs: " in done.stdout
        assert done.stdout.endswith("LOADED []\n")


def test_graphs_change_nothing_on_a_cpu_and_that_is_said(bitspec: Bitspec, lab: Path) -> None:
    plain = run(bitspec, lab, "--pack", "4", "--store", "plain")
    asked = run(bitspec, lab, "--pack", "4", "--store", "asked", "--graphs")
    said = "`--graphs` is for a GPU, and this is `cpu`: steps are computed as usual\n"
    assert said in asked.err
    assert said not in plain.err
    assert bits("asked") == bits("plain")


def test_trials_whose_steps_are_replayed_come_to_the_same(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write_text(lab.read_text("utf-8").replace("epochs = 2", "epochs = 4"), "utf-8")
    run(bitspec, lab, "--pack", "4", "--store", "computed")
    recorders = Recorders()
    monkeypatch.setattr("bitspec.training.capture.capture_on", lambda _device: recorders)
    ran = run(bitspec, lab, "--pack", "4", "--store", "replayed", "--graphs")
    assert "not replayed" not in ran.err
    assert len(recorders.made) == len(packs("replayed"))
    assert all(recorder.replayed > 0 for recorder in recorders.made)
    margins = "select margin from predictions order by strategy, seed, example"
    assert rows(margins, "replayed") == [pytest.approx(row, abs=1e-3) for row in rows(margins, "computed")]
    monkeypatch.setattr("bitspec.training.capture.capture_on", lambda _device: Failing)
    ran = run(bitspec, lab, "--pack", "4", "--store", "failing", "--graphs")
    (line,) = [line for line in ran.err.splitlines() if "not replayed" in line]
    assert line == (
        "steps are not replayed as CUDA graphs (a step cannot be captured: CUDA error: operation not permitted); "
        "they are computed"
    )
    assert bits("failing") == bits("replayed")
