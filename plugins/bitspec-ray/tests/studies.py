"""A study that takes seconds, on the model that comes with bitspec, and what comes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitspec.ir.events import Event, Failed, Finished
from bitspec.language.load import loads
from bitspec.runners.plan import Plan, plan
from bitspec.runners.protocol import Pack, Work

SPEC = """study small "A study that takes seconds"

model nano = "MODEL"
task rated { training = "train.csv" validation = "dev.csv" text = first, second label = rating metric = accuracy }
seeds 0..1

train { epochs = EPOCHS  batch_size = 8  max_length = 32  learning_rate = 4e-3 }

strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
strategy sample "Sample" = rand(all, 5%)
"""

_WORDS = (
    "a",
    "good",
    "bad",
    "old",
    "new",
    "small",
    "large",
    "story",
    "film",
    "scene",
    "actor",
    "ending",
    "never",
    "always",
    "really",
    "quite",
)


def write_study(folder: Path, *, epochs: int = 2, model: str = "builtin/nano", examples: int = 40) -> Path:
    """Write the data and the spec of a study, whose path it returns."""
    chance = random.Random(0)  # noqa: S311 - for data
    for name, count in (("train.csv", examples), ("dev.csv", 24)):
        lines = ["first,second,rating"]
        for _ in range(count):
            first, second = (" ".join(chance.choices(_WORDS, k=chance.randint(2, 6))) for _ in range(2))
            lines.append(f"{first},{second},{'good' if 'good' in first else 'bad'}")
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    spec = folder / "small.bspec"
    spec.write_text(SPEC.replace("EPOCHS", str(epochs)).replace("MODEL", model), "utf-8")
    return spec


@dataclass(frozen=True)
class Asked:
    """A study that is to be run: its work, its plan, and packs of one and of two trials."""

    work: Work
    plan: Plan
    packs: tuple[Pack, ...]


def asked(spec: Path, **options: Any) -> Asked:
    """A study in a file, to be trained on the CPU."""
    study = loads(spec.read_text("utf-8"))
    work = Work(study, spec.parent, device="cpu", keep_values=True, **options)
    found = plan(study, {}, base=spec.parent)
    by_strategy: dict[str, list[Any]] = {}
    for trial in found.trials:
        by_strategy.setdefault(trial.trial.strategy, []).append(trial)
    packs = [tuple(by_strategy["bitfit"]), *((trial,) for name in ("frozen", "sample") for trial in by_strategy[name])]
    return Asked(work, found, tuple(packs))


def numbers(events: Iterable[Event]) -> dict[str, object]:
    """All that trials came to but times, bit for bit, by key. Nothing may have ended twice."""
    found: dict[str, object] = {}
    for event in events:
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            assert event.key not in found
            result = event.result.model_dump(exclude={"seconds"})
            for epoch in result["epochs"]:
                del epoch["seconds"]
            assert event.values is not None
            bits = {name: one.values.tobytes() for name, one in event.values.tensors.items()}
            found[event.key] = (repr(result), bits)
    return found


def counts(events: Iterable[Event]) -> Counter[str]:
    """How many events there were of each kind."""
    return Counter(type(event).__name__ for event in events)
