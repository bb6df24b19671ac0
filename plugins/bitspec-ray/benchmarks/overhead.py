"""What a pack costs beside its training: a hundred trivial packs through the local runner and through Ray, in turn.

    python benchmarks/overhead.py [--packs 100] [--rounds 3]

Both have a process of one thread for each core; Ray starts its own cluster every time. Nothing is stored: it is the
runners that are compared. What is told of each: seconds until the first trial begins, and from then on, a pack, wall
time, what of it was training, and what this process computes; and the ratio of wall times. On a machine that does other
things as well, only the last but one says something.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bitspec.ir.events import Finished, Started
from bitspec.language.load import loads
from bitspec.runners.local import LocalRunner
from bitspec.runners.plan import plan
from bitspec.runners.protocol import Queue, Work
from bitspec.runners.workers import cores
from bitspec_ray.runner import RayRunner

_SPEC = """study trivial
model "builtin/nano"
task rated { training = "data.csv" validation = "data.csv" text = words label = rating metric = accuracy }
seeds 0..%d
train { epochs = 1  batch_size = 8  max_length = 16 }
strategy frozen = none
"""


def measure(make: Callable[[], Any], folder: Path, packs: int) -> tuple[float, float, float, float]:
    """Seconds to the first trial; from then on, a pack, seconds that passed, were trained, and were computed here."""
    study = loads(_SPEC % (packs - 1))
    work = Work(study, folder, device="cpu")
    waiting = plan(study, {}, base=folder).packs()
    assert len(waiting) == packs
    began = time.perf_counter()
    first, last, trained, computed, finished = 0.0, 0.0, 0.0, 0.0, 0
    for event in make().run(work, Queue(waiting)):
        if isinstance(event, Started) and not first:
            first, computed = time.perf_counter(), -time.process_time()
        elif isinstance(event, Finished):
            last, finished, trained = time.perf_counter(), finished + 1, trained + event.result.seconds
    computed += time.process_time()
    assert finished == packs
    return first - began, (last - first) / packs, trained / packs, computed / packs


def main() -> None:
    """Measure, and print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--packs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, list[tuple[float, float, float, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{word} film,{('bad', 'good')[number % 2]}" for number, word in enumerate("abcdefgh")]
        (folder / "data.csv").write_text("\n".join(["words,rating", *lines]) + "\n", "utf-8")
        for _ in range(asked.rounds):
            for runner, make in (
                ("local", lambda: LocalRunner(workers=cores())),
                ("ray", lambda: RayRunner(cpus=1)),
            ):
                found[runner].append(measure(make, folder, asked.packs))
                print(runner, *(f"{seconds:.4f}" for seconds in found[runner][-1]), file=sys.stderr)
    told: dict[str, Any] = {
        runner: {
            "first_trial_after_s": round(median(one[0] for one in all_), 2),
            "wall_ms_per_pack": round(1000 * median(one[1] for one in all_), 2),
            "trained_ms_per_pack": round(1000 * median(one[2] for one in all_), 2),
            "driver_cpu_ms_per_pack": round(1000 * median(one[3] for one in all_), 2),
        }
        for runner, all_ in found.items()
    }
    ratios = [own[1] / other[1] for own, other in zip(found["ray"], found["local"], strict=True)]
    told["wall_ratio_of_each_round"] = [round(ratio, 2) for ratio in ratios]
    told |= {"packs": asked.packs, "workers": cores(), "rounds": asked.rounds}
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
