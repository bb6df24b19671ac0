"""Files and texts to studies: reading, the files that `use` brings in, and every check that needs no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bitspec.diagnostics import (
    MAX_DIAGNOSTICS,
    BitspecError,
    Diagnostic,
    Note,
    Source,
    Span,
    closest,
    error,
    is_error,
    raise_errors,
    unique,
)
from bitspec.ir.check import check
from bitspec.ir.study import Group, Strategy, Study
from bitspec.language.build import Parts, build
from bitspec.language.grammar import without_collector
from bitspec.language.limits import MAX_WORDS, MAX_WRITTEN
from bitspec.language.parser import parse
from bitspec.language.project import ANYWHERE, Project, data_path
from bitspec.language.values import Scope

#: Size of the longest file that is read, in bytes. A spec of 10,000 strategies has about 1 MB.
MAX_BYTES = 8_000_000

#: Files that a spec may bring in with `use`, and how many of them one through the other.
MAX_FILES = 1000
MAX_CHAIN = 50


@dataclass(frozen=True)
class Analysis:
    """A text, the study it describes as far as it could be read, and everything there is to say about it."""

    source: Source
    study: Study
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_right(self) -> bool:
        """Whether nothing in it is an error."""
        return not any(map(is_error, self.diagnostics))


def load(path: str | Path, *, allow_outside: bool = False) -> Study:
    """The study in a file. Raises BitspecError with everything that is wrong in it.

    The files that it names lie in the project folder, unless `allow_outside`.
    """
    return _checked(analyse_file(path, allow_outside=allow_outside))


def loads(text: str, name: str = "<string>", folder: str | Path = ".", *, allow_outside: bool = False) -> Study:
    """The study in a text; its paths start from `folder`. Raises BitspecError with everything that is wrong in it.

    The files that it names lie in the project folder, unless `allow_outside`.
    """
    project = ANYWHERE if allow_outside else None
    return _checked(analyse(Source(name, _plain(text)), Path(folder), project=project))


def _checked(analysis: Analysis) -> Study:
    raise_errors(analysis.diagnostics)
    return analysis.study


def analyse_file(path: str | Path, *, allow_outside: bool = False) -> Analysis:
    """What a file says and what is wrong with it. Raises BitspecError if it cannot be read at all."""
    return analyse(read(path), Path(path).parent, Path(path), project=ANYWHERE if allow_outside else None)


def analyse(
    source: Source, folder: Path = Path(), path: Path | None = None, project: Project | None = None
) -> Analysis:
    """What a text says and what is wrong with it.

    Its paths start from `folder` and lie in `project`, by default the one around the folder, or around the file that
    it was read from.
    """
    with without_collector():
        reading = _Reading(project or Project.around(folder, path))
        parts = reading.file(source, folder, (path.resolve(),) if path else ())
        reading.check_data(parts, folder)
        study, declarations = _study(parts, source)
        diagnostics = [*reading.diagnostics, *declarations]
        own = frozenset(group.name for group in parts.groups)
        if reading.is_whole:  # else only a part of what the loops say is here
            diagnostics += check(study, broken=reading.broken, own_groups=own, clean=not diagnostics)
    return Analysis(source, study, tuple(_in_order(diagnostics, source))[:MAX_DIAGNOSTICS])


def read(path: str | Path, span: Span | None = None) -> Source:
    """The text of a file. Raises BitspecError where it is missing, no text, or too long; `span` asked for it."""
    path = Path(path)
    name = str(path)

    def refuse(code: str, message: str, hint: str) -> BitspecError:
        return BitspecError(error(code, message, span, help=hint))

    try:
        if path.is_dir():
            specs = sorted(path.glob("*.bspec"))
            hint = f"name one of its files, such as `{specs[0]}`" if specs else "name a `.bspec` file"
            raise refuse("not-a-file", f"`{name}` is a folder", hint)
        if path.exists() and not path.is_file():
            raise refuse("not-a-file", f"`{name}` is not a regular file", "name a `.bspec` file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refuse("no-such-file", f"there is no file `{name}`", _near_file(path)) from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise refuse(
            "unreadable-file", f"`{name}` cannot be read: {reason}", "check the path and its permissions"
        ) from None
    return Source(name, decode(data, name, span))


def decode(data: bytes, name: str, span: Span | None = None) -> str:
    """The bytes of a spec as text, with `\\n` for every line end. Raises BitspecError for what is no text."""

    def refuse(code: str, message: str, hint: str) -> BitspecError:
        return BitspecError(error(code, message, span, help=hint))

    if len(data) > MAX_BYTES:
        raise refuse("too-long", f"`{name}` is longer than {MAX_BYTES:,} bytes", "is it a spec? split it with `use`")
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in data and not is_utf16:
        raise refuse("not-a-text", f"`{name}` is not a text file", "a spec is plain text; see `bitspec new --help`")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        encoding = "UTF-16" if is_utf16 else "another encoding"
        line = data.count(b"\n", 0, problem.start) + 1
        message = f"`{name}` is not UTF-8: it looks like {encoding} (byte {problem.start + 1:,}, line {line:,})"
        raise refuse("not-utf8", message, "save it as UTF-8") from None
    return _plain(text)


def _plain(text: str) -> str:
    """A text without a byte order mark, and with one kind of line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _near_file(path: Path) -> str:
    try:
        folder = path.parent if path.parent.is_dir() else Path()
        # Without the ending, which would make any two names alike.
        names = {found.stem: found for found in (*Path("specs").glob("*.bspec"), *folder.glob("*.bspec"))}
    except OSError:
        names = {}
    near = closest(path.stem, names, 1)
    return f"did you mean `{names[near[0]]}`?" if near else "check the path; `bitspec new` writes a first spec"


@dataclass
class _Reading:
    """One reading of a file and of those that it uses, which all lie in `project`."""

    project: Project
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    seen: set[Path] = field(default_factory=set)
    words: int = 0
    written: int = 0
    is_whole: bool = True
    is_full: bool = False

    def file(self, source: Source, folder: Path, chain: tuple[Path, ...], span: Span | None = None) -> Parts:
        """What the statements of a file say; `span` asked for it."""
        parsed = parse(source)
        self.words += parsed.words
        if span is not None and self.words > MAX_WORDS >= parsed.words:
            self.is_full = True
            message = f"with `{source.name}`, the files that are used have more than {MAX_WORDS:,} words"
            raise BitspecError(error("too-long", message, span, help="make several studies of it"))
        self.diagnostics += parsed.diagnostics
        self.broken |= parsed.broken
        scope = Scope(source, {}, self.diagnostics, is_partial="$" in parsed.broken)
        parts = build(parsed.trees, scope)
        self.written += parts.written
        self.is_whole = self.is_whole and parts.is_whole
        for text, place in parts.uses:
            if self.is_full or len(self.diagnostics) >= MAX_DIAGNOSTICS:
                break
            self.use(text, place, folder, chain, parts)
        return parts

    def use(self, text: str, span: Span, folder: Path, chain: tuple[Path, ...], parts: Parts) -> None:
        """Bring in the groups and strategies of another file, relative to the one that uses it."""
        try:
            path = folder / text
            resolved = path.resolve()
            if resolved in self.seen and resolved not in chain:
                return
            self.check_use(resolved, text, span, chain)
            self.project.check(path, text, span)
            self.seen.add(resolved)
            used = self.file(read(path, span), path.parent, (*chain, resolved), span)
        except BitspecError as problem:
            self.diagnostics += problem.diagnostics
            self.broken.add("$")
            return
        except (OSError, ValueError, RuntimeError) as problem:  # a path that no system takes, a loop of links
            self.diagnostics.append(_unreadable(text, span, problem))
            self.broken.add("$")
            return
        parts.used_groups += [*used.used_groups, *used.groups]
        parts.used_strategies += [*used.used_strategies, *used.strategies]

    def check_use(self, resolved: Path, text: str, span: Span, chain: tuple[Path, ...]) -> None:
        """Raise BitspecError if files use each other in a circle, or too many of them."""
        if resolved in chain:
            hint = "a file cannot use itself, not even through another"
            raise BitspecError(error("circular-use", f"`{text}` is used by itself", span, help=hint))
        if len(chain) > MAX_CHAIN:
            message = f"more than {MAX_CHAIN} files use each other, one through the other"
            raise BitspecError(error("too-many", message, span, help="put what they have in common into one file"))
        if self.written > MAX_WRITTEN:
            self.is_full = True
            message = f"the loops of the files that are used make more than {MAX_WRITTEN:,} words"
            raise BitspecError(error("too-many", message, span, help="make several studies of it"))
        if len(self.seen) >= MAX_FILES:
            message = f"these are more than {MAX_FILES:,} files"
            raise BitspecError(error("too-many", message, span, help="put their groups into fewer files"))

    def check_data(self, parts: Parts, folder: Path) -> None:
        """Report the files of tasks that lie outside the project. None of them is opened."""
        for text, span in parts.data:
            try:
                self.project.check(data_path(text, folder), text, span)
            except BitspecError as problem:
                self.diagnostics += problem.diagnostics
            except (OSError, ValueError, RuntimeError) as problem:
                self.diagnostics.append(_unreadable(text, span, problem))


def _unreadable(text: str, span: Span, problem: Exception) -> Diagnostic:
    return error("unreadable-file", f"`{text}` cannot be read: {problem}", span, help="check the path")


def _study(parts: Parts, source: Source) -> tuple[Study, list[Diagnostic]]:
    """The study that the parts make, and what is wrong with how often things are declared."""
    found: list[Diagnostic] = []
    for what, spans in (
        ("study", [span for *_, span in parts.study]),
        ("seeds", [span for _, span in parts.seeds]),
    ):
        for span in spans[1:]:
            note = Note("the first is here", spans[0])
            found.append(
                error(
                    "repeated",
                    f"there is more than one `{what}`",
                    span,
                    help="keep one of them",
                    notes=[note],
                )
            )
    name, title, span = parts.study[0] if parts.study else (None, None, Span(source, 0, 0))
    groups: tuple[Group, ...] = (*parts.used_groups, *parts.groups)
    strategies: tuple[Strategy, ...] = (*parts.used_strategies, *parts.strategies)
    study = Study.model_construct(
        name=name,
        title=title,
        models=tuple(parts.models),
        tasks=tuple(parts.tasks),
        seeds=parts.seeds[0][0] if parts.seeds else (0,),
        train=tuple(parts.train),
        groups=groups,
        strategies=strategies,
        questions=tuple(parts.questions),
        reported=tuple(parts.reported),
        span=span,
    )
    return study, found


def _in_order(diagnostics: list[Diagnostic], source: Source) -> Iterator[Diagnostic]:
    """By place in this file; what stands in other files, or nowhere, comes first."""
    yield from sorted(
        unique(diagnostics),
        key=lambda found: _place(found, source),
    )


def _place(diagnostic: Diagnostic, source: Source) -> tuple[bool, str, int]:
    span = diagnostic.span
    return (span.source is source, span.source.name, span.start) if span is not None else (False, "", 0)
