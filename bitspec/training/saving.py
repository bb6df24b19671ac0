"""When a course is saved, and where: at the ends of epochs or every so often, and whenever it is stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bitspec.training import checkpoints
from bitspec.training.course import Course, Trial

#: Seconds of training that are worth a file, and how many times what the last file took: the end of an epoch that
#: comes sooner is not saved.
WORTH: Final = 5.0
SHARE: Final = 20.0


class Saver:
    """Keeps the courses of one training in a folder of checkpoints; in None it keeps nothing.

    `every` is after how many seconds a course is saved, wherever it is; without it, that is at the ends of epochs.
    `problem` is what went wrong the last time that something was to be written, in words: training goes on without.
    """

    def __init__(self, folder: Path | None = None, every: float | None = None) -> None:
        self.folder, self.every = folder, every
        self.problem: str | None = None
        self._last, self._cost = time.monotonic(), 0.0

    def restore(self, trials: Sequence[Trial], steps: int, *, in_buckets: bool = False) -> Course:
        """The course of these trials from where it was saved, or from the beginning; an epoch has so many steps.

        One that begins is `in_buckets` if asked for; one that goes on, if it was.
        """
        course = None
        if self.folder is not None:
            checkpoint = checkpoints.load(self.folder, [trial.key for trial in trials])
            course = None if checkpoint is None else Course.restored(trials, checkpoint, steps)
        return course or Course(trials, in_buckets=in_buckets)

    def begin(self) -> None:
        """A course goes on now: the time to the next file counts from here."""
        self._last = time.monotonic()

    def is_due(self, *, at_end: bool = False) -> bool:
        """Whether a course should be saved, between two steps or `at_end` of an epoch."""
        if self.folder is None or (self.every is None and not at_end):
            return False
        worth = max(WORTH, SHARE * self._cost) if self.every is None else self.every
        return time.monotonic() - self._last >= worth

    def save(self, course: Course) -> None:
        """Save a course, and remove what it was saved as when it had other trials."""
        if self.folder is None:
            return
        began, self.problem = time.monotonic(), None
        try:
            checkpoints.save(self.folder, course.snapshot())
        except OSError as problem:
            self.problem = problem.strerror or str(problem)
        except MemoryError:  # which the training itself has enough of
            self.problem = "there is not enough memory"
        self._last = time.monotonic()
        self._cost = self._last - began
        if self.problem is not None:
            return
        self.forget(course, but=course.keys)
        course.saved_as = course.keys

    def forget(self, course: Course, but: tuple[str, ...] = ()) -> None:
        """Remove what a course was saved as."""
        if self.folder is not None and course.saved_as not in {None, but}:
            assert course.saved_as is not None
            checkpoints.remove(self.folder, course.saved_as)
            course.saved_as = None
