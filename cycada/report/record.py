"""The contents of one finished run folder, read on demand; what an older folder lacks is None or empty."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from cycada.config.schema import Config, EvaluationConfig, digest, parse
from cycada.data import domain_title, segmentation_domains
from cycada.data.image_set import evenly_spaced
from cycada.evaluation.scores import stored_scores
from cycada.evaluation.tasks import EVALUATIONS
from cycada.losses import Term
from cycada.methods import methods
from cycada.metrics import scores as score_functions
from cycada.networks import kind_of
from cycada.planning.plan import plan
from cycada.planning.updates import Updates, count_updates
from cycada.report.metric import Metric, metric_of
from cycada.storage.schemas import read_shaped
from cycada.storage.store import MISTAKES, RECORD, RECORDS, RunFolder


class Record:
    """One stage's results on disk: its run folder, or the record of it.

    Its attributes read files at their first use, and raise CycadaError where a file exists but cannot be
    read.

    Args:
        path: The run folder of the stage, or its record.
        results: The folder of all results, where the stages that it started from are looked for first; None
            looks beside the folder alone.
    """

    def __init__(self, path: Path, results: Path | None = None) -> None:
        self.folder, self._results = RunFolder(path), results

    @property
    def id(self) -> str:
        """The id of the stage, which is the name of its folder."""
        return self.folder.id

    @cached_property
    def done(self) -> bool:
        """Whether the stage is finished.

        Raises:
            CycadaError: The files are not those that the stage wrote.
        """
        return self.is_there and bool(self.folder.check(weights=False))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The contents of manifest.json."""
        manifest: dict[str, Any] = self.folder.read_json("manifest.json")
        return manifest

    @property
    def stage(self) -> str:
        """The name of the stage in its experiment."""
        return str(self.manifest["stage"])

    @property
    def method(self) -> str:
        """The name of the method that trained the stage."""
        return str(self.manifest["method"])

    @property
    def label(self) -> str:
        """The method's label in results tables, or its name where the method is not installed here."""
        return methods[self.method].label if self.method in methods else self.method

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.manifest["seed"])

    @property
    def is_baseline(self) -> bool:
        """Whether it is a source-only stage that starts from no other stage, over which gains are counted."""
        return self.method == "source_only" and all(
            "#" in start for start in self.manifest.get("parents", {}).values()
        )

    @cached_property
    def updates(self) -> Updates:
        """The numbers of optimizer steps of the stage, from its stored config where an older run has none.

        Raises:
            CycadaError: The stored config needs a plug-in that is not here.
        """
        if stored := self.manifest.get("updates"):
            return Updates(**stored)
        plans = plan(parse(self.config, str(self.folder.path / "config.yaml")))
        return count_updates(next(p for p in plans if p.name == self.stage))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The experiment, as config.yaml holds it."""
        return self.folder.read_config()[0]

    @cached_property
    def parsed(self) -> Config:
        """The experiment as a checked config; a setting that its version did not know is at its default."""
        return parse(self.config, str(self.folder.path / "config.yaml"))

    @property
    def domains(self) -> tuple[str, str]:
        """The names of the source and the target domain."""
        data = self.config["data"]
        return data["source"]["name"], data["target"]["name"]

    @property
    def titles(self) -> tuple[str, str]:
        """The titles of source and target for a reader.

        Where both domains have one title, the text options that differ follow in brackets: `Streets (game)`.
        """
        source, target = self.config["data"]["source"], self.config["data"]["target"]
        titles = domain_title(source["name"]), domain_title(target["name"])
        if source["name"] != target["name"]:
            return titles
        apart = [key for key in {**source, **target} if source.get(key) != target.get(key)]
        words = [
            [relative_path(spec[key]) for key in apart if isinstance(spec.get(key), str)]
            for spec in (source, target)
        ]
        one, other = (
            f"{title} ({', '.join(w)})" if w else title for title, w in zip(titles, words, strict=True)
        )
        return one, other

    @property
    def consecutive(self) -> bool:
        """Whether the target's test images are successive frames of a video; False for an unknown domain."""
        name = self.domains[1]
        # The class is asked, not the domain, whose files a report's machine may not have.
        given = self.config["data"]["target"].get("consecutive")
        if name not in segmentation_domains:
            return False
        return bool(segmentation_domains[name].consecutive if given is None else given)

    @cached_property
    def scores(self) -> dict[str, dict[str, Any]]:
        """The stored scores: domain -> name of the score -> value in [0, 1], or a list with one per class."""
        return stored_scores(self.folder)

    @cached_property
    def metric(self) -> Metric | None:
        """The score of the stage: accuracy, or mIoU for segmentation; None where the target has no score."""
        return metric_of(self.scores.get("target", {}))

    def score(self, side: str = "target", name: str | None = None) -> float | None:
        """Return a score at the last step.

        Args:
            side: The domain: "source" or "target".
            name: The name of the score; by default the metric that stands for the stage.

        Returns:
            The score in percent, or None where the stage has no classifier or the domain no test labels.
        """
        if self.metric is None:
            return None
        value = self.scores.get(side, {}).get(name or self.metric.key)
        return None if value is None else 100 * value

    def by_class(self) -> list[float] | None:
        """Return the target's scores by class in percent, NaN for an absent class; None without any."""
        values = self.scores.get("target", {}).get(self.metric.by_class) if self.metric else None
        return None if values is None else [math.nan if value is None else 100 * value for value in values]

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl."""
        return self.folder.metrics()

    @cached_property
    def evaluations(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl with target scores."""
        rows = [row for row in self.metrics if f"target/{self.metric.key}" in row] if self.metric else []
        return [row | self._miou_over_true_classes(row) for row in rows]

    @property
    def scored_images(self) -> int | None:
        """How many target test images were scored before the last step; None where all were, as at it."""
        images: int | None = self.config.get("logging", {}).get("evaluation_images")
        return None if images is None or images >= self._images("target test", images) else images

    def _images(self, name: str, otherwise: int) -> int:
        count: int = self.manifest.get("images", {}).get(name, otherwise)
        return count

    @property
    def criteria_images(self) -> tuple[int, int]:
        """How many target training images the label-free criteria are of: before the last step, and at it.

        Both numbers are the same but for older versions, which took more images at the last step.
        """
        if (images := self.manifest.get("criteria_images")) is not None:
            return images, images
        scenes = self.metric is not None and self.metric.of_pixels
        evaluation = EVALUATIONS["segmentation" if scenes else "classification"]
        last = evaluation.sample_size(self._images("target train", evaluation.unlabelled))
        return min(last, self.config.get("logging", {}).get("evaluation_images", last)), last

    def on_common_images(self) -> list[dict[str, float]]:
        """Return `evaluations` with the last target score over the images that all of them scored.

        Before the last step a sample of the test images is scored, and then all of them.
        """
        rows, predictions = self.evaluations, self.predictions()
        if not rows or self.metric is None or predictions is None or self.scored_images is None:
            return rows
        results = predictions[0][evenly_spaced(len(predictions[0]), self.scored_images)]
        if self.metric.of_pixels:
            score = float(score_functions["miou"](torch.from_numpy(results.sum(0))))
        else:
            score = float(results.mean())
        return [*rows[:-1], rows[-1] | {f"target/{self.metric.key}": score}]

    def _miou_over_true_classes(self, row: dict[str, float]) -> dict[str, float]:
        """Return the mIoU of one evaluation over the classes that the true masks hold.

        Older versions stored a mean that included classes which were only predicted.
        """
        if self.metric is None or not self.metric.over_classes or "target" not in self.confusion:
            return {}
        ious = [row.get(f"target/class_iou/{k}") for k in self.confusion["target"].sum(1).nonzero()[0]]
        known = [iou for iou in ious if iou is not None]
        return {"target/miou": sum(known) / len(known)} if known and len(known) == len(ious) else {}

    @cached_property
    def confusion(self) -> dict[str, np.ndarray]:
        """Confusion matrices: domain -> (K, K) counts, rows are true classes. Empty where none are stored."""
        return {side: np.array(count) for side, count in self._optional_json("confusion.json").items()}

    @cached_property
    def drift(self) -> dict[str, float]:
        """The scores of semantic drift in drift.json; empty where there are none."""
        return {k: float(v) for k, v in self._optional_json("drift.json").items() if v is not None}

    @cached_property
    def analysis(self) -> dict[str, np.ndarray]:
        """Predictions, features and label flips of the test images, by their names in analysis.npz."""
        return self.folder.arrays("analysis.npz")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, or None where they are not stored."""
        return tuple(map(str, self.analysis["classes"])) if "classes" in self.analysis else None

    @property
    def palette(self) -> list[str] | None:
        """A colour for every class of a segmentation task, as #rrggbb; None for image labels."""
        return (
            ["#" + bytes(color).hex() for color in self.analysis["palette"]]
            if "palette" in self.analysis
            else None
        )

    @property
    def grid(self) -> Path | None:
        """The file of the last image grid, or None."""
        return self._picture("grid")

    @property
    def predictions_picture(self) -> Path | None:
        """The file of the last picture of test images, predicted masks, true masks and errors, or None."""
        return self._picture("answers")

    @property
    def mistakes_picture(self) -> Path | None:
        """The file of the worst predictions, whose rows the arrays `mistake_...` describe, or None."""
        path = self.folder.images / MISTAKES
        return path if "mistake_index" in self.analysis and path.exists() else None

    def _picture(self, kind: str) -> Path | None:
        pictures = sorted(self.folder.images.glob(f"{kind}_*.png"))
        return pictures[-1] if pictures else None

    @cached_property
    def grid_width(self) -> int:
        """The width of the image grid in pixels, or 0 without a grid.

        A stage that learns both directions draws more columns than one that uses a single direction.
        """
        if self.grid is None:
            return int(self._about.get("grid_width", 0))
        with Image.open(self.grid) as image:
            return int(image.width)

    def stored_distance(self, side: str) -> float | None:
        """Return the A-distance of the features of a side, "source" or "translated", to the target's.

        Only a record without these features holds it.
        """
        distances: dict[str, float] = self._about.get("distances", {})
        return distances.get(side)

    @cached_property
    def _about(self) -> dict[str, Any]:
        """The contents of record.json; empty for a run folder."""
        about: dict[str, Any] = self.folder.read_json(RECORD) if self.folder.is_record else {}
        return about

    def predictions(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what a paired test over target test images needs; None where it is not stored.

        Returns:
            The results of the N images, and an array by which two runs recognise the same test images. For
            image
            labels: whether each prediction is right (N,) bool, and the true labels (N,). For segmentation:
                the confusion counts of each image (N, K, K), and how many of its pixels have which class (N,
                K).
        """
        if "counts_target" in self.analysis:
            counts = self.analysis["counts_target"]
            return counts, counts.sum(2)
        if not {"predicted_target", "label_target"} <= set(self.analysis):
            return None
        label = self.analysis["label_target"]
        return self.analysis["predicted_target"] == label, label

    def ancestors(self) -> list[Record]:
        """Return the stages that this one started from, oldest first, as far as their folders lie here."""
        ancestors: dict[str, Record] = {}

        def visit(record: Record) -> None:
            for parent in record.manifest.get("parents", {}).values():
                other = self._parent(parent)
                if "#" not in parent and parent not in ancestors and other.done:
                    visit(other)
                    ancestors[parent] = other

        visit(self)
        return list(ancestors.values())

    def _parent(self, identity: str) -> Record:
        beside = Record(self.folder.path.parent / identity)
        known = find_record(self._results, identity) if self._results else beside
        return known if known.is_there else beside

    @property
    def is_there(self) -> bool:
        """Whether there is a finished run folder or a record."""
        return self.folder.done or self.folder.is_record

    def settings(self) -> str:
        """Return a digest of the settings of this stage and the stages before it, apart from the seed.

        Two runs have equal digests if they used the same method and were evaluated in the same way. A setting
        that a run of an older version did not know yet counts at its default.
        """
        return self._settings

    @cached_property
    def _settings(self) -> str:
        return settings_of(self.parsed, self.stage)

    def _optional_json(self, name: str) -> dict[str, Any]:
        path = self.folder.path / name
        contents: dict[str, Any] = self.folder.read_json(name) if path.exists() else {}
        return contents


def find_record(results: Path, identity: str) -> Record:
    """Return the results of a stage: its run folder, or where that is gone the record of it.

    Args:
        results: The folder of all results.
        identity: The stage's id.
    """
    run, record = (Record(place / "runs" / identity, results) for place in (results, results / RECORDS))
    return record if record.is_there and not run.folder.done else run


def settings_of(config: Config, stage: str) -> str:
    """Return a digest of the settings of a stage and the stages before it, apart from the seed."""
    experiment = config.model_dump(mode="json")
    stages = experiment["stages"]
    data = {key: value for key, value in experiment["data"].items() if key not in ("root", "download")}
    wanted = [stage]
    for name in wanted:
        starts = stages[name].get("init", {}).values()
        wanted += [s.split(".")[0] for s in starts if "#" not in s and s.split(".")[0] not in wanted]
    networks = usable_networks(experiment["networks"], [stages[name]["method"] for name in wanted])
    settings = {"data": data, "networks": networks, "stages": {name: stages[name] for name in sorted(wanted)}}
    return digest(settings | {"evaluation": EvaluationConfig(**experiment["evaluation"]).changes()})


def usable_networks(networks: dict[str, Any], method_names: list[str]) -> dict[str, Any]:
    """Return the networks, by kind or role, that a loss term of these methods may use.

    The experiment may describe further networks for its other stages.
    """
    if not all(name in methods for name in method_names):
        return networks  # a plugin's method that is not installed here: its roles are unknown
    terms = {(name, term) for name in method_names for phase in methods[name].phases for term in phase.terms}
    roles = {role for name, term in terms for role in methods[name].tensors.roles_of(Term(term).needs)}
    wanted = roles | {kind_of(role) for role in roles}
    return {key: spec for key, spec in networks.items() if key in wanted}


def relative_path(word: str) -> str:
    """Return a path as a report may show it: of an absolute path, which names this machine, the last part."""
    return Path(word).name if Path(word).is_absolute() else word.removeprefix("./")


def read_json(path: Path, kind: Literal["summary", "sweep"]) -> Any:
    """Return what a run or a sweep wrote about its stages.

    Raises:
        CycadaError: The file cannot be read, or is not of this kind.
    """
    return read_shaped(path, kind, "Run its experiment or sweep again.")
