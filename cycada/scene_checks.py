"""What of a config goes with scenes alone, and what with whole images alone."""

from __future__ import annotations

from collections.abc import Mapping

from cycada.config import Config, Stage
from cycada.data import domains, scene_domains
from cycada.errors import CycadaError


def check_scenes(config: Config, scenes: bool) -> None:
    """What goes with images alone, and what with scenes alone."""
    source, target = config.data.source.name, config.data.target.name
    if (source in scene_domains) != (target in scene_domains):
        whole = source if source in domains else target
        raise CycadaError(f"data: '{whole}' labels whole images, the other domain every pixel; both must do alike.")
    if not scenes and not isinstance(config.data.size, int):
        found = config.data.model_dump(mode="json")["size"]
        raise CycadaError(f"data.size: found {found}, expected one number: labelled images are made square.")
    if scenes and config.data.channels != 3:
        raise CycadaError("data.channels: scenes are in colour; set it to 3.")
    for name, stage in config.stages.items():
        for key in ("crop", "size", "crop_area"):
            if getattr(stage, key) and not scenes:
                raise CycadaError(f"stages.{name}.{key}: only scenes are cropped or sized by stage. Take it out.")
        _check_windows(name, stage, config.shapes(stage))
        a = stage.augment
        if a and scenes and (a.rotate or a.scale or a.shear or a.shift or a.domains != "both"):
            raise CycadaError(f"stages.{name}.augment: scenes can be mirrored (flip: true), cropped (crop), and nothing else.")


def _check_windows(name: str, stage: Stage, shapes: Mapping[str, tuple[int, int]]) -> None:
    where, key = f"stages.{name}.crop", f"stages.{name}.size" if stage.size else "data.size"
    for shape in shapes.values():
        if stage.crop and (stage.crop[0] > shape[0] or stage.crop[1] > shape[1]):
            raise CycadaError(f"{where}: found {list(stage.crop)}, expected at most {key}, {list(shape)}.")
    if not stage.crop and shapes["source"] != shapes["target"]:
        raise CycadaError(f"{where}: found none, expected [height, width]: by {key} source and target are not of one shape.")
    if stage.crop_area and not (stage.crop and stage.crop_area[0] <= stage.crop_area[1]):
        found = f"{list(stage.crop_area)}{'' if stage.crop else ' without crop'}"
        raise CycadaError(f"{where}_area: found {found}, expected [least, most] beside crop: [height, width].")


def check_evaluation(config: Config, scenes: bool) -> None:
    """Windows and scales go with scenes alone, and windows lie within them."""
    e = config.evaluation
    for key in ("window", "scales"):
        if key in e.changes() and not scenes:
            raise CycadaError(f"evaluation.{key}: found {e.changes()[key]}, but images with one label are seen whole. Take it out.")
    for shape in config.shapes().values():
        if e.window and (e.window[0] > shape[0] or e.window[1] > shape[1]):
            raise CycadaError(f"evaluation.window: found {list(e.window)}, expected at most data.size, {list(shape)}.")
        for scale in e.scales:
            if round(scale * min(shape)) < 4:
                small = " x ".join(str(round(scale * side)) for side in shape)
                raise CycadaError(
                    f"evaluation.scales: {scale:g} leaves {small} pixels of data.size, {list(shape)}; expected at least 4 x 4."
                )
