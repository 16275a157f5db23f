"""Translators: pictures in, pictures out, from a finished stage or from an exported generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor, nn

from cycada.config.schema import Config
from cycada.core.errors import CycadaError, shown
from cycada.data import convert, to_bytes, to_float
from cycada.data.convert import Resize
from cycada.data.picture import UNREADABLE, pixels_of, read_picture
from cycada.data.preprocess import Preprocess, check_array
from cycada.inference.batches import check_floats
from cycada.inference.export_format import read_export
from cycada.inference.tiling import TILE, ProgressCallback, no_progress, translate_picture
from cycada.methods import Direction, Networks, Translate
from cycada.methods.base import generators_translate
from cycada.networks import kind_of
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_stage, load_stage, trained_networks
from cycada.storage.exports import is_export
from cycada.storage.loading import trained_network
from cycada.storage.store import RunFolder
from cycada.train.device import Device

Size = Literal["keep", "run"] | int
"""The size of translated pictures: their own, that of the training, or pixels of the shorter side."""


@dataclass(frozen=True)
class Translator:
    """A function that translates a picture into the other domain.

    `translator(picture)` takes a PIL image or a uint8 array (H, W) or (H, W, C), and returns the same kind.

    Attributes:
        translate: Images (N, C, H, W) float in [-1, 1] -> the same shape and range.
        channels: The number of image channels in training.
        size: Height and width of the images in training.
        resize: How images were brought to that size.
        direction: `st`, source to target, or `ts`.
        identity: The id of the run that it comes from.
        device: Where it computes.
    """

    translate: Translate
    channels: int
    size: tuple[int, int]
    resize: Resize
    direction: Direction
    identity: str
    device: torch.device

    @property
    def net(self) -> nn.Module:
        """The generator, in eval mode: (N, C, H, W) float in [-1, 1] -> the same.

        Raises:
            CycadaError: The method translates without a generator.
        """
        if not isinstance(self.translate, nn.Module):
            raise CycadaError(
                f"{self.identity}: it translates by a search and not by a generator, so there is no network "
                "to take out."
            )
        return self.translate

    @property
    def preprocess(self) -> Preprocess:
        """The function from a picture to the generator's input at the size of the training."""
        return Preprocess(self.size, self.channels, self.resize)

    def predict(self, pictures: Any, size: Size = "run") -> Any:
        """Translate one or more pictures.

        Args:
            pictures: A path, a PIL image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3); or a list of such;
                or a batch of floats (N, C, H, W) in [-1, 1].
            size: As for a call of the translator; a batch is taken at its own size.

        Returns:
            The translation: a PIL image for a path, else what was given; a list for a list.

        Raises:
            CycadaError: A picture cannot be read, or something else was given.
        """
        if isinstance(pictures, Tensor):
            if pictures.ndim != 4 or pictures.shape[1] != self.channels or not pictures.is_floating_point():
                raise CycadaError(
                    f"predict: found a tensor {tuple(pictures.shape)} of {pictures.dtype}, expected (N, "
                    f"{self.channels}, H, W) of floats in [-1, 1]."
                )
            check_floats(pictures, self.channels)
            with torch.no_grad():
                return self.translate(pictures.float().to(self.device))
        if isinstance(pictures, (list, tuple)):
            return [self.predict(picture, size) for picture in pictures]
        if isinstance(pictures, (str, Path)):
            array = self(read_picture(Path(pictures), 3 if self.channels == 3 else 1), size)
            return Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)
        if isinstance(pictures, (Pil.Image, np.ndarray)):
            return self(pictures, size)
        raise CycadaError(
            f"predict: found a {type(pictures).__name__}, expected a path, a PIL image, a uint8 array, a "
            "list of these, or a batch tensor (N, C, H, W)."
        )

    @overload
    def __call__(
        self, picture: np.ndarray, size: Size = ..., tile: int = ..., report: ProgressCallback = ...
    ) -> np.ndarray: ...

    @overload
    def __call__(
        self, picture: Pil.Image, size: Size = ..., tile: int = ..., report: ProgressCallback = ...
    ) -> Pil.Image: ...

    def __call__(
        self,
        picture: np.ndarray | Pil.Image,
        size: Size = "run",
        tile: int = TILE,
        report: ProgressCallback = no_progress,
    ) -> np.ndarray | Pil.Image:
        """Translate a picture.

        A PIL image is read as a file would be: turned upright, transparency on white, 16 bits scaled to 8.

        Args:
            picture: A PIL image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3).
            size: `run`: the size of the training. `keep`: the picture's own size. A number: pixels of the
                shorter side.
            tile: A picture of more than tile ** 2 pixels is translated in tiles of that height and width,
                without seams.
            report: Is told which share is done, for a progress bar.

        Raises:
            CycadaError: The picture cannot be read, or this method cannot translate at this size.
        """
        if isinstance(picture, Pil.Image):
            try:
                array = self(pixels_of(picture, 3 if self.channels == 3 else 1), size, tile, report)
            except UNREADABLE as error:
                raise CycadaError(f"The picture cannot be read: {error}.") from error
            return Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)
        if not isinstance(picture, np.ndarray):
            raise CycadaError(
                f"Found a {type(picture).__name__}, expected a PIL image or a uint8 array. `predict` takes "
                "paths, lists and batches, too."
            )
        check_array(picture)
        pixels = torch.from_numpy(np.array(picture)).reshape(*picture.shape[:2], -1).permute(2, 0, 1)
        return self._translate(self._resized(pixels, size), tile, report).permute(1, 2, 0).numpy()

    def check(self, size: Size) -> None:
        """Raise CycadaError for a size that is none, or that this method cannot translate at."""
        whole = isinstance(size, int) and not isinstance(size, bool)
        if size not in ("run", "keep") and not (whole and 4 <= int(size) < 2**16):
            raise CycadaError(
                f"size: found {shown(size)}, expected run, keep, or a number of pixels from 4 to 65535."
            )
        if size != "run" and not isinstance(self.translate, nn.Module):
            raise CycadaError(
                f"size: found {size}, but {self.identity} translates by a search, which works at the size of "
                "the training only. Use run."
            )

    def _resized(self, pixels: Tensor, size: Size) -> Tensor:
        """Bring a picture (C, H, W) uint8 to the channels and the size that are asked for."""
        self.check(size)
        height, width = pixels.shape[1:]
        if size == "run":
            return convert(pixels[None], self.size, self.channels, self.resize)[0]
        if size != "keep":
            scale = size / min(height, width)
            height, width = round(height * scale), round(width * scale)
        return convert(
            pixels[None], (height, width), self.channels, "bilinear" if self.resize == "pad" else self.resize
        )[0]

    def _translate(self, pixels: Tensor, tile: int, report: ProgressCallback) -> Tensor:
        if isinstance(self.translate, nn.Module):
            return translate_picture(self.translate, pixels, tile, report)
        with torch.no_grad():
            result = to_bytes(self.translate(to_float(pixels[None].to(self.device))))[0].cpu()
        report(1.0)
        return result


def load_generator(
    what: Path | str,
    direction: Direction | None = None,
    results: Path | str = "results",
    device: str | torch.device | None = None,
) -> Translator:
    """Load a translator from a run or from an exported generator.

    Args:
        what: A run folder, the beginning of a run's id, the name of an experiment (its last stage that has
            the generator), or a folder or a file of `cycada export`.
        direction: `st`, source to target, or `ts`. An export has one direction; for a run the default is
            `st`.
        results: The folder of the runs.
        device: `auto`, `cpu` or `cuda`; the run's own where it is not given.

    Raises:
        CycadaError: There is no such run or export, or it does not have this direction.
    """
    if is_export(Path(what)):
        net, about = read_export(Path(what))
        if about.direction is None:
            raise CycadaError(
                f"{what}: found {about.role}, which names classes, expected a generator. Use it with: cycada "
                "predict"
            )
        if direction not in (None, about.direction):
            raise CycadaError(
                f"{what}: found the direction '{about.direction}' only, not '{direction}'. Export that one, "
                "too, or name the run."
            )
        torch_device = Device.find("auto" if device is None else device).torch_device
        return Translator(
            net.to(torch_device),
            about.channels,
            about.size,
            about.resize,
            about.direction,
            about.run,
            torch_device,
        )
    direction = direction or "st"
    folder = find_stage(what, results, f"g_{direction}")
    config, stage = load_stage(folder)
    run_device = Device.find(config.device if device is None else device)
    translate = translation(folder, config, stage, direction, run_device)
    size = config.shapes(stage.stage)["source" if direction == "st" else "target"]
    return Translator(
        translate,
        config.data.channels,
        size,
        config.data.resize,
        direction,
        folder.id,
        run_device.torch_device,
    )


def translation(
    folder: RunFolder, config: Config, stage: StagePlan, direction: Direction, device: Device
) -> Translate:
    """Return how a finished stage translates in one direction.

    Args:
        folder: The run folder.
        config: The config of the run.
        stage: The plan of the stage.
        direction: `st` or `ts`.
        device: Where to compute.

    Raises:
        CycadaError: The stage does not translate in this direction.
    """
    if stage.method.translations is generators_translate:  # only generators are needed: load nothing else
        roles = {
            role: trained_network(folder, config, stage, role) for role in stage.specs if kind_of(role) == "g"
        }
        nets = Networks(roles).to(device.torch_device)
    else:
        nets = trained_networks(
            folder, config, stage, len(folder.arrays("analysis.npz").get("classes", ())), device
        )
    translations = stage.method.translations(nets.eval(), stage.options)
    if direction not in translations:
        hint = (
            f"It has: {', '.join(translations)}."
            if translations
            else "It does not translate: name a stage that learns or uses g_st."
        )
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no direction '{direction}'. "
            f"{hint}"
        )
    return translations[direction]
