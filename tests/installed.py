"""Packages that are as if installed: a folder of metadata and a module, on the way where Python looks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bitspec import registry


@dataclass
class Site:
    """A folder of packages."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    modules: list[str] = field(default_factory=list)

    def install(self, package: str, entries: dict[str, dict[str, str]], code: str, version: str = "1.0") -> str:
        """A package with one module of its name; `entries` are names and attributes by group. Returns the module."""
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code, encoding="utf-8")
        metadata = self.folder / f"{module}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        lines = [
            line
            for group, names in entries.items()
            for line in (f"[{group}]", *(f"{name} = {module}:{attribute}" for name, attribute in names.items()))
        ]
        (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
        self.modules.append(module)
        registry.forget()
        return module

    def remove(self) -> None:
        """Uninstall all of them."""
        for metadata in self.folder.glob("*.dist-info"):
            shutil.rmtree(metadata)
        registry.forget()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Where a test installs packages; they are gone after it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    made = Site(folder, monkeypatch)
    yield made
    monkeypatch.undo()
    for module in made.modules:
        sys.modules.pop(module, None)
    registry.forget()
