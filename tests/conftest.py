"""What every test may use: the option that writes golden files anew, and a cache of catalogues for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; read the difference!")


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
