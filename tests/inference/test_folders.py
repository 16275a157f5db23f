"""Pictures through generators: tiles that leave no seams, names, EXIF, bad files, interruptions."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.experiments import size_of, tiny_config
from helpers.paths import ROOT
from PIL import ExifTags, Image, ImageCms
from torch import nn

import cycada as toolkit
from cycada.core.errors import CycadaError
from cycada.data import to_bytes, to_float
from cycada.data.translated import is_whole
from cycada.inference.image_writer import mark_of
from cycada.inference.receptive_field import (
    PooledNorm,
    measure_receptive_field,
    normalises_by_image,
    with_statistics_of,
)
from cycada.inference.tiling import (
    TILE,
    by_tiles,
    sample,
    split_into_tiles,
    translate_picture,
    with_kept_statistics,
)
from cycada.inference.translator import load_generator
from cycada.methods.base import methods
from cycada.networks.resnet import ResnetGenerator
from cycada.networks.unet import UnetGenerator
from cycada.runs.run import run

pytestmark = pytest.mark.trains


def generator(*, lively=True, **options):
    """A resnet with weights that make much of its image, in float64 so that nothing but tiling can make a
    difference."""
    torch.manual_seed(0)
    net = ResnetGenerator(3, **{"channels": 6, "blocks": 2} | options).eval()
    for module in net.modules() if lively else ():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.1)
    return net


def scenery(height, width, waves=20, seed=0):
    """(3, H, W) uint8: bright to dark from one corner to the other, waves, and noise, so that no two tiles
    have the same statistics."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 20
    swell = np.stack([np.sin(x + k) * np.cos(y * (k + 1)) for k in range(3)])
    array = (
        210 - 90 * x / x.max() - 90 * y / y.max() + waves * swell + random.normal(0, 3, (3, height, width))
    )
    return torch.from_numpy(array.clip(0, 255).astype(np.uint8))


# How far a generator looks, and its statistics


def closed_form(blocks, downs):
    """Of CycleGAN's generator, by arithmetic: 3 + sum over layers of (kernel // 2) * stride so far."""
    down = sum(2**i for i in range(downs))
    inner = 2 * blocks * 2**downs
    return 3 + down + inner + down + 3


@pytest.mark.parametrize(("blocks", "downs"), [(9, 2), (6, 2), (2, 2), (1, 1), (2, 0), (1, 3)])
def test_reach_is_what_arithmetic_says(blocks, downs):
    found, exact = (
        measure_receptive_field(generator(blocks=blocks, downs=downs, channels=2), 3),
        closed_form(blocks, downs),
    )
    multiple = 2**downs
    assert exact - multiple < found <= exact + multiple
    assert found % multiple == 0


def test_reach_is_enough_and_the_next_smaller_is_not():
    net = with_statistics_of(generator().double(), torch.rand(1, 3, 64, 64).double())
    far, image = measure_receptive_field(net, 3), torch.rand(1, 3, 8, 160, dtype=torch.double)
    other = image.clone()
    other[..., :64] = 0
    with torch.no_grad():
        changed = (net(image) - net(other)).abs().amax((0, 1, 2)).nonzero().max().item()
    assert 64 + far - 4 <= changed < 64 + far


def test_deep_unets_look_at_everything_and_shallow_ones_do_not():
    assert measure_receptive_field(UnetGenerator(3, channels=2, downs=8).eval(), 3) is None
    assert measure_receptive_field(UnetGenerator(3, channels=2, downs=3).eval(), 3) == 16


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(4, 4, affine=False), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4)]
)
def test_pooled_statistics(norm):
    """Of one image those of the module; of several those of all their pixels, by a naive loop; kept
    afterwards."""
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 4, 5, 6) * 3 + 1
    assert torch.allclose(PooledNorm(norm)(x[:1]), norm(x[:1]), atol=1e-6)
    pooled = PooledNorm(norm)
    found = pooled(x)
    groups = getattr(norm, "num_groups", 4)
    for c in range(4):
        together = x[:, [k for k in range(4) if k * groups // 4 == c * groups // 4]]
        value = (x[:, c] - together.mean()) / (together.var(correction=0) + 1e-5).sqrt()
        if norm.weight is not None:
            value = value * norm.weight[c] + norm.bias[c]
        assert torch.allclose(found[:, c], value, atol=1e-5)
    assert torch.equal(pooled(x[1:2]), found[1:2])


# Tiles


@pytest.mark.parametrize(
    ("length", "tile", "margin", "multiple"),
    [(100, 64, 8, 4), (64, 64, 20, 4), (68, 64, 20, 4), (1000, 96, 24, 8)],
)
def test_spans_cover_everything_once(length, tile, margin, multiple):
    found = split_into_tiles(length, tile, margin, multiple)
    assert [s.start for s in found] + [length] == [0] + [s.stop for s in found]
    for s in found:
        assert s.last - s.first <= tile
        assert s.first == max(0, s.start - margin)
        assert s.last == min(length, s.stop + margin)
        assert all(value % multiple == 0 for value in s)


def test_a_tile_that_is_all_context_is_refused():
    with pytest.raises(CycadaError, match=r"tile: found 40, but this generator looks \d+ pixels"):
        split_into_tiles(1000, 40, 24, 4)
    with pytest.raises(CycadaError, match="Take at least 48"):
        split_into_tiles(1000, 47, 20, 4)
    split_into_tiles(1000, 48, 20, 4)


@pytest.mark.parametrize(
    "options", [{}, {"up": "resize"}, {"downs": 1}, {"norm": "batch"}, {"norm": "none", "downs": 0}]
)
def test_tiles_are_the_whole_with_the_same_statistics(options):
    net = generator(**options)
    picture = scenery(132, 204)
    with torch.no_grad():
        kept = with_kept_statistics(net, picture, 10**4)
        whole = kept(to_float(picture[None]))
        assert (
            whole - net(to_float(picture[None]))
        ).abs().max() < 1e-4  # of the whole picture, they are its own
        assert normalises_by_image(net) == (options.get("norm", "instance") == "instance")
        assert not normalises_by_image(kept)
        seen = []
        for tile in (96, 128, 160):
            tiled = by_tiles(kept, picture, tile, measure_receptive_field(net, 3), seen.append)
            # a difference of 1e-4 shows as another byte only where a value lies between two of them
            assert (tiled.int() - to_bytes(whole)[0].int()).abs().max() <= 1
            assert (tiled != to_bytes(whole)[0]).float().mean() < 1e-3
    assert seen[-1] == 1


def test_tiles_are_the_whole_to_the_last_bits():
    """In float, tile by tile, without bytes between: nothing but rounding."""
    net = generator(blocks=3).double()
    picture = scenery(120, 180)
    image = to_float(picture[None]).double()
    kept = with_statistics_of(net, image)
    far = measure_receptive_field(kept, 3)
    with torch.no_grad():
        whole = kept(image)
        for row in split_into_tiles(120, 96, far, 4):
            for column in split_into_tiles(180, 96, far, 4):
                part = kept(image[..., row.first : row.last, column.first : column.last])
                own = part[..., row.start - row.first :, column.start - column.first :][
                    ..., : row.stop - row.start, : column.stop - column.start
                ]
                assert torch.allclose(
                    own, whole[..., row.start : row.stop, column.start : column.stop], atol=1e-12
                )


@pytest.mark.parametrize("size", [(97, 203), (101, 98), (64, 130), (5, 300), (2, 2), (3, 7), (100, 100)])
def test_any_size(size):
    net, picture = generator(blocks=1), scenery(*size)
    tiled = translate_picture(net, picture, tile=64)
    assert tiled.shape == picture.shape
    assert tiled.dtype == torch.uint8
    if size[0] % 4 == 0 and size[1] % 4 == 0 and size[0] * size[1] <= 64**2:
        with torch.no_grad():
            assert torch.equal(tiled, to_bytes(net(to_float(picture[None])))[0])


def test_the_sample_lies_evenly_over_the_picture():
    picture = scenery(300, 500)
    squares = sample(picture, 128, 8)
    assert {s.shape for s in squares} == {(3, 32, 32)}
    assert 12 <= len(squares) <= 16
    assert abs(torch.stack(squares).float().mean() - picture.float().mean()) < 5
    assert len(sample(picture, 400, 8)) == 1


def test_statistics_of_a_sample_are_near_the_exact_ones():
    net, picture = generator(lively=False), scenery(320, 480)
    exact, near = with_kept_statistics(net, picture, 10**4), with_kept_statistics(net, picture, 192)
    for a, b in zip(exact.modules(), near.modules(), strict=True):
        if isinstance(a, PooledNorm):
            assert ((a.mean - b.mean).abs() / a.variance.sqrt()).mean() < 0.1
            assert (b.variance / a.variance).sqrt().sub(1).abs().mean() < 0.1
    with torch.no_grad():
        far = (exact(to_float(picture[None])) - near(to_float(picture[None]))).abs().mean() * 127.5
    assert far < 6


def jump(picture, borders, dim):
    """Return how much two lines of pixels at a border differ, over how much such lines differ elsewhere.

    It is about 1 where nobody can tell. Differences are signed and averaged along the line, as a seam is a
    step all along it, at multiples of 4, where a generator's own grid begins anew, and less the step that
    this grid makes everywhere.
    """
    steps = picture.float().diff(dim=dim).mean(3 - dim)[:, 3::4]
    steps = (steps - steps.median(1, keepdim=True).values).abs().mean(0)
    at = torch.zeros(len(steps), dtype=torch.bool)
    at[[b // 4 - 1 for b in borders]] = True
    return (steps[at].mean() / steps[~at].mean()).item()


def test_no_seams():
    """The same measure sees the seams that tiles with statistics of their own leave."""
    net, picture = generator(lively=False, blocks=1), scenery(256, 384, waves=0)
    tiled = translate_picture(net, picture, tile=96)
    far = measure_receptive_field(net, 3)
    for dim, side in ((1, 256), (2, 384)):
        borders = [s.start for s in split_into_tiles(side, 96, far, 4)[1:]]
        naive = []
        with torch.no_grad():
            for part in picture.tensor_split(borders, dim):
                naive.append(to_bytes(net(to_float(part[None])))[0])
        assert jump(tiled, borders, dim) < 1.3
        assert jump(torch.cat(naive, dim), borders, dim) > 2


def test_blended_tiles_of_a_deep_unet():
    torch.manual_seed(0)
    picture = scenery(192, 320)
    assert measure_receptive_field(Whole(), 3) is None
    assert torch.equal(translate_picture(Whole(), picture, tile=64), picture)  # weights add up to 1
    deep = UnetGenerator(3, channels=2, downs=8).eval()
    assert translate_picture(deep, scenery(300, 600), tile=256).shape == (3, 300, 600)


class Whole(nn.Module):
    """The identity, and yet all of the image is looked at: 0 times its mean."""

    def forward(self, x):
        return x + 0 * x.mean((2, 3), keepdim=True)


CHILD = """
import sys
from pathlib import Path
from cycada.cli.main import main
sys.argv = ["cycada", "translate", *sys.argv[1:]]
try:
    main()
finally:  # it ends with sys.exit. getrusage would count the memory of the process that started this one
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_large_photo_takes_less_than_2_gb(tmp_path):
    """4000 x 3000 through CycleGAN's generator with 9 blocks, the whole command in a process of its own."""
    from helpers.exports import about

    from cycada.inference.export_format import write_weights

    write_weights(tmp_path, ResnetGenerator(3), about({"name": "resnet"}))
    photo = scenery(3000, 4000).permute(1, 2, 0).numpy()
    Image.fromarray(photo).save(tmp_path / "photo.png", compress_level=1)
    words = [
        tmp_path / "model.safetensors",
        tmp_path / "photo.png",
        tmp_path / "out.png",
        "--size",
        "keep",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "out.png") == (4000, 3000)
    assert int(done.stdout.splitlines()[-1]) * 1024 < 2e9
    with Image.open(tmp_path / "out.png") as image:
        tiled = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    for dim in (1, 2):
        borders = [
            s.start
            for s in split_into_tiles(
                tiled.shape[dim], TILE, measure_receptive_field(ResnetGenerator(3, channels=4), 3), 4
            )[1:]
        ]
        assert jump(tiled, borders, dim) < 1.3


# Folders


def save(path, array, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **more)
    return path


COLOUR = scenery(20, 28).permute(1, 2, 0).numpy()


def test_every_kind_of_picture(cycle, tmp_path, cycada):
    folder = tmp_path / "in"
    save(folder / "colour.jpg", COLOUR)
    save(folder / "grey.png", COLOUR[..., 0])
    save(folder / "deep.png", COLOUR[..., 0].astype(np.uint16) * 257)
    save(folder / "alpha.png", np.dstack([COLOUR, COLOUR[..., :1]]))
    Image.fromarray(COLOUR).quantize(16).save(folder / "palette.png")
    Image.fromarray(COLOUR).convert("CMYK").save(folder / "press.jpg")
    code, out, _ = cycada("translate", cycle, folder, tmp_path / "out", "--size", "keep")
    assert (code, out.startswith("6 images")) == (0, True)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        f"{s}.png" for s in ("colour", "grey", "deep", "alpha", "palette", "press")
    }
    assert {size_of(p) for p in (tmp_path / "out").iterdir()} == {(28, 20)}
    grey, deep = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("grey", "deep"))
    assert np.array_equal(grey, deep)


def test_bad_files_are_named_and_the_others_done(cycle, tmp_path, cycada):
    folder = tmp_path / "in"
    whole = save(folder / "good.png", COLOUR).read_bytes()
    save(folder / "pixel.png", COLOUR[:1, :1])
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "words.png").write_text("no picture")
    (folder / ".hidden.png").write_text("no picture")
    code, out, err = cycada("translate", cycle, folder, tmp_path / "out")
    assert code == 2
    assert out.startswith("1 images")
    assert "4 of 5 images could not be translated" in err
    assert all(err.count(name) >= 2 for name in ("pixel.png", "cut.png", "empty.jpg", "words.png"))
    assert "Traceback" not in err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.png"]
    code, _, err = cycada("translate", cycle, folder, tmp_path / "strict", "--strict")
    assert (code, "cut.png" in err, "could not" in err) == (2, True, False)


def test_what_is_no_picture_is_said(cycle, tmp_path, cycada):
    folder = tmp_path / "in"
    save(folder / "good.png", COLOUR)
    save(folder / "below" / "deep.png", COLOUR)
    (folder / "notes.txt").write_text("no picture")
    os.mkfifo(folder / "pipe.png")
    code, out, err = cycada("translate", cycle, folder, tmp_path / "out")
    assert (code, out.startswith("1 images")) == (0, True)
    said = " ".join(err.split())
    assert all(
        text in said for text in ("notes.txt: its suffix", "pipe.png: no regular file", "below: a sub")
    )
    found = toolkit.translate(cycle, folder, folder / "out", recursive=True)
    assert (found.done, {Path(path).name for path in found.left_out}) == (2, {"notes.txt", "pipe.png"})


def test_names_never_collide(cycle, tmp_path):
    folder = tmp_path / "in"
    for name in ("a.png", "a.jpg", "A.bmp", "b.png", "sub/a.png", "sub/deeper/c.jpg"):
        save(folder / name, COLOUR)
    found = toolkit.translate(cycle, folder, tmp_path / "out", recursive=True)
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert names == {"a.png.png", "a.jpg.png", "A.bmp.png", "b.png", "sub/a.png", "sub/deeper/c.png"}
    assert (found.done, found.there, found.bad) == (6, 0, {})
    flat = toolkit.translate(cycle, folder, tmp_path / "flat", form="jpg")
    assert flat.done == 4
    save(folder / "a.jpg.png", COLOUR)  # would be called as the translation of a.jpg is
    again = toolkit.translate(cycle, folder, tmp_path / "more")
    assert (again.done, len(list((tmp_path / "more").iterdir()))) == (5, 5)


def test_translations_below_the_pictures_are_not_translated_again(cycle, tmp_path):
    save(tmp_path / "in" / "a.png", COLOUR)
    for _ in range(2):
        toolkit.translate(cycle, tmp_path / "in", tmp_path / "in" / "out", recursive=True)
    assert [p.name for p in (tmp_path / "in").rglob("*.png")] == ["a.png", "a.png"]
    with pytest.raises(CycadaError, match="among the pictures"):
        toolkit.translate(cycle, tmp_path / "in", tmp_path / "in")
    with pytest.raises(CycadaError, match=r"a\.png: found the name of a picture, expected a folder"):
        toolkit.translate(cycle, tmp_path / "in", tmp_path / "a.png")


def test_translations_below_the_pictures_are_warned_of(cycle, tmp_path, cycada):
    save(tmp_path / "in" / "a.png", COLOUR)
    for out, warned in ((tmp_path / "in" / "out", True), (tmp_path / "out", False)):
        code, _, said = cycada("translate", cycle, tmp_path / "in", out)
        assert (code, "reads the translations among its pictures" in said) == (0, warned)


SRGB, LAB = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes() for space in ("sRGB", "LAB"))


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_exif_and_colour_profile_are_kept(cycle, tmp_path, form):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "A camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    save(tmp_path / "in" / "a.jpg", COLOUR, exif=exif, icc_profile=SRGB)
    save(tmp_path / "in" / "lab.jpg", COLOUR, icc_profile=LAB)
    toolkit.translate(cycle, tmp_path / "in", tmp_path / "out", size="keep", form=form)
    with Image.open(tmp_path / "out" / f"a.{form}") as image:
        assert image.size == (20, 28)  # turned
        found = image.getexif()
        assert (found[ExifTags.Base.Orientation], found[ExifTags.Base.Make]) == (1, "A camera")
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert image.info["icc_profile"] == SRGB
    with Image.open(tmp_path / "out" / f"lab.{form}") as image:
        assert "icc_profile" not in image.info  # RGB is not what it describes
    mark = mark_of(tmp_path / "out" / f"a.{form}")
    assert mark.partition(" of=")[0] == f"{cycle.name} st size=keep"


def test_only_what_is_whole_and_made_alike_counts_as_there(cycle, tmp_path, cycada):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "abc":
        save(folder / f"{name}.png", COLOUR)
    toolkit.translate(cycle, folder, out)
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "a.png").write_bytes(first["a.png"][:-20])  # half-written
    (out / "b.png").write_bytes(b"")
    assert (is_whole(out / "a.png"), is_whole(out / "c.png")) == (False, True)
    found = toolkit.translate(cycle, folder, out)
    assert (found.done, found.there) == (2, 1)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first
    code, _, err = cycada("translate", cycle, folder, out, "--direction", "ts")
    assert (code, f"made by '{cycle.name} st size=run'" in err) == (2, True)
    save(out / "a.png", COLOUR)
    code, _, err = cycada("translate", cycle, folder, out)
    assert (code, "not made by cycada translate" in err) == (2, True)
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), COLOUR)


def test_pictures_of_another_folder_are_translated_anew_and_that_is_said(cycle, tmp_path, cycada):
    for day, picture in (("one", COLOUR), ("two", COLOUR[::-1].copy())):
        save(tmp_path / day / "a.png", picture)
        save(tmp_path / day / "same.png", COLOUR)
    cycada("translate", cycle, tmp_path / "one", tmp_path / "out")
    first = (tmp_path / "out" / "a.png").read_bytes()
    code, out, err = cycada("translate", cycle, tmp_path / "two", tmp_path / "out")
    assert (code, "1 images translated" in out, "1 were there already" in out) == (0, True, True)
    assert "1 translations there are of other pictures" in " ".join(err.split())
    cycada("translate", cycle, tmp_path / "two", tmp_path / "right")
    again = (tmp_path / "out" / "a.png").read_bytes()
    assert again == (tmp_path / "right" / "a.png").read_bytes() != first


def test_no_translation_stays_under_a_name_that_is_another_pictures_and_none_is_lost(cycle, tmp_path, cycada):
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    save(two / "z.png", COLOUR)
    for name in ("x.jpg", "y.png"):
        save(one / name, COLOUR)
    for folder in (two, one):
        assert cycada("translate", cycle, folder, out)[0] == 0
    save(out / "mine.png", COLOUR)
    save(one / "x.png", COLOUR[::-1])  # the name of the translation of x.jpg
    (one / "y.png").unlink()
    assert cycada("translate", cycle, one, out, "--format", "jpg")[0] == 0
    code, _, said = cycada("translate", cycle, one, out)
    assert (code, "removed, since they have other names now: x.png." in said) == (0, True)
    assert "translations of pictures that are gone stay: y.png." in said
    assert {p.name for p in out.glob("*.png")} == {"x.jpg.png", "x.png.png", "y.png", "z.png", "mine.png"}
    assert len([*out.glob("*.jpg")]) == 2
    code, _, said = cycada("translate", cycle, one, out)
    assert (code, "removed" in said) == (0, False)


def test_a_format_that_the_name_of_the_file_contradicts_is_said(cycle, tmp_path, cycada):
    save(tmp_path / "a.png", COLOUR)
    _, _, err = cycada("translate", cycle, tmp_path / "a.png", tmp_path / "b.png", "--format", "jpg")
    assert "as png" in (text := " ".join(err.split()))
    assert "--format jpg" in text


@pytest.mark.parametrize("tile", [64, 640])
def test_ctrl_c_and_the_same_call_goes_on(cycle, tmp_path, cycada, monkeypatch, tile):
    """After the second of four pictures, or between two tiles of it: no half picture, the exit code of
    Ctrl-C, the same in the end."""
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "abcd":
        save(folder / f"{name}.png", scenery(72, 100).permute(1, 2, 0).numpy())
    words = ("translate", cycle, folder, out, "--size", "keep", "--tile", tile)
    calls = []
    forward = ResnetGenerator.forward

    def interrupted(self, x):
        calls.append(x.shape)
        if len(calls) == (2 if tile == 640 else 30):
            threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Event().wait(0.2)
        return forward(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(ResnetGenerator, "forward", interrupted)
        code, _, err = cycada(*words)
    assert code == 130
    done = sorted(p.name for p in out.iterdir())
    assert 1 <= len(done) <= 3
    assert f"Stopped after {len(done)} of 4" in err
    code, text, _ = cycada(*words)
    assert (code, text) == (
        0,
        f"{4 - len(done)} images translated into {out}, {len(done)} were there already\n",
    )
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "c.png", "d.png"]
    assert len({p.read_bytes() for p in out.iterdir()}) == 1


def test_one_picture_at_any_size(cycle, tmp_path, cycada):
    photo = save(tmp_path / "photo.jpg", COLOUR)
    for size, expected in (("keep", (28, 20)), ("run", (16, 16)), ("10", (14, 10))):
        assert cycada("translate", cycle, photo, tmp_path / f"{size}.png", "--size", size)[0] == 0
        assert size_of(tmp_path / f"{size}.png") == expected
    assert cycada("translate", cycle, photo, tmp_path / "folder", "--keep-size", "--format", "jpg")[0] == 0
    assert size_of(tmp_path / "folder" / "photo.jpg") == (28, 20)
    for words, wrong in (
        ((tmp_path / "a.gif",), ".png or .jpg"),
        ((photo,), "to be translated"),
        ((tmp_path / "a.png", "--size", "2"), "--size"),
    ):
        code, _, err = cycada("translate", cycle, photo, *words)
        assert (code, wrong in err) == (2, True)


def test_from_python(cycle):
    translator = load_generator(cycle, "ts")
    assert translator(COLOUR).shape == (16, 16, 3)
    assert translator(Image.fromarray(COLOUR), size="keep").size == (28, 20)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        assert translator.net(images).shape == images.shape
        assert translator.predict(images).shape == images.shape
    for call in (
        lambda: translator.predict(images * 255),
        lambda: translator(COLOUR, size="big"),
        lambda: translator(COLOUR[:0]),
        lambda: translator("photo.jpg"),
        lambda: toolkit.translate(translator, "photos", "out", form="gif"),
    ):
        with pytest.raises(CycadaError, match="expected"):
            call()


# Directions and methods


def test_a_direction_that_is_not_there(finished, tmp_path, cycada):
    source, _, task, _ = (s.folder for s in finished[0].stages)
    save(tmp_path / "in" / "a.png", COLOUR)
    code, _, err = cycada("translate", task, tmp_path / "in", tmp_path / "out", "--direction", "ts")
    assert (code, "no direction 'ts'. It has: st." in err) == (2, True)
    code, _, err = cycada("translate", source, tmp_path / "in", tmp_path / "out")
    assert (code, "does not translate" in err) == (2, True)
    assert cycada("translate", task, tmp_path / "in", tmp_path / "out")[0] == 0
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert (image.mode, image.size) == ("L", (16, 16))


def test_the_name_of_an_experiment_is_its_last_stage_with_the_generator(finished, cycle):
    assert load_generator("tiny", "ts", cycle.parent.parent).identity == cycle.name
    _, results = finished  # whichever test ran an experiment of this name there last
    stages = json.loads((results / "experiments" / "tiny" / "seed0.json").read_text())["stages"]
    assert (
        load_generator("tiny", "st", results).identity == [*stages.values()][-1]["id"]
    )  # it holds g_st, too
    assert load_generator("tiny", "ts", results).identity == stages["pixel"]["id"]


def test_methods_without_a_generator_translate_at_their_own_size(tmp_path, cycada):
    """Through `Method.translations`, by whatever networks the method has."""

    def negative(nets, options=None):
        return {"st": lambda images: -images + 0 * nets.pair_d(images, "s").score.mean()}

    with methods.temporary():
        entry = methods["cogan"]
        methods.add("negative", type(entry)(**{**vars(entry), "translations": negative}))
        folder = (
            run(tiny_config({"it": {"method": "negative", "steps": 2}}, results=str(tmp_path / "results")))
            .stages[0]
            .folder
        )
        picture = scenery(16, 16).permute(1, 2, 0).numpy()[..., :1]
        save(tmp_path / "in" / "a.png", picture[..., 0])
        found = load_generator(folder)(picture)
        assert np.abs(found.astype(int) - (255 - picture)).max() <= 1
        assert cycada("translate", folder, tmp_path / "in", tmp_path / "out")[0] == 0
        code, _, err = cycada("translate", folder, tmp_path / "in", tmp_path / "keep", "--size", "keep")
        assert (code, "at the size of the training only" in err) == (2, True)
        code, _, err = cycada("export", folder, tmp_path / "export")
        assert (code, "only generators can be exported" in err) == (2, True)
