"""Feature discriminators for classifiers: (N, D) -> (N, 2); class 1 is the source, class 0 the target."""

from __future__ import annotations

from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.networks.blocks import init_xavier
from cycada.networks.registries import feature_discriminators


@feature_discriminators("mlp")
class MlpDiscriminator(nn.Module):
    """The feature discriminator of ADDA and CyCADA.

    It is a multilayer perceptron (Tzeng et al. 2017). Features or scores (N, D) become logits (N, 2); class 1
    is the source, class 0 the target. Linear layers of `width` values with ReLU between them; by default two
    hidden layers of 500, as in the ADDA and CyCADA releases: 257,002 parameters for D = 10.

    Args:
        inputs: D, the number of inputs.
        width: The number of values of each hidden layer.
        hidden: The number of hidden layers.
        dropout: Dropout rate behind each hidden layer, in [0, 1); 0, as in the releases, for none.
    """

    def __init__(self, inputs: int, *, width: Width = 500, hidden: Depth = 2, dropout: Below1 = 0.0) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for i in range(hidden):
            modules += [nn.Linear(inputs if i == 0 else width, width), nn.ReLU()]
            modules += [nn.Dropout(dropout)] if dropout else []
        self.body = init_xavier(nn.Sequential(*modules, nn.Linear(width if hidden else inputs, 2)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 2) of features (N, D)."""
        logits: Tensor = self.body(x)
        return logits
