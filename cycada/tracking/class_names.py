"""Names of classes in the keys of metrics, where run folders number them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST_CLASSES = 100
"""Number of classes up to which a tracker gets a metric for each; more charts show nothing."""
SCORES = ("source", "target", "quality")
"""First parts of the keys of scores, which may be of one class."""


def with_class_names(values: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """Return metrics with the names of classes in their keys, such as `target/class_iou/car` for `.../13`.

    Args:
        values: Metrics by key. The key of a score of one class ends in the class's index.
        classes: The names of the classes, in the order of the indices. With more than `MOST_CLASSES` of them
            the scores of single classes are left out; `left_out` says so.
    """
    unique = len(set(classes)) == len(classes)
    named: dict[str, float] = {}
    for key, value in values.items():
        index = _class_index(key, len(classes))
        if index is None:
            named[key] = value
        elif len(classes) <= MOST_CLASSES:
            head = key.rpartition("/")[0]
            named[f"{head}/{classes[index]}" if unique else f"{head}/{index} {classes[index]}"] = value
    return named


def left_out(classes: Sequence[str]) -> str:
    """Return the sentence that says which metrics `with_class_names` leaves out; '' where it is none."""
    if len(classes) <= MOST_CLASSES:
        return ""
    return (
        f"The scores of the {len(classes)} single classes are in scores.json and not among the metrics, "
        f"which have them for at most {MOST_CLASSES} classes."
    )


def _class_index(key: str, classes: int) -> int | None:
    """Return the class whose score a key names; None for any other metric."""
    parts = key.split("/")
    is_of_class = parts[0] in SCORES and parts[-1].isdecimal() and int(parts[-1]) < classes
    return int(parts[-1]) if is_of_class else None
