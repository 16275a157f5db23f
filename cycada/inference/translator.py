"""One way of translating, of a finished stage or of an exported generator: pictures in, pictures out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor, nn

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.data import convert, to_bytes, to_float
from cycada.data.picture import UNREADABLE, pixels_of
from cycada.data.transforms import Resize
from cycada.inference.export_format import is_export, read_export
from cycada.inference.tiling import TILE, ProgressCallback, no_progress, translate_picture
from cycada.methods import Direction, Networks, Translate
from cycada.methods.base import generators_translate
from cycada.networks import kind_of
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, trained_networks
from cycada.storage.loading import trained_network
from cycada.storage.store import RunFolder
from cycada.train.device import Device

Size = Literal["keep", "run"] | int
"""At which size pictures go through: their own, that of the training, or so many pixels on the shorter side."""


@dataclass(frozen=True)
class Translator:
    """`translator(picture)` gives the picture in the other domain; pictures are PIL images, or uint8 arrays (H, W[, C]).

    way: images (N, C, H, W) float in [-1, 1] -> the same shape and range. channels, size = (height, width), resize: those of the
    training. identity: the run that it comes from.
    """

    way: Translate
    channels: int
    size: tuple[int, int]
    resize: Resize
    direction: Direction
    identity: str
    device: torch.device

    @property
    def net(self) -> nn.Module:
        """The generator itself, in eval mode: (N, C, H, W) float in [-1, 1] -> the same. Raises CycadaError where there is none."""
        if not isinstance(self.way, nn.Module):
            raise CycadaError(
                f"{self.identity}: it translates by a search and not by a generator, which alone can be taken out of its run."
            )
        return self.way

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
        """A PIL image is read as a file is: upright, on white, 16 bits scaled to 8.

        At `size`; what has more than tile ** 2 pixels goes by tiles of that many pixels on each side, without seams.

        report: told which share is done, for a progress bar. Raises CycadaError for a size that this way cannot do.
        """
        if isinstance(picture, Pil.Image):
            try:
                array = self(pixels_of(picture, 3 if self.channels == 3 else 1), size, tile, report)
            except UNREADABLE as error:
                raise CycadaError(f"The picture cannot be read: {error}.") from error
            return Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)
        if (
            picture.dtype != np.uint8
            or picture.ndim not in (2, 3)
            or picture.shape[2:] not in ((), (1,), (3,))
        ):
            raise CycadaError(
                f"Found an array {picture.dtype}{picture.shape}, expected uint8 of (H, W), (H, W, 1) or (H, W, 3)."
            )
        pixels = torch.from_numpy(np.array(picture)).reshape(*picture.shape[:2], -1).permute(2, 0, 1)
        return self._translated(self._sized(pixels, size), tile, report).permute(1, 2, 0).numpy()

    def check(self, size: Size) -> None:
        """Raises CycadaError for a size that this way cannot do."""
        if size != "run" and not isinstance(self.way, nn.Module):
            raise CycadaError(
                f"size: found {size}, but {self.identity} translates by a search, at its own size alone. Use run."
            )

    def _sized(self, pixels: Tensor, size: Size) -> Tensor:
        """(C, H, W) uint8 -> the same with the channels and the size that were asked for."""
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

    def _translated(self, pixels: Tensor, tile: int, report: ProgressCallback) -> Tensor:
        if isinstance(self.way, nn.Module):
            return translate_picture(self.way, pixels, tile, report)
        with torch.no_grad():
            result = to_bytes(self.way(to_float(pixels[None].to(self.device))))[0].cpu()
        report(1.0)
        return result


def load_generator(
    what: Path | str,
    direction: Direction | None = None,
    results: Path | str = "results",
    device: str | None = None,
) -> Translator:
    """A translator from a run (its folder, or the beginning of its id) or from what `cycada export` wrote (folder or file).

    direction: st, source to target, or ts. An export has one of them; of a run it is st where nothing is said. device: `auto`,
    `cpu` or `cuda`; the run's own where nothing is said. Raises CycadaError, also for a direction that is not there.
    """
    if is_export(Path(what)):
        net, about = read_export(Path(what))
        if direction not in (None, about.direction):
            raise CycadaError(
                f"{what}: found the direction '{about.direction}' alone, not '{direction}'. Export that one too, or name the run."
            )
        place = Device.find(device or "auto").torch_device
        return Translator(
            net.to(place), about.channels, about.size, about.resize, about.direction, about.run, place
        )
    folder, direction = find_run(what, results), direction or "st"
    config, stage = load_stage(folder)
    found = Device.find(device or config.device)
    way = translation(folder, config, stage, direction, found)
    size = config.shapes(stage.stage)["source" if direction == "st" else "target"]
    return Translator(
        way, config.data.channels, size, config.data.resize, direction, folder.id, found.torch_device
    )


def translation(
    folder: RunFolder, config: Config, stage: StagePlan, direction: Direction, device: Device
) -> Translate:
    """How a finished stage translates in a direction. Raises CycadaError where it does not."""
    if (
        stage.method.translations is generators_translate
    ):  # nothing but generators: whatever else there is stays on the disk
        roles = {
            role: trained_network(folder, config, stage, role) for role in stage.specs if kind_of(role) == "g"
        }
        nets = Networks(roles).to(device.torch_device)
    else:
        nets = trained_networks(
            folder, config, stage, len(folder.arrays("analysis.npz").get("classes", ())), device
        )
    ways = stage.method.translations(nets.eval(), stage.options)
    if direction not in ways:
        there = (
            f"It has: {', '.join(ways)}."
            if ways
            else "It does not translate: name a stage that learns or uses g_st."
        )
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no direction '{direction}'. {there}"
        )
    return ways[direction]
