"""A stand-in of the Hugging Face hub on this machine, for what asks the real one elsewhere."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

Files: TypeAlias = Mapping[str, bytes]

#: Names of large files; the hub keeps them elsewhere, and answers with where that is.
LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".parquet")


@dataclass(frozen=True)
class Answer:
    """What the hub says instead of what it has: a status, headers, and after how many seconds."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0


class Hub:
    """Repositories, what each revision of them holds, and every request so far (`GET /me/model/resolve/…`).

    A repository is known by `OWNER/NAME`, or `datasets/OWNER/NAME`. `answers` says by a repository's name, or by
    `NAME/FILE`, what is said instead; `moved` names the new place of those that have one.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        # Another name of this machine: where the large files are is another host than the hub.
        self.storage = f"http://localhost:{port}/storage"
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.moved: dict[str, str] = {}
        self._commits: dict[str, dict[str, Files]] = {}
        self._revisions: dict[str, dict[str, str]] = {}

    def add(self, name: str, files: Files | Path, revision: str = "main") -> str:
        """Commit files, or those in a folder, to a branch of a repository; the commit."""
        if isinstance(files, Path):
            folder = files
            paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        digests = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())
        commit = hashlib.sha1(json.dumps([name, digests]).encode(), usedforsecurity=False).hexdigest()
        self._commits.setdefault(name, {})[commit] = files
        self._revisions.setdefault(name, {})[revision] = commit
        return commit

    def forget(self, name: str, commit: str) -> None:
        """Take a commit away, as one does who writes the history anew."""
        del self._commits[name][commit]

    def fetched(self, name: str) -> list[str]:
        """The files of a repository that were asked for with their content, in order."""
        start = f"GET /{name}/resolve/"
        return [asked.removeprefix(start).partition("/")[2] for asked in self.asked if asked.startswith(start)]

    # What the server asks ---------------------------------------------------------------------------------

    def respond(self, path: str, query: str = "") -> tuple[Answer, bytes]:
        """What the hub says to a request for a path, and the content."""
        if path.startswith("/storage/"):
            return self._stored(path.removeprefix("/storage/"))
        if path.startswith("/api/"):
            name, verb, rest = _split(path.removeprefix("/api/").removeprefix("models/"), ("/tree/", "/revision/"))
        else:
            name, verb, rest = _split(path.removeprefix("/"), ("/resolve/",))
        if name in self.moved:
            return Answer(307, {"Location": path.replace(name, self.moved[name], 1)}), b""
        revision, _, file = rest.partition("/")
        said = self.answers.get(name) or self.answers.get(f"{name}/{file}")
        if said is not None:
            return said, b""
        if name not in self._commits:
            # To those without a token the hub does not say whether a repository is private.
            return Answer(
                401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."}
            ), b""
        revision = unquote(revision) or "main"
        commit = self._revisions[name].get(revision, revision)
        if commit not in self._commits[name]:
            return Answer(404, {"X-Error-Code": "RevisionNotFound"}), b""
        if verb == "/resolve/":
            return self._resolved(self._commits[name][commit], commit, unquote(file))
        tree = self._tree(name, commit, is_deep=verb != "/tree/" or "recursive=true" in query.casefold())
        siblings = [{"rfilename": entry["path"]} for entry in tree if entry["type"] == "file"]
        found = tree if verb == "/tree/" else {"id": name, "sha": commit, "siblings": siblings}
        return Answer(200, {"Content-Type": "application/json"}), json.dumps(found).encode()

    def _resolved(self, files: Files, commit: str, file: str) -> tuple[Answer, bytes]:
        headers = {"X-Repo-Commit": commit}
        if file not in files:
            return Answer(404, headers | {"X-Error-Code": "EntryNotFound"}), b""
        content = files[file]
        if not file.endswith(LARGE):
            return Answer(200, headers | {"ETag": f'"{_blob(content)}"'}), content
        digest = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        return Answer(302, headers | linked | {"Location": f"{self.storage}/{digest}/{file}"}), b""

    def _stored(self, place: str) -> tuple[Answer, bytes]:
        digest, _, file = place.partition("/")
        headers = {"ETag": f'"{digest}"', "Content-Disposition": f'inline; filename="{file}";'}
        everything = (files for commits in self._commits.values() for files in commits.values())
        for files in everything:
            if file in files and hashlib.sha256(files[file]).hexdigest() == digest:
                return Answer(200, headers), files[file]
        return Answer(404), b""

    def _tree(self, name: str, commit: str, *, is_deep: bool) -> list[dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        for path, content in self._commits[name][commit].items():
            folder, _, inside = path.partition("/")
            if inside and not is_deep:
                entries[folder] = {"type": "directory", "path": folder, "oid": _blob(b""), "size": 0}
                continue
            entry: dict[str, Any] = {"type": "file", "path": path, "oid": _blob(content), "size": len(content)}
            if path.endswith(LARGE):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
            entries[path] = entry
        return list(entries.values())


def _split(path: str, verbs: tuple[str, ...]) -> tuple[str, str, str]:
    for verb in verbs:
        name, found, rest = path.partition(verb)
        if found:
            return name, verb, rest
    return path, "", ""


def _blob(content: bytes) -> str:
    """The name that Git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories; HF_ENDPOINT is to be its address when the hub's client is imported."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._respond(with_body=False)

        def do_GET(self) -> None:
            self._respond(with_body=True)

        def _respond(self, with_body: bool) -> None:
            url = urlsplit(self.path)
            hub.asked.append(f"{self.command} {url.path}")
            answer, body = hub.respond(url.path, url.query)
            time.sleep(answer.after)
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the test asks `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.block_on_close = False
        hub = Hub(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
