"""Inception-v3 from a local file, to measure pictures with. Never trained here, never downloaded."""

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
"""Pixels a side that Inception-v3 looks at."""


class InceptionFeatures(NamedTuple):
    """What an extractor makes of pictures. pooled: (N, D). maps: (N, D, h, w), or None where it keeps no places."""

    pooled: Tensor
    maps: Tensor | None


class Inception(nn.Module):
    """torchvision's Inception-v3 up to its last pooling. (N, C, H, W) in [-1, 1] -> InceptionFeatures(pooled (N, 2048), maps (N, 2048, 8, 8)).

    Pictures are brought to 299 x 299, bilinear and antialiased; the network takes [-1, 1] as they come, grey as three equal colours.
    """

    resizing = f"bilinear, antialiased, to {SIDE} x {SIDE}"

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        body = inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False)
        body.avgpool, body.dropout, body.fc = nn.Identity(), nn.Identity(), nn.Identity()
        self.body = body

    def forward(self, x: Tensor) -> InceptionFeatures:
        x = F.interpolate(
            x.expand(-1, 3, -1, -1), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
        )
        maps = self.body(x).unflatten(1, (-1, 8, 8))
        return InceptionFeatures(maps.mean((2, 3)), maps)


class ScriptedInception(nn.Module):
    """The TorchScript file of FID's own Inception (NVIDIA's inception-2015-12-05.pt): it takes bytes at any size and resizes them

    itself, as the TensorFlow graph of the first FID numbers did. (N, C, H, W) in [-1, 1] -> InceptionFeatures(pooled (N, 2048), None).
    """

    resizing = "by the scripted network itself"

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> InceptionFeatures:
        pixels = ((x.expand(-1, 3, -1, -1) + 1) * 127.5).round().clamp(0, 255).byte()
        return InceptionFeatures(self.body(pixels, return_features=True), None)


def read_inception(path: str) -> Inception | ScriptedInception:
    """A file of torchvision's inception_v3 (state dict, .pth or .safetensors), or FID's TorchScript file. Raises CycadaError."""
    if _is_script(path):
        with warnings.catch_warnings():  # torch would like other formats better; this one is FID's
            warnings.simplefilter("ignore", FutureWarning)
            return ScriptedInception(torch.jit.load(path, map_location="cpu").eval())
    net = Inception()
    try:
        weights = read_weights(path)
        if len(weights.get("fc.weight", torch.empty(1000))) != 1000:
            raise CycadaError(
                f"{WHERE}: {path} is a port of FID's Inception ({len(weights['fc.weight'])} classes), which pools otherwise than "
                "torchvision's inception_v3 (1000 classes). Give torchvision's file, or FID's TorchScript file inception-2015-12-05.pt."
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
    """TorchScript files are archives that hold code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
