"""Times the study engine against other ways to train: `python -m tests.benchmarks.training CASE… [options]`.

steps   a training step of BERT-base: bitspec, dense gradients with masks, PEFT's SHiRA; time and memory
study   all strategies of a spec on real data, against a loop in the style of the reference
packs   trials packed against separate, over sizes of packs, of batches and of examples
llama   from a selection to the training state of a model with 7 billion parameters
paper   the whole paper with one seed and with five; for a GPU

`--quick` does the same on a little of everything, to see that it works: its figures mean nothing. Figures are ratios
of times measured by turns in one run; what must hold is printed beside them, and nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import buckets, llama, packs, paper, steps, study
from tests.benchmarks.measure import Limit, Machine, console, in_process, print_limits
from tests.benchmarks.models import make_folder, nano

ROOT = Path(__file__).parents[2]

CASES: Final = ("steps", "study", "packs", "llama", "buckets", "paper")


def main() -> None:
    """Measure what is asked for, print tables, and write JSON if asked."""
    asked = _options()
    machine = Machine(asked.device, asked.threads, asked.graphs)
    about = in_process(Machine.describe, machine)
    console.print(*(f"{name} {value}" for name, value in about.items()), sep="; ")
    report: dict[str, Any] = {"machine": about, "quick": asked.quick, "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for case in asked.cases:
            began = time.monotonic()
            rows, limits = _RUNS[case](asked, machine, Path(folder) / case)
            found = [] if asked.quick else list(limits)
            print_limits(found)
            took = time.monotonic() - began
            console.print(f"{case}: {took:.0f} s")
            report["cases"][case] = {
                "seconds": took,
                "rows": [asdict(row) for row in rows],
                "limits": [{**asdict(one), "holds": one.holds} for one in found],
            }
            if asked.json:  # after each case, since the next may take an hour
                asked.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("cases", nargs="+", choices=CASES, metavar="CASE", help=f"one or more of {', '.join(CASES)}")
    add("--glue", type=Path, metavar="FOLDER", help="GLUE in its usual layout; for study, buckets and paper")
    add("--model", type=Path, metavar="FOLDER", help="a pretrained encoder; paper takes its tokenizer only")
    add("--spec", type=Path, default=ROOT / "specs" / "paper.bspec", metavar="FILE", help="[default: the paper's]")
    add("--tasks", type=_words, metavar="A,B", help="tasks of study and paper  [default: cola,mrpc,rte]")
    add("--strategies", type=_words, metavar="A,B", help="strategies of study and paper  [default: all]")
    add("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    add("--graphs", action="store_true", help="replay bitspec's steps as CUDA graphs; needs a GPU")
    add("--threads", type=int, default=2, metavar="N", help="threads of torch  [default: 2]")
    add("--precision", choices=("float32", "bf16"), default="float32", help="of both sides")
    add("--pack", default="auto", metavar="auto|off|N", help="as of `bitspec run`; for study and paper")
    add("--workers", type=int, metavar="N", help="as of `bitspec run`; for study and paper")
    add("--steps", type=int, metavar="N", help="steps that are timed, in steps, study and paper")
    add("--repetitions", type=int, metavar="N", help="processes of each contestant, in steps, packs and llama")
    add("--lengths", type=_numbers, metavar="N,N", help="tokens of an example, in steps and packs")
    add("--shapes", type=_words, default=("minilm", "nano"), metavar="A,B", help="models of packs; also bert-base")
    add("--quick", action="store_true", help="see that it works: figures mean nothing")
    add("--json", type=Path, metavar="FILE", help="write the figures here, too")
    asked = parser.parse_args()
    if {"study", "buckets", "paper"} & {*asked.cases} and (asked.glue is None or asked.model is None):
        parser.error("study, buckets and paper need --glue and --model")
    if asked.graphs and asked.device == "cpu":
        parser.error("--graphs needs --device cuda")
    if asked.quick and "nano" not in asked.shapes:
        parser.error("--quick is for the small models: give no --shapes")
    return asked


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


# The cases ------------------------------------------------------------------------------------------------

_Found = tuple[list[Any], Iterable[Limit]]


def _steps(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    in_process(make_folder, folder, "tiny" if asked.quick else "bert-base")
    rows = steps.measure(
        folder,
        steps.Steps(
            machine,
            lengths=asked.lengths or (16, 128),
            steps=asked.steps or (2 if asked.quick else 5),
            repetitions=asked.repetitions or (1 if asked.quick else 5),
            precision=asked.precision,
        ),
    )
    steps.show(rows)
    return rows, steps.limits(rows) if machine.device == "cpu" else ()


def _inputs(asked: argparse.Namespace, machine: Machine, model: Path) -> study.Inputs:
    return study.Inputs(
        machine,
        spec=asked.spec.resolve(),
        model=model,
        glue=asked.glue,
        tasks=asked.tasks or (("rte",) if asked.quick else ("cola", "mrpc", "rte")),
        strategies=asked.strategies or (("bitfit", "gammas", "rand_uniform") if asked.quick else ()),
        steps=asked.steps or (2 if asked.quick else 100),
        evaluations=2 if asked.quick else 40,
        pack=asked.pack,
        workers=asked.workers,
        precision=asked.precision,
    )


def _study(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    del folder
    rows = study.measure(_inputs(asked, machine, asked.model))
    study.show(rows, f"{asked.spec.name} with {asked.model.name}")
    return rows, study.limits(rows) if machine.device == "cpu" else ()


def _packs(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    grid = packs.Grid(
        machine,
        asked.spec.resolve(),
        seconds=0.1 if asked.quick else 3.0,
        repetitions=asked.repetitions or (1 if asked.quick else 3),
        precision=asked.precision,
        lengths=asked.lengths or (16, 64, 128),
    )
    rows = []
    for shape in ("nano",) if asked.quick else asked.shapes:
        if shape != "nano":
            in_process(make_folder, folder / shape, shape)
        rows += packs.measure(shape, nano() if shape == "nano" else folder / shape, grid)
    packs.show(rows)
    return rows, ()


def _llama(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    config = llama.SMALL if asked.quick else llama.CONFIG
    row = llama.measure(folder, machine, asked.repetitions or (1 if asked.quick else 5), config)
    llama.show(row)
    return [row], llama.limits([row])


def _buckets(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    del folder
    rows = buckets.measure(_inputs(asked, machine, asked.model), (1, 5), 1 if asked.quick else paper.EPOCHS)
    buckets.show(rows)
    return rows, ()


def _paper(asked: argparse.Namespace, machine: Machine, folder: Path) -> _Found:
    in_process(make_folder, folder, "tiny" if asked.quick else "bert-base", asked.model)
    papers = paper.measure(_inputs(asked, machine, folder), (1, 2) if asked.quick else (1, 5))
    for one in papers:
        study.show(one.rows, f"{asked.spec.name}, {one.seeds} seeds")
    paper.show(papers, machine.device)
    return papers, paper.limits(papers) if machine.device != "cpu" else ()


_RUNS = {"steps": _steps, "study": _study, "packs": _packs, "llama": _llama, "buckets": _buckets, "paper": _paper}


if __name__ == "__main__":
    main()
