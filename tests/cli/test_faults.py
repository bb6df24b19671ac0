"""What commands say where something is wrong with a disk, a file or a machine: exit code, message, what is kept."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

from bitspec.store.store import Store
from tests.cli.conftest import Bitspec, Ran
from tests.disks import ROOT, Disk, disk, fill, free
from tests.lab import SPEC as STUDY
from tests.lab import write_lab
from tests.report.conftest import SPEC, moved
from tests.store.conftest import Lab, trained_values, unprivileged

__all__ = ["unprivileged"]

Calls: TypeAlias = "list[tuple[str | Path, ...]]"
Runs: TypeAlias = Callable[[Calls], list[Ran]]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a finished study, and of its spec."""
    lab = Lab(Store(tmp_path_factory.mktemp("faults") / "store"))
    for cell in lab.begin(SPEC):
        lab.record(cell, changes=moved(cell), values=trained_values())
    lab.store.end(lab.runs[-1])
    (lab.store.folder.parent / "moved.bspec").write_text(SPEC, "utf-8")
    return lab.store.folder


@pytest.fixture
def spec(filled: Path, tmp_path: Path) -> Path:
    """The spec of the study, in the working directory."""
    return Path(shutil.copy(filled.parent / "moved.bspec", tmp_path))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def key_of(store: Path) -> str:
    """The beginning of the key of a trial."""
    return sorted(Store(store).statuses())[0][:16]


def reading(store: Path, key: str) -> Calls:
    """A call of every command that reads a store."""
    return [
        ("query", "select mean(score) by strategy", "--store", store),
        ("query", "select count(*) from predictions", "--store", store, "--format", "csv"),
        ("plot", "bars", "--store", store),
        ("plot", "heatmap", "--store", store, "-o", "heatmap.json"),
        ("report", "--store", store),
        ("compare", "bitfit", "frozen", "--store", store),
        ("show", "--trial", key, "--store", store),
    ]


# A store that can only be read ----------------------------------------------------------------------------


def check_only_read(run: Runs, store: Path, key: str, why: str, every: int = 1) -> None:
    """That commands which read a store go on as ever, and `run` says at once why it cannot."""
    calls = reading(store, key)[::every]
    *read, ran = run([*calls, ("run", "moved.bspec", "--store", store)])
    for arguments, one in zip(calls, read, strict=True):
        assert (one.code, "error" in one.err) == (0, False), (arguments, one.err)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error[store-unusable]: results cannot be kept in `{store}`: {why}\n"
        "  = help: choose another folder with `--store`\n\n1 error\n"
    )


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])  # of the commands that read
@pytest.mark.usefixtures("spec")
def test_a_store_on_a_disk_that_can_only_be_read(filled: Path, tmp_path: Path, every: int) -> None:
    # The writer was killed before, so that what it wrote last is still to be taken from the journal.
    store = Path(shutil.copytree(filled, "store"))
    program = (
        "import duckdb, os, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "connection.execute('CREATE TABLE late AS SELECT 7 AS x')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, store / "results.duckdb"], check=False)
    assert (store / "results.duckdb.wal").stat().st_size
    with disk(tmp_path / "disk") as made:
        shutil.copytree(store, made.seen / "store")
        made.make_read_only()
        why = "it can only be read"
        check_only_read(lambda calls: many(calls, on=made), made.path / "store", key_of(filled), why, every)


def test_a_store_of_somebody_else(
    bitspec: Bitspec, filled: Path, unprivileged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(calls: Calls) -> list[Ran]:
        return [bitspec(*arguments) for arguments in calls]

    nobody = os.geteuid()
    os.seteuid(os.getuid())  # who made the store, and gives it to be read
    store = Path(shutil.copytree(filled, unprivileged / "store"))
    for path in (*store.rglob("*"), store):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for name in ("out", "cache"):
        (unprivileged / name).mkdir()
        (unprivileged / name).chmod(0o777)
    Path(shutil.copy(filled.parent / "moved.bspec", unprivileged / "out")).chmod(0o444)
    monkeypatch.setenv("BITSPEC_CACHE_DIR", str(unprivileged / "cache"))
    key = key_of(store)
    in_the_way = unprivileged / "out" / "moved.bspec"
    run([*reading(store, key), ("run", in_the_way, "--store", in_the_way)])  # imports what others may not be able to
    os.seteuid(nobody)
    monkeypatch.chdir(unprivileged / "out")
    check_only_read(run, store, key, "permission is denied")


# A store that is damaged ----------------------------------------------------------------------------------


def _sqlite(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE flowers (name)")
    connection.commit()
    connection.close()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(12_288, len(data), 5000):
        data[place] ^= 0xFF
    path.write_bytes(data)


DAMAGES: dict[str, Any] = {
    "empty": lambda path: path.write_bytes(b""),
    "a text": lambda path: path.write_text("score,task\n" * 2000, "utf-8"),
    "of SQLite": _sqlite,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": _pipe,
    "the first bytes": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "the first page": lambda path: path.write_bytes(path.read_bytes()[:4096]),
    "the headers": lambda path: path.write_bytes(path.read_bytes()[:12_288]),
    "a third": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]),
    "overwritten": lambda path: path.write_bytes(path.read_bytes()[:12_288] + bytes(path.stat().st_size - 12_288)),
    "bits": _flipped,
    "a journal of something": lambda path: path.with_name("results.duckdb.wal").mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.usefixtures("spec")
def test_a_store_that_is_damaged(bitspec: Bitspec, filled: Path, damage: str) -> None:
    store = Path(shutil.copytree(filled, "store"))
    calls = [*reading(store, key_of(store)), ("run", "moved.bspec"), ("plan", "moved.bspec")]
    DAMAGES[damage](store / "results.duckdb")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for arguments in calls:
        ran = bitspec(*arguments)
        assert (ran.code, ran.out) == (2, ""), (arguments, ran)
        assert ran.err.startswith("error[store-broken]: "), (arguments, ran.err)
        assert "help: " in ran.err
        assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in store.iterdir() if "unfinished" in path.name) == []


# Outputs that cannot be written ---------------------------------------------------------------------------

#: Runs commands one after the other, each in a process of its own, and prints what came of each.
MANY = """
import json, os, sys, tempfile
import bitspec.cli.main
from bitspec.cli.main import main
given = json.loads(sys.argv[1])
ended = []
for arguments in given["commands"]:
    with tempfile.TemporaryFile(dir=given["folder"]) as out, tempfile.TemporaryFile(dir=given["folder"]) as err:
        child = os.fork()
        if not child:
            os.dup2(os.open(given["out"], os.O_WRONLY) if given["out"] else out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["bitspec", *arguments]
            main()
        _, status = os.waitpid(child, 0)
        ended.append([os.waitstatus_to_exitcode(status), *(os.pread(one.fileno(), 10**6, 0).decode() for one in (out, err))])
print(json.dumps(ended))
"""


def many(commands: Calls, out: str | None = None, on: Disk | None = None) -> list[Ran]:
    """What comes of commands in processes of their own, in the working directory; `out` takes their output."""
    given = {"commands": [list(map(str, command)) for command in commands], "out": out, "folder": str(Path.cwd())}
    call = [sys.executable, "-W", "error", "-c", MANY, json.dumps(given)]
    if on is None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=300)
    else:
        done = on.run(*call, folder=Path.cwd())
    assert done.returncode == 0, done.stderr
    ran = [Ran(*one) for one in json.loads(done.stdout)]
    assert not [one.err for one in ran if "Traceback" in one.err or "Exception ignored" in one.err]
    return ran


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO FULL DEVICE: /dev/full is Linux's")
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_an_output_that_nothing_can_be_written_to(filled: Path, spec: Path, every: int) -> None:
    store = Path(shutil.copytree(filled, "store"))
    calls: Calls = [
        ("query", "select mean(score) by strategy"),
        ("query", "select count(*) from predictions", "--format", "csv"),
        ("plot", "bars"),
        ("report",),
        ("compare", "bitfit", "frozen"),
        ("show", "--trial", key_of(store)),
        ("show", spec, "--no-heatmap"),
        ("run", spec, "--dry-run"),
        ("check", spec),
        ("schema",),
        ("--help",),
    ]
    calls = calls[::every]
    for arguments, ran in zip(calls, many(calls, out="/dev/full"), strict=True):
        assert ran.code == 1, (arguments, ran)
        assert ran.err.endswith("error: the output cannot be written: No space left on device\n"), (arguments, ran.err)


def test_files_that_find_no_room_leave_what_was_there(filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled, "store")
    loose = 'study s model "builtin/nano" task builtin/rte strategy a=bias\n' + "# a comment\n" * 2000
    with disk(tmp_path / "disk", "1m") as made:
        earlier = {"chart.json": b"what was in it before"}
        for name, content in earlier.items():
            (made.seen / name).write_bytes(content)
        (made.seen / "loose.bspec").write_text(loose, "utf-8")
        fill(made.seen, 0)
        calls: Calls = [
            ("plot", "bars", "-o", made.path / "chart.json"),
            ("plot", "bars", "-o", made.path / "other.json"),
            ("fmt", made.path / "loose.bspec"),
            ("new", "-m", "builtin/nano", "-o", made.path / "new.bspec", "-n", "n" * 64),
        ]
        for arguments, ran in zip(calls, many(calls, on=made), strict=True):
            assert ran.code == 2, (arguments, ran)
            assert "error[unwritable-file]: `" in ran.err, (arguments, ran.err)
            assert "` cannot be written: No space left on device\n  = help: " in ran.err
        assert {name: (made.seen / name).read_bytes() for name in earlier} == earlier
        assert (made.seen / "loose.bspec").read_text("utf-8") == loose
        assert {path.name for path in made.seen.iterdir()} <= {*earlier, "loose.bspec", "ballast"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO FULL DEVICE: /dev/full is Linux's")
@pytest.mark.usefixtures("spec")
def test_files_that_are_links_stay_links(bitspec: Bitspec, filled: Path) -> None:
    shutil.copytree(filled, "store")
    for name in ("chart.json", "page.html", "new.bspec"):
        Path(name).symlink_to("/dev/full")
    for arguments in (
        ("plot", "bars", "-o", "chart.json"),
        ("report", "-o", "page.html"),
        ("new", "-m", "builtin/nano", "-o", "new.bspec", "--force"),
    ):
        ran = bitspec(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert (
            f"error[unwritable-file]: `{arguments[-1 if arguments[0] != 'new' else 4]}` cannot be written: " in ran.err
        )
        assert "No space left on device" in ran.err
    Path("folder").mkdir()
    Path("moved.bspec").rename("folder/elsewhere.bspec")
    Path("moved.bspec").symlink_to("folder/elsewhere.bspec")
    assert bitspec("fmt", "moved.bspec").out == "moved.bspec: laid out\n"
    assert Path("moved.bspec").is_symlink()
    Path("chart.json").unlink()
    Path("chart.json").symlink_to("folder/chart.json")
    for _ in range(2):
        assert bitspec("plot", "bars", "-o", "chart.json").code == 0
        assert Path("chart.json").is_symlink()
        assert json.loads(Path("folder/chart.json").read_text("utf-8"))
    assert sorted(path.name for path in Path("folder").iterdir()) == ["chart.json", "elsewhere.bspec"]


# Models and machines --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lab(tmp_path_factory.mktemp("lab")).parent


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "lab.bspec"


def statuses() -> list[str]:
    return sorted(Store(Path("store")).statuses().values())


#: Each step multiplies every value by -99.
DIVERGING = "train for bitfit { learning_rate = 10  weight_decay = 10  clip_norm = off  eps = 1e-30  epochs = 60 }\n"


def test_a_rate_that_none_could_be_trained_with(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(STUDY + "train for bitfit { learning_rate = 1e30 }\n", "utf-8")
    ran = bitspec("run", lab)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[setting-range]: `learning_rate` cannot be 1")
    assert not Path("store").exists()


@pytest.mark.parametrize("pack", [pytest.param("off", marks=pytest.mark.slow), "3"])
def test_a_strategy_that_diverges(bitspec: Bitspec, lab: Path, pack: str) -> None:
    lab.write_text(STUDY + DIVERGING, "utf-8")
    ran = bitspec("run", lab, "--workers", "1", "--pack", pack)
    assert ran.code == 1, ran.err
    assert "rated bitfit seed 0 diverged: the loss is no number any more\n" in ran.err
    assert "1 trial without a result, to be tried again by the next run:\n" in ran.err
    assert "    help: try a smaller learning_rate\n" in ran.err
    assert "2 trials finished in" in ran.out
    assert statuses() == ["diverged", "finished", "finished"]
    assert "1 diverged last time" in bitspec("plan", lab).out
    lab.write_text(STUDY, "utf-8")
    assert "1 trial finished" in bitspec("run", lab, "--workers", "1").out


@pytest.mark.parametrize(
    ("problem", "said", "hint"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), "CUDA out of memory. Tried to allocate", "try a smaller batch_size, or a larger device"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "can't allocate memory", "try a smaller batch_size, or a larger device"),
        (MemoryError(), "the memory of this machine is full", "try a smaller batch_size"),
    ],
    ids=["device", "torch", "python"],
)  # fmt: skip
def test_a_trial_that_finds_no_memory(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, said: str, hint: str
) -> None:
    from bitspec.training import loop

    losses_of, seen = loop.losses_of, []

    def full(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append(labels)
        if len(seen) == 15:  # in the second trial: an epoch is five steps and the evaluation
            raise problem
        return losses_of(logits, labels)

    monkeypatch.setattr(loop, "losses_of", full)
    ran = bitspec("run", lab, "--workers", "1", "--pack", "off")
    assert ran.code == 1, ran.err
    assert f"failed: {said}" in ran.err or said in ran.err
    assert f"    help: {hint}\n" in ran.err
    assert "2 trials finished in" in ran.out
    assert statuses() == ["failed", "finished", "finished"]


def test_a_machine_whose_memory_is_full_before_anything_is_trained(
    bitspec: Bitspec, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Iterator[None]:
        raise MemoryError

    monkeypatch.setattr("bitspec.runners.plan.read_task", full)
    monkeypatch.setattr("bitspec.runners.plan.task_fingerprint", full)
    ran = bitspec("run", lab)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error[no-memory]: the memory of this machine is full\n"
        "  = help: end what else is running, or ask for less at once; finished trials are kept\n\n1 error\n"
    )


@pytest.mark.slow
def test_an_export_that_finds_no_room_leaves_no_half_model(bitspec: Bitspec, lab: Path, tmp_path: Path) -> None:
    assert bitspec("run", lab, "--only", "frozen", "--keep-values", "--workers", "1").code == 0
    key = key_of(Path("store"))
    with disk(tmp_path / "disk", "1m") as made:
        fill(made.seen, 8)
        (ran,) = many([("export", key, "-o", made.path / "model")], on=made)
        assert ran.code == 2
        assert ran.err.startswith(f"error[unwritable]: `{made.path / 'model'}` cannot be written: ")
        assert "No space left on device" in ran.err
        assert "help: choose another folder, or free some space if the disk is full" in ran.err
        assert not (made.seen / "model").exists()
        free(made.seen)
    ran = bitspec("export", key, "-o", "/dev/null/model")
    assert ran.code == 2
    assert "cannot be written" in ran.err or "is a file" in ran.err
