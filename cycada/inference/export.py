"""Export of a trained generator from its run, with all that is needed to use it."""

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
    """Export a generator from a run into a folder.

    The folder receives generator.safetensors, config.json, README.md (a model card) and, if asked for,
    generator.onnx. `load_generator` and `cycada translate` take this folder, or the .safetensors file alone.

    Args:
        run: A run folder, or the beginning of a run's id.
        out: The folder to write to.
        direction: `st`, source to target, or `ts`.
        onnx: Write the generator as ONNX, too.
        results: The folder of the runs.

    Returns:
        The files that were written.

    Raises:
        CycadaError: The run does not have this direction, its stage translates without a generator, `out`
            holds another generator, or the packages for ONNX are missing.
    """
    folder, out = find_run(run, results), Path(out)
    config, stage = load_stage(folder)
    net = translation(folder, config, stage, direction, Device.find("cpu"))
    if not isinstance(net, nn.Module):
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) translates by a search and not by a "
            "generator; "
            "only generators can be exported."
        )
    role = f"g_{direction}"
    about = Exported(
        architecture=stage.specs[role].model_dump(),
        channels=config.data.channels,
        size=config.shapes(stage.stage)["source" if direction == "st" else "target"],
        window=config.window(stage.stage),
        multiple_of=int(getattr(net, "multiple_of", 1)),
        resize=config.data.resize,
        direction=direction,
        role=role,
        source=data_name(config.data.source),
        target=data_name(config.data.target),
        run=folder.id,
        experiment=config.name,
        stage=stage.name,
        method=stage.stage.method,
        seed=config.seed,
        steps=stage.stage.steps,
        plugins=tuple(config.plugins),
        versions={name: v for name, v in environment().items() if name in ("cycada", "torch", "git")},
    )
    if out.is_file():
        raise CycadaError(f"{out}: this is a file, expected a folder for the generator.")
    if (out / WEIGHTS).exists():
        other = read_export(out)[1]
        if (other.run, other.direction) != (about.run, about.direction):
            raise CycadaError(
                f"{out}: this folder already holds the generator of run {other.run}, {other.direction}. "
                "Choose another folder, or remove it."
            )
    ready(out)
    write_weights(out, net, about)
    write_text(out / CARD, card(about, folder, onnx))
    if onnx:
        write_onnx(net, about, out / ONNX)
    return tuple(out / name for name in (WEIGHTS, CONFIG, CARD, *([ONNX] if onnx else [])))


def write_onnx(net: nn.Module, about: Exported, file: Path) -> None:
    """Write a generator as an ONNX file.

    Its input `image` and its output `translated` are (batch, C, height, width) float32 in [-1, 1]. The batch
    can have any size; height and width are multiples of `multiple_of`, and at least twice that.

    Args:
        net: The generator.
        about: Its description.
        file: The file to write.

    Raises:
        CycadaError: The packages for ONNX are missing.
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
    with whole(file) as temporary:
        program.save(str(temporary))
