"""Feature discriminators: (N, D) -> (N, 2), class 1 says source, class 0 says target."""

from __future__ import annotations

from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.networks.blocks import init_xavier
from cycada.networks.registries import feature_discriminators


@feature_discriminators("mlp")
class MlpDiscriminator(nn.Module):
    """FC D -> width -> ReLU -> ... -> 2, with `hidden` hidden layers. 500 and 2 as in the ADDA and CyCADA releases."""

    def __init__(self, inputs: int, *, width: Width = 500, hidden: Depth = 2, dropout: Below1 = 0.0) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for i in range(hidden):
            modules += [nn.Linear(inputs if i == 0 else width, width), nn.ReLU()]
            modules += [nn.Dropout(dropout)] if dropout else []
        self.body = init_xavier(nn.Sequential(*modules, nn.Linear(width if hidden else inputs, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
