"""A folder with everything that a study needs: a small random model, data, a spec. It trains in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.training.small import VOCABULARY, model_folder

SPEC = """study lab "A study that takes a second"

model small = "model"
task rated { training = "train.csv" validation = "dev.csv" text = first, second label = rating metric = accuracy }
seeds 0

train { epochs = 2  batch_size = 8  learning_rate = 1e-2 }

strategy frozen "Frozen" = none
strategy bitfit "BitFit" = bias
strategy sample "Sample" = rand(all, 5%)
"""


def write_lab(folder: Path, spec: str = SPEC, model_type: str = "bert") -> Path:
    """Make the folder, and return the path of its spec."""
    folder.mkdir(parents=True, exist_ok=True)
    model_folder(folder / "model", model_type)
    generator = np.random.default_rng(0)
    for name, examples in (("train.csv", 40), ("dev.csv", 25)):
        lines = ["first,second,rating"]
        for _ in range(examples):
            first, second = (
                " ".join(f"w{word}" for word in generator.integers(0, VOCABULARY - 5, generator.integers(2, 6)))
                for _ in range(2)
            )
            lines.append(f"{first},{second},{('bad', 'good')[int(first[1:].split()[0]) % 2]}")
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    path = folder / "lab.bspec"
    path.write_text(spec, "utf-8")
    return path
