"""Pictures through generators: tiles that leave no seams, names, EXIF, bad files, interruptions."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import size_of
from PIL import Image
from torch import nn

from cycada.data import to_bytes, to_float
from cycada.errors import CycadaError
from cycada.networks.local import PooledNorm, normalises_by_image, reach, smallest, with_statistics_of
from cycada.networks.resnet import ResnetGenerator
from cycada.networks.unet import UnetGenerator
from cycada.train.tiles import by_tiles, sample, spans, translate_picture, with_kept_statistics

ROOT = Path(__file__).parents[1]


def generator(*, lively=True, **options):
    """A resnet with weights that make much of its image, in float64 so that nothing but tiling can make a difference."""
    torch.manual_seed(0)
    net = ResnetGenerator(3, **{"channels": 6, "blocks": 2} | options).eval()
    for module in net.modules() if lively else ():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.1)
    return net


def scenery(height, width, seed=0):
    """(3, H, W) uint8: bright to dark from left to right, waves, and noise, so that no two tiles have the same statistics."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40
    waves = np.stack([np.sin(x + k) * np.cos(y * (k + 1)) for k in range(3)])
    array = 200 - 150 * x / x.max() + 30 * waves + random.normal(0, 8, (3, height, width))
    return torch.from_numpy(array.clip(0, 255).astype(np.uint8))


# How far a generator looks, and its statistics


def closed_form(blocks, downs):
    """Of CycleGAN's generator, by arithmetic: 3 + sum over layers of (kernel // 2) * stride so far."""
    down = sum(2**i for i in range(downs))
    inner = 2 * blocks * 2**downs
    return 3 + down + inner + down + 3


@pytest.mark.parametrize(("blocks", "downs"), [(9, 2), (6, 2), (2, 2), (1, 1), (2, 0), (1, 3)])
def test_reach_is_what_arithmetic_says(blocks, downs):
    found, exact = reach(generator(blocks=blocks, downs=downs, channels=2), 3), closed_form(blocks, downs)
    multiple = 2**downs
    assert exact - multiple < found <= exact + multiple
    assert found % multiple == 0


def test_reach_is_enough_and_the_next_smaller_is_not():
    net = with_statistics_of(generator().double(), torch.rand(1, 3, 64, 64).double())
    far, image = reach(net, 3), torch.rand(1, 3, 8, 160, dtype=torch.double)
    other = image.clone()
    other[..., :64] = 0
    with torch.no_grad():
        changed = (net(image) - net(other)).abs().amax((0, 1, 2)).nonzero().max().item()
    assert 64 + far - 4 <= changed < 64 + far


def test_deep_unets_look_at_everything_and_shallow_ones_do_not():
    assert reach(UnetGenerator(3, channels=2, downs=8).eval(), 3) is None
    assert reach(UnetGenerator(3, channels=2, downs=3).eval(), 3) == 16


@pytest.mark.parametrize("norm", [nn.GroupNorm(4, 4, affine=False), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4)])
def test_pooled_statistics(norm):
    """Of one image those of the module; of several those of all their pixels, by a naive loop; kept afterwards."""
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


@pytest.mark.parametrize(("length", "tile", "margin", "multiple"), [(100, 64, 8, 4), (64, 64, 20, 4), (68, 64, 20, 4), (1000, 96, 24, 8)])
def test_spans_cover_everything_once(length, tile, margin, multiple):
    found = spans(length, tile, margin, multiple)
    assert [s.start for s in found] + [length] == [0] + [s.stop for s in found]
    for s in found:
        assert s.last - s.first <= tile
        assert s.first == max(0, s.start - margin)
        assert s.last == min(length, s.stop + margin)
        assert all(value % multiple == 0 for value in s)


def test_a_tile_that_is_all_context_is_refused():
    with pytest.raises(CycadaError, match=r"tile: found 40, but this generator looks \d+ pixels"):
        spans(1000, 40, 24, 4)


@pytest.mark.parametrize("options", [{}, {"up": "resize"}, {"downs": 1}, {"norm": "batch"}, {"norm": "none", "downs": 0}])
def test_tiles_are_the_whole_with_the_same_statistics(options):
    net = generator(**options)
    picture = scenery(132, 204)
    with torch.no_grad():
        kept = with_kept_statistics(net, picture, 10**4)
        whole = kept(to_float(picture[None]))
        assert (whole - net(to_float(picture[None]))).abs().max() < 1e-4  # of the whole picture, they are its own
        assert normalises_by_image(net) == (options.get("norm", "instance") == "instance")
        assert not normalises_by_image(kept)
        seen = []
        for tile in (96, 128, 160):
            tiled = by_tiles(kept, picture, tile, seen.append)
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
    far = reach(kept, 3)
    with torch.no_grad():
        whole = kept(image)
        for row in spans(120, 96, far, 4):
            for column in spans(180, 96, far, 4):
                part = kept(image[..., row.first : row.last, column.first : column.last])
                own = part[..., row.start - row.first :, column.start - column.first :][
                    ..., : row.stop - row.start, : column.stop - column.start
                ]
                assert torch.allclose(own, whole[..., row.start : row.stop, column.start : column.stop], atol=1e-12)


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
    """How much neighbours differ across the borders, over how much they differ elsewhere. 1: nobody can tell."""
    steps = picture.float().diff(dim=dim).abs().mean([d for d in range(3) if d != dim])
    at = torch.zeros(len(steps), dtype=torch.bool)
    at[[b - 1 for b in borders]] = True
    return (steps[at].mean() / steps[~at].mean()).item()


def test_no_seams():
    """The same measure sees the seams that tiles with statistics of their own leave."""
    net, picture = generator(blocks=1), scenery(256, 384)
    tiled = translate_picture(net, picture, tile=96)
    far = reach(net, 3)
    borders = [s.start for s in spans(384, 96, far, 4)[1:]]
    naive = picture.clone()
    with torch.no_grad():
        for left, right in zip([0, *borders], [*borders, 384], strict=True):
            naive[..., left:right] = to_bytes(net(to_float(picture[None, ..., left:right])))[0]
    assert jump(tiled, borders, 2) < 1.15
    assert jump(naive, borders, 2) > 1.5
    rows = [s.start for s in spans(256, 96, far, 4)[1:]]
    assert jump(tiled, rows, 1) < 1.15


def test_blended_tiles_of_a_deep_unet():
    torch.manual_seed(0)
    net, picture = UnetGenerator(3, channels=2, downs=6).eval(), scenery(192, 320)
    net.downs_seen = None
    assert reach(net, 3) is not None or smallest(net) == 64
    identity = Whole()
    assert (translate_picture(identity, picture, tile=64).int() - picture.int()).abs().max() <= 1  # weights add up to 1
    deep = UnetGenerator(3, channels=2, downs=8).eval()
    assert translate_picture(deep, scenery(300, 600), tile=256).shape == (3, 300, 600)


class Whole(nn.Module):
    """The identity, and yet all of the image is looked at: 0 times its mean."""

    def forward(self, x):
        return x + 0 * x.mean((2, 3), keepdim=True)


CHILD = """
import resource, sys
from cycada.cli import main
sys.argv = ["cycada", "translate", *sys.argv[1:]]
main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_large_photo_takes_less_than_2_gb(tmp_path):
    """4000 x 3000 through CycleGAN's generator with 9 blocks, the whole command in a process of its own."""
    from test_export import about

    from cycada.runs.exported import write_weights

    write_weights(tmp_path, ResnetGenerator(3), about({"name": "resnet"}))
    photo = scenery(3000, 4000).permute(1, 2, 0).numpy()
    Image.fromarray(photo).save(tmp_path / "photo.png", compress_level=1)
    words = [tmp_path / "generator.safetensors", tmp_path / "photo.png", tmp_path / "out.png", "--size", "keep", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CHILD, *map(str, words)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "out.png") == (4000, 3000)
    assert int(done.stdout.splitlines()[-1]) * 1024 < 2e9
    with Image.open(tmp_path / "out.png") as image:
        tiled = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    for dim in (1, 2):
        borders = [s.start for s in spans(tiled.shape[dim], 1024, reach(ResnetGenerator(3, channels=4), 3), 4)[1:]]
        assert jump(tiled, borders, dim) < 1.15
