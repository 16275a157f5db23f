"""The test set of another domain, on which a finished stage is scored; nothing else has to be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, Spec
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.registry import option_defaults, typed
from cycada.core.yaml_files import parse_yaml
from cycada.data import ImageSet, ResizedDataset, domains, segmentation_domains
from cycada.data.domain import check_loaded
from cycada.planning.build import build_domain, check_same_classes
from cycada.planning.plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device

CLASS_FILE = "classes.yaml"
"""The file in a folder of images/ and masks/ that says what the values of the masks mean."""

NAMES = ("the run", "the domain")
"""How a message calls what is scored and what it is scored on."""


def named_domain(given: str | Path | Mapping[str, Any]) -> Spec:
    """Return the domain that is to be scored.

    Args:
        given: Its name; a mapping of its name and options, or this as YAML text; or a folder of test images:
            with a sub-folder for each class, or with images/, masks/ and classes.yaml, as the domains
            `folder` and `mask_folder` read them. The option `train`, of which nothing is read, may be absent.

    Raises:
        CycadaError: There is no such domain or folder.
    """
    content: Any = dict(given) if isinstance(given, Mapping) else _from_text(str(given))
    if not isinstance(content, dict) or not isinstance(name := content.get("name"), str):
        raise CycadaError(
            f"--domain: found {shown(given)}, expected a domain's name, a mapping such as "
            "'{name: camvid, drive: dusk}', or a folder."
        )
    if name not in domains and name not in segmentation_domains:
        raise CycadaError(
            f"--domain: found {shown(name)}, expected a domain or a folder.{nearest(name, _known())}"
        )
    if "test" in content and "train" not in content and "train" in option_defaults(_known()[name]):
        content["train"] = content["test"]
    return Spec(**content)


def _from_text(given: str) -> Any:
    """Return what a text names as plain values: a domain, a mapping, or a folder."""
    if given.lstrip().startswith("{"):
        return parse_yaml(given, "--domain")
    path = typed(given, Home, "--domain").absolute()
    return _of_folder(path) if given not in _known() and path.is_dir() else {"name": given}


def _known() -> dict[str, Any]:
    return {**domains, **segmentation_domains}


def _of_folder(path: Path) -> dict[str, str]:
    """Return the domain that reads a folder of one's own."""
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return {"name": "mask_folder", "test": str(path), "classes": str(path / CLASS_FILE)}
    return {"name": "folder", "test": str(path)}


def load_test_set(config: Config, plan: StagePlan, classes: Sequence[str], device: Device) -> ImageSet:
    """Return the test set of a config's target, as a stage's networks see it.

    Args:
        config: The experiment, whose target is the domain to be scored.
        plan: The stage.
        classes: The classes of the stage, which the domain has to have, too.
        device: Where images with one label each are kept.

    Raises:
        CycadaError: The data are missing or unsound, or have other classes.
    """
    data = config.data
    if task_of(config).name == "segmentation":  # masks are scored at their own size, images as they are seen
        domain = task_of(config).domain(data.target, "target")
        test = domain.load(data.resolved_root(), "test")
        check_same_classes(classes, domain.classes, NAMES)
        return ResizedDataset(test, config.shapes(plan.stage)["target"], full_resolution_masks=True)
    domain = build_domain(config, [plan], "target", tuple(classes))
    loaded = domain.load(data.resolved_root(), "test", data.download)
    images = check_loaded(loaded, domain.classes, f"domain '{domain.name}'")
    check_same_classes(classes, domain.classes, NAMES)
    shape = config.shapes(plan.stage)["target"]
    test_set: ImageSet = images.converted(data.channels, shape, data.resize, device.torch_device)
    return test_set
