"""The seeded source of randomness behind every draw.

A stream is keyed by what is drawn and why, and uses nothing but the raw 64-bit words of a counter-based bit
generator (Philox 4x64): these are the same on every machine and with every version of NumPy, which the
methods of `numpy.random.Generator` are not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from bitspec.ir.masks import CHUNK, Indices, complement

#: Part of every key. A change to what a stream yields, or to how a rule uses it, changes this.
VERSION: Final = "bitspec draws 1"


@dataclass(frozen=True)
class Randomness:
    """The randomness of one draw of a study: its seed and its canonical call."""

    seed: int
    call: str

    def stream(self, *purpose: str) -> Stream:
        """An independent stream for each purpose, such as the name of the tensor that is drawn from."""
        key = json.dumps([VERSION, self.seed, self.call, *purpose]).encode()
        return Stream(hashlib.sha256(key).digest())


class Stream:
    """A sequence of 64-bit words that depends on a key alone, and the exact draws that are made of it."""

    def __init__(self, key: bytes) -> None:
        # Philox takes a key of 128 bits.
        self._bits = np.random.Philox(key=np.frombuffer(key[:16], dtype="<u8").astype(np.uint64))

    def integers(self, below: int, count: int) -> Indices:
        """`count` independent, uniform integers of range(below), in the order drawn; int64.

        Raises ValueError unless 1 <= below <= 2**63.
        """
        drawn = np.empty(count, np.int64)
        self._fill(drawn, below)
        return drawn

    def sample(self, below: int, count: int) -> Indices:
        """`count` distinct integers of range(below), every such set equally likely; sorted int64.

        They are the first distinct ones of one sequence of uniform integers; or, where more than half is
        asked for, those that such a sample leaves out. Memory is the result and a few MB. Raises ValueError
        if `count` is negative or above `below`.
        """
        if not 0 <= count <= below:
            raise ValueError(f"cannot draw {count} distinct integers out of {below}")
        if 2 * count > below:
            return complement(self.sample(below, below - count), below)
        drawn = np.empty(count, np.int64)
        distinct = 0
        while distinct < count:
            self._fill(drawn[distinct:], below)
            # Later rounds add a few to a sorted run, which the stable sort merges in a fraction of the time.
            drawn.sort(kind="stable" if distinct else None)
            distinct = _drop_repeats(drawn)
        return drawn

    def permutation(self, count: int) -> Indices:
        """The integers of range(count) in a random order, every order equally likely; int64."""
        while True:
            words = self._bits.random_raw(count)
            order = np.argsort(words, kind="stable")
            words = words[order]
            # Equal words would leave the order to the sort, so all are drawn again: exact, and hardly ever
            # needed.
            if not np.any(words[1:] == words[:-1]):
                return order.astype(np.int64, copy=False)

    def coin(self) -> bool:
        """True or False, equally likely."""
        return bool(self.integers(2, 1)[0])

    def _fill(self, out: Indices, below: int) -> None:
        # As many low bits as `below` needs, and again for the words that are too large. No more words are
        # taken than numbers are missing, so the sequence does not depend on the size of the chunks.
        if not 1 <= below <= 2**63:
            raise ValueError(f"cannot draw an integer below {below}")
        bits = np.uint64((1 << (below - 1).bit_length()) - 1)
        limit = np.uint64(below)
        filled = 0
        while filled < out.size:
            words = self._bits.random_raw(min(CHUNK, out.size - filled))
            words &= bits
            words = words[words < limit]
            out[filled : filled + words.size] = words.view(np.int64)
            filled += words.size


def _drop_repeats(ordered: Indices) -> int:
    # Moves the distinct members of a sorted array to its front, in place, and says how many they are.
    kept = 0
    last = -1
    for start in range(0, ordered.size, CHUNK):
        part = ordered[start : start + CHUNK]
        fresh = np.empty(part.size, dtype=bool)
        fresh[0] = part[0] != last
        np.not_equal(part[1:], part[:-1], out=fresh[1:])
        last = int(part[-1])
        distinct = part[fresh]
        ordered[kept : kept + distinct.size] = distinct
        kept += distinct.size
    return kept
