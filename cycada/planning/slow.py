"""Search for settings of a config that make training slow on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cycada.config.schema import Config
from cycada.core.cpu import computes_bf16
from cycada.planning.plan import StagePlan


def find_slow_settings(config: Config, plans: Sequence[StagePlan]) -> list[str]:
    """Return a sentence for each setting that makes training slow on this machine, and what to do about it.

    Args:
        config: The experiment.
        plans: The stages that are still to be trained.
    """
    is_on_cpu = config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available())
    stages = dict.fromkeys(plan.name for plan in plans if plan.stage.precision == "bf16")
    if not is_on_cpu or not stages or computes_bf16():
        return []
    return [
        f"precision: found bf16 in {', '.join(stages)}, and this processor has no instructions for it (AMX "
        f"or AVX512-BF16): a step takes 6 to 11 times as long as in fp32. defaults.precision=fp32 changes "
        f"it, and the ids of the runs with it."
    ]
