"""The networks of a stage, with the weights that they start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cycada.config.schema import Config, Spec
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError
from cycada.core.registry import check_options, needs, option_defaults, typed
from cycada.methods import CLASS_SHARES, FEATURE_QUEUE, Networks
from cycada.networks import HEAD, NETWORKS, ClassShares, FeatureQueue, Frozen, ImagePool, kind_of
from cycada.networks.vgg import Vgg
from cycada.planning.stage_plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device, seed_of
from cycada.train.step import submodule

Weights = Mapping[str, Tensor]


def build_network(spec: Spec, kind: str, context: Mapping[str, Any], where: str) -> nn.Module:
    """Return a new network.

    Args:
        spec: Its architecture and options.
        kind: Its kind, a key of `NETWORKS`.
        context: Values for the positional parameters of the architecture, such as `classes`.
        where: Path in the config for messages.

    Raises:
        CycadaError: The architecture or an option is unknown, or an option is of another type.
    """
    factory = NETWORKS[kind][spec.name]
    options = check_options(factory, spec.options, where)
    return factory(*(context[name] for name in needs(factory)), **options)


def build_networks(
    config: Config, plan: StagePlan, classes: int, device: Device, starts: Mapping[str, Weights]
) -> Networks:
    """Return all networks of a stage.

    Each network's initial weights depend on the seed and its role alone, so that an ablation without one
    network leaves the others unchanged.

    Args:
        config: The experiment.
        plan: The stage.
        classes: Number of classes; 0 if the domains have no labels.
        device: Where the networks are kept.
        starts: Role to the weights that replace the initial ones.

    Raises:
        CycadaError: An image size does not suit a network, weights do not fit, or a classifier has no
            classes.
    """
    data = config.data
    window = config.window(plan.stage)
    context: dict[str, Any] = {"size": min(window), "shape": window}
    channels = {
        role: data.channels * (2 if role in plan.method.tensors.takes_image_pairs else 1)
        for role in (*plan.specs, *plan.pools)
    }
    roles: dict[str, nn.Module] = {}
    # d_feat and h come last, since they depend on the widths of f and g.
    for role in sorted(plan.specs, key=lambda r: kind_of(r) in ("d_feat", "h")):
        kind = kind_of(role)
        if not classes and kind in ("f", HEAD) and role not in plan.method.tensors.feature_extractors:
            raise CycadaError(
                f"stages.{plan.name}: '{plan.stage.method}' needs a classifier ({role}), but the domains "
                f"have no classes."
            )
        # A pair discriminator classifies images by image-level labels, which segmentation data lack.
        known_classes = task_of(config).image_classes(classes) if kind == "pair_d" else classes
        context |= {"image_channels": channels[role], "classes": known_classes}
        if kind == "d_feat":
            # nn.Module answers with a Tensor or a Module for any name; every task network has an int here.
            width = int(roles["f_t"].width)  # type: ignore[arg-type]
            context["inputs"] = {"features": width, "product": classes * width}.get(
                plan.options.critic_input, classes
            )
        if kind == "h":
            context["widths"] = getattr(roles[role.replace("h", "g", 1)], "widths", ())
        torch.manual_seed(seed_of(config.seed, "init", role))
        # What a network starts from in its place need not be there, nor be downloaded.
        spec = spec_from_scratch(plan.specs[role], role) if role in starts else plan.specs[role]
        net = build_network(spec, "f" if kind == HEAD else kind, context, f"networks.{kind}")
        if kind == HEAD:
            net = submodule(net, "head", role)
        multiple = int(getattr(net, "multiple_of", 1))
        key = f"stages.{plan.name}.size" if plan.stage.size else "data.size"
        for where, shape in (
            *((key, shape) for shape in config.shapes(plan.stage).values()),
            (f"stages.{plan.name}.crop", window),
            ("evaluation.window", plan.evaluation.window or window),
        ):
            if shape[0] % multiple or shape[1] % multiple:
                found = shape[0] if isinstance(data.size, int) and where == "data.size" else list(shape)
                raise CycadaError(
                    f"networks.{kind}: '{plan.specs[role].name}' needs {where} to be divisible by "
                    f"{multiple}; it is {found}."
                )
        if role in starts:
            load_weights(net, starts[role], f"stages.{plan.name}.init.{role}")
        roles[role] = Frozen(net) if role in plan.frozen else net
    for role in plan.pools:
        # as above, mypy does not know that `width` is an int
        width = int(roles["f_t"].width) if role == FEATURE_QUEUE else 0  # type: ignore[arg-type]
        roles[role] = _store(plan, role, (channels[role], *window), width, classes)
    nets = Networks(roles).to(device.torch_device)
    device.broadcast(nets.children())
    return nets


def spec_from_scratch(spec: Spec, role: str) -> Spec:
    """Return the same architecture without the file, or the download, that it would start from.

    Args:
        spec: The architecture.
        role: The role of its network.
    """
    factory = NETWORKS["f" if kind_of(role) == HEAD else kind_of(role)][spec.name]
    defaults = option_defaults(factory)
    if not spec.options.get("weights") and not spec.options.get("pretrained", defaults.get("pretrained")):
        return spec
    start = "random" if isinstance(factory, type) and issubclass(factory, Vgg) else None
    return Spec(
        **{**spec.model_dump(), "weights": start}
        | ({"pretrained": False} if "pretrained" in defaults else {})
    )


def _store(
    plan: StagePlan, role: str, image_shape: tuple[int, int, int], width: int, classes: int
) -> nn.Module:
    """Return the store of earlier images, of feature vectors or of the classes' shares for a role."""
    if role == FEATURE_QUEUE:
        return FeatureQueue(plan.options.propagation_queue, width + classes, classes)
    if role == CLASS_SHARES:
        return ClassShares(classes)
    return ImagePool(plan.options.pool, image_shape)


def load_weights(net: nn.Module, weights: Weights, where: str) -> None:
    """Load weights into a network.

    Args:
        net: The network.
        weights: Its whole state dict.
        where: Path in the config for messages.

    Raises:
        CycadaError: Names or shapes differ from those of the network.
    """
    try:
        net.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CycadaError(
            f"{where}: the weights do not fit the network. {' '.join(str(error).split())[:500]}"
        ) from None


def weights_from_file(start: str, where: str) -> dict[str, Tensor]:
    """Return the weights of one network in a safetensors file.

    Args:
        start: `PATH#ROLE`.
        where: Path in the config for messages.

    Raises:
        CycadaError: The file cannot be read, or holds no network of this role.
    """
    path, _, role = start.partition("#")
    file = typed(path, Home, where)
    try:
        everything = load_file(file)
    except Exception as error:
        raise CycadaError(f"{where}: cannot read {path} ({error}).") from None
    return select_role_weights(everything, role, f"{where}: {path}")


def select_role_weights(everything: Weights, role: str, where: str) -> dict[str, Tensor]:
    """Return the tensors `ROLE.*` of a weights file, without the prefix in their names.

    Args:
        everything: All tensors of the file.
        role: The role.
        where: What an error message begins with.

    Raises:
        CycadaError: There is no tensor of this role.
    """
    weights = {key[len(role) + 1 :]: value for key, value in everything.items() if key.startswith(f"{role}.")}
    if not weights:
        raise CycadaError(
            f"{where} holds no network '{role}'. It has: "
            f"{', '.join(sorted({k.split('.')[0] for k in everything}))}."
        )
    return weights
