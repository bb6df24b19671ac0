"""The local runner: one trial after the other, in this process, on one device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bitspec.diagnostics import BitspecError, error, is_error
from bitspec.ir.canonical import Canonical
from bitspec.ir.events import Change, EpochEnded, Event, Failed, Finished, Result
from bitspec.ir.masks import Mask, Selected, Whole
from bitspec.ir.study import Model, Task
from bitspec.ir.trials import Planned
from bitspec.parameters.cache import cache_folder, catalogue
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.models import model_folder
from bitspec.parameters.select import Selector
from bitspec.runners.protocol import KEPT, Pack, Work
from bitspec.runners.workers import SMALL_MODEL, cores, run_in_processes

if TYPE_CHECKING:
    from bitspec.training.encoding import Encoded
    from bitspec.training.examples import Examples
    from bitspec.training.loop import Training
    from bitspec.training.model import Prepared

#: Trials that are worth starting several processes for, which takes seconds.
FEW: Final = 8


class LocalRunner:
    """Trains on this machine: in this process, or in several (`workers`) that share its cores.

    Without a number, several where trials are small and there is no GPU. Models, data and selections are kept from one
    trial to the next.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, work: Work, packs: Sequence[Pack]) -> Iterator[Event]:
        """Run all packs, each trial by itself."""
        workers = min(_fitting(work, packs) if self.workers is None else self.workers, len(packs))
        if workers > 1:
            yield from run_in_processes(work, packs, workers)
            return
        bench = Bench(work)
        for pack in packs:
            yield from run_pack(bench, pack)


def _fitting(work: Work, packs: Sequence[Pack]) -> int:
    """How many processes fit a study: one for each core, where all models are small and the device is the CPU."""
    from bitspec.training.devices import device

    if cores() == 1 or len(packs) < FEW or device(work.device).type != "cpu":
        return 1
    folders = {
        model_folder(model.source, model.revision, base=work.base)
        for model in {planned.trial.model for pack in packs for planned in pack}
    }
    sizes = [sum(file.stat().st_size for file in folder.glob("*.safetensors")) for folder in folders if folder]
    return cores() if max(sizes, default=0) <= SMALL_MODEL else 1


def run_pack(bench: Bench, pack: Pack) -> Iterator[Event]:
    """Run the trials of a pack, each by itself."""
    for planned in pack:
        yield from _attempt(bench, planned)


def _attempt(bench: Bench, planned: Planned) -> Iterator[Event]:
    """Run a trial; whatever goes wrong in it becomes an event."""
    from bitspec.training.loop import Diverged

    try:
        yield from bench.run(planned)
    except Diverged:
        yield Failed(planned.key, "diverged", "the loss is no number any more", "try a smaller learning_rate")
    except BitspecError as problem:
        first = next((found for found in problem.diagnostics if is_error(found)), problem.diagnostics[0])
        yield Failed(planned.key, "failed", first.message, first.help)
    except MemoryError:
        yield Failed(planned.key, "failed", "the memory of this machine is full", "try a smaller batch_size")
    except Exception as problem:
        full = "out of memory" in str(problem).lower()
        hint = "try a smaller batch_size, or a larger device" if full else None
        yield Failed(planned.key, "failed", _one_line(problem), hint)


class Bench:
    """What trials of one study share: the device, and whatever was loaded for the last ones."""

    def __init__(self, work: Work) -> None:
        from bitspec.training.devices import device

        self.work = work
        self.device = device(work.device)
        self._canonical = Canonical(work.study.selections).text
        # One model at a time; trials come in the order of models and tasks.
        self._catalogue = lru_cache(1)(self._read_catalogue)
        self._prepared = lru_cache(1)(self._prepare)
        self._encoded = lru_cache(4)(self._encode)
        self._examples = lru_cache(2)(self._read)
        self._selector = lru_cache(64)(self._select)

    def run(self, planned: Planned) -> Iterator[Event]:
        """Train one trial and tell its events."""
        from bitspec.training.devices import device_name, threads
        from bitspec.training.loop import Training

        trial = planned.trial
        examples = self._examples(trial.task)
        prepared = self._prepared(trial.model, examples.outputs)
        facts = self._catalogue(trial.model)
        selected, masks = self._masks(planned, facts, prepared)
        fingerprint = self._check_unchanged(planned, examples)
        training, *validation = self._encoded(trial.model, trial.task, trial.settings.max_length)
        began = time.perf_counter()
        run = Training(
            prepared,
            key=planned.key,
            # The name of a task of one's own is not in the key: what it is called must not change its head.
            task=trial.task.name if trial.task.data is None else examples.fingerprint,
            training=training,
            validation=tuple(validation),
            masks=masks,
            settings=trial.settings,
            seed=trial.seed,
            metrics=examples.scores,
            main=examples.metric,
        )
        epochs = []
        try:
            for event in run.run():
                if isinstance(event, EpochEnded):
                    epochs.append(event.epoch)
                yield event
            result = Result(
                key=planned.key,
                trainable=selected.count,
                percent=100 * selected.count / facts.size,
                head=sum(slot.count for slot in run.state.slots) - selected.count,
                epochs=tuple(epochs),
                changes=tuple(_changes(run, selected, facts)),
                predictions=run.predictions,
                training_examples=len(training),
                validation_examples=sum(map(len, validation)),
                seconds=time.perf_counter() - began,
                device=device_name(self.device),
                threads=threads(),
                pack=(planned.key,),
                model_fingerprint=fingerprint,
                data_fingerprint=examples.fingerprint,
            )
            is_kept = self.work.keep_values or result.percent <= KEPT
            yield Finished(planned.key, result, run.state.trained() if is_kept else None)
        finally:
            run.close()

    def _check_unchanged(self, planned: Planned, examples: Examples) -> str:
        """The model's fingerprint. Raises BitspecError if the trial would not be the one that its key stands for."""
        trial = planned.trial
        fingerprint = model_fingerprint(self._folder(trial.model), cache=cache_folder())
        if trial.key(fingerprint, examples.fingerprint) == planned.key:
            return fingerprint
        message = f"`{trial.model.source}` or the data of `{trial.task.name}` changed after the run was planned"
        raise BitspecError(error("input-changed", message, help="run the same again"))

    def _masks(self, planned: Planned, facts: Catalogue, prepared: Prepared) -> tuple[Selected, dict[str, Mask]]:
        """What the strategy selects, and all that is trained, by full name: with the head, with the pooler if asked."""
        trial = planned.trial
        strategy = next(one for one in self.work.study.strategies if one.name == trial.strategy)
        selected = self._selector(trial.model, prepared, trial.seed).select(strategy.selection)
        masks: dict[str, Mask] = {facts.full_name(facts[name]): mask for name, mask in selected.items()}
        if trial.settings.pooler == "trained":
            masks |= {facts.full_name(one): Whole() for one in facts.parameters if one.role == "pooler"}
        return selected, masks | {name: Whole() for name in prepared.head}

    def _read_catalogue(self, model: Model) -> Catalogue:
        return catalogue(model.source, model.revision, base=self.work.base)

    def _folder(self, model: Model) -> Path:
        folder = model_folder(model.source, model.revision, base=self.work.base)
        assert folder is not None, "it is fetched"
        return folder

    def _prepare(self, model: Model, outputs: int) -> Prepared:
        from bitspec.training.model import prepare

        self._selector.cache_clear()  # it holds the model before
        return prepare(self._folder(model), outputs, self.device)

    def _read(self, task: Task) -> Examples:
        from bitspec.training.tasks import read_task

        return read_task(task, base=self.work.base, data_dir=self.work.data_dir, cache=cache_folder())

    def _encode(self, model: Model, task: Task, max_length: int) -> tuple[Encoded, ...]:
        """The training set and the validation sets in the model's tokens."""
        from bitspec.training.encoding import encode

        examples = self._examples(task)
        prepared = self._prepared(model, examples.outputs)
        splits = (examples.training, *examples.validation)
        encoded = tuple(
            encode(split, prepared.tokenizer, max_length, regression=examples.outputs == 1) for split in splits
        )
        _check_fit(encoded, prepared.positions, prepared.vocabulary, task)
        return encoded

    def _select(self, model: Model, prepared: Prepared, seed: int) -> Selector:
        facts = self._catalogue(model)

        def values(name: str) -> Any:
            return prepared.model.get_parameter(facts.full_name(facts[name])).detach().cpu().numpy()

        return Selector(facts, seed, named=self.work.study.selections, canonical=self._canonical, values=values)


def _check_fit(splits: Sequence[Encoded], positions: int | None, vocabulary: int, task: Task) -> None:
    # A device would end with an error of its own, after which it could not be used any more.
    longest = max(int(split.lengths_N.max()) for split in splits)
    if positions is not None and longest > positions:
        message = f"an example of `{task.name}` has {longest:,} tokens, and the model takes {positions:,}"
        raise BitspecError(error("too-many-tokens", message, help=f"write `max_length = {positions}`"))
    largest = max(int(split.columns["input_ids"].max()) for split in splits)
    if largest >= vocabulary:
        message = f"the tokenizer makes the number {largest:,} of a text, and the model knows {vocabulary:,} numbers"
        hint = "the tokenizer is that of another model: put the model's own into its folder"
        raise BitspecError(error("tokenizer-misfit", message, help=hint))


def _changes(run: Training, selected: Selected, facts: Catalogue) -> Iterator[Change]:
    slots = {slot.name: slot for slot in run.state.slots}
    for name, count in selected.counts.items():
        parameter = facts[name]
        slot = slots[facts.full_name(parameter)]
        yield Change(
            tensor=name,
            role=parameter.role,
            layer=parameter.layer,
            kind=parameter.kind,
            entries=parameter.numel,
            trained=count,
            change=run.state.distance(slot) / parameter.numel,
            # Of a pooler that is trained with the head, only what the strategy selects counts.
            trained_change=run.state.distance(slot, selected[name]) / count,
        )


def _one_line(problem: Exception) -> str:
    said = " ".join(str(problem).split())[:300]
    if isinstance(problem, RuntimeError) and said:  # torch's way to say most things
        return said
    return f"{type(problem).__name__}: {said}" if said else type(problem).__name__
