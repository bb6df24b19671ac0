"""Runs commands, in this process or in one of its own, with the catalogue of BERT at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bitspec.cli.main import main
from bitspec.parameters.cache import catalogue


@dataclass(frozen=True)
class Ran:
    """What came of a command: its exit code, and what it wrote to either output."""

    code: int | str | None
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Bitspec: TypeAlias = Callable[..., Ran]


@pytest.fixture(scope="session", autouse=True)
def _warm_cache(_cache_of_the_run: None) -> None:
    catalogue("bert-base-cased")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bitspec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bitspec:
    """Runs a command in this process."""

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bitspec", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Ran(end.value.code, out, err)

    return run


@pytest.fixture
def process(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a process of its own; options go to `subprocess.run`."""

    def run(
        *arguments: str | Path, before: str = "", environment: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        program = f"{before}\nfrom bitspec.cli.main import main\nmain()"
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(root)} | (environment or {}),
            text=True,
            check=False,
            timeout=60,
            **given,
        )

    return run


@pytest.fixture
def specs(root: Path) -> Path:
    return root / "specs"


LLAMA = {
    "model_type": "llama",
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "intermediate_size": 16,
    "pad_token_id": 0,
}


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """The folder of a model without a single bias, and without weights."""
    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA), "utf-8")
    return folder
