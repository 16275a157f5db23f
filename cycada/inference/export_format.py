"""A generator taken out of its run: generator.safetensors, which knows what it is, and the same knowledge as config.json."""

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
"""Of the knowledge beside the weights: raise it when older versions could no longer read it."""


@dataclass(frozen=True)
class Exported:
    """What one has to know of a generator's weights.

    architecture: name and options of the network. channels: of its images, whose values are in `range`. size: (height, width) of
    the scenes it was trained on, window: of what it saw of them at once. multiple_of: of height and width that it takes. resize:
    how images came to the size. direction: st or ts, role: of the network in its stage. source, target: names of the data. run: its id.
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
        return json.dumps(asdict(self), indent=1) + "\n"


def is_export(path: Path) -> bool:
    """Whether this is a folder or a file of `cycada export`, and no run."""
    return path.suffix == ".safetensors" or (path / WEIGHTS).exists()


def write_weights(folder: Path, net: nn.Module, about: Exported) -> None:
    """generator.safetensors and config.json, each whole or not at all."""
    weights = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    for name, content in (
        (WEIGHTS, save(weights, {"cycada": about.text()})),
        (CONFIG, about.text().encode()),
    ):
        write_bytes(folder / name, content)


def read_export(path: Path) -> tuple[nn.Module, Exported]:
    """The generator in eval mode on the CPU, and what it is. The .safetensors file alone is enough. Raises CycadaError."""
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
    if text is None:
        raise CycadaError(
            f"{file}: it does not say which network its weights are of, expected a file of `cycada export`. "
            "Name the run instead, or export it: cycada export RUN OUT"
        )
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise CycadaError(
                f"{file}: its format is {found['format']}, this version reads {FORMAT}. Export it again."
            )
        known = {f.name for f in fields(Exported)}
        about = TypeAdapter(Exported).validate_python({k: v for k, v in found.items() if k in known})
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise CycadaError(
            f"{file}: what it says of itself cannot be read ({' '.join(str(error).split())[:300]}). Export it again."
        ) from None
    return about
