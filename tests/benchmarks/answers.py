"""Times questions, charts, comparisons and reports: `python -m tests.benchmarks.answers [--quick] [--json FILE]`.

Two stores are made up: one as large as is promised (100,000 trials, 10,000,000 changes of tensors), one like the
quickstart's with three seeds. Each row is a whole process, start-up included, the median of several runs, beside its
limit; nothing is asserted. How quick the machine is tells the yardstick: a process that only imports Altair and DuckDB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import duckdb

from bitspec.language.load import loads
from tests.benchmarks.measure import Limit, console, print_limits, tell
from tests.benchmarks.stores import fill

ROOT: Final = Path(__file__).parents[2]

#: Seconds: of a query, a chart or a comparison; of a report.
LARGE: Final = (2.0, 20.0)
SMALL: Final = (3.0, 10.0)

#: Seconds of `plot -o svg` on the small store.
SMALL_CHART: Final = 2.0

QUERIES: Final = (
    "select avg(score) by strategy",
    "select mean(score), sd(score), n by strategy, task where task in {cola, rte} order mean(score) desc limit 5",
    "select mean(score), ci95(score), median(score), n by strategy, task",
    "select strategy, avg(score) from scores group by 1",
    "select strategy, task, score - avg(score) over (partition by task) as above from scores order by 3",
    "select mean(change) by role, layer from changes where strategy = FIRST",
    "select mean(change), max(change) by role, layer from changes",
    "select mean(loss), mean(score) by epoch from epochs where task = rte",
    "select n, mean(margin) by strategy from predictions",
    "select n by status from cells",
    "select strategy, task, seed, message from trials where status <> 'finished'",
    "select study, began, ended, finished, cells from studies",
    "select strategy, title, percent, finished from strategies",
)

CHARTS: Final = ("heatmap", "bars", "curves", "scatter", "pareto", "forest")


@dataclass(frozen=True)
class Command:
    """A command line without `bitspec`, what it is called in the table, and how many seconds it may take."""

    what: str
    arguments: tuple[str, ...]
    limit: float


def main() -> None:
    """Make the stores, time every command, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it works: the large store is a small one")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each command  [default: 3]")
    parser.add_argument("--folder", type=Path, help="keep the stores here, or take those that are here already")
    parser.add_argument("--only", metavar="WORD", help="only commands that this word stands in")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    asked = parser.parse_args()
    limits: list[Limit] = []
    with tempfile.TemporaryDirectory() as made:
        folder = (asked.folder or Path(made)).resolve()
        for name, store in (("large", large(folder, is_quick=asked.quick)), ("small", small(folder))):
            for command in commands(store, is_large=name == "large"):
                if asked.only is None or asked.only in command.what:
                    limits += timed(name, command, folder, 1 if asked.quick else asked.runs)
    yardstick = _seconds([sys.executable, "-c", "import altair, duckdb"], Path.cwd(), 5)
    console.print(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    console.print(f"yardstick: {yardstick:.2f} s")
    print_limits(limits)
    if asked.json:
        rows = [asdict(one) | {"holds": one.holds, "yardstick": yardstick} for one in limits]
        asked.json.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def large(folder: Path, *, is_quick: bool) -> Path:
    """The store of 2 models × 5 tasks × 500 strategies × 20 seeds; quick, one of a fiftieth.

    Each trial has 101 tensors, but for those of the first strategy.
    """
    strategies, seeds = (50, 4) if is_quick else (500, 20)
    lines = [
        'study large "A hundred thousand trials"',
        'model nano = "builtin/nano"',
        'model other = "bert-base-cased"',
        "task cola, mrpc, rte, sst2, qnli",
        f"seeds 0..{seeds - 1}",
        "train { epochs = 3 }",
        'strategy s000 "Strategy 0" = none',
        *(f'strategy s{place:03} "Strategy {place}" = rand(bias, {place})' for place in range(1, strategies)),
        'question "Which is better?" {',
        *(f"expect s{place:03} > s{place + 20:03}" for place in range(1, 13)),
        "}",
        'question "Does a larger change mean a better score?" { expect change correlates with score }',
    ]
    return _made(folder / "large", "\n".join(lines), tensors=101, epochs=3, examples=10)


def small(folder: Path) -> Path:
    """A store like that of the quickstart with seeds 0 to 2."""
    text = (ROOT / "specs" / "quickstart.bspec").read_text("utf-8").replace("seeds 0\n", "seeds 0..2\n")
    return _made(folder / "small", text, tensors=34, epochs=2, examples=300)


def _made(folder: Path, text: str, *, tensors: int, epochs: int, examples: int) -> Path:
    if not folder.exists():
        tell(f"making {folder.name} …")
        fill(folder, loads(text), text, tensors=tensors, epochs=epochs, examples=examples)
    return folder


def commands(store: Path, *, is_large: bool) -> Iterator[Command]:
    """Every command that reads results."""
    most, of_report = LARGE if is_large else SMALL
    of_chart = most if is_large else SMALL_CHART
    with duckdb.connect(str(store / "results.duckdb"), read_only=True) as connection:
        (first, key) = connection.execute("SELECT strategy, key FROM scores WHERE position = 1 LIMIT 1").fetchall()[0]
        (second,) = connection.execute("SELECT strategy FROM scores WHERE position = 2 LIMIT 1").fetchall()[0]
    for query in QUERIES:
        yield Command(f"query {query}", ("query", query.replace("FIRST", first)), most)
    for chart in CHARTS:
        yield Command(f"plot {chart}", ("plot", chart), most)
        yield Command(f"plot {chart} -o svg", ("plot", chart, "-o", f"{chart}.svg"), of_chart)
        yield Command(
            f"plot {chart} -t rte -s … -o svg",
            ("plot", chart, "-t", "rte", "-s", first, "-s", second, "-o", "x.svg"),
            of_chart,
        )
    yield Command("compare A B", ("compare", first, second), most)
    yield Command("compare A B -f json", ("compare", first, second, "-f", "json"), most)
    if not is_large:
        yield Command("compare STORE COPY", ("compare", str(store), str(_copied(store))), most)
    yield Command("show --trial KEY", ("show", "--trial", key[:12]), most)
    yield Command("show --trial KEY --json", ("show", "--trial", key[:12], "--json"), most)
    for ending in ("md", "html", "tex"):
        yield Command(f"report -o {ending}", ("report", "-o", f"report.{ending}"), of_report)


def _copied(store: Path) -> Path:
    copy = store.with_name(f"{store.name}-copy")
    if not copy.exists():
        shutil.copytree(store, copy)
    return copy


def timed(name: str, command: Command, folder: Path, runs: int) -> list[Limit]:
    """What a command took, beside what it may take; nothing where it fails, which is told."""
    tell(f"{name}: {command.what}")
    line = [sys.executable, "-m", "bitspec", *command.arguments, "--store", str(folder / name)]
    try:
        seconds = _seconds(line, folder, runs)
    except subprocess.CalledProcessError as problem:
        tell(f"it failed: {problem.stderr.strip()[-500:]}")
        return []
    return [Limit(f"{name}: {command.what}", command.limit, seconds, "s", least=False)]


def _seconds(line: Sequence[str], folder: Path, runs: int) -> float:
    """How long a process takes, the median of so many."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(
            line, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
