"""Where models come from: bitspec itself, and folders. What the hub has is in `test_hub.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from safetensors.numpy import save_file

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.parameters import shipped
from bitspec.parameters.cache import catalogue
from bitspec.parameters.models import model_folder, read_config
from bitspec.parameters.weights import stored
from tests.parameters.folders import TOKENIZER, model, write


def _refusal(source: str, revision: str | None = None, base: Path | None = None) -> Diagnostic:
    with pytest.raises(BitspecError) as raised:
        read_config(source, revision, base=base)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.help
    return diagnostic


# Shipped --------------------------------------------------------------------------------------------------


def test_shipped_configs_are_the_published_facts() -> None:
    cased, uncased = read_config("bert-base-cased"), read_config("bert-base-uncased")
    assert (cased["vocab_size"], uncased["vocab_size"]) == (28_996, 30_522)
    assert {**cased, "vocab_size": 0} == {**uncased, "vocab_size": 0}
    assert cased["model_type"] == "bert"
    assert (cased["hidden_size"], cased["num_hidden_layers"], cased["num_attention_heads"]) == (768, 12, 12)
    assert (cased["intermediate_size"], cased["max_position_embeddings"]) == (3072, 512)
    assert (cased["hidden_dropout_prob"], cased["attention_probs_dropout_prob"]) == (0.1, 0.1)
    assert (cased["layer_norm_eps"], cased["initializer_range"], cased["hidden_act"]) == (1e-12, 0.02, "gelu")


def test_both_names_of_a_shipped_model_mean_the_same() -> None:
    for name in ("bert-base-cased", "bert-base-uncased"):
        assert read_config(f"google-bert/{name}") == read_config(name)


def test_builtin_names_are_bitspecs(tmp_path: Path) -> None:
    (tmp_path / "builtin" / "x").mkdir(parents=True)
    assert _refusal("builtin/x", base=tmp_path).code == "unknown-builtin"


@pytest.mark.parametrize("source", ["", " ", "bert\nbase", "a\0b", "\x1b[31m"])
def test_what_is_no_name(source: str) -> None:
    assert _refusal(source).code == "bad-model-name"


# Folders --------------------------------------------------------------------------------------------------


def _folder(path: Path, text: str | bytes = '{"model_type": "bert"}') -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_folder_by_every_kind_of_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"model_type": "bert"}
    _folder(tmp_path / "specs" / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_config(str(tmp_path / "specs" / "mine")) == expected
    assert read_config("./specs/mine") == expected
    assert read_config("specs/mine") == expected
    assert read_config("~/specs/mine") == expected
    assert read_config("mine", base=Path("specs")) == expected
    assert read_config("./mine", base=tmp_path / "specs") == expected


def test_the_specs_folder_comes_before_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder(tmp_path / "here" / "mine", '{"a": 1}')
    _folder(tmp_path / "specs" / "mine", '{"a": 2}')
    monkeypatch.chdir(tmp_path / "here")
    assert read_config("mine", base=tmp_path / "specs") == {"a": 2}
    assert read_config("mine") == {"a": 1}


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    assert read_config(str(_folder(tmp_path / "m", b'\xef\xbb\xbf{"a": 1}'))) == {"a": 1}


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    diagnostic = _refusal("./nowhere", base=tmp_path)
    assert diagnostic.code == "no-such-folder"
    assert str(tmp_path / "nowhere") in (diagnostic.help or "")
    assert _refusal("~nobody-of-this-name/model").code == "no-such-folder"
    assert _refusal("/no/such/folder").code == "no-such-folder"


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    file = _folder(tmp_path / "m") / "config.json"
    assert _refusal(str(file)).code == "not-a-folder"
    assert _refusal(f"{file}/deeper").code == "no-such-folder"


def test_folders_without_a_config(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert _refusal(str(empty)).help == "it is empty"
    (empty / "adapter_config.json").touch()
    assert "adapter" in (_refusal(str(empty)).help or "")
    (empty / "config.json").mkdir()
    assert _refusal(str(empty)).code == "no-config"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b"\xff\xfe{}", "not text"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cannot be read"),
        (b" " * (16 * 2**20 + 1), "too large"),
    ],
)
def test_configs_that_are_none(text: bytes, words: str, tmp_path: Path) -> None:
    diagnostic = _refusal(str(_folder(tmp_path / "m", text)))
    assert diagnostic.code == "bad-config"
    assert words in diagnostic.message
    assert str(tmp_path / "m" / "config.json") in (diagnostic.help or "")


def test_where_the_json_is_broken(tmp_path: Path) -> None:
    diagnostic = _refusal(str(_folder(tmp_path / "m", '{"a": 1,\n "b" 2}')))
    assert "config.json:2:6: Expecting ':' delimiter" in (diagnostic.help or "")


def test_a_config_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path / "m")

    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    diagnostic = _refusal(str(folder))
    assert diagnostic.code == "unreadable-model"
    assert "Permission denied" in (diagnostic.help or "")


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    assert _refusal(str(_folder(tmp_path / "m")), "main").code == "revision-of-folder"


# Weights and tokenizers -----------------------------------------------------------------------------------


def _folder_refusal(files: Mapping[str, bytes], folder: Path) -> Diagnostic:
    write(folder, files)
    with pytest.raises(BitspecError) as raised:
        model_folder(str(folder))
    (diagnostic,) = raised.value.diagnostics
    assert str(folder) in diagnostic.message
    assert diagnostic.help
    return diagnostic


def _without(files: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


SHARDS = (("embeddings.weight", "scale"), ("layer.0.weight", "layer.0.bias", "layer.1.bias"))


@pytest.mark.parametrize("fetch", [True, False])
def test_a_local_folder_is_taken_as_it_is(fetch: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "specs" / "whole", model())
    write(tmp_path / "specs" / "parts", model(shards=SHARDS))
    monkeypatch.chdir(tmp_path)

    def refuse(_: str) -> NoReturn:
        raise AssertionError("nothing is to be fetched")

    for name in ("whole", "parts"):
        found = model_folder(f"./{name}", base=Path("specs"), fetch=fetch, on_fetch=refuse)
        assert found == Path("specs") / name
        assert model_folder(str(tmp_path / "specs" / name), fetch=fetch) == tmp_path / "specs" / name


def test_a_folder_for_training_is_looked_for_like_one_for_its_config(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", model())
    for source, revision, code in (
        ("./nowhere", None, "no-such-folder"),
        (f"{folder}/config.json", None, "not-a-folder"),
        (str(folder), "v1", "revision-of-folder"),
        ("a\0b", None, "bad-model-name"),
        ("builtin/nanno", None, "unknown-builtin"),
        ("builtin/nano", "v1", "revision-of-builtin"),
    ):
        with pytest.raises(BitspecError, match=code):
            model_folder(source, revision)
    assert _folder_refusal(_without(model(), "config.json"), tmp_path / "n").code == "no-config"


def test_a_folder_without_weights(tmp_path: Path) -> None:
    diagnostic = _folder_refusal(_without(model(), "model.safetensors"), tmp_path / "bare")
    assert diagnostic.code == "no-weights"
    assert diagnostic.help == "it holds `config.json`, `tokenizer.json`, `tokenizer_config.json` and `vocab.txt`"
    (tmp_path / "folder" / "model.safetensors").mkdir(parents=True)
    assert _folder_refusal(_without(model(), "model.safetensors"), tmp_path / "folder").code == "no-weights"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "weights.pkl"])
def test_pickled_weights_are_never_loaded(name: str, tmp_path: Path) -> None:
    diagnostic = _folder_refusal(_without(model(), "model.safetensors") | {name: b"pickle"}, tmp_path / "m")
    assert diagnostic.code == "pickled-weights"
    assert f"`{name}`" in diagnostic.message
    assert f'AutoModel.from_pretrained("{tmp_path / "m"}").save_pretrained("./converted")' in (diagnostic.help or "")
    assert ("`--allow-pickle`" in (diagnostic.help or "")) == (name == "pytorch_model.bin")


def test_pickled_weights_beside_others_do_no_harm(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", model() | {"pytorch_model.bin": b"pickle", "training_args.bin": b"pickle"})
    assert model_folder(str(folder)) == folder


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    diagnostic = _folder_refusal(_without(model(), *TOKENIZER), tmp_path / "m")
    assert diagnostic.code == "no-tokenizer"
    assert "it holds `config.json` and `model.safetensors`" in (diagnostic.help or "")
    beside = {"tokenizer_config.json": TOKENIZER["tokenizer_config.json"], "special_tokens_map.json": b"{}"}
    assert _folder_refusal(beside, tmp_path / "m").code == "no-tokenizer"
    assert _folder_refusal({"tokenizer_config.json": b"{"}, tmp_path / "m").code == "no-tokenizer"
    write(tmp_path / "m", {"tokenizer_config.json": b'{"tokenizer_class": "ByT5Tokenizer"}'})
    assert model_folder(str(tmp_path / "m")) == tmp_path / "m"  # it reads bytes, and needs no words


@pytest.mark.parametrize(
    "name", ["vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"]
)
def test_tokenizers_of_every_kind(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", _without(model(), *TOKENIZER) | {name: b"words"})
    assert model_folder(str(folder)) == folder


def test_weights_that_were_cut_off(tmp_path: Path) -> None:
    whole = model()["model.safetensors"]
    for number, content in enumerate((b"", whole[:4], whole[:40], whole[:-1], whole + b"x", b"\xff" * 100)):
        diagnostic = _folder_refusal(model() | {"model.safetensors": content}, tmp_path / str(number))
        assert diagnostic.code == "bad-weights"
        assert f"has {len(content):,} bytes" in (diagnostic.help or "")
    second = "model-00002-of-00002.safetensors"
    parts = model(shards=SHARDS)
    assert _folder_refusal(parts | {second: parts[second][:-1]}, tmp_path / "parts").message.startswith(f"`{second}`")


def test_weights_that_git_did_not_fetch(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    diagnostic = _folder_refusal(model() | {"model.safetensors": pointer}, tmp_path / "m")
    assert diagnostic.code == "bad-weights"
    assert diagnostic.help == f"run `git lfs pull` in {tmp_path / 'm'}"


def test_an_index_whose_files_are_not_all_there(tmp_path: Path) -> None:
    second = "model-00002-of-00002.safetensors"
    diagnostic = _folder_refusal(_without(model(shards=SHARDS), second), tmp_path / "m")
    assert diagnostic.code == "missing-weights"
    assert f"`{second}` is missing" in diagnostic.message


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (b"", "Expecting value"),
        (b"[]", "no `weight_map`"),
        (b'{"weight_map": []}', "no `weight_map`"),
        (b'{"weight_map": {"a": ["b"]}}', "no `weight_map`"),
        (b'{"weight_map": {}}', "it names no file"),
        (b'{"weight_map": {"a": 1}}', "it names `1`"),
        (b'{"weight_map": {"a": "x.safetensors", "b": 1}}', "no `weight_map`"),
        (b'{"weight_map": {"a": "../other/model.safetensors"}}', "which is no safetensors file beside it"),
        (b'{"weight_map": {"a": "/etc/passwd"}}', "which is no safetensors file beside it"),
        (b'{"weight_map": {"a": "pytorch_model.bin"}}', "which is no safetensors file beside it"),
        (b"[" * 100_000, "recursion"),
        (b" " * (64 * 2**20 + 1), "67,108,865 bytes"),
    ],
)
def test_an_index_that_is_none(index: bytes, words: str, tmp_path: Path) -> None:
    files = _without(model(), "model.safetensors") | {"model.safetensors.index.json": index}
    diagnostic = _folder_refusal(files, tmp_path / "m")
    assert diagnostic.code == "bad-weights"
    assert words in diagnostic.message


def test_where_tensors_lie_is_what_the_library_reads(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.arange(5, dtype=np.int64),
        "none": np.zeros((0, 4), np.float16),
        "one": np.array(7.0),
    }
    path = tmp_path / "x.safetensors"
    save_file(arrays, path, metadata={"format": "np"})
    content = path.read_bytes()
    found = {tensor.name: tensor for tensor in stored(path, "x")}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        assert content[found[name].start : found[name].end] == array.tobytes()


# Of bitspec's own -----------------------------------------------------------------------------------------


def test_a_model_of_bitspecs_own_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configs: dict[str, dict[str, Any]]
) -> None:
    folder = write(tmp_path / "builtin" / "nano", model(config=configs["bert"]))
    monkeypatch.setattr(shipped, "package", lambda: tmp_path)
    assert read_config("builtin/nano") == configs["bert"]
    assert catalogue("builtin/nano").layers == 2
    assert model_folder("builtin/nano", fetch=False) == folder
    # Not even a folder of the same name beside the spec takes its place.
    write(tmp_path / "specs" / "builtin" / "nano", {"config.json": b"{}"})
    assert model_folder("builtin/nano", base=tmp_path / "specs") == folder
    assert _refusal("builtin/nanno").help == "did you mean `builtin/nano`?"
    assert _refusal("builtin/a-very-large-language-model").help == "what comes with it: `builtin/nano`"
    assert _refusal("builtin/nano", "v1").help == 'take `revision "v1"` away'


def test_the_embedded_model_is_whole(python: Callable[..., str]) -> None:
    if not shipped.shipped_config("builtin/nano").exists():
        pytest.skip("it is still being made")
    program = (
        "import sys\n"
        "from bitspec.parameters.models import model_folder, read_config\n"
        "from bitspec.parameters.fingerprint import model_fingerprint\n"
        "folder = model_folder('builtin/nano', fetch=False)\n"
        "assert len(model_fingerprint(folder)) == 64\n"
        "print(folder.name, read_config('builtin/nano')['model_type'])\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    assert python(program) == "nano bert\n"
