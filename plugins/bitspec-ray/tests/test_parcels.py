"""Models and data on their way to a node that has neither."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitspec.parameters.models import model_folder
from bitspec.runners.bench import Bench, run_pack
from bitspec.runners.local import LocalRunner
from bitspec.runners.protocol import Pack, Queue
from bitspec_ray.cluster import Cluster
from bitspec_ray.parcels import Shipping, UnpackedInputs
from bitspec_ray.runner import RayRunner
from studies import Asked, asked, numbers, write_study


@pytest.fixture
def away(tmp_path: Path) -> Asked:
    """A study with a model in a folder of its own."""
    source = model_folder("builtin/nano")
    assert source is not None
    shutil.copytree(source, tmp_path / "model")
    (tmp_path / "model" / "diary.txt").write_text("of no use to anybody", "utf-8")
    return asked(write_study(tmp_path, model="./model"))


@pytest.fixture
def joined() -> Iterator[None]:
    cluster = Cluster()
    yield
    cluster.leave()


@pytest.mark.usefixtures("joined")
def test_a_node_without_the_model_gets_its_files_and_no_others(
    away: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = away.packs[0]
    expected = numbers(LocalRunner().run(away.work, Queue([pack])))
    (model,) = {planned.trial.model for planned in pack}
    shipping = Shipping(away.work)
    inputs = UnpackedInputs(away.work)
    assert inputs.lacking(shipping.parcel(pack)) == ()
    full = shipping.parcel(pack, [model])
    (tmp_path / "model").rename(tmp_path / "moved")
    for name in ("train.csv", "dev.csv"):
        (tmp_path / name).unlink()
    monkeypatch.setenv("BITSPEC_CACHE_DIR", str(tmp_path / "cache of a node"))
    assert inputs.lacking(shipping.parcel(pack)) == (model,)
    assert inputs.lacking(full) == ()
    inputs.parcel = full
    assert numbers(run_pack(Bench(away.work, inputs), pack)) == expected
    folder = inputs.folder(model)
    assert folder.is_relative_to(tmp_path / "cache of a node")
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "diary.txt").exists()
    assert [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"] == [folder.name]
    # What was unpacked is found again, and made anew where it is not what it was.
    assert inputs.lacking(shipping.parcel(pack)) == ()
    (folder / "config.json").write_text("{}", "utf-8")
    assert inputs.lacking(shipping.parcel(pack)) == (model,)
    inputs.parcel = full
    assert inputs.folder(model) == folder
    assert inputs.lacking(shipping.parcel(pack)) == ()


@pytest.mark.slow
def test_workers_get_what_they_lack(away: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a cluster: the model is moved away between the moment it is read and the moment a worker looks."""
    pack = away.packs[1]
    expected = numbers(LocalRunner().run(away.work, Queue([pack])))
    monkeypatch.setenv("BITSPEC_CACHE_DIR", str(tmp_path / "cache of a node"))
    parcel = Shipping.parcel
    asked_for: list[tuple[Any, ...]] = []

    def moving(self: Shipping, pack: Pack, lacking: Any = ()) -> Any:
        if lacking:
            (tmp_path / "moved").rename(tmp_path / "model")
        made = parcel(self, pack, lacking)
        (tmp_path / "model").rename(tmp_path / "moved")
        asked_for.append(tuple(lacking))
        return made

    monkeypatch.setattr(Shipping, "parcel", moving)
    assert numbers(RayRunner().run(away.work, Queue([pack]))) == expected
    assert asked_for == [(), (pack[0].trial.model,)]


@pytest.mark.slow
def test_a_model_that_is_gone_fails_its_trials(away: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bitspec_ray.crew import Crew

    hand_out: Callable[..., Any] = Crew._hand_out

    def gone(self: Crew, packs: Any) -> Any:
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        return hand_out(self, packs)

    monkeypatch.setattr(Crew, "_hand_out", gone)
    events = list(RayRunner().run(away.work, Queue(away.packs)))
    assert sorted(event.key for event in events) == sorted(planned.key for planned in away.plan.trials)
    assert {type(event).__name__ for event in events} == {"Failed"}
    assert "model" in str(events[0])
