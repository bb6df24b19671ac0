"""Data and models that go, or change, while a study runs: their trials fail, each says why, and the others are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch

from bitspec.store.store import Store
from bitspec.training import loop
from tests.cli.conftest import Bitspec, Ran
from tests.lab import write_lab

SPEC = """study lab
model small = "model"
task first { training = "train.csv" validation = "dev.csv" text = first, second label = rating metric = accuracy }
task second { training = "more/train.csv" validation = "more/dev.csv" text = first label = rating metric = accuracy }
seeds 0
train { epochs = 1  batch_size = 8  learning_rate = 1e-2 }
strategy frozen = none
strategy bitfit = bias
"""

TWO_MODELS = SPEC.replace('model small = "model"', 'model small = "model"\nmodel other = "other"')


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_lab(tmp_path_factory.mktemp("vanishing"), SPEC).parent
    (folder / "more").mkdir()
    for name in ("train.csv", "dev.csv"):
        shutil.copy(folder / name, folder / "more")
    shutil.copytree(folder / "model", folder / "other")
    weights = bytearray((folder / "other" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "other" / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture(autouse=True)
def _lab(made: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def run(bitspec: Bitspec, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs a spec, and does something once the first trial is kept."""

    def ran(spec: str = SPEC, then: Callable[[], object] | None = None, *arguments: str) -> Ran:
        Path("lab.bspec").write_text(spec, "utf-8")
        waiting = [] if then is None else [then]
        record = Store.record

        def recording(self: Store, *given: Any, **options: Any) -> bool:
            is_first = record(self, *given, **options)
            if waiting:
                waiting.pop()()
            return is_first

        with monkeypatch.context() as patched:
            patched.setattr(Store, "record", recording)
            return bitspec("run", "lab.bspec", "--workers", "1", "--pack", "off", *arguments)

    return ran


def rows(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect("store/results.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


def statuses() -> list[tuple[str, str, str]]:
    return [(str(a), str(b), str(c)) for a, b, c in rows("SELECT task, strategy, status FROM trials ORDER BY ALL")]


HALF = [
    ("first", "bitfit", "finished"),
    ("first", "frozen", "finished"),
    ("second", "bitfit", "failed"),
    ("second", "frozen", "failed"),
]

WHOLE = [(task, strategy, "finished") for task, strategy, _ in HALF]


def _unlabelled() -> None:
    path = Path("more/dev.csv")
    path.write_text(path.read_text("utf-8").replace(",good\n", ",\n", 1).replace(",bad\n", ",\n", 1), "utf-8")


@pytest.mark.parametrize(
    ("then", "message", "hint"),
    [
        (lambda: Path("more/train.csv").unlink(), "there is no file `more/train.csv`", "there is nothing like it in `more`"),
        pytest.param(lambda: shutil.rmtree("more"), "there is no file `more/train.csv`", "there is not even a folder `more`", marks=pytest.mark.slow),
        pytest.param(lambda: Path("more/dev.csv").write_bytes(b"first,rating\n\xff\n"), "more/dev.csv:2: this is not UTF-8: it looks like another encoding (byte 14)", "save it as UTF-8", marks=pytest.mark.slow),
        pytest.param(lambda: Path("more/dev.csv").write_bytes(b""), "`more/dev.csv` has no examples", "is it the right file?", marks=pytest.mark.slow),
        (_unlabelled, ": there is no label in `rating` (and so in 1 more row)", "leave out those without"),
    ],
    ids=["file", "folder", "encoding", "cut", "labels"],
)  # fmt: skip
def test_data_that_goes_fails_its_own_trials(
    run: Callable[..., Ran], then: Callable[[], object], message: str, hint: str
) -> None:
    ran = run(SPEC, then)
    assert ran.code == 1
    for strategy in ("frozen", "bitfit"):
        (line,) = {line.strip() for line in ran.err.splitlines() if line.startswith(f"  second {strategy} seed 0")}
        assert line.startswith(f"second {strategy} seed 0 failed: ")
        assert line.endswith(message)
    assert f"    help: {hint}" in ran.err or hint in ran.err
    assert "2 trials finished in" in ran.out
    assert statuses() == HALF


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (lambda: shutil.rmtree("more"), "there is no file `more/train.csv`"),
        (_unlabelled, ": there is no label in `rating` (and so in 1 more row)"),
    ],
    ids=["folder", "labels"],
)
def test_the_next_run_says_what_is_wrong_and_can_go_on_without(
    run: Callable[..., Ran], then: Callable[[], object], message: str, made: Path
) -> None:
    assert run(SPEC, then).code == 1
    again = run()  # now before anything is trained, with its place in the spec
    assert again.code == 2
    assert message in again.err
    assert " --> lab.bspec:4:6\n" in again.err
    assert statuses() == HALF
    assert run(SPEC, None, "--only", "first").code == 0  # the rest of the study can go on

    shutil.copytree(made / "more", "more", dirs_exist_ok=True)
    healed = run()
    assert (healed.code, "2 trials finished in" in healed.out) == (0, True)
    assert statuses() == WHOLE


def test_data_that_changes_is_not_trained_under_the_old_key(run: Callable[..., Ran]) -> None:
    ran = run(SPEC, lambda: shutil.copy("more/train.csv", "more/dev.csv"))
    assert ran.code == 1
    said = "failed: `model` or the data of `second` changed after the run was planned\n    help: run the same again\n"
    assert ran.err.count(said) == 2
    assert statuses() == HALF
    assert run().code == 0
    assert set(WHOLE) <= set(statuses())


@pytest.mark.parametrize(
    ("source", "then", "message"),
    [
        ("other", lambda: shutil.rmtree("other"), "the model `other` is not on this machine any more"),
        pytest.param("./other", lambda: shutil.rmtree("other"), "there is no folder `./other`", marks=pytest.mark.slow),
        pytest.param("other", lambda: Path("other/config.json").unlink(), "the folder `other` has no `config.json`", marks=pytest.mark.slow),
        ("other", lambda: Path("other/model.safetensors").unlink(), "`other` has no weights: no `model.safetensors`, and no `model.safetensors.index.json`"),
        pytest.param("other", lambda: Path("other/model.safetensors").write_bytes(b"\x80"), "`model.safetensors` of `other` is cut off, or no safetensors file", marks=pytest.mark.slow),
        ("other", lambda: shutil.copy("model/model.safetensors", "other"), "`other` or the data of `first` changed after the run was planned"),
    ],
    ids=["folder", "path", "config", "weights", "cut", "changed"],
)  # fmt: skip
def test_a_model_that_goes_fails_its_own_trials(
    run: Callable[..., Ran], source: str, then: Callable[[], object], message: str, made: Path
) -> None:
    spec = TWO_MODELS.replace('"other"', f'"{source}"').replace("task second", "task third")
    ran = run(spec, then, "--only", "first", "--only", "bitfit")
    assert ran.code == 1
    assert f"  first bitfit seed 0 failed: {message}\n    help: " in ran.err
    assert "1 trial finished in" in ran.out
    assert rows("SELECT model, status FROM trials ORDER BY ALL") == [("other", "failed"), ("small", "finished")]
    shutil.rmtree("other", ignore_errors=True)
    shutil.copytree(made / "other", "other")
    healed = run(spec, None, "--only", "first", "--only", "bitfit")
    assert healed.code == 0, healed.err
    assert rows("SELECT model, status FROM trials ORDER BY ALL") == [("other", "finished"), ("small", "finished")]


def test_a_trial_that_is_under_way_needs_no_files_any_more(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    losses_of = loop.losses_of

    def losing(*given: Any) -> torch.Tensor:
        shutil.rmtree("model", ignore_errors=True)
        shutil.rmtree("more", ignore_errors=True)
        return losses_of(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "losses_of", losing)
        ran = run(SPEC, None, "--only", "frozen")
    assert ran.code == 1
    assert "1 trial finished in" in ran.out
    ((key, fingerprint),) = rows("SELECT key, model_fingerprint FROM trials WHERE status = 'finished'")
    shutil.copytree(made / "model", "model")
    shutil.copytree(made / "more", "more")
    assert run(SPEC, None, "--only", "frozen").code == 0
    assert rows("SELECT count(*), count(DISTINCT model_fingerprint) FROM trials") == [(2, 1)]
    assert (key, fingerprint) in rows("SELECT key, model_fingerprint FROM trials")
