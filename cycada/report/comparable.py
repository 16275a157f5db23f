"""Differences between rows that make their scores incomparable: other data, test sets or evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cycada.core.differences import flatten_keys
from cycada.core.errors import list_some
from cycada.core.registry import option_defaults
from cycada.data.segmentation import find_domain

if TYPE_CHECKING:
    from cycada.report.record import Record
    from cycada.report.rows import Variant

FINGERPRINT = "data_fingerprint"
"""Manifest entry that identifies the files read; alone it differs where equal settings found other files."""


def incomparable(rows: Sequence[Variant]) -> list[str]:
    """Return one sentence for each condition of a score that is not the same in all rows.

    A row whose run did not store a condition is not counted for it.
    """
    rows_by_value: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for outcome in row.outcomes:
            for key, value in _conditions(outcome.last).items():
                names = rows_by_value.setdefault(key, {}).setdefault(str(value), [])
                if row.name not in names:
                    names.append(row.name)
    notes = []
    statistics = rows_by_value.pop("evaluation.batch_norm", {})
    if len(statistics) > 1:  # scored in another way on purpose, and on the same images
        notes = [
            "Scored by batch-norm statistics of the target, which were estimated on its unlabelled training "
            f"images: {list_some(statistics['target'], 3)}."
        ]
    differ = {key: groups for key, groups in rows_by_value.items() if len(groups) > 1}
    if len(differ) > 1:
        differ.pop(FINGERPRINT, None)  # it always differs where the settings do
    return notes + [
        f"These rows are not comparable, because {key} differs: {_groups(groups)}."
        for key, groups in differ.items()
    ]


def not_comparable_with(reference: Variant, rows: Sequence[Variant]) -> list[str]:
    """Return the names of the rows that were scored under other conditions than the reference.

    A condition that one of the runs did not store is not counted.
    """
    expected = [_conditions(outcome.last) for outcome in reference.outcomes]

    def differs(row: Variant) -> bool:
        found = [_conditions(outcome.last) for outcome in row.outcomes]
        return any(a[key] != b[key] for a in found for b in expected for key in a.keys() & b.keys())

    return [row.name for row in rows if row is not reference and differs(row)]


def _groups(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{value[:80]} ({list_some(names, 4)})" for value, names in list(groups.items())[:5])


def _conditions(record: Record) -> dict[str, Any]:
    """Return what a score depends on apart from the method, by dotted keys, as far as the run stored it."""
    config = record.parsed
    data = config.data.model_dump(mode="json", include={"source", "target", "channels", "resize"})
    for side in ("source", "target"):
        data[side] = _defaults(data[side]["name"]) | data[side]
    conditions = flatten_keys({"data": data, "evaluation": config.evaluation.model_dump(mode="json")})
    height, width = config.shapes(config.stages.get(record.stage))["target"]
    conditions["the size of test images"] = f"{height} x {width}"
    counts = record.manifest.get("images", {})
    conditions |= {f"the number of {name} images": count for name, count in counts.items()}
    if record.classes:
        conditions["the set of classes"] = f"{len(record.classes)}: {', '.join(record.classes)}"
    if FINGERPRINT in record.manifest:
        conditions[FINGERPRINT] = record.manifest[FINGERPRINT]
    return conditions


def _defaults(domain: str) -> dict[str, Any]:
    """Return a domain's options at their defaults, which one config may spell out and another leave out."""
    entry = find_domain(domain)
    options = option_defaults(entry) if entry else {}
    # lists as in YAML, where there are no tuples
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
