"""A generator taken out of its run, with all that one has to know of it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.files import ready, whole, write_text
from cycada.inference.export_format import CARD, CONFIG, ONNX, WEIGHTS, Exported, read_export, write_weights
from cycada.inference.model_card import card, data_name
from cycada.inference.translator import translation
from cycada.methods import Direction
from cycada.runs.reuse import find_run, load_stage
from cycada.storage.store import environment
from cycada.train.device import Device


def export(
    run: Path | str,
    out: Path | str,
    direction: Direction = "st",
    onnx: bool = False,
    results: Path | str = "results",
) -> tuple[Path, ...]:
    """generator.safetensors, config.json, README.md (a model card) and, where asked for, generator.onnx, in the folder `out`.

    run: a run folder, or the beginning of a run's id. `load_generator` and `cycada translate` take the folder, or the
    .safetensors file alone. -> the files. Raises CycadaError for a direction that the run does not have, for a way of translating
    that is no generator, and for a folder that holds another generator.
    """
    folder, out = find_run(run, results), Path(out)
    config, stage = load_stage(folder)
    way = translation(folder, config, stage, direction, Device.find("cpu"))
    if not isinstance(way, nn.Module):
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) translates by a search; only generators are exported."
        )
    net, role = way, f"g_{direction}"
    names = [data_name(spec) for spec in (config.data.source, config.data.target)]
    about = Exported(
        architecture=stage.specs[role].model_dump(), channels=config.data.channels,
        size=config.shapes(stage.stage)["source" if direction == "st" else "target"], window=config.window(stage.stage),
        multiple_of=int(getattr(net, "multiple_of", 1)), resize=config.data.resize, direction=direction, role=role,
        source=names[0], target=names[1], run=folder.id, experiment=config.name, stage=stage.name, method=stage.stage.method,
        seed=config.seed, steps=stage.stage.steps, plugins=tuple(config.plugins),
        versions={name: version for name, version in environment().items() if name in ("cycada", "torch", "git")},
    )  # fmt: skip
    if out.is_file():
        raise CycadaError(f"{out}: this is a file, expected a folder for the generator.")
    if (out / WEIGHTS).exists() and ((other := read_export(out)[1]).run, other.direction) != (
        about.run,
        about.direction,
    ):
        raise CycadaError(
            f"{out}: the generator of run {other.run}, {other.direction}, is there already. Choose another folder, or remove it."
        )
    ready(out)
    write_weights(out, net, about)
    write_text(out / CARD, card(about, folder, onnx))
    if onnx:
        write_onnx(net, about, out / ONNX)
    return tuple(out / name for name in (WEIGHTS, CONFIG, CARD, *([ONNX] if onnx else [])))


def write_onnx(net: nn.Module, about: Exported, file: Path) -> None:
    """An ONNX file: `image` (batch, C, height, width) float32 in [-1, 1] -> `translated`, alike. Any batch; height and width are

    multiples of `multiple_of`, 2 of them at least. Raises CycadaError where the packages are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise CycadaError(f"--onnx: {error}. Install it with: pip install 'cycada[onnx]'") from None
    m = about.multiple_of
    rows, columns = (torch.export.Dim(name, min=2) for name in ("rows", "columns"))
    shapes = (
        {
            0: torch.export.Dim("batch", min=1),
            2: m * rows if m > 1 else rows,
            3: m * columns if m > 1 else columns,
        },
    )
    traced = torch.zeros(2, about.channels, 4 * m, 6 * m)
    program = torch.onnx.export(
        net,
        (traced,),
        dynamo=True,
        input_names=["image"],
        output_names=["translated"],
        dynamic_shapes=shapes,
        verbose=False,
    )
    assert program is not None
    with whole(file) as part:
        program.save(str(part))
