"""Whether a stage's networks are compiled: what `compile: auto` stands for, and what cannot be compiled."""

from __future__ import annotations

from dataclasses import replace

import torch

from cycada.core.cpu import has_matrix_units
from cycada.core.errors import CycadaError
from cycada.networks import kind_of
from cycada.planning.stage_plan import StagePlan

COMPILED_KINDS = ("g", "d")
"""Kinds of networks that are compiled: generators and discriminators, which take most of the time."""
LONG = 1000
"""The number of steps from which on a stage gains more than compiling takes, which is up to some minutes."""
SECOND_DERIVATIVES = {"d_s_gradient", "d_t_gradient"}
"""Tensors that are differentiated again; torch.compile cannot do that."""


def decide_compile(plan: StagePlan, device: str) -> StagePlan:
    """Return the plan with `compile: auto` replaced by what is faster here.

    On a CPU without AMX, and in fp32, compiled steps take about as long as others. It is replaced in the
    plan, so that run folders and ids hold what was computed.

    Args:
        plan: The plan of a stage, in steps.
        device: The experiment's `device`.

    Raises:
        CycadaError: The stage asks for `compile: true`, and a loss needs second derivatives.
    """
    needing = [
        f"{term.where}.{term.name}"
        for phase in plan.phases
        for term in phase.terms
        if plan.method.tensors.dependencies(term.needs) & SECOND_DERIVATIVES
    ]
    if plan.stage.compile is True and needing:
        raise CycadaError(
            f"stages.{plan.name}.compile: found true beside {needing[0]}, whose second derivatives "
            "torch.compile cannot compute. Take one of the two out."
        )
    if plan.stage.compile != "auto":
        return plan
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    on_cpu = device in ("cpu", "auto") and has_matrix_units() and plan.stage.precision == "bf16"
    kinds = {kind_of(role) for role in plan.specs}
    possible = not needing and bool(kinds & set(COMPILED_KINDS))
    pays = possible and plan.stage.steps >= LONG and (on_gpu or on_cpu)
    return replace(plan, stage=plan.stage.model_copy(update={"compile": pays}))
