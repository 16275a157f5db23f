"""Exported networks in formats that need no code of this toolkit: ONNX, and the programs of torch.export."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.core.files import write_atomically
from cycada.data.convert import GREY, Resize
from cycada.data.preprocess import Fit
from cycada.inference.export_format import Exported

TOLERANCE = 1e-3
"""The largest difference from torch that is accepted, relative to the largest output where that is above
1."""
Shapes = tuple[dict[int, Any], ...]


class ImagesToTensor(nn.Module):
    """A network that returns one tensor: the class scores of a classifier, or translated images.

    Args:
        net: The network.
        translates: Whether it is a generator.
    """

    def __init__(self, net: nn.Module, translates: bool) -> None:
        super().__init__()
        self.net, self.translates = net, translates

    def forward(self, images: Tensor) -> Tensor:
        """Return the output of images (N, C, H, W) in [-1, 1]."""
        output = self.net(images)
        result: Tensor = output if self.translates else output.logits
        return result


def write_onnx(net: nn.Module, about: Exported, file: Path) -> bool:
    """Write a network as an ONNX file, and compare its outputs with torch's.

    The input `image` is (batch, C, height, width) float32 in [-1, 1]; the output is `translated`, of the same
    shape, or `logits`, (batch, K) or (batch, K, height, width). The batch can have any size, and so can the
    images where the network allows it: multiples of `multiple_of`, at least twice that. The metadata of the
    file hold the whole description, and say how pictures become images.

    Args:
        net: The network.
        about: Its description.
        file: The file to write.

    Returns:
        Whether images can have any size.

    Raises:
        CycadaError: The packages for ONNX are missing, the network cannot be written, or its outputs differ.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise CycadaError(f"--onnx: {error}. Install it with: pip install 'cycada[onnx]'") from None
    model = ImagesToTensor(net, about.translates).eval()
    output = "translated" if about.translates else "logits"

    def write(temporary: Path, shapes: Shapes) -> None:
        program = torch.onnx.export(
            model,
            (_images(about, 2, shapes),),
            dynamo=True,
            input_names=["image"],
            output_names=[output],
            dynamic_shapes=shapes,
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(_metadata(about))
        program.save(str(temporary))

    def predict(written: Path, images: Tensor) -> Tensor:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # a size that the network does not allow is an answer, no failure
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(None, {"image": images.numpy()})[0])

    return _written(model, about, file, "--onnx", write, predict)


def write_program(net: nn.Module, about: Exported, file: Path) -> bool:
    """Write a network as a program of torch.export, and compare its outputs with the network's.

    `torch.export.load(FILE).module()` is a function from images (batch, C, height, width) float32 in [-1, 1]
    to the output that `write_onnx` describes.

    Args:
        net: The network.
        about: Its description.
        file: The file to write, which ends in .pt2.

    Returns:
        Whether images can have any size.

    Raises:
        CycadaError: The network cannot be written, or its outputs differ.
    """
    model = ImagesToTensor(net, about.translates).eval()

    def write(temporary: Path, shapes: Shapes) -> None:
        program = torch.export.export(model, (_images(about, 2, shapes),), dynamic_shapes=shapes)
        with temporary.open("wb") as opened:
            torch.export.save(program, opened, extra_files={"cycada.json": about.text()})

    def predict(written: Path, images: Tensor) -> Tensor:
        with written.open("rb") as opened:
            result: Tensor = torch.export.load(opened).module()(images)
        return result

    return _written(model, about, file, "--torch-export", write, predict)


def _written(model: nn.Module, about: Exported, file: Path, option: str, write: Any, predict: Any) -> bool:
    """Write with images of any size or, where the network does not allow it, of the size of the training."""
    with torch.no_grad():
        try:
            _write_checked(model, about, file, _any_size(about), write, predict)
            return True
        except CycadaError:
            raise
        except Exception:  # the tracers of torch raise whatever they stumble over
            try:
                _write_checked(model, about, file, ({0: torch.export.Dim("batch", min=1)},), write, predict)
            except CycadaError:
                raise
            except Exception as error:
                reason = " ".join(str(error).split())[:300]
                raise CycadaError(
                    f"{option}: '{about.architecture['name']}' cannot be written ({type(error).__name__}: "
                    f"{reason}). "
                    f"Export it without {option}."
                ) from None
    return False


def _write_checked(
    model: nn.Module, about: Exported, file: Path, shapes: Shapes, write: Any, predict: Any
) -> None:
    """Write a file whose outputs for other images than the traced ones are those of torch."""
    with write_atomically(file) as temporary:
        write(temporary, shapes)
        images = _images(about, 1, shapes, factor=2)
        expected, found = model(images), predict(temporary, images)
        difference = float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
        if not difference <= TOLERANCE:
            raise CycadaError(
                f"{file}: its outputs differ from torch's by {difference:.2g}, expected at most "
                f"{TOLERANCE:g}. "
                "It is not written."
            )


def _any_size(about: Exported) -> Shapes:
    """Return dynamic batch, height and width; the sides are multiples of `multiple_of`."""
    m, batch = about.multiple_of, torch.export.Dim("batch", min=1)
    if m == 1:  # the tracer finds what the sides have to be; larger images than it has seen test it
        return ({0: batch, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    rows, columns = (torch.export.Dim(name, min=2) for name in ("rows", "columns"))
    return ({0: batch, 2: m * rows, 3: m * columns},)


def _images(about: Exported, batch: int, shapes: Shapes, factor: int = 1) -> Tensor:
    """Return noise (batch, C, H, W) in [-1, 1], of two different sides where any size is allowed.

    Args:
        about: The description of the network.
        batch: The number of images.
        shapes: The dimensions that may have any size.
        factor: How much larger than the windows of the training images of any size are.
    """
    height, width = about.window
    if 2 in shapes[0]:
        height, width = factor * height, factor * width + 2 * about.multiple_of
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, about.channels, height, width, generator=generator) * 2 - 1


def _metadata(about: Exported) -> dict[str, str]:
    """Return the description for the metadata of an ONNX file, which are texts."""
    return {
        "cycada": json.dumps(asdict(about)),
        "classes": json.dumps(about.classes),
        "preprocessing": describe_preprocessing(about),
    }


def describe_preprocessing(about: Exported) -> str:
    """Return a sentence that says how a colour picture becomes the input, to follow without this toolkit.

    The steps are those of `about.preprocess` or, for a generator, of `Translator`.
    """
    (height, width), resize = about.size, about.resize
    sizing = _describe_sizing(about.fit, f"{height} x {width}", resize)
    if about.channels == 3:
        steps = ["RGB", sizing]
    elif about.translates:  # its pictures are read as grey ones
        steps = ["grey by Pillow's convert('L'), which is ITU-R BT.601", sizing]
    else:
        red, green, blue = GREY
        grey = f"grey = {red} red + {green} green + {blue} blue (ITU-R BT.601)"
        # a picture that Pillow crops is in colour until then
        steps = [sizing, grey] if about.fit == "crop" else [grey, sizing]
    return "; ".join([*steps, "round and clip to 0..255", "value / 127.5 - 1", "float32 NCHW"])


def _describe_sizing(fit: Fit, shape: str, resize: Resize) -> str:
    """Return how a picture is brought to the size of the training."""
    if fit == "scene":
        return f"resize the whole picture to {shape} as Pillow does with BILINEAR (values may differ by 1)"
    if resize == "pad":
        return (
            f"place the picture of H x W, which may not be larger, unresized on {shape} black pixels, "
            "(height - H) // 2 rows from the top and (width - W) // 2 columns from the left"
        )
    if fit == "crop":
        return (
            f"crop to the largest centred part of the shape {shape} and resize it, as Pillow's ImageOps.fit "
            f"does with {resize.upper()}"
        )
    if resize == "nearest":
        return (
            f"resize the whole picture to {shape}: row i is row i * H // height of its H rows, "
            "column j is column j * W // width of its W columns"
        )
    return f"resize the whole picture to {shape}, each channel as Pillow does in mode F with {resize.upper()}"
