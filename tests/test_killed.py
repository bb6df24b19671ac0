"""Runs that are killed at random moments, and several at once: no finished trial is lost, none is trained twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from tests.cli.test_pack import bits
from tests.lab import SPEC, write_lab

#: Of each of two seeds two trials that can go together, and two that cannot; epochs that take a while.
STUDY: Final = (
    SPEC.replace("seeds 0", "seeds 0..1").replace("epochs = 2", "epochs = 12").replace("1e-2", "1e-3")
    + 'strategy gammas "Gammas" = gamma\n'
)

#: The same in small: two trials that go together, and one that does not.
SMALL: Final = SPEC.replace("epochs = 2", "epochs = 4")

#: Seconds after which a run is killed at the latest; one that is not takes a little longer.
LATEST: Final = 2.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_lab(tmp_path_factory.mktemp("killed"), STUDY)
    path.with_name("small.bspec").write_text(SMALL, "utf-8")
    return path.parent


class Killer:
    """Runs the study again and again, in a process that was started once; see `killing.py`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing"],
            env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, seconds: float, *options: str, spec: str = "lab") -> int:
        """The exit code of a run of a spec, -9 if it was killed after so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = ["run", str(self._folder / f"{spec}.bspec"), "--workers", "1", "--keep-values", *options]
        self._process.stdin.write(json.dumps([seconds, command]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("code "):
                return int(line.split()[1])
        raise EOFError

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def killer(folder: Path, root: Path) -> Iterator[Killer]:
    with closing(Killer(folder, root)) as made:
        made.run(0)  # once it has imported everything
        yield made


def finished(store: Path, epochs: int) -> dict[str, tuple[Any, ...]]:
    """Every finished trial with when it was, read as anybody would."""
    if not (store / "results.duckdb").exists():
        return {}
    with duckdb.connect(store / "results.duckdb", read_only=True) as connection:
        rows = connection.execute("select key, finished, score, run from trials where status = 'finished'").fetchall()
        assert len({row[0] for row in rows}) == len(rows)
        assert connection.execute("select count(*) from trials").fetchall() == [(len(rows),)]
        found = connection.execute("select count(*), count(distinct (key, epoch)) from base.epochs").fetchall()
        assert found == [(epochs * len(rows), epochs * len(rows))]
    return {row[0]: row for row in rows}


@pytest.mark.parametrize(
    ("kills", "spec", "options"),
    [
        (2, "small", ("--pack", "3", "--checkpoint-every", "0")),
        pytest.param(3, "lab", ("--pack", "3", "--checkpoint-every", "0"), marks=pytest.mark.slow),
        pytest.param(100, "lab", ("--pack", "off"), marks=pytest.mark.slow),
        pytest.param(100, "lab", ("--pack", "3"), marks=pytest.mark.slow),
        pytest.param(100, "lab", ("--pack", "3", "--checkpoint-every", "0"), marks=pytest.mark.slow),
    ],
)
def test_what_is_killed_comes_out_the_same(
    killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, spec: str, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    trials, epochs = {"small": (3, 4), "lab": (8, 12)}[spec]
    begun = time.monotonic()
    assert killer.run(1e6, *options, "--store", str(tmp_path / "whole"), spec=spec) == 0
    # In small, half of all runs come to their end.
    longest = 2 * (time.monotonic() - begun) if spec == "small" else LATEST
    moments = random.Random(kills)  # noqa: S311
    count = rounds = 0
    while count < kills:
        rounds += 1
        store, code, latest = tmp_path / f"store{rounds}", -signal.SIGKILL, longest
        before: dict[str, tuple[Any, ...]] = {}
        while code:
            assert code == -signal.SIGKILL
            latest *= 1.02  # on a machine that is too slow to come to any end before
            code = killer.run(moments.uniform(0.02, latest), *options, "--store", str(store), spec=spec)
            now = finished(store, epochs)
            assert before.items() <= now.items()
            before, count = now, count + (code != 0)
        assert len(before) == trials
        assert bits(str(store)) == bits("whole")
        assert list((store / "checkpoints").glob("*.safetensors")) == []


def shared(folder: Path, root: Path, tmp_path: Path, runs: int, seeds: int) -> None:
    """So many runs of a study at once, and a reader who asks in a loop."""
    command = [sys.executable, "-m", "bitspec", "run", str(folder / "lab.bspec"), "--workers", "1"]
    options = ["--set", "epochs=1", "--seeds", f"0..{seeds - 1}", "--only", "frozen", "--only", "bitfit", "--only",
               "gammas", "--pack", "2"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [*command, *options],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(runs)
    ]
    asked = 0
    while any(process.poll() is None for process in processes):
        if (tmp_path / "store" / "results.duckdb").exists():
            reader = subprocess.run(
                [sys.executable, "-m", "bitspec", "query", "select count(*) from trials"],
                cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert reader.returncode == 0, reader.stderr
            asked += 1
    assert asked > 0
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * runs, said
    trained = [int(out.split(" trial")[0]) if out[0].isdigit() else 0 for out, _ in said]
    assert sum(trained) == 3 * seeds, said
    with duckdb.connect(tmp_path / "store" / "results.duckdb", read_only=True) as connection:
        rows = "select count(*), count(distinct key), min(status), max(status) from trials"
        assert connection.execute(rows).fetchall() == [(3 * seeds, 3 * seeds, "finished", "finished")]
        assert connection.execute("select count(*) from base.leases").fetchall() == [(0,)]
        assert connection.execute("select count(*) from scores").fetchall() == [(3 * seeds,)]


@pytest.mark.slow
def test_two_runs_share_a_study(folder: Path, root: Path, tmp_path: Path) -> None:
    shared(folder, root, tmp_path, runs=2, seeds=4)


@pytest.mark.slow
def test_four_runs_share_a_study_of_sixty_trials(folder: Path, root: Path, tmp_path: Path) -> None:
    shared(folder, root, tmp_path, runs=4, seeds=20)


def test_what_a_killed_run_had_claimed_another_takes_over(killer: Killer, tmp_path: Path) -> None:
    store = tmp_path / "store"
    # It begins within that time on any machine, and a quick one may have done it all.
    while killer.run(1.5, "--store", str(store), spec="small") == 0:
        shutil.rmtree(store)
    assert killer.run(60, "--store", str(store), spec="small") == 0  # sooner than a lease expires
    assert len(finished(store, 4)) == 3
