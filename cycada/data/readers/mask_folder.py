"""Domain of a user's own images with masks, and a file that defines the values of the masks."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, shown
from cycada.core.types import IGNORE
from cycada.core.yaml_files import parse_yaml
from cycada.data.domain import class_names
from cycada.data.masks import MaskTable, pack, read_colours, read_ids, unpack
from cycada.data.pairs import by_stem, find_left_out, find_pairs, find_unlabelled
from cycada.data.picture import describe_absent, image_files
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains

Code = int | tuple[int, int, int]
"""Value of a class in the masks: an id, or a colour."""
Folders = PathText | Annotated[tuple[PathText, ...], Field(min_length=1, max_length=2)]
"""Where the files of a split are: the folder of images/ and masks/, or that of images and that of masks."""
ID_FIRST = re.compile(r"^(\d+)[ \t]*:[ \t]+([^\s#][^#\n]*)", re.MULTILINE)
"""Line of a class map that begins with an id, as in lists of other tools."""


@segmentation_domains("mask_folder")
class MaskFolder(SegmentationDomain):
    """Your own images with class masks, in folders.

    In a config: `{name: mask_folder, train: town/train, test: town/test, classes: town/classes.yaml}`.

    Files: the folders images/ and masks/ in the folder of each split, with equal file names except for the
    suffix; or two folders of any name, `train: [frames/train, labels/train]`, of images and of masks. The
    training images of an unlabelled target need no masks: `train: [frames/train]`, or a folder without
    masks/. Images are read as they are stored: their EXIF orientation is ignored, as it would not turn the
    mask.

    Labels: a YAML file gives the id or colour of each class in the masks, in order, and under `ignore` the
    values that do not count. Any other value in a mask is an error.

        road: 0                    or    road: [128, 64, 128]
        car: {ids: [13, 14]}             car: [[0, 0, 142], [0, 0, 70]]
        ignore: {ids: [255]}             ignore: [0, 0, 0]

    Args:
        train: Folder of the training images and masks, relative to the data root, or the folder of the
            images and that of the masks.
        test: Folder or folders of the test images and masks.
        classes: The YAML file.
        flip_safe: Whether a mirrored image is a possible image of the domain.
        consecutive: Whether the test images, sorted by name, are consecutive frames of one video. Reports
            then resample them in blocks, as neighbours are no independent samples.
        skip_bad: Leave out pairs that are damaged or incomplete. This reads every file once.
    """

    files = ("TRAIN/images/*", "TRAIN/masks/*", "TEST/images/*", "TEST/masks/*", "CLASSES.yaml")

    def __init__(
        self,
        *,
        train: Folders,
        test: Folders,
        classes: PathText,
        flip_safe: bool = True,
        consecutive: bool = False,
        skip_bad: bool = False,
    ) -> None:
        self.folders, self.class_file = {"train": train, "test": test}, classes
        self.consecutive = consecutive
        self.flip_safe, self.skip_bad = flip_safe, skip_bad
        self.classes, self.palette = (), ()

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split, whether there are masks or not."""
        self._read_classes(root)
        images, _ = self._folders(root, split, masks=False)
        return find_unlabelled(
            self,
            by_stem(image_files(images)),
            images,
            self.skip_bad,
            left_out=self._left_out(root, split, images),
        )

    def mask_values(self, root: Path) -> Sequence[Code]:
        """Return the first id or colour of each class in the class file."""
        codes, _ = self._read_classes(root)
        return [codes[name][0] for name in self.classes]

    def _folders(self, root: Path, split: str, masks: bool = True) -> tuple[Path, Path | None]:
        """Return the folders of a split's images and masks; None for masks that need not be there.

        Args:
            root: The data root.
            split: 'train' or 'test'.
            masks: Whether masks are read.
        """
        given = self.folders[split]
        named = (given,) if isinstance(given, str) else given[: 1 + masks]
        for name in named:
            self._require(root, split, name)
        if isinstance(given, str):
            self._require(
                root, split, f"{given}/images", f". Folders of other names: {split}: [IMAGES, MASKS]"
            )
            of_masks = root / given / "masks"
            optional = split == "train" and not of_masks.exists()
            return root / given / "images", of_masks if masks and not optional else None
        if masks and len(named) == 1 and split == "test":
            raise CycadaError(
                f"Domain 'mask_folder': found one folder, {named[0]}, in the option 'test', expected two: of "
                "images and of masks."
            )
        return root / named[0], root / named[1] if len(named) == 2 else None

    def _require(self, root: Path, split: str, name: str, advice: str = "") -> None:
        """Raise Absent where a folder is not there."""
        if not (root / name).is_dir():
            raise self.missing(
                root,
                f"the folder {name} (the option '{split}' of the domain mask_folder); "
                f"{describe_absent(root, name)}{advice}",
            )

    def _left_out(self, root: Path, split: str, *read: Path) -> dict[str, str]:
        """Return what is not read in the folders `read` of a split and beside images/ and masks/."""
        given = self.folders[split]
        if not isinstance(given, str):
            return find_left_out(*read)
        folder = root / given
        ours = {folder / "images", folder / "masks", root / self.class_file}
        beside = {path: why for path, why in find_left_out(folder).items() if Path(path) not in ours}
        beside |= {str(path): "beside the folder images, not in it" for path in image_files(folder)}
        return beside | find_left_out(*read)

    def _read_classes(self, root: Path) -> tuple[dict[str, list[Code]], bool]:
        """Read the class file, and return the values of each class and whether these are colours."""
        codes = read_class_map(root / self.class_file)
        self.classes_read = repr(codes)
        self.classes = tuple(name for name in codes if name != "ignore")
        coloured = isinstance(next(iter(codes.values()))[0], tuple)
        # A code is an id or a colour: where the first one is a colour, all are.
        self.palette = tuple(codes[n][0] if coloured else _hue(k) for k, n in enumerate(self.classes))  # type: ignore[misc]
        return codes, coloured

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        codes, coloured = self._read_classes(root)
        class_of: dict[int, int] = {}
        for name, values in codes.items():
            for value in values:
                key = int(pack(np.array(value))) if isinstance(value, tuple) else value
                if key in class_of:
                    file = root / self.class_file
                    raise CycadaError(
                        f"{file}: found the value {value} twice, the second time in {shown(name)}."
                    )
                class_of[key] = IGNORE if name == "ignore" else self.classes.index(name)
        images, masks = self._folders(root, split)
        image_paths = by_stem(image_files(images))
        if masks is None:
            left_out = self._left_out(root, split, images)
            return find_unlabelled(self, image_paths, images, self.skip_bad, left_out=left_out)
        read_codes, shown_as = (read_colours, unpack) if coloured else (read_ids, int)
        return find_pairs(
            self,
            image_paths,
            by_stem(image_files(masks)),
            (images, masks),
            MaskTable(
                class_of,
                f"If the mask is right, give these values a class in {self.class_file}, or name them under "
                "`ignore` there",
            ),
            read_codes,
            self.skip_bad,
            shown_as,
            self._left_out(root, split, images, masks),
        )


def read_class_map(path: Path) -> dict[str, list[Code]]:
    """Return the ids or colours of each class from a YAML file with at least one class.

    Raises:
        CycadaError: The file cannot be read, or holds something else. The message names the file and the
            class.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CycadaError(
            f"{path}: there is no such file, expected a YAML file with the id or colour of each class; "
            f"{describe_absent(Path(), str(path))}."
        ) from None
    except UnicodeDecodeError:
        raise CycadaError(
            f"{path}: found no text in UTF-8, expected a class map in that encoding. Save it so."
        ) from None
    except OSError as error:
        raise CycadaError(f"{path}: not a readable class map ({error}).") from None
    if turned := ID_FIRST.search(text):
        raise CycadaError(
            f"{path}: found the id {turned[1]} before its class, expected the class first, such as "
            f"`{turned[2].strip()}: {turned[1]}`."
        )
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict) or not set(content) - {"ignore"}:
        raise CycadaError(
            f"{path}: found {shown(content)}, expected a mapping of class names to ids or colours."
        )
    for name in content:
        if str(name).strip().casefold() == "ignore" != name:
            raise CycadaError(
                f"{path}: found the class {shown(name)}, expected `ignore`, in small letters, for the values "
                "that do not count. Write it so, or give the class another name."
            )
    codes = dict(
        zip(
            class_names(list(content), str(path)),
            (_codes(value, f"{path}: {name}") for name, value in content.items()),
            strict=True,
        )
    )
    kinds = {isinstance(code, tuple): name for name, values in codes.items() for code in values}
    if len(kinds) > 1:
        raise CycadaError(
            f"{path}: found ids and colours ({shown(kinds[False])} has ids, {shown(kinds[True])} colours), "
            f"expected one kind for all classes and 'ignore'. Several ids of a class are {{ids: [...]}}."
        )
    if len(codes) > IGNORE - 1:
        raise CycadaError(f"{path}: found {len(codes)} classes, expected at most {IGNORE - 1}.")
    return codes


def _codes(value: object, where: str) -> list[Code]:
    expected = (
        "an id from 0 to 65535, {ids: [...]}, a colour [red, green, blue] in 0..255, or a list of colours"
    )
    error = CycadaError(f"{where}: found {shown(value)}, expected {expected}.")

    def is_id(v: object, top: int = 65535) -> bool:
        return isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= top

    if isinstance(value, Mapping) and set(value) == {"ids"} and isinstance(value["ids"], list):
        values: list[Code] = value["ids"]
        if values and all(map(is_id, values)):
            return values
        raise error
    if is_id(value):
        return [value]  # type: ignore[list-item] # is_id has looked at its type
    colours = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    codes: list[Code] = []
    for colour in colours:
        if not isinstance(colour, list) or len(colour) != 3 or not all(is_id(c, 255) for c in colour):
            raise error
        codes.append((colour[0], colour[1], colour[2]))
    return codes


def _hue(k: int) -> tuple[int, int, int]:
    """Return a colour for class k whose hue is a golden angle from that of the next class."""
    red, green, blue = colorsys.hsv_to_rgb(k * 0.618034 % 1, 0.7, 0.9 if k % 2 else 0.6)
    return round(255 * red), round(255 * green), round(255 * blue)
