"""Folders with a small random model and data, made once; training runs on one thread, as in the tests of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from tests.lab import write_lab

#: The folder of a lab by the type of its model. Nobody writes into it.
Labs: TypeAlias = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Labs:
    @cache
    def made(model_type: str) -> Path:
        return write_lab(tmp_path_factory.mktemp(model_type), model_type=model_type).parent

    return made


@pytest.fixture(scope="session")
def lab(labs: Labs) -> Path:
    return labs("bert")
