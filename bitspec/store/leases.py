"""Leases: which trials are being trained, and by whom, so that several runs on one store share the work.

A lease is for a while, and is renewed meanwhile; of a process that died its leases end by themselves, and at once where
it can be seen that it died. Nothing depends on leases but who trains what: whatever is finished is kept.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from bitspec.store.records import now

#: How long a lease holds, and after how many seconds it is renewed.
LEASE: Final = timedelta(seconds=120)
RENEWAL: Final = 30.0


@cache
def this_machine() -> str:
    """The name of this machine, and a word for where numbers of processes mean the same: a start of it, a container."""
    marks = [socket.gethostname()]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
    with suppress(OSError):
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{marks[0]} {hashlib.sha256(' '.join(marks).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Holder:
    """Who claims trials: a run in a process of a machine, with a word of its own."""

    run: int
    host: str = field(default_factory=this_machine)
    pid: int = field(default_factory=os.getpid)
    word: str = field(default_factory=lambda: secrets.token_hex(8))
    since: datetime = field(default_factory=now)


@dataclass(frozen=True)
class Claim:
    """What came of asking for work.

    `place` is that of the pack of which `keys` were claimed, in the order that was asked for; None if there is
    nothing to be had now. `over` are the places of packs that need nobody any more. `elsewhere` are keys that another
    run ended since this one began; `held` are those that others are training now, with who it is, in words.
    """

    place: int | None = None
    keys: tuple[str, ...] = ()
    over: tuple[int, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)


def claim(
    connection: duckdb.DuckDBPyConnection,
    holder: Holder,
    packs: Sequence[Sequence[str]],
    *,
    again: Collection[str] = (),
    company: Collection[str] = (),
    is_saved: Callable[[Sequence[str]], bool] = lambda _keys: False,
) -> Claim:
    """Claim the first pack of which anything is free.

    Keys that are finished, or that another run tried in vain since this one began, are not trained again, save those
    in `again`. Those in `company` go along with others of their pack though they are finished, and so do all that are
    finished of a pack that `is_saved` as a whole.
    """
    ended = _ended(connection, holder, (key for pack in packs for key in pack))
    held = _held(connection, holder)
    over: list[int] = []
    elsewhere: dict[str, str] = {}
    for place, pack in enumerate(packs):
        wanted = [key for key in pack if key not in ended or (key in again and ended[key] == "finished")]
        gone = {key: ended[key] for key in pack if key in ended and key not in wanted and key not in company}
        elsewhere |= gone
        if not wanted:
            over.append(place)
            continue
        along = {key for key, status in gone.items() if status == "finished"} if gone and is_saved(pack) else set()
        free = [key for key in pack if (key in wanted or key in company or key in along) and key not in held]
        if any(key in wanted for key in free):
            _take(connection, holder, free)
            return Claim(place, tuple(free), tuple(over), elsewhere, {})
    asked = {key for pack in packs for key in pack}
    return Claim(None, (), tuple(over), elsewhere, {key: who for key, who in held.items() if key in asked})


def renew(connection: duckdb.DuckDBPyConnection, holder: Holder) -> None:
    """Hold for longer what is held."""
    connection.execute("UPDATE base.leases SET expires = ? WHERE holder = ?", [now() + LEASE, holder.word])


def release(connection: duckdb.DuckDBPyConnection, holder: Holder) -> None:
    """Let go of all that is held."""
    connection.execute("DELETE FROM base.leases WHERE holder = ?", [holder.word])


def end(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Nobody needs to hold this key any more."""
    connection.execute("DELETE FROM base.leases WHERE key = ?", [key])


def _ended(connection: duckdb.DuckDBPyConnection, holder: Holder, keys: Iterable[str]) -> dict[str, str]:
    # What failed before this run began is tried again; what failed in another run meanwhile is not.
    ended = (
        "SELECT key, status FROM base.trials SEMI JOIN (SELECT unnest(?::VARCHAR[]) AS key) AS asked USING (key) "
        "WHERE status = 'finished' OR (finished >= ? AND run <> ?)"
    )
    return dict(connection.execute(ended, [list(keys), holder.since, holder.run]).fetchall())


def _held(connection: duckdb.DuckDBPyConnection, holder: Holder) -> dict[str, str]:
    rows = connection.execute(
        "SELECT key, host, pid FROM base.leases WHERE holder <> ? AND expires > ?", [holder.word, now()]
    ).fetchall()
    alive = {pid: _is_alive(pid) for pid in {pid for _, host, pid in rows if host == this_machine()}}
    return {key: _who(host, pid) for key, host, pid in rows if host != this_machine() or alive[pid]}


def _who(host: str, pid: int) -> str:
    return f"process {pid}" if host == this_machine() else f"process {pid} on {host.partition(' ')[0]}"


def _is_alive(pid: int) -> bool:
    if pid == os.getpid() or os.name == "nt":  # where signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _take(connection: duckdb.DuckDBPyConnection, holder: Holder, keys: Sequence[str]) -> None:
    connection.execute("DELETE FROM base.leases WHERE list_contains(?::VARCHAR[], key)", [list(keys)])
    connection.execute(
        "INSERT INTO base.leases BY NAME SELECT unnest(?::VARCHAR[]) AS key, ? AS holder, ?::INTEGER AS run, "
        "? AS host, ?::BIGINT AS pid, ?::TIMESTAMP AS expires",
        [list(keys), holder.word, holder.run, holder.host, holder.pid, now() + LEASE],
    )
