"""Options that `plan` and `run` share, and the study that they ask for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bitspec.diagnostics import BitspecError, Diagnostic, error

if TYPE_CHECKING:
    from bitspec.api import Shown
    from bitspec.ir.study import Study
    from bitspec.runners.plan import Plan
    from bitspec.runners.request import Request

#: Makes a whole spec of a statement from the command line, so that it is read as any other.
_STUDY = 'study command_line model "x" task rte strategy s = none'

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Where results are kept if nothing else is said.
DEFAULT_STORE = Path("store")


def store_option(function: _Command) -> _Command:
    """`--store`, for every command that reads or writes results."""
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        default=DEFAULT_STORE,
        show_default=True,
        metavar="FOLDER",
        help="Where results are kept.",
    )(function)


def outside_option(function: _Command) -> _Command:
    """`--allow-outside`, for every command that reads a spec."""
    return click.option(
        "--allow-outside",
        is_flag=True,
        help="Let the spec name files outside its project: the working directory, or its own folder elsewhere.",
    )(function)


def pickle_option(function: _Command) -> _Command:
    """`--allow-pickle`, for every command that reads a model's weights."""
    return click.option(
        "--allow-pickle",
        is_flag=True,
        help="Read models that have only pickled weights (pytorch_model.bin): their tensors, and nothing else.",
    )(function)


def study_options(function: _Command) -> _Command:
    """What narrows or changes the study of a spec, the same for `plan` and `run`."""
    for option in reversed(
        (
            click.argument("spec", type=click.Path(path_type=Path)),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="NAME=VALUE",
                help="A setting for every trial, before those of the spec, such as epochs=2. Repeatable.",
            ),
            click.option("--only", multiple=True, metavar="NAME", help="Only this strategy, or this task. Repeatable."),
            click.option("--seeds", metavar="SEEDS", help="These seeds instead of the spec's, such as 0..4 or 1,7."),
            click.option(
                "-m",
                "--model",
                "models",
                multiple=True,
                metavar="MODEL",
                help="This model (a hub name or a folder) instead of the spec's. Repeatable.",
            ),
            click.option(
                "--data-dir",
                type=click.Path(path_type=Path),
                metavar="FOLDER",
                help="GLUE tasks from this folder, in the usual layout, instead of the hub.",
            ),
            click.option(
                "--pack",
                default="auto",
                show_default=True,
                metavar="auto|off|N",
                help="Trials that are trained together: as many as measures best, each alone, or at most N.",
            ),
            click.option(
                "--packs-of",
                type=click.Path(path_type=Path),
                metavar="FOLDER",
                help="Train together what the store in this folder did, to repeat its study.",
            ),
        )
    ):
        function = option(function)
    return store_option(outside_option(pickle_option(function)))


def seeds_of(text: str | None, study: Study) -> tuple[int, ...]:
    """The seeds that `--seeds` asks for, or the study's own."""
    from bitspec.language.load import loads

    if text is None:
        return study.seeds
    if not re.fullmatch(r"[\d\s,.{}]+", text):
        raise _bad_seeds(text)
    try:
        return loads(f"{_STUDY} seeds {text}").seeds
    except BitspecError:
        raise _bad_seeds(text) from None


def settings_of(texts: tuple[str, ...]) -> dict[str, int | float | str]:
    """What `--set` asks for, as `Settings` takes it; checked as the settings of a spec are."""
    from bitspec.ir.settings import check_setting, setting_value
    from bitspec.language.load import loads

    found: dict[str, int | float | str] = {}
    for text in texts:
        if not re.fullmatch(r"\s*\w+\s*=\s*[\w.+%-]+\s*", text):
            hint = "write for example `--set epochs=2` or `--set learning_rate=1e-3`"
            raise BitspecError(error("bad-setting", f"`--set {text}` is not understood", help=hint))
        try:
            (block,) = loads(f"train {{ {text} }}\n{_STUDY}", "--set").train
        except BitspecError as problem:
            raise BitspecError(*problem.diagnostics[:1]) from None
        (setting,) = block.settings
        complaint = check_setting(setting)
        if complaint is not None:
            raise BitspecError(complaint)
        found[setting.name] = setting_value(setting)
    return found


def pack_of(text: str) -> int | None:
    """The most trials that `--pack` lets be trained together; None if that is to be measured."""
    if text == "auto":
        return None
    if text == "off":
        return 1
    if re.fullmatch(r"[1-9]\d{0,3}", text):
        return int(text)
    hint = "write `--pack auto`, `--pack off`, or how many trials are trained together at most, such as `--pack 8`"
    raise BitspecError(error("bad-pack", f"`--pack {text}` is not understood", help=hint))


def request(
    spec: Path,
    store: Path,
    settings: tuple[str, ...],
    only: tuple[str, ...],
    seeds: str | None,
    models: tuple[str, ...],
    data_dir: Path | None,
    pack: str,
    packs_of: Path | None,
    device: str | None = None,
    graphs: bool = False,
    keep_values: bool = False,
    save_every: float | None = None,
    allow_pickle: bool = False,
    allow_outside: bool = False,
) -> tuple[Request, list[Diagnostic]]:
    """What the options ask for, with the spec's warnings. Raises BitspecError if something is wrong with it."""
    from bitspec.diagnostics import raise_errors
    from bitspec.language.load import analyse_file
    from bitspec.runners.request import Request, narrowed
    from bitspec.store.store import Store

    analysis = analyse_file(spec, allow_outside=allow_outside)
    raise_errors(analysis.diagnostics)
    chosen = seeds_of(seeds, analysis.study) if seeds is not None else None
    study = narrowed(analysis.study, models=models, seeds=chosen, only=only)
    asked = Request(
        study,
        Store(store),
        spec,
        analysis.source.text,
        settings_of(settings),
        only,
        data_dir,
        device,
        keep_values,
        pack_of(pack),
        None if packs_of is None else Store(packs_of),
        save_every,
        allow_pickle=allow_pickle,
        graphs=graphs,
    )
    if asked.packs_of is not None:
        asked.packs_of.read_path()  # that there is none is said before anything else
    return asked, list(analysis.diagnostics)


def selections(asked: Request, plan: Plan) -> Shown:
    """What the strategies of the trials to come select. Raises BitspecError if one is wrong: before any is trained."""
    from bitspec.api import Shown, show
    from bitspec.cli.progress import building
    from bitspec.diagnostics import raise_errors

    names = tuple(dict.fromkeys(cell.trial.strategy for cell in plan.new))
    if not names:
        return Shown(study=asked.study.name, models=())
    shown = show(asked.study, strategies=names, folder=asked.base, on_build=building)
    raise_errors(shown.diagnostics)
    return shown


def _bad_seeds(text: str) -> BitspecError:
    hint = "write `--seeds 0..4` or `--seeds 1,7,42`"
    return BitspecError(error("bad-seed", f"`--seeds {text}` is not understood", help=hint))
