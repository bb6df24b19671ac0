"""The project folder: the files that a spec names lie in it, unless the user allows others.

A spec is data that may come from a stranger. What it brings in with `use`, and the files of its tasks, must not be any
file that its reader can open.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bitspec.diagnostics import BitspecError, Span, error


def data_path(text: str, folder: Path) -> Path:
    """Where a file of a task lies whose path, as a spec writes it, starts from `folder`."""
    # Not Path.expanduser(), which raises where there is no such home.
    return folder / os.path.expanduser(text)  # noqa: PTH111


@dataclass(frozen=True)
class Project:
    """The folders, links resolved, in which the files that a spec names must lie; None: they may lie anywhere."""

    folders: tuple[Path, ...] | None

    @classmethod
    def around(cls, folder: Path, spec: Path | None = None) -> Project:
        """The project of a spec whose paths start from `folder`: the working directory if it lies in that.

        If it does not, the project is its own folder. Where the spec itself is a link, what counts is where that leads.
        """
        own = folder.resolve()
        place = spec.resolve() if spec is not None else own
        try:
            here = Path().resolve()
        except OSError:  # it is no more
            return cls((own,))
        return cls((here, own) if place.is_relative_to(here) else (own,))

    def check(self, path: Path, text: str, span: Span) -> None:
        """Raise BitspecError if a path, written `text` at `span`, leads out of the project, be it by a link."""
        if self.folders is None:
            return
        place = path.resolve()
        if not any(place.is_relative_to(folder) for folder in self.folders):
            message = f"`{text}` leads out of the project folder, to `{place}`"
            where = f"the project is `{self.folders[0]}`"
            hint = f"{where}: put the file into it, or pass `--allow-outside` if you trust this spec"
            raise BitspecError(error("outside-project", message, span, help=hint))


#: Files anywhere: what `--allow-outside` asks for.
ANYWHERE = Project(None)
