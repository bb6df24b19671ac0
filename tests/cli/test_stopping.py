"""Ctrl-C and SIGTERM, as a user and a system send them: what is under way is saved, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from bitspec.cli.main import main
from bitspec.cli.stopping import Stopping
from bitspec.diagnostics import counted
from bitspec.ir.events import Event
from bitspec.runners.bench import Bench
from bitspec.runners.protocol import Pack, Stop
from bitspec.runners.workers import cores
from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.cli.test_pack import bits
from tests.lab import SPEC, write_lab

#: A first trial that takes no time, and others that take seconds.
STUDY = SPEC.replace("epochs = 2", "epochs = 20") + "train for frozen { epochs = 1 }\n"

FIRST = "[1/3] rated frozen"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lab, and what comes of it when nobody stops it."""
    folder = write_lab(tmp_path_factory.mktemp("stopped"), STUDY).parent
    torch.set_num_threads(1)
    command = ["bitspec", "run", "lab.bspec", "--workers", "1", "--store", "whole", "--keep-values"]
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    return folder


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


@contextmanager
def running(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process group of its own, as a shell makes one, that has ended its first trial."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bitspec", "run", "lab.bspec", "--keep-values", *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    with process:
        try:
            for line in process.stderr:
                if line.startswith("[1/"):
                    break
            time.sleep(0.4)  # the others are under way
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [
        (signal.SIGINT, 130, "1"),
        pytest.param(signal.SIGTERM, 143, "1", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, "2", marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_in_order_and_the_same_command_goes_on(
    made: Path, bitspec: Bitspec, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int, workers: str
) -> None:
    monkeypatch.chdir(made)
    store = f"{number.name}-{workers}"
    options = ("--workers", workers, "--store", store)
    with running(made, *options) as process:
        os.killpg(process.pid, number)  # a terminal sends it to all of them
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "stopping after this step" in err
    assert f"To go on: bitspec run lab.bspec --keep-values --workers {workers}" in err
    assert "Traceback" not in err
    assert out.startswith("1 trial finished")
    assert Store(Path(store)).statuses() == dict.fromkeys(Store(Path(store)).statuses(), "finished")
    under_way = len(list((made / store / "checkpoints").glob("*.safetensors")))
    assert 1 <= under_way <= int(workers)
    plan = bitspec("plan", "lab.bspec", *options[2:]).out
    assert f"saved: {counted(under_way, 'trial')} on the way" in plan
    went_on = bitspec("run", "lab.bspec", "--keep-values", *options)
    assert went_on.code == 0, went_on.err
    assert f"going on with {counted(under_way, 'trial')} saved on the way" in went_on.err
    assert list((made / store / "checkpoints").iterdir()) == []
    if workers == "1" or cores() // 2 <= 1:  # as many threads
        assert bits(store) == bits("whole")


@pytest.mark.slow
def test_a_second_signal_stops_at_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    # The first is not heard by what is busy: here by a worker that is stopped itself.
    with running(made, "--workers", "2", "--store", "second") as process:
        found = subprocess.check_output(["pgrep", "-P", str(process.pid), "-f", "spawn_main"], text=True)
        children = [int(pid) for pid in found.split()]
        assert len(children) == 2
        for child in children:
            os.kill(child, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "what is finished is kept" in err
    assert list(Store(Path("second")).statuses().values()) == ["finished"]
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.slow
def test_a_run_that_nobody_can_tell_to_stop_loses_nothing(made: Path, bitspec: Bitspec, monkeypatch: Any) -> None:
    monkeypatch.chdir(made)
    with running(made, "--workers", "1", "--store", "killed", "--checkpoint-every", "0") as process:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    went_on = bitspec("run", "lab.bspec", "--keep-values", "--workers", "1", "--store", "killed")
    assert went_on.code == 0, went_on.err
    assert "going on with 1 trial saved on the way" in went_on.err
    assert bits("killed") == bits("whole")


def test_a_failure_may_stop_the_rest(made: Path, bitspec: Bitspec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    trained = Bench.run

    def broken(self: Bench, pack: Pack, stop: Stop) -> Iterator[Event]:
        if pack[0].trial.strategy == "bitfit":
            raise RuntimeError("it broke")
        return trained(self, pack, stop)

    monkeypatch.setattr(Bench, "run", broken)
    command = ("run", "lab.bspec", "--set", "epochs=1", "--workers", "1", "--pack", "off", "--store", "failing")
    fast = bitspec(*command, "--fail-fast")
    assert fast.code == 1, fast.err
    assert "rated bitfit seed 0 failed: it broke" in fast.err
    assert "stopped; what is finished is kept" in fast.err
    assert "To go on: bitspec run lab.bspec" in fast.err
    assert sorted(Store(Path("failing")).statuses().values()) == ["failed", "finished"]
    slow = bitspec(*command)
    assert slow.code == 1
    assert "To go on" not in slow.err
    assert sorted(Store(Path("failing")).statuses().values()) == ["failed", "finished", "finished"]


@pytest.fixture
def handlers() -> Iterator[Callable[[], list[Any]]]:
    def now() -> list[Any]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    before = now()
    yield now
    assert now() == before


def test_outside_of_the_training_a_signal_ends_at_once(handlers: Callable[[], list[Any]]) -> None:
    stopping = Stopping()
    before = handlers()

    def terminated() -> None:
        with stopping.at_once():
            assert handlers() != before
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        terminated()
    assert (stopping.number, stopping.exit_code) == (signal.SIGTERM, 143)


def test_inside_of_it_the_second_does(handlers: Callable[[], list[Any]], capfd: pytest.CaptureFixture[str]) -> None:
    stopping, before = Stopping(), handlers()

    def interrupted() -> None:
        with stopping.at_once(), stopping.in_order():
            assert not stopping()
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping()
            assert "once more to stop at once" in capfd.readouterr().err
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (stopping.exit_code, handlers()) == (130, before)


def test_checkpoints_every_so_often_are_asked_for_in_minutes(bitspec: Bitspec) -> None:
    for wrong in ("-1", "often", "nan"):
        ran = bitspec("run", "lab.bspec", "--checkpoint-every", wrong)
        assert ran.code == 2
        assert "Invalid value for '--checkpoint-every'" in ran.err
    assert "it is not a number" in ran.err
