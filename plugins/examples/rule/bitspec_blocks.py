"""A rule: `block(all, 0.1%, size = 16)` draws blocks of neighbouring entries, as hardware likes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitspec.plugins import Argument, Drawing, Refusal, Rule

if TYPE_CHECKING:
    from bitspec.ir.masks import Selected


def take(drawing: Drawing) -> Selected:
    """As many whole blocks as fit into the amount; the pool is cut into blocks from its first entry on."""
    import numpy as np  # here, as `bitspec check` imports this module

    size = drawing.arguments["size"]
    if drawing.amount < size:
        message = f"no block of {size:,} entries fits into {drawing.amount:,}"
        raise Refusal(message, help=f"ask for {size:,} or more, or for smaller blocks")
    blocks = drawing.randomness.stream("blocks").sample(drawing.pool.count // size, drawing.amount // size)
    return drawing.pick((blocks[:, None] * size + np.arange(size)).ravel())


PLUGIN = Rule(
    surface=1,
    summary="a sample of blocks of neighbouring entries",
    version="1",
    take=take,
    example="block(all, 0.1%, size = 16)",
    arguments=(Argument(name="size", takes="whole", least=1, default=16, meaning="how many entries a block has"),),
    is_exact=False,
)
