"""The bench: trains packs of one study on one device, and keeps what was loaded from one pack to the next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from bitspec import plugins, registry
from bitspec.diagnostics import BitspecError, error, is_error
from bitspec.ir.events import Change, Event, Failed, Finished, Result
from bitspec.ir.masks import Mask, Selected, Whole
from bitspec.ir.selection import Ranking
from bitspec.ir.study import Model, Task
from bitspec.ir.trials import Planned
from bitspec.parameters.cache import cache_folder
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.files import is_pickled
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.rules import EXAMPLES
from bitspec.parameters.sampling import Values
from bitspec.parameters.select import NotKnown, Source, complete
from bitspec.plugins import Need
from bitspec.runners.changes import changes
from bitspec.runners.inputs import Facts, Inputs
from bitspec.runners.protocol import KEPT, Known, Pack, Stop, Work, never
from bitspec.runners.selections import Selections, suppositions

if TYPE_CHECKING:
    from bitspec.training.course import Recipe
    from bitspec.training.course import Trial as InTraining
    from bitspec.training.encoding import Encoded
    from bitspec.training.loop import Training
    from bitspec.training.model import Prepared
    from bitspec.training.saving import Saver

#: Bytes of the gradients that are kept for when trials rank by them again (1 GB).
MOST_SEEN: Final = 2**30


@dataclass(frozen=True)
class _Ready:
    """A trial that can be trained: what it selects, and its recipe."""

    planned: Planned
    selected: Selected
    recipe: Recipe
    model_fingerprint: str


class Bench:
    """What packs of one study share: the device, their inputs, and whatever was loaded for the last ones."""

    def __init__(self, work: Work, inputs: Inputs | None = None) -> None:
        from bitspec.training.devices import device

        self.work = work
        self.inputs = Inputs(work) if inputs is None else inputs
        self.device, self.place = device(work.device), place(work)
        self.known: Known = {}
        self.selections = Selections(work.study, work.base, self._source_for, catalogue_of=self.inputs.catalogue)
        self._suppositions = suppositions(work.study, work.base, catalogue_of=self.inputs.catalogue)
        self._prepared = lru_cache(1)(self._prepare)
        self._encoded = lru_cache(4)(self._encode)
        self._gradients_seen: dict[object, dict[str, Any]] = {}

    def run(self, pack: Pack, stop: Stop = never) -> Iterator[Event]:
        """Train the trials of a pack together, and tell their events.

        Once `stop` says so, they are saved and end without one. A trial that cannot be set up fails by itself. Raises
        whatever else goes wrong: then it went wrong for all trials that are not finished.
        """
        ready: list[_Ready] = []
        for planned in pack:
            try:
                ready.append(self._set_up(planned))
            except Exception as problem:
                yield failure(planned.key, problem)
        if ready:
            from bitspec.training.saving import Saver

            saver = Saver(self.work.checkpoints, self.work.save_every)
            with closing(self._training(ready, saver, stop)) as training:
                yield from self._trained(training, ready)

    def _trained(self, training: Training, ready: Sequence[_Ready]) -> Iterator[Event]:
        waiting = list(zip(ready, training.trials, strict=True))
        events = training.run()
        problem: Exception | None = None
        event: Event | None
        while True:
            try:
                event = next(events, None)
            except Exception as raised:  # of a pack that was halved, one half may have come to its end before
                event, problem = None, raised
            ended = [(own, trial) for own, trial in waiting if trial.pack]
            for own, trial in ended:
                result = self._result(own, trial)
                is_kept = self.work.keep_values or own.planned.is_followed or result.percent <= KEPT
                yield Finished(trial.key, result, trial.state.trained() if is_kept else None)
            if ended:
                waiting = [(own, trial) for own, trial in waiting if not trial.pack]
            if problem is not None:
                try:
                    raise problem
                finally:
                    # Else the error would hold this frame, and with it what fills the memory.
                    del problem, training, waiting, ended
            if event is None:
                return
            yield event

    def rehearsal(self, pack: Pack) -> Training:
        """A training of a pack that is never finished, to see how long its steps take. Whoever asks closes it."""
        return self._training([self._set_up(planned, self._suppositions) for planned in pack])

    def steps(self, planned: Planned) -> int:
        """Steps that a trial takes. No model is loaded for it."""
        settings = planned.trial.settings
        return settings.epochs * math.ceil(self.inputs.facts(planned.trial.task).training / settings.batch_size)

    def _set_up(self, planned: Planned, selections: Selections | None = None) -> _Ready:
        """A trial with all that its training needs; what it selects is told by `selections`, if they are given.

        Raises BitspecError if it cannot be had.
        """
        from bitspec.training.course import Recipe

        trial = planned.trial
        prepared = self._model(planned)
        try:
            selected = (selections or self.selections).select(planned)
        except NotKnown as problem:
            strategy = problem.node.by.strategy or problem.node.by.name
            message = f"what `{strategy}` changed is not known: its trained values are gone from the store, or damaged"
            hint = "run the same again, and they are trained; damaged ones `bitspec store check` tells of"
            raise BitspecError(error("values-gone", message, help=hint)) from None
        # As it is now: what becomes of the files while the trial is trained is of no account for it.
        fingerprint = self._check_unchanged(planned, self.inputs.facts(trial.task))
        masks = self._masks(planned, selected, prepared)
        return _Ready(planned, selected, Recipe(planned.key, trial.seed, trial.settings, masks), fingerprint)

    def _training(self, pack: Sequence[_Ready], saver: Saver | None = None, stop: Stop = never) -> Training:
        from bitspec.training.capture import capture_on
        from bitspec.training.loop import Training

        first = pack[0].planned
        task = first.trial.task
        facts = self.inputs.facts(task)
        training, *validation = self._splits(first)
        return Training(
            self._model(first),
            [one.recipe for one in pack],
            task=self._head(task),
            training=training,
            validation=tuple(validation),
            metrics=facts.scores,
            main=facts.metric,
            saver=saver,
            stop=stop,
            capture=capture_on(self.device) if self.work.graphs else None,
        )

    def _head(self, task: Task) -> str:
        # The name of a task of one's own is not in the key: what it is called must not change its head.
        return task.name if task.data is None else self.inputs.facts(task).fingerprint

    def _result(self, own: _Ready, trial: InTraining) -> Result:
        from bitspec.training.devices import device_name, threads

        planned, selected = own.planned, own.selected
        facts = self.selections.catalogue(planned.trial.model)
        training, *validation = self._splits(planned)
        return Result(
            key=planned.key,
            trainable=selected.count,
            percent=100 * selected.count / facts.size,
            head=sum(slot.count for slot in trial.state.slots) - selected.count,
            epochs=tuple(trial.epochs),
            changes=tuple(_changes(trial, selected, facts)),
            predictions=tuple(trial.predictions),
            training_examples=len(training),
            validation_examples=sum(map(len, validation)),
            seconds=math.fsum(epoch.seconds for epoch in trial.epochs),
            device=device_name(self.device, graphs=trial.in_buckets),
            threads=threads(),
            pack=tuple(trial.pack),
            model_fingerprint=own.model_fingerprint,
            data_fingerprint=self.inputs.facts(planned.trial.task).fingerprint,
        )

    def _check_unchanged(self, planned: Planned, facts: Facts) -> str:
        """The model's fingerprint. Raises BitspecError if the trial would not be the one that its key stands for."""
        trial = planned.trial
        fingerprint = self._fingerprint(trial.model)
        if trial.key(fingerprint, facts.fingerprint) == planned.key:
            return fingerprint
        message = f"`{trial.model.source}` or the data of `{trial.task.name}` changed after the run was planned"
        raise BitspecError(error("input-changed", message, help="run the same again"))

    def _fingerprint(self, model: Model) -> str:
        return model_fingerprint(self.inputs.folder(model), cache=cache_folder(), allow_pickle=self.work.allow_pickle)

    def _masks(self, planned: Planned, selected: Selected, prepared: Prepared) -> dict[str, Mask]:
        """All that is trained, by full name: with the head, and with the pooler if asked."""
        trial = planned.trial
        facts = self.selections.catalogue(trial.model)
        masks: dict[str, Mask] = {facts.full_name(facts[name]): mask for name, mask in selected.items()}
        if trial.settings.pooler == "trained":
            masks |= {facts.full_name(one): Whole() for one in facts.parameters if one.role == "pooler"}
        return masks | {name: Whole() for name in prepared.head}

    def _model(self, planned: Planned) -> Prepared:
        return self._prepared(planned.trial.model, self.inputs.facts(planned.trial.task).outputs)

    def _splits(self, planned: Planned) -> tuple[Encoded, ...]:
        trial = planned.trial
        return self._encoded(trial.model, trial.task, trial.settings.max_length)

    def _prepare(self, model: Model, outputs: int) -> Prepared:
        from bitspec.training.model import prepare

        folder = self.inputs.folder(model)
        pickled = self.work.allow_pickle and is_pickled(folder)
        return prepare(folder, outputs, self.device, pickled=pickled)

    def _source_for(self, planned: Planned) -> Source:
        """What rankings look at in a trial; of what others changed, only what is `known`."""
        facts, prepared = self.selections.catalogue(planned.trial.model), self._model(planned)

        def pretrained(name: str) -> Any:
            values = prepared.model.get_parameter(facts.full_name(facts[name])).detach().cpu().numpy()
            values.flags.writeable = False  # it is the model's own memory
            return values

        def source(need: Need, by: Ranking, names: tuple[str, ...]) -> Values | None:
            if need == "weights":
                return pretrained
            if need == "change":
                assert by.strategy is not None
                trained = self.known.get(planned.follows[by.strategy])
                return None if trained is None else changes(trained, facts, pretrained)
            found = self._gradients(planned, need, by, tuple(facts.full_name(facts[name]) for name in names))
            return lambda name: found[facts.full_name(facts[name])]

        return source

    def _gradients(self, planned: Planned, need: Need, by: Ranking, names: tuple[str, ...]) -> dict[str, Any]:
        from bitspec.training.evidence import Before

        trial = planned.trial
        examples = _examples_of(by)
        training, *_ = self._splits(planned)
        head, size = self._head(trial.task), trial.settings.batch_size
        asked = (trial.model, head, trial.seed, size, trial.settings.max_length, need, examples, names)
        seen = self._gradients_seen
        if asked not in seen:
            before = Before(self._model(planned), training, head, trial.seed, size)
            seen[asked] = (before.gradient if need == "gradient" else before.fisher)(names, examples)
            while len(seen) > 1 and sum(array.nbytes for one in seen.values() for array in one.values()) > MOST_SEEN:
                del seen[next(iter(seen))]
        return seen[asked]

    def _encode(self, model: Model, task: Task, max_length: int) -> tuple[Encoded, ...]:
        """The training set and the validation sets in the model's tokens."""
        prepared = self._prepared(model, self.inputs.facts(task).outputs)
        encoded = self.inputs.encoded(model, task, max_length, prepared.tokenizer)
        _check_fit(encoded, prepared.positions, prepared.vocabulary, task)
        return encoded


def _examples_of(by: Ranking) -> int:
    """How many training examples a ranking looks at."""
    examples = complete(registry.need(plugins.Ranking, by.name).arguments, by.arguments).get("examples")
    return examples if isinstance(examples, int) else EXAMPLES


def place(work: Work) -> str:
    """What provenance calls the device of this machine. Raises BitspecError if there is none."""
    from bitspec.training.devices import device, device_name

    return device_name(device(work.device), graphs=work.graphs)


def run_pack(bench: Bench, pack: Pack, stop: Stop = never, known: Known | None = None) -> Iterator[Event]:
    """Train the trials of a pack together; whatever goes wrong becomes an event of each trial that it stops.

    `known` is what was found out for them; see `Packs.known`.
    """
    waiting = [planned.key for planned in pack]
    bench.known = known or {}
    try:
        for event in bench.run(pack, stop):
            if isinstance(event, Finished | Failed):
                waiting.remove(event.key)
            yield event
    except Exception as problem:
        for key in waiting:
            yield failure(key, problem)


def failure(key: str, problem: Exception) -> Failed:
    """What went wrong with a trial, in the user's words."""
    if isinstance(problem, BitspecError):
        first = next((found for found in problem.diagnostics if is_error(found)), problem.diagnostics[0])
        return Failed(key, "failed", first.message, first.help)
    if isinstance(problem, MemoryError):
        return Failed(key, "failed", "the memory of this machine is full", "try a smaller batch_size")
    from bitspec.training.devices import is_out_of_memory

    hint = "try a smaller batch_size, or a larger device" if is_out_of_memory(problem) else None
    return Failed(key, "failed", _one_line(problem), hint)


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


def _changes(trial: InTraining, selected: Selected, facts: Catalogue) -> Iterator[Change]:
    slots = {slot.name: slot for slot in trial.state.slots}
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
            change=trial.state.distance(slot) / parameter.numel,
            # Of a pooler that is trained with the head, only what the strategy selects counts.
            trained_change=trial.state.distance(slot, selected[name]) / count,
        )


def _one_line(problem: Exception) -> str:
    said = " ".join(str(problem).split())[:300]
    if isinstance(problem, RuntimeError) and said:  # torch's way to say most things
        return said
    return f"{type(problem).__name__}: {said}" if said else type(problem).__name__
