"""Common random numbers: what a trial sees depends on seed, task, epoch, step and site, and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bitspec.ir.events import EpochEnded
from bitspec.ir.masks import Mask, Whole
from bitspec.ir.settings import Settings
from bitspec.training.course import Recipe
from bitspec.training.encoding import Encoded
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from bitspec.training.noise import Dropout, Noise, batch_order, keyed
from tests.training.small import CONFIGS, encoded, masks_of_every_kind


def padded(data: Encoded, tokens: int) -> Encoded:
    """The same examples and one that makes every batch as long as this, of which no trial takes any notice."""
    ids = torch.zeros(len(data), tokens, dtype=torch.int32)
    ids[:, : data.columns["input_ids"].shape[1]] = data.columns["input_ids"]
    return replace(data, columns={"input_ids": ids})


class PaddedToTheEnd(Encoded):
    """Pads every batch to the width of the whole matrix."""

    def batch(self, chosen_B: Tensor, device: torch.device) -> object:  # type: ignore[override]
        found = super().batch(chosen_B, device)
        width = self.columns["input_ids"].shape[1]
        found.inputs["input_ids"] = self.columns["input_ids"][chosen_B].long()
        found.inputs["attention_mask"] = (torch.arange(width)[None, :] < self.lengths_N[chosen_B, None]).long()
        return found


def losses(
    prepared: Prepared, masks: dict[str, Mask], data: Encoded, *, seed: int = 5, task: str = "task", epochs: int = 2
) -> list[float]:
    settings = Settings(epochs=epochs, batch_size=4, learning_rate=1e-2)
    recipe = Recipe("key", seed, settings, {**masks, **{name: Whole() for name in prepared.head}})
    run = Training(
        prepared,
        [recipe],
        task=task,
        training=data,
        validation=(encoded("validation", 5, seed=1),),
        metrics=lambda _split, _labels, _predictions: {"accuracy": 0.5},
        main="accuracy",
    )
    found = [event.epoch.loss for event in run.run() if isinstance(event, EpochEnded)]
    run.close()
    return found


@pytest.mark.parametrize("model_type", list(CONFIGS))
def test_padding_changes_nothing_with_dropout_on(
    folders: dict[str, Path], model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    monkeypatch.setitem(prepared.__dict__, "architecture", None)  # as one that we do not know, which is padded
    masks = masks_of_every_kind(prepared.model)["mixture"]
    data = encoded("training", 19)
    wide = padded(data, 24)
    loose = PaddedToTheEnd(wide.name, wide.columns, wide.lengths_N, wide.labels_N)
    close = losses(prepared, masks, data)
    assert losses(prepared, masks, loose) == pytest.approx(close, abs=1e-10, rel=0)
    assert losses(prepared, masks, data, seed=6) != pytest.approx(close, abs=1e-3)


@pytest.mark.parametrize("model_type", list(CONFIGS))
def test_dropout_is_really_on(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"), torch.float64)
    batch = encoded("training", 4).batch(torch.arange(4), prepared.device)
    prepared.model.train()
    prepared.new_head(0, "task")

    def logits(seed: int, step: int, dropout: float) -> Tensor:
        prepared.noise.begin_trials(prepared.model, [seed], dropout)
        prepared.noise.begin_step(step, batch.inputs["attention_mask"])
        with torch.no_grad():
            found: Tensor = prepared.model(**batch.inputs).logits
        return found

    prepared.model.eval()
    still = logits(1, 1, 0.5)
    prepared.model.train()
    assert torch.equal(logits(1, 1, 0.5), logits(1, 1, 0.5))
    assert not torch.equal(logits(1, 1, 0.5), logits(1, 2, 0.5))
    assert not torch.equal(logits(1, 1, 0.5), logits(2, 1, 0.5))
    torch.testing.assert_close(logits(1, 1, 0.0), still, atol=1e-10, rtol=0)
    assert not torch.allclose(logits(1, 1, 0.5), still, atol=1e-3)


def test_all_strategies_see_the_same_noise(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"), torch.float64)
    masks = masks_of_every_kind(prepared.model)
    data = encoded("training", 4)  # one step an epoch: its loss is that of the model as it was
    first = {kind: losses(prepared, chosen, data, epochs=1)[0] for kind, chosen in masks.items()}
    assert set(first.values()) == {first["none"]}
    assert losses(prepared, {}, data, epochs=1, seed=6) != [first["none"]]
    assert losses(prepared, {}, data, epochs=1, task="another") != [first["none"]]


def test_the_head_is_drawn_by_seed_and_task(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        prepared = prepare(folder, 3, torch.device("cpu"))
        parameters = dict(prepared.model.named_parameters())
        assert prepared.head
        assert not any(name.startswith(f"{prepared.model.base_model_prefix}.") for name in prepared.head)

        def drawn(seed: int, task: str, used: Prepared = prepared) -> Tensor:
            state = torch.random.get_rng_state()
            used.new_head(seed, task)
            assert torch.equal(torch.random.get_rng_state(), state)  # the user's own draws are not disturbed
            found = dict(used.model.named_parameters())
            return torch.cat([found[name].detach().flatten() for name in used.head])

        assert torch.equal(drawn(1, "rte"), drawn(1, "rte"))
        assert not torch.equal(drawn(1, "rte"), drawn(2, "rte"))
        assert not torch.equal(drawn(1, "rte"), drawn(1, "mrpc"))
        weights = [parameters[name] for name in prepared.head if name.endswith("weight")]
        assert all(0.1 < float(weight.std()) < 0.4 for weight in weights)  # initializer_range is 0.2
        assert all(not parameters[name].any() for name in prepared.head if name.endswith("bias"))


def test_the_order_of_batches() -> None:
    assert sorted(batch_order(0, 1, 50).tolist()) == list(range(50))
    assert torch.equal(batch_order(0, 1, 50), batch_order(0, 1, 50))
    assert not torch.equal(batch_order(0, 1, 50), batch_order(0, 2, 50))
    assert not torch.equal(batch_order(0, 1, 50), batch_order(1, 1, 50))


def test_keys_tell_their_parts_apart() -> None:
    assert keyed("a", 1, 23) == keyed("a", 1, 23)
    assert len({keyed("a", 1, 23), keyed("a", 12, 3), keyed("a1", 23), keyed("a", "1", 23)}) == 4
    assert 0 <= keyed("x") < 2**63


@pytest.mark.parametrize("shape", [(3, 7, 11), (3, 2, 7, 7), (3, 5)])
def test_a_site_draws_for_real_tokens_in_the_order_of_the_batch(shape: tuple[int, ...]) -> None:
    lengths = torch.tensor([7, 2, 4])
    real = torch.arange(7)[None, :] < lengths[:, None]
    noise = Noise()
    noise.begin_step(3, real.long())
    ones = torch.ones(shape, dtype=torch.float64)
    dropped = noise.drop(ones, 0.3, "site")
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7], rel=1e-4)

    # The same examples, each padded differently: what belongs to real tokens is the same.
    more = torch.arange(9)[None, :] < lengths[:, None]
    noise.begin_step(3, more.long())
    wider = [9 if size == 7 else size for size in shape]
    again = noise.drop(torch.ones(wider, dtype=torch.float64), 0.3, "site")
    for row, length in enumerate(lengths.tolist()):
        if len(shape) == 3:
            assert torch.equal(dropped[row, :length], again[row, :length])
        elif len(shape) == 4:
            assert torch.equal(dropped[row, :, :length, :length], again[row, :, :length, :length])
    if len(shape) == 2:
        assert torch.equal(dropped, again)
    assert not torch.equal(noise.drop(ones, 0.3, "site"), noise.drop(ones, 0.3, "another"))


def test_a_share_p_is_dropped() -> None:
    noise = Noise()
    noise.begin_step(0, torch.ones(4, 50))
    found = noise.drop(torch.ones(4, 50, 100), 0.1, "site")
    share = float((found == 0).double().mean())
    assert abs(share - 0.1) < 5 * (0.1 * 0.9 / found.numel()) ** 0.5
    assert float(found.max()) == pytest.approx(1 / 0.9, rel=1e-4)


def test_the_setting_takes_the_place_of_the_config(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    sites = [module for module in prepared.model.modules() if isinstance(module, Dropout)]
    assert len(sites) > 5
    prepared.noise.begin_trials(prepared.model, [0], 0.25)
    assert {site.p for site in sites} == {0.25}
    prepared.noise.begin_trials(prepared.model, [0], "config")
    assert {site.p for site in sites} == {0.1}
