"""Times what a user waits for before any training: `python -m tests.benchmarks.language [--json FILE]`.

Each row is a whole process, start-up included, against the named limit: the median of several runs, and the peak
memory of the process. The limits are the design's; nothing here is asserted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]

#: The shape of Llama with seven billion parameters.
LLAMA_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}

_DRAW = """
import sys, time, bitspec
catalogue = bitspec.catalogue(sys.argv[1])
started = time.perf_counter()
selected = bitspec.select("rand(all, 6000000)", catalogue)
print(time.perf_counter() - started)
assert selected.count == 6_000_000
"""

# Prints its own time where the program's start is not what is asked for, and the peak memory of the process.
_WRAPPER = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@dataclass(frozen=True)
class Measurement:
    """Seconds (median, fastest, slowest) and peak memory of one command."""

    what: str
    limit: str
    median_s: float
    fastest_s: float
    slowest_s: float
    peak_mb: float


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_measure(Path(folder), arguments.runs))
    table = Table("what", "limit", "median", "fastest", "slowest", "peak memory", box=None)
    for row in rows:
        times = [f"{seconds:.2f} s" for seconds in (row.median_s, row.fastest_s, row.slowest_s)]
        table.add_row(row.what, row.limit, *times, f"{row.peak_mb:.0f} MB")
    console = Console(width=120)
    console.print(
        f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, {arguments.runs} runs each"
    )
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", "utf-8")


def _measure(folder: Path, runs: int) -> list[Measurement]:
    many = folder / "many.bspec"
    lines = [
        'study many "Ten thousand strategies"',
        'model "bert-base-cased"',
        "task rte",
        "group q = bias where role == q",
    ]
    lines += [f'strategy s{i} "strategy {i}" = rand(bias | gamma, {i + 1}) - q' for i in range(10_000)]
    many.write_text("\n".join(lines), "utf-8")
    llama = folder / "llama-7b"
    llama.mkdir()
    (llama / "config.json").write_text(json.dumps(LLAMA_7B), "utf-8")
    draw = folder / "draw.py"
    draw.write_text(_DRAW, "utf-8")
    program = str(ROOT / "bitspec" / "__main__.py")
    commands = [
        ("check specs/paper.bspec", "0.4 s", [program, "check", "-q", str(ROOT / "specs" / "paper.bspec")], False),
        ("check 10,000 strategies", "5 s", [program, "check", "-q", str(many)], False),
        (
            "show specs/paper.bspec, catalogue cached",
            "none",
            [program, "show", str(ROOT / "specs" / "paper.bspec")],
            False,
        ),
        ("draw 6 M of Llama-7B's entries, catalogue cached", "1 s, 200 MB", [str(draw), str(llama)], True),
    ]
    return [_timed(what, limit, command, runs, own) for what, limit, command, own in commands]


def _timed(what: str, limit: str, command: list[str], runs: int, own_time: bool) -> Measurement:
    seconds, peaks = [], []
    for run in range(runs + 1):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", _WRAPPER, *command], capture_output=True, text=True, check=True)
        elapsed = float(done.stdout) if own_time else time.perf_counter() - started
        if run:  # the first fills the caches
            seconds.append(elapsed)
            peaks.append(int(done.stderr.split()[-1]) / 1024)
    return Measurement(what, limit, statistics.median(seconds), min(seconds), max(seconds), max(peaks))


if __name__ == "__main__":
    main()
