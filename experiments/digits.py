"""The digit tables: run a recipe over pairs and seeds, and write results/tables/digits_RECIPE.{md,json}.

    python -m experiments.digits demo --seeds 0 1 2
    python -m experiments.digits quick --pairs mnist_usps usps_mnist --set data.root=DATA
    python -m experiments.digits full --seeds 0 1 2 --set data.root=DATA

What is finished already is read, not trained again. Every number is the last step's, on the target's official test set.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
from pathlib import Path
from typing import Any

from cycada.config import schema as config
from cycada.core.progress import Progress
from cycada.runs.run import Summary, run

PAIRS = ("mnist_usps", "usps_mnist", "svhn_mnist", "mnist_mnistm")
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=["demo", "quick", "full", "release"])
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings over the files', such as data.root=DATA",
    )
    arguments = parser.parse_args()
    recipe = arguments.recipe
    files = (
        ["configs/demo.yaml"]
        if recipe == "demo"
        else [f"configs/digits/{pair}/{recipe}.yaml" for pair in arguments.pairs]
    )
    rows = []
    for file in files:
        parsed = config.load(ROOT / file)
        summaries = [
            run(config.load(ROOT / file, [*arguments.set, f"seed={seed}"]), Progress())
            for seed in arguments.seeds
        ]
        rows.append(row(f"{parsed.data.source.name} -> {parsed.data.target.name}", file, summaries))
    name = recipe if recipe == "demo" else f"digits_{recipe}"
    pairs = [] if recipe == "demo" else ["--pairs", *arguments.pairs]
    command = shlex.join(
        ["python", "-m", "experiments.digits", recipe, *pairs, "--seeds", *map(str, arguments.seeds)]
    )
    out = ROOT / "results" / "tables"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")
    (out / f"{name}.md").write_text(markdown(rows, command))
    print((out / f"{name}.md").read_text())


def row(pair: str, file: str, summaries: list[Summary]) -> dict[str, Any]:
    """Target accuracy of every stage, per seed, and what the runs were."""
    manifests = [
        json.loads((s.folder / "manifest.json").read_text()) for summary in summaries for s in summary.stages
    ]
    return {
        "pair": pair,
        "config": file,
        "seeds": [s.seed for s in summaries],
        "stages": {
            stage.name: {
                "label": stage.label,
                "steps": manifests[i]["steps"],
                "batch": manifests[i]["batch"],
                "target_accuracy": [
                    round(100 * s.stages[i].scores["target"]["accuracy"], 2) for s in summaries
                ],
                "seconds": [round(s.stages[i].seconds) for s in summaries],
            }
            for i, stage in enumerate(summaries[0].stages)
        },
        "images": manifests[0]["images"],
        "hardware": sorted({m["device"] for m in manifests}),
        "torch": sorted({m["environment"]["torch"] for m in manifests}),
        "commit": sorted({m["environment"]["git"][:10] for m in manifests}),
    }


def mean_and_error(values: list[float]) -> str:
    """`mean +- standard error`, or the value where there is one."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def markdown(rows: list[dict[str, Any]], command: str) -> str:
    labels = list(dict.fromkeys(s["label"] for r in rows for s in r["stages"].values()))
    lines = [
        f"Target accuracy in %, **last step**, on the target's test set; no target label in training or checkpoint selection. `{command}`",
        "",
        f"| pair | {' | '.join(labels)} | gain | seeds | seconds a seed | steps x batch | hardware |",
        f"|---|{'---|' * (len(labels) + 5)}",
    ]
    for r in rows:
        found = {s["label"]: s["target_accuracy"] for s in r["stages"].values()}
        first, *_, last = found.values()
        gain = mean_and_error([b - a for a, b in zip(first, last, strict=True)])
        seconds = statistics.mean(
            sum(s["seconds"][i] for s in r["stages"].values()) for i in range(len(r["seeds"]))
        )
        steps = ", ".join(f"{n} {s['steps']} x {s['batch']}" for n, s in r["stages"].items())
        cells = [mean_and_error(found[label]) if label in found else "-" for label in labels]
        subset = f" ({r['images']['source train']:,} source, {r['images']['target train']:,} target, {r['images']['target test']:,} test)"
        lines.append(
            f"| {r['pair']}{subset} | {' | '.join(cells)} | {gain} | {', '.join(map(str, r['seeds']))} | {seconds:.0f} | {steps} | "
            f"{'; '.join(r['hardware'])}, torch {', '.join(r['torch'])}, commit {', '.join(r['commit'])} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
