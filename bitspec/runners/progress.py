"""How a run looks while it works: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from bitspec.ir.events import EpochEnded, Event, Failed, Finished, Started, Stepped
from bitspec.ir.trials import Planned

#: Seconds without a line after which the end of an epoch is worth one.
QUIET: Final = 10.0


class Watch:
    """Tells a user about the events of a run, on standard error. Use it in a `with`.

    `total` is the number of trials to come. A terminal shows a bar with the trial, epoch, loss, score and the time
    left; each finished trial leaves a line. Elsewhere there are lines only.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._total = total
        self._ended = 0
        self._part = 0.0  # of the trial that is under way
        self._epochs = self._steps = 1
        self._score: float | None = None
        self._began = self._last_line = time.monotonic()
        self._trial_began = self._began
        self._bar = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} trials"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
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
            case Started(epochs=epochs, steps=steps):
                self._epochs, self._steps = epochs, steps
                self._part, self._score = 0.0, None
                self._trial_began = time.monotonic()
                self._show(f"{name(planned)}  epoch 1/{epochs}")
            case Stepped(epoch=epoch, step=step, loss=loss):
                self._part = (epoch - 1 + step / self._steps) / self._epochs
                self._show(self._details(planned, epoch, loss))
            case EpochEnded(epoch=epoch):
                self._part = epoch.number / self._epochs
                self._score = epoch.score
                self._show(self._details(planned, epoch.number, epoch.loss))
                if not self.console.is_terminal and time.monotonic() - self._last_line > QUIET:
                    self._line(Text(f"{self._counter()} {self._details(planned, epoch.number, epoch.loss)}"))
            case Finished(result=result):
                self._end()
                took = duration(time.monotonic() - self._trial_began)
                left = f", {self._left()} left" if self._ended < self._total else ""
                self._line(Text(f"{self._counter()} {name(planned)}: score {result.score:.2f} in {took}{left}"))
            case Failed(status=status, message=message):
                self._end()
                self._line(Text(f"{self._counter()} {name(planned)} {status}: {message}", "red"))

    def _end(self) -> None:
        self._ended += 1
        self._part = 0.0
        self._bar.update(self._task, completed=self._ended)

    def _counter(self) -> str:
        width = len(str(self._total))
        return f"[{min(self._ended, self._total):>{width}}/{self._total}]"

    def _details(self, planned: Planned, epoch: int, loss: float) -> str:
        score = f"  score {self._score:.2f}" if self._score is not None else ""
        return f"{name(planned)}  epoch {epoch}/{self._epochs}  loss {loss:.4f}{score}  {self._left()} left"

    def _left(self) -> str:
        done = self._ended + self._part
        if done == 0:
            return "?"
        return duration((time.monotonic() - self._began) / done * (self._total - done))

    def _show(self, text: str) -> None:
        self._bar.update(self._task, description=text.replace("[", r"\["))

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
