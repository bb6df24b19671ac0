"""How a run looks: plain lines in a file, a bar in a terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import pytest
from rich.console import Console

from bitspec.ir.events import EpochEnded, Failed, Finished, NotCaptured, NotSaved, Started, Stepped
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedValues
from bitspec.runners import progress
from bitspec.runners.progress import Watch, duration, name
from tests.store.conftest import SPEC, plan, result


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


@pytest.fixture
def cells() -> list[Planned]:
    return plan(SPEC)[1]


class Screen:
    """A watch on a console, and what it writes."""

    def __init__(self, total: int, *, terminal: bool) -> None:
        self.file = io.StringIO()
        # No terminal of a test's own is asked what it can do.
        environment = {"TERM": "xterm-256color", "COLUMNS": "200", "LINES": "30"} if terminal else {}
        self.watch = Watch(
            total, Console(file=self.file, force_terminal=terminal, width=200, highlight=False, _environ=environment)
        )

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def finish(screen: Screen, clock: Clock, cell: Planned, seconds: float, score: float = 50.0) -> None:
    """A whole trial."""
    screen.watch(cell, Started(cell.key, 2, 5))
    clock.now += seconds
    found = result(cell, score=score)
    for epoch in found.epochs:
        screen.watch(cell, EpochEnded(cell.key, epoch))
    screen.watch(cell, Finished(cell.key, found, TrainedValues({})))


def test_each_finished_trial_leaves_a_line(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(3, terminal=False)
    with screen.watch:
        finish(screen, clock, cells[0], 2.0)
        finish(screen, clock, cells[1], 4.0, score=61.456)
        screen.watch(cells[2], Failed(cells[2].key, "diverged", "the loss is no number any more", "help"))
    assert screen.lines == [
        "[1/3] cola frozen seed 0: score 50.00 in 2.0 s, 4.0 s left",
        "[2/3] cola frozen seed 1: score 61.46 in 4.0 s, 3.0 s left",
        "[3/3] cola bitfit seed 0 diverged: the loss is no number any more",
    ]


def test_the_last_line_says_nothing_of_what_is_left(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(1, terminal=False)
    with screen.watch:
        finish(screen, clock, cells[0], 75.0)
    assert screen.lines[-1] == "[1/1] cola frozen seed 0: score 50.00 in 1 min 15 s"


def test_counters_line_up(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(10, terminal=False)
    with screen.watch:
        for cell in (cells * 2)[:10]:
            finish(screen, clock, cell, 1.0)
    assert [line[:7] for line in screen.lines] == [*(f"[ {number}/10]" for number in range(1, 10)), "[10/10]"]


def test_a_long_trial_tells_of_its_epochs(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(4, terminal=False)
    cell, epochs = cells[0], result(cells[0], score=40.0).epochs
    with screen.watch:
        screen.watch(cell, Started(cell.key, 2, 5))
        clock.now += 60
        screen.watch(cell, Stepped(cell.key, 1, 3, 0.5))  # steps are for the bar
        screen.watch(cell, EpochEnded(cell.key, epochs[0]))
        clock.now += 9
        screen.watch(cell, EpochEnded(cell.key, epochs[1]))  # soon after the other line
    # Half of a trial took a minute: three and a half of them are left.
    assert screen.lines == [f"[0/4] cola frozen seed 0  epoch 1/2  loss {epochs[0].loss:.4f}  score 40.00  7 min left"]


def test_lines_are_neither_wrapped_nor_coloured_in_a_file(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(2, terminal=False)
    message = "it broke [bold]" + "x" * 300
    with screen.watch:
        screen.watch(cells[0], Failed(cells[0].key, "failed", message))
        assert clock.now == 1000
    assert screen.lines == [f"[1/2] cola frozen seed 0 failed: {message}"]


def test_a_terminal_has_a_bar(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(2, terminal=True)
    trial = cells[0].trial.model_copy(update={"strategy": "a[1][bold]b[/red]"})
    cell = cells[0].model_copy(update={"trial": trial})
    with screen.watch:
        screen.watch(cell, Started(cell.key, 2, 5))
        clock.now += 3
        screen.watch(cell, Stepped(cell.key, 1, 4, 0.625))
        screen.watch._bar.refresh()
        finish(screen, clock, cell, 5.0)
        screen.watch(cells[1], Failed(cells[1].key, "failed", "it [red]broke[/nothing]"))
    shown = screen.file.getvalue()
    assert "0/2 trials" in shown
    # 4 of 10 steps of 1 of 2 trials took 3 seconds.
    assert "cola a[1][bold]b[/red] seed 0  epoch 1/2  loss 0.6250  12 s left" in shown
    assert "[1/2] cola a[1][bold]b[/red] seed 0: score 50.00 in 5.0 s, 8.0 s left" in shown
    assert "[2/2] cola frozen seed 1 failed: it [red]broke[/nothing]" in shown
    assert "\x1b[31m" in shown  # a failure is red


def test_the_bar_goes_when_a_run_is_stopped(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(2, terminal=True)

    def stopped() -> None:
        with screen.watch:
            screen.watch(cells[0], Started(cells[0].key, 2, 5))
            clock.now += 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not screen.watch._bar.live.is_started
    assert screen.file.getvalue().endswith("\x1b[2K")  # the line is cleared


def test_names(cells: list[Planned]) -> None:
    assert name(cells[-1]) == "builtin/rte bitfit seed 1"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"),
        (2.06, "2.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60.0, "1 min"),
        (200.0, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (5 * 3600 + 10 * 60 + 12, "5 h 10 min"),
        (2 * 3600 - 20, "2 h"),
        (1234 * 3600.0, "1,234 h"),
    ],
)
def test_spans_of_time(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_statuses_that_a_line_may_name(clock: Clock, cells: list[Planned]) -> None:
    statuses: tuple[Literal["failed", "diverged"], ...] = ("failed", "diverged")
    screen = Screen(2, terminal=False)
    for status in statuses:
        screen.watch(cells[0], Failed(cells[0].key, status, "so"))
    assert [line.split()[-2] for line in screen.lines] == ["failed:", "diverged:"]
    assert clock.now == 1000


def test_trials_of_a_pack_do_not_jump_about(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(8, terminal=True)
    pack = cells[:4]
    keys = tuple(cell.key for cell in pack)
    with screen.watch:
        for cell in pack:
            screen.watch(cell, Started(cell.key, 2, 5))
        clock.now += 4
        for cell in pack:
            screen.watch(cell, Stepped(cell.key, 1, 5, 0.5))
            screen.watch._bar.refresh()
        for cell in pack:
            screen.watch(cell, Finished(cell.key, result(cell, score=50.0, pack=keys), TrainedValues({})))
    shown = screen.file.getvalue()
    # Half of four trials took 4 seconds, so that six halves and twice as many are left.
    assert "4 trials at once  epoch 1/2  12 s left" in shown
    assert "loss" not in shown
    for cell in pack:
        assert f"{name(cell)}  epoch" not in shown
        assert f"{name(cell)}: score 50.00 in 1.0 s" in shown  # its share


def test_a_pack_in_a_file_has_a_line_an_epoch(clock: Clock, cells: list[Planned]) -> None:
    screen = Screen(4, terminal=False)
    with screen.watch:
        for cell in cells[:4]:
            screen.watch(cell, Started(cell.key, 2, 5))
        clock.now += 60
        for cell in cells[:4]:
            screen.watch(cell, EpochEnded(cell.key, result(cell).epochs[0]))
    assert len(screen.lines) == 1
    assert screen.lines[0].startswith("[0/4] 4 trials at once  epoch 1/2  ")


def test_what_goes_on_is_shown_from_where_it_was(cells: list[Planned], clock: Clock) -> None:
    screen = Screen(2, terminal=True)
    with screen.watch:
        screen.watch(cells[0], Started(cells[0].key, 4, 10, 30))
        assert "epoch 4/4" in str(screen.watch._bar.tasks[0].description)
        assert screen.watch._left() == "?"
        clock.now += 10
        screen.watch(cells[0], Stepped(cells[0].key, 4, 5, 0.5))
        # An eighth of a trial took 10 seconds; an eighth and another trial are left.
        assert screen.watch._left() == duration(90)
        found = result(cells[0])
        screen.watch(cells[0], Finished(cells[0].key, found, None))
        assert screen.watch._left() == duration(40)


def test_what_cannot_be_saved_is_told_once(cells: list[Planned]) -> None:
    screen = Screen(2, terminal=False)
    with screen.watch:
        for cell in cells[:2]:
            screen.watch(cell, NotSaved(cell.key, "No space left on device"))
    assert screen.lines == ["trials under way cannot be saved (No space left on device); they go on"]


def test_that_steps_are_not_replayed_is_told_once(cells: list[Planned]) -> None:
    screen = Screen(2, terminal=False)
    with screen.watch:
        for cell in cells[:2]:
            screen.watch(cell, NotCaptured(cell.key, "memory ran out"))
        screen.watch(cells[0], NotSaved(cells[0].key, "No space left on device"))
    assert screen.lines == [
        "steps are not replayed as CUDA graphs (memory ran out); they are computed",
        "trials under way cannot be saved (No space left on device); they go on",
    ]


def test_who_is_waited_for_is_told() -> None:
    screen = Screen(2, terminal=False)
    screen.watch.wait({"a": "process 7", "b": "process 7", "c": "process 9 on far"})
    assert screen.lines == ["waiting for 3 trials in training by process 7 and process 9 on far"]
