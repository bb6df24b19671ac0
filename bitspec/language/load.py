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
from bitspec.language.build import MAX_REPEATED, Parts, build
from bitspec.language.grammar import without_collector
from bitspec.language.parser import parse
from bitspec.language.values import Scope

#: Size of the longest file that is read, in bytes. A spec of 10,000 strategies has about 1 MB.
MAX_BYTES = 8_000_000


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


def load(path: str | Path) -> Study:
    """The study in a file. Raises BitspecError with everything that is wrong in it."""
    return _checked(analyse_file(path))


def loads(text: str, name: str = "<string>", folder: str | Path = ".") -> Study:
    """The study in a text; `use` looks in `folder`. Raises BitspecError with everything that is wrong in it."""
    return _checked(analyse(Source(name, _plain(text)), Path(folder)))


def _checked(analysis: Analysis) -> Study:
    raise_errors(analysis.diagnostics)
    return analysis.study


def analyse_file(path: str | Path) -> Analysis:
    """What a file says and what is wrong with it. Raises BitspecError if it cannot be read at all."""
    return analyse(read(path), Path(path).parent, Path(path))


def analyse(source: Source, folder: Path = Path(), path: Path | None = None) -> Analysis:
    """What a text says and what is wrong with it."""
    with without_collector():
        reading = _Reading()
        parts = reading.file(source, folder, (path.resolve(),) if path else ())
        study, declarations = _study(parts, source)
        diagnostics = [*reading.diagnostics, *declarations]
        own = frozenset(group.name for group in parts.groups)
        if parts.repeated <= MAX_REPEATED:  # else only a part of what the loops say is here
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
    """One reading of a file and of those that it uses."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    seen: set[Path] = field(default_factory=set)

    def file(self, source: Source, folder: Path, chain: tuple[Path, ...]) -> Parts:
        parsed = parse(source)
        self.diagnostics += parsed.diagnostics
        self.broken |= parsed.broken
        scope = Scope(source, {}, self.diagnostics, is_partial="$" in parsed.broken)
        parts = build(parsed.trees, scope)
        for text, span in parts.uses:
            self.use(text, span, folder, chain, parts)
        return parts

    def use(self, text: str, span: Span, folder: Path, chain: tuple[Path, ...], parts: Parts) -> None:
        """Bring in the groups and strategies of another file, relative to the one that uses it."""
        try:
            path = folder / text
            resolved = path.resolve()
            if resolved in chain:
                hint = "a file cannot use itself, not even through another"
                raise BitspecError(error("circular-use", f"`{text}` is used by itself", span, help=hint))
            if resolved in self.seen:
                return
            used = self.file(read(path, span), path.parent, (*chain, resolved))
        except BitspecError as problem:
            self.diagnostics += problem.diagnostics
            self.broken.add("$")
            return
        except (OSError, ValueError, RuntimeError) as problem:  # a path that no system takes, a loop of links
            self.diagnostics.append(
                error("unreadable-file", f"`{text}` cannot be read: {problem}", span, help="check the path")
            )
            self.broken.add("$")
            return
        self.seen.add(resolved)
        parts.used_groups += [*used.used_groups, *used.groups]
        parts.used_strategies += [*used.used_strategies, *used.strategies]


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
