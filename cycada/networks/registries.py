"""Registries of networks, one for each kind of role: what `networks` in a config may name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cycada.core.registry import Registry

Factory = Callable[..., nn.Module]

classifiers: Registry[Factory] = Registry("task network")
generators: Registry[Factory] = Registry("generator")
discriminators: Registry[Factory] = Registry("image discriminator")
feature_discriminators: Registry[Factory] = Registry("feature discriminator")
pair_generators: Registry[Factory] = Registry("generator of pairs")
pair_discriminators: Registry[Factory] = Registry("discriminator of pairs")
patch_heads: Registry[Factory] = Registry("set of patch heads")

NETWORKS: dict[str, Registry[Factory]] = {
    "f": classifiers,
    "g": generators,
    "d": discriminators,
    "d_feat": feature_discriminators,
    "pair_g": pair_generators,
    "pair_d": pair_discriminators,
    "h": patch_heads,
}
"""The registry of each kind of role; `kind_of` gives the kind of a role."""


HEAD = "head"
"""The kind of a second head: `head_t` is the head of another network with the spec of f_t."""


def kind_of(role: str) -> str:
    """Return the kind of a role: 'g' for 'g_st', 'd_feat' for 'd_feat', 'pool' for 'pool_t', and so on."""
    return next(
        (kind for kind in NETWORKS if "_" in kind and role.startswith(kind)), role.split("_", maxsplit=1)[0]
    )
