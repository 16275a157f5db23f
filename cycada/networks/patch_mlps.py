"""What turns a generator's activations into comparable vectors, one little network a layer (CUT's H)."""

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
    """A linear layer, ReLU and a linear layer for each map of a generator's `encode`, to `width` values of length 1 (Park et

    al. 2020, section 3, "Multilayer, patchwise contrastive learning"). widths: the maps' channels.
    """

    def __init__(self, widths: tuple[int, ...], *, width: Width = 256) -> None:
        super().__init__()
        if not widths:
            raise CycadaError(
                "networks.g: patches are compared by what a generator computes inside, which only resnet shows. Take resnet."
            )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(w, width), nn.ReLU(), nn.Linear(width, width)) for w in widths
        )
        init_cyclegan(self)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        """maps: (N, C, h, w) each; places: (S,) each, int64, into the h w places of that map. -> (layers, N, S, width), float32."""
        seen = [m.flatten(2)[:, :, at].transpose(1, 2) for m, at in zip(maps, places, strict=True)]
        answers = [head(patches) for head, patches in zip(self.heads, seen, strict=True)]
        return F.normalize(torch.stack(answers).float(), dim=-1)
