"""One way to read a picture, one way to read a mask: every kind of file through every entry, and what cannot
be known is said."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import nn
from typer.testing import CliRunner

from cycada.cli.main import app
from cycada.core.errors import CycadaError
from cycada.data.domain import Wanted, domains
from cycada.data.doubts import group_doubts
from cycada.data.masks import read_colours, read_first_channel, read_ids
from cycada.data.picture import list_pictures, picture_doubts, picture_size, read_picture
from cycada.data.segmentation import segmentation_domains
from cycada.inference.folders import translate
from cycada.inference.translator import Translator
from cycada.study.pictures import fitted
from cycada.style import pictures as style_pictures

SIDE = 16
RAMP = np.linspace(3, 250, SIDE * SIDE).reshape(SIDE, SIDE).round().astype(np.uint8)
"""A grey in 8 bits that no turn leaves as it is."""
GREY = np.stack([RAMP] * 3, -1)
COLOUR = np.stack([RAMP, RAMP.T, 255 - RAMP], -1)
SHARE = np.tile(np.linspace(0, 255, SIDE).round().astype(np.uint8), (SIDE, 1))


def saved(path, pixels, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **how)
    return path


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def twelve_bits(path, values):
    """A TIFF file that says that it has 12 bits, which Pillow does not write: two values in three bytes."""
    pairs = values.reshape(-1, 2).astype(int)
    data = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)
    height, width = values.shape
    tags = [
        (256, width),
        (257, height),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
    ]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )
    return path


def deep_colour(path, colour):
    """A PNG file of 16-bit colours, which Pillow does not write."""
    import zlib

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width, channels = colour.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colour)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def on_white(pixels, share=SHARE):
    alpha = share[..., None] / 255
    return (pixels * alpha + 255 * (1 - alpha)).round().astype(np.uint8)


DEEP = RAMP.astype(np.uint16) * 257
FRAMES = {"save_all": True, "append_images": [Image.fromarray(255 - COLOUR)]}
TABLE = {
    "colour.png": (COLOUR, COLOUR, {}),
    "colour.bmp": (COLOUR, COLOUR, {}),
    "colour.webp": (COLOUR, COLOUR, {"lossless": True}),
    "colour.tif": (COLOUR, COLOUR, {"compression": "tiff_lzw"}),
    "grey.png": (RAMP, GREY, {}),
    "deep.png": (DEEP, GREY, {}),
    "deep.tif": (DEEP, GREY, {}),
    "deeper.tif": (DEEP.astype(np.int32), GREY, {}),
    "deep_hole.png": (DEEP, np.where(RAMP[3, 3] == GREY, 255, GREY), {"transparency": int(DEEP[3, 3])}),
    "hole.png": (RAMP, np.where(RAMP[3, 3] == GREY, 255, GREY), {"transparency": int(RAMP[3, 3])}),
    "two.png": (RAMP > 99, np.where(GREY > 99, 255, 0), {}),
    "palette.png": (Image.fromarray(RAMP).convert("P"), GREY, {}),
    "alpha.png": (np.dstack([COLOUR, SHARE]), on_white(COLOUR), {}),
    "grey_alpha.png": (
        Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(SHARE)]),
        on_white(GREY),
        {},
    ),
    "ink.tif": (Image.fromarray(np.dstack([255 - COLOUR, np.zeros_like(RAMP)]), "CMYK"), COLOUR, {}),
    "turned.png": (COLOUR, np.rot90(COLOUR, -1), turned(6)),
    "half.tif": (COLOUR, COLOUR[::-1, ::-1], turned(3)),
    "pages.tif": (COLOUR, COLOUR, FRAMES),
    "moving.webp": (COLOUR, COLOUR, {**FRAMES, "lossless": True}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every kind of picture of the table, with what is to be read from it."""
    where, expected = tmp_path_factory.mktemp("table") / "pictures", {}
    for name, (pixels, seen, how) in TABLE.items():
        expected[saved(where / name, pixels, **how)] = seen
    expected[twelve_bits(where / "twelve.tif", np.round(RAMP / 255 * 4095))] = GREY
    expected[deep_colour(where / "deep_colour.png", COLOUR.astype(np.uint16) * 257)] = COLOUR
    expected[deep_colour(where / "deep_alpha.png", np.dstack([COLOUR, SHARE]).astype(np.uint16) * 257)] = (
        on_white(COLOUR)
    )
    return where, expected


class Same(nn.Module):
    def forward(self, x):
        return x


def identity():
    return Translator(Same(), 3, (SIDE, SIDE), "bilinear", "st", "same", torch.device("cpu"))


def through_images(path):
    scenes = segmentation_domains["images"](train=path.parent.name, test=path.parent.name).load(
        path.parent.parent, "train"
    )
    return scenes.pair(list(scenes.names).index(path.name))[0]


def through_an_unlabelled_folder(path):
    domain = domains["folder"](train="one", test="one")
    domain.prepare(Wanted(SIDE, labels=False, classes=("a",)))
    (path.parent.parent / "one").mkdir(exist_ok=True)
    link = path.parent.parent / "one" / path.name
    link.symlink_to(path)
    try:
        return domain.load(path.parent.parent, "train", False).images[0].permute(1, 2, 0).numpy()
    finally:
        link.unlink()


def through_translate(path):
    out = path.parent.parent / f"{path.name}.out.png"
    translate(identity(), path, out)
    return np.asarray(Image.open(out))


def through_a_pil_image(path):
    with Image.open(path) as image:
        return np.asarray(identity()(image))


def through_style(path):
    return ((style_pictures.read(path, None)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round()


ENTRIES = [
    read_picture,
    through_images,
    through_an_unlabelled_folder,
    through_translate,
    through_a_pil_image,
    through_style,
    lambda path: np.asarray(fitted(path, (SIDE, SIDE))[0]),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_the_same_file_gives_the_same_numbers_through_every_entry(folder, entry):
    for path, expected in folder[1].items():
        found = np.asarray(entry(path), float)
        assert found.shape == expected.shape, path.name
        assert np.abs(found - expected).max() <= 1, path.name
        assert np.array_equal(found, read_picture(path)), path.name


def test_an_image_beside_a_mask_has_those_numbers_too_but_is_not_turned(tmp_path, folder):
    (tmp_path / "classes.yaml").write_text("a: 0\n")
    kept = {path: seen for path, seen in folder[1].items() if path.stem not in ("turned", "half")}
    for path in kept:
        name = path.name.replace(".", "_")
        (tmp_path / "s" / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / "images" / f"{name}{path.suffix}").write_bytes(path.read_bytes())
        saved(tmp_path / "s" / "masks" / f"{name}.png", np.zeros((SIDE, SIDE), np.uint8))
    scenes = segmentation_domains["mask_folder"](train="s", test="s", classes="classes.yaml").load(
        tmp_path, "train"
    )
    found = {name: scenes.pair(i)[0] for i, name in enumerate(scenes.names)}
    for path in kept:
        assert np.array_equal(found[path.name.replace(".", "_")], read_picture(path)), path.name


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.float32), np.full((8, 8), 70000, np.int32), np.full((8, 8), -1, np.int32)]
)
def test_numbers_whose_white_nobody_knows_are_refused_by_name(tmp_path, pixels):
    path = saved(tmp_path / "a" / "x.tif", pixels)
    (tmp_path / "classes.yaml").write_text("a: 0\n")
    saved(tmp_path / "s" / "images" / "x.tif", pixels)
    saved(tmp_path / "s" / "masks" / "x.png", np.zeros((8, 8), np.uint8))
    scenes = segmentation_domains["mask_folder"](train="s", test="s", classes="classes.yaml").load(
        tmp_path, "train"
    )
    with pytest.raises(CycadaError, match=r"x\.tif.*expected"):
        scenes.pair(0)
    for entry in (
        read_picture,
        through_images,
        lambda p: fitted(p, (8, 8)),
        lambda p: style_pictures.read(p, None),
    ):
        with pytest.raises(CycadaError, match=r"x\.tif.*expected"):
            entry(path)
    result = translate(identity(), tmp_path / "a", tmp_path / "out")
    assert "x.tif" in result.complaint()
    with Image.open(path) as image, pytest.raises(CycadaError, match="expected"):
        identity()(image)


def test_arrays_of_other_types_are_refused():
    for array in (
        RAMP.astype(np.uint16),
        RAMP / 255,
        np.dstack([COLOUR, SHARE]),
        np.zeros((2, 8, 8, 3), np.uint8),
    ):
        with pytest.raises(CycadaError, match="expected uint8"):
            identity()(array)
    assert np.array_equal(identity()(COLOUR), COLOUR)


def test_what_cannot_be_known_is_said(tmp_path, folder):
    expected = folder[1]
    said = {path.name: " ".join(picture_doubts(path, beside_mask=True)) for path in expected}
    see_through = {"alpha.png", "grey_alpha.png", "hole.png", "deep_hole.png", "deep_alpha.png"}
    assert {name for name, text in said.items() if "transparent" in text} == see_through
    others = {"turned.png", "half.tif", "pages.tif", "moving.webp"}
    assert {name for name, text in said.items() if text} == see_through | others
    assert "turned by 180 degrees" in said["half.tif"]
    assert "2 frames or pages" in said["pages.tif"]
    dark = [
        saved(tmp_path / "dark.png", DEEP // 16),
        deep_colour(tmp_path / "colour.png", COLOUR.astype(np.uint16) * 16),
    ]
    dark.append(
        deep_colour(
            tmp_path / "alpha.png", np.dstack([COLOUR.astype(np.uint16) * 16, np.full_like(DEEP, 65535)])
        )
    )
    assert all("12 bits or fewer" in " ".join(picture_doubts(path)) for path in dark)
    result = translate(identity(), tmp_path, tmp_path / "out")
    assert len(result.doubts) == 3
    assert group_doubts(result.doubts)


@pytest.mark.parametrize("most", [1, 15])
@pytest.mark.parametrize("kind", ["L", "RGB", "P", "RGBA"])
def test_a_picture_that_is_read_as_nearly_black_is_said(tmp_path, kind, most):
    for value, expected in ((most, 1), (16, 0), (0, 0)):
        pixels = np.where(COLOUR > 100, value, 0).astype(np.uint8)
        picture = Image.fromarray(pixels).convert(kind, palette=Image.Palette.ADAPTIVE)
        said = picture_doubts(saved(tmp_path / f"{value}.png", picture))
        assert [f"no value above {most} of 255" in doubt for doubt in said] == [True] * expected
        assert picture_doubts(saved(tmp_path / "mask.png", picture), is_mask=True) == []


def test_an_opaque_channel_of_transparency_is_in_no_doubt(tmp_path):
    path = saved(tmp_path / "x.png", np.dstack([COLOUR, np.full_like(RAMP, 255)]))
    assert picture_doubts(path) == []


def test_a_link_to_nothing_is_called_so_whatever_its_suffix(tmp_path):
    for name in ("cat", "dog.png"):  # a class folder on a disk that is not mounted, and a picture
        (tmp_path / name).symlink_to("nowhere")
    assert set(list_pictures(tmp_path).left_out.values()) == {"a link to nothing"}


def test_a_pipe_is_no_picture_and_keeps_nobody_waiting(tmp_path):
    pipe = tmp_path / "x.png"
    os.mkfifo(pipe)
    for ask in (read_picture, picture_size):
        with pytest.raises(CycadaError, match="no regular file"):
            ask(pipe)
    for ask in (read_ids, read_colours, read_first_channel):
        with pytest.raises(ValueError, match="no regular file"):
            ask(pipe)
    assert picture_doubts(pipe) == []
    with pytest.raises(CycadaError, match="there is no such file"):
        read_picture(tmp_path / "absent.png")


# Masks.

IDS = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 7).astype(np.uint8)


def palette(colours, **how):
    image = Image.fromarray(IDS, "P")
    image.putpalette(colours)
    return image


def test_ids_are_the_same_in_every_depth(tmp_path):
    kinds = {
        "grey.png": IDS,
        "deep.png": IDS.astype(np.uint16),
        "deep.tif": IDS.astype(np.int32),
        "whole.tif": IDS.astype(np.float32),
        "palette.png": palette([9, 8, 7] * 7),
    }
    for name, pixels in kinds.items():
        assert np.array_equal(read_ids(saved(tmp_path / name, pixels)), IDS), name
    assert np.array_equal(
        read_first_channel(deep_colour(tmp_path / "rgb.png", np.dstack([IDS * np.uint16(300)] * 3))),
        IDS * np.uint16(300),
    )


def test_masks_that_are_no_ids_are_refused(tmp_path):
    fractional = IDS.astype(np.float32) + 0.5
    cases = [
        ("half.tif", fractional, {}, "fractional"),
        ("nan.tif", np.full((8, 8), np.nan, np.float32), {}, "fractional"),
        ("inf.tif", np.full((8, 8), np.inf, np.float32), {}, "from 0 to 65535"),
        ("big.tif", np.full((8, 8), 2.0**32, np.float32), {}, "from 0 to 65535"),
        ("a.jpg", IDS, {}, "lossy"),
        ("tiff.tif", IDS, {"compression": "jpeg"}, "lossy"),
        ("rgb.png", np.dstack([IDS] * 3), {}, "one channel"),
        ("lossy.webp", np.dstack([IDS] * 3), {"quality": 50}, "lossy"),
        ("alpha.png", Image.fromarray(IDS).convert("LA"), {}, "one channel"),
    ]
    for name, pixels, how, words in cases:
        with pytest.raises(ValueError, match=words):
            read_ids(saved(tmp_path / name, pixels, **how))


def test_colours_that_nobody_sees_and_channels_that_lose_ids_are_refused(tmp_path):
    clear = saved(tmp_path / "clear.png", np.dstack([COLOUR, SHARE]))
    deep = deep_colour(tmp_path / "deep.png", np.dstack([COLOUR, SHARE]).astype(np.uint16))
    for path, words in (
        (clear, "transparent"),
        (deep, "more than 8 bits"),
        (saved(tmp_path / "a.jpg", COLOUR), "lossy"),
    ):
        with pytest.raises(ValueError, match=words):
            read_colours(path)
    for path in (deep, saved(tmp_path / "p.png", palette([9, 8, 7] * 7)), saved(tmp_path / "b.jpg", COLOUR)):
        with pytest.raises(ValueError, match="found a mask"):
            read_first_channel(path)


SEVEN = "".join(f"c{k}: {k}\n" for k in range(7))


def scenes_of(root, masks, classes=SEVEN, image=None):
    (root / "classes.yaml").write_text(classes)
    for i, (mask, how) in enumerate(masks):
        saved(root / "s" / "images" / f"{i}.png", COLOUR, **(image or {}))
        saved(root / "s" / "masks" / f"{i}.{how.pop('form', 'png')}", mask, **how)
    return segmentation_domains["mask_folder"](train="s", test="s", classes="classes.yaml").load(
        root, "train"
    )


def test_doubts_about_masks_are_said_by_name(tmp_path):
    one, other = [0, 0, 0, 9, 9, 9] + [7] * 15, [1, 1, 1, 9, 9, 9] + [7] * 15
    masks = [
        (palette(one), {}),
        (palette(other), {}),
        (IDS, {"form": "tif", "save_all": True, "append_images": [Image.fromarray(IDS)]}),
        (palette(one), {"transparency": 2}),
        (IDS, turned(3)),
    ]
    found = {
        path.rsplit("/", 1)[-1]: " ".join(said)
        for path, said in scenes_of(tmp_path, masks).doubts(range(5)).items()
    }
    assert "other colours than that of 0.png" in found["1.png"]
    assert "2 frames" in found["2.tif"]
    assert found["3.png"] == "some of its values are transparent; they are read as class ids like all others"
    assert "180 degrees, which is not followed for a mask" in found["4.png"]
    assert set(found) == {"1.png", "2.tif", "3.png", "4.png"}


def test_doubts_about_coloured_masks_are_said_too(tmp_path):
    flat = np.zeros((SIDE, SIDE, 3), np.uint8)
    scenes = scenes_of(tmp_path, [(flat, turned(3)), (flat, {})], "a: [0, 0, 0]\n")
    assert [path.rsplit("/", 1)[-1] for path in scenes.doubts(range(2))] == ["0.png"]


def test_data_check_says_an_orientation_beside_a_mask_and_the_refusal_names_it(tmp_path):
    scenes_of(tmp_path, [(IDS, {})], image=turned(3))
    said = CliRunner().invoke(
        app,
        [
            "data",
            "check",
            "mask_folder",
            "--root",
            str(tmp_path),
            "train=s",
            "test=s",
            "classes=classes.yaml",
        ],
    )
    assert "orientation (3)" in " ".join((said.output + said.stderr).split()), said.output
    wide = np.zeros((8, 12, 3), np.uint8)
    saved(tmp_path / "s" / "images" / "0.png", wide, **turned(6))
    saved(tmp_path / "s" / "masks" / "0.png", np.zeros((12, 8), np.uint8))
    scenes = segmentation_domains["mask_folder"](train="s", test="s", classes="classes.yaml").load(
        tmp_path, "train"
    )
    with pytest.raises(CycadaError, match=r"Turned by its EXIF orientation.*save it upright"):
        scenes.pair(0)


def grey_png(path, bits, rows):
    """A PNG file of grey with fewer than 8 bits, which Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) * 8 // bits, len(rows), bits, 0, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("bits", [2, 4])
def test_masks_of_few_bits_of_grey_are_refused_as_pillow_scales_their_ids(tmp_path, bits):
    path = grey_png(tmp_path / "few.png", bits, [[0x11] * 4] * 8)
    for read in (read_ids, read_first_channel):
        with pytest.raises(ValueError, match=f"{bits} bits of grey.*save it as 8-bit grey"):
            read(path)
    assert read_picture(path).max() == {2: 85, 4: 17}[bits]  # a picture looks as in a viewer


def test_sixteen_bits_whose_zero_is_white_are_read_as_eight_bits_are(tmp_path):
    deep = saved(tmp_path / "deep.tif", 65535 - DEEP, tiffinfo={262: 0})
    flat = saved(tmp_path / "flat.tif", RAMP, tiffinfo={262: 0})
    assert np.array_equal(read_picture(deep), read_picture(flat))
    ids = saved(tmp_path / "ids.tif", 65535 - IDS.astype(np.uint16), tiffinfo={262: 0})
    assert np.array_equal(read_ids(ids), IDS)


def test_a_mask_of_one_bit_is_in_doubt_where_white_may_be_two_ids(tmp_path):
    mask = [(Image.fromarray(IDS > 0), {})]
    assert "not as 255" in str(scenes_of(tmp_path, mask, "a: 0\nb: 1\nignore: 255\n").doubts(range(1)))
    assert not scenes_of(tmp_path, mask, "a: 0\nb: 1\n").doubts(range(1))


def test_a_profile_other_than_srgb_is_said(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = srgb.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    for name, profile, said in (
        ("a.jpg", srgb, 0),
        ("b.jpg", wide, 1),
        ("c.png", wide, 1),
        ("d.png", b"x", 0),
    ):
        doubts = picture_doubts(saved(tmp_path / name, COLOUR, icc_profile=profile))
        assert len(doubts) == said, name
        assert all("'wide built-in', which is not applied" in doubt for doubt in doubts)
    assert picture_doubts(saved(tmp_path / "grey.png", RAMP, icc_profile=wide)) == []
