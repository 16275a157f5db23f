"""A wrapper that keeps a trained network fixed, as the paper's f_S."""

from __future__ import annotations

from typing import Any, Self

from torch import nn


class Frozen(nn.Module):
    """A trained network whose parameters and statistics cannot change, as the paper's f_S.

    No parameter receives a gradient, and `train()` does nothing: dropout stays off, and batch normalisation
    keeps its statistics. In the release, `net.train()` switches both on in its "fixed" source network.
    Gradients still flow through to the INPUT, which the semantic loss needs. The keys of the state dict are
    those of the network itself.

    Args:
        net: The trained network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        self.net = net.eval()
        self.multiple_of = int(getattr(net, "multiple_of", 1))
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        """Do nothing: the network stays in eval mode."""
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Refuse to switch gradients on.

        Raises:
            RuntimeError: `requires_grad` is true.
        """
        if requires_grad:
            raise RuntimeError(
                "A frozen network cannot be trained. Give the stage a phase that trains it instead."
            )
        return self

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the wrapped network."""
        return self.net(*inputs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the state dict of the wrapped network, without a prefix."""
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load a state dict of the wrapped network, without a prefix."""
        return self.net.load_state_dict(state_dict, strict=strict, assign=assign)
