"""What a runner is: it takes packs of trials and says what happens. It stores nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from bitspec.ir.events import Event
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned

#: Trials that are trained together.
Pack: TypeAlias = tuple[Planned, ...]

#: Trained values are kept when the selection is at most this part of the model, in percent.
KEPT: Final = 5.0


@dataclass(frozen=True)
class Work:
    """What the packs of a study have in common; plain data, so that it can be sent to another process.

    Paths in the spec are relative to `base`; `data_dir` is a folder in the GLUE layout, or None for the hub.
    `device` is a name of torch's (`cpu`, `cuda:1`), or None for the best there is. Trained values are kept where they
    are at most KEPT percent of the model, or with `keep_values`. With `allow_pickle`, models may have their weights in
    pickle files.
    """

    study: Study
    base: Path
    data_dir: Path | None = None
    device: str | None = None
    keep_values: bool = False
    allow_pickle: bool = False


class Runner(Protocol):
    """Runs packs of trials, and tells events as they happen: for each trial Started … Finished, or Failed.

    A trial that fails does not stop the others.
    """

    def run(self, work: Work, packs: Sequence[Pack]) -> Iterator[Event]:
        """Run all packs. The caller may stop between two events."""
        ...
