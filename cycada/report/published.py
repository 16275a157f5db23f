"""Published numbers beside ours, each with what keeps it from being comparable. The data is published.yaml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.table import TableRow

OFFICIAL = {
    "mnist": (60_000, 10_000), "usps": (7_291, 2_007), "svhn": (73_257, 26_032),
    "gta5": (24_966,), "synthia": (9_400,), "cityscapes": (2_975, 500),
}  # fmt: skip
"""TrainState and test images of the complete official sets (of GTA5 and SYNTHIA no test images are agreed upon)."""
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
"""The middle of an entry's id -> our methods of that name."""
NUMBER_WORDS = {"single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}


@dataclass(frozen=True)
class Published:
    """One entry. value: percent. ours: our row of the same method. flags: what differs, or is not known to agree."""

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
    """The entries on our pair of domains. Empty where nothing is published on it (or nothing that we noted)."""
    record, metric = lines[0].row.outcomes[0].last, lines[0].row.metric
    pair = "_to_".join(record.domains)
    classes = len(record.by_class() or ())
    reference = next(line for line in lines if line.test is None)
    found = []
    for entry in read_published():
        score = entry["metrics"].get(metric.word, {})
        if entry["benchmark"] not in (pair, f"{pair}_{classes}") or "value" not in score:
            continue
        method = re.sub(r"^cycada_[ab]_", "cycada_", entry["id"].split("/")[1])  # the paper's two segmenters
        ours = _same_method(lines, SAME_METHOD.get(method, ()))
        found.append(
            Published(
                entry["id"], entry["method"], score["value"], score.get("stderr", score.get("plus_minus")),
                entry.get("architecture"), entry.get("protocol"), entry["source"], _status(score, entry),
                entry.get("note"), ours, tuple(flags(entry, (ours or reference).row)),
            )
        )  # fmt: skip
    return found


def read_published() -> list[dict[str, Any]]:
    """All entries of published.yaml."""
    entries: list[dict[str, Any]] = _file()["entries"]
    return entries


@cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        files("cycada.report").joinpath("published.yaml").read_text(encoding="utf-8")
    )
    return found


def _status(score: dict[str, Any], entry: dict[str, Any]) -> str:
    value = score.get("verified", entry["verified"])
    error = score.get("stderr_verified", score.get("plus_minus_verified", value))
    return (value if error == value else f"{value}, ± {error}").replace("_", " and ")


def _same_method(lines: Sequence[TableRow], methods: Sequence[str]) -> TableRow | None:
    """The one row of that method; the reference (the row without a test) where an ablation has several."""
    same = [line for line in lines if line.row.method in methods]
    if len(same) == 1:
        return same[0]
    return next((line for line in same if line.test is None), None)


def flags(entry: dict[str, Any], row: Variant) -> list[str]:
    """Why this number and the row do not stand on the same ground, in words."""
    record, metric, protocol = row.outcomes[0].last, row.metric, (entry.get("protocol") or "")
    found, unstated = [], []
    if entry.get("comparable") is False:
        found.append("other setting: not comparable")
    if entry["metrics"][metric.word].get("verified", entry["verified"]) != "read":
        found.append("recalled, not read")
    runs = number_of_runs(protocol)
    if runs is None:
        unstated.append("number of runs")
    elif runs != len(row.outcomes):
        found.append(
            f"mean of {runs}, ours of {len(row.outcomes)}"
            if runs > 1
            else f"a single run, ours {len(row.outcomes)}"
        )
    ours, theirs = record.config["networks"].get("f", {}).get("name", "not named"), entry.get("architecture")
    if not theirs:
        unstated.append("network")
    elif not _names(theirs, ours) or "bottleneck" in theirs or "32x32" in theirs:
        found.append(f"other network (ours: {ours})")
    found += incomplete(record)
    unlabelled, seen = (
        re.search(r"(\d+) unlabelled", protocol),
        record.manifest.get("images", {}).get("target train"),
    )
    if unlabelled and seen not in (None, int(unlabelled.group(1))):
        found.append(f"{int(unlabelled.group(1)):,} unlabelled target images, ours {seen:,}")
    if metric.of_pixels:
        over, classes = (
            re.search(r"(\d+) classes", _file()["benchmarks"][entry["benchmark"]]["metric"]),
            len(record.by_class() or ()),
        )
        if over and int(over.group(1)) != classes:
            found.append(f"over {over.group(1)} classes, ours {classes}")
        if not re.search(r"\d+ ?x ?\d+", protocol):
            unstated.append("size of images")
    if re.search(r"best epoch|chosen on (the )?(labelled )?target|test set is reported", protocol):
        found.append("checkpoint chosen with target test labels, ours is the last step")
    elif "last" not in protocol:
        unstated.append("choice of checkpoint")
    if "augmentation" in protocol and not any(s.get("augment") for s in record.config["stages"].values()):
        found.append("with augmentation, ours without")
    return [*found, f"not stated: {', '.join(unstated)}"] if unstated else found


def _names(theirs: str, ours: str) -> bool:
    """Whether a network is called so, however its parts are joined: `drn26` is DRN-26, `fcn8s` is in VGG16-FCN8s."""
    return any(
        re.search(rf"\b{re.escape(ours)}\b", text, re.IGNORECASE)
        for text in (theirs, theirs.replace("-", ""))
    )


def number_of_runs(protocol: str) -> int | None:
    """`mean of 4 runs`, `mean of three seeds`, `single run` -> the number; None where it is not said."""
    said = re.search(r"mean (?:of|over) (\w+) (?:runs|seeds)|(single) run", protocol)
    word = (said.group(1) or said.group(2)) if said else ""
    return int(word) if word.isdigit() else NUMBER_WORDS.get(word)


def incomplete(record: Record) -> list[str]:
    """Where our run saw fewer (or more) images than the official sets hold."""
    images, found = record.manifest.get("images", {}), []
    for side, domain in zip(("source", "target"), record.domains, strict=True):
        for split, official in zip(("train", "test"), OFFICIAL.get(domain, ()), strict=False):
            seen = images.get(f"{side} {split}")
            if seen not in (None, official):
                found.append(f"ours saw {seen:,} of {official:,} {domain} {split} images")
    return found


def common_flags(entries: Sequence[Published]) -> tuple[str, ...]:
    """What is true of every entry: said once, above the table."""
    return (
        tuple(f for f in entries[0].flags if all(f in e.flags for e in entries)) if len(entries) > 1 else ()
    )
