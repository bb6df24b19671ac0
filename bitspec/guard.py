"""A plugin at arm's length: whatever it does, it ends in a message that names it, and not in a crash."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

from bitspec.diagnostics import BitspecError, Span, error
from bitspec.plugins import Kind, Refusal

#: The package whose plugins are bitspec's own: they need no guarding, and have the version of the numerics.
OWN: Final = "bitspec"

#: Seconds that a plugin may take for what it is asked to do.
WORKING: Final = 300.0

#: Seconds between two rings.
_AGAIN: Final = 0.5


@dataclass(frozen=True)
class Installed:
    """A name that a package registers."""

    kind: Kind
    name: str
    package: str
    package_version: str
    entry: EntryPoint

    @property
    def is_own(self) -> bool:
        """Whether it comes with bitspec."""
        return self.package == OWN

    def __str__(self) -> str:
        return f"the {self.kind} `{self.name}` of {self.package} {self.package_version}"


@contextlib.contextmanager
def guarded(one: Installed, doing: str, seconds: float | None = WORKING, span: Span | None = None) -> Iterator[None]:
    """Inside of it, a plugin does what it is asked for.

    What it prints to the standard output goes to the standard error, with a word on whose it is. Raises BitspecError
    at `span` for whatever it raises, and when it takes longer than `seconds`, if that is given (seen in the main thread
    only).
    """
    if one.is_own:
        yield
        return
    printed = _Printed(one)
    try:
        with contextlib.redirect_stdout(printed), _limited(seconds):
            yield
    except (BitspecError, KeyboardInterrupt, GeneratorExit):
        raise
    except _TooLong:
        message = f"{one} took more than {seconds:g} seconds to {doing}, and was stopped"
        raise BitspecError(error("broken-plugin", message, span, help=_tell(one))) from None
    except Refusal as refusal:
        raise BitspecError(error("refused", f"{one}: {refusal}", span, help=refusal.help)) from None
    except BaseException as problem:
        message = f"{one} failed to {doing}: {_said(problem)}"
        raise BitspecError(error("broken-plugin", message, span, help=_tell(one))) from problem
    finally:
        printed.finish()


def _tell(one: Installed) -> str:
    return f"tell its authors, or do without it: `pip uninstall {one.package}`"


def _said(problem: BaseException) -> str:
    """An exception in one line, with the place where it was raised."""
    try:
        said = " ".join(str(problem).split())[:300]
    except Exception:  # a plugin's own exceptions may fail to say what they are
        said = ""
    where = traceback.extract_tb(problem.__traceback__)
    place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    return f"{type(problem).__name__}{f': {said}' if said else ''}{place}"


class _TooLong(BaseException):
    """Raised in the midst of what takes too long; no `except Exception` of a plugin's holds it up."""


@contextlib.contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    can_ring = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not can_ring:
        yield
        return

    def ring(_number: int, _frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    # It rings again and again, for what takes the first one for an error of its own and goes on.
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)


#: Of whom it was said that they print to the standard output.
_TOLD: Final[set[Installed]] = set()


def forget() -> None:
    """Say it anew of each."""
    _TOLD.clear()


class _Printed(io.TextIOBase):
    """Takes what a plugin prints to the standard output to the standard error, and says once whose it is."""

    def __init__(self, one: Installed) -> None:
        self._one = one
        self._line = ""

    def write(self, text: str) -> int:
        """Print a text, line by line."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._print(line)
        return len(text)

    def writable(self) -> bool:
        """It is to be written to."""
        return True

    def finish(self) -> None:
        """Print what is left; it may be written to again."""
        if self._line:
            self._print(self._line)
        self._line = ""

    def _print(self, line: str) -> None:
        if self._one not in _TOLD:
            sys.stderr.write(f"warning: {self._one} prints to the standard output, which is for results; it says:\n")
        _TOLD.add(self._one)
        sys.stderr.write(f"  {line}\n")
