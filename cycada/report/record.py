"""What one finished run folder says, read once and on demand. What an older folder lacks reads as None."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cycada.config.schema import EvaluationConfig, digest, parse
from cycada.data import domain_title, scene_domains
from cycada.evaluation.scoring import stored_scores
from cycada.losses import Term
from cycada.methods import methods
from cycada.networks import kind_of
from cycada.report.metric import Metric, metric_of
from cycada.storage.schemas import read_shaped
from cycada.storage.store import RunFolder


class Record:
    """One stage's outcome on disk. Raises CycadaError where a file that is there cannot be read."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)

    @property
    def id(self) -> str:
        return self.folder.id

    @cached_property
    def done(self) -> bool:
        """Whether it is finished. Raises CycadaError where its files are not those that the stage wrote."""
        return self.folder.done and self.folder.check(weights=False).done

    @cached_property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.folder.read_json("manifest.json")
        return found

    @property
    def stage(self) -> str:
        return str(self.manifest["stage"])

    @property
    def method(self) -> str:
        return str(self.manifest["method"])

    @property
    def label(self) -> str:
        """What a results table calls the outcome; the method's own name where this installation does not know it."""
        return methods[self.method].label if self.method in methods else self.method

    @property
    def seed(self) -> int:
        return int(self.manifest["seed"])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The experiment, as config.yaml has it."""
        return self.folder.read_config()[0]

    @property
    def domains(self) -> tuple[str, str]:
        """Names of source and target."""
        data = self.config["data"]
        return data["source"]["name"], data["target"]["name"]

    @property
    def titles(self) -> tuple[str, str]:
        """Titles of source and target, with what tells them apart where both are one domain."""
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
        """Whether the target's test images are frames of one video that follow each other; False of a domain that is not known here."""
        name = self.domains[1]
        return name in scene_domains and scene_domains[name].consecutive

    @cached_property
    def scores(self) -> dict[str, dict[str, Any]]:
        return stored_scores(self.folder)

    @cached_property
    def metric(self) -> Metric | None:
        """What stands for it: accuracy, or mIoU where it is about scenes. None where the target is not scored."""
        return metric_of(self.scores.get("target", {}))

    def score(self, side: str = "target", name: str | None = None) -> float | None:
        """Its metric, or another score, at the last step in percent; None where the stage has no classifier or the domain no

        test labels."""
        if self.metric is None:
            return None
        found = self.scores.get(side, {}).get(name or self.metric.key)
        return None if found is None else 100 * found

    def by_class(self) -> list[float] | None:
        """Of the target, in percent, NaN where a class is absent; None where it is not stored."""
        found = self.scores.get("target", {}).get(self.metric.by_class) if self.metric else None
        return None if found is None else [math.nan if value is None else 100 * value for value in found]

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        return self.folder.metrics()

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl with target scores."""
        rows = [row for row in self.metrics if f"target/{self.metric.key}" in row] if self.metric else []
        return [row | self._over_the_truth(row) for row in rows]

    def _over_the_truth(self, row: dict[str, float]) -> dict[str, float]:
        """mIoU of one evaluation over the classes of the truth; older versions took the mean over those that were called, too."""
        if self.metric is None or not self.metric.of_pixels or "target" not in self.confusion:
            return {}
        ious = [row.get(f"target/class_iou/{k}") for k in self.confusion["target"].sum(1).nonzero()[0]]
        known = [iou for iou in ious if iou is not None]
        return {"target/miou": sum(known) / len(known)} if known and len(known) == len(ious) else {}

    @cached_property
    def confusion(self) -> dict[str, np.ndarray]:
        """domain -> (K, K) counts, rows are the truth. Empty where there are none."""
        return {side: np.array(count) for side, count in self._optional_json("confusion.json").items()}

    @cached_property
    def drift(self) -> dict[str, float]:
        return {k: float(v) for k, v in self._optional_json("drift.json").items() if v is not None}

    @cached_property
    def analysis(self) -> dict[str, np.ndarray]:
        """Answers on the test images, features and flips, by the names in analysis.npz. Empty where there are none."""
        return self.folder.arrays("analysis.npz")

    @property
    def classes(self) -> tuple[str, ...] | None:
        return tuple(map(str, self.analysis["classes"])) if "classes" in self.analysis else None

    @property
    def palette(self) -> list[str] | None:
        """A colour for every class of scenes, as #rrggbb."""
        return (
            ["#" + bytes(color).hex() for color in self.analysis["palette"]]
            if "palette" in self.analysis
            else None
        )

    @property
    def grid(self) -> Path | None:
        """The last image grid."""
        return self._picture("grid")

    @property
    def answers_picture(self) -> Path | None:
        """The last picture of a scene, the answer, the truth and the errors."""
        return self._picture("answers")

    def _picture(self, kind: str) -> Path | None:
        found = sorted(self.folder.images.glob(f"{kind}_*.png"))
        return found[-1] if found else None

    @cached_property
    def grid_width(self) -> int:
        """In pixels: what learns both directions shows more columns than what uses one. 0 where there is no grid."""
        if self.grid is None:
            return 0
        with Image.open(self.grid) as image:
            return int(image.width)

    def answers(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What a test over target test images needs, and what tells the images from others: right or wrong (N,) bool and labels

        (N,); of scenes the counts of each (N, K, K) and how many pixels have which class (N, K).
        """
        if "counts_target" in self.analysis:
            counts = self.analysis["counts_target"]
            return counts, counts.sum(2)
        if not {"predicted_target", "label_target"} <= set(self.analysis):
            return None
        label = self.analysis["label_target"]
        return self.analysis["predicted_target"] == label, label

    def ancestors(self) -> list[Record]:
        """The stages that this one started from, oldest first, as far as their folders lie beside this one."""
        found: dict[str, Record] = {}

        def visit(record: Record) -> None:
            for parent in record.manifest.get("parents", {}).values():
                other = Record(self.folder.path.parent / parent)
                if "#" not in parent and parent not in found and other.done:
                    visit(other)
                    found[parent] = other

        visit(self)
        return list(found.values())

    def settings(self) -> str:
        """A digest of what the stage and those before it were told, apart from the seed: equal for the same method, evaluated

        in the same way. What a run of an older version was not asked yet stands at its default.
        """
        experiment = parse(self.config, str(self.folder.path / "config.yaml")).model_dump(mode="json")
        stages, data = (
            experiment["stages"],
            {k: v for k, v in experiment["data"].items() if k not in ("root", "download")},
        )
        wanted = [self.stage]
        for name in wanted:
            starts = stages[name].get("init", {}).values()
            wanted += [s.split(".")[0] for s in starts if "#" not in s and s.split(".")[0] not in wanted]
        networks = _may_be_used(experiment["networks"], [stages[name]["method"] for name in wanted])
        told = {"data": data, "networks": networks, "stages": {name: stages[name] for name in sorted(wanted)}}
        return digest(told | {"evaluation": EvaluationConfig(**experiment["evaluation"]).changes()})

    def _optional_json(self, name: str) -> dict[str, Any]:
        path = self.folder.path / name
        found: dict[str, Any] = self.folder.read_json(name) if path.exists() else {}
        return found


def _may_be_used(networks: dict[str, Any], by: list[str]) -> dict[str, Any]:
    """The networks, by kind or role, that a term of these methods may want: an experiment has others for its other stages."""
    if not all(name in methods for name in by):
        return networks  # a plugin's: nobody knows
    terms = {(name, term) for name in by for phase in methods[name].phases for term in phase.terms}
    roles = {role for name, term in terms for role in methods[name].tensors.roles_of(Term(term).needs)}
    wanted = roles | {kind_of(role) for role in roles}
    return {key: spec for key, spec in networks.items() if key in wanted}


def relative_path(word: str) -> str:
    """A path as it may stand in a report: what is absolute says where this machine keeps it, so only its last part."""
    return Path(word).name if Path(word).is_absolute() else word.removeprefix("./")


def read_json(path: Path, kind: Literal["summary", "sweep"]) -> Any:
    """What a run or a sweep wrote of its stages. Raises CycadaError."""
    return read_shaped(path, kind, "Run its experiment or sweep again.")
