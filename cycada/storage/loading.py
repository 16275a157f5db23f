"""Single networks of finished stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from cycada.config.schema import Config
from cycada.methods import Networks
from cycada.networks import kind_of
from cycada.planning.build import load_weights, network, pick
from cycada.planning.plan import StagePlan, plan
from cycada.storage.store import RunFolder
from cycada.train.device import Device


def trained_network(
    folder: RunFolder, config: Config, stage: StagePlan, role: str, classes: int | None = None
) -> nn.Module:
    """A network of the stage with the weights that it ended with. classes: what generators do without. Raises CycadaError."""
    context: dict[str, Any] = {
        "image_channels": config.data.channels,
        "size": min(config.window(stage.stage)),
    }
    if classes is not None:
        context["classes"] = classes
    net = network(stage.specs[role], kind_of(role), context, f"networks.{kind_of(role)}")
    where = str(folder.path / "weights.safetensors")
    load_weights(net, pick(folder.load_weights(), role, where), where)
    return net


def with_classifier(
    config: Config,
    stage: StagePlan,
    nets: Networks,
    folder: RunFolder,
    parents: Mapping[str, str],
    classes: int,
    device: Device,
) -> Networks:
    """The networks, and f_s where the stage learns a translation without it, to see what that does to classes.

    A pixel stage whose semantic weights are 0 has no f_s, but its `init` says which network it would be. parents: role -> id of
    the stage that it comes from. The networks alone where it comes from a file, or its stage is gone.
    """
    learnt = {role for phase in stage.phases for role in phase.roles}
    start = stage.stage.init.get("f_s", "#")
    if "f_s" in nets or not learnt & {"g_st", "g_ts"} or "#" in start or "f_s" not in parents:
        return nets
    parent, _, role = start.partition(".")
    beside = RunFolder(folder.path.parent / parents["f_s"])
    if not beside.done:
        return nets
    beside.check()
    origin = next(p for p in plan(config) if p.name == parent)
    f_s = trained_network(beside, config, origin, role, classes)
    return Networks(dict(nets.named_children()) | {"f_s": f_s.to(device.torch_device)})
