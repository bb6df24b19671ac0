"""Signs of life for what takes more than a moment, on standard error and only where that is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds before anything is shown: what is quicker needs no sign of life.
PATIENCE = 0.5

#: Seconds before a measurement, or anything else that need not take long, is told of.
TELLING_PATIENCE = 2.0


@contextmanager
def building(model: str) -> Iterator[None]:
    """While a model's structure is worked out, which loads torch and takes seconds."""
    from rich.console import Console

    message = f"reading the structure of {model} (once; it is cached)"
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(message):
            yield
    else:
        console.print(message, highlight=False, soft_wrap=True)
        yield


@contextmanager
def fetching(name: str) -> Iterator[None]:
    """While a model or data is fetched from the hub, whose own bars say how much is left."""
    sys.stderr.write(f"fetching {name}\n")
    sys.stderr.flush()
    yield


@contextmanager
def measuring() -> Iterator[None]:
    """While it is measured how many trials are best trained at once; said if it takes long."""
    with _telling(
        "measuring how many trials are best trained at once (kept for the next time; `--pack off` does without)"
    ):
        yield


@contextmanager
def reading(what: str) -> Iterator[None]:
    """While all of something is read; said if it takes long."""
    with _telling(f"reading all of {what} …"):
        yield


@contextmanager
def writing(what: str) -> Iterator[None]:
    """While something is read from the store and written; said if it takes long."""
    with _telling(f"writing {what} …"):
        yield


@contextmanager
def _telling(message: str) -> Iterator[None]:
    """Tells of what takes long, on standard error."""

    def say() -> None:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    timer = threading.Timer(TELLING_PATIENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """A counter `i of n` for strategies that take long to evaluate."""
    started = time.monotonic()
    shown = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if sys.stderr.isatty() and time.monotonic() - started > PATIENCE:
            shown = True
            sys.stderr.write(f"\rstrategy {done + 1:,} of {total:,} ")
            sys.stderr.flush()

    yield report
    if shown:
        sys.stderr.write("\r\033[K")
