"""What every test may use: the option that writes golden files anew, temporary folders in memory, and a cache of
catalogues for the whole run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

#: Where Linux has a file system in memory.
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - pytest makes a folder in it that is the user's alone

#: Bytes that must be free there: four times what the tests leave at once.
ROOM: Final = 4 * 2**30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; read the difference!")


def pytest_configure() -> None:
    # Stores are synced and thrown away all the time: on a disk the tests would wait for a quarter of the time.
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Building BERT's catalogue imports torch, which takes seconds: once for the run, and never in the user's cache.
    before = os.environ.get("BITSPEC_CACHE_DIR")
    os.environ["BITSPEC_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("BITSPEC_CACHE_DIR")
    if before is not None:
        os.environ["BITSPEC_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parent.parent
