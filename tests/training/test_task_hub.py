"""GLUE from the hub: a stand-in of it on this machine, no network at all, and everything that a hub may answer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging import CRITICAL
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlparse

import pyarrow
import pyarrow.parquet
import pytest

from bitspec.diagnostics import BitspecError
from bitspec.ir.study import Task
from bitspec.training import hub as hub_module
from bitspec.training.tasks import read_task, task_fingerprint
from tests.training.made_glue import files_of, hub_table, write_folder

COMMIT = "c" * 40
ROOT = Path(__file__).parents[2]

#: Tasks that the stand-in has as they should be, and those of which it has something else.
GOOD = ("cola", "stsb", "mnli", "rte")
BAD = ("sst2", "qqp", "qnli")


def _parquet(table: pyarrow.Table) -> bytes:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def _repository() -> dict[str, bytes]:
    """The files of the dataset: a card that names the splits of each task, and a Parquet file for each of them."""
    card, files = ["---", "configs:"], {}
    for task in (*GOOD, *BAD):
        tables = {split: hub_table(task, split) for split in files_of(task)}
        if task == "sst2":  # labels as the hidden test sets have them
            labels = tables["validation"].schema.get_field_index("label")
            tables["validation"] = tables["validation"].set_column(labels, "label", pyarrow.array([0, -1, 1, -1, 1, 0]))
        elif task == "qqp":
            del tables["validation"]
        elif task == "qnli":
            tables = {split: table.rename_columns({"sentence": "sentences"}) for split, table in tables.items()}
        # Hidden labels must not be read.
        tables["test"] = tables["train"].slice(0, 1)
        card += [f"- config_name: {task}", "  data_files:"]
        for split, table in tables.items():
            card += [f"  - split: {split}", f"    path: {task}/{split}-*"]
            files[f"{task}/{split}-00000-of-00001.parquet"] = _parquet(table)
    return files | {"README.md": "\n".join([*card, "---", ""]).encode()}


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's interface that `datasets` uses, for one repository; the token says how it behaves."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_POST(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        posted = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behaviour = self.headers.get("Authorization", "").removeprefix("Bearer hf_")
        if behaviour == "slow":
            time.sleep(4)
        refusals = {
            "private": (401, "RepoNotFound"),
            "refused": (403, ""),
            "missing": (404, "RepoNotFound"),
            "down": (503, ""),
        }
        if behaviour in refusals:
            status, reason = refusals[behaviour]
            self._send(status, b"", {"X-Error-Code": reason} if reason else {}, with_body)
            return
        path = unquote(urlparse(self.path).path)
        kind, _, rest = path.partition("/nyu-mll/glue/")
        if kind == "/datasets" and rest.startswith("resolve/"):
            data = self.files.get(rest.split("/", 2)[2])
            if data is not None and behaviour == "cut" and rest.endswith(".parquet"):
                data = data[:20]
            if data is not None:
                self._send(200, data, {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": COMMIT}, with_body)
                return
        elif kind == "/api/datasets":
            found = self._described(rest, posted)
            if found is not None:
                self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"}, with_body)
                return
        self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, with_body)

    def _described(self, rest: str, posted: bytes) -> Any:
        what, _, path = rest.partition("/")
        folder = path.partition("/")[2]
        if what == "revision":
            return {"id": "nyu-mll/glue", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
        if what == "tree":
            names = [name for name in self.files if name.rpartition("/")[0] == folder]
            folders = {name.rpartition("/")[0] for name in self.files} - {""} if not folder else set()
            return [
                *map(self._file, names),
                *({"type": "directory", "path": name, "size": 0, "oid": COMMIT} for name in folders),
            ]
        if what == "paths-info":
            text = posted.decode()
            names = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
            return [self._file(name) for name in names if name in self.files]
        return None

    def _file(self, name: str) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(self.files[name]), "oid": _digest(self.files[name])}

    def _send(self, status: int, data: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the test asks `asked`."""


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """The address of a stand-in of the hub."""
    Hub.files = _repository()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


#: Reads tasks in a fresh interpreter, which is what the hub's settings need, and prints a line of JSON for each.
PROGRAM = """
import contextlib, json, os, time
from pathlib import Path
from bitspec.diagnostics import BitspecError
from bitspec.ir.study import Task
from bitspec.training import hub
from bitspec.training.tasks import read_task, task_fingerprint

assert hub.HUB_TIMEOUT < 5
hub.HUB_TIMEOUT = 1.0  # or the tests would wait as long

@contextlib.contextmanager
def on_fetch(name):
    fetched.append(name)
    yield

where = {{"base": Path(), "data_dir": None, "cache": Path({cache!r})}}
for name, behaviour in {asked!r}:
    os.environ["HF_TOKEN"] = f"hf_{{behaviour}}"
    fetched, task, start = [], Task(name=name), time.monotonic()
    line = {{"before": task_fingerprint(task, **where)}}
    try:
        line["fingerprint"] = read_task(task, **where, on_fetch=on_fetch).fingerprint
    except BitspecError as raised:
        (found,) = raised.diagnostics
        line |= {{"code": found.code, "message": found.message, "help": found.help}}
    line |= {{"seconds": time.monotonic() - start, "fetched": fetched, "after": task_fingerprint(task, **where)}}
    print(json.dumps(line))
"""


def _read(home: Path, *asked: tuple[str, str], **settings: str) -> list[dict[str, Any]]:
    """What comes of reading tasks, each from a hub of some behaviour; what is fetched and remembered is kept in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(asked=asked, cache=str(home / "bitspec"))],
        env=kept | {"PYTHONPATH": str(ROOT), "HF_HOME": str(home / "hf")} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bars, and no advice of libraries
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def fetched(hub: str, home: Path) -> list[dict[str, Any]]:
    """The good tasks, fetched into the home of this module, and the first of them once more."""
    return _read(home, *((name, "good") for name in GOOD), (GOOD[0], "good"), HF_ENDPOINT=hub)


def test_the_hub_and_the_usual_folder_have_the_same_examples(fetched: list[dict[str, Any]], tmp_path: Path) -> None:
    write_folder(tmp_path, *GOOD)
    expected = [task_fingerprint(Task(name=name), base=Path(), data_dir=tmp_path) for name in GOOD]
    assert [line["fingerprint"] for line in fetched[:-1]] == expected
    assert len(set(expected)) == len(GOOD)


def test_a_task_is_fetched_once(fetched: list[dict[str, Any]]) -> None:
    assert [line["fetched"] for line in fetched] == [*([name] for name in GOOD), []]
    assert [line["before"] for line in fetched[:-1]] == [None] * len(GOOD)
    # Once it was read, its fingerprint is known without reading it.
    assert all(line["after"] == line["fingerprint"] for line in fetched)
    assert fetched[-1]["before"] == fetched[-1]["fingerprint"] == fetched[0]["fingerprint"]


def test_what_was_fetched_needs_no_network(hub: str, home: Path, fetched: list[dict[str, Any]]) -> None:
    Hub.asked.clear()
    for settings in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        cached, other = _read(home, ("mnli", "good"), ("mrpc", "good"), **({"HF_ENDPOINT": hub} | settings))
        assert cached["fingerprint"] == cached["before"] == fetched[2]["fingerprint"]
        assert cached["fetched"] == other["fetched"] == []
        assert other["code"] == ("hub-offline" if "HF_HUB_OFFLINE" in settings else "hub-unreachable")
        assert other["message"].startswith("the data of `mrpc` is not on this machine, and ")
        assert "name a folder that holds GLUE with `--data-dir`" in other["help"]
        # At once: what tries again takes half a minute.
        assert cached["seconds"] < 10
        assert other["seconds"] < 5
    assert Hub.asked == []


def test_every_refusal_of_the_hub_has_its_message(hub: str, tmp_path: Path) -> None:
    expected = {
        ("rte", "private"): ("hub-refused", "the Hugging Face hub does not let you read `nyu-mll/glue`"),
        ("rte", "refused"): ("hub-refused", "the Hugging Face hub does not let you read `nyu-mll/glue`"),
        ("rte", "missing"): ("hub-failed", "the Hugging Face hub answered 404 when asked for `nyu-mll/glue`"),
        ("rte", "down"): ("hub-failed", "the Hugging Face hub answered 503 when asked for `nyu-mll/glue`"),
        ("rte", "slow"): ("hub-unreachable", "the data of `rte` is not on this machine"),
        ("wnli", "good"): (
            "bad-dataset",
            "`nyu-mll/glue` on the Hugging Face hub has no data of `wnli` that can be used",
        ),
        ("qqp", "good"): (
            "bad-dataset",
            "`nyu-mll/glue` on the Hugging Face hub has no data of `qqp` that can be used: it has no split `validation`",
        ),
        ("qnli", "good"): ("missing-column", "`nyu-mll/glue/qnli/train` has no column `sentence`"),
        ("sst2", "good"): (
            "bad-label",
            "nyu-mll/glue/sst2/validation, row 2: the label `-1` in `label` is not one of `sst2` (and so in 1 more row)",
        ),
        ("cola", "cut"): (
            "bad-dataset",
            "`nyu-mll/glue` on the Hugging Face hub has no data of `cola` that can be used",
        ),
    }
    found = _read(tmp_path, *expected, HF_ENDPOINT=hub)
    assert [line.get("code") for line in found] == [code for code, _ in expected.values()]
    for line, (_, message) in zip(found, expected.values(), strict=True):
        assert line["message"].startswith(message)
        assert line["help"]
        assert line["after"] is None
        assert line["seconds"] < 5


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (
            PermissionError(13, "Permission denied"),
            "unwritable-cache",
            "cannot be kept on this machine: Permission denied",
        ),
        (OSError(28, "No space left on device"), "unwritable-cache", "cannot be kept on this machine: No space left"),
        (
            OSError("Not enough disk space."),
            "unwritable-cache",
            "cannot be kept on this machine: Not enough disk space.",
        ),
        (NotADirectoryError(20, "Not a directory"), "unwritable-cache", "Not a directory"),
        (ConnectionError("Couldn't reach it"), "hub-unreachable", "the Hugging Face hub cannot be reached"),
        (ConnectionResetError(104, "reset"), "hub-unreachable", "the Hugging Face hub cannot be reached"),
        (TimeoutError("timed out"), "hub-unreachable", "the Hugging Face hub cannot be reached"),
        (RuntimeError("\nfirst\nsecond"), "hub-unreachable", "the Hugging Face hub cannot be reached"),
        (FileNotFoundError("no data files"), "bad-dataset", "that can be used: no data files"),
    ],
)
def test_what_goes_wrong_while_fetching(
    problem: Exception, code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: str) -> None:
        raise problem

    monkeypatch.setattr(hub_module, "_load", load)
    monkeypatch.setattr(hub_module, "_ask", lambda: None)
    with pytest.raises(BitspecError) as raised:
        read_task(Task(name="rte"), base=Path(), data_dir=None)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message
    assert diagnostic.help


def test_offline_by_the_wish_of_datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def no_network(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for offline in (True, False):
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        with pytest.raises(BitspecError) as raised:
            read_task(Task(name="rte"), base=Path(), data_dir=None)
        assert raised.value.diagnostics[0].code == ("hub-offline" if offline else "hub-unreachable")
        assert datasets.config.HF_HUB_OFFLINE is offline


def test_the_libraries_are_as_loud_afterwards_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    def loudness() -> tuple[object, ...]:
        return (
            datasets.are_progress_bars_disabled(),
            datasets.logging.get_verbosity(),
            are_progress_bars_disabled(),
            logging.get_verbosity(),
        )

    during: list[tuple[object, ...]] = []

    def load(_: str) -> None:
        during.append(loudness())
        raise ConnectionError

    monkeypatch.setattr(hub_module, "_load", load)
    monkeypatch.setattr(hub_module, "_ask", lambda: None)
    before = loudness()
    with pytest.raises(BitspecError):
        read_task(Task(name="rte"), base=Path(), data_dir=None)
    assert before == loudness()
    assert set(during) == {(True, CRITICAL, True, CRITICAL)}
