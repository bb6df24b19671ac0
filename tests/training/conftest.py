"""Training in tests runs on one thread: small models are quickest so, and other processes do not get in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.small import CONFIGS, model_folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small random model of every architecture; no test writes to them."""
    return {kind: model_folder(tmp_path_factory.mktemp(kind), kind) for kind in CONFIGS}
