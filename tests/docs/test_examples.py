"""Every example in README and docs does what the page says. Outputs are written anew with `pytest --update-golden`."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bitspec
from bitspec.cli.main import main
from bitspec.diagnostics import Source
from bitspec.language.load import analyse
from tests.docs.pages import ELISION, Block, blocks_of, commands_of, is_shown, replace, tidy
from tests.query.conftest import fill

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

#: Pages whose commands find a store with made-up results: to train them would take minutes.
WITH_A_STORE = {"store.md"}


@pytest.fixture(scope="session", autouse=True)
def _known_model(_cache_of_the_run: None) -> None:
    # Else the first command of some page would say that it reads the model's structure, and take seconds.
    bitspec.catalogue("bert-base-cased")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, folder: Path, update_golden: bool) -> None:
    names: dict[str, Any] = {}
    if page.name in WITH_A_STORE:
        fill(folder / "store")
    blocks = blocks_of(page)
    wrong: list[str] = []
    corrected: list[tuple[Block, str]] = []
    for block, following in zip(blocks, [*blocks, None][1:], strict=True):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            if path.name == "config.json":
                bitspec.catalogue(str(path.parent))  # into the cache, for the commands after it
        for shown, actual, target in outputs(block, following, folder, names):
            if is_shown(shown, actual):
                continue
            if update_golden and target is not None and ELISION not in shown:
                corrected.append((target, tidy(actual)))
            else:
                wrong.append(f"--- {block.place} shows\n{shown}+++ but it is\n{tidy(actual)}")
    for target, text in reversed(corrected):
        replace(target, text)
    assert not wrong, "\n".join(wrong)


def outputs(
    block: Block, following: Block | None, folder: Path, names: dict[str, Any]
) -> Iterator[tuple[str, str, Block | None]]:
    """What a block shows, what it really comes to, and the block in which that stands, if it is shown at all."""
    match block.language:
        case "bspec" if "wrong" in block.words:
            assert following is not None
            assert following.language == "text", f"{block.place}: a wrong spec is followed by its message"
            yield following.text, said(block, folder), following
        case "bspec":
            yield "", said(block, folder), None
        case "console":
            ran = [(command, shown, run(command)) for command, shown in commands_of(block)]
            if not all(is_shown(shown, output) for _, shown, output in ran):
                yield block.text, "".join(f"$ {command}\n{tidy(output)}" for command, _, output in ran), block
        case "python":
            printed = executed(block, names)
            shows = following is not None and "output" in following.words
            assert following is not None or not printed, block.place
            if following is not None and (shows or printed):
                assert shows, f"{block.place}: it prints {printed!r}, which the page does not show"
                yield following.text, printed, following


def said(block: Block, folder: Path) -> str:
    """What bitspec says about a spec; a fragment need not be a whole study."""
    diagnostics = analyse(Source(block.file or "spec.bspec", block.text), folder).diagnostics
    return "\n\n".join(found.render() for found in diagnostics if found.code != "incomplete")


def run(command: str) -> str:
    """What a command writes, in this process: another would begin with the same imports each time."""
    program, *arguments = shlex.split(command)
    assert program == "bitspec", command
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patched.setattr(sys, "argv", [program, *arguments])
        for name, value in (("NO_COLOR", "1"), ("HF_HUB_OFFLINE", "1"), ("COLUMNS", "100")):
            patched.setenv(name, value)
        with pytest.raises(SystemExit):
            main()
    return out.getvalue() + err.getvalue()


def executed(block: Block, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.place, "exec"), names)  # noqa: S102 - the documentation's own examples
    return printed.getvalue()
