"""The format of an exported network: model.safetensors, which describes itself, and config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from cycada.config.schema import Spec
from cycada.core.errors import CycadaError
from cycada.core.files import write_bytes
from cycada.data.convert import Resize
from cycada.data.preprocess import Fit, Preprocess
from cycada.methods import Direction
from cycada.networks import kind_of
from cycada.planning.build import build_network, load_weights
from cycada.storage.exports import WEIGHTS, weights_file
from cycada.train.device import Precision

CONFIG, CARD, ONNX, PT2 = "config.json", "README.md", "model.onnx", "model.pt2"
FORMAT = 2
"""Version of the description of the weights; increase it when older versions can no longer read it."""

Role = Literal["f_t", "g_st", "g_ts"]
"""The networks that can be exported: the classifier or segmenter of the target, and the two generators."""


@dataclass(frozen=True)
class Exported:
    """The description of an exported network, as config.json and the .safetensors file hold it.

    Attributes:
        architecture: Name and options of the network.
        channels: The number of image channels.
        size: Height and width of the images that it was trained on.
        window: Height and width of the crops of them that it saw at once.
        multiple_of: The number that divides height and width of its images.
        resize: How images were brought to `size`.
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
        direction: Of a generator, `st`, source to target, or `ts`.
        classes: Of a classifier or segmenter, the names of its classes in order.
        segmentation: Whether it names the class of every pixel.
        palette: Of a segmenter, the colour of each class: red, green, blue in 0..255.
        mask_values: Of a segmenter, what stands for each class in the masks of the target's files: an id, or
            a colour.
        fit: Of a classifier or segmenter, how a picture is brought to `size`.
        upright: Whether the EXIF orientation of a file is followed.
        precision: The precision of its scores in the run.
        evaluation: How its predictions are made: window, overlap, flip, scales and multiple_of.
        range: The smallest and largest value of an image.
        format: `FORMAT` of the version that wrote it.
    """

    architecture: dict[str, Any]
    channels: int
    size: tuple[int, int]
    window: tuple[int, int]
    multiple_of: int
    resize: Resize
    role: Role
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
    direction: Direction | None = None
    classes: tuple[str, ...] = ()
    segmentation: bool = False
    palette: tuple[tuple[int, int, int], ...] = ()
    mask_values: tuple[int | tuple[int, int, int], ...] = ()
    fit: Fit = "whole"
    upright: bool = True
    precision: Precision = "fp32"
    evaluation: dict[str, Any] = field(default_factory=dict)
    range: tuple[float, float] = (-1.0, 1.0)
    format: int = FORMAT

    @property
    def translates(self) -> bool:
        """Whether it is a generator."""
        return kind_of(self.role) == "g"

    @property
    def preprocess(self) -> Preprocess:
        """The function from a picture to its input."""
        return Preprocess(self.size, self.channels, self.resize, self.fit, self.upright)

    def text(self) -> str:
        """Return the description as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


def write_weights(folder: Path, net: nn.Module, about: Exported) -> None:
    """Write model.safetensors and config.json, each completely or not at all."""
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in net.state_dict().items()}
    for name, content in (
        (WEIGHTS, save(weights, {"cycada": about.text()})),
        (CONFIG, about.text().encode()),
    ):
        write_bytes(folder / name, content)


def read_export(path: Path) -> tuple[nn.Module, Exported]:
    """Read an exported network.

    Args:
        path: A folder of `cycada export`, or its .safetensors file alone.

    Returns:
        The network, in eval mode and on the CPU, and its description.

    Raises:
        CycadaError: The file cannot be read, does not describe itself, or needs a plug-in that is not loaded.
    """
    file = weights_file(path) if path.is_dir() else path
    try:
        with safe_open(file, "pt") as opened:
            text = (opened.metadata() or {}).get("cycada")
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CycadaError(
            f"{file}: cannot be read ({error}). Export it again with: cycada export RUN OUT"
        ) from None
    if text is None:
        raise CycadaError(
            f"{file}: it does not say which network its weights belong to, expected a file of `cycada "
            "export`. Name the run instead, or export it: cycada export RUN OUT"
        )
    try:
        values = json.loads(text)
    except ValueError as error:
        raise _unreadable(file, error) from None
    about = parse_description(values, file)
    net = build_untrained(about, file)
    load_weights(net, weights, str(file))
    return net.eval(), about


def parse_description(values: Any, file: Path | str) -> Exported:
    """Return the description of an exported network from plain values.

    Args:
        values: The content of config.json.
        file: Where it comes from, for messages.

    Raises:
        CycadaError: It is of a newer version, or something else.
    """
    try:
        if values["format"] not in range(1, FORMAT + 1):
            raise CycadaError(
                f"{file}: its format is {values['format']}, this version reads 1 to {FORMAT}. Export it "
                "again, "
                "or use a newer version of cycada."
            )
        names = {f.name for f in fields(Exported)}
        return TypeAdapter(Exported).validate_python({k: v for k, v in values.items() if k in names})
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path | str, error: Exception) -> CycadaError:
    return CycadaError(
        f"{file}: its description of itself cannot be read ({' '.join(str(error).split())[:300]}). "
        "Export it again."
    )


def build_untrained(about: Exported, file: Path | str) -> nn.Module:
    """Return a new network of an export's architecture.

    Args:
        about: The description of the export.
        file: Where it comes from, for messages.

    Raises:
        CycadaError: The architecture is not known, for instance because its plug-in is not imported.
    """
    context: Mapping[str, Any] = {
        "image_channels": about.channels,
        "size": min(about.window),
        "shape": about.window,
        "classes": len(about.classes),
    }
    try:
        return build_network(Spec(**about.architecture), kind_of(about.role), context, "architecture")
    except CycadaError as error:
        hint = (
            f" It was made with the plug-ins {', '.join(about.plugins)}: import them first, with their "
            "folder on PYTHONPATH; a command imports them by --plugin MODULE."
            if about.plugins
            else ""
        )
        raise CycadaError(f"{file}: {error}{hint}") from None
