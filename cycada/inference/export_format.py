"""The format of an exported generator: generator.safetensors, which describes itself, and config.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from cycada.config.schema import Spec
from cycada.core.errors import CycadaError
from cycada.core.files import write_bytes
from cycada.data.transforms import Resize
from cycada.methods import Direction
from cycada.planning.build import load_weights, network

WEIGHTS, CONFIG, CARD, ONNX = "generator.safetensors", "config.json", "README.md", "generator.onnx"
FORMAT = 1
"""Version of the description of the weights; increase it when older versions can no longer read it."""


@dataclass(frozen=True)
class Exported:
    """The description of an exported generator, as config.json and the .safetensors file hold it.

    Attributes:
        architecture: Name and options of the network.
        channels: The number of image channels.
        size: Height and width of the images that it was trained on.
        window: Height and width of the crops of them that it saw at once.
        multiple_of: The number that divides height and width of its images.
        resize: How images were brought to `size`.
        direction: `st`, source to target, or `ts`.
        role: The role of the network in its stage.
        source: The name of the source data.
        target: The name of the target data.
        run: The id of the run.
        experiment: The name of the experiment.
        stage: The name of the stage.
        method: The name of the stage's method.
        seed: The seed of the run.
        steps: The number of training steps.
        plugins: The plug-ins that the run had loaded.
        versions: Versions of cycada and torch, and the git commit.
        range: The smallest and largest value of an image.
        format: `FORMAT` of the version that wrote it.
    """

    architecture: dict[str, Any]
    channels: int
    size: tuple[int, int]
    window: tuple[int, int]
    multiple_of: int
    resize: Resize
    direction: Direction
    role: str
    source: str
    target: str
    run: str
    experiment: str
    stage: str
    method: str
    seed: int
    steps: int
    plugins: tuple[str, ...]
    versions: dict[str, str]
    range: tuple[float, float] = (-1.0, 1.0)
    format: int = FORMAT

    def text(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def is_export(path: Path) -> bool:
    """Return whether a path is a folder or a file of `cycada export`, and not a run."""
    return path.suffix == ".safetensors" or (path / WEIGHTS).exists()


def write_weights(folder: Path, net: nn.Module, about: Exported) -> None:
    """Write generator.safetensors and config.json, each completely or not at all."""
    weights = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    for name, content in (
        (WEIGHTS, save(weights, {"cycada": about.text()})),
        (CONFIG, about.text().encode()),
    ):
        write_bytes(folder / name, content)


def read_export(path: Path) -> tuple[nn.Module, Exported]:
    """Read an exported generator.

    Args:
        path: A folder of `cycada export`, or its .safetensors file alone.

    Returns:
        The generator, in eval mode and on the CPU, and its description.

    Raises:
        CycadaError: The file cannot be read, does not describe itself, or needs a plug-in that is not loaded.
    """
    file = path / WEIGHTS if path.is_dir() else path
    try:
        with safe_open(file, "pt") as opened:
            about = _parsed((opened.metadata() or {}).get("cycada"), file)
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CycadaError(
            f"{file}: cannot be read ({error}). Export it again with: cycada export RUN OUT"
        ) from None
    context = {"image_channels": about.channels, "size": min(about.window), "shape": about.window}
    try:
        net = network(Spec(**about.architecture), "g", context, "architecture")
    except CycadaError as error:
        hint = (
            f" It was made with the plugins {', '.join(about.plugins)}: import them first."
            if about.plugins
            else ""
        )
        raise CycadaError(f"{file}: {error}{hint}") from None
    load_weights(net, weights, str(file))
    return net.eval(), about


def _parsed(text: str | None, file: Path) -> Exported:
    """Parse the description of an exported generator."""
    if text is None:
        raise CycadaError(
            f"{file}: it does not say which network its weights belong to, expected a file of `cycada "
            "export`. "
            "Name the run instead, or export it: cycada export RUN OUT"
        )
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise CycadaError(
                f"{file}: its format is {values['format']}, this version reads {FORMAT}. Export it again."
            )
        names = {f.name for f in fields(Exported)}
        about = TypeAdapter(Exported).validate_python({k: v for k, v in values.items() if k in names})
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise CycadaError(
            f"{file}: its description of itself cannot be read ({' '.join(str(error).split())[:300]}). "
            "Export it again."
        ) from None
    return about
