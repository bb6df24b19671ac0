-- The tables of a store of version 1, before packs were put down. Not to be changed.
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
