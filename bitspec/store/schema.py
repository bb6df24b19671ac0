"""The tables of a store, and how they come to be. The views that answers are read from are in `views.py`."""

from __future__ import annotations

import hashlib
from typing import Final

import duckdb

from bitspec.store.views import VIEWS

#: Of the tables; a new one when a store of this one cannot be used by an older bitspec.
SCHEMA_VERSION: Final = 4

#: Since version 2: which trials a run was to train together. What each was really trained with is in `trials.pack`.
_PACKS: Final = """
CREATE TABLE base.packs (
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,      -- of the pack in its run, from 1
    keys VARCHAR[] NOT NULL,      -- in their order
    device VARCHAR                -- for which they were packed
);
"""

#: Since version 3: the spec as it was read, so that a report needs no file, and what there was to say about it.
_DEFINITIONS: Final = """
ALTER TABLE base.runs ADD COLUMN definition JSON;
ALTER TABLE base.runs ADD COLUMN warnings VARCHAR[];
"""

#: Since version 4: which trials are being trained by whom.
_LEASES: Final = """
CREATE TABLE base.leases (
    key VARCHAR NOT NULL,
    holder VARCHAR NOT NULL,      -- a word of the run's own
    run INTEGER NOT NULL,
    host VARCHAR NOT NULL,
    pid BIGINT NOT NULL,
    expires TIMESTAMP NOT NULL
);
"""

# No primary keys: DuckDB's index on them makes every opening and every commit slower, and with one writer at a time a
# look before each insertion does the same. Times are UTC. These are the tables of version 1.
_TABLES: Final = """
CREATE SCHEMA base;

CREATE TABLE base.meta (version INTEGER NOT NULL, views VARCHAR NOT NULL);

CREATE TABLE base.runs (
    run INTEGER NOT NULL,
    study VARCHAR NOT NULL,
    title VARCHAR,
    spec VARCHAR NOT NULL,
    spec_text VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    began TIMESTAMP NOT NULL,
    ended TIMESTAMP,
    commit VARCHAR,
    versions MAP(VARCHAR, VARCHAR) NOT NULL,
    whole BOOLEAN NOT NULL,
    models VARCHAR[] NOT NULL,
    tasks VARCHAR[] NOT NULL,
    strategies VARCHAR[] NOT NULL,
    seeds BIGINT[] NOT NULL,
    keys VARCHAR[] NOT NULL       -- one for each cell
);

CREATE TABLE base.cells (
    study VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    variant VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    selection VARCHAR NOT NULL,
    current BOOLEAN NOT NULL,
    run INTEGER NOT NULL          -- the last that covered it
);

CREATE TABLE base.trials (
    key VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    model_source VARCHAR NOT NULL,
    model_revision VARCHAR,
    model_fingerprint VARCHAR,
    task VARCHAR NOT NULL,
    task_data JSON,
    data_fingerprint VARCHAR,
    seed BIGINT NOT NULL,
    selection VARCHAR NOT NULL,
    settings JSON NOT NULL,
    strategy VARCHAR NOT NULL,
    study VARCHAR NOT NULL,
    score DOUBLE,
    best_score DOUBLE,
    best_epoch INTEGER,
    metric VARCHAR,
    metrics MAP(VARCHAR, DOUBLE),
    trainable BIGINT,
    percent DOUBLE,
    head BIGINT,
    change DOUBLE,
    loss DOUBLE,
    epochs INTEGER NOT NULL,
    learning_rate DOUBLE NOT NULL,
    batch_size INTEGER NOT NULL,
    seconds DOUBLE,
    training_examples BIGINT,
    validation_examples BIGINT,
    message VARCHAR,
    started TIMESTAMP NOT NULL,
    finished TIMESTAMP NOT NULL,
    device VARCHAR,
    threads INTEGER,
    pack VARCHAR[],
    run INTEGER NOT NULL,
    values_file VARCHAR
);

CREATE TABLE base.epochs (
    key VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    loss DOUBLE,
    validation_loss DOUBLE,
    score DOUBLE,
    metrics MAP(VARCHAR, DOUBLE),
    seconds DOUBLE
);

CREATE TABLE base.changes (
    key VARCHAR NOT NULL,
    tensor VARCHAR NOT NULL,
    role VARCHAR,
    layer INTEGER,
    kind VARCHAR NOT NULL,
    entries BIGINT NOT NULL,
    trained BIGINT NOT NULL,
    change DOUBLE,
    trained_change DOUBLE
);

CREATE TABLE base.predictions (
    key VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    example INTEGER NOT NULL,
    label DOUBLE,
    prediction DOUBLE,
    margin DOUBLE
);
"""

#: What brings a store from a version to the next one.
_MIGRATIONS: Final = {1: _PACKS, 2: _DEFINITIONS, 3: _LEASES}


def views_digest() -> str:
    """The sha256 of all views: a store whose views were made by another bitspec gets them anew."""
    return hashlib.sha256("\n".join(view.sql(name) for name, view in VIEWS.items()).encode()).hexdigest()


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all tables and views in an empty database."""
    create_tables_of(connection, SCHEMA_VERSION)
    create_views(connection)


def create_tables_of(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Make the tables of a version in an empty database."""
    connection.execute(_TABLES)
    connection.execute("INSERT INTO base.meta VALUES (1, '')")
    migrate(connection, 1, version)


def migrate(connection: duckdb.DuckDBPyConnection, version: int, to: int = SCHEMA_VERSION) -> None:
    """Bring the tables of an older version up to this one, or to another; what is in them stays as it is."""
    for older in range(version, to):
        connection.execute(_MIGRATIONS[older])
    connection.execute("UPDATE base.meta SET version = ?", [to])


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all views, in place of those that are there."""
    for name, view in VIEWS.items():
        connection.execute(view.sql(name))
    connection.execute("UPDATE base.meta SET views = ?", [views_digest()])


def version(connection: duckdb.DuckDBPyConnection) -> tuple[int, str] | None:
    """The version of a database's tables and the digest of its views; None if it is no store."""
    try:
        row = connection.execute("SELECT version, views FROM base.meta").fetchone()
    except duckdb.ProgrammingError:  # there is no such table
        return None
    return None if row is None else (int(row[0]), str(row[1]))
