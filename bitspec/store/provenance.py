"""Where results come from: the git commit of a spec, and the versions of what they were computed with."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bitspec import registry

#: Packages that numbers may depend on, or that are asked for when they differ.
PACKAGES: Final = (
    "bitspec",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "evaluate",
    "numpy",
    "scipy",
    "scikit-learn",
    "safetensors",
    "pyarrow",
    "duckdb",
    "pydantic",
    "lark",
)

#: Seconds that git may take; a study does not wait for a sleeping network drive.
_GIT_SECONDS: Final = 10


@dataclass(frozen=True)
class Provenance:
    """What a run of a study came from. `commit` is None outside git; neither host nor user is named."""

    commit: str | None
    versions: dict[str, str]


def provenance(folder: Path) -> Provenance:
    """The provenance of a run whose spec lies in a folder. No package is imported for it."""
    return Provenance(commit=git_commit(folder), versions=versions())


def versions() -> dict[str, str]:
    """Versions of Python, the platform (`Linux x86_64`), and all those packages and plugins that are installed."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | registry.packages()


def git_commit(folder: Path) -> str | None:
    """The commit that a folder is at, with `-dirty` where a tracked file in it differs; None outside git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return commit if changed == "" else f"{commit}-dirty"


def _git(folder: Path, *arguments: str) -> str | None:
    # A spec may come with a repository of a stranger's: its configuration must not have a program started.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - nothing in it comes from a spec
            command,
            cwd=folder,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
