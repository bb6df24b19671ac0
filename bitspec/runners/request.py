"""What a user asks for: a study, what of it, and where data and results are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bitspec.diagnostics import BitspecError, did_you_mean, error
from bitspec.ir.check import excess
from bitspec.ir.study import Model, Study
from bitspec.runners.plan import VALUES_NOT_KEPT, Plan, plan
from bitspec.runners.planner import Division, Extents, Packing, divide
from bitspec.runners.protocol import Work
from bitspec.runners.selections import suppositions
from bitspec.store.store import Store
from bitspec.training import checkpoints
from bitspec.training.tasks import OnFetch


@dataclass(frozen=True)
class Request:
    """A study that passed its check, and how it is to be run.

    `spec` is where it was read from, `text` what stands there. `settings` take the place of the spec's for every
    trial; `only` names strategies and tasks. `data_dir` is a folder in the GLUE layout, or None for the hub. With
    `keep_values`, the trained values of every trial are kept, and trials that are finished without are run again.
    At most `most` trials are trained together, or as many as measures best; with `packs_of`, as in that store. Trials
    under way are saved every `save_every` seconds, or at the ends of epochs.
    With `allow_pickle`, models may have their weights in pickle files, of which only the tensors are read. With
    `graphs`, steps on a GPU are captured and replayed as CUDA graphs.
    """

    study: Study
    store: Store
    spec: Path
    text: str = ""
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    data_dir: Path | None = None
    device: str | None = None
    keep_values: bool = False
    most: int | None = None
    packs_of: Store | None = None
    save_every: float | None = None
    allow_pickle: bool = False
    graphs: bool = False

    @property
    def base(self) -> Path:
        """The folder to which the spec's paths are relative."""
        return self.spec.parent

    @property
    def work(self) -> Work:
        """The request as a runner takes it."""
        return Work(
            self.study,
            self.base,
            self.data_dir,
            self.device,
            self.keep_values,
            checkpoints=self.store.checkpoints,
            save_every=self.save_every,
            allow_pickle=self.allow_pickle,
            graphs=self.graphs,
        )

    def plan(self, *, fetch: bool = False, on_fetch: OnFetch | None = None) -> Plan:
        """What is to be done; see `plan.plan`."""
        statuses = self.store.statuses()
        if self.keep_values:
            finished = {key for key, status in statuses.items() if status == "finished"}
            statuses |= dict.fromkeys(finished - self.store.kept(), VALUES_NOT_KEPT)
        return plan(
            self.study,
            statuses,
            base=self.base,
            data_dir=self.data_dir,
            settings=self.settings,
            only=self.only,
            fetch=fetch,
            on_fetch=on_fetch,
            allow_pickle=self.allow_pickle,
            kept=self.store.kept,
        )

    def division(self, planned: Plan, *, device: str | None = None) -> tuple[Division, Packing]:
        """What can be trained together of a plan, and how it is to be packed.

        Packs of an earlier run that did not come to its end are among it, with `device` those that were made for it.
        Raises BitspecError if there is no store whose packs are asked for.
        """
        saved = tuple(one.keys for one in checkpoints.saved(self.store.checkpoints))
        if self.packs_of is not None:
            self.packs_of.read_path()
            packing = Packing(self.most, self.packs_of.packs(), is_forced=True, saved=saved)
        else:
            packing = Packing(self.most, self.store.packs(device), saved=saved)
        return divide(planned, packing, Extents(suppositions(self.study, self.base))), packing

    def begin(self, planned: Plan, command: str, warnings: Sequence[str] = ()) -> int:
        """Put down in the store that the run begins, and what there was to say about its spec; return its number.

        What was saved of trials that have ended is removed.
        """
        ended = {key for key, status in planned.statuses.items() if status in {"finished", "diverged"}}
        checkpoints.clear(self.store.checkpoints, ended)
        return self.store.begin(
            self.study,
            planned.cells,
            spec=str(self.spec),
            spec_text=self.text,
            command=command,
            whole=not self.only,
            warnings=warnings,
        )


def narrowed(study: Study, *, models: tuple[str, ...], seeds: tuple[int, ...] | None, only: tuple[str, ...]) -> Study:
    """A study with other models and seeds, if they are given.

    Raises BitspecError if there is nothing in it to run, or too much, or `only` names what it does not have.
    """
    if study.name is None:
        raise BitspecError(
            error(
                "nothing-to-run",
                "this spec has groups and strategies for other specs to use, and no study",
                study.span,
                help="run a spec that has a `study` and brings this one in with `use`",
            )
        )
    for name in only:
        if name not in study.strategy_names and study.task_called(name) is None:
            names = [*(strategy.name for strategy in study.strategies), *(task.name for task in study.tasks)]
            hint = did_you_mean(name, names) or "`bitspec show` lists the strategies, and `bitspec check` the tasks"
            raise BitspecError(error("unknown-name", f"the study has no strategy or task called `{name}`", help=hint))
    if models:
        chosen = tuple(Model(name=source, source=source) for source in dict.fromkeys(models))
        study = study.model_copy(update={"models": chosen})
    if seeds is not None:
        study = study.model_copy(update={"seeds": seeds})
    too_large = excess(study)
    if too_large is not None:
        raise BitspecError(too_large)
    return study
