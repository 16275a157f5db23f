"""CUT's projection heads, one for each map of a generator, to vectors that can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import Width
from cycada.core.errors import CycadaError
from cycada.networks.blocks import init_cyclegan
from cycada.networks.registries import patch_heads


@patch_heads("mlp")
class PatchMlps(nn.Module):
    """CUT's projection heads H (Park et al. 2020, section 3).

    See "Multilayer, patchwise contrastive learning" there. Each map of a generator's `encode` has its own
    linear layer, ReLU and linear layer, to vectors of `width` values and length 1. 560,384 parameters for the
    five maps of the stock ResNet generator.

    Args:
        widths: The number of channels of each map.
        width: The number of values of a vector.

    Raises:
        CycadaError: `widths` is empty: the generator does not return its maps.
    """

    def __init__(self, widths: tuple[int, ...], *, width: Width = 256) -> None:
        super().__init__()
        if not widths:
            raise CycadaError(
                "networks.g: patches are compared by the maps inside the generator, which only 'resnet' "
                "returns. "
                "Use the generator 'resnet'."
            )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(w, width), nn.ReLU(), nn.Linear(width, width)) for w in widths
        )
        init_cyclegan(self)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        """Return the vectors at chosen places of each map.

        Args:
            maps: One (N, C, h, w) for each layer.
            places: One (S,) int64 for each layer: indices into the h x w places of its map.

        Returns:
            (layers, N, S, width), float32, each vector of length 1.
        """
        patches = [m.flatten(2)[:, :, index].transpose(1, 2) for m, index in zip(maps, places, strict=True)]
        vectors = [head(values) for head, values in zip(self.heads, patches, strict=True)]
        return F.normalize(torch.stack(vectors).float(), dim=-1)
