"""The joint CyCADA step whose speed the runners measure, and its terms."""

from __future__ import annotations

from cycada.config.schema import load
from cycada.speed.throughput import Measured, drop_terms, each_stage

DROPPED: dict[str, tuple[str, ...]] = {
    "all terms": (),
    "- gan": ("gan_t", "gan_s"),
    "- cycle": ("cycle_s", "cycle_t"),
    "- semantic": ("semantic_t", "semantic_s"),
    "- task": ("task_translated",),
    "- feature": ("feature_gan",),
}
EXPERIMENT = {
    "name": "throughput",
    "data": {"source": "svhn", "target": "svhn", "size": 32, "channels": 3},
    "networks": {
        "f": "lenet",
        "g": {"name": "resnet", "channels": 64, "blocks": 2},
        "d": {"name": "patchgan", "channels": 64, "layers": 4, "strided": 3},
        "d_feat": "mlp",
    },
    "stages": {
        "source": {"method": "source_only", "steps": 1},
        "joint": {"method": "cycada", "steps": 10**6, "init": {"f_s": "source.f_t"}},
    },
}


def steps_of(config: str | None, overrides: list[str], batch: int) -> list[Measured]:
    """Return the steps to measure.

    Args:
        config: An experiment, whose stages are measured; None for the joint step without each of its terms.
        overrides: Settings over the experiment's.
        batch: The number of image pairs of the joint step.

    Raises:
        CycadaError: The experiment has mistakes.
    """
    if config:
        return each_stage(load(config, overrides))
    return drop_terms(EXPERIMENT | {"defaults": {"batch": batch}}, DROPPED)
