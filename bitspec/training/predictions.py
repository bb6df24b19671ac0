"""What a trained model says of a validation set.

Shapes: N examples, C classes.
"""

from __future__ import annotations

import math

from torch import Tensor

from bitspec.ir.events import Predictions
from bitspec.training.encoding import Encoded


def predictions_of(split: Encoded, logits_NC: Tensor) -> Predictions:
    """What the logits (N, C) of a validation set say, example by example."""
    labels_N = split.labels_N
    if labels_N.is_floating_point():
        said_N = logits_NC.squeeze(1).double()
        margins_N = said_N - labels_N
    else:
        said_N = logits_NC.argmax(1)
        right_N = logits_NC.gather(1, labels_N[:, None]).squeeze(1)
        others_NC = logits_NC.scatter(1, labels_N[:, None], -math.inf)
        margins_N = right_N - others_NC.max(1).values
    return Predictions(
        split=split.name,
        labels=tuple(map(float, labels_N.tolist())),
        predictions=tuple(map(float, said_N.tolist())),
        margins=tuple(map(float, margins_N.tolist())),
    )
