"""`--allow-pickle` and `--allow-outside`: what is refused without them, and what they let in and no more."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bitspec.store.store import Store
from tests.cli.conftest import Bitspec
from tests.cli.test_run import rows
from tests.lab import SPEC, write_lab

OUTSIDE_HELP = "Let the spec name files outside its project: the working directory, or its own folder elsewhere."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lab(tmp_path_factory.mktemp("lab")).parent


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    """The spec of a lab in the working directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return Path("lab.bspec")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# --allow-pickle -----------------------------------------------------------------------------------------


def pickled(content: dict[str, Any] | None = None) -> None:
    """Make the weights of the lab's model a pickle, with something more in it if asked."""
    weights = Path("model/model.safetensors")
    torch.save(load_file(weights) | (content or {}), "model/pytorch_model.bin")
    weights.unlink()


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def scores() -> list[tuple[Any, ...]]:
    return rows("select strategy, task, seed, score from scores order by position")


def test_a_study_on_pickled_weights(bitspec: Bitspec, lab: Path) -> None:
    lab.write_text(SPEC + "strategy largest = topk(bias, 20, by = magnitude)\n", "utf-8")
    assert bitspec("run", lab, "--store", "before").code == 0
    pickled()
    for command in (["plan", lab], ["run", lab]):
        refused = bitspec(*command)
        assert refused.code == 2
        assert refused.err.startswith("error[pickled-weights]")
        assert "`--allow-pickle`" in refused.err
    assert "4 never trained" in bitspec("plan", lab, "--allow-pickle").out
    ran = bitspec("run", lab, "--allow-pickle", "--keep-values")
    assert ran.code == 0, ran.err
    assert "4 trials finished" in ran.out
    assert "nothing to train" in bitspec("run", lab, "--allow-pickle").out
    pickled_scores = scores()
    shutil.rmtree("store")
    shutil.move("before", "store")
    assert scores() == pickled_scores  # the same weights, whatever they were read from


def test_what_was_trained_on_pickled_weights_is_exported_with_leave(bitspec: Bitspec, lab: Path) -> None:
    pickled()
    assert bitspec("run", lab, "--only", "bitfit", "--allow-pickle", "--keep-values").code == 0
    ((key,),) = rows("select key from scores")
    refused = bitspec("export", key, "-o", "out")
    assert refused.code == 2
    assert "error[pickled-weights]" in refused.err
    assert bitspec("export", key, "-o", "out", "--allow-pickle").code == 0
    assert Path("out/model.safetensors").exists()
    assert not list(Path("out").glob("*.bin"))


@pytest.mark.slow
def test_several_processes_have_the_same_leave(bitspec: Bitspec, lab: Path) -> None:
    pickled()
    ran = bitspec("run", lab, "--allow-pickle", "--workers", "2")
    assert ran.code == 0, ran.err
    assert len(scores()) == 3


@pytest.mark.parametrize(
    "ways",
    [
        [[], ["--pack", "off"]],
        pytest.param([["--workers", "2"]], marks=pytest.mark.slow),  # each of which takes seconds to begin
    ],
    ids=["one process", "several"],
)
@pytest.mark.parametrize("options", [[], ["--allow-pickle"]])
def test_a_pickle_with_code_in_it_runs_none_of_it(
    bitspec: Bitspec, lab: Path, tmp_path: Path, options: list[str], ways: list[list[str]]
) -> None:
    canary = tmp_path / "canary"
    pickled({"bert.extra": Bomb(canary)})
    bitspec("plan", lab, *options)
    for more in ways:
        ran = bitspec("run", lab, *options, *more)
        assert ran.code == (1 if options else 2)
        assert ("hold more than tensors" if options else "error[pickled-weights]") in ran.err
        assert "Traceback" not in ran.err
    assert not canary.exists()
    assert Store(Path("store")).statuses() == {} or rows("select count(*) from scores") == [(0,)]
    pickle.loads(pickle.dumps(Bomb(canary)))  # noqa: S301 - the bomb is one
    assert canary.exists()


# --allow-outside ----------------------------------------------------------------------------------------


def test_every_command_that_reads_a_spec_says_it_in_the_same_words(bitspec: Bitspec) -> None:
    for name in ("check", "show", "plan", "run", "report"):
        said = " ".join(bitspec(name, "--help").out.split())
        assert f"--allow-outside {OUTSIDE_HELP}" in said, name
    assert "--allow-outside" not in bitspec("fmt", "--help").out  # it brings nothing in


@pytest.fixture
def away(lab: Path) -> Path:
    """The lab's spec with its data, and a library, beside the project."""
    (lab.parent / "project").mkdir()
    (lab.parent / "groups.bspec").write_text("group q = bias where role == q\n", "utf-8")
    text = SPEC.replace('"train.csv"', '"../train.csv"') + 'use "../groups.bspec"\nstrategy q_only = q\n'
    spec = lab.parent / "project" / "lab.bspec"
    spec.write_text(text.replace('"model"', '"../model"').replace('"dev.csv"', '"../dev.csv"'), "utf-8")
    os.chdir("project")
    return Path("lab.bspec")


SAID = (
    "error[outside-project]: `../groups.bspec` leads out of the project folder, to `{outside}/groups.bspec`\n"
    "  --> lab.bspec:12:5\n"
)


@pytest.mark.parametrize("command", ["check", "show", "plan", "run", "report"])
def test_what_leads_out_of_the_project_is_refused(bitspec: Bitspec, away: Path, command: str, tmp_path: Path) -> None:
    refused = bitspec(command, away)
    assert refused.code == 2
    assert refused.err.count("error[outside-project]") == 3
    for place in (":4:25", ":4:", ":12:5"):
        assert f" lab.bspec{place}" in refused.err
    assert SAID.format(outside=tmp_path) in refused.err
    assert "pass `--allow-outside` if you trust this spec" in refused.err
    assert not Path("store").exists()


def test_with_leave_it_is_read(bitspec: Bitspec, away: Path) -> None:
    assert bitspec("check", away, "--allow-outside").code == 0
    assert bitspec("show", away, "--allow-outside").code == 0
    assert bitspec("plan", away, "--allow-outside").code == 0
    assert bitspec("run", away, "--allow-outside", "--only", "q_only", "--keep-values").code == 0
    assert bitspec("report", away, "--allow-outside").code == 0
    assert bitspec("report").code == 0  # the study is in the store, and no file of it is opened
    ((key,),) = rows("select key from scores")
    refused = bitspec("export", key, "-o", "out")
    assert refused.code == 2
    assert "error[outside-project]" in refused.err
    assert bitspec("export", key, "-o", "out", "--allow-outside").code == 0


def test_from_the_folder_above_it_is_the_same_project(bitspec: Bitspec, away: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    for command in ("check", "show", "plan"):
        assert bitspec(command, Path("project") / away).code == 0
        assert bitspec(command, tmp_path / "project" / away).code == 0


def test_folders_that_the_user_names_are_the_users_own(bitspec: Bitspec, lab: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shutil.move(lab, project / "lab.bspec")
    for name in ("train.csv", "dev.csv"):
        shutil.move(name, project / name)
    os.chdir(project)
    assert bitspec("plan", "lab.bspec", "-m", tmp_path / "model", "--data-dir", tmp_path).code == 0


def test_a_stray_store_names_no_data_elsewhere(bitspec: Bitspec, lab: Path) -> None:
    """What a store says of a trial's data is as little to be trusted as what a spec says."""
    import duckdb

    assert bitspec("run", lab, "--only", "bitfit", "--keep-values").code == 0
    ((key,),) = rows("select key from scores")
    with duckdb.connect("store/results.duckdb") as connection:
        (said,) = connection.execute("select task_data from base.trials").fetchone() or ("",)
        assert "train.csv" in str(said)
        connection.execute("update base.trials set task_data = replace(task_data::varchar, 'train.csv', '/etc/passwd')")
    refused = bitspec("export", key, "-o", "out")
    assert refused.code == 2
    assert "`/etc/passwd` leads out of the project folder" in refused.err
