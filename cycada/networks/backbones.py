"""Any timm model as a task network, with the normalisation that it was trained with inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.types import Output
from cycada.networks.registries import classifiers


def timm_model(model: str, pretrained: bool, weights: str | None, **options: Any) -> Any:
    """timm's model of that name with its own `options`, its weights downloaded or from a local file. Raises CycadaError."""
    if not timm.is_model(model):
        raise CycadaError(
            f"networks.f: timm knows no model '{model}'.{nearest(model, timm.list_models())[:400]}"
        )
    if weights and not Path(weights).is_file():
        raise CycadaError(f"networks.f.weights: there is no file {weights}.")
    overlay = {"file": weights} if weights else None
    return timm.create_model(
        model, pretrained=pretrained or bool(weights), pretrained_cfg_overlay=overlay, **options
    )


@classifiers("timm")
class TimmClassifier(nn.Module):
    """`model` is a name that timm knows. pretrained: timm downloads the weights; weights: a local file instead.

    (N, C, H, W) in [-1, 1] -> Output(pooled features, logits). Grey images are normalised by the mean over colours.
    """

    body: Any
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_channels: int,
        classes: int,
        *,
        model: str,
        pretrained: bool = False,
        weights: PathText | None = None,
    ) -> None:
        super().__init__()
        body = timm_model(model, pretrained, weights, num_classes=classes, in_chans=image_channels)
        self.body = body
        self.width = int(body.head_hidden_size)
        for name in ("mean", "std"):
            values = torch.tensor(body.pretrained_cfg.get(name, (0.5, 0.5, 0.5)))
            values = values if image_channels == 3 else values.mean().expand(image_channels)
            self.register_buffer(name, values.reshape(-1, 1, 1).clone())

    def forward(self, x: Tensor) -> Output:
        features = self.body.forward_features(((x + 1) / 2 - self.mean) / self.std)
        return Output(self.body.forward_head(features, pre_logits=True), self.body.forward_head(features))
