"""The git commit of a spec's folder and the versions of packages."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from bitspec.store.connection import ENGINE
from bitspec.store.provenance import git_commit, provenance, versions
from bitspec.store.store import Store
from tests.store.conftest import SPEC, plan


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder, with nobody's own configuration."""
    done = subprocess.run(
        ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "specs").mkdir(parents=True)
    (folder / "specs" / "small.bspec").write_text(SPEC, "utf-8")
    (folder / "other.txt").write_text("one", "utf-8")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def test_the_commit_of_a_folder_in_git(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert git_commit(repository) == git_commit(repository / "specs") == commit


def test_a_changed_file_makes_it_dirty_and_one_beside_the_spec_does_not(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "other.txt").write_text("two", "utf-8")
    (repository / "specs" / "new.bspec").write_text("", "utf-8")  # git does not know it yet
    assert git_commit(repository) == f"{commit}-dirty"
    assert git_commit(repository / "specs") == commit
    (repository / "specs" / "small.bspec").write_text(SPEC + "# edited", "utf-8")
    assert git_commit(repository / "specs") == f"{commit}-dirty"


@pytest.mark.parametrize("place", ["", "missing"])
def test_outside_git_there_is_no_commit(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path / place) is None


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert git_commit(tmp_path) is None


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_commit(repository) is None


def test_the_environment_of_another_repository_is_not_taken_for_this_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as inside a hook
    assert git_commit(repository) == commit


def test_no_program_of_the_repository_is_started(repository: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {told}\n", "utf-8")
    spy.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(spy))
    assert git_commit(repository) is not None
    assert not told.exists()
    git(repository, "status")
    assert told.exists()  # the spy works


def test_versions_are_those_that_are_installed() -> None:
    found = versions()
    assert found["duckdb"] == version("duckdb")
    assert found["torch"] == version("torch")
    assert {"python", "platform", "bitspec", "transformers"} <= found.keys()


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitspec.store.provenance.PACKAGES", ("duckdb", "no-such-package"))
    assert versions().keys() == {"python", "platform", "duckdb"}


def test_a_run_has_the_provenance_of_its_spec(repository: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.prepare()
    study, planned = plan(SPEC)
    spec = str(repository / "specs" / "small.bspec")
    store.begin(study, planned, spec=spec, spec_text=SPEC, command="bitspec run", whole=True)
    source = provenance(repository / "specs")
    with ENGINE.reading(store.read_path()) as connection:
        found = connection.execute("SELECT commit, versions FROM studies").fetchall()
    assert found == [(source.commit, source.versions)]
    assert source.commit == git(repository, "rev-parse", "HEAD")
