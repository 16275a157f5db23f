"""Exported classifiers and segmenters without this toolkit: ONNX and torch.export give torch's answers."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from helpers.exports import about
from PIL import Image, ImageOps
from torch import nn

import cycada as toolkit
from cycada.core.errors import CycadaError
from cycada.core.types import Output
from cycada.inference.export_format import build_untrained
from cycada.inference.portable import describe_preprocessing, write_onnx, write_program
from cycada.inference.translator import Translator

pytestmark = pytest.mark.trains

SEGMENTER = {
    "architecture": {"name": "small_segmenter", "channels": 4, "width": 8},
    "role": "f_t",
    "direction": None,
    "multiple_of": 1,
    "classes": ("a", "b", "c"),
    "segmentation": True,
    "fit": "scene",
    "size": (16, 32),
    "window": (16, 32),
}
LENET = {
    "architecture": {"name": "lenet"},
    "role": "f_t",
    "direction": None,
    "multiple_of": 1,
    "classes": ("a", "b"),
    "size": (20, 20),
    "window": (20, 20),
    "channels": 1,
}


def described(over):
    over = dict(over)
    said = about(over.pop("architecture"), **over)
    torch.manual_seed(0)
    return build_untrained(said, "here").eval(), said


def test_a_classifier_from_run_to_onnx_and_torch_export(finished, tmp_path, cycada):
    task = next(s for s in finished[0].stages if s.name == "task")
    code, out, err = cycada("export", task.folder, tmp_path / "out", "--onnx", "--torch-export")
    assert code == 0, err
    names = ["README.md", "config.json", "model.onnx", "model.pt2", "model.safetensors"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    assert [line.rsplit("/", 1)[1] for line in out.splitlines()] == [
        names[4],
        names[1],
        names[0],
        names[2],
        names[3],
    ]
    model = toolkit.load_model(tmp_path / "out")
    assert model.classes == tuple("0123456789")
    images = torch.rand(5, 1, 16, 16) * 2 - 1
    with torch.no_grad():
        expected = model.net(images).logits
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    assert np.abs(session.run(["logits"], {"image": images.numpy()})[0] - expected.numpy()).max() < 1e-3
    assert (torch.export.load(tmp_path / "out" / "model.pt2").module()(images) - expected).abs().max() < 1e-3
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == list(model.classes)
    assert "; resize the whole picture to 16 x 16, " in said["preprocessing"]
    assert json.loads(said["cycada"])["run"] == task.id
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`model.onnx` takes `image` (batch, 1, " in card
    assert "pipeline_tag: image-classification" in card
    assert f"| preprocessing | {said['preprocessing']} |" in card
    copy = toolkit.HubModel.from_pretrained(tmp_path / "out")
    copy.save_pretrained(tmp_path / "copy")
    for name in ("README.md", "config.json", "model.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_segmenter_takes_any_size(tmp_path):
    net, said = described(SEGMENTER)
    assert write_program(net, said, tmp_path / "m.pt2")
    images = torch.rand(1, 3, 24, 40)
    with torch.no_grad():
        expected = net(images).logits
    assert (torch.export.load(tmp_path / "m.pt2").module()(images) - expected).abs().max() < 1e-3


def test_a_network_of_one_size_is_written_at_that_size(tmp_path):
    net, said = described(LENET)
    assert not write_onnx(net, said, tmp_path / "m.onnx")
    images = torch.rand(4, 1, 20, 20) * 2 - 1
    with torch.no_grad():
        expected = net(images).logits.numpy()
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max() < 1e-3


def test_what_cannot_be_written_or_differs_is_refused(tmp_path):
    _, said = described(LENET)

    class Branches(nn.Module):
        def forward(self, x):
            return Output(x, x if x.sum() > 0 else -x)

    class Moody(nn.Module):
        def forward(self, x):
            return Output(x, x * (1 if torch.compiler.is_compiling() else 2))

    with pytest.raises(CycadaError, match="cannot be written"):
        write_program(Branches(), said, tmp_path / "m.pt2")
    with pytest.raises(CycadaError, match="differ from torch's"):
        write_program(Moody(), said, tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


def follow(sentence, picture):
    """Do what a sentence says with Pillow and numpy alone: -> (28, 20, channels) in [-1, 1]."""
    *steps, rounding, scaling, _ = sentence.split("; ")
    assert (rounding, scaling) == ("round and clip to 0..255", "value / 127.5 - 1")
    pixels, (height, width) = picture, (28, 20)
    for step in steps:
        size, rows, columns = step.rsplit(" ", 1)[-1], *pixels.shape[:2]
        if step == "grey = 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)":
            pixels = (pixels.astype(np.float32) * np.float32([0.299, 0.587, 0.114])).sum(2, keepdims=True)
        elif step.startswith("grey by Pillow's convert('L')"):
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        elif step.startswith("place the picture"):
            top, left = (height - rows) // 2, (width - columns) // 2
            black = np.zeros((height, width, pixels.shape[2]), np.float32)
            black[top : top + rows, left : left + columns] = pixels
            pixels = black
        elif step.startswith("crop to the largest centred part of the shape 28 x 20 and resize it"):
            pixels = np.asarray(
                ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling[size])
            )
        elif step.startswith("resize the whole picture to 28 x 20: row i is row i * H // height"):
            pixels = pixels[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
        elif step.startswith("resize the whole picture to 28 x 20, each channel as Pillow does in mode F"):
            channels = (Image.fromarray(channel) for channel in pixels.transpose(2, 0, 1).astype(np.float32))
            pixels = np.stack([c.resize((width, height), Image.Resampling[size]) for c in channels], 2)
        elif step.startswith("resize the whole picture to 28 x 20 as Pillow does with BILINEAR"):
            image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
        else:
            assert step == "RGB"
    return np.round(pixels).clip(0, 255).astype(np.float32) / 127.5 - 1


def noise(resize):
    """A colour picture of noise, which `pad` can bring to 28 x 20."""
    shape = (15, 11, 3) if resize == "pad" else (50, 31, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["bilinear", "bicubic", "nearest", "pad"])
@pytest.mark.parametrize("fit", ["crop", "whole", "scene"])
def test_the_preprocessing_can_be_followed_without_the_toolkit(fit, resize, channels):
    if fit == "scene" and channels == 1:
        return  # segmentation needs 3 channels
    picture = noise(resize)
    over = {"role": "f_t", "direction": None, "size": (28, 20), "channels": channels}
    said = about({"name": "lenet"}, **over, resize=resize, fit=fit)
    found, expected = follow(describe_preprocessing(said), picture), said.preprocess(picture).permute(1, 2, 0)
    assert found.shape == expected.shape
    allowed = 1.01 / 127.5 if fit == "scene" else 1e-6
    assert np.abs(found - expected.numpy()).max() < allowed


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["bilinear", "bicubic", "nearest", "pad"])
def test_the_preprocessing_of_a_generator_is_its_translators(resize, channels):
    picture = noise(resize)
    said = about({"name": "resnet"}, size=(28, 20), channels=channels, resize=resize)
    same = Translator(nn.Identity(), channels, (28, 20), resize, "st", "0", torch.device("cpu"))
    expected = np.asarray(same(Image.fromarray(picture))).reshape(28, 20, channels) / 127.5 - 1
    assert np.abs(follow(describe_preprocessing(said), picture) - expected).max() < 1e-6
