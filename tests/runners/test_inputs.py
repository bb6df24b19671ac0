"""Inputs of a bench: what a runner brings itself is trained on as what is read here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.events import Failed, Finished
from bitspec.ir.study import Model, Task
from bitspec.language.load import loads
from bitspec.parameters.catalogue import Catalogue
from bitspec.runners.bench import Bench, run_pack
from bitspec.runners.inputs import Facts, Inputs
from bitspec.runners.plan import plan
from bitspec.runners.protocol import Work
from bitspec.training.encoding import Encoded, Tokenizer
from bitspec.training.model import load_tokenizer
from tests.lab import SPEC
from tests.runners.runs import without_time


class Brought(Inputs):
    """Hands on what other inputs read; the tokens were made before by a tokenizer alone."""

    def __init__(self, work: Work, fingerprint: str | None = None) -> None:
        super().__init__(replace(work, base=Path("/nowhere")))
        self._inner, self._fingerprint = Inputs(work), fingerprint

    def folder(self, model: Model) -> Path:
        return self._inner.folder(model)

    def catalogue(self, model: Model) -> Catalogue:
        return self._inner.catalogue(model)

    def facts(self, task: Task) -> Facts:
        facts = self._inner.facts(task)
        return replace(facts, fingerprint=self._fingerprint or facts.fingerprint)

    def encoded(self, model: Model, task: Task, max_length: int, tokenizer: Tokenizer) -> tuple[Encoded, ...]:
        assert tokenizer is not None
        return self._inner.encoded(model, task, max_length, load_tokenizer(self.folder(model)))


@pytest.fixture
def work(lab: Path) -> Work:
    return Work(loads(SPEC), lab, None, "cpu", keep_values=True)


def test_a_bench_trains_on_what_it_is_given(work: Work) -> None:
    pack = plan(work.study, {}, base=work.base).packs()[2]  # drawn at random: it needs the catalogue
    (own,) = (event for event in run_pack(Bench(work), pack) if isinstance(event, Finished))
    elsewhere = replace(work, base=Path("/nowhere"))
    (brought,) = (event for event in run_pack(Bench(elsewhere, Brought(work)), pack) if isinstance(event, Finished))
    assert without_time(brought) == without_time(own)
    assert own.values is not None
    assert brought.values is not None
    for name, tensor in own.values.tensors.items():
        assert brought.values.tensors[name].values.tobytes() == tensor.values.tobytes()


def test_what_is_not_what_the_key_stands_for_is_not_trained(work: Work) -> None:
    pack = plan(work.study, {}, base=work.base).packs()[0]
    (failed,) = run_pack(Bench(work, Brought(work, "0" * 64)), pack)
    assert isinstance(failed, Failed)
    assert "changed after the run was planned" in failed.message


def test_a_model_that_is_gone_is_wrong_input(work: Work, tmp_path: Path) -> None:
    inputs = Inputs(replace(work, base=tmp_path))
    with pytest.raises(BitspecError, match=r"input-changed\]: the model `model` is not on this machine any more"):
        inputs.folder(work.study.models[0])


def test_a_metric_of_a_plugin_is_among_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitspec.registry.names", lambda _kind: ("mine",))
    monkeypatch.setattr("bitspec.training.metrics.score_of", lambda *_: {"mine": 0.25})
    assert Facts(2, "mine", "", 2).scores("validation", [0, 1], [0, 1])["mine"] == 0.25
    assert "mine" not in Facts(2, "accuracy", "", 2).scores("validation", [0, 1], [0, 1])
