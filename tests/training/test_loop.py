"""Training against a plain loop of torch: dense gradients, dense masks, torch's AdamW."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from bitspec.ir.events import Epoch, EpochEnded, Failed, Started
from bitspec.ir.masks import Mask, Whole
from bitspec.ir.settings import Settings
from bitspec.training.course import Recipe, rate
from bitspec.training.encoding import Encoded
from bitspec.training.loop import Training
from bitspec.training.model import Prepared, prepare
from bitspec.training.noise import batch_order
from bitspec.training.state import apply
from tests.training.small import MODEL_TYPES, dense, encoded, masks_of_every_kind

KINDS = ("none", "vectors", "rows", "cols", "entries", "all but", "whole matrices", "everything", "mixture")

#: Those for which it matters that GPT-2's weights are transposed.
TRANSPOSED = ("rows", "cols", "mixture")


def accuracy(_split: str, labels: list[float], predictions: list[float]) -> dict[str, float]:
    return {"accuracy": sum(a == b for a, b in zip(labels, predictions, strict=True)) / len(labels)}


def training(
    prepared: Prepared,
    masks: Mapping[str, Mask],
    settings: Settings,
    *,
    data: Encoded | None = None,
    seed: int = 3,
) -> Training:
    recipe = Recipe("key", seed, settings, {**masks, **{name: Whole() for name in prepared.head}})
    return Training(
        prepared,
        [recipe],
        task="task",
        training=data or encoded("training", 21),
        validation=(encoded("validation", 17, seed=1, outputs=prepared.outputs),),
        metrics=accuracy,
        main="accuracy",
    )


def epochs(run: Training) -> list[Epoch]:
    return [event.epoch for event in run.run() if isinstance(event, EpochEnded)]


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def values_after(run: Training) -> dict[str, Tensor]:
    """The model's values once training is over, and the model is as it was before."""
    (trial,) = run.trials
    run.close()
    model = copy.deepcopy(run.prepared.model)
    apply(model, trial.state.trained())
    return values(model)


def oracle(
    model: nn.Module, masks: Mapping[str, Mask], settings: Settings, data: Encoded, seed: int
) -> Iterator[float]:
    """A plain loop: every gradient dense, masked with a boolean tensor; what is not selected is put back."""
    parameters = dict(model.named_parameters())
    chosen = {name: dense(masks.get(name), tuple(parameter.shape)) for name, parameter in parameters.items()}
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
    )
    steps = math.ceil(len(data) / settings.batch_size)
    model.train()
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for index, picked in enumerate(batch_order(seed, epoch, len(data)).split(settings.batch_size)):
            optimizer.zero_grad()
            ids = data.columns["input_ids"][picked].long()  # padded to the longest of all, not of the batch
            mask = (torch.arange(ids.shape[1])[None, :] < data.lengths_N[picked, None]).long()
            logits = model(input_ids=ids, attention_mask=mask).logits
            labels = data.labels_N[picked]
            loss = (
                nn.functional.mse_loss(logits.squeeze(1), labels.to(logits.dtype))
                if labels.is_floating_point()
                else nn.functional.cross_entropy(logits, labels)
            )
            loss.backward()
            before = values(model)
            for name, parameter in parameters.items():
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad *= chosen[name]
            if settings.clip_norm != "off":
                nn.utils.clip_grad_norm_(parameters.values(), settings.clip_norm)
            for group in optimizer.param_groups:
                step = (epoch - 1) * steps + index
                group["lr"] = settings.learning_rate * rate(step, steps * settings.epochs, settings)
            optimizer.step()
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(torch.where(chosen[name], parameter, before[name]))
            total += loss.item() * len(picked)
        yield total / len(data)


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        *(("bert", kind) for kind in KINDS),
        *(("gpt2", kind) for kind in TRANSPOSED),
        *(pytest.param("gpt2", kind, marks=pytest.mark.slow) for kind in KINDS if kind not in TRANSPOSED),
    ],
)
def test_equals_a_plain_loop_with_dense_gradients(folders: dict[str, Path], model_type: str, kind: str) -> None:
    _compare(folders[model_type], kind)


@pytest.mark.parametrize("model_type", ["roberta", "electra", "distilbert", "llama"])
def test_equals_a_plain_loop_in_every_architecture(folders: dict[str, Path], model_type: str) -> None:
    _compare(folders[model_type], "mixture")


def _compare(folder: Path, kind: str, outputs: int = 2, **changes: object) -> None:
    settings = Settings(
        epochs=3, batch_size=4, learning_rate=3e-3, dropout=0.0, weight_decay=0.1, clip_norm=0.5, schedule="linear",
        warmup=20.0,
    ).model_copy(update=changes)  # fmt: skip
    data = encoded("training", 21, outputs=outputs)
    prepared = prepare(folder, outputs, torch.device("cpu"), torch.float64)
    masks = masks_of_every_kind(prepared.model)[kind]
    run = training(prepared, masks, settings, data=data)

    plain = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=outputs, dtype=torch.float64, attn_implementation="sdpa", ignore_mismatched_sizes=True
    )
    for module in plain.modules():  # off, in whatever way the architecture has it
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    plain.load_state_dict(prepared.model.state_dict())
    trained_head = {name: Whole() for name in prepared.head}
    losses = list(oracle(plain, {**masks, **trained_head}, settings, data, seed=3))

    before = {name: tensor for name, tensor in values(prepared.model).items() if name not in prepared.head}
    assert [epoch.loss for epoch in epochs(run)] == pytest.approx(losses, abs=1e-10, rel=0)
    after, expected = values_after(run), values(plain)
    for name, tensor in after.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-10, rtol=0)
        if name not in prepared.head:
            left = ~dense(masks.get(name), tuple(tensor.shape))
            assert torch.equal(tensor[left], before[name][left])
    assert any(not torch.equal(after[name], before[name]) for name in before) == bool(masks)
    run.close()
    assert all(torch.equal(values(prepared.model)[name], tensor) for name, tensor in before.items())


def test_equals_a_plain_loop_without_clipping_and_as_a_regression(folders: dict[str, Path]) -> None:
    _compare(folders["bert"], "mixture", outputs=1, clip_norm="off", schedule="constant", warmup=0.0)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_is_not_selected_stays_bit_for_bit(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"))
    settings = Settings(epochs=2, batch_size=4, learning_rate=1e-2, weight_decay=0.3)  # dropout on
    for kind, masks in masks_of_every_kind(prepared.model).items():
        before = values(prepared.model)
        run = training(prepared, masks, settings)
        epochs(run)
        after = values_after(run)
        for name in before.keys() - set(prepared.head):
            left = ~dense(masks.get(name), tuple(before[name].shape))
            assert torch.equal(before[name][left], after[name][left]), (kind, name)
            if not left.all():
                assert not torch.equal(before[name], after[name]), (kind, name)
        run.close()
        assert all(
            torch.equal(before[name], values(prepared.model)[name]) for name in before.keys() - set(prepared.head)
        )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_trial_run_twice_is_equal_bit_for_bit(folders: dict[str, Path], model_type: str) -> None:
    prepared = prepare(folders[model_type], 2, torch.device("cpu"))
    settings = Settings(epochs=2, batch_size=4, learning_rate=1e-2)
    masks = masks_of_every_kind(prepared.model)
    found = []
    for kind in ("mixture", "vectors", "mixture"):  # another one in between leaves no trace
        run = training(prepared, masks[kind], settings)
        losses = [(epoch.loss, epoch.validation_loss) for epoch in epochs(run)]
        found.append((losses, run.trials[0].predictions, values_after(run)))
    first, other, second = found
    assert first[:2] == second[:2] != other[:2]
    assert all(torch.equal(tensor, second[2][name]) for name, tensor in first[2].items())


def test_nothing_but_the_selected_has_state(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)["entries"]
    run = training(prepared, masks, Settings(epochs=1, batch_size=4))
    epochs(run)
    (trial,) = run.trials
    selected = sum(slot.count for slot in trial.state.slots)
    assert selected <= trial.state.vector.numel() < selected + 16 * len(trial.state.slots)
    (moments,) = trial.optimizer.state.values()
    assert moments["exp_avg"].numel() == moments["exp_avg_sq"].numel() == trial.state.vector.numel()
    # No dense gradient outlives its backward pass.
    assert all(p.grad is None for name, p in prepared.model.named_parameters() if name in masks)
    run.close()


def test_a_loss_that_is_no_number_ends_the_trial(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    before = values(prepared.model)
    masks = {name: Whole() for name in before if name not in prepared.head}
    run = training(prepared, masks, Settings(epochs=3, batch_size=4, learning_rate=10.0, clip_norm="off", eps=1e-12))
    with torch.no_grad():
        run.trials[0].state.vector.add_(math.inf)
    *_, last = run.run()
    assert isinstance(last, Failed)
    assert (last.key, last.status) == ("key", "diverged")
    assert run.trials[0].epochs == []
    run.close()
    assert all(torch.equal(before[name], values(prepared.model)[name]) for name in masks)


def test_learning_happens(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)["everything"]
    run = training(prepared, masks, Settings(epochs=30, batch_size=4, learning_rate=3e-3, dropout=0.0))
    events = list(run.run())
    assert isinstance(events[0], Started)
    assert (events[0].epochs, events[0].steps) == (30, 6)
    found = [event.epoch for event in events if isinstance(event, EpochEnded)]
    assert [epoch.number for epoch in found] == list(range(1, 31))
    assert found[-1].loss < 0.1 < 0.5 < found[0].loss
    run.close()


def test_the_rate() -> None:
    plain = Settings(epochs=1)
    assert [rate(step, 4, plain) for step in range(4)] == [1, 1, 1, 1]
    warm = Settings(warmup=50.0, schedule="linear")
    assert [rate(step, 8, warm) for step in range(8)] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    assert rate(3, 8, Settings(warmup=100.0)) == 3 / 8


def test_small_changes_are_not_lost_in_bf16(folders: dict[str, Path]) -> None:
    """Frozen matrices are in bf16, whose steps are larger than one step of training: what changed is added to them."""
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)["entries"]
    settings = Settings(epochs=1, batch_size=4, learning_rate=1e-6).model_copy(update={"precision": "bf16"})
    run = training(prepared, masks, settings)
    run.rehearse(3)
    (trial,) = run.trials
    for slot in trial.state.slots:
        if slot.name in masks and len(slot.shape) == 2:
            assert not torch.equal(trial.state.values(slot), slot.before)
            own = prepared.model.get_parameter(slot.name)
            assert torch.equal(slot.gather(own.data), slot.before.to(own.dtype))  # the model's own is as it was
    run.close()


def test_bf16_runs_and_is_near(folders: dict[str, Path]) -> None:
    prepared = prepare(folders["bert"], 2, torch.device("cpu"))
    masks = masks_of_every_kind(prepared.model)["mixture"]
    losses = []
    for precision in ("float32", "bf16"):
        settings = Settings(epochs=2, batch_size=4, learning_rate=1e-3).model_copy(update={"precision": precision})
        run = training(prepared, masks, settings)
        losses.append([epoch.loss for epoch in epochs(run)])
        assert run.trials[0].state.vector.dtype == torch.float32
        run.close()
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
