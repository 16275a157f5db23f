"""Figures and pictures of a report's page made small: what is drawn stays, shape by shape."""

import base64
import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from cycada.render.figure import new, panel, styled
from cycada.render.pixels import QUALITY, WIDEST, columns_of, rows_of, uri
from cycada.render.svg import _path, _styles, compact, written

INHERITED = {
    "stroke-linejoin": "round",
    "stroke-linecap": "butt",
}  # what matplotlib's style sheet says of all
OWN = ("opacity", "clip-path")


def figure():
    shape, axes = new(3, 2)
    rng = np.random.default_rng(0)
    axes.bar(range(5), [3, 1, 2, 5, 4], alpha=0.7)
    axes.plot(range(5), [1, 2, 4, 3, 0], "o--", label="a line")
    axes.hlines([1, 2, 3], 0, 4, color="#bd1f01")
    axes.scatter(*rng.normal(2, 1, (2, 30)), alpha=0.5, rasterized=True)
    axes.set(title="x < y & z", ylabel="turned")
    axes.grid(axis="y")
    shape.legend(loc="outside lower left")
    return shape


def drawn(root):
    """Every shape in the order of drawing: tag, place to a hundredth, and the style that holds for it."""
    found, markers = [], {}
    for parent in root.iter():
        for child in parent:
            if child.get("id") and child.tag != "g":
                markers["#" + child.get("id")] = (
                    re.sub(r"[^MLCz]", "", child.get("d", "")),
                    _styles(child.get("style", "")),
                )

    def visit(element, style, inside):
        own = _styles(element.get("style", ""))
        style = style | {k: v for k, v in own.items() if k not in OWN}
        inside = inside | {k: v for k in OWN if (v := own.get(k, element.get(k)))}
        if element.tag == "defs":
            return
        if element.tag in ("path", "text", "use", "image") and element.get("style") != "fill: none":
            shape, said = markers.get(element.get("href"), ("", {}))
            at = [
                round(float(n), 1)
                for k in ("d", "x", "y", "transform")
                for n in re.findall(r"-?\d+\.?\d*", element.get(k, ""))
            ]
            text = element.tag == "text"
            kept = {
                k: v
                for k, v in (style | said).items()
                if k.startswith(("font", "text")) == text or k == "fill"
            }
            found.append(
                (
                    element.tag,
                    element.text,
                    shape,
                    at if "rotate(-0" not in element.get("transform", "") else at[:2],
                    kept,
                    "opacity" in inside,
                    "clip-path" in inside,
                )
            )
        for child in element:
            visit(child, style, inside)

    visit(root, dict(INHERITED), {})
    return found


@pytest.fixture(scope="module")
def both():
    """The SVG of one figure as matplotlib writes it, and made small."""
    with styled():
        file = io.StringIO()
        figure().savefig(file, format="svg")
    return file.getvalue(), compact(file.getvalue(), "k")


def test_every_shape_is_drawn_where_and_as_it_was(both):
    before = ET.fromstring(both[0][both[0].index("<svg") :])
    for element in before.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {k.rpartition("}")[2]: v for k, v in element.attrib.items()}
        element.text = (element.text or "").strip() or None
    one, other = drawn(before), drawn(ET.fromstring(written(both[1])))
    assert len(one) == len(other) > 30
    for (*a, at, style, opaque, clip), (*b, at_b, style_b, opaque_b, clip_b) in zip(one, other, strict=True):
        assert (a, opaque, clip) == (b, opaque_b, clip_b)
        assert at == pytest.approx(at_b, abs=0.11)
        assert style == style_b


def test_it_is_a_fraction_and_its_ids_are_its_own(both):
    small = written(both[1])
    assert len(small) < len(both[0]) / 2
    ids = re.findall(r'\bid="([^"]+)"', small)
    assert ids
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', small)) == set(ids)
    assert all(i.startswith("k-") for i in ids)
    assert "x &lt; y &amp; z" in small
    with styled():
        one, again = panel(figure(), "k", "it"), panel(figure(), "k", "it")
    assert one == again, "the same every time"
    assert "DejaVu" not in one.svg
    ET.fromstring(one.alone)


def test_paths_are_written_shortly():
    assert _path("M 1 2 \nL 3 4 \nL 5 6 \nz\n") == "M1 2L3 4 5 6z"
    assert _path("M 0 1 C 1 2 3 4 5 6 L 7 8 M 1 -1 L 2 2") == "M0 1C1 2 3 4 5 6L7 8M1 -1L2 2"


def opened(data):
    return Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))


def test_pictures_keep_their_look_in_fewer_bytes(tmp_path):
    ramp = np.linspace(0, 255, 80).astype(np.uint8)
    grey = Image.fromarray(np.repeat(np.tile(ramp, (40, 1))[..., None], 3, 2))
    found = opened(uri(grey)).convert("RGB")
    assert np.abs(np.asarray(found).astype(int) - np.asarray(grey)).max() <= 4
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    clear.putpixel((4, 4), (200, 30, 30, 255))
    assert np.array_equal(np.asarray(opened(uri(clear)).convert("RGBA"))[..., 3], np.asarray(clear)[..., 3])
    labels = (
        np.random.default_rng(0)
        .choice([[128, 64, 128], [0, 0, 142], [220, 20, 60]], (30, 30), axis=0)
        .astype(np.uint8)
    )
    assert np.array_equal(np.asarray(opened(uri(Image.fromarray(labels))).convert("RGB")), labels), (
        "masks to the pixel"
    )
    assert opened(uri(Image.new("RGB", (2 * WIDEST, 100), "red"))).size == (WIDEST, 50)
    y, x = np.mgrid[:120, :160]
    photo = np.stack([x, y, (x * y) // 90], 2) + np.random.default_rng(0).normal(0, 12, (120, 160, 3))
    data = uri(Image.fromarray(photo.clip(0, 255).astype(np.uint8)))
    assert data.startswith("data:image/jpeg"), QUALITY
    assert np.abs(np.asarray(opened(data)).astype(int) - photo.clip(0, 255)).mean() < 12


def test_rows_and_columns_of_a_picture(tmp_path):
    path = tmp_path / "grid.png"
    grid = np.full((50, 4 * 10 + 3 * 4, 3), 255, np.uint8)
    for column in range(4):
        grid[:, column * 14 : column * 14 + 10] = 60 * column
    Image.fromarray(grid).save(path)
    found = np.asarray(columns_of(path, (0, 2), 4, 4))
    assert found.shape == (50, 24, 3)
    assert found[0, :, 0].tolist() == [0] * 10 + [255] * 4 + [120] * 10
    grid[:8] = grid[18:22] = grid[30:34] = 255
    Image.fromarray(grid).save(path)
    assert np.array_equal(np.asarray(rows_of(path, 1, head=8)), grid[:18])
    assert np.array_equal(np.asarray(rows_of(path, 2, head=8)), grid[:30])
    for whole in (rows_of(path, 9, head=8), rows_of(path)):
        assert np.array_equal(np.asarray(whole), grid)
