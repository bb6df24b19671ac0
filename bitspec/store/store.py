"""The store: a folder with a DuckDB database of all results, and a file of trained values for each trial.

Nothing is kept open: each method opens the database, does one piece of work and closes it, so that several runs and
any number of readers can work beside each other.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from bitspec.diagnostics import BitspecError, error
from bitspec.ir.events import Failed, Result
from bitspec.ir.study import Study
from bitspec.ir.trials import Planned
from bitspec.ir.values import TrainedValues
from bitspec.store import leases, lookups, records, schema
from bitspec.store.complaints import journal, unusable
from bitspec.store.connection import ENGINE, PATIENCE
from bitspec.store.files import sweep
from bitspec.store.leases import Claim, Holder
from bitspec.store.lookups import Durations, StoredTrial
from bitspec.store.provenance import provenance
from bitspec.store.records import Command, Training
from bitspec.store.values import read_values, write_values
from bitspec.whole import UNFINISHED, keep

#: A trial's key, which names the file of its values.
_KEY: Final = re.compile(r"[0-9a-f]{1,64}")


class Store:
    """The results in a folder. Nothing is opened or made before it is asked for.

    `patience` is how many seconds a database that is in use is asked for again. Every method raises BitspecError if
    the database stays in use, is damaged, or is of a newer bitspec or DuckDB.
    """

    def __init__(self, folder: Path, *, patience: float = PATIENCE) -> None:
        self.folder = folder.parent if folder.suffix == ".duckdb" else folder  # the database stands for its folder
        folder = self.folder
        self.database = folder / "results.duckdb"
        #: Where trials under way are saved; who trains them makes it.
        self.checkpoints = folder / "checkpoints"
        self.patience = patience

    def read_path(self) -> Path:
        """The path of the database. Raises BitspecError if there is no store yet."""
        if not self._is_there():
            raise BitspecError(
                error(
                    "no-store",
                    f"there are no results in `{self.folder}`",
                    help="train a study with `bitspec run SPEC`, or say where its results are with `--store`",
                )
            )
        return self.database

    def prepare(self) -> None:
        """Make the folder and the tables if they are missing, and see that they can be written to.

        Raises BitspecError if they cannot.
        """
        try:
            (self.folder / "values").mkdir(parents=True, exist_ok=True)
            for folder in (self.folder, self.folder / "values"):
                with tempfile.TemporaryFile(dir=folder):  # a folder may be there and still not be ours to write to
                    pass
                sweep(folder)
            sweep(self.checkpoints)
        except OSError as problem:
            raise self.unusable(problem) from problem
        if not self._is_there():
            self._create()
        with self._writing() as connection:
            if schema.version(connection) != (schema.SCHEMA_VERSION, schema.views_digest()):
                schema.create_views(connection)

    def statuses(self) -> dict[str, str]:
        """`finished`, `failed` or `diverged` for every key that was ever trained; empty if there is no store yet."""
        if not self._is_there():
            if self.folder.is_file():
                raise self.unusable(NotADirectoryError())
            return {}
        with self._reading() as connection:
            return lookups.statuses(connection)

    def kept(self) -> frozenset[str]:
        """The keys of the trials whose trained values are kept."""
        return frozenset(path.stem for path in (self.folder / "values").glob("*.safetensors"))

    def begin(
        self,
        study: Study,
        planned: Sequence[Planned],
        *,
        spec: str,
        spec_text: str,
        command: str,
        whole: bool,
        warnings: Sequence[str] = (),
    ) -> int:
        """Put down that a run of a study begins, and return its number.

        `planned` are all cells that it covers, those that are finished already included; `whole` says that these are
        all of the spec's strategies, tasks and models. `warnings` are what there was to say about the spec. From here
        on it is the latest study.
        """
        assert study.name is not None, "a library is not run"
        source = provenance(Path(spec).parent)
        with self._writing() as connection:
            asked = Command(spec, spec_text, command, whole, warnings)
            run = records.insert_run(connection, study, planned, asked, source)
            records.upsert_cells(connection, run, study.name, planned, whole=whole)
        return run

    def record(
        self,
        run: int,
        planned: Planned,
        result: Result,
        values: TrainedValues | None = None,
        *,
        started: datetime,
        model_source: str | None = None,
        model_revision: str | None = None,
    ) -> bool:
        """Keep a finished trial, in one transaction; once this returns, it is never lost.

        `values` are kept beside it, if they are given. `model_source` and `model_revision` take the place of the
        spec's where more is known of them. Returns False where the trial was finished before: then nothing is changed,
        but that its values are kept from now on, if they are given and were not.
        """
        assert result.key == planned.key
        training = _training(run, planned, started, model_source, model_revision, result)
        path = self._values_path(planned.key)
        unfinished = None if values is None else self._write_values(values, planned, training)
        try:
            with self._writing() as connection:
                values_file = None if unfinished is None else path.relative_to(self.folder).as_posix()
                is_first = not records.is_finished(connection, planned.key)
                if is_first:
                    records.insert_result(connection, planned, result, training, values_file)
                leases.end(connection, planned.key)
                is_wanted = is_first or not path.exists()
                if not is_first and is_wanted and values_file is not None:  # trained once more to have its values
                    records.set_values_file(connection, planned.key, values_file)
                if unfinished is not None and is_wanted:
                    unfinished.replace(path)
                    keep(path.parent)
            return is_first
        except OSError as problem:
            raise self.unusable(problem) from problem
        finally:
            if unfinished is not None:
                unfinished.unlink(missing_ok=True)

    def record_failure(
        self,
        run: int,
        planned: Planned,
        failure: Failed,
        *,
        started: datetime,
        model_source: str | None = None,
        model_revision: str | None = None,
        model_fingerprint: str | None = None,
        data_fingerprint: str | None = None,
    ) -> None:
        """Put down that a trial failed, unless it is finished already. A later success takes its place."""
        assert failure.key == planned.key
        training = Training(
            run=run,
            started=started,
            model_source=model_source or planned.trial.model.source,
            model_revision=model_revision or planned.trial.model.revision,
            model_fingerprint=model_fingerprint,
            data_fingerprint=data_fingerprint,
        )
        with self._writing() as connection:
            if not records.is_finished(connection, planned.key):
                records.insert_failure(connection, planned, failure, training)
            leases.end(connection, planned.key)

    def claim(
        self,
        holder: Holder,
        packs: Sequence[Sequence[str]],
        *,
        again: Collection[str] = (),
        company: Collection[str] = (),
        is_saved: Callable[[Sequence[str]], bool] = lambda _keys: False,
    ) -> Claim:
        """Claim the first pack of which anything is free, before anybody else does; see `leases.claim`."""
        with self._writing() as connection:
            return leases.claim(connection, holder, packs, again=again, company=company, is_saved=is_saved)

    def renew(self, holder: Holder) -> None:
        """Hold for longer the trials that somebody holds."""
        with self._writing() as connection:
            leases.renew(connection, holder)

    def release(self, holder: Holder) -> None:
        """Let go of all trials that somebody holds: others may train them now."""
        with self._writing() as connection:
            leases.release(connection, holder)

    def begin_packs(self, run: int, packs: Sequence[Sequence[str]], device: str | None = None) -> None:
        """Put down which trials a run is to train together: packs of keys, each in its order, for a device."""
        with self._writing() as connection:
            records.insert_packs(connection, run, packs, device)

    def packs(self, device: str | None = None) -> dict[str, tuple[str, ...]]:
        """For every key the pack in which its training was begun, the last time if it is not finished.

        With a device, only the packs that were made for it. Empty if there is no store yet.
        """
        if not self._is_there():
            return {}
        with self._reading() as connection:
            return lookups.packs(connection, device, has_planned=self._version(connection) >= 2)

    def end(self, run: int) -> None:
        """Put down that a run came to its end."""
        with self._writing() as connection:
            connection.execute("UPDATE base.runs SET ended = ? WHERE run = ?", [records.now(), run])

    def durations(self) -> Durations:
        """How fast earlier trials were; of nothing, if there is no store yet."""
        if not self._is_there():
            return Durations()
        with self._reading() as connection:
            return lookups.durations(connection)

    def trial(self, key: str) -> StoredTrial:
        """The trial whose key begins like this. Raises BitspecError if there is none, or more than one."""
        self.read_path()
        with self._reading() as connection:
            return lookups.find_trial(connection, key)

    def picked(self, model: str, revision: str | None, texts: Mapping[str, str]) -> lookups.Picked | None:
        """What a selection came to in a finished trial; see `lookups.picked`. None if there is no store, too."""
        if not self._is_there():
            return None
        with self._reading() as connection:
            return lookups.picked(connection, model, revision, texts)

    def values(self, key: str) -> TrainedValues | None:
        """The values that a trial trained, by its whole key; None if they were not kept."""
        path = self._values_path(key)
        return read_values(path) if path.exists() else None

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The database, to read from: nobody writes to it, or to the files of values, meanwhile."""
        self.read_path()
        with self._reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The database in one transaction, its tables brought up to this version."""
        self.read_path()
        with self._writing() as connection:
            yield connection

    def unusable(self, problem: OSError) -> BitspecError:
        """What is said of a folder that the system does not let us write to."""
        return BitspecError(unusable(self.folder, problem))

    def _values_path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):  # a store is data: what it calls a key must not lead out of its folder
            hint = "put a copy of it back, or choose another store with `--store`"
            raise BitspecError(error("store-broken", f"`{self.folder}` has a trial whose key is none", help=hint))
        return self.folder / "values" / f"{key}.safetensors"

    def _write_values(self, values: TrainedValues, planned: Planned, training: Training) -> Path:
        path = self.folder / "values" / f"{UNFINISHED}{planned.key[:16]}-{secrets.token_hex(4)}"
        about = {
            "key": planned.key,
            "model": training.model_source,
            "model_revision": training.model_revision or "",
            "model_fingerprint": training.model_fingerprint or "",
            "task": planned.trial.task.name,
            "seed": str(planned.trial.seed),
            "selection": planned.trial.selection,
            "settings": planned.trial.settings.model_dump_json(),
        }
        try:
            write_values(path, values, about)
        except OSError as problem:
            path.unlink(missing_ok=True)
            raise self.unusable(problem) from problem
        return path

    def _is_there(self) -> bool:
        try:
            return self.database.exists()
        except OSError as problem:  # a folder that may not be looked into
            raise self.unusable(problem) from problem

    def _create(self) -> None:
        # Made under another name, so that no reader ever sees a part of it.
        path = self.folder / f"{UNFINISHED}{secrets.token_hex(4)}.duckdb"
        try:
            self._check_alone()
            with ENGINE.creating(path) as connection:
                schema.create_tables(connection)
            try:
                os.link(path, self.database)  # unlike a renaming, it does not replace another process's
            except FileExistsError:
                return
            except OSError:  # a file system without links
                path.rename(self.database)
            keep(self.folder)
        except OSError as problem:
            raise self.unusable(problem) from problem
        finally:
            for left in (path, journal(path)):
                left.unlink(missing_ok=True)

    def _check_alone(self) -> None:
        """Raise BitspecError if the journal of a database is there without it: it is not to be lost."""
        left = journal(self.database)
        if left.exists() and left.stat().st_size:
            raise BitspecError(
                error(
                    "store-broken",
                    f"`{left}` is there without the database `{self.database.name}`, whose last results it holds",
                    help="put the database back beside it; or move it away and run again to begin a new store",
                )
            )

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with ENGINE.reading(self.database, self.patience) as connection:
            self._version(connection)
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with ENGINE.writing(self.database, self.patience) as connection:
            version = self._version(connection)
            if version < schema.SCHEMA_VERSION:
                schema.migrate(connection, version)
            yield connection

    def _version(self, connection: duckdb.DuckDBPyConnection) -> int:
        """The version of the tables. Raises BitspecError if it is a newer one, or there are none."""
        found = schema.version(connection)
        if found is None:
            raise BitspecError(
                error(
                    "store-broken",
                    f"`{self.database}` is a database, but none of bitspec's",
                    help="choose another folder for the results with `--store`",
                )
            )
        check_version(self.folder, found[0])
        return found[0]


def check_version(folder: Path, version: int) -> None:
    """Raise BitspecError if the tables of a store are of a newer bitspec."""
    if version > schema.SCHEMA_VERSION:
        raise BitspecError(
            error(
                "store-newer",
                f"the store `{folder}` was written by a newer bitspec",
                help="upgrade it with `pip install --upgrade bitspec`, or choose another store with `--store`",
            )
        )


def _training(
    run: int,
    planned: Planned,
    started: datetime,
    model_source: str | None,
    model_revision: str | None,
    result: Result,
) -> Training:
    return Training(
        run=run,
        started=started,
        model_source=model_source or planned.trial.model.source,
        model_revision=model_revision or planned.trial.model.revision,
        model_fingerprint=result.model_fingerprint,
        data_fingerprint=result.data_fingerprint,
    )
