"""Exported trials: ordinary models of transformers that say what the trial said."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Event, Failed, Result
from bitspec.ir.trials import Planned
from bitspec.language.load import loads
from bitspec.runners.execute import execute
from bitspec.runners.export import export
from bitspec.runners.local import LocalRunner
from bitspec.runners.request import Request
from bitspec.store.store import Store
from tests.runners.conftest import Labs
from tests.runners.runs import HEAD, weights
from tests.training.made_glue import write_folder

SPEC = (
    HEAD.replace("epochs = 2", "epochs = 1")
    + 'strategy part "Part" = rand(all, 4%)\ntrain for part { pooler = trained }\n'
)


def run(spec: str, folder: Path, store: Path, data_dir: Path | None = None) -> tuple[Store, Planned, Result]:
    """Train the one trial of a spec whose paths start from a folder."""
    asked = Request(
        loads(spec), Store(store), folder / "lab.bspec", spec, data_dir=data_dir, device="cpu", keep_values=True
    )
    asked.store.prepare()
    plan = asked.plan()
    found: list[Result] = []

    def note(_: Planned, event: Event) -> None:
        assert not isinstance(event, Failed), event.message
        found.extend([event.result] if hasattr(event, "result") else [])

    execute(plan, asked.work, LocalRunner(1), asked.store, run=asked.begin(plan, "bitspec run"), report=note)
    return asked.store, plan.cells[0], found[0]


def predicted(folder: Path, *texts: list[str]) -> Tensor:
    """The logits of an exported model, by nothing but transformers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    coded = AutoTokenizer.from_pretrained(folder)(*texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits: Tensor = model(**coded).logits.double()
    return logits


@pytest.fixture(scope="module")
def trained(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store, Planned, Result]:
    lab = tmp_path_factory.mktemp("own") / "lab"
    shutil.copytree(labs("bert"), lab)
    return lab, *run(SPEC, lab, lab / "store")


@pytest.mark.parametrize("model_type", ["gpt2", "distilbert"])
def test_other_architectures_say_what_the_trial_said(labs: Labs, tmp_path: Path, model_type: str) -> None:
    lab = labs(model_type)
    store, cell, result = run(SPEC, lab, tmp_path / "store")
    out = export(store, cell.key, tmp_path / "out", base=lab)
    lines = [line.split(",") for line in (lab / "dev.csv").read_text("utf-8").splitlines()[1:]]
    logits = predicted(out, [one for one, _, _ in lines], [other for _, other, _ in lines])
    (split,) = result.predictions
    label = torch.tensor(split.labels).long()
    margins = logits.gather(1, label[:, None]) - logits.gather(1, 1 - label[:, None])
    torch.testing.assert_close(margins.squeeze(1), torch.tensor(split.margins).double(), atol=1e-5, rtol=0)


def test_a_regression_is_exported_as_one(lab: Path, tmp_path: Path) -> None:
    spec = 'study s model "model" task stsb train { epochs = 2 } strategy full = all'
    data = write_folder(tmp_path / "glue", "stsb")
    store, cell, result = run(spec, lab, tmp_path / "store", data)
    out = export(store, cell.key, tmp_path / "out", base=lab, data_dir=data)
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    lines = [line.split("\t") for line in (data / "STS-B" / "dev.tsv").read_text("utf-8").split("\n")[1:-1]]
    logits = predicted(out, [line[7] for line in lines], [line[8] for line in lines])
    (split,) = result.predictions
    assert split.labels == tuple(float(line[9]) for line in lines)
    torch.testing.assert_close(logits.squeeze(1), torch.tensor(split.predictions).double(), atol=1e-5, rtol=0)


def test_names_of_three_classes(lab: Path, tmp_path: Path) -> None:
    spec = 'study s model "model" task mnli train { epochs = 1 } strategy frozen = none'
    data = write_folder(tmp_path / "glue", "mnli")
    store, cell, _ = run(spec, lab, tmp_path / "store", data)
    config = AutoModelForSequenceClassification.from_pretrained(
        export(store, cell.key[:8], tmp_path / "out", base=lab, data_dir=data)
    ).config
    assert config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert config.label2id == {"entailment": 0, "neutral": 1, "contradiction": 2}


def test_what_is_not_trained_is_exported_bit_for_bit(
    trained: tuple[Path, Store, Planned, Result], tmp_path: Path
) -> None:
    lab, store, cell, result = trained
    export(store, cell.key, tmp_path, base=lab)  # an empty folder may be there
    before, now = weights(lab), load_file(tmp_path / "model.safetensors")
    assert before.keys() == now.keys()
    chosen = {moved.tensor: moved.trained for moved in result.changes}
    pooler = ("bert.pooler.dense.weight", "bert.pooler.dense.bias")  # trained with the head
    for name, tensor in before.items():
        moved = int((tensor != now[name]).sum())
        if name in pooler:
            assert moved > 0.9 * tensor.size
        elif name.startswith("bert."):
            assert moved <= chosen.get(name.removeprefix("bert."), 0)
            assert moved > 0 or chosen.get(name.removeprefix("bert."), 0) < 3
        else:
            assert moved > 0.9 * tensor.size


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(trained: tuple[Path, Store, Planned, Result], out: Path, *, force: bool = False) -> str:
    lab, store, cell, _ = trained
    with pytest.raises(BitspecError) as raised:
        export(store, cell.key, out, base=lab, force=force)
    (found,) = raised.value.diagnostics
    assert found.help
    return found.code


def test_nothing_is_written_over(trained: tuple[Path, Store, Planned, Result], out: Path) -> None:
    lab, store, cell, _ = trained
    out.write_text("a file", "utf-8")
    assert refused(trained, out) == refused(trained, out, force=True) == "file-exists"
    assert out.read_text("utf-8") == "a file"
    out.unlink()
    out.mkdir()
    (out / "notes.txt").write_text("mine", "utf-8")
    assert refused(trained, out) == "file-exists"
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert export(store, cell.key, out, base=lab, force=True) == out
    assert {"notes.txt", "model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in out.iterdir()}


def test_a_folder_that_cannot_be_made(trained: tuple[Path, Store, Planned, Result], out: Path) -> None:
    out.write_text("a file", "utf-8")
    assert refused(trained, out / "below") == "unwritable"


def test_the_model_and_the_data_are_those_of_the_trial(
    trained: tuple[Path, Store, Planned, Result], out: Path, tmp_path: Path
) -> None:
    lab, store, cell, result = trained
    for file, code in (("model/model.safetensors", "model-changed"), ("train.csv", "data-changed")):
        other = tmp_path / code
        shutil.copytree(lab, other)
        path = other / file
        content = path.read_bytes()
        # Another weight; a third class.
        path.write_bytes(content[:-1] + b"\x01" if file.startswith("model") else content + b"w1,w2,so-so\n")
        assert refused((other, store, cell, result), out) == code
    assert not out.exists()


def test_a_trial_without_values(lab: Path, tmp_path: Path) -> None:
    spec = HEAD + "strategy a = none strategy b = bias"
    asked = Request(loads(spec), Store(tmp_path / "store"), lab / "lab.bspec", spec)
    asked.store.prepare()
    plan = asked.plan()
    cell = plan.cells[1]

    class Breaks:
        def run(self, *_: object) -> Generator[Event, None, None]:
            yield Failed(cell.key, "failed", "it broke")

    execute(plan, asked.work, Breaks(), asked.store, run=asked.begin(plan, "bitspec run"))
    with pytest.raises(BitspecError, match="failed: it broke"):
        export(asked.store, cell.key, tmp_path / "out", base=lab)
    with pytest.raises(BitspecError, match="no trial has a key"):
        export(asked.store, plan.cells[0].key, tmp_path / "out", base=lab)
