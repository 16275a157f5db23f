"""Score committed segmentation tables again, over the classes of the test set's truth alone.

`python -m experiments.rescore results/reports/camvid_dusk_methods fence`: the classes that no pixel of the truth is. Where a seed
had called an absent class, its stored mean is over one class more, with a zero in it. The IoU of every class is stored as a mean over
seeds; how many classes each seed's mean was over is the one choice that gives the same total. Intervals and p need the counts of
every image, which are not committed: they are taken out, and the table says so. Run once; a new report is right by itself.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import sys
from pathlib import Path

from cycada.metrics.statistics import mean_and_error

NOTE = (
    "Scored again over the classes of the truth by `experiments/rescore.py`, from the committed scores: an older version counted an "
    "absent class as 0 where it was called. Intervals and p need the counts of every image and are left out; so is "
    "the choice of steps and rows."
)


def rescored(row: dict, absent: list[str]) -> dict[str, float]:
    """Seed -> mIoU over the classes of the truth, in percent."""
    values, ious = row["target_miou"]["values"], row["target_class_iou"]
    kept = [iou for name, iou in ious.items() if name not in absent]
    most = len(kept) + sum(ious[name] is not None for name in absent)
    total, seeds = sum(kept) * len(values), list(values)
    fits = sorted(
        (abs(sum(values[s] * n for s, n in zip(seeds, numbers, strict=True)) - total), numbers)
        for numbers in itertools.product(range(len(kept), most + 1), repeat=len(seeds))
    )
    assert fits[0][0] < 0.01, (row["name"], fits[:2])
    assert len(fits) == 1 or fits[1][0] > 0.05, (row["name"], fits[:2])
    return {s: values[s] * n / len(kept) for s, n in zip(seeds, fits[0][1], strict=True)}


def mean(values: dict[str, float]) -> dict:
    middle, error = mean_and_error(list(values.values()))
    return {"values": values, "mean": middle, "error": error}


def main(folder: Path, absent: list[str]) -> None:
    data = json.loads((folder / "table.json").read_text())
    assert not data.get("rescored"), "scored again already"
    new = {row["name"]: rescored(row, absent) for row in data["rows"]}
    source = new[next(r["name"] for r in data["rows"] if r["gain_over_source_only"] is None)]
    reference = new[data["reference"]]
    for row in data["rows"]:
        values = new[row["name"]]
        row["target_miou"] = mean(values)
        row["target_class_iou"] |= dict.fromkeys(absent)
        row["classes_averaged"] = str(len(row["target_class_iou"]) - len(absent))
        if row["gain_over_source_only"]:
            row["gain_over_source_only"] = mean({s: values[s] - source[s] for s in values})
        if row["test"]:
            why = {"bootstrap": "no answers per image", **row["test"]["why"]}
            difference = mean({s: values[s] - reference[s] for s in values})
            row["test"] |= {"difference": difference, "bootstrap": None, "bootstrap_holm": None, "why": why}
    data["rescored"] = NOTE
    (folder / "table.json").write_text(json.dumps(data, indent=1) + "\n")
    over = f"Over {row['classes_averaged']} of {len(row['target_class_iou'])} classes; no pixel of the test set is: {', '.join(absent)}."
    _markdown(folder / "table.md", data, over)
    _csv(folder / "table.csv", data)


def _markdown(file: Path, data: dict, over: str) -> None:
    """The main table and that of the classes; the chapters on the choice of steps and rows go."""
    parts = re.split(r"\n(?=## )", file.read_text())
    rows = {row["name"]: row for row in data["rows"]}
    top = max(r["target_miou"]["mean"] for r in data["rows"] if not r["oracle"])
    reference = rows[data["reference"]]
    parts[0] = (
        re.sub(r"reaches .*? %", f"reaches {_pm(reference['target_miou'])} %", parts[0], count=1)
        .replace(re.findall(r"That is (.*?) points", parts[0])[0], _pm(reference["gain_over_source_only"], "+"), 1)
        + f"\n{NOTE}\n"
    )  # fmt: skip
    kept = [p for p in parts if not re.match(r"## (Target mIoU where|Regret|Choosing)", p)]
    for i, part in enumerate(kept):
        lines = part.split("\n")
        for j, line in enumerate(lines):
            cells = line[2:-2].split(" | ") if line.startswith("| ") else []
            row = rows.get(cells[0].replace(r" \*", "")) if cells else None
            if row and part.startswith("## Results"):
                score = _pm(row["target_miou"])
                test = row["test"]
                cells[1] = f"**{score}**" if row["target_miou"]["mean"] == top else score
                cells[3] = _pm(row["gain_over_source_only"], "+")
                if test:
                    cells[4:6] = [
                        _minus(f"{test['difference']['mean']:+.1f}"),
                        "not tested: no answers per image",
                    ]
                cells[7] = f"{row['test_images']} / {row['classes_averaged']}"
                cells[8] = ", ".join(f"{v:.1f}" for v in row["target_miou"]["values"].values())
            elif row and part.startswith("## IoU"):
                for k, iou in enumerate(row["target_class_iou"].values()):
                    cells[1 + k] = "–" if iou is None else cells[1 + k]
                cells[1 + len(row["target_class_iou"])] = f"{row['target_miou']['mean']:.1f}"
            if row:
                lines[j] = "| " + " | ".join(cells) + " |"
        kept[i] = "\n".join(lines)
    text = "\n".join(kept)
    text = re.sub(
        r"over the classes that occur in truth or answers\. "
        r"The last column but one says how many images and classes that were\. A resample.*",
        f"over the classes that the truth of all of them holds. {over}",
        text,
    )
    text = text.replace(
        "– where a class is in neither truth nor answers.", "– where the truth does not hold a class."
    )
    text = text.replace("an upper bound, not a result", "trained at its own budget, not a result")
    text = re.sub(r", with the 95 % interval of the bootstrap\.", ".", text)
    text = re.sub(r"- Paired bootstrap over test images.*\n", "", text)
    file.write_text(text)


def _csv(file: Path, data: dict) -> None:
    with file.open(newline="") as stream:
        table = list(csv.DictReader(stream))
    for line, row in zip(table, data["rows"], strict=True):
        gain, test, miou = row["gain_over_source_only"], row["test"], row["target_miou"]
        found: dict = {
            "mean": miou["mean"],
            "standard_error": miou["error"],
            "classes_averaged": row["classes_averaged"],
        }
        found |= {f"seed_{s}": v for s, v in miou["values"].items()}
        found |= {"gain": gain["mean"], "gain_standard_error": gain["error"]} if gain else {}
        found |= {"difference": test["difference"]["mean"]} if test else {}
        line.update(
            found
            | dict.fromkeys(("difference_low", "difference_high", "p_bootstrap", "p_bootstrap_holm"), "")
        )
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: round(v, 6) if isinstance(v, float) else v for k, v in line.items()} for line in table
        )


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _pm(found: dict | None, sign: str = "") -> str:
    return "–" if found is None else _minus(f"{found['mean']:{sign}.1f}") + f" ± {found['error']:.1f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
