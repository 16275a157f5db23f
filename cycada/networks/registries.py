"""Registries, one per kind of role: what f, g, d, d_feat, pair_g, pair_d and h in a config may name."""

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
"""The kind of a role -> its registry. `kind_of` gives the kind."""


HEAD = "head"
"""The kind of a second head: `head_t` is the head of another network of f_t's spec."""


def kind_of(role: str) -> str:
    """'g_st' -> 'g', 'f_t' -> 'f', 'd_s' -> 'd', 'h_st' -> 'h', 'd_feat' -> 'd_feat', 'pair_g' -> 'pair_g', 'pool_t' -> 'pool', ..."""
    return next(
        (kind for kind in NETWORKS if "_" in kind and role.startswith(kind)), role.split("_", maxsplit=1)[0]
    )
