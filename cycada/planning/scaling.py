"""Say how images are scaled, and warn where they are enlarged, stretched or cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cycada.data import ImageSet
from cycada.data.image_set import evenly_spaced

HEADERS = 256
"""How many files of a segmentation set, evenly spaced, are opened to read their sizes."""
ENLARGED = 1.5
"""Factor from which on a warning says that a user's images are enlarged."""
ENLARGED_DIGITS = 2.0
"""Factor above which the warning comes for a domain whose files are all of one size.

It is larger, because the recipes enlarge digits of 16 x 16 to 32 x 32.
"""
CUT = 2.0
"""Factor between the sides of an image above which a warning says how much is lost where it is cut square."""
STRETCHED = 1.2
"""Factor between the scales of an image's two sides from which on a line says that it is stretched."""


def count_own_sizes(examples: ImageSet) -> Mapping[str, int]:
    """Count the files by their own size, 'W x H' in pixels.

    Of files that are not in memory only a sample is counted; drawn images have no files.
    """
    return examples.sizes(evenly_spaced(len(examples), HEADERS))


def warn_of_scaling(examples: ImageSet, shape: tuple[int, int], resize: str) -> list[str]:
    """Return warnings where pictures are enlarged, stretched or cut.

    Args:
        examples: The set.
        shape: Height and width that the images are scaled to.
        resize: How images with image-level labels are scaled.
    """
    if is_padded(examples, resize):
        return []
    return [*_enlarged(examples, shape), *_stretched(examples, shape), *_cut(examples)]


def describe_sizes(sizes: Mapping[str, int], shape: tuple[int, int], padded: bool, cut: bool) -> str:
    """Return the files' own sizes and what becomes of them.

    Args:
        sizes: Size, 'W x H' -> number of files.
        shape: Height and width that the images are scaled to.
        padded: Whether they stay as large as they are, on black.
        cut: Whether they are cut square before they are scaled, as images with image-level labels are.
    """
    (common, count), *others = Counter(sizes).most_common()
    more = f" ({count}) and {len(others)} other size{'s' * (len(others) > 1)}" if others else ""
    own = f"{common} pixels{more}"
    wanted = f"{shape[1]} x {shape[0]}"
    if not others and common == wanted:
        return own
    if padded:
        return f"{own}, padded to {wanted}"
    square = "cut square and " if cut and any(w != h for w, h in map(_sides, sizes)) else ""
    scales = [_scale(size, shape) for size in sizes]
    if not cut and max(_stretch(size, shape) for size in sizes) > STRETCHED:
        return f"{own}, stretched to {wanted}"
    change = "enlarged" if min(scales) > 1 else "reduced" if max(scales) < 1 else "scaled"
    return f"{own}, {square}{change} to {wanted}"


def _enlarged(examples: ImageSet, shape: tuple[int, int]) -> list[str]:
    """Return a warning where files are much smaller than the images that training sees."""
    sizes = count_own_sizes(examples)
    small = {
        size: n
        for size, n in sizes.items()
        if (
            _scale(size, shape) > ENLARGED_DIGITS if examples.is_official else _scale(size, shape) >= ENLARGED
        )
    }
    if not small:
        return []
    return [
        f"{_which(small, sizes)} are enlarged to {shape[1]} x {shape[0]}. Lower data.size, or give larger "
        "ones."
    ]


def _which(some: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """Return the subject of a warning about those pictures that have some of all sizes."""
    others = " and other sizes" if len(some) > 1 else ""
    return f"{sum(some.values())} of {sum(sizes.values())} pictures, of {_commonest(some)} pixels{others},"


def _commonest(sizes: Mapping[str, int]) -> str:
    """Return the size that most pictures have."""
    return max(sizes, key=lambda size: sizes[size])


def is_padded(examples: ImageSet, resize: str) -> bool:
    """Return whether images are put on black and not scaled; scenes and their masks always are scaled."""
    return resize == "pad" and examples.task == "classification"


def _stretched(examples: ImageSet, shape: tuple[int, int]) -> list[str]:
    """Return a warning where pictures get another shape because their sides are scaled differently."""
    if examples.cut_square:
        return []
    sizes = count_own_sizes(examples)
    other = {size: n for size, n in sizes.items() if _stretch(size, shape) > STRETCHED}
    if not other:
        return []
    return [
        f"{_which(other, sizes)} are stretched to {shape[1]} x {shape[0]}: their sides are scaled by factors "
        "that differ by "
        f"{max(_stretch(size, shape) for size in other):.1f}. Set data.size to their shape."
    ]


def _cut(examples: ImageSet) -> list[str]:
    """Return a warning where most of a picture is lost because it is cut to a centred square."""
    if not examples.cut_square:
        return []
    sizes = count_own_sizes(examples)
    long = {size: n for size, n in sizes.items() if square_share(*_sides(size)) < 1 / CUT}
    if not long:
        return []
    return [
        f"{_which(long, sizes)} are cut to the square in their middle, which is "
        f"{square_share(*_sides(_commonest(long))):.0%} of such a picture. Cut or pad them yourself where "
        "what matters lies elsewhere."
    ]


def square_share(width: int, height: int) -> float:
    """Return the share of a picture that the largest square in it has."""
    return min(width, height) / max(width, height)


def _stretch(size: str, shape: tuple[int, int]) -> float:
    """Return by which factor the ratio of the sides of an image 'W x H' changes, at least 1."""
    width, height = _sides(size)
    ratio = (shape[1] / width) / (shape[0] / height)
    return max(ratio, 1 / ratio)


def _scale(size: str, shape: tuple[int, int]) -> float:
    """Return the factor by which an image 'W x H' is enlarged, along the side that is enlarged more."""
    width, height = _sides(size)
    return shape[0] / min(width, height) if shape[0] == shape[1] else max(shape[0] / height, shape[1] / width)


def _sides(size: str) -> tuple[int, int]:
    """Return width and height of a size 'W x H'."""
    width, height = map(int, size.split(" x "))
    return width, height
