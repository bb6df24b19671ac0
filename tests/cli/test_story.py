"""`bitspec show --trial`, as a user types it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.store.conftest import Lab


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a store with a finished study, and the key of a trial."""
    lab = Lab(Store(tmp_path_factory.mktemp("told") / "store"))
    cells = lab.run()
    return lab.store.folder, next(cell.key for cell in cells if cell.trial.strategy == "bitfit")


@pytest.fixture
def key(filled: tuple[Path, str]) -> str:
    """The key of a trial in the store of the working directory."""
    Path("store").symlink_to(filled[0])
    return filled[1]


def test_a_story(bitspec: Bitspec, key: str) -> None:
    ran = bitspec("show", "--trial", key[:12])
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"BitFit on cola, seed 0: finished\nkey         {key}\n")
    assert "\n\nepochs\n" in ran.out
    assert "surest and wrong:" in ran.out


def test_json(bitspec: Bitspec, key: str) -> None:
    found = bitspec("show", "--trial", key.upper(), "--json").json()
    assert (found["key"], len(found["epochs"]), len(found["tensors"])) == (key, 2, 3)


def test_a_store_elsewhere(bitspec: Bitspec, filled: tuple[Path, str]) -> None:
    folder, key = filled
    for place in (folder, folder / "results.duckdb"):
        assert bitspec("show", "--trial", key, "--store", place).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("s.bspec", "--trial", "abcd"), "`--trial` shows a trial of a store, and `s.bspec` is a spec: give one"),
        (("--trial", "abcd", "--no-heatmap"), "`--no-heatmap` goes with a spec, and `--trial` shows a trial"),
        (("--trial", "abcd", "-s", "a", "--seeds", "1"), "`--strategy` and `--seeds` go with a spec"),
        (("--trial", "abc"), "error[short-key]: `abc` is too short for a key"),
        (("--trial", "bitfit"), "error[short-key]: `bitfit` is no key"),
        (("--trial", "0" * 64), "error[unknown-trial]: no trial has a key that begins with"),
        (("--trial", "abcd", "--store", "nowhere"), "error[no-store]: there are no results in `nowhere`"),
        ((), "Error: Missing argument 'SPEC'."),
    ],
)
@pytest.mark.usefixtures("key")
def test_mistakes(bitspec: Bitspec, arguments: tuple[str, ...], said: str) -> None:
    ran = bitspec("show", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_nothing_heavy_is_loaded(process: Callable[..., subprocess.CompletedProcess[str]], key: str) -> None:
    watch = "import atexit, sys\natexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(sys.modules)))"
    done = process("show", "--trial", key[:8], before=watch)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED ")[2].split())
    assert "bitspec.report.story" in loaded
    assert not loaded & {"torch", "transformers", "datasets", "evaluate", "sklearn", "scipy", "altair"}
