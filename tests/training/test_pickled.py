"""Pickled weights: torch reads tensors and nothing else, and a pickle that names code runs none of it."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bitspec.diagnostics import BitspecError
from bitspec.training.model import prepare
from tests.training.small import model_folder


def pickled(path: Path, shards: int = 0, **options: Any) -> Path:
    """A small model whose weights are pickles; the safetensors that they were stay in `path`.parent."""
    folder = model_folder(path, "bert")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    weights.rename(path.parent / "before.safetensors")
    if not shards:
        torch.save(tensors, folder / "pytorch_model.bin", **options)
        return folder
    names = {name: f"pytorch_model-{place % shards + 1:05}-of-{shards:05}.bin" for place, name in enumerate(tensors)}
    for file in set(names.values()):
        torch.save({name: tensors[name] for name in names if names[name] == file}, folder / file, **options)
    index = {"metadata": {}, "weight_map": names}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), "utf-8")
    return folder


class Bomb:
    """What writes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


class Quiet(Bomb):
    """The same by a method of a harmless class."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


class Built(Bomb):
    """The same by code in a text."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"__import__('pathlib').Path({str(self.canary)!r}).touch()",)


@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_tensors_are_those_of_the_pickle(tmp_path: Path, shards: int, zipped: bool) -> None:
    folder = pickled(tmp_path / "model", shards, _use_new_zipfile_serialization=zipped)
    found = dict(prepare(folder, 2, pickled=True).model.named_parameters())
    tensors = load_file(tmp_path / "before.safetensors")
    assert len(tensors) > 20
    for name, tensor in tensors.items():
        if name in found:
            assert torch.equal(found[name], tensor), name


def test_torch_is_told_each_time_to_read_weights_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pickled(tmp_path / "model", shards=2)
    asked: list[object] = []
    load = torch.load

    def noting(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("weights_only"))
        return load(*arguments, **options)

    monkeypatch.setattr(torch, "load", noting)
    prepare(folder, 2, pickled=True)
    assert asked == [True, True]


def test_a_model_of_safetensors_is_read_without_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "model", "bert")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is unpickled")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    prepare(folder, 2)
    assert not (tmp_path / "canary").exists()


BOMBS: list[Callable[[Path], Bomb]] = [Bomb, Quiet, Built]


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("forced", ["", "1"])
def test_a_pickle_that_names_code_is_refused_and_runs_none_of_it(
    bomb: Callable[[Path], Bomb], zipped: bool, forced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:  # not even the environment makes torch unpickle everything
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    folder, canary = pickled(tmp_path / "model"), tmp_path / "canary"
    tensors = load_file(tmp_path / "before.safetensors")
    content = {**tensors, "bert.extra": bomb(canary)}
    torch.save(content, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BitspecError) as raised:
        prepare(folder, 2, pickled=True)
    (found,) = raised.value.diagnostics
    assert found.code == "unsafe-pickle"
    assert "hold more than tensors" in found.message
    assert found.help
    with pytest.raises(BitspecError):  # without leave it is not even opened
        prepare(folder, 2)
    assert not canary.exists()
    pickle.loads(pickle.dumps(bomb(canary)))  # noqa: S301 - the bomb is one
    assert canary.exists()


def test_a_bare_pickle_is_refused_too(tmp_path: Path) -> None:
    folder, canary = pickled(tmp_path / "model"), tmp_path / "canary"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(BitspecError):
        prepare(folder, 2, pickled=True)
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"x", b"\x80\x02.", b"\x80\x02}q\x00.", b"PK\x03\x04" + b"0" * 60, b"\0" * 5000])
def test_what_is_no_pickle_is_told_of(content: bytes, tmp_path: Path) -> None:
    folder = pickled(tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(BitspecError) as raised:
        prepare(folder, 2, pickled=True)
    (found,) = raised.value.diagnostics
    assert found.code in {"bad-weights", "unsafe-pickle", "model-not-loaded", "weights-misfit"}
    assert found.help
