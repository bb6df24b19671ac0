"""Models that cannot be trained, as `bitspec run` tells of them: what lacks or is wrong, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Bitspec
from tests.lab import write_lab

MODEL = Path("model")
WEIGHTS = MODEL / "model.safetensors"
INDEX = MODEL / "model.safetensors.index.json"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lab(tmp_path_factory.mktemp("models")).parent


@pytest.fixture(autouse=True)
def _lab(made: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)


def _config(content: bytes) -> Callable[[], object]:
    return lambda: (MODEL / "config.json").write_bytes(content)


def _index(names: dict[str, str], *, kept: str | None = None) -> Callable[[], object]:
    def change() -> None:
        INDEX.write_text(json.dumps({"weight_map": names}), "utf-8")
        WEIGHTS.rename(MODEL / kept) if kept else WEIGHTS.unlink()

    return change


def _without_tokenizer() -> None:
    for path in MODEL.iterdir():
        if path.name not in {"config.json", "model.safetensors"}:
            path.unlink()


@pytest.mark.parametrize(
    ("change", "code", "message", "hint"),
    [
        (lambda: shutil.rmtree(MODEL), "hub-offline", "`model` is not on this machine, and HF_HUB_OFFLINE keeps bitspec from fetching it", "unset HF_HUB_OFFLINE"),
        (lambda: (MODEL / "config.json").unlink(), "no-config", "the folder `model` has no `config.json`", "it holds "),
        (lambda: (MODEL / "config.json").rename(MODEL / "adapter_config.json"), "no-config", "the folder `model` has no `config.json`", "it holds an adapter: name the model that the adapter was made for"),
        (_config(b"{"), "bad-config", "the `config.json` of `model` is no config: it is not JSON", "model/config.json:1:2: "),
        (_config(b"[1]"), "bad-config", "the `config.json` of `model` is no config: it is not an object", "should start with `{`"),
        (_config(b"\xff\xfe{\0}\0"), "bad-config", "the `config.json` of `model` is no config: it is not text", "model/config.json is not UTF-8"),
        (_config(b"[" * 99_999), "bad-config", "the `config.json` of `model` is no config: it cannot be read", "maximum recursion"),
        (WEIGHTS.unlink, "no-weights", "`model` has no weights: no `model.safetensors`, and no `model.safetensors.index.json`", "it holds "),
        (lambda: WEIGHTS.rename(MODEL / "pytorch_model.bin"), "pickled-weights", "`model` has its weights in pickle files only (`pytorch_model.bin`)", "save_pretrained"),
        (lambda: WEIGHTS.write_bytes(WEIGHTS.read_bytes()[:-9]), "bad-weights", "`model.safetensors` of `model` is cut off, or no safetensors file", "copy or fetch it again (model/model.safetensors has "),
        (lambda: WEIGHTS.write_bytes(b""), "bad-weights", "`model.safetensors` of `model` is cut off, or no safetensors file", "has 0 bytes"),
        (lambda: WEIGHTS.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "bad-weights", "`model.safetensors` of `model` is only a pointer that Git LFS left in the place of the weights", "run `git lfs pull` in model"),
        (_index({"a": "../b.safetensors"}), "bad-weights", "the `model.safetensors.index.json` of `model` is no index of weights: it names `../b.safetensors`, which is no safetensors file beside it", "model/model.safetensors.index.json"),
        (_index({}), "bad-weights", "the `model.safetensors.index.json` of `model` is no index of weights: it names no file", "model/model.safetensors.index.json"),
        (_index({"a": "a.safetensors", "b": "b.safetensors"}, kept="a.safetensors"), "missing-weights", "the weights of `model` are not all there: `b.safetensors` is missing", "names `a.safetensors` and `b.safetensors`: save or copy it again"),
        (_without_tokenizer, "no-tokenizer", "`model` has no tokenizer: no `tokenizer.json`, and no vocabulary", "put the files there that `save_pretrained` of its tokenizer writes; it holds `config.json` and `model.safetensors`"),
        (_config(b'{"hidden_size": 8}'), "bad-config", "the config of `model` does not say what type of model it is", '"model_type": "bert"'),
        (_config(b'{"model_type": "brt"}'), "unknown-model-type", "`model` is of the type `brt`, which transformers ", "newer transformers may know it"),
        (_config(b'{"model_type": "mine", "auto_map": {"AutoModel": "x.Y"}}'), "remote-code", "`model` is of the type `mine`, which transformers ", "bitspec runs no code that comes with a model"),
        (_config(b'{"model_type": "bert", "hidden_size": 7}'), "bad-config", "no model can be made from the config of `model`: ", "compare its `config.json` with that of a model that works"),
        (_config(b'{"model_type": "bert", "quantization_config": {"bits": 4}}'), "quantized-model", "`model` is quantized, so its parameters cannot be trained entry by entry", "name the model from which it was quantized"),
    ],
)  # fmt: skip
def test_a_model_that_is_refused_before_anything_is_trained(
    bitspec: Bitspec, monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any], code: str, message: str, hint: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    change()
    ran = bitspec("run", "lab.bspec")
    assert (ran.code, ran.out) == (2, "")
    assert f"error[{code}]: {message}" in ran.err
    assert hint in ran.err
    assert ran.err.endswith("\n1 error\n")
    assert "Traceback" not in ran.err


def _without_padding() -> None:
    path = MODEL / "tokenizer_config.json"
    path.write_text(path.read_text("utf-8").replace('"pad_token": "[PAD]"', '"pad_token": null'), "utf-8")


def _deeper() -> None:
    path = MODEL / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(config | {"num_hidden_layers": config["num_hidden_layers"] + 1}), "utf-8")


def _larger_tokens() -> None:
    path = MODEL / "tokenizer.json"
    text = path.read_text("utf-8")
    content = json.loads(text)
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {word: number + 1000 * word.startswith("w") for word, number in vocabulary.items()}
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (_without_padding, "the tokenizer in model has no token to pad with", "give its tokenizer a `pad_token`, and save it again"),
        (_deeper, "the weights of the model in model do not fill it: ", "save the model again with all of its weights, or correct its `config.json`"),
        (_larger_tokens, "the tokenizer makes the number ", "the tokenizer is that of another model: put the model's own into its folder"),
    ],
)  # fmt: skip
def test_a_model_that_fails_its_trials(bitspec: Bitspec, change: Callable[[], Any], message: str, hint: str) -> None:
    change()
    ran = bitspec("run", "lab.bspec", "--workers", "1", "--pack", "off", "--only", "frozen")
    assert ran.code == 1, ran.err
    assert f"rated frozen seed 0 failed: {message}" in ran.err
    assert f"    help: {hint}\n" in ran.err
    assert ran.out.startswith("0 trials finished in ")


@pytest.mark.parametrize(
    ("model", "code", "message", "hint"),
    [
        ('"model" revision "main"', "revision-of-folder", "`model` is a folder, and a folder has no revisions", 'take `revision "main"` away, or name a model on the hub'),
        ('"builtin/nano" revision "main"', "revision-of-builtin", "`builtin/nano` comes with bitspec and has no revision `main`", 'take `revision "main"` away'),
        ('"builtin/nono"', "unknown-builtin", "no model `builtin/nono` comes with bitspec", "builtin/nano"),
        ('"./gone"', "no-such-folder", "there is no folder `./gone`", "looked for "),
        ('"./train.csv"', "not-a-folder", "`./train.csv` is a file, and a model is a folder", "name the folder that holds `config.json`"),
        ('" "', "empty-text", "this model has no name", 'write `model "bert-base-cased"`'),
    ],
)  # fmt: skip
def test_names_that_no_model_has(bitspec: Bitspec, model: str, code: str, message: str, hint: str) -> None:
    Path("s.bspec").write_text(f"study s\nmodel {model}\ntask builtin/rte\nstrategy a = bias\n", "utf-8")
    ran = bitspec("run", "s.bspec")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error[{code}]: {message}")
    assert hint in ran.err


def test_a_model_that_transformers_cannot_load(bitspec: Bitspec) -> None:
    config = json.loads((MODEL / "config.json").read_text("utf-8"))
    (MODEL / "config.json").write_text(json.dumps(config | {"hidden_act": "no such function"}), "utf-8")
    ran = bitspec("run", "lab.bspec", "--workers", "1", "--pack", "off", "--only", "frozen")
    assert "transformers cannot make a classifier of the model in model: " in ran.err or "bad-config" in ran.err
    assert ran.code in {1, 2}
