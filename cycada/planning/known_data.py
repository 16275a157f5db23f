"""What an earlier run found in the data, so that a finished experiment is reused without reading them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cycada.config.schema import Config, digest
from cycada.core.errors import CycadaError
from cycada.core.files import file_state, prepare_folder, write_json
from cycada.core.sources import toolkit_digest
from cycada.core.versions import installed_version
from cycada.data.domain import Domain
from cycada.data.segmentation import SegmentationDomain
from cycada.planning.datasets import Datasets, build_domain
from cycada.planning.stage_plan import StagePlan
from cycada.planning.tasks import task_of

READERS = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "scipy", "matplotlib")
"""Packages that images are read or drawn with; what another version reads is not known."""


@dataclass(frozen=True)
class KnownData:
    """What ids and trackers need to know of an experiment's data.

    Attributes:
        classes: Names of the classes, in order.
        fingerprint: Hash of all images and of all labels that may be used.
        images: Set, such as `source train`, to its number of images.
    """

    classes: tuple[str, ...]
    fingerprint: str
    images: Mapping[str, int]

    @staticmethod
    def of(datasets: Datasets) -> KnownData:
        """Return what is known of data that were read."""
        sides = {"source": datasets.source, "target": datasets.target}
        images = {
            f"{side} {split}": len(read) for side, sets in sides.items() for split, read in sets.items()
        }
        return KnownData(datasets.classes, datasets.fingerprint, images)


class DataMemory:
    """Memory of the data of one experiment, under results/cache/data; any file there may be deleted.

    A file's name is a hash of everything that the data depend on: settings, code, and path, size, times and
    inode of every file. It is made before the data are read, so that a file which changes meanwhile is not
    taken for the one that was read.

    Args:
        config: The experiment.
        plans: Its stages.
    """

    def __init__(self, config: Config, plans: Sequence[StagePlan]) -> None:
        self._file: Path | None = None
        with suppress(CycadaError, OSError):  # absent or unsound data are reported where they are read
            if content := _content(config, plans):
                self._file = config.results / "cache" / "data" / f"{digest(content)}.json"

    def recall(self) -> KnownData | None:
        """Return what is known of the data, if nothing has changed that they depend on."""
        if self._file is None:
            return None
        try:
            return TypeAdapter(KnownData).validate_json(self._file.read_bytes())
        except (OSError, ValidationError):  # there is none, or it is damaged
            return None

    def remember(self, known: KnownData) -> None:
        """Keep what is known of the data; a place that cannot be written to costs reading them again."""
        if self._file is not None:
            with suppress(OSError):
                prepare_folder(self._file.parent)
                write_json(self._file, asdict(known))


def _content(config: Config, plans: Sequence[StagePlan]) -> list[Any] | None:
    """Return all that the data depend on beside this code; None where it is not known."""
    specs = {"source": config.data.source, "target": config.data.target}
    registry = task_of(config).domains
    if any(spec.name not in registry or registry.source(spec.name) for spec in specs.values()):
        return None  # of a plug-in
    if any(plan.asks_for("pair_t") for plan in plans):
        return None  # the partners of the images are part of the id, and read for it
    content: list[Any] = [config.data.model_dump(mode="json", exclude={"root"})]
    oracle = any(p.method.supervision == "target" for p in plans)
    content += [toolkit_digest(), {package: installed_version(package) for package in READERS}, oracle]
    root = config.data.resolved_root().resolve()
    for side in specs:
        domain: Domain | SegmentationDomain = build_domain(config, plans, side)
        if isinstance(domain, SegmentationDomain):
            content += _describe_scenes(domain, root, masks=side == "source" or oracle)
            continue
        for split in ("train", "test"):
            files = domain.stored_files(root, split)
            if files is None:
                return None
            content.append([_describe(file) for file in files])
    return content


def _describe_scenes(domain: SegmentationDomain, root: Path, masks: bool) -> Iterator[Any]:
    """Yield all that the pairs of the splits that are trained or tested on depend on.

    Args:
        domain: The domain.
        root: The data root.
        masks: Whether the masks of training images are used; those that are not need not be there.
    """
    for split in dict.fromkeys(("train", "test") if masks else ("train", domain.unlabelled, "test")):
        if split in domain.splits:
            has_masks = masks or split == "test"
            pairs = domain.load(root, split) if has_masks else domain.images(root, split)
            yield [[_describe(file) for file in pair if file] for pair in pairs.paths]
    yield [domain.classes_read]


def _describe(file: Path) -> list[Any]:
    """Return a path with the state of its file; the path alone where none is there."""
    try:
        return [str(file), *file_state(file)]
    except FileNotFoundError:
        return [str(file)]
