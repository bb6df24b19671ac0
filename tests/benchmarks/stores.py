"""Stores of any size that nobody had to train: whole studies made up in SQL, for `tests.benchmarks.answers`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import duckdb

from bitspec.ir.canonical import Canonical
from bitspec.ir.study import Study
from bitspec.store.store import Store
from bitspec.vocabulary import BUILTIN_TASKS, GLUE

#: Roles of a layer's tensors.
_ROLES: Final = ("q", "k", "v", "m1", "m2", "m3", "ln1", "ln2")

#: What is random is a hash, between 0 and 1, so that the same store comes out again.
_LUCK: Final = "CREATE TEMP MACRO luck(x) AS (hash(x) % 10000) / 10000.0"

_CELLS: Final = """
CREATE TEMP TABLE made AS
SELECT *, sha256(concat_ws('/', model, task, strategy, seed)) AS key, selection <> 'none' AS is_trained,
    50 + 10 * luck(strategy) + 8 * luck(concat(task, model)) + 2 * luck(concat(strategy, task, model, seed)) AS score
FROM (SELECT unnest($models::VARCHAR[]) AS model)
CROSS JOIN (SELECT unnest($tasks::VARCHAR[]) AS task, unnest($metrics::VARCHAR[]) AS metric)
CROSS JOIN (SELECT unnest($strategies::VARCHAR[]) AS strategy, unnest($titles::VARCHAR[]) AS title,
    unnest($selections::VARCHAR[]) AS selection, unnest(range(len($strategies))) AS position)
CROSS JOIN (SELECT unnest($seeds::BIGINT[]) AS seed)
ORDER BY model, task, position, seed
"""

_RUN: Final = """
INSERT INTO base.runs BY NAME SELECT 1 AS run, $study AS study, $title AS title, 'made.bspec' AS spec,
    $text AS spec_text, 'bitspec run made.bspec' AS command, now()::TIMESTAMP AS began, now()::TIMESTAMP AS ended,
    map(['python'], [$python]) AS versions, true AS whole, $models::VARCHAR[] AS models, $tasks::VARCHAR[] AS tasks,
    $strategies::VARCHAR[] AS strategies, $seeds::BIGINT[] AS seeds, (SELECT list(key) FROM made) AS keys,
    $definition::JSON AS definition, []::VARCHAR[] AS warnings
"""

_SERVED: Final = """
INSERT INTO base.cells BY NAME SELECT $study AS study, model, task, strategy, seed, key,
    concat_ws('/', model, task, strategy) AS variant, title, position, selection, true AS current, 1 AS run FROM made
"""

_TRIALS: Final = """
INSERT INTO base.trials BY NAME SELECT key, 'finished' AS status, model, model AS model_source,
    'weights' AS model_fingerprint, task, 'data' AS data_fingerprint, seed, selection,
    '{"epochs": 3, "batch_size": 8, "learning_rate": 0.001}' AS settings, strategy, $study AS study, score,
    score AS best_score, 1 AS best_epoch, metric, map([metric], [score / 100]) AS metrics,
    CASE WHEN is_trained THEN 100 * (position + 1) ELSE 0 END AS trainable,
    CASE WHEN is_trained THEN (position + 1) / 10.0 ELSE 0 END AS percent, 1538 AS head,
    CASE WHEN is_trained THEN 0.1 * luck(concat(strategy, seed)) END AS change, 0.5 AS loss,
    $epochs::INTEGER AS epochs, 0.001 AS learning_rate, 8 AS batch_size, 6.5 AS seconds, 1000 AS training_examples,
    $examples::BIGINT AS validation_examples, now()::TIMESTAMP AS started, now()::TIMESTAMP AS finished,
    'cpu' AS device, 1 AS threads, [key] AS pack, 1 AS run FROM made
"""

_EPOCHS: Final = """
INSERT INTO base.epochs BY NAME SELECT key, epoch, 1.0 / epoch AS loss, 1.1 / epoch AS validation_loss,
    score - $epochs + epoch AS score, map([metric], [score / 100]) AS metrics, 2.1 AS seconds
FROM (SELECT *, unnest(range(1, $epochs + 1))::INTEGER AS epoch FROM made)
"""

# The rows of a trial stand beside each other, as they do where trials finish one after the other.
_CHANGES: Final = """
INSERT INTO base.changes BY NAME SELECT key, format('encoder.layer.{}.{}.bias', layer, role) AS tensor, role, layer,
    'bias' AS kind, 768 AS entries, 768 AS trained, change, change AS trained_change
FROM (SELECT key, (number // len($roles))::INTEGER AS layer, ($roles::VARCHAR[])[1 + number % len($roles)] AS role,
    0.1 * luck(concat(key, number)) AS change
    FROM (SELECT key, unnest(range($tensors)) AS number FROM made WHERE is_trained))
"""

_PREDICTIONS: Final = """
INSERT INTO base.predictions BY NAME SELECT key, 'validation' AS split, example::INTEGER AS example, label,
    CASE WHEN luck < score / 100 THEN label ELSE 1 - label END AS prediction, score / 100 - luck AS margin
FROM (SELECT key, score, example, example % 2 AS label, luck(concat(key, example)) AS luck
    FROM (SELECT key, score, unnest(range($examples)) AS example FROM made))
"""


def fill(folder: Path, study: Study, text: str, *, tensors: int, epochs: int, examples: int) -> Path:
    """Put a finished study into a new store, and return its folder.

    Each trial has so many tensors (none where it trains none), epochs and predictions.
    """
    store = Store(folder)
    store.prepare()
    canonical = Canonical(study.selections)
    values = {
        "models": [model.name for model in study.models],
        "tasks": [task.name for task in study.tasks],
        "metrics": [{**GLUE, **BUILTIN_TASKS}[task.name] for task in study.tasks],
        "strategies": [strategy.name for strategy in study.strategies],
        "titles": [strategy.title for strategy in study.strategies],
        "selections": [canonical.text(strategy.selection) for strategy in study.strategies],
        "seeds": list(study.seeds),
        "study": study.name,
        "title": study.title,
        "text": text,
        "definition": study.model_dump_json(),
        "python": sys.version.partition(" ")[0],
        "roles": list(_ROLES),
        "tensors": tensors,
        "epochs": epochs,
        "examples": examples,
    }
    with duckdb.connect(str(store.database)) as connection:
        connection.execute(_LUCK)
        for statement in (_CELLS, _RUN, _SERVED, _TRIALS, _EPOCHS, _CHANGES, _PREDICTIONS):
            used = {name: values[name] for name in set(re.findall(r"\$([a-z]+)", statement))}
            connection.execute(statement, used)
    return folder
