"""Where configs come from: bitspec itself, folders, and a stand-in of the hub on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bitspec.diagnostics import BitspecError, Diagnostic
from bitspec.parameters.models import SHIPPED, read_config


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
    assert all(read_config(name)["model_type"] for name in SHIPPED)
    assert read_config("google-bert/bert-base-cased") == read_config("bert-base-cased")


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


def test_a_hub_cache_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "hub/models--me--good")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", forbidden)
    diagnostic = _refusal("me/good")
    assert diagnostic.code == "unreadable-model"
    assert diagnostic.help == "hub/models--me--good: Permission denied"


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    assert _refusal(str(_folder(tmp_path / "m")), "main").code == "revision-of-folder"


# The hub --------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """Answers for `config.json` as the hub does, by the name of the model."""

    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        name, _, rest = self.path.strip("/").partition("/resolve/")
        revision = rest.partition("/")[0]
        body = json.dumps({"model_type": "bert", "from": revision}).encode()
        commit = hashlib.sha1(revision.encode(), usedforsecurity=False).hexdigest()
        status, headers = {
            "me/gated": (403, {"X-Error-Code": "GatedRepo"}),
            "me/private": (401, {"X-Error-Code": "RepoNotFound"}),
            "me/bert-base-casd": (404, {"X-Error-Code": "RepoNotFound"}),
            "me/missing": (404, {"X-Error-Code": "RepoNotFound"}),
            "me/empty": (404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}),
            "me/token": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
            "me/forbidden": (403, {}),
            "me/down": (503, {}),
            "me/no-hub": (200, {}),
        }.get(name, (200, {"ETag": f'"{commit}"', "X-Repo-Commit": commit}))
        if "no-such-branch" in rest:
            status, headers = 404, {"X-Error-Code": "RevisionNotFound"}
        if name == "me/slow":
            time.sleep(8)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if status == 200 else 0))
        self.end_headers()
        if with_body and status == 200:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the test asks `asked`."""


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a stand-in of the hub."""
    Hub.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


#: Reads each of the models that it is given, and prints what came of it as a line of JSON.
PROGRAM = """
import json, time
from bitspec.diagnostics import BitspecError
from bitspec.parameters.models import read_config
for source, revision in {asked!r}:
    start = time.monotonic()
    try:
        line = read_config(source, revision)
    except BitspecError as raised:
        line = {{"code": raised.diagnostics[0].code, "help": raised.diagnostics[0].help}}
    print(json.dumps([line, time.monotonic() - start]))
"""


class Reader:
    """Reads configs in a fresh interpreter, which is what the hub's settings need."""

    def __init__(self, python: Callable[..., str], home: Path) -> None:
        self.python = python
        self.home = home

    def __call__(self, *asked: tuple[str, str | None], **settings: str) -> list[tuple[dict[str, Any], float]]:
        printed = self.python(PROGRAM.format(asked=asked), HF_HOME=str(self.home), **settings)
        return [(line, seconds) for line, seconds in map(json.loads, printed.splitlines())]


@pytest.fixture
def read(python: Callable[..., str], tmp_path: Path) -> Reader:
    return Reader(python, tmp_path / "hub")


def test_a_model_is_fetched_once(hub: str, read: Reader) -> None:
    first, again, other = read(("me/good", None), ("me/good", None), ("me/good", "v1"), HF_ENDPOINT=hub)
    assert first[0] == again[0] == {"model_type": "bert", "from": "main"}
    assert other[0] == {"model_type": "bert", "from": "v1"}
    assert sum(line == "GET /me/good/resolve/main/config.json" for line in Hub.asked) == 1
    Hub.asked.clear()
    (cached,) = read(("me/good", None), HF_HUB_OFFLINE="1", HF_ENDPOINT=hub)
    assert cached[0] == first[0]
    assert Hub.asked == []


def test_a_revision_of_a_shipped_model_comes_from_the_hub(hub: str, read: Reader) -> None:
    (found,) = read(("bert-base-cased", "v2"), HF_ENDPOINT=hub)
    assert found[0] == {"model_type": "bert", "from": "v2"}


def test_every_refusal_of_the_hub_has_its_message(hub: str, read: Reader) -> None:
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
    answers = read(*[(name, None) for name in expected], ("me/good", "no-such-branch"), HF_ENDPOINT=hub)
    codes = [answer["code"] for answer, _ in answers]
    assert codes == [*expected.values(), "unknown-revision"]
    assert all(answer["help"] for answer, _ in answers)
    helps = {name: answer["help"] for name, (answer, _) in zip(expected, answers, strict=False)}
    assert "google-bert/bert-base-cased" in helps["me/bert-base-casd"]
    assert "accept them at" in helps["me/gated"]
    assert max(seconds for _, seconds in answers) < 3


def test_a_hub_that_does_not_answer_is_given_up(hub: str, read: Reader) -> None:
    ((answer, seconds),) = read(("me/slow", None), HF_ENDPOINT=hub)
    assert answer["code"] == "hub-unreachable"
    assert seconds < 7


def test_without_a_network_the_message_comes_at_once(read: Reader) -> None:
    # Nothing listens at this port; a name that no server knows fails in the same way.
    (far, near) = read(("me/good", None), ("bert-base-casd", None), HF_ENDPOINT="http://127.0.0.1:9")
    assert far[0]["code"] == near[0]["code"] == "hub-unreachable"
    assert "check the network" in far[0]["help"]
    assert near[0]["help"].startswith("did you mean `bert-base-cased` or `bert-base-uncased`? Otherwise, check")
    assert max(far[1], near[1]) < 3


def test_offline_by_wish(read: Reader) -> None:
    ((answer, seconds),) = read(("me/good", None), HF_HUB_OFFLINE="1")
    assert answer["code"] == "hub-offline"
    assert seconds < 3
