"""Runs commands in a process that is stopped where it takes too much time or memory, and says what each one took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds of the processor and bytes of memory that anything at all may take. On a machine at leisure it is half of that or less.
SECONDS = 15
MEMORY = 2**30

#: Runs each command that it is given, and writes a line of JSON about it.
_PROGRAM = """
import contextlib, io, json, resource, sys, time
seconds, memory, commands = json.loads(sys.stdin.readline())
resource.setrlimit(resource.RLIMIT_CPU, (seconds * len(commands), seconds * len(commands)))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
from bitspec.cli.main import main
for command in commands:
    said, start = io.StringIO(), time.process_time()
    sys.argv = ["bitspec", *command]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps({"code": code, "said": said.getvalue()[:4000], "length": len(said.getvalue()),
                      "seconds": time.process_time() - start}), flush=True)
"""


@dataclass(frozen=True)
class Took:
    """What came of a command: its exit code, how its messages begin, how long they are, and its processor seconds."""

    code: int
    said: str
    length: int
    seconds: float


def limited(
    commands: Sequence[Sequence[str]], folder: Path, seconds: int = SECONDS, memory: int = MEMORY
) -> list[Took]:
    """Run commands one after the other in one limited process, in a folder.

    Fails where one raises anything but what commands raise, is stopped, or takes longer than its share.
    """
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        input=json.dumps([seconds, memory, [list(one) for one in commands]]) + "\n",  # a command line may be too short
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [Took(**json.loads(line)) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.returncode, len(found), done.stderr[-2000:])
    assert len(found) == len(commands)
    for command, took in zip(commands, found, strict=True):
        assert took.seconds < seconds, (command, took.seconds)
        assert "Traceback" not in took.said
    return found
