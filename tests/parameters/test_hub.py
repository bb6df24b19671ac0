"""Models of the hub, against a stand-in of it on this machine: what is fetched, when, and what is said if it cannot be."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.parameters.models import model_folder, read_config
from tests.hub import Answer, Hub, serving
from tests.parameters.folders import CONFIG, TENSORS, TOKENIZER, model, weight_files

SHARDS = (("embeddings.weight", "scale"), ("layer.0.weight",), ("layer.0.bias", "layer.1.bias"))

#: What a repository of the hub holds beside a model's files: nothing that is ever fetched.
BESIDE = {
    "README.md": b"# A model",
    ".gitattributes": b"*.bin filter=lfs",
    "pytorch_model.bin": b"pickle",
    "tf_model.h5": b"hdf5",
    "flax_model.msgpack": b"flax",
    "modeling_mine.py": b"raise SystemExit",
    "onnx/model.onnx": b"onnx",
    "1_Dense/model.safetensors": b"of another tool",
    "1_Dense/config.json": b"{}",
    "consolidated.safetensors": b"the same weights once more",
    "model.fp16.safetensors": b"the same weights, rounded",
}

#: Asks for each model that it is given, and prints what came of it as a line of JSON.
PROGRAM = """
import json, sys, time
from contextlib import contextmanager
from bitspec.diagnostics import BitspecError
from bitspec.parameters import hub
from bitspec.parameters.models import model_folder, read_config

assert hub.HUB_TIMEOUT < 5
hub.HUB_TIMEOUT = {timeout}
fetched = []

@contextmanager
def on_fetch(source):
    fetched.append(source)
    yield

for what, source, revision in {asked!r}:
    fetched.clear()
    start = time.monotonic()
    try:
        if what == "config":
            line = read_config(source, revision)
        else:
            allowed = what == "pickle"
            line = {{"folder": model_folder(
                source, revision, fetch=what != "here", on_fetch=on_fetch, allow_pickle=allowed
            )}}
    except BitspecError as raised:
        found, = raised.diagnostics
        line = {{"code": found.code, "message": found.message, "help": found.help}}
    line["seconds"], line["fetched"] = time.monotonic() - start, list(fetched)
    print(json.dumps(line, default=str))
assert not {{"torch", "transformers", "datasets"}} & set(sys.modules)
"""


class Asker:
    """Asks for models in a fresh interpreter, which is what the hub's settings need."""

    def __init__(self, python: Callable[..., str], home: Path, endpoint: str) -> None:
        self.python = python
        self.home = home
        self.settings = {"HF_ENDPOINT": endpoint}

    def __call__(
        self, *asked: tuple[str, str] | tuple[str, str, str], timeout: float = 2, **settings: str
    ) -> list[dict[str, Any]]:
        wanted = [one if len(one) == 3 else (*one, None) for one in asked]
        program = PROGRAM.format(asked=wanted, timeout=timeout)
        printed = self.python(program, HF_HOME=str(self.home), **self.settings | settings)
        return [json.loads(line) for line in printed.splitlines()]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def ask(python: Callable[..., str], tmp_path: Path, hub: Hub) -> Asker:
    return Asker(python, tmp_path / "hub", hub.address)


def _names(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


# Configs --------------------------------------------------------------------------------------------------


def _config(**content: object) -> dict[str, bytes]:
    return {"config.json": json.dumps(content).encode()}


def test_a_config_is_fetched_once(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", _config(of="main") | BESIDE)
    hub.add("me/good", _config(of="v1"), "v1")
    first, again, other = ask(("config", "me/good"), ("config", "me/good"), ("config", "me/good", "v1"))
    assert first["of"] == again["of"] == "main"
    assert other["of"] == "v1"
    assert hub.fetched("me/good") == ["config.json", "config.json"]
    hub.asked.clear()
    (cached,) = ask(("config", "me/good"), HF_HUB_OFFLINE="1")
    assert cached["of"] == "main"
    assert hub.asked == []


def test_a_revision_of_a_shipped_model_comes_from_the_hub(hub: Hub, ask: Asker) -> None:
    hub.add("google-bert/bert-base-cased", _config(of="v2"), "v2")
    hub.moved["bert-base-cased"] = "google-bert/bert-base-cased"
    (found,) = ask(("config", "bert-base-cased", "v2"))
    assert found["of"] == "v2"


def test_every_refusal_of_the_hub_has_its_message(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", _config())
    hub.add("me/empty", {})
    hub.answers |= {
        "me/gated": Answer(403, {"X-Error-Code": "GatedRepo"}),
        "me/missing": Answer(404, {"X-Error-Code": "RepoNotFound"}),
        "me/token": Answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        "me/forbidden": Answer(403),
        "me/down": Answer(503),
        "me/no-hub": Answer(200),
    }
    expected = {
        "me/gated": "gated-model",
        "me/private": "unknown-model",
        "me/missing": "unknown-model",
        "me/bert-base-casd": "unknown-model",
        "me/empty": "no-config",
        "me/token": "hub-refused",
        "me/forbidden": "hub-refused",
        "me/down": "hub-failed",
        "me/no-hub": "hub-unreachable",
        "a/b/c": "bad-model-name",
        "no name": "bad-model-name",
        "-x": "bad-model-name",
    }
    whats = ("config", "fetch")
    answers = ask(*[(what, name) for name in expected for what in whats], ("config", "me/good", "no-such-branch"))
    codes = [answer["code"] for answer in answers]
    assert codes == [*(code for code in expected.values() for _ in whats), "unknown-revision"]
    assert all(answer["help"] for answer in answers)
    assert answers[-1]["message"] == "the model `me/good` has no revision `no-such-branch`"
    assert answers[-1]["help"].startswith("its branches, tags and commits are at https://huggingface.co/me/good")
    helps = {name: answer["help"] for name, answer in zip(expected, answers[::2], strict=False)}
    messages = {name: answer["message"] for name, answer in zip(expected, answers[::2], strict=False)}
    assert messages["me/missing"] == "there is no model `me/missing` on the Hugging Face hub, or it is private"
    assert messages["me/gated"] == "`me/gated` is given only to those who have accepted its terms"
    assert "google-bert/bert-base-cased" in helps["me/bert-base-casd"]
    assert "accept them at" in helps["me/gated"]
    assert max(answer["seconds"] for answer in answers) < 3


def test_a_hub_that_does_not_answer_is_given_up(hub: Hub, ask: Asker) -> None:
    hub.answers["me/slow"] = Answer(200, after=8)
    (answer,) = ask(("config", "me/slow"), timeout=0.5)
    assert answer["code"] == "hub-unreachable"
    assert answer["seconds"] < 4


def test_a_hub_cache_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    for number, code, said, words in (
        (errno.EACCES, "unreadable-model", "`me/good` cannot be read", "hub/models--me--good: Permission denied"),
        (errno.ENOSPC, "no-room", "there is no room for `me/good` in the cache of the Hugging Face hub: ", "HF_HOME"),
        (errno.EIO, "hub-unreachable", "`me/good` is not on this machine", "Input/output error"),
    ):

        def broken(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number), "hub/models--me--good")

        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", broken)
        for asked in (read_config, model_folder):
            with pytest.raises(BitspecError) as raised:
                asked("me/good")
            (diagnostic,) = raised.value.diagnostics
            assert diagnostic.code == code
            assert diagnostic.message.startswith(said)
            assert words in (diagnostic.help or "")


# Without a network ----------------------------------------------------------------------------------------


def test_without_a_network_the_message_comes_at_once(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model())
    ask(("config", "me/good"))
    # Nothing listens at this port; a name that no server knows fails in the same way.
    far, near, shipped, part = ask(
        ("config", "me/other"),
        ("config", "bert-base-casd"),
        ("fetch", "bert-base-cased"),
        ("fetch", "me/good"),
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    assert [answer["code"] for answer in (far, near, shipped, part)] == ["hub-unreachable"] * 4
    assert far["help"].startswith("check the network")
    assert near["help"].startswith("did you mean `bert-base-cased` or `bert-base-uncased`? Otherwise, check")
    assert shipped["help"].startswith("check the network")
    assert max(answer["seconds"] for answer in (far, near, shipped, part)) < 3


def test_offline_by_wish(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model())
    ask(("config", "me/good"))
    answers = ask(("config", "me/other"), ("fetch", "me/other"), ("fetch", "me/good"), HF_HUB_OFFLINE="1")
    assert [answer["code"] for answer in answers] == ["hub-offline"] * 3
    assert max(answer["seconds"] for answer in answers) < 3


# Weights and tokenizers -----------------------------------------------------------------------------------


def test_a_model_is_fetched_once_and_nothing_but_what_is_needed(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model() | BESIDE)
    before, first, again = ask(("here", "me/good"), ("fetch", "me/good"), ("fetch", "me/good"))
    assert before["folder"] is None
    assert first["folder"] == again["folder"]
    assert (before["fetched"], first["fetched"], again["fetched"]) == ([], ["me/good"], [])
    assert _names(first["folder"]) == {"config.json", "model.safetensors", *TOKENIZER}
    for name, content in model().items():
        assert (Path(first["folder"]) / name).read_bytes() == content
    hub.asked.clear()
    offline, online = ask(("fetch", "me/good"), HF_HUB_OFFLINE="1") + ask(("here", "me/good"))
    assert offline["folder"] == online["folder"] == first["folder"]
    assert hub.asked == []


def test_shards_are_those_that_the_index_names(hub: Hub, ask: Asker) -> None:
    files = model(shards=SHARDS)
    hub.add("me/sharded", files | BESIDE | {"model-00009-of-00009.safetensors": b"a leftover"})
    (found,) = ask(("fetch", "me/sharded"))
    assert _names(found["folder"]) == set(files)
    hub.asked.clear()
    Path(found["folder"], "model-00002-of-00003.safetensors").unlink()
    here, again = ask(("here", "me/sharded"), ("fetch", "me/sharded"))
    assert here["folder"] is None
    assert again["folder"] == found["folder"]
    assert _names(found["folder"]) == set(files)


def test_a_single_file_comes_before_shards(hub: Hub, ask: Asker) -> None:
    hub.add("me/both", model(shards=SHARDS) | weight_files())
    (found,) = ask(("fetch", "me/both"))
    assert _names(found["folder"]) == {"config.json", "model.safetensors", *TOKENIZER}


def test_what_is_not_asked_for_asks_no_network(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model())
    ask(("config", "me/good"))
    hub.asked.clear()
    found = ask(("here", "me/good"), ("here", "me/unknown"), ("here", "bert-base-cased"), ("here", "me/good", "v1"))
    assert [answer["folder"] for answer in found] == [None] * 4
    assert hub.asked == []


def test_a_shipped_models_weights_come_from_the_hub(hub: Hub, ask: Asker) -> None:
    hub.add("google-bert/bert-base-cased", model())
    hub.moved["bert-base-cased"] = "google-bert/bert-base-cased"
    found, config = ask(("fetch", "bert-base-cased"), ("config", "bert-base-cased"))
    assert _names(found["folder"]) == set(model())
    assert config["hidden_size"] == 768


def test_revisions_are_models_of_their_own(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model(config=CONFIG | {"hidden_size": 4}))
    commit = hub.add("me/good", model(config=CONFIG | {"hidden_size": 6}), "v1")
    main, tag, exact = ask(("fetch", "me/good"), ("fetch", "me/good", "v1"), ("fetch", "me/good", commit))
    assert json.loads(Path(main["folder"], "config.json").read_bytes())["hidden_size"] == 4
    assert json.loads(Path(tag["folder"], "config.json").read_bytes())["hidden_size"] == 6
    assert exact["folder"] == tag["folder"]
    assert Path(tag["folder"]).name == commit


def test_all_files_are_of_one_commit(hub: Hub, ask: Asker) -> None:
    first = hub.add("me/good", model())
    ask(("config", "me/good"))
    other = model(tensors=TENSORS | {"scale": TENSORS["scale"]._replace(content=b"87654321")})
    hub.add("me/good", other)
    (found,) = ask(("fetch", "me/good"))
    assert Path(found["folder"]).name == first
    assert Path(found["folder"], "model.safetensors").read_bytes() == model()["model.safetensors"]


def test_a_history_that_was_written_anew(hub: Hub, ask: Asker) -> None:
    first = hub.add("me/good", model())
    ask(("config", "me/good"))
    hub.forget("me/good", first)
    second = hub.add("me/good", model(config=CONFIG | {"hidden_size": 4}))
    (found,) = ask(("fetch", "me/good"))
    assert Path(found["folder"]).name == second
    assert _names(found["folder"]) == set(model())


def test_an_interrupted_fetch_is_taken_up(hub: Hub, ask: Asker) -> None:
    hub.add("me/good", model())
    hub.answers["me/good/model.safetensors"] = Answer(403)
    broken, here = ask(("fetch", "me/good"), ("here", "me/good"))
    assert broken["code"] == "hub-refused"
    assert here["folder"] is None
    hub.answers.clear()
    hub.asked.clear()
    (found,) = ask(("fetch", "me/good"))
    assert _names(found["folder"]) == set(model())
    # The content of large files is asked for elsewhere; of the small ones nothing is asked again.
    assert hub.fetched("me/good") == []
    assert sum("GET /storage/" in asked for asked in hub.asked) == 1


def test_models_that_cannot_be_trained_are_not_fetched(hub: Hub, ask: Asker) -> None:
    good = model()
    weights = good.pop("model.safetensors")
    broken = model(shards=SHARDS)
    del broken["model-00002-of-00003.safetensors"]
    hub.add("me/pickled", good | {"pytorch_model.bin": b"pickle"})
    hub.add("me/bare", good | {"tf_model.h5": b"hdf5"})
    hub.add("me/part", broken)
    hub.add("me/mute", {"config.json": good["config.json"], "model.safetensors": weights})
    pickled, bare, part, mute = ask(*(("fetch", f"me/{name}") for name in ("pickled", "bare", "part", "mute")))
    assert (pickled["code"], bare["code"], part["code"]) == ("pickled-weights", "no-weights", "missing-weights")
    assert 'AutoModel.from_pretrained("me/pickled")' in pickled["help"]
    assert "`tf_model.h5`" in bare["help"]
    assert "`model-00002-of-00003.safetensors` is missing" in part["message"]
    assert mute["code"] == "no-tokenizer"
    assert not any("storage" in asked for asked in hub.asked)


def test_pickles_are_fetched_only_where_they_are_allowed_and_there_is_nothing_else(hub: Hub, ask: Asker) -> None:
    good = model()
    del good["model.safetensors"]
    index = json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}).encode()
    shards = {"pytorch_model-1.bin": b"one", "pytorch_model-2.bin": b"two", "pytorch_model.bin.index.json": index}
    beside = {"training_args.bin": b"never", "optimizer.bin": b"never", "modeling_mine.py": b"raise SystemExit"}
    hub.add("me/pickled", good | {"pytorch_model.bin": b"pickle"} | beside)
    hub.add("me/parts", good | shards | beside)
    hub.add("me/both", model() | {"pytorch_model.bin": b"pickle"} | beside)
    refused, *found = ask(
        ("fetch", "me/pickled"), ("pickle", "me/pickled"), ("pickle", "me/parts"), ("pickle", "me/both")
    )
    assert refused["code"] == "pickled-weights"
    assert "`--allow-pickle`" in refused["help"]
    pickled, parts, both = (_names(one["folder"]) for one in found)
    assert pickled == {*good, "pytorch_model.bin"}
    assert parts == {*good, *shards}
    assert both == set(model())
    (again,) = ask(("fetch", "me/pickled"))  # what is there now is as little allowed as before
    assert again["code"] == "pickled-weights"


def test_a_damaged_file_in_the_cache_is_named(hub: Hub, ask: Asker) -> None:
    hub.add("me/cut", model() | {"model.safetensors": model()["model.safetensors"][:-1]})
    first, again, here = ask(("fetch", "me/cut"), ("fetch", "me/cut"), ("here", "me/cut"))
    assert first["code"] == again["code"] == here["code"] == "bad-weights"
    path = first["help"].removeprefix("delete ").partition(",")[0]
    hub.add("me/cut", model())
    Path(path).unlink()
    (found,) = ask(("here", "me/cut"))
    assert found["folder"] is None


def test_a_model_that_transformers_fetched_is_there(hub: Hub, ask: Asker, python: Callable[..., str]) -> None:
    hub.add("me/real", model() | BESIDE)
    program = (
        "from transformers import AutoConfig, AutoTokenizer\n"
        "from transformers.utils import cached_file, logging\n"
        "logging.disable_progress_bar()\n"
        "AutoConfig.from_pretrained('me/real')\n"
        "assert AutoTokenizer.from_pretrained('me/real')('a')['input_ids'] == [2, 5, 3]\n"
        "cached_file('me/real', 'model.safetensors')"  # as from_pretrained does, which takes torch
    )
    python(program, HF_HOME=str(ask.home), **ask.settings)
    hub.asked.clear()
    (found,) = ask(("fetch", "me/real"))
    assert hub.asked == []
    assert found["fetched"] == []
    assert _names(found["folder"]) >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_a_terminal_shows_how_far_the_weights_are(hub: Hub, tmp_path: Path, root: Path) -> None:
    hub.add("me/good", model())
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 100))
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from bitspec.parameters.models import model_folder; print(model_folder('me/good'))",
            ],
            env=os.environ | {"PYTHONPATH": str(root), "HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": hub.address},
            stdout=subprocess.PIPE,
            stderr=inside,
            check=True,
            timeout=60,
        )
        os.close(inside)
        shown = os.read(terminal, 65_536).decode()
    finally:
        os.close(terminal)
    assert _names(done.stdout.decode().strip()) == set(model())
    assert "model.safetensors" in shown
    assert "tokenizer" not in shown
    assert "config" not in shown
