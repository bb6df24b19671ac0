"""The cache of catalogues: quick when it hits, and never in the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bitspec.diagnostics import BitspecError
from bitspec.parameters import cache
from bitspec.parameters.cache import cache_folder, catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.structure import build


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were built, in order."""
    built: list[str] = []

    def counted(config: dict[str, Any], model: str = "") -> Catalogue:
        built.append(model)
        return build(config, model)

    monkeypatch.setattr(cache, "build", counted)
    return built


@pytest.fixture
def model(tmp_path: Path, configs: dict[str, dict[str, Any]]) -> Path:
    """A folder with a small model's config."""
    return _write(tmp_path / "model", configs["bert"])


def _write(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_second_time_nothing_is_built(builds: list[str], cache_dir: Path) -> None:
    first = catalogue("bert-base-cased")
    again = catalogue("bert-base-cased")
    assert builds == ["bert-base-cased"]
    assert again == first
    assert first.size == 108_310_272
    (file,) = _files(cache_dir)
    assert file.parent.name == "catalogues"
    assert file.suffix == ".json"
    assert len(file.stem) == 64


def test_a_hit_imports_nothing_heavy(python: Callable[..., str]) -> None:
    catalogue("bert-base-cased")
    program = (
        "import sys\n"
        "from bitspec.parameters.cache import catalogue\n"
        "assert catalogue('bert-base-cased').size == 108_310_272\n"
        "heavy = {'torch', 'transformers', 'numpy', 'huggingface_hub', 'datasets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(program) == "[]\n"


def test_names_of_one_config_share_a_file_and_keep_their_names(builds: list[str], cache_dir: Path) -> None:
    assert catalogue("bert-base-cased").model == "bert-base-cased"
    assert catalogue("google-bert/bert-base-cased").model == "google-bert/bert-base-cased"
    assert len(builds) == 1
    assert len(_files(cache_dir)) == 1


def test_only_structure_is_in_the_key(builds: list[str], model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    catalogue(str(model))
    _write(model, dict(reversed(config.items())) | {"_name_or_path": "x", "dtype": "float16"})
    catalogue(str(model))
    assert len(builds) == 1
    _write(model, config | {"intermediate_size": 32})
    assert catalogue(str(model)).sizes_by_role["m2"] == 2 * (8 * 32 + 32)
    assert len(builds) == 2


@pytest.mark.parametrize("what", ["version", "digest", "FORMAT"])
def test_what_builds_differently_has_another_key(
    what: str, builds: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(str(model))
    changed: dict[str, object] = {"version": lambda _: "6.0.0", "digest": lambda: "other", "FORMAT": -1}
    monkeypatch.setattr(cache, what, changed[what])
    catalogue(str(model))
    assert len(builds) == 2


def test_the_spinner_turns_only_while_building(model: Path) -> None:
    events: list[str] = []

    @contextmanager
    def spinner(source: str) -> Iterator[None]:
        events.append(f"start {Path(source).name}")
        yield
        events.append("stop")

    catalogue(str(model), on_build=spinner)
    catalogue(str(model), on_build=spinner)
    assert events == ["start model", "stop"]


def test_relative_to_the_spec(model: Path) -> None:
    assert catalogue(f"./{model.name}", base=model.parent).layers == 2


# Trouble --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"model_type": "bert"}', b"null"])
def test_a_damaged_file_is_built_again(content: bytes, builds: list[str], model: Path, cache_dir: Path) -> None:
    first = catalogue(str(model))
    (file,) = _files(cache_dir)
    file.write_bytes(content)
    assert catalogue(str(model)) == first
    assert len(builds) == 2
    assert catalogue(str(model)) == first
    assert len(builds) == 2


def test_a_cache_that_is_a_file(model: Path, cache_dir: Path) -> None:
    cache_dir.write_text("in the way")
    assert catalogue(str(model)).layers == 2
    assert cache_dir.read_text() == "in the way"


def test_a_cache_that_cannot_be_written(model: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(path), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    assert catalogue(str(model)).layers == 2
    assert _files(cache_dir) == []


def test_a_folder_in_the_files_place(model: Path, cache_dir: Path) -> None:
    catalogue(str(model))
    (file,) = _files(cache_dir)
    file.unlink()
    file.mkdir()
    assert catalogue(str(model)).layers == 2
    assert _files(cache_dir) == []


def test_a_model_that_cannot_be_made_is_not_kept(model: Path, cache_dir: Path) -> None:
    _write(model, {"model_type": "brt"})
    with pytest.raises(BitspecError, match="unknown-model-type"):
        catalogue(str(model))
    assert _files(cache_dir) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITSPEC_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("BITSPEC_CACHE_DIR")
    from platformdirs import user_cache_path

    assert cache_folder() == user_cache_path("bitspec", appauthor=False)
