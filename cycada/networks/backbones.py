"""Any timm model as a classifier, with the normalisation that it was trained with inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.types import Output
from cycada.networks.registries import classifiers


def timm_model(model: str, pretrained: bool, weights: str | None, **options: Any) -> Any:
    """Create timm's model of this name, with weights that are downloaded or read from a local file.

    Args:
        model: A name that `timm.list_models()` holds.
        pretrained: Let timm download the weights.
        weights: Path of a local file of weights, used in place of the download.
        **options: Options of `timm.create_model`.

    Returns:
        The timm module.

    Raises:
        CycadaError: timm does not know the name, or there is no file `weights`.
    """
    import timm

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
    """Any timm model (Wightman 2019) as a classifier.

    Images (N, C, H, W) in [-1, 1] become `Output(features (N, width), logits (N, K))`; the features are
    timm's pooled ones, in front of its last layer. Images are normalised inside, as timm records for the
    model; grey images by the mean over the three colours. The number of parameters and the smallest image are
    those of the model.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        model: A name that timm knows.
        pretrained: Let timm download the weights.
        weights: Path of a local file of weights, used in place of the download.

    Raises:
        CycadaError: timm does not know the name, or there is no file `weights`.
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
        """Return the pooled features (N, width) and the logits (N, K) of images (N, C, H, W)."""
        features = self.body.forward_features(((x + 1) / 2 - self.mean) / self.std)
        return Output(self.body.forward_head(features, pre_logits=True), self.body.forward_head(features))
