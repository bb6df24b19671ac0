"""Runs `bitspec` commands in forked processes and kills each after a while: what takes seconds is imported once.

`python -m tests.killing` reads lines of JSON: `[seconds, [argument, …]]`. For each it runs the command, and prints its
exit code: -9 where it had to be killed after so many seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def preload() -> None:
    """Import all that a run needs, start nothing."""
    import datasets
    import evaluate
    import torch
    import transformers

    import bitspec.runners.bench
    import bitspec.training.loop
    import bitspec.training.metrics
    import bitspec.training.tasks

    torch.set_num_threads(1)
    assert all((datasets, evaluate, transformers, bitspec.runners.bench, bitspec.training.loop))


def run(seconds: float, arguments: list[str]) -> int:
    """The exit code of a command that is killed after so many seconds, if it takes longer."""
    child = os.fork()
    if child == 0:
        from bitspec.cli.main import main

        sys.argv = ["bitspec", *arguments]
        try:
            main()
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        os._exit(99)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    preload()
    for line in sys.stdin:
        seconds, arguments = json.loads(line)
        sys.stdout.write(f"code {run(seconds, arguments)}\n")
        sys.stdout.flush()
