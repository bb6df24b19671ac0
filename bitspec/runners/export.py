"""A finished trial as an ordinary model folder, which transformers loads without bitspec."""

from __future__ import annotations

import shutil
from pathlib import Path

from bitspec.diagnostics import BitspecError, Diagnostic, error
from bitspec.ir.study import Task
from bitspec.language.project import Project, data_path
from bitspec.parameters.cache import cache_folder
from bitspec.parameters.files import is_pickled
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.parameters.models import model_folder
from bitspec.store.store import Store
from bitspec.training.tasks import OnFetch, read_task


def export(
    store: Store,
    key: str,
    output: Path,
    *,
    base: Path = Path(),
    data_dir: Path | None = None,
    force: bool = False,
    on_fetch: OnFetch | None = None,
    allow_pickle: bool = False,
    allow_outside: bool = False,
) -> Path:
    """Write the model of the trial whose key begins like this into a folder: weights, head, tokenizer, class names.

    With `allow_pickle`, the model may have its weights in pickle files; with `allow_outside`, the store may name data
    outside the project folder, which is that of `base`.

    Raises BitspecError if there is no such trial, its values were not kept, its model is another than it was, or the
    folder is there and not empty.
    """
    trial = store.trial(key)
    values = store.values(trial.key) if trial.status == "finished" else None
    if values is None:
        raise BitspecError(_no_values(trial.key, trial.status, trial.message))
    if output.exists() and not output.is_dir():
        raise BitspecError(error("file-exists", f"`{output}` is a file", help="choose another name for the folder"))
    if output.exists() and not force and any(output.iterdir()):
        hint = "choose another one, or write into it with `--force`"
        raise BitspecError(error("file-exists", f"`{output}` is there already", help=hint))
    if not allow_outside:
        _check_data(trial.task, base)
    folder = model_folder(
        trial.model.source, trial.model.revision, base=base, on_fetch=on_fetch, allow_pickle=allow_pickle
    )
    assert folder is not None
    if model_fingerprint(folder, cache=cache_folder(), allow_pickle=allow_pickle) != trial.model_fingerprint:
        hint = "find the model as it was, or train the trial again on this one with `bitspec run`"
        raise BitspecError(
            error(
                "model-changed",
                f"the model `{trial.model.source}` is not the one that this trial began with",
                help=hint,
            )
        )
    from bitspec.training.model import prepare, save
    from bitspec.training.state import apply

    examples = read_task(trial.task, base=base, data_dir=data_dir, cache=cache_folder(), on_fetch=on_fetch)
    if examples.fingerprint != trial.data_fingerprint:
        message = f"the data of `{trial.task.name}` is not that of this trial, which names the classes"
        hint = "find the data as it was, or train the trial again on this one with `bitspec run`"
        raise BitspecError(error("data-changed", message, help=hint))
    prepared = prepare(folder, examples.outputs, pickled=allow_pickle and is_pickled(folder))
    apply(prepared.model, values)
    is_new = not output.exists()
    try:
        save(prepared, output, examples.classes)
    except OSError as problem:
        if is_new:  # half a model is none
            shutil.rmtree(output, ignore_errors=True)
        why = problem.strerror or str(problem)
        hint = "choose another folder, or free some space if the disk is full"
        raise BitspecError(error("unwritable", f"`{output}` cannot be written: {why}", help=hint)) from problem
    return output


def _check_data(task: Task, base: Path) -> None:
    """Raise BitspecError if a store names data outside the project: what a store says is data, as a spec is."""
    if task.data is None:
        return
    project = Project.around(base)
    for text in (task.data.training, task.data.validation):
        project.check(data_path(text, base), text, task.data.span)


def _no_values(key: str, status: str, message: str | None) -> Diagnostic:
    if status != "finished":
        return error("no-values", f"the trial {key[:12]} {status}: {message}", help="run its study again")
    hint = "train it again with `bitspec run SPEC --keep-values`"
    return error("no-values", f"the trained values of the trial {key[:12]} were not kept", help=hint)
