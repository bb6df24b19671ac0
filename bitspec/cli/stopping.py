"""Ctrl-C and the like while trials are trained: the first lets what is under way end in order, the second does not."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

#: Ctrl-C; what a system sends before it takes a machine away; what a terminal sends that is closed.
_HEARD: Final = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_SAID: Final = "\nstopping after this step, to save what is under way; once more to stop at once\n"


class Stopping:
    """Whether the user, or the system, wants the program to end; called, it says so.

    Inside of `at_once`, a signal raises KeyboardInterrupt; inside of `in_order` only the second does. `number` is that
    of the first signal.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._is_patient = False

    def __call__(self) -> bool:
        """Whether there was a signal."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """What shells make of the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + (self.number or signal.SIGINT)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Signals end what is inside of it."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are for the main thread, and whoever runs us in another sees to them
            return
        # What is ignored is so on purpose, such as Ctrl-C by a script's background job, or SIGHUP by `nohup`.
        heard = [one for one in _HEARD if signal.getsignal(one) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._heard) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """What is inside of it asks whether it is to end."""
        self._is_patient = True
        try:
            yield
        finally:
            self._is_patient = False

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        is_first = self.number is None
        self.number = self.number or number
        if not (is_first and self._is_patient):
            raise KeyboardInterrupt
        with suppress(OSError, ValueError, AttributeError):  # nobody may be there to read it
            os.write(sys.stderr.fileno(), _SAID.encode())  # the stream itself may be in the middle of a line
