"""Atheris over the parser and the check of specs, and over the compiler of queries: 100,000 inputs each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUNS = 100_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("atheris") is None,
        reason="NOT FUZZED: Atheris is not installed here; `pip install --group fuzz` installs it (Linux and macOS)",
    ),
]


@pytest.mark.parametrize("kind", ["spec", "query"])
def test_no_input_breaks_it(kind: str, tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.coverage", kind, tmp_path / "corpus", f"-runs={RUNS}", "-seed=1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = {
        path.name: path.read_bytes()[:500]
        for pattern in ("crash-*", "timeout-*", "oom-*")
        for path in tmp_path.glob(pattern)
    }
    assert not found, done.stderr[-4000:]
    assert done.returncode == 0, done.stderr[-4000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None, done.stderr[-2000:]
    assert int(ran[1]) >= RUNS
