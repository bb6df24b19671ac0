"""`bitspec store`: what each of its commands says, to whom, and with which exit code."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bitspec.cli import progress
from bitspec.cli.store import command
from bitspec.store.store import Store
from tests.cli.conftest import Bitspec, Ran
from tests.query.conftest import fill
from tests.store.conftest import trained_values
from tests.store.stores import alter, everything
from tests.store.test_maintenance import LOST

Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("stores") / "store")


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Store:
    """A store where the commands look for one."""
    return Store(Path(shutil.copytree(filled, tmp_path / "store")).relative_to(tmp_path))


# Every command ------------------------------------------------------------------------------------------


def test_the_commands_and_their_order(bitspec: Bitspec) -> None:
    found = bitspec("store", "--help")
    assert found.code == 0
    names = list(command.commands)
    assert names == ["check", "compact", "forget", "export", "import"]
    places = [found.out.index(f"\n  {name} ") for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize("name", command.commands)
def test_the_help_has_an_example(bitspec: Bitspec, name: str) -> None:
    found = bitspec("store", name, "--help")
    assert (found.code, found.err) == (0, "")
    assert f"\n  Example: bitspec store {name}" in found.out
    assert all(one.help for one in command.commands[name].params if isinstance(one, click.Option))


@pytest.mark.parametrize("name", ["check", "compact", "forget", "export"])
def test_without_a_store(bitspec: Bitspec, name: str) -> None:
    arguments = {"forget": ["--seed", "0"], "export": ["out"]}.get(name, [])
    found = bitspec("store", name, *arguments)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error[no-store]: there are no results in `store`\n")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "there is no command called `store chek`; did you mean `check`?"),
        (["x"], "there is no command called `store x`; there are `check`, `compact`, `forget`, `export` and `import`"),
        (["forget"], "say which trials: by KEY, or with `--strategy`"),
        (["forget", "abcdef", "--seed", "0"], "trials are told by their keys, or by what they are"),
        (["forget", "--seed", "x"], "'x' is not a valid integer"),
        (["export"], "Missing argument 'FOLDER'"),
        (["import"], "Missing argument 'OTHER'"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_is_wrong_with_a_call(bitspec: Bitspec, arguments: list[str], said: str) -> None:
    found = bitspec("store", *arguments)
    assert (found.code, found.out) == (2, "")
    assert said in found.err


def test_what_takes_long_is_said(bitspec: Bitspec, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TELLING_PATIENCE", 0.0)
    monkeypatch.setattr("bitspec.cli.progress.threading.Timer", _At_once)
    shutil.copytree(store.folder, "other")
    for arguments, said in (
        (["check"], "reading all of store …\n"),
        (["compact"], "writing the database of store anew …\n"),
        (["export", "out"], "writing out …\n"),
        (["import", "other"], "reading all of other …\n"),
    ):
        found = bitspec("store", *arguments)
        assert (found.code, found.err) == (0, said)


class _At_once:  # noqa: N801 - it stands for a function
    daemon = False

    def __init__(self, _: float, say: Callable[[], None]) -> None:
        self.start = say

    def cancel(self) -> None:
        pass


# check --------------------------------------------------------------------------------------------------


def test_a_sound_store(bitspec: Bitspec, store: Store) -> None:
    said = "store is sound: 22 finished trials, 0 files of trained values\n"
    assert bitspec("store", "check") == Ran(0, said, "")
    assert bitspec("store", "check", "--store", store.database) == Ran(0, said, "")


def test_what_a_check_finds(bitspec: Bitspec, store: Store) -> None:
    (store.folder / "values" / f"{LOST}.safetensors").write_bytes(b"x")
    found = bitspec("store", "check")
    assert found == Ran(
        1,
        f"values/{LOST}.safetensors: no trial has these values; `bitspec store compact` removes it\n"
        "1 thing is wrong with store, which has 22 finished trials, 0 files of trained values\n",
        "",
    )
    alter(store, "DELETE FROM base.epochs WHERE key = (SELECT min(key) FROM base.epochs)")
    found = bitspec("store", "check")
    assert found.code == 1
    assert len(found.out.splitlines()) == 3
    assert "\n2 things are wrong with store, which has " in found.out


def test_names_from_strangers_do_not_steer_the_terminal(bitspec: Bitspec, store: Store) -> None:
    alter(store, "UPDATE base.trials SET strategy = 'x' || chr(27) || '[2J' || chr(10) || 'y', run = 9")
    found = bitspec("store", "check")
    assert "\x1b" not in found.out
    assert len(found.out.splitlines()) == 23 + 1  # one of them failed


def test_a_database_that_is_none(bitspec: Bitspec) -> None:
    Path("store").mkdir()
    Path("store/results.duckdb").write_bytes(b"no database" * 1000)
    for name in ("check", "compact"):
        found = bitspec("store", name)
        assert (found.code, found.out) == (2, "")
        assert found.err.startswith("error[store-broken]: ")


# compact ------------------------------------------------------------------------------------------------


def test_compact(bitspec: Bitspec, store: Store) -> None:
    alter(store, "CREATE TABLE base.ballast AS SELECT hash(range) AS y FROM range(500000)")
    alter(store, "CREATE TABLE base.tail AS FROM range(10)")
    alter(store, "DROP TABLE base.ballast")
    before = store.database.stat().st_size
    (store.folder / "values" / f"{LOST}.safetensors").write_bytes(b"four")
    found = bitspec("store", "compact")
    after = store.database.stat().st_size
    assert found == Ran(
        0,
        f"removed values/{LOST}.safetensors: no trial has these values\n"
        f"{before - after + 4:,} bytes won: the database of store has {after:,} bytes, and had {before:,}\n",
        "",
    )
    alter(store, "DROP TABLE base.tail")
    bitspec("store", "compact")
    after = store.database.stat().st_size
    assert bitspec("store", "compact").out == f"there is nothing to win: the database of store has {after:,} bytes\n"
    assert bitspec("query", "select n").out.splitlines()[1].strip() == "22"


# forget -------------------------------------------------------------------------------------------------


def test_forget(bitspec: Bitspec, store: Store) -> None:
    before = everything(store)
    lines = "bitfit on cola, seeds 0, 2\nln on cola, seeds 0, 2\n"
    options = ("-s", "bitfit", "-s", "ln", "-t", "cola", "--seed", "0", "--seed", "2")
    dry = bitspec("store", "forget", *options, "--dry-run")
    assert dry == Ran(0, f"{lines}4 trials would be forgotten; nothing was changed\n", "")
    assert everything(store) == before
    done = bitspec("store", "forget", *options)
    assert done == Ran(0, f"{lines}4 trials forgotten; the next `bitspec run` trains them again\n", "")
    again = bitspec("store", "forget", *options)
    assert again == Ran(0, "there is nothing to forget: none of these trials was trained\n", "")
    assert "4 of 24 cells have no result" not in bitspec("query", "select n").out
    assert "6 of 24 cells have no result" in bitspec("query", "select n").out


def test_forget_by_key(bitspec: Bitspec, store: Store) -> None:
    key = min(store.statuses())
    found = bitspec("store", "forget", key[:8])
    assert found.code == 0
    assert found.out.endswith("\n1 trial forgotten; the next `bitspec run` trains it again\n")
    assert key not in store.statuses()


@pytest.mark.usefixtures("store")
def test_forget_what_is_not_there(bitspec: Bitspec) -> None:
    assert bitspec("store", "forget", "-s", "bitft") == Ran(
        2,
        "",
        "error[unknown-name]: there is no strategy called `bitft` in the study `small`\n"
        "  = help: did you mean `bitfit`?\n\n1 error\n",
    )


def test_what_else_is_forgotten(bitspec: Bitspec, store: Store) -> None:
    alter(
        store,
        "INSERT INTO base.runs SELECT * REPLACE (2 AS run, 'copy' AS study, TIMESTAMP '2020-01-01' AS began) FROM base.runs",
        "INSERT INTO base.cells SELECT * REPLACE ('copy' AS study, 2 AS run) FROM base.cells",
    )
    found = bitspec("store", "forget", "-s", "bitfit", "-t", "cola", "--dry-run")
    assert found.out.splitlines()[1] == "the same trials are bitfit of copy"


# export and import --------------------------------------------------------------------------------------


def test_there_and_back(bitspec: Bitspec, store: Store) -> None:
    found = bitspec("store", "export", "out", "--values")
    rows = sum(map(len, everything(store).values()))
    assert found == Ran(0, f"wrote {rows:,} rows of 8 tables and 0 files of trained values to out\n", "")
    again = bitspec("store", "export", "out")
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith("error[file-exists]: `out` is there already\n")
    assert bitspec("store", "export", "out", "--force").code == 0
    back = bitspec("store", "import", "out", "--store", "copy")
    assert back == Ran(
        0,
        "22 finished trials came into copy from out\nand 1 failure, 1 run, 24 cells, 0 files of trained values\n",
        "",
    )
    assert everything(Store(Path("copy"))) == everything(store)
    twice = bitspec("store", "import", "copy")
    assert twice.out.startswith("0 finished trials came into store from copy; 22 were finished here before\n")
    assert bitspec("query", "select avg(score) by strategy", "--store", "copy").out.startswith(
        "strategy  avg(score)\nfull "
    )


def test_values_that_do_not_come_are_told_of(bitspec: Bitspec, store: Store) -> None:
    alter(store, "UPDATE base.trials SET values_file = 'values/' || key || '.safetensors' WHERE seed = 0")
    found = bitspec("store", "import", store.folder, "--store", "copy")
    assert found.code == 0
    assert found.err == "8 trials came without trained values, which are missing there or broken\n"


@pytest.mark.usefixtures("store")
def test_what_cannot_be_imported(bitspec: Bitspec) -> None:
    found = bitspec("store", "import", "./store")
    assert found == Ran(
        2,
        "",
        "error[same-store]: `store` is the store itself\n"
        "  = help: name another store, or the folder of an export\n\n1 error\n",
    )
    nothing = bitspec("store", "import", "nowhere", "--store", "new")
    assert nothing.code == 2
    assert nothing.err.startswith("error[no-store]: there are no results in `nowhere`\n")
    assert not Path("new").exists()


# What it costs ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
def test_nothing_heavy_is_loaded(process: Process) -> None:
    watch = "import atexit, sys\natexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(sys.modules)))"
    for arguments in (["check"], ["compact"], ["forget", "--seed", "0"], ["export", "out"], ["import", "out"]):
        done = process("store", *arguments, *(["--store", "new"] if arguments[0] == "import" else []), before=watch)
        assert done.returncode == 0, done.stderr
        loaded = {name.partition(".")[0] for name in done.stderr.partition("LOADED ")[2].split()}
        assert not loaded & {"torch", "transformers", "datasets", "evaluate", "scipy", "pandas", "pyarrow", "altair"}


def test_a_store_that_is_kept_open(bitspec: Bitspec, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    monkeypatch.setattr("bitspec.store.store.PATIENCE", 0.05)
    monkeypatch.setattr(Store.__init__, "__kwdefaults__", {"patience": 0.05})
    with duckdb.connect(store.database):
        for arguments in (["check"], ["compact"], ["forget", "--seed", "0"], ["export", "out"]):
            found = bitspec("store", *arguments)
            assert (found.code, found.out) == (2, "")
            assert found.err.startswith("error[store-busy]: ")


def test_values_are_counted(bitspec: Bitspec, store: Store) -> None:
    from bitspec.store.values import write_values

    key = min(key for key, status in store.statuses().items() if status == "finished")
    write_values(store.folder / "values" / f"{key}.safetensors", trained_values(), {"key": key})
    alter(store, f"UPDATE base.trials SET values_file = 'values/{key}.safetensors' WHERE key = '{key}'")  # noqa: S608
    assert "22 finished trials, 1 file of trained values" in bitspec("store", "check").out
    assert " and 1 file of trained values to out" in bitspec("store", "export", "out", "--values").out
    assert bitspec("store", "import", "out", "--store", "copy").out.endswith(", 1 file of trained values\n")
    assert Store(Path("copy")).values(key) is not None
