"""Networks for every role of a method; images go in as floats in [-1, 1].

A module that is placed in this folder is imported here, and so its networks enter the registries by
themselves.
"""

from cycada.core.registry import import_folder
from cycada.networks.class_shares import ClassShares
from cycada.networks.coupled import NOISE, PairDiscriminatorOutput
from cycada.networks.feature_queue import FeatureQueue
from cycada.networks.frozen import Frozen
from cycada.networks.pool import ImagePool
from cycada.networks.registries import (
    HEAD,
    NETWORKS,
    Factory,
    classifiers,
    discriminators,
    feature_discriminators,
    generators,
    kind_of,
    pair_discriminators,
    pair_generators,
    patch_heads,
)
from cycada.networks.reverse import reverse_gradient

import_folder(__name__, list(__path__))

__all__ = [
    "HEAD",
    "NETWORKS",
    "NOISE",
    "ClassShares",
    "Factory",
    "FeatureQueue",
    "Frozen",
    "ImagePool",
    "PairDiscriminatorOutput",
    "classifiers",
    "discriminators",
    "feature_discriminators",
    "generators",
    "kind_of",
    "pair_discriminators",
    "pair_generators",
    "patch_heads",
    "reverse_gradient",
]
