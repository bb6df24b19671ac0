"""A model's fingerprint: the same for the same numbers wherever they lie, another for any other."""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitspec.diagnostics import BitspecError
from bitspec.parameters import cache as cache_module
from bitspec.parameters import fingerprint
from bitspec.parameters.files import ModelFiles
from bitspec.parameters.fingerprint import model_fingerprint
from tests.parameters.folders import CONFIG, TENSORS, TOKENIZER, Raw, Tensors, model, safetensors, write

NAMES = sorted(TENSORS)


def _print(files: Mapping[str, bytes]) -> str:
    """The fingerprint of these files in some folder."""
    with tempfile.TemporaryDirectory() as folder:
        return model_fingerprint(write(Path(folder), files))


BASE = _print(model())


def test_a_fingerprint_stays_what_it_is() -> None:
    # Another value here gives all trials other keys, and trains them again: raise FORMAT if that is meant.
    assert BASE == "f6b4ed15385f701c4ab6da9228dbca073b612bba0fecf5e8401fbcc266231a08"


# What changes nothing -------------------------------------------------------------------------------------


@given(order=st.permutations(NAMES), metadata=st.none() | st.dictionaries(st.text(), st.text(), max_size=2))
def test_order_and_metadata_change_nothing(order: list[str], metadata: dict[str, str] | None) -> None:
    assert _print(model() | {"model.safetensors": safetensors(TENSORS, order, metadata)}) == BASE


@given(order=st.permutations(NAMES), cuts=st.sets(st.integers(1, len(NAMES) - 1)))
def test_sharding_changes_nothing(order: list[str], cuts: set[int]) -> None:
    ends = [0, *sorted(cuts), len(order)]
    shards = [order[start:end] for start, end in pairwise(ends)]
    assert _print(model(shards=shards)) == BASE


def test_a_tensor_in_two_shards_counts_once() -> None:
    assert _print(model(shards=[NAMES, ["scale"]])) == BASE
    files = model(shards=[NAMES, ["scale"]])
    other = TENSORS["scale"]._replace(content=b"87654321")
    assert _print(files | {"model-00002-of-00002.safetensors": safetensors({"scale": other})}) != BASE


def test_what_is_beside_the_model_changes_nothing() -> None:
    beside = {"README.md": b"x", "pytorch_model.bin": b"x", "training_args.bin": b"x", "extra.safetensors": b"x"}
    assert _print(model() | beside) == BASE
    # Where there is a single file, an index is not read.
    assert _print(model() | {"model.safetensors.index.json": b'{"weight_map": {"a": "b.safetensors"}}'}) == BASE


def test_how_a_config_was_written_changes_nothing() -> None:
    other = dict(reversed(CONFIG.items())) | {
        "architectures": ["BertForMaskedLM"],
        "transformers_version": "6.0",
        "_name_or_path": "/somewhere/else",
        "dtype": "float16",
        "id2label": {"0": "no", "1": "yes"},
    }
    assert _print(model() | {"config.json": json.dumps(other, indent=4).encode("utf-8-sig")}) == BASE


def test_how_a_tokenizer_was_saved_changes_nothing() -> None:
    config = json.loads(TOKENIZER["tokenizer_config.json"])
    other = config | {"name_or_path": "elsewhere", "chat_template": "{{ x }}", "is_local": True, "processor_class": "P"}
    assert _print(model() | {"tokenizer_config.json": json.dumps(other, indent=2).encode()}) == BASE


# What changes it ------------------------------------------------------------------------------------------


@given(st.data())
def test_every_byte_of_every_tensor_counts(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in NAMES if TENSORS[name].content]))
    content = bytearray(TENSORS[name].content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert _print(model(TENSORS | {name: TENSORS[name]._replace(content=bytes(content))})) != BASE


def test_names_types_and_shapes_count() -> None:
    bias = TENSORS["layer.0.bias"]
    others: list[Tensors] = [
        {name: tensor for name, tensor in TENSORS.items() if name != "layer.0.bias"},
        TENSORS | {"more": Raw("F32", (0,), b"")},
        {name.replace("layer.0.bias", "layer.9.bias"): tensor for name, tensor in TENSORS.items()},
        TENSORS | {"layer.0.bias": bias._replace(dtype="BF16")},
        TENSORS | {"layer.0.bias": bias._replace(shape=(3, 1))},
        TENSORS | {"layer.1.bias": Raw("F32", (0, 7), b"")},
        TENSORS | {"layer.0.weight": bias, "layer.0.bias": TENSORS["layer.0.weight"]},
    ]
    prints = [_print(model(tensors)) for tensors in others]
    assert len({BASE, *prints}) == len(others) + 1


@pytest.mark.parametrize(
    "change",
    [{"hidden_dropout_prob": 0.2}, {"layer_norm_eps": 1e-5}, {"hidden_act": "relu"}, {"tokenizer_class": "X"}],
    ids=str,
)
def test_a_config_counts(change: dict[str, object]) -> None:
    assert _print(model(config=CONFIG | change)) != BASE


def test_a_tokenizer_counts() -> None:
    others = [
        {"vocab.txt": b"[PAD]\n[UNK]\nmore\n"},
        {"tokenizer.json": TOKENIZER["tokenizer.json"].replace(b"[UNK]", b"[unk]")},
        {"tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'},
        {"tokenizer_config.json": b'{"do_lower_case": false}'},
        {"tokenizer_config.json": b"[]"},
        {"tokenizer_config.json": b"{"},
        {"added_tokens.json": b"{}"},
        {"merges.txt": b""},
        {"spiece.model": b""},
    ]
    prints = [_print(model() | other) for other in others]
    assert len({BASE, *prints}) == len(others) + 1


def test_only_a_whole_model_has_a_fingerprint(tmp_path: Path) -> None:
    for name, code in (
        ("config.json", "unreadable-model"),
        ("model.safetensors", "no-weights"),
        ("tokenizer.json", ""),
        ("vocab.txt", "no-tokenizer"),
    ):
        folder = tmp_path / f"without-{name}"
        write(folder, model())
        (folder / name).unlink()
        if name == "vocab.txt":
            (folder / "tokenizer.json").unlink()
        if code:
            with pytest.raises(BitspecError, match=code):
                model_fingerprint(folder)
        else:
            assert model_fingerprint(folder) != BASE
    cut = write(tmp_path / "cut", model() | {"model.safetensors": model()["model.safetensors"][:-1]})
    with pytest.raises(BitspecError, match="bad-weights"):
        model_fingerprint(cut)


def test_weights_are_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    size = 48 * 2**20
    folder = write(tmp_path / "m", model(TENSORS | {"large": Raw("U8", (size,), bytes(size))}))
    tracemalloc.start()
    try:
        model_fingerprint(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_transformers_may_share_out_the_weights_as_it_likes(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    whole = BertModel(BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2))
    whole.save_pretrained(tmp_path / "one")
    whole.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    for name in ("one", "many"):
        write(tmp_path / name, TOKENIZER)
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    assert model_fingerprint(tmp_path / "one") == model_fingerprint(tmp_path / "many")


# What is remembered ---------------------------------------------------------------------------------------


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once."""
    monkeypatch.setattr(fingerprint, "_SETTLED", -3600)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch, settled: None) -> list[str]:  # noqa: ARG001 - it has to come first
    """The names of the folders whose files were hashed."""
    hashed: list[str] = []
    real = fingerprint._fingerprint

    def counted(files: ModelFiles, source: str) -> str:
        hashed.append(files.folder.name)
        return real(files, source)

    monkeypatch.setattr(fingerprint, "_fingerprint", counted)
    return hashed


def test_the_second_time_nothing_is_hashed(tmp_path: Path, hashes: list[str]) -> None:
    cache = tmp_path / "cache"
    one, other = write(tmp_path / "one", model()), write(tmp_path / "other", model(shards=[NAMES[:2], NAMES[2:]]))
    for _ in range(3):
        assert model_fingerprint(one, cache=cache) == model_fingerprint(other, cache=cache) == BASE
    assert hashes == ["one", "other"]
    (tmp_path / "link").symlink_to(one)
    assert model_fingerprint(tmp_path / "link", cache=cache) == BASE
    assert hashes == ["one", "other"]


@pytest.mark.parametrize("name", sorted(model()))
def test_a_file_that_changed_is_hashed_again(name: str, tmp_path: Path, hashes: list[str]) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    model_fingerprint(folder, cache=cache)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1  # of the same size, and with the time that it had
    before = (folder / name).stat()
    (folder / name).write_bytes(content)
    os.utime(folder / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = [_outcome(folder, cache) for _ in range(2)]
    assert again[0] == again[1] == _outcome(folder, None) != BASE
    assert hashes[:2] == ["m", "m"]


def _outcome(folder: Path, cache: Path | None) -> str:
    try:
        return model_fingerprint(folder, cache=cache)
    except BitspecError as problem:
        return problem.diagnostics[0].code


def test_a_file_that_came_or_went_is_noticed(tmp_path: Path, hashes: list[str]) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    model_fingerprint(folder, cache=cache)
    write(folder, {"added_tokens.json": b"{}"})
    assert model_fingerprint(folder, cache=cache) != BASE
    (folder / "added_tokens.json").unlink()
    assert model_fingerprint(folder, cache=cache) == BASE
    assert len(hashes) == 3


def test_a_link_to_another_file_is_noticed(tmp_path: Path, hashes: list[str]) -> None:
    # A snapshot in the hub's cache is a folder of links.
    blobs = {f"blob-{name}": content for name, content in model().items()}
    store = write(tmp_path / "blobs", blobs)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in model():
        (snapshot / name).symlink_to(store / f"blob-{name}")
    cache = tmp_path / "cache"
    assert model_fingerprint(snapshot, cache=cache) == model_fingerprint(snapshot, cache=cache) == BASE
    assert hashes == ["snapshot"]
    write(store, {"other": b"[PAD]\n[UNK]\nmore\n"})
    (snapshot / "vocab.txt").unlink()
    (snapshot / "vocab.txt").symlink_to(store / "other")
    assert model_fingerprint(snapshot, cache=cache) != BASE


def test_young_files_are_not_remembered(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    assert model_fingerprint(folder, cache=cache) == BASE
    assert not cache.exists()


@pytest.mark.usefixtures("settled")
def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    cache, one, two = tmp_path / "cache", write(tmp_path / "one", model()), write(tmp_path / "two", model())
    model_fingerprint(one, cache=cache)
    one.rename(tmp_path / "three")
    model_fingerprint(two, cache=cache)
    assert list(json.loads((cache / "fingerprints.json").read_bytes())) == [str(two)]


def test_another_format_is_another_fingerprint(
    tmp_path: Path, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    model_fingerprint(folder, cache=cache)
    monkeypatch.setattr(fingerprint, "FORMAT", -1)
    assert model_fingerprint(folder, cache=cache) == model_fingerprint(folder) != BASE
    assert hashes == ["m", "m", "m"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"PLACE": 1}',
        b'{"PLACE": {}}',
        b'{"PLACE": {"state": STATE}}',
    ],
)
def test_a_damaged_cache_is_written_anew(content: bytes, tmp_path: Path, hashes: list[str]) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    model_fingerprint(folder, cache=cache)
    memory = cache / "fingerprints.json"
    state = json.loads(memory.read_bytes())[str(folder)]["state"]
    memory.write_bytes(content.replace(b"PLACE", os.fsencode(folder)).replace(b"STATE", json.dumps(state).encode()))
    assert [model_fingerprint(folder, cache=cache) for _ in range(2)] == [BASE, BASE]
    assert hashes == ["m", "m"]


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "m", model())
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "fingerprints.json").mkdir(parents=True)
    for cache in (tmp_path / "file", tmp_path / "file" / "deeper", tmp_path / "taken"):
        assert model_fingerprint(folder, cache=cache) == BASE

    def full(path: Path, target: Path) -> NoReturn:
        raise OSError(28, "No space left on device", str(path), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    assert model_fingerprint(folder, cache=tmp_path / "other") == BASE
    assert list((tmp_path / "other").iterdir()) == []
    assert (tmp_path / "file").read_bytes() == b""
    assert [path.name for path in (tmp_path / "taken").rglob("*")] == ["fingerprints.json"]


def test_a_model_that_is_being_written_has_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, folder = tmp_path / "cache", write(tmp_path / "m", model())
    real = fingerprint._fingerprint

    def interfere(files: ModelFiles, source: str) -> str:
        write(folder, {"vocab.txt": b"changed"})
        return real(files, source)

    monkeypatch.setattr(fingerprint, "_fingerprint", interfere)
    with pytest.raises(BitspecError, match="changes while it is read"):
        model_fingerprint(folder, cache=cache)
    assert not cache.exists()


def test_writing_a_file_of_the_cache_replaces_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    cache_module.write(path, "ä")
    cache_module.write(path, "b")
    assert path.read_text("utf-8") == "b"
    assert list(path.parent.iterdir()) == [path]
