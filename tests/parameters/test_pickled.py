"""Models with pickled weights, as far as they are looked at without unpickling: files, fingerprints, what is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.parameters.files import is_pickled, model_files
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.models import model_folder
from tests.parameters.folders import CONFIG, model, write

SINGLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def bare() -> dict[str, bytes]:
    """The files of a model without its weights."""
    return {name: content for name, content in model().items() if name != "model.safetensors"}


def indexed(**shards: bytes) -> dict[str, bytes]:
    """Shards by the tensors in them, and their index."""
    names = {tensor: f"pytorch_model-{tensor}.bin" for tensor in shards}
    index = json.dumps({"metadata": {}, "weight_map": names}).encode()
    return {names[tensor]: content for tensor, content in shards.items()} | {INDEX: index}


def refusal(folder: Path) -> Diagnostic:
    with pytest.raises(BitspecError) as raised:
        model_folder(str(folder), allow_pickle=True)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return diagnostic


@pytest.mark.parametrize("weights", [{SINGLE: b"a pickle"}, indexed(a=b"one", b=b"two")])
def test_they_are_taken_where_they_are_allowed(weights: Mapping[str, bytes], tmp_path: Path) -> None:
    folder = write(tmp_path / "m", bare() | dict(weights))
    with pytest.raises(BitspecError, match="pickled-weights"):
        model_folder(str(folder))
    with pytest.raises(BitspecError, match="pickled-weights"):
        model_fingerprint(folder)
    assert model_folder(str(folder), allow_pickle=True) == folder
    assert is_pickled(folder)
    assert {path.name for path in model_files(folder, "m", allow_pickle=True).paths} >= {"config.json", *weights}


def test_safetensors_are_taken_before_pickles(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", model() | {SINGLE: b"a pickle"})
    assert model_folder(str(folder), allow_pickle=True) == folder
    assert not is_pickled(folder)
    assert model_fingerprint(folder, allow_pickle=True) == model_fingerprint(folder)


def test_their_fingerprint_is_that_of_their_bytes(tmp_path: Path) -> None:
    def fingerprint(name: str, files: Mapping[str, bytes]) -> str:
        return model_fingerprint(write(tmp_path / name, bare() | dict(files)), allow_pickle=True)

    prints = {
        fingerprint("one", {SINGLE: b"a pickle"}),
        fingerprint("other", {SINGLE: b"a pickle."}),
        fingerprint("parts", indexed(a=b"a pickle")),
        fingerprint("swapped", indexed(a=b"one", b=b"two")),
        fingerprint("around", indexed(a=b"two", b=b"one")),
    }
    assert len(prints) == 5
    assert fingerprint("again", {SINGLE: b"a pickle"}) in prints


def test_a_fingerprint_that_is_remembered_allows_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", bare() | {SINGLE: b"a pickle"})
    model_fingerprint(folder, cache=tmp_path / "cache", allow_pickle=True)
    with pytest.raises(BitspecError, match="pickled-weights"):
        model_fingerprint(folder, cache=tmp_path / "cache")


def test_pickles_that_are_cut_off(tmp_path: Path) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", b"0" * 1000)
    whole = made.getvalue()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    for number, content in enumerate((b"", whole[:4], whole[:-30], pointer)):
        found = refusal(write(tmp_path / str(number), bare() | {SINGLE: content}))
        assert found.code == "bad-weights"
    assert model_folder(str(write(tmp_path / "whole", bare() | {SINGLE: whole})), allow_pickle=True)


@pytest.mark.parametrize("name", ["../other.bin", "/etc/passwd", "model.safetensors", "x.pt", 3])
def test_an_index_leads_nowhere_else(name: object, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", bare() | {INDEX: json.dumps({"weight_map": {"a": name}}).encode()})
    found = refusal(folder)
    assert found.code == "bad-weights"
    assert "no pickle beside it" in found.message


def test_other_pickles_are_not_taken_at_all(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", bare() | {"model.pt": b"x", "training_args.bin": b"x"})
    assert refusal(folder).code == "pickled-weights"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"adapter_config.json": b"{}"}, "there is a `adapter_config.json`"),
        ({"shard-00000-model-00001-of-00001.safetensors": b""}, "`shard-00000-model-00001-of-00001.safetensors`"),
        (
            {"config.json": json.dumps(CONFIG | {"transformers_weights": "adapter_model.bin"}).encode()},
            "its `config.json` names `adapter_model.bin`",
        ),
        (
            {"config.json": json.dumps(CONFIG | {"text_config": {"transformers_weights": "x.safetensors"}}).encode()},
            "its `config.json` names `x.safetensors`",
        ),
    ],
)
@pytest.mark.parametrize("allow_pickle", [False, True])
def test_no_other_weights_get_in(files: dict[str, bytes], said: str, allow_pickle: bool, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", model() | files)
    with pytest.raises(BitspecError) as raised:
        model_folder(str(folder), allow_pickle=allow_pickle)
    (found,) = raised.value.diagnostics
    assert found.code == "stray-weights"
    assert said in found.message
    assert found.message.endswith("which would be loaded with them or in their place")
