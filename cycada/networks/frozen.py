"""A network that nothing can move: the paper's f_S."""

from __future__ import annotations

from typing import Any, Self

from torch import nn


class Frozen(nn.Module):
    """Wraps a trained network. No parameter has a gradient, `train()` does nothing, so neither dropout nor batch-norm
    statistics wake up (the released code wakes its "fixed" source network by `net.train()`).

    The forward lets gradient through to its INPUT, which the semantic loss needs. `requires_grad_(True)` raises
    RuntimeError. Keys of the state dict are those of the network itself.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        self.net = net.eval()
        self.multiple_of = int(getattr(net, "multiple_of", 1))
        super().train(False)

    def train(self, mode: bool = True) -> Self:
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        if requires_grad:
            raise RuntimeError(
                "A frozen network does not learn. Give the stage a phase that trains it instead."
            )
        return self

    def forward(self, *inputs: Any) -> Any:
        return self.net(*inputs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        return self.net.load_state_dict(state_dict, strict=strict, assign=assign)
