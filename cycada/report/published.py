"""Published numbers next to ours, each with its known differences in protocol; published.yaml holds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cycada.core.yaml_files import read_plain
from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.table import TableRow

OFFICIAL = {
    "mnist": (60_000, 10_000), "usps": (7_291, 2_007), "svhn": (73_257, 26_032),
    "gta5": (24_966,), "synthia": (9_400,), "cityscapes": (2_975, 500),
}  # fmt: skip
"""Training and test images of the official data sets; GTA5 and SYNTHIA have no agreed test set."""
SAME_METHOD = {
    "cycada_source_only": ("source_only",),
    "cycada_source": ("source_only",),
    "cycada_feat": ("adda",),
    "cycada_pixel": ("cycada_task",),
    "cycada_pixel_feat": ("cycada_feature", "cycada"),
    "cycada_target_only": ("target_only",),
    "cycada_oracle": ("target_only",),
    "tllib_erm": ("source_only",),
    "tllib_cycada": ("cycada_task",),
    "tllib_oracle": ("target_only",),
    "tllib_advent": ("advent",),
    "tllib_fda": ("fda",),
    "adda": ("adda",),
    "dann": ("dann",),
    "cdan_e": ("cdan",),
}
"""The middle part of an entry's id -> our methods of that name."""
NUMBER_WORDS = {"single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        id: Its id in published.yaml.
        method: The method as the source calls it.
        value: The score in percent.
        error: The standard error, or what follows ± in the source, in points.
        architecture: The network, if it is stated.
        protocol: How the number was measured, if it is stated.
        source: Where it was published.
        status: Whether it was read or recalled.
        note: A remark.
        ours: Our row of the same method, if there is exactly one or it is the reference.
        flags: How its protocol differs from ours, or is not known to agree.
    """

    id: str
    method: str
    value: float
    error: float | None
    architecture: str | None
    protocol: str | None
    source: str
    status: str
    note: str | None
    ours: TableRow | None
    flags: tuple[str, ...]


def published(lines: Sequence[TableRow]) -> list[Published]:
    """Return the entries for the report's pair of domains; empty where published.yaml has none."""
    record, metric = lines[0].row.outcomes[0].last, lines[0].row.metric
    pair = "_to_".join(record.domains)
    classes = len(record.by_class() or ())
    reference = next(line for line in lines if line.test is None)
    entries = []
    for entry in read_published():
        score = entry["metrics"].get(metric.word, {})
        if entry["benchmark"] not in (pair, f"{pair}_{classes}") or "value" not in score:
            continue
        method = re.sub(r"^cycada_[ab]_", "cycada_", entry["id"].split("/")[1])  # the paper's two segmenters
        ours = _same_method(lines, SAME_METHOD.get(method, ()))
        entries.append(
            Published(
                id=entry["id"],
                method=entry["method"],
                value=score["value"],
                error=score.get("stderr", score.get("plus_minus")),
                architecture=entry.get("architecture"),
                protocol=entry.get("protocol"),
                source=entry["source"],
                status=_status(score, entry),
                note=entry.get("note"),
                ours=ours,
                flags=tuple(flags(entry, (ours or reference).row)),
            )
        )
    return entries


def read_published() -> list[dict[str, Any]]:
    """Return all entries of published.yaml."""
    entries: list[dict[str, Any]] = _file()["entries"]
    return entries


@cache
def _file() -> dict[str, Any]:
    text = files("cycada.report").joinpath("published.yaml").read_text(encoding="utf-8")
    contents: dict[str, Any] = read_plain(text)
    return contents


def _status(score: dict[str, Any], entry: dict[str, Any]) -> str:
    value = score.get("verified", entry["verified"])
    error = score.get("stderr_verified", score.get("plus_minus_verified", value))
    return (value if error == value else f"{value}, ± {error}").replace("_", " and ")


def _same_method(lines: Sequence[TableRow], methods: Sequence[str]) -> TableRow | None:
    """Return the one row of these methods; of several, the reference if it is among them."""
    # the reference is the row without a test
    same = [line for line in lines if line.row.method in methods and not line.row.goes_on]
    if len(same) == 1:
        return same[0]
    return next((line for line in same if line.test is None), None)


def flags(entry: dict[str, Any], row: Variant) -> list[str]:  # noqa: PLR0912 (one branch for each difference)
    """List in words how a published number's protocol differs from a row's, or is not known to agree.

    Args:
        entry: An entry of published.yaml.
        row: Our row of the same method, or the reference.
    """
    record, metric, protocol = row.outcomes[0].last, row.metric, (entry.get("protocol") or "")
    differences, unstated = [], []
    if entry.get("comparable") is False:
        differences.append("other setting: not comparable")
    if entry["metrics"][metric.word].get("verified", entry["verified"]) != "read":
        differences.append("recalled, not read")
    runs = number_of_runs(protocol)
    if runs is None:
        unstated.append("number of runs")
    elif runs != len(row.outcomes):
        differences.append(
            f"mean of {runs} runs, ours of {len(row.outcomes)}"
            if runs > 1
            else f"a single run, ours the mean of {len(row.outcomes)}"
        )
    ours, theirs = record.config["networks"].get("f", {}).get("name", "not named"), entry.get("architecture")
    if not theirs:
        unstated.append("network")
    elif not _names(theirs, ours) or "bottleneck" in theirs or "32x32" in theirs:
        differences.append(f"other network (ours: {ours})")
    differences += incomplete(record)
    unlabelled, seen = (
        re.search(r"(\d+) unlabelled", protocol),
        record.manifest.get("images", {}).get("target train"),
    )
    if unlabelled and seen not in (None, int(unlabelled.group(1))):
        differences.append(f"{int(unlabelled.group(1)):,} unlabelled target images, ours {seen:,}")
    if metric.of_pixels:  # protocols of segmentation differ in their classes and image sizes, too
        over, classes = (
            re.search(r"(\d+) classes", _file()["benchmarks"][entry["benchmark"]]["metric"]),
            len(record.by_class() or ()),
        )
        if over and int(over.group(1)) != classes:
            differences.append(f"over {over.group(1)} classes, ours {classes}")
        if not re.search(r"\d+ ?x ?\d+", protocol):
            unstated.append("size of images")
    if re.search(r"best epoch|chosen on (the )?(labelled )?target|test set is reported", protocol):
        differences.append("checkpoint chosen with target test labels, ours is the last step")
    elif "last" not in protocol:
        unstated.append("choice of checkpoint")
    if "augmentation" in protocol and not any(s.get("augment") for s in record.config["stages"].values()):
        differences.append("with augmentation, ours without")
    return [*differences, f"not stated: {', '.join(unstated)}"] if unstated else differences


def _names(theirs: str, ours: str) -> bool:
    """Return whether a published network's name holds ours, with or without hyphens.

    For example, `drn26` is DRN-26, and `fcn8s` is in VGG16-FCN8s.
    """
    return any(
        re.search(rf"\b{re.escape(ours)}\b", text, re.IGNORECASE)
        for text in (theirs, theirs.replace("-", ""))
    )


def number_of_runs(protocol: str) -> int | None:
    """Return how many runs a number is the mean of, or None where the protocol does not state it.

    It understands `mean of 4 runs`, `mean of three seeds` and `single run`.
    """
    match = re.search(r"mean (?:of|over) (\w+) (?:runs|seeds)|(single) run", protocol)
    word = (match.group(1) or match.group(2)) if match else ""
    return int(word) if word.isdigit() else NUMBER_WORDS.get(word)


def incomplete(record: Record) -> list[str]:
    """List in words where our run used fewer or more images than the official data sets hold."""
    images, differences = record.manifest.get("images", {}), []
    for side, domain in zip(("source", "target"), record.domains, strict=True):
        for split, official in zip(("train", "test"), OFFICIAL.get(domain, ()), strict=False):
            seen = images.get(f"{side} {split}")
            if seen not in (None, official):
                differences.append(f"ours saw {seen:,} of {official:,} {domain} {split} images")
    return differences


def common_flags(entries: Sequence[Published]) -> tuple[str, ...]:
    """Return the flags that all entries share, so that the report states them only once."""
    return (
        tuple(f for f in entries[0].flags if all(f in e.flags for e in entries)) if len(entries) > 1 else ()
    )
