"""Every measured number in README.md and on the pages of results stands in a committed JSON file.

What counts as a measured number: one with a decimal point, `A ± B`, `A [B, C]`, and a whole number before a
percent sign. Whole numbers alone are counts of steps, images, seeds, years and pixels, and are not looked at.
Nor are code, links, what `NOT_MEASURED` matches, and paragraphs about what others published
(`OTHERS_NUMBERS`). A page of results is compared with the files that it links to, any other page with all.
docs/results/log.md is a dated lab book and is not read.
"""

import json
import re
import statistics
from functools import cache

import pytest
from helpers.paths import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "results" / "README.md",
    *(p for p in sorted((ROOT / "docs" / "results").glob("*.md")) if p.name != "log.md"),
    *sorted((ROOT / "docs" / "methods").glob("*.md")),
]
NOT_MEASURED = re.compile(r"Python \d\.\d+|torch \d\.\d+|[\d.]+ M parameters|95 % interval|[\d.]+ times\b")
OTHERS_NUMBERS = re.compile(r"^- The paper reports")
NUMBER = r"[+-]?\d+(?:\.\d+)?"
SPREAD = re.compile(rf"({NUMBER}) ± ({NUMBER})")
INTERVAL = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")
MOST_SEEDS = 5
SINGLE = re.compile(r"(?<![\w.])([+-]?\d+\.\d+)(?![\w.]*\d)|(?<![\w.])([+-]?\d+)(?= %)")


def measured(page):
    """The text of a page in which claims are looked for, paragraph by paragraph."""
    text = page.read_text().replace("−", "-")
    if "methods" in page.parts:  # equations and options come before
        text = text.partition("## Our numbers")[2].partition("\n## ")[0]
    text = re.sub(r"```.*?```|(?m:^    .*$)|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    blocks = re.split(r"\n\s*\n|\n(?=[-|] ?)", text)
    kept = [b for b in blocks if not OTHERS_NUMBERS.search(" ".join(b.split()))]
    return [NOT_MEASURED.sub(" ", " ".join(b.split())) for b in kept]


def nodes(value):
    """All mappings and lists in a JSON value, and all numbers, but for scores of single classes."""
    yield value
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (key.endswith(("class_iou", "class_accuracy")) and len(entries(inner)) > MOST_SEEDS):
                yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def entries(value):
    """The entries of a list or mapping."""
    return value if isinstance(value, (list, dict)) else ()


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def seeds(value):
    """The values of several seeds, in the forms in which the files hold them."""
    if isinstance(value, list) and len(value) > 1 and all(map(is_number, value)):
        yield value
    if isinstance(value, dict) and len(value) > 1 and all(re.fullmatch(r"\d", key) for key in value):
        if all(isinstance(v, dict) for v in value.values()):
            for key in set.intersection(*(set(v) for v in value.values())):
                yield from seeds([v[key] for v in value.values()])
        else:
            yield from seeds(list(value.values()))


def gains(stages):
    """The gain of every stage over `source`, by seed, in the files of an earlier runner, which hold none."""
    by_seed = {name: stage["target_accuracy"] for name, stage in stages.items() if "target_accuracy" in stage}
    for scores in by_seed.values() if "source" in by_seed else ():
        yield [score - base for score, base in zip(scores, by_seed["source"], strict=True)]


@cache
def contents(path):
    """What a file holds: (means with errors, differences with intervals, single numbers)."""
    spreads, intervals, singles = set(), set(), set()
    for node in nodes(json.loads(path.read_text())):
        runs = list(seeds(node))
        if is_number(node):
            singles |= {node, 100 * node} if abs(node) < 1 else {node}
        if isinstance(node, dict):
            if {"mean", "error"} <= set(node) and node["error"] is not None:
                spreads.add((node["mean"], node["error"]))
            if isinstance(test := node.get("bootstrap"), dict):
                interval = (node["difference"]["mean"], 100 * test["low"], 100 * test["high"])
                intervals |= {interval, (-interval[0], -interval[2], -interval[1])}
            if isinstance(node.get("stages"), dict):
                stages = {k: v for k, v in node["stages"].items() if isinstance(v, dict)}
                runs += gains(stages)
        spreads |= {(statistics.mean(r), statistics.stdev(r) / len(r) ** 0.5) for r in runs if len(r) > 1}
        singles |= {statistics.mean(r) for r in runs}
    return spreads, intervals, singles | {d for d, _, _ in intervals}


def committed(page):
    """What the files hold that a page links to, or all files for a page that links to none."""
    links = (
        re.findall(r"\]\(([^)#]*results/[^)#]*)\)", page.read_text()) if page.parent.name == "results" else []
    )
    files = {
        path for link in links if (path := (page.parent / link).with_suffix(".json").resolve()).is_file()
    }
    tables = [p for folder in ("reports", "tables") for p in (ROOT / "results" / folder).rglob("*.json")]
    found = [contents(path) for path in files or tables]
    return [set().union(*kind) for kind in zip(*found, strict=True)]


def agrees(written, value):
    """Whether a number was written so, rounded to its digits; a half may be rounded either way."""
    digits = len(written.partition(".")[2])
    sign = value if written[0] in "+-" else abs(value)
    return abs(float(written) - sign) <= 0.5 * 10**-digits + 1e-6


def unsupported(block, spreads, intervals, singles):
    """The claims of a paragraph that no committed file holds."""
    for pattern, known in ((INTERVAL, intervals), (SPREAD, spreads)):
        for claim in pattern.finditer(block):
            if not any(all(map(agrees, claim.groups(), values)) for values in known):
                yield claim[0]
        block = pattern.sub(" ", block)
    for claim in SINGLE.finditer(block):
        written = claim[1] or claim[2]
        if not any(agrees(written, value) for value in singles):
            yield written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_measured_number_stands_in_a_committed_file(page):
    known = committed(page)
    missing = [(claim, block[:120]) for block in measured(page) for claim in unsupported(block, *known)]
    assert not missing, "\n".join(f"{claim}: {block}" for claim, block in missing)


@pytest.mark.parametrize(
    "wrong", ["91.6 ± 0.4", "91.7 ± 0.3", "-12.6 [-14.0, -11.1]", "it gains 123.4 points"]
)
def test_a_wrong_number_is_found(wrong):
    page = ROOT / "docs" / "results" / "ablation.md"
    assert list(unsupported(wrong, *committed(page)))
    assert not list(unsupported("91.6 ± 0.3, -12.6 [-14.0, -11.2], 24 % of the nines", *committed(page)))


RECORDED = {
    "SVHN (a part) → MNIST": "digits/svhn_mnist",
    "MNIST → MNIST-M": "digits/mnist_mnistm",
    "USPS → MNIST": "digits/usps_mnist",
    "MNIST → USPS": "digits/mnist_usps",
    "drawn streets, game → photo": "segmentation/streets",
    "CamVid, day → dusk": "segmentation/camvid_dusk",
    "drawn streets → CamVid": "segmentation/streets_camvid",
}
LOOKED_AT = {"segmentation/streets": {0}}
"""Seeds with a record on whose test scores the recipe was settled: they are not in the README's table."""


def test_the_table_of_the_readme_is_in_the_records():
    """`cycada report configs/PAIR/recipe.yaml --results results/records` gives each of its rows."""
    rows = [
        [c.strip() for c in line.split("|")[1:4]] for line in (ROOT / "README.md").read_text().split("\n")
    ]
    table = {row[0]: row[1:] for row in rows if row and row[0] in RECORDED}
    assert table.keys() == RECORDED.keys()
    for pair, written in table.items():
        folder = ROOT / "results" / "records" / "experiments" / RECORDED[pair] / "recipe"
        found = [json.loads(path.read_text()) for path in folder.glob("seed*.json")]
        runs = [
            list(f["stages"].values()) for f in found if f["seed"] not in LOOKED_AT.get(RECORDED[pair], ())
        ]
        for place, number in zip((0, -1), written, strict=True):
            scores = [run[place]["scores"]["target"] for run in runs]
            mean = statistics.mean(100 * (s["miou"] if "miou" in s else s["accuracy"]) for s in scores)
            assert agrees(number, mean), f"{pair}: {number}, in the records {mean}"
