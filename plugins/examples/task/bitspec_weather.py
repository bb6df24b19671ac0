"""A task: `task weather` asks of a made-up report whether the day was more sunny than rainy."""

from __future__ import annotations

from pathlib import Path
from random import Random

from bitspec.plugins import Rows, Task

_WORDS = {1: ("sun", "warm", "bright"), 0: ("rain", "cold", "dark"), None: ("the", "day", "was", "and")}


def _rows(count: int, seed: int) -> Rows:
    random = Random(seed)
    texts, labels = [], []
    for _ in range(count):
        label = random.randint(0, 1)
        words = [random.choice(_WORDS[label]) for _ in range(3)] + [random.choice(_WORDS[1 - label])]
        words += random.choices(_WORDS[None], k=4)
        random.shuffle(words)
        texts.append((" ".join(words),))
        labels.append(label)
    return Rows(texts, labels)


def read(_data_dir: Path | None) -> tuple[Rows, Rows]:
    """400 examples to train with and 100 to validate, the same each time."""
    return _rows(400, 1), _rows(100, 2)


PLUGIN = Task(
    surface=1,
    summary="is a made-up report of the weather more sunny than rainy",
    version="1",
    classes=("rainy", "sunny"),
    metric="accuracy",
    read=read,
)
