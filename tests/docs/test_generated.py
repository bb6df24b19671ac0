"""What the documentation takes from the code is up to date, and leaves out no command, option, code or word."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bitspec.cli.main import COMMANDS, cli
from bitspec.ir.settings import SETTINGS
from bitspec.vocabulary import ATTRIBUTES, BUILTIN_TASKS, GLUE, KEYWORDS, KINDS, METRICS, ROLES, SELECTIONS
from tests.docs.pages import blocks_of

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

#: Functions that take a diagnostic's code first.
MAKERS = {"error", "warning", "wrong", "refuse", "Diagnostic", "Mistake"}


def test_nothing_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, "tools/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_option_is_documented() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    context = click.Context(cli)
    for name in COMMANDS:
        assert f"$ bitspec {name} " in text or f"bitspec {name} --" in text or f"$ bitspec {name}\n" in text, name
        command = cli.get_command(context, name)
        assert command is not None
        for option in command.params:
            if isinstance(option, click.Option):
                missing = [spelling for spelling in option.opts if f"`{spelling}`" not in text]
                assert not missing, (name, missing)


def test_every_code_has_a_meaning() -> None:
    page = (ROOT / "docs" / "messages.md").read_text("utf-8")
    documented = set(re.findall(r"^### `([\w-]+)`$", page, re.MULTILINE))
    used = used_codes()
    assert len(used) > 100
    assert not used - documented, "give these codes a line in tools/messages.toml, and run tools/docs.py"
    assert not documented - used, "these codes are in tools/messages.toml, and nothing says them"


def used_codes() -> set[str]:
    codes: set[str] = set()
    for path in (ROOT / "bitspec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and _name(node.func) in MAKERS:
                codes.update(_codes(node.args[0]))
    return codes


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _codes(argument: ast.expr) -> set[str]:
    if isinstance(argument, ast.JoinedStr):  # f"unknown-{attribute}", for the attributes with a vocabulary
        prefix = argument.values[0]
        assert isinstance(prefix, ast.Constant)
        assert prefix.value == "unknown-"
        return {"unknown-role", "unknown-kind"}
    texts = {node.value for node in ast.walk(argument) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", text)}


@pytest.mark.parametrize(
    "words",
    [ATTRIBUTES, BUILTIN_TASKS, GLUE, KINDS, METRICS, ROLES, SELECTIONS, SETTINGS, dict.fromkeys(KEYWORDS)],
    ids=["attributes", "builtin_tasks", "glue", "kinds", "metrics", "roles", "selections", "settings", "keywords"],
)
def test_every_word_of_the_language_is_in_the_reference(words: dict[str, object]) -> None:
    text = (ROOT / "docs" / "language.md").read_text("utf-8")
    assert not [word for word in words if f"`{word}`" not in text]


def test_pages_link_to_what_is_there() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in blocks_of(page):
            text = text.replace(block.text, "")
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]*)?\)", text):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)
