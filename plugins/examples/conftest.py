"""What the tests of all examples use: the commands, as a user types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bitspec.cli.main import main

Bitspec = Callable[..., str]


@pytest.fixture
def bitspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Bitspec:
    """Runs a command in an empty folder, and returns what it prints: to both outputs where it is to fail."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, spec: str | None = None, code: int = 0) -> str:
        if spec is not None:
            (tmp_path / "study.bspec").write_text(spec, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["bitspec", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert ended.value.code == code, out + err
        return out if code == 0 else out + err

    return run
