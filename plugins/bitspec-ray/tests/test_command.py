"""`bitspec run --runner ray` as a program: what it prints, how it is stopped, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from studies import write_study

#: Tables of a store that have no times, processes or runs in them, and what else of the others is compared.
_SAME = {
    "epochs": "* exclude (seconds)",
    "changes": "*",
    "predictions": "*",
    "trials": "* exclude (run, seconds, started, finished)",
}


def start(spec: Path, *options: str, store: str = "store", cwd: Path | None = None) -> subprocess.Popen[str]:
    """`bitspec run` in a group of processes of its own, as a terminal has it."""
    command = [sys.executable, "-m", "bitspec", "run", str(spec), "--store", str(spec.parent / store), *options]
    return subprocess.Popen(
        command,
        cwd=cwd or spec.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(spec: Path, *options: str, store: str = "store", cwd: Path | None = None) -> tuple[int, str, str]:
    """The exit code and what was printed."""
    process = start(spec, *options, store=store, cwd=cwd)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def results(folder: Path) -> dict[str, list[Any]]:
    """All numbers in a store but times."""
    with duckdb.connect(str(folder / "results.duckdb"), read_only=True) as connection:
        found = {}
        for table, columns in _SAME.items():
            found[table] = connection.execute(f"select {columns} from {table} order by all").fetchall()  # noqa: S608
        return found


def test_the_command_prints_plainly_and_imports_nothing_from_where_it_is_run(tmp_path: Path) -> None:
    spec = write_study(tmp_path)
    for name in ("tokenizers", "safetensors", "torch", "numpy", "bitspec_ray"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w').write('{name}')\n", "utf-8")
    # `python -m` looks for modules where it is run, which the command that is installed does not.
    command = [sys.executable, "-P", "-m", "bitspec", "run", spec.name, "--runner", "ray", "--pack", "off"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "was-run").exists()
    assert re.fullmatch(r"6 trials finished in .*\n", done.stdout)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("reading the structure of")]
    assert lines[0] == "small: 6 trials to train"
    assert all(re.match(r"\[\d/6\] ", line) for line in lines[1:]), done.stderr


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    spec = write_study(tmp_path, epochs=8)
    options = ("--runner", "ray", "--pack", "2", "--checkpoint-every", "0")
    process = start(spec, *options)
    checkpoints = tmp_path / "store" / "checkpoints"
    wait_for(lambda: list(checkpoints.glob("*.safetensors")))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "what was under way is saved" in err
    assert "Traceback" not in err
    assert list(checkpoints.glob("*.safetensors"))
    code, _, err = run(spec, *options)
    assert code == 0, err
    assert "going on with" in err
    assert not [*checkpoints.iterdir()]  # nor is the mark of this machine left
    assert run(spec, "--pack", "2", store="other")[0] == 0
    assert results(tmp_path / "store") == results(tmp_path / "other")


def wait_for(what: Any, seconds: float = 180) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "127.0.0.1:1"], "nobody answers at `127.0.0.1:1`: Connection refused"),
        (["--address", "ray://127.0.0.1:1"], "nobody answers at `ray://127.0.0.1:1`: Connection refused"),
        (["--address", "nonsense"], "`--address nonsense` is no address"),
        (["--device", "cuda:1"], "`--device cuda:1` names one GPU of this machine, and Ray says which one a pack has"),
        (["--device", "cpu", "--gpus", "1"], "`--device cpu` needs no GPU, and `--gpus 1` asks for one"),
        (["--cpus", "1000"], "a pack has 1,000 CPUs, and no node is large enough: the cluster has 1 node with"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_put_down(tmp_path: Path, options: Sequence[str], said: str) -> None:
    code, out, err = run(write_study(tmp_path), "--runner", "ray", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert "the runner `ray` of bitspec-ray" in err
    assert "Traceback" not in err
