"""How a run looks while it works: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from bitspec.diagnostics import counted, listed
from bitspec.ir.events import EpochEnded, Event, Failed, Finished, NotCaptured, Notice, NotSaved, Started, Stepped
from bitspec.ir.trials import Planned

#: Seconds without a line after which the end of an epoch is worth one.
QUIET: Final = 10.0


@dataclass
class _Trial:
    """A trial that is under way: `part` of it is done, `before` of that by a run that was stopped."""

    epochs: int
    steps: int
    began: float
    part: float = 0.0
    before: float = 0.0
    score: float | None = None


class Watch:
    """Tells a user about the events of a run, on standard error. Use it in a `with`.

    `total` is the number of trials to come. A terminal shows a bar with the trial, epoch, loss, score and the time
    left, or with how many trials are trained at once; each finished trial leaves a line. Elsewhere there are lines
    only.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._total = total
        self._ended = 0
        self._before = 0.0  # of ended trials, what was done before this run
        self._told: set[type[Notice]] = set()
        self._under_way: dict[str, _Trial] = {}
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} trials"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, planned: Planned, event: Event) -> None:
        """Take note of an event of a trial."""
        match event:
            case Started(epochs=epochs, steps=steps, step=step):
                before = step / (epochs * steps)
                self._under_way[event.key] = _Trial(epochs, steps, time.monotonic(), before, before)
                many = len(self._under_way)
                epoch = min(step // steps + 1, epochs)
                self._show(f"{name(planned) if many == 1 else f'{many} trials at once'}  epoch {epoch}/{epochs}")
            case Stepped(epoch=epoch, step=step, loss=loss):
                trial = self._under_way[event.key]
                trial.part = (epoch - 1 + step / trial.steps) / trial.epochs
                self._show(self._details(planned, trial, epoch, loss))
            case EpochEnded(epoch=epoch):
                trial = self._under_way[event.key]
                trial.part, trial.score = epoch.number / trial.epochs, epoch.score
                details = self._details(planned, trial, epoch.number, epoch.loss)
                self._show(details)
                is_last = epoch.number == trial.epochs  # the trial's own line follows
                if not is_last and not self.console.is_terminal and time.monotonic() - self._last_line > QUIET:
                    self._line(Text(f"{self._counter()} {details}"))
            case NotSaved(message=message):
                self._tell_once(event, f"trials under way cannot be saved ({message}); they go on")
            case NotCaptured(message=message):
                self._tell_once(event, f"steps are not replayed as CUDA graphs ({message}); they are computed")
            case Finished(result=result):
                # Of a pack, the share that is each trial's own, so that the lines add up to the whole.
                took = duration((time.monotonic() - self._under_way[event.key].began) / len(result.pack))
                self._end(event.key)
                left = f", {self._left()} left" if self._ended < self._total else ""
                self._line(Text(f"{self._counter()} {name(planned)}: score {result.score:.2f} in {took}{left}"))
            case Failed(status=status, message=message):
                self._end(event.key)
                self._line(Text(f"{self._counter()} {name(planned)} {status}: {message}", "red"))

    def _tell_once(self, event: Notice, message: str) -> None:
        if type(event) not in self._told:
            self._told.add(type(event))
            self._line(Text(message, "yellow"))

    def wait(self, held: Mapping[str, str]) -> None:
        """Tell that there is nothing left but what others are training: by key, who it is."""
        who = listed(dict.fromkeys(held.values()), "and", quote="")
        self._line(Text(f"waiting for {counted(len(held), 'trial')} in training by {who}"))

    def leave(self, count: int) -> None:
        """Others have taken so many of the trials to come to their end."""
        self._total -= count
        self._bar.update(self._task, total=self._total)

    def _end(self, key: str) -> None:
        self._ended += 1
        trial = self._under_way.pop(key, None)
        self._before += trial.before if trial is not None else 0.0
        self._bar.update(self._task, completed=self._ended)

    def _counter(self) -> str:
        width = len(str(self._total))
        return f"[{min(self._ended, self._total):>{width}}/{self._total}]"

    def _details(self, planned: Planned, trial: _Trial, epoch: int, loss: float) -> str:
        many = len(self._under_way)
        if many > 1:  # whose losses and scores would only flicker
            return f"{many} trials at once  epoch {epoch}/{trial.epochs}  {self._left()} left"
        score = f"  score {trial.score:.2f}" if trial.score is not None else ""
        return f"{name(planned)}  epoch {epoch}/{trial.epochs}  loss {loss:.4f}{score}  {self._left()} left"

    def _left(self) -> str:
        done = self._ended + sum(trial.part for trial in self._under_way.values())
        own = done - self._before - sum(trial.before for trial in self._under_way.values())
        if own <= 0:
            return "?"
        return duration((time.monotonic() - self._began) / own * (self._total - done))

    def _show(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def _line(self, text: Text) -> None:
        self._last_line = time.monotonic()
        self.console.print(text, soft_wrap=True)


def name(planned: Planned) -> str:
    """What a user calls a trial."""
    trial = planned.trial
    return f"{trial.task.name} {trial.strategy} seed {trial.seed}"


def duration(seconds: float) -> str:
    """A span of time as people say it: `2.1 s`, `3 min 20 s`, `5 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
