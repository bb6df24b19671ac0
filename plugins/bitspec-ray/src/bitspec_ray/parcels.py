"""What packs are trained on, on its way: models and tokenised data go into the cluster's store of objects, once.

From there each node fetches them once. A node that has the same model in the same folder, as this machine has and all
that share its disk, takes it from there.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import ray
from filelock import FileLock

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.study import Model, Task
from bitspec.parameters.cache import cache_folder
from bitspec.parameters.catalogue import Catalogue
from bitspec.parameters.files import model_files
from bitspec.parameters.fingerprint import model_fingerprint
from bitspec.runners.inputs import Facts, Inputs
from bitspec.runners.protocol import Pack, Work

if TYPE_CHECKING:
    from bitspec.training.encoding import Encoded, Tokenizer

#: Bytes of a file that are one object: a model is never in memory as a whole on its way.
_CHUNK: Final = 64 * 2**20

#: Tasks in their tokens that are kept in the store of objects.
_KEPT: Final = 4


@dataclass(frozen=True)
class ModelParcel:
    """A model: the folder where it lies on the machine that it is sent from, what it must be, and its structure.

    `files` are its files by name, in pieces; None where it is still to be seen whether they are needed.
    """

    folder: Path
    fingerprint: str
    catalogue: Catalogue
    files: tuple[tuple[str, tuple[ray.ObjectRef[Any], ...]], ...] | None = None


@dataclass(frozen=True)
class DataParcel:
    """The examples of a task in the tokens of a model: their facts, and an object with the arrays of all splits."""

    facts: Facts
    splits: ray.ObjectRef[Any]


@dataclass(frozen=True)
class Parcel:
    """All that a pack needs: models, and tasks in the tokens of a model up to a length."""

    models: dict[Model, ModelParcel]
    data: dict[tuple[Model, Task, int], DataParcel]


# Where it is sent from ------------------------------------------------------------------------------------


class Shipping:
    """Makes parcels of what is on this machine."""

    def __init__(self, work: Work) -> None:
        self._work, self._inputs = work, Inputs(work)
        self._model = lru_cache(8)(self._look_at_model)
        self._files = lru_cache(2)(self._put_files)
        self._data = lru_cache(_KEPT)(self._put_data)
        self._tokenizer = lru_cache(1)(self._load_tokenizer)

    @staticmethod
    def prepare() -> None:
        """Load what makes tokens: there is time for it while the first workers begin."""
        import bitspec.training.model  # noqa: F401

    def parcel(self, pack: Pack, lacking: Sequence[Model] = ()) -> Parcel:
        """What a pack needs, with the files of those models that the node lacks.

        Raises BitspecError if it is not there any more, and OSError if it cannot be read.
        """
        trials = [planned.trial for planned in pack]
        models = {trial.model: self._model(trial.model) for trial in trials}
        return Parcel(
            {
                model: replace(own, files=self._files(model)) if model in lacking else own
                for model, own in models.items()
            },
            {
                asked: self._data(*asked)
                for asked in dict.fromkeys((trial.model, trial.task, trial.settings.max_length) for trial in trials)
            },
        )

    def facts(self, task: Task) -> Facts:
        """The facts of a task's examples."""
        return self._inputs.facts(task)

    def _look_at_model(self, model: Model) -> ModelParcel:
        folder = self._inputs.folder(model)
        fingerprint = model_fingerprint(folder, cache=cache_folder(), allow_pickle=self._work.allow_pickle)
        return ModelParcel(folder.resolve(), fingerprint, self._inputs.catalogue(model))

    def _put_files(self, model: Model) -> tuple[tuple[str, tuple[ray.ObjectRef[Any], ...]], ...]:
        # Nothing else of the folder leaves this machine.
        paths = model_files(self._inputs.folder(model), model.source, allow_pickle=self._work.allow_pickle).paths
        return tuple((path.name, tuple(ray.put(piece) for piece in _pieces(path))) for path in paths)

    def _put_data(self, model: Model, task: Task, max_length: int) -> DataParcel:
        encoded = self._inputs.encoded(model, task, max_length, self._tokenizer(model))
        return DataParcel(self._inputs.facts(task), ray.put([_arrays(split) for split in encoded]))

    def _load_tokenizer(self, model: Model) -> Tokenizer:
        from bitspec.training.model import load_tokenizer

        return load_tokenizer(self._inputs.folder(model))


def _pieces(path: Path) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield np.frombuffer(piece, np.uint8)


def _arrays(split: Encoded) -> dict[str, Any]:
    """A split as plain arrays, which all processes of a node read in one place."""
    return {
        "name": split.name,
        "columns": {name: column.numpy() for name, column in split.columns.items()},
        "lengths": split.lengths_N.numpy(),
        "labels": split.labels_N.numpy(),
    }


# Where it is unpacked -------------------------------------------------------------------------------------


class UnpackedInputs(Inputs):
    """What a bench reads on a node: all from the parcel of the pack that it trains."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.parcel = Parcel({}, {})

    def lacking(self, parcel: Parcel) -> tuple[Model, ...]:
        """The models of a parcel that are not on this node, nor in the parcel."""
        return tuple(
            model for model, own in parcel.models.items() if own.files is None and self._folder_of(own) is None
        )

    def folder(self, model: Model) -> Path:
        """The folder with a model's files on this node, unpacked now if it is not there."""
        own = self.parcel.models[model]
        folder = self._folder_of(own) or (None if own.files is None else self._unpack(own))
        if folder is None:
            message = f"the model `{model.source}` is not on this node any more"
            raise BitspecError(error("input-changed", message, help="run the same again"))
        return folder

    def catalogue(self, model: Model) -> Catalogue:
        """A model's catalogue."""
        return self.parcel.models[model].catalogue

    def facts(self, task: Task) -> Facts:
        """The facts of a task's examples."""
        return next(own.facts for (_, one, _), own in self.parcel.data.items() if one == task)

    def encoded(
        self,
        model: Model,
        task: Task,
        max_length: int,
        tokenizer: Tokenizer,  # noqa: ARG002 - it has done its work elsewhere
    ) -> tuple[Encoded, ...]:
        """A task in the tokens of a model."""
        splits: list[dict[str, Any]] = ray.get(self.parcel.data[model, task, max_length].splits)
        return tuple(_split(arrays) for arrays in splits)

    def _folder_of(self, own: ModelParcel) -> Path | None:
        """Where a model is on this node; None if it is nowhere, or is not what it must be."""
        for folder in (own.folder, _place(own)):
            with suppress(BitspecError, OSError):
                if folder.is_dir() and self._fingerprint(folder) == own.fingerprint:
                    return folder
        return None

    def _fingerprint(self, folder: Path) -> str:
        return model_fingerprint(folder, cache=cache_folder(), allow_pickle=self.work.allow_pickle)

    def _unpack(self, own: ModelParcel) -> Path | None:
        """Write a model's files where all processes of this node find them; the first one does."""
        place = _place(own)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):
            found = self._folder_of(own)
            if found is not None:
                return found
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unpacking-", ignore_cleanup_errors=True) as new:
                for name, pieces in own.files or ():
                    with (Path(new) / name).open("wb") as file:
                        for piece in pieces:
                            file.write(memoryview(ray.get(piece)))
                if place.exists():  # it has changed since
                    place.rename(Path(tempfile.mkdtemp(dir=place.parent, prefix=".changed-")) / "model")
                Path(new).rename(place)
        return self._folder_of(own)


def _place(own: ModelParcel) -> Path:
    cache = cache_folder()
    if cache is None:  # nobody else can write to it, so nothing in it is anybody else's
        cache = _own_folder()
    return cache / "models" / own.fingerprint


@lru_cache(1)
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bitspec-"))


def _split(arrays: dict[str, Any]) -> Encoded:
    import torch

    from bitspec.training.encoding import Encoded

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they can only be read, and nothing writes to them
        return Encoded(
            arrays["name"],
            {name: torch.from_numpy(column) for name, column in arrays["columns"].items()},
            torch.from_numpy(arrays["lengths"]),
            torch.from_numpy(arrays["labels"]),
        )
