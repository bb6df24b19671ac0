"""Golden files of many cases: a title, a text, and what came of it, written to be read.

=== title
the text
--- what the program says
the golden output
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    file: Path
    title: str
    text: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file.stem}: {self.title}"


def read_cases(folder: Path, pattern: str = "*.txt") -> list[Case]:
    cases = []
    for file in sorted(folder.glob(pattern)):
        for part in file.read_text("utf-8").split("\n=== ")[0:]:
            title, _, rest = part.removeprefix("=== ").partition("\n")
            text, _, expected = rest.partition("\n---\n")
            cases.append(Case(file, title.strip(), text, expected.strip("\n")))
    return cases


def write_cases(cases: list[Case], outputs: dict[Case, str]) -> None:
    for file in sorted({case.file for case in cases}):
        parts = [f"=== {case.title}\n{case.text}\n---\n{outputs[case]}\n" for case in cases if case.file == file]
        file.write_text("\n".join(parts), "utf-8")
