"""What translations are measured with: the classifier of a finished run as scorer; that, or an Inception file, as extractor."""

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
from cycada.evaluation.scoring import as_evaluated, stored_scores
from cycada.methods import Classify, Networks, classify_by
from cycada.networks import kind_of
from cycada.networks.inception import InceptionFeatures, read_inception
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage
from cycada.storage.loading import trained_network
from cycada.storage.store import RunFolder
from cycada.train.device import Device

FILES = (".pt", ".pth", ".ts", ".bin", ".safetensors")


@dataclass(frozen=True)
class ScoringNetwork:
    """key: what stands for it in quality.json; it holds a hash of the weights. protocol: what is stored beside the numbers."""

    key: str
    net: nn.Module
    protocol: dict[str, Any]


@dataclass(frozen=True)
class Scorer(ScoringNetwork):
    """classify: at `size` = (height, width), which it was trained at. classes: their names."""

    classify: Classify
    size: tuple[int, int]
    classes: tuple[str, ...]
    channels: int


@dataclass(frozen=True)
class Extractor(ScoringNetwork):
    extract: Callable[[Tensor], InceptionFeatures]


@dataclass(frozen=True)
class _Trained:
    """A classifier of a finished run, and where it is from."""

    net: nn.Module
    config: Config
    stage: StagePlan
    folder: RunFolder
    role: str
    digest: str

    @property
    def size(self) -> tuple[int, int]:
        return self.config.shapes(self.stage.stage)["target"]

    @property
    def key(self) -> str:
        return f"{self.folder.id}#{self.role}:{self.digest}"

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "run": self.folder.id, "experiment": self.config.name, "stage": self.stage.name, "method": self.stage.stage.method,
            "role": self.role, "weights": self.digest, "size": list(self.size),
            "resizing": f"bilinear, antialiased, to {self.size[0]} x {self.size[1]}",
        }  # fmt: skip


def _trained(name: str, results: Path | str, device: Device) -> _Trained:
    run, _, role = name.partition("#")
    role = role or "f_t"
    path = typed(run, Home, "run")
    folder = find_run(path.parent if path.is_file() else run, results)
    config, stage = load_stage(folder)
    if role not in stage.specs or kind_of(role) != "f":
        known = ", ".join(r for r in stage.specs if kind_of(r) == "f") or "none"
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier '{role}'. It has: {known}. A scorer is a "
            "classifier or segmenter trained on the target's real photos, such as the f_t of a stage with the method target_only."
        )
    classes = class_names(folder)
    net = trained_network(folder, config, stage, role, len(classes)).to(device.torch_device)
    weights = save({key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()})
    return _Trained(net, config, stage, folder, role, bytes_digest(weights, size=8))


def class_names(folder: RunFolder) -> tuple[str, ...]:
    """What a finished run tells apart. Raises CycadaError."""
    found = folder.arrays("analysis.npz").get("classes")
    if found is None:
        raise CycadaError(
            f"{folder.path}: made by an older version, which did not keep its classes. Run `cycada evaluate {folder.id}` once."
        )
    return tuple(map(str, found))


def find_scorer(name: str, results: Path | str, device: Device) -> Scorer:
    """`RUN` or `RUN#ROLE`: a run folder, its id, or its weights.safetensors; the role is f_t without. Raises CycadaError."""
    t = _trained(name, results, device)
    way = as_evaluated(classify_by(t.net), t.stage, Networks({t.role: t.net}))

    def classify(images: Tensor) -> Tensor:
        with device.autocast(t.stage.stage.precision):
            return way(images)

    own = stored_scores(t.folder).get("target")
    protocol = t.protocol | {"evaluation": t.stage.evaluation.changes(), "own_scores": own}
    return Scorer(
        f"scorer {t.key}", t.net, protocol, classify, t.size, class_names(t.folder), t.config.data.channels
    )


def find_extractor(name: str, results: Path | str, device: Device) -> Extractor:
    """An Inception file (see `read_inception`), or `RUN[#ROLE]`: the features of a finished run's classifier. Raises CycadaError."""
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
        about = {"network": kind, "file": path.name, "weights": digest, "resizing": inception.resizing}
        return Extractor(f"extractor inception:{digest}", inception, about, inception)
    t = _trained(name, results, device)
    channels = t.config.data.channels

    def extract(images: Tensor) -> InceptionFeatures:
        if images.shape[1] != channels:
            raise CycadaError(
                f"extractor: {t.folder.path} looks at {channels} channels, the pictures have {images.shape[1]}."
            )
        features = t.net(resize_images(images, t.size)).features.float()
        return (
            InceptionFeatures(features.mean((2, 3)), features)
            if features.ndim == 4
            else InceptionFeatures(features, None)
        )

    return Extractor(
        f"extractor {t.key}",
        t.net,
        t.protocol | {"network": "the toolkit's own classifier, features"},
        extract,
    )
