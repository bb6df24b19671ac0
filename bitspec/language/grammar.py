"""The LALR parser that Lark builds from `bspec.lark`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from lark import Lark


@cache
def grammar() -> Lark:
    """The parser; its start rules are `file` and `statement`. Building it takes about 30 ms."""
    text = files("bitspec.language").joinpath("bspec.lark").read_text("utf-8")
    return Lark(text, parser="lalr", start=["file", "statement"], maybe_placeholders=True)


@contextmanager
def without_collector() -> Iterator[None]:
    """While a text is parsed: its hundreds of thousands of objects all live on, and collecting doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
