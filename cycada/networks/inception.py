"""Inception-v3 from a local file, to measure translated images with; it is neither trained nor downloaded."""

from __future__ import annotations

import warnings
import zipfile
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.networks.weights import WHERE, fill, read_weights

SIDE = 299
"""Height and width of the images that Inception-v3 takes, in pixels."""


class InceptionFeatures(NamedTuple):
    """Features of images, as a feature extractor returns them.

    Attributes:
        pooled: (N, D), one vector for each image.
        maps: (N, D, h, w), or None where the extractor returns no maps.
    """

    pooled: Tensor
    maps: Tensor | None


class Inception(nn.Module):
    """torchvision's Inception-v3 (Szegedy et al. 2016) up to its last pooling layer.

    Images (N, C, H, W) in [-1, 1] become `InceptionFeatures(pooled (N, 2048), maps (N, 2048, 8, 8))`. Images
    are resized to 299 x 299, bilinear and antialiased; grey is shown as three equal colours. The network
    takes values in [-1, 1], so nothing else is normalised. 21,785,568 parameters. FID's original network
    pools in another way: see `ScriptedInception`.
    """

    resizing = f"bilinear, antialiased, to {SIDE} x {SIDE}"

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        body = inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False)
        body.avgpool, body.dropout, body.fc = nn.Identity(), nn.Identity(), nn.Identity()
        self.body = body

    def forward(self, x: Tensor) -> InceptionFeatures:
        """Return pooled features (N, 2048) and maps (N, 2048, 8, 8) of images (N, C, H, W)."""
        x = F.interpolate(
            x.expand(-1, 3, -1, -1), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
        )
        maps = self.body(x).unflatten(1, (-1, 8, 8))
        return InceptionFeatures(maps.mean((2, 3)), maps)


class ScriptedInception(nn.Module):
    """FID's own Inception network, from NVIDIA's TorchScript file inception-2015-12-05.pt.

    Images (N, C, H, W) in [-1, 1] become `InceptionFeatures(pooled (N, 2048), None)`. The scripted network
    takes bytes of any size and resizes them itself, as the TensorFlow graph of the first FID numbers (Heusel
    et al. 2017) does.

    Args:
        body: The loaded TorchScript module.
    """

    resizing = "by the scripted network itself"

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> InceptionFeatures:
        """Return pooled features (N, 2048) of images (N, C, H, W), and no maps."""
        pixels = ((x.expand(-1, 3, -1, -1) + 1) * 127.5).round().clamp(0, 255).byte()
        return InceptionFeatures(self.body(pixels, return_features=True), None)


def read_inception(path: str) -> Inception | ScriptedInception:
    """Read an Inception network from a local file, in eval mode and on the CPU.

    Args:
        path: A state dict of torchvision's inception_v3 (.pth or .safetensors), or FID's TorchScript file.

    Raises:
        CycadaError: The file cannot be read, does not fit, or is a port of FID's network, which pools in
            another way.
    """
    if _is_script(path):
        with warnings.catch_warnings():  # torch advises against this format, but FID's network comes in it
            warnings.simplefilter("ignore", FutureWarning)
            return ScriptedInception(torch.jit.load(path, map_location="cpu").eval())
    net = Inception()
    try:
        weights = read_weights(path)
        if len(weights.get("fc.weight", torch.empty(1000))) != 1000:
            raise CycadaError(
                f"{WHERE}: {path} is a port of FID's Inception ({len(weights['fc.weight'])} classes), which "
                "pools in another way than torchvision's inception_v3 (1000 classes). Give torchvision's "
                "file, or FID's TorchScript file inception-2015-12-05.pt."
            )
        fill(
            net.body,
            {key: value for key, value in weights.items() if not key.startswith(("AuxLogits.", "fc."))},
            path,
        )
    except CycadaError as error:
        raise CycadaError(str(error).replace(WHERE, "extractor")) from None
    return net.eval()


def _is_script(path: str) -> bool:
    """Return whether a file is TorchScript, that is an archive which holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
