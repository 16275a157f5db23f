"""Load single networks of finished stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from cycada.config.schema import Config
from cycada.methods import Networks
from cycada.networks import kind_of
from cycada.planning.build import build_network, load_weights, select_role_weights
from cycada.planning.plan import StagePlan, plan
from cycada.storage.store import RunFolder
from cycada.train.device import Device


def trained_network(
    folder: RunFolder, config: Config, stage: StagePlan, role: str, classes: int | None = None
) -> nn.Module:
    """Return one network of a finished stage with its final weights.

    Args:
        folder: The stage's run folder.
        config: The experiment that the stage belongs to.
        stage: The stage.
        role: Which of its networks, for example `g_st`.
        classes: Number of classes; generators do without.

    Raises:
        CycadaError: Where the weights cannot be read or do not fit.
    """
    context: dict[str, Any] = {
        "image_channels": config.data.channels,
        "size": min(config.window(stage.stage)),
        "shape": config.window(stage.stage),
    }
    if classes is not None:
        context["classes"] = classes
    net = build_network(stage.specs[role], kind_of(role), context, f"networks.{kind_of(role)}")
    where = str(folder.path / "weights.safetensors")
    load_weights(net, select_role_weights(folder.load_weights(), role, where), where)
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
    """Return the networks together with f_s, also where the stage learns a translation without it.

    Analysis needs f_s to see what a translation does to classes. A pixel stage whose semantic weights are 0
    has no f_s, but its `init` says which network it would be. Where that network comes from a file, or its
    stage was deleted, the networks are returned as they are.

    Args:
        config: The experiment that the stage belongs to.
        stage: The stage.
        nets: Its networks.
        folder: Its run folder.
        parents: Role -> id of the stage that the role's weights come from.
        classes: Number of classes.
        device: Where the networks are.

    Raises:
        CycadaError: Where the parent stage's files are damaged.
    """
    trained_roles = {role for phase in stage.phases for role in phase.roles}
    start = stage.stage.init.get("f_s", "#")
    if "f_s" in nets or not trained_roles & {"g_st", "g_ts"} or "#" in start or "f_s" not in parents:
        return nets
    parent, _, role = start.partition(".")
    parent_folder = RunFolder(folder.path.parent / parents["f_s"])
    if not parent_folder.done:
        return nets
    parent_folder.check()
    parent_stage = next(p for p in plan(config) if p.name == parent)
    f_s = trained_network(parent_folder, config, parent_stage, role, classes)
    return Networks(dict(nets.named_children()) | {"f_s": f_s.to(device.torch_device)})
