"""Several processes at one store: nothing is lost, readers always get through, and a killed writer harms nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest

from bitspec.store.connection import ENGINE
from bitspec.store.store import Store
from tests.store.conftest import STARTED, Lab, plan, result, trained_values

CONTEXT = multiprocessing.get_context("spawn")

WIDE = """
study wide  model "m"  task rte  seeds 0..5  train { epochs = 2 }
strategy a = bias  strategy b = gamma  strategy both = bias | gamma
"""


def work(folder: Path, strategies: list[str], read: Event) -> None:
    """What a process does: begin a run, finish a trial, and the others once somebody has read that one."""
    store = Store(folder)
    store.prepare()
    study, planned = plan(WIDE)
    number = store.begin(study, planned, spec="w.bspec", spec_text=WIDE, command="run", whole=True)
    for cell in planned:
        if cell.trial.strategy in strategies:
            time.sleep(0.01)  # as if it had to be trained
            store.record(number, cell, result(cell), trained_values(), started=STARTED)
            assert read.wait(60)
    store.end(number)


def endless(folder: Path, started: Event) -> None:
    """Finish trials until somebody puts an end to it."""
    store = Store(folder)
    _, planned = plan(WIDE)
    number = 0
    while True:
        cell = planned[0].model_copy(update={"key": f"{number:064}"})
        store.record(1, cell, result(cell), trained_values(), started=STARTED)
        started.set()
        number += 1


def test_two_processes_at_once_lose_nothing_and_a_reader_beside_them_gets_through(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    read = CONTEXT.Event()
    processes = [
        CONTEXT.Process(target=work, args=(folder, strategies, read)) for strategies in (["a", "both"], ["b", "both"])
    ]
    for process in processes:
        process.start()
    seen: list[int] = []
    store = Store(folder)
    while any(process.is_alive() for process in processes):
        seen.append(len(store.statuses()))
        if seen[-1]:
            read.set()
        if store.database.exists():
            with ENGINE.reading(store.read_path()) as connection:
                # What a trial has is there as a whole, or not at all.
                assert connection.execute(
                    "SELECT count(*) FROM trials WHERE (SELECT count(*) FROM base.predictions AS p "
                    "WHERE p.key = trials.key) <> 3 OR (SELECT count(*) FROM base.epochs AS e "
                    "WHERE e.key = trials.key) <> 2"
                ).fetchone() == (0,)
        time.sleep(0.02)
    assert [process.exitcode for process in processes] == [0, 0]
    assert seen == sorted(seen)
    assert any(0 < number < 18 for number in seen)  # it read while they wrote
    lab = Lab(store)
    assert lab.rows("SELECT strategy, count(*), count(DISTINCT key) FROM scores GROUP BY ALL ORDER BY ALL") == [
        ("a", 6, 6),
        ("b", 6, 6),
        ("both", 6, 6),
    ]
    assert lab.rows("SELECT count(*), count(DISTINCT key) FROM trials") == [(18, 18)]  # those of both are there once
    assert lab.rows("SELECT count(*) FROM base.predictions") == [(3 * 18,)]
    assert lab.rows("SELECT count(*) FROM base.cells") == [(18,)]
    assert lab.rows("SELECT run, ended IS NOT NULL FROM studies ORDER BY run") == [(1, True), (2, True)]
    assert all(store.values(key) is not None for key in store.statuses())
    assert not [path for path in folder.rglob("*") if "unfinished" in path.name]


def test_a_writer_that_is_killed_leaves_what_it_finished(lab: Lab) -> None:
    lab.begin(WIDE)
    started = CONTEXT.Event()
    process = CONTEXT.Process(target=endless, args=(lab.store.folder, started))
    process.start()
    assert started.wait(60)
    time.sleep(float(np.random.default_rng(os.getpid()).uniform(0.05, 0.25)))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = lab.store.statuses()
    assert set(done.values()) == {"finished"}
    assert sorted(done) == [f"{number:064}" for number in range(len(done))]  # none is missing in between
    assert lab.rows("SELECT count(*) FROM base.predictions") == [(3 * len(done),)]
    assert all(lab.store.values(key) is not None for key in done)
    lab.run(WIDE)
    assert lab.rows("SELECT count(*) FROM scores") == [(18,)]


def test_what_killed_writers_left_is_swept_when_it_is_old(lab: Lab) -> None:
    lab.run()
    old, new = (lab.store.folder / "values" / f".unfinished-{age}" for age in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 100_000,) * 2)
    lab.store.prepare()
    assert not old.exists()
    assert new.exists()  # it may be another process's, at work right now


def test_threads_of_one_process_take_turns(lab: Lab) -> None:
    planned = lab.begin(WIDE)
    threads = [
        threading.Thread(target=lambda part: [lab.record(cell) for cell in part], args=(planned[start::3],))
        for start in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.rows("SELECT count(*), count(DISTINCT key) FROM trials") == [(18, 18)]


def test_ctrl_c_while_the_database_is_at_work_is_ctrl_c(lab: Lab) -> None:
    lab.run()

    def interrupted() -> None:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        with ENGINE.writing(lab.store.database) as connection:
            connection.execute("UPDATE base.trials SET score = 1")
            timer.start()
            connection.execute("SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b").fetchall()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert lab.rows("SELECT count(*) FROM base.trials WHERE score = 1") == [(0,)]
