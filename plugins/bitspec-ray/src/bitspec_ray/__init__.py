"""Trains the packs of a study on a Ray cluster: `bitspec run SPEC --runner ray`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bitspec import plugins

if TYPE_CHECKING:
    from bitspec_ray.runner import RayRunner

#: How often a pack is handed out again whose worker was lost.
RETRIES: Final = 3


def _make(**options: Any) -> RayRunner:
    from bitspec_ray.runner import RayRunner  # which is not needed to show what it is

    return RayRunner(**options)


#: How it is registered.
PLUGIN: Final = plugins.Runner(
    surface=1,
    summary="trains on a Ray cluster, on all nodes that fit",
    version="1",
    make=_make,
    options=(
        plugins.Argument(
            name="address",
            takes="text",
            meaning="The cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: one on this machine, for this run]",
        ),
        plugins.Argument(
            name="cpus",
            takes="whole",
            least=1,
            most=1024,
            meaning="CPUs of a pack, and its threads.  [default: as many threads as the local runner would use]",
        ),
        plugins.Argument(
            name="gpus",
            takes="number",
            least=0,
            most=1,
            meaning="GPUs of a pack; 0.5 lets two share one.  [default: 1 where the cluster has any, else 0]",
        ),
        plugins.Argument(
            name="retries",
            takes="whole",
            least=0,
            most=1000,
            default=RETRIES,
            meaning="How often a pack is begun again whose worker or node was lost.",
        ),
    ),
)
