"""Run folders without any training, in the format that stages write: for tests of reports."""

import json

import numpy as np
import torch
import yaml
from PIL import Image

from cycada.evaluation.image_grids import MASK_COLUMNS, draw_grid
from cycada.evaluation.scores import as_scores

CRITERIA = ("certainty", "bnm", "source_accuracy", "agreement")
STAGES = {
    "source": {"method": "source_only", "init": {}},
    "pixel": {"method": "cycada_pixel", "init": {"f_s": "source.f_t"}},
    "task": {"method": "cycada_task", "init": {"g_st": "pixel.g_st"}},
    "feature": {
        "method": "cycada_feature",
        "init": {"f_t": "task.f_t", "f_s": "task.f_t", "g_st": "pixel.g_st"},
    },
    "oracle": {"method": "target_only", "init": {}},
}


def make_run(  # noqa: PLR0913 (all that a report reads may be set)
    results,
    name,
    stage,
    *,
    seed=0,
    rate=0.8,
    parents=None,
    k=10,
    n=200,
    old=False,
    pair=("mnist", "usps"),
    losses=None,
    scenes=False,
    mistakes=0,
):
    """Make one finished run folder results/runs/NAME.

    Args:
        old: Whether to write it as earlier versions did, without predictions, features and criteria.
        scenes: Whether it is a segmentation of n images with k classes, the last of which is in few images.
        mistakes: How many of its worst predictions it keeps as pictures.
    """
    folder = results / "runs" / name
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng([seed, len(name), sum(map(ord, name))])
    label = np.arange(n) % k
    answers = {
        side: np.where(rng.random(n) < r, label, rng.integers(0, k, n))
        for side, r in (("source", 0.95), ("target", rate))
    }
    confusion = {
        side: np.bincount(k * label + said, minlength=k * k).reshape(k, k).tolist()
        for side, said in answers.items()
    }
    counts = {
        side: scene_counts(np.random.default_rng(i), rng, n, k, r)
        for i, (side, r) in enumerate({"source": 0.9, "target": rate}.items())
    }
    if scenes:
        confusion = {side: count.sum(0).tolist() for side, count in counts.items()}
    scores = (
        {side: as_scores(torch.tensor(count), "segmentation") for side, count in confusion.items()}
        if scenes
        else {
            side: {
                "accuracy": float((said == label).mean()),
                "class_accuracy": [float((said == label)[label == c].mean()) for c in range(k)],
            }
            for side, said in answers.items()
        }
    )
    stages = {
        s: {"steps": 300, "batch": 64, **spec, "losses": (losses or {}) if s == stage else {}}
        for s, spec in STAGES.items()
    }
    sides = [spec if isinstance(spec, dict) else {"name": spec} for spec in pair]
    data = {
        "root": None,
        "download": False,
        "source": sides[0],
        "target": sides[1],
        "size": [24, 48] if scenes else 28,
    }
    data["channels"] = 3 if scenes else 1
    names = {
        "f": "drn26" if scenes else "lenet",
        "g": "resnet",
        "d": "patchgan",
        "d_feat": "patch" if scenes else "mlp",
    }
    networks = {kind: {"name": network} for kind, network in names.items()}
    experiment = {"name": "made", "seed": seed, "data": data, "networks": networks, "stages": stages}
    manifest = {
        "id": name,
        "experiment": "made",
        "stage": stage,
        "method": STAGES[stage]["method"],
        "seed": seed,
        "steps": 300,
        "batch": 64,
        "parents": parents or {},
        "images": {"source train": 60000, "source test": n, "target train": 7291, "target test": n},
        "device": "CPU, 1 threads",
        "environment": {"git": "0" * 40, "torch": "2", "python": "3"},
        "seconds": 10.0,
    }
    rows, key = [], "miou" if scenes else "accuracy"
    for i, step in enumerate(range(100, 301, 100)):
        score = scores["target"][key] if step == 300 else max(0.0, scores["target"][key] - 0.1 + 0.06 * i)
        row = {
            "step": step,
            "loss/gan_t": 1 / step,
            f"target/{key}": score,
            f"source/{key}": scores["source"][key],
        }
        rows.append(row | ({} if old else {f"selection/{c}": float(rng.random()) for c in CRITERIA}))
    if not old:
        centres = rng.normal(size=(k, 8)) * 4
        few = label[: min(n, 120)]
        arrays = {f"predicted_{side}": said for side, said in answers.items()} | {
            f"label_{side}": label for side in answers
        }
        if scenes:
            arrays = {f"counts_{side}": count for side, count in counts.items()}
            arrays["palette"] = np.random.default_rng(0).integers(0, 255, (k, 3), np.uint8)
        arrays |= {f"feature_labels_{side}": few for side in answers}
        arrays["classes"] = np.array([f"class {c}" if scenes else str(c) for c in range(k)])
        sides = ["source", "target"] + (["translated"] if "g_st" in STAGES[stage]["init"] else [])
        for i, side in enumerate(sides):
            arrays[f"features_{side}"] = (centres[few] + rng.normal(size=(len(few), 8)) + i).astype(
                np.float16
            )
        if stage == "pixel":
            arrays["flip_t"] = arrays["flip_s"] = np.array(confusion["target"])
            drift = {
                "flip_rate_t": 0.1,
                "translation_accuracy": 0.9,
                "reconstruction_accuracy": 0.97,
                "cycle_l1": 0.05,
            }
            drift |= {"translation_error_l1": 0.2, "untranslated_l1": 0.4} if scenes else {}
            (folder / "drift.json").write_text(json.dumps(drift))
        arrays |= draw_mistakes(folder, mistakes, k, scenes, rng)
        np.savez_compressed(folder / "analysis.npz", **arrays)
    if scenes:
        draw_scenes(folder, stage, np.random.default_rng(0), rng)
    elif stage in ("pixel", "task"):
        columns = 6 if stage == "pixel" else 2
        Image.fromarray(rng.integers(0, 255, (200, 40 * columns), np.uint8)).save(
            folder / "images" / "grid_0000300.png"
        )
    for file, content in (
        ("manifest.json", manifest),
        ("scores.json", scores),
        ("confusion.json", confusion),
    ):
        (folder / file).write_text(json.dumps(content))
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"stage": stage, "experiment": experiment}, sort_keys=False)
    )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "done").write_text("now")
    return name


def scene_counts(fixed, rng, n, k, rate):
    """(n, K, K) int32: of pixels whose truth is drawn by `fixed` alone, the same for every run, answers by
    `rng`."""
    shares = fixed.dirichlet(np.ones(k) / 2, n)
    shares[n // 4 :, -1] = 0
    truth = np.stack([fixed.multinomial(200, s / s.sum()) for s in shares])
    right = rng.binomial(truth, rate)
    counts = np.zeros((n, k, k), np.int32)
    for i in range(n):
        for c in range(k):
            counts[i, c] = rng.multinomial(truth[i, c] - right[i, c], np.full(k, 1 / k))
            counts[i, c, c] += right[i, c]
    return counts


def draw_mistakes(folder, count, k, scenes, rng):
    """Draw the picture of the worst predictions, if there are any; return what analysis.npz holds of them."""
    if not count:
        return {}
    size, titles = ((24, 48), ("image", "truth", "predicted")) if scenes else ((28, 28), ("image",))
    columns = [torch.from_numpy(rng.random((count, 3, *size)) * 2 - 1) for _ in titles]
    draw_grid(columns, titles, folder / "images" / "mistakes_target.png")
    worst = np.linspace(0.1, 0.9, count, dtype=np.float32)
    true = np.arange(count, dtype=np.int32) % k
    about = (
        {"mistake_iou": worst}
        if scenes
        else {
            "mistake_true": true,
            "mistake_predicted": (true + 1) % k,
            "mistake_probability": worst[::-1].copy(),
        }
    )
    names = np.array([f"picture {i}.png" for i in range(count)])
    return {"mistake_index": np.arange(count, dtype=np.int32), "mistake_name": names, **about}


def draw_scenes(folder, stage, fixed, rng):
    """The pictures of a stage: two test scenes with their truth, the same in every run, and answers; a grid
    of six scenes."""

    def columns(generators, rows):
        return [torch.from_numpy(g.random((rows, 3, 24, 48)) * 2 - 1) for g in generators]

    draw_grid(columns([fixed, rng, fixed, rng], 2), MASK_COLUMNS, folder / "images" / "answers_0000300.png")
    if stage in ("pixel", "task"):
        names = ("real_s", "fake_t", "rec_s", "real_t", "fake_s", "rec_t")[: 6 if stage == "pixel" else 2]
        draw_grid(columns([rng] * len(names), 6), names, folder / "images" / "grid_0000300.png")


def make_sweep(results, variants, seeds=(0, 1, 2), name="made_ablation", compare_to="CyCADA", **how):
    """A sweep of variants {name: target rate}, each a chain source -> pixel -> task -> feature; `oracle` is
    one stage."""
    cells = []
    for seed in seeds:
        source = make_run(results, f"s{seed:011d}", "source", seed=seed, rate=0.6, **how)
        for i, (variant, rate) in enumerate(variants.items()):
            tail = f"{seed:03d}{i:08d}"
            if variant == "oracle":
                ids = {"oracle": make_run(results, f"o{tail}", "oracle", seed=seed, rate=rate, **how)}
            else:
                ids = {"source": source}
                made = {"seed": seed, "rate": rate, "losses": {"gan_t": {"weight": i}}, **how}
                ids["pixel"] = make_run(results, f"p{tail}", "pixel", parents={"f_s": source}, **made)
                ids["task"] = make_run(results, f"t{tail}", "task", parents={"g_st": ids["pixel"]}, **made)
                ids["feature"] = make_run(
                    results, f"f{tail}", "feature", parents={"f_t": ids["task"], "g_st": ids["pixel"]}, **made
                )
            stages = [
                {"name": s, "label": s, "method": STAGES[s]["method"], "id": id_} for s, id_ in ids.items()
            ]
            cells.append(
                {"variant": variant, "seed": seed, "status": "done", "error": None, "stages": stages}
            )
    (results / "sweeps").mkdir(exist_ok=True)
    path = results / "sweeps" / f"{name}.json"
    path.write_text(
        json.dumps(
            {"name": name, "file": f"configs/sweeps/{name}.yaml", "compare_to": compare_to, "cells": cells}
        )
    )
    return path
