"""Networks that measure translations: scorers, which classify, and extractors, which give features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from cycada.config.schema import Config
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError
from cycada.core.files import bytes_digest, file_digest
from cycada.core.registry import typed
from cycada.data import resize_images
from cycada.evaluation.scores import stored_scores
from cycada.evaluation.scoring import with_test_time_augmentation
from cycada.evaluation.target_statistics import refuse_target_statistics
from cycada.methods import Classify, Networks, classify_by
from cycada.networks import kind_of
from cycada.networks.inception import InceptionFeatures, read_inception
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, stored_classes
from cycada.storage.loading import trained_network
from cycada.storage.store import RunFolder
from cycada.train.device import Device

FILES = (".pt", ".pth", ".ts", ".bin", ".safetensors")
"""Suffixes of files that hold an Inception network."""


@dataclass(frozen=True)
class ScoringNetwork:
    """A network that translations are measured with.

    Attributes:
        key: The name of the network in quality.json; it holds a hash of the weights.
        net: The network.
        protocol: What is stored beside the numbers: where the network is from, and how images are resized for
            it.
    """

    key: str
    net: nn.Module
    protocol: dict[str, Any]


@dataclass(frozen=True)
class Scorer(ScoringNetwork):
    """A classifier or segmenter of real target images.

    Attributes:
        classify: Images (N, C, H, W) -> logits.
        size: Height and width of the images that it was trained with.
        classes: The names of the classes.
        channels: The number of image channels.
    """

    classify: Classify
    size: tuple[int, int]
    classes: tuple[str, ...]
    channels: int


@dataclass(frozen=True)
class Extractor(ScoringNetwork):
    """A network whose features FID, KID and structure distance compare.

    Attributes:
        extract: Images (N, C, H, W) in [-1, 1] -> features.
    """

    extract: Callable[[Tensor], InceptionFeatures]


@dataclass(frozen=True)
class _Trained:
    """A classifier of a finished run, with where it is from."""

    net: nn.Module
    config: Config
    stage: StagePlan
    folder: RunFolder
    role: str
    digest: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the target's images in training."""
        return self.config.shapes(self.stage.stage)["target"]

    @property
    def key(self) -> str:
        return f"{self.folder.id}#{self.role}:{self.digest}"

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "run": self.folder.id,
            "experiment": self.config.name,
            "stage": self.stage.name,
            "method": self.stage.stage.method,
            "role": self.role,
            "weights": self.digest,
            "size": list(self.size),
            "resizing": f"bilinear, antialiased, to {self.size[0]} x {self.size[1]}",
        }


def _load(name: str, results: Path | str, device: Device) -> _Trained:
    """Load the classifier that `RUN` or `RUN#ROLE` names."""
    run, _, role = name.partition("#")
    role = role or "f_t"
    path = typed(run, Home, "run")
    folder = find_run(path.parent if path.is_file() else run, results)
    config, stage = load_stage(folder)
    if role not in stage.specs or kind_of(role) != "f":
        known = ", ".join(r for r in stage.specs if kind_of(r) == "f") or "none"
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier '{role}'. It has: "
            f"{known}. A scorer is a classifier or segmenter that was trained on the target's real images, "
            "such as the f_t of a stage with the method target_only."
        )
    classes = stored_classes(folder)
    net = trained_network(folder, config, stage, role, len(classes)).to(device.torch_device)
    weights = save({key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()})
    return _Trained(net, config, stage, folder, role, bytes_digest(weights, size=8))


def find_scorer(name: str, results: Path | str, device: Device) -> Scorer:
    """Load a scorer from a finished run.

    Args:
        name: `RUN` or `RUN#ROLE`: a run folder, the beginning of a run's id, or a run's weights.safetensors.
            The role is f_t where none is given.
        results: The folder of the runs.
        device: Where the scorer computes.

    Raises:
        CycadaError: There is no such run, it has no such classifier, or it is scored by statistics that are
            not stored.
    """
    trained = _load(name, results, device)
    refuse_target_statistics(trained.stage)
    evaluated = with_test_time_augmentation(
        classify_by(trained.net), trained.stage, Networks({trained.role: trained.net})
    )

    def classify(images: Tensor) -> Tensor:
        with device.autocast(trained.stage.stage.precision):
            return evaluated(images)

    own_scores = stored_scores(trained.folder).get("target")
    evaluation = trained.stage.evaluation.changes()
    return Scorer(
        f"scorer {trained.key}",
        trained.net,
        trained.protocol | {"evaluation": evaluation, "own_scores": own_scores},
        classify,
        trained.size,
        stored_classes(trained.folder),
        trained.config.data.channels,
    )


def find_extractor(name: str, results: Path | str, device: Device) -> Extractor:
    """Load a feature extractor from an Inception file or from a finished run.

    Args:
        name: An Inception file (see `read_inception`), or `RUN` or `RUN#ROLE` as in `find_scorer`: then the
            features are those of the run's classifier.
        results: The folder of the runs.
        device: Where the extractor computes.

    Raises:
        CycadaError: There is no such file or run, the file cannot be read, or the run has no such classifier.
    """
    path = typed(name, Home, "extractor")
    if path.suffix in FILES and not (path.parent / "config.yaml").is_file():
        if not path.is_file():
            raise CycadaError(f"extractor: there is no file {path}.")
        inception = read_inception(str(path)).to(device.torch_device)
        digest = file_digest(path, size=8)
        kind = (
            "torchvision inception_v3"
            if hasattr(inception.body, "Mixed_7c")
            else "FID's Inception, TorchScript"
        )
        protocol = {"network": kind, "file": path.name, "weights": digest, "resizing": inception.resizing}
        return Extractor(f"extractor inception:{digest}", inception, protocol, inception)
    trained = _load(name, results, device)
    channels = trained.config.data.channels

    def extract(images: Tensor) -> InceptionFeatures:
        if images.shape[1] != channels:
            raise CycadaError(
                f"extractor: {trained.folder.path} takes images of {channels} channels; these have "
                f"{images.shape[1]}."
            )
        features = trained.net(resize_images(images, trained.size)).features.float()
        return (
            InceptionFeatures(features.mean((2, 3)), features)
            if features.ndim == 4
            else InceptionFeatures(features, None)
        )

    return Extractor(
        f"extractor {trained.key}",
        trained.net,
        trained.protocol | {"network": "the toolkit's own classifier, features"},
        extract,
    )
