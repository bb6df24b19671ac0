"""What the tests of all examples use: the commands, as a user types them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Bitspec = Callable[..., str]


@pytest.fixture
def bitspec(tmp_path: Path) -> Bitspec:
    """Runs a command in an empty folder, and returns what it prints, to either output where it is to fail."""

    def run(*arguments: str, spec: str | None = None, code: int = 0) -> str:
        if spec is not None:
            (tmp_path / "study.bspec").write_text(spec, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "bitspec", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    return run
