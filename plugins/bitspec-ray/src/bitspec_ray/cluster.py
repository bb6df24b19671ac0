"""A connection to a Ray cluster: one that is there, or one on this machine for as long as a run takes."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Final

import ray

from bitspec.plugins import Refusal
from bitspec.runners.workers import cores

#: Seconds in which somebody must answer at an address.
PATIENCE: Final = 10.0

#: Ray's word for a cluster of its own, whatever the environment says.
_OWN: Final = "local"

_CLIENT: Final = "ray://"

#: What Ray reads as it begins: no word to its makers, no hints about versions to come, and workers that yield to other
#: programs no more than those of the local runner.
_SETTINGS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


class Cluster:
    """A cluster that this process has joined, by its address; without one it is started here, and ended by `leave`.

    Where this process has joined one before, that is the one, and `leave` leaves it alone. Raises Refusal if there is
    none at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._ended = contextlib.ExitStack()
        if ray.is_initialized():
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(_quiet())
            # It is what the processes of a cluster of its own work in: it must be there as long as they are.
            empty = stack.enter_context(tempfile.TemporaryDirectory(prefix="bitspec-"))
            _join(address, empty)
            stack.callback(_part)
            self._ended = stack.pop_all()

    def leave(self) -> None:
        """End what was begun. Doing it twice is doing it once."""
        self._ended.close()


def _join(address: str | None, empty: str) -> None:
    if address is not None:
        _check_answers(address)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    own: dict[str, Any] = {}
    if address is None:
        own = {"num_cpus": cores(), "include_dashboard": False}
        # Who reaches a cluster can run code on it, and this one is for us: a word that nobody else knows guards it.
        if not any(name.startswith("RAY_AUTH_") for name in os.environ):
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    where = "on this machine" if address is None else f"at `{address}`"
    try:
        with _working_in(empty), _handlers_kept():
            ray.init(address=address or _OWN, logging_level=logging.CRITICAL, log_to_driver=False, **own)
    except (RuntimeError, ValueError, ImportError, OSError, AssertionError, ray.exceptions.RayError) as problem:
        said = _said(problem)
        if isinstance(problem, ImportError) and address and address.startswith(_CLIENT):
            what = f"an address that begins with {_CLIENT} needs a part of Ray that is not installed"
            raise Refusal(what, 'pip install "bitspec-ray[client]"') from problem
        hint = "its nodes need the same versions of Python and of Ray as this machine" if "ersion" in said else None
        if address is None:
            hint = "name one that is there: `--address HOST:PORT`"
        raise Refusal(f"no Ray cluster can be had {where}: {said}", hint) from problem


def _part() -> None:
    with _handlers_kept():
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise Refusal where nobody answers at an address: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Refusal(f"`--address {address}` is no address", "write auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as problem:
        hint = "`ray start --head` says the address of the cluster that it starts; `ray status` whether it is there"
        why = problem.strerror or str(problem) or "no answer"
        raise Refusal(f"nobody answers at `{address}`: {why}", hint) from problem


@contextlib.contextmanager
def _working_in(folder: str) -> Iterator[None]:
    """Inside of it, a folder is the working directory.

    Ray puts the working directory before all else that its workers import from, and a file in the folder of a spec
    must never be imported: so it is an empty one.
    """
    before = os.getcwd()  # noqa: PTH109 - it is only gone back to
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside of it, Ray prints nothing to the standard output.

    It has no setting for that: a thread of its own prints what nodes say of their workers, of which the crew tells.
    """
    module: Any = ray._private.worker
    before = getattr(module, "print_to_stdstream", None)
    module.print_to_stdstream = lambda *_arguments, **_options: None
    try:
        yield
    finally:
        module.print_to_stdstream = before


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray sets handlers of signals; afterwards they are as they were."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _said(problem: BaseException) -> str:
    """The first lines of an exception as one."""
    return " ".join(str(problem).split())[:200] or type(problem).__name__


def say(message: str) -> None:
    """Tell the user, on standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
