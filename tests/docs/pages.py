"""The fenced blocks of a page: what kind each is, what stands in it, and where.

    ```bspec [wrong] [FILE]    a spec; with `wrong` the block after it is what bitspec says about it
    ```console                 `$ bitspec …` lines, each with what it prints: standard output, then standard error
    ```python                  run in order, page by page
    ```… output                what the Python block before it prints
    ```… FILE                  a file that later blocks of the page use

Where a line of output is `…`, any lines may stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ELISION = "…"


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        return next((word for word in self.words if "." in word), None)


def blocks_of(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    position = 0
    while position < len(lines):
        if not lines[position].startswith("```"):
            position += 1
            continue
        start = position
        language, *words = lines[start].removeprefix("```").split() or [""]
        position = lines.index("```", start + 1)
        text = "".join(f"{line}\n" for line in lines[start + 1 : position])
        found.append(Block(page, start + 1, language, tuple(words), text))
        position += 1
    return found


def commands_of(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert not parts[0], f"{block.place}: a console block starts with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def is_shown(expected: str, actual: str) -> bool:
    """Whether an output is what a page shows of it."""
    pattern = "".join(
        "(?:.*\n)*" if line.strip() == ELISION else f"{re.escape(line.rstrip())}\n" for line in expected.splitlines()
    )
    return re.fullmatch(pattern, tidy(actual)) is not None


def tidy(output: str) -> str:
    """An output without blank ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in output.rstrip().splitlines())


def replace(block: Block, text: str) -> None:
    """Write a page anew with another text in a block."""
    lines = block.page.read_text("utf-8").splitlines(keepends=True)
    lines[block.line : block.line + len(block.text.splitlines())] = [text]
    block.page.write_text("".join(lines), "utf-8")
