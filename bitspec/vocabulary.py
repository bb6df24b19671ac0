"""The words of bitspec, each with a line that says what it means.

Data only: the checker names the nearest word from these, the documentation prints them.
"""

from __future__ import annotations

from typing import Final

#: Words that begin a statement, and all that no name may be.
STATEMENTS: Final = (
    "study", "use", "model", "task", "seeds", "train", "group", "strategy", "question", "expect", "reported", "for"
)  # fmt: skip
KEYWORDS: Final = (*STATEMENTS, "in", "where", "and", "or", "not", "of", "on")

#: What a parameter does in its model, in the order in which the answers list them.
ROLES: Final[dict[str, str]] = {
    "q": "the attention's query projection",
    "k": "the attention's key projection",
    "v": "the attention's value projection",
    "qkv": "a projection that makes several of query, key and value at once",
    "m1": "the attention's output projection",
    "m2": "the MLP's up projection, its gate included",
    "m3": "the MLP's down projection",
    "ln1": "the norm of the attention block",
    "ln2": "the norm of the MLP block",
    "emb": "the embeddings of words, positions, types and patches, and their projection to the model's width",
    "emb_ln": "the norm of the embeddings",
    "pooler": "the pooler, where it belongs to the base model",
}

#: What a parameter is, told by its module's class and its own slot in the module.
KINDS: Final[dict[str, str]] = {
    "bias": "an added vector",
    "gamma": "the scale of a normalisation layer",
    "matrix": "the 2-D weight of a linear layer",
    "embedding": "a table of an embedding layer",
    "other": "anything else, such as a convolution's kernel or a class token",
}

#: The selections that need no name.
SELECTIONS: Final[dict[str, str]] = {
    "all": "every parameter of the base model",
    "none": "no parameter",
    "bias": "every bias",
    "gamma": "the scale of every normalisation layer",
    "matrix": "the 2-D weight of every linear layer",
    "embedding": "every embedding table",
    "weight": "every parameter that is not a bias",
}

#: What takes arguments: samples, rankings, and the amount that is a selection's size.
FUNCTIONS: Final[dict[str, str]] = {
    "rand": "a sample of single entries",
    "rows": "a sample of whole rows of matrices",
    "cols": "a sample of whole columns of matrices",
    "rowcol": "a sample of whole rows or columns, as a coin decides for each matrix",
    "topk": "the entries that rank highest",
    "bottomk": "the entries that rank lowest",
    "size": "as many entries as a selection has",
}

#: What a `where` clause can ask of a parameter.
ATTRIBUTES: Final[dict[str, str]] = {
    "name": "its full name in the base model, such as `encoder.layer.0.output.dense.bias`",
    "module": "its module's name: the full name without the last part",
    "class": "its module's class, such as `Linear`",
    "role": "what it does, such as `q` or `ln1`",
    "layer": "its layer, counted from 0",
    "kind": "what it is: `bias`, `gamma`, `matrix`, `embedding` or `other`",
    "numel": "its number of entries",
    "ndim": "its number of dimensions",
}

#: GLUE's tasks by their names on the hub, each with its main metric.
GLUE: Final[dict[str, str]] = {
    "cola": "matthews",
    "sst2": "accuracy",
    "mrpc": "f1",
    "stsb": "spearman",
    "qqp": "f1",
    "mnli": "accuracy",
    "qnli": "accuracy",
    "rte": "accuracy",
    "wnli": "accuracy",
}

#: Outputs of a task's head where they are not two: a regression has one.
GLUE_LABELS: Final[dict[str, int]] = {"stsb": 1, "mnli": 3}

#: The generated tasks that come with bitspec.
BUILTIN_TASKS: Final[dict[str, str]] = {
    "builtin/cola": "matthews",
    "builtin/mrpc": "f1",
    "builtin/rte": "accuracy",
}

#: What a task can be scored by.
METRICS: Final[dict[str, str]] = {
    "accuracy": "share of right predictions",
    "f1": "F1 of the positive class",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation of a regression",
    "spearman": "Spearman rank correlation of a regression",
}

#: The metrics of a regression, and those of two classes.
REGRESSION: Final = ("pearson", "spearman")
TWO_CLASSES: Final = ("f1", "matthews")

#: The charts that need no plugin.
CHARTS: Final[dict[str, str]] = {
    "heatmap": "how far each role moved in each layer",
    "bars": "the score of each strategy",
    "curves": "score and loss by epoch",
    "scatter": "change against score",
    "pareto": "score against the share of parameters",
    "forest": "the differences that the study's questions are about",
}
