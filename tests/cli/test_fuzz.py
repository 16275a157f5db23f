"""Nonsense in configs, from a fixed seed: `check` and `run` answer with a CycadaError or do what was asked,
in a bounded time."""

import copy
import math
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.experiments import CYCADA, DRAWN, PAIRED, TINY, method_stages

from cycada.config.schema import Config, parse
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import merge, override
from cycada.methods import methods
from cycada.planning.plan import plan
from cycada.planning.rehearsal import rehearse
from cycada.runs.run import run

pytestmark = pytest.mark.trains

SECONDS = 60
NONSENSE: list[Any] = [
    -1,
    0,
    1,
    2,
    3,
    7,
    10**19,
    1e6,
    1e-12,
    1e308,
    -0.5,
    0.5,
    math.nan,
    math.inf,
    -math.inf,
    "",
    "x",
    "../x",
    "a\0b",
    "null",
    "true",
    "1e3",
    None,
    True,
    False,
    [],
    [1],
    [0, 0],
    [2, 2],
    [math.nan, 2],
    {},
    {"name": "x"},
    {"weight": -1},
    [[]],
    "ä" * 300,
    "\u202e\U0001f600",
    "/dev/null",
    "~nobody/x",
    "a: {b",
    {"a": {"b": [{"c": {"d": [None, {}]}}]}},
    [{"name": "lenet"}, 1],
    [1e308, "x"],
]
NAMES = [
    "lenet",
    "dtn",
    "convnet",
    "release_classifier",
    "resnet",
    "unet",
    "patchgan",
    "mlp",
    "segmenter",
    "coupled",
    "small_segmenter",
    "source_only",
    "target_only",
    "dann",
    "adda",
    "mcd",
    "coral",
    "cdan",
    "adabn",
    "entropy",
    "cyclegan",
    "cycada_pixel",
    "cycada_task",
    "cycada_feature",
    "cycada",
    "cut",
    "pix2pix",
    "cogan",
    "self_training",
    "fda",
    "optdigits",
    "rendered_digits",
    "mnist",
    "folder",
    "streets",
    "bf16",
    "fp32",
    "once",
    "sgd",
    "adamw",
    "cosine",
    "wgan-gp",
    "hinge",
    "meta",
    "foo",
    "cuda:99",
]
KEYS = [
    "crop",
    "size",
    "load_size",
    "crop_area",
    "translate",
    "precision",
    "augment",
    "ema",
    "compile",
    "every",
    "repeat",
    "schedule",
    "options",
    "optimizer",
    "optimizers",
    "batch",
    "steps",
    "losses",
    "networks",
    "init",
    "method",
    "zzz",
]
OPTIONS = {
    "networks": {
        "f": ["name", "channels", "width", "dropout"],
        "g": ["name", "channels", "blocks", "downs", "norm", "strided"],
        "d": ["name", "channels", "layers", "strided", "norm"],
        "d_feat": ["name", "width", "layers"],
    },
    "losses": [
        "cycle_s",
        "gan_t",
        "task_source",
        "semantic_t",
        "identity_s",
        "coral",
        "entropy",
        "feature_gan",
        "gradient_penalty_t",
        "zzz",
    ],
    "optimizer": ["name", "lr", "betas", "momentum", "weight_decay", "head_lr"],
    "schedule": ["name", "after", "warmup"],
    "augment": [
        "rotate",
        "scale",
        "shear",
        "shift",
        "flip",
        "domains",
        "random_convolution",
        "jitter",
        "blur",
    ],
    "options": ["pool", "gan", "gate", "critic_input", "translate_at", "confidence"],
    "": [
        "seed",
        "name",
        "device",
        "threads",
        "plugins",
        "evaluation",
        "logging",
        "networks",
        "data",
        "stages",
    ],
}


def base(kind: str) -> dict[str, Any]:
    """A tiny experiment that trains in about a second: `one` stage, all of CyCADA, `scenes`, or a method by
    its name."""
    found = copy.deepcopy(TINY)
    found["data"]["source"] = {"name": "rendered_digits", "train": 20, "test": 10}
    if kind == "scenes" or kind in PAIRED:
        found = merge(found, copy.deepcopy(DRAWN))
        found["data"]["source"] = copy.deepcopy(DRAWN["data"]["source"])
    found["defaults"] = {"batch": 4, "steps": 2}
    match kind:
        case "one":
            pass
        case "cycada":
            found["stages"] = copy.deepcopy(CYCADA)
        case "scenes":
            found["stages"] = {
                name: CYCADA[name] | {"crop": [16, 16]} for name in ("source", "pixel", "task")
            }
            found = copy.deepcopy(found)
        case _:
            found["stages"] = copy.deepcopy(method_stages(kind))
    return found


def kind_of(i: int) -> str:
    """One kind of experiment in turn; every eighth is the next method's."""
    return ("cycada", "one", "scenes", "one", "cycada", "one", "", "one")[i % 8] or sorted(methods)[
        i // 8 % len(methods)
    ]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in nested mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set a value at a path, whatever was on the way."""
    for key in path[:-1]:
        if isinstance(tree, list) and not isinstance(key, int):
            return
        if not isinstance(tree, (dict, list)) or (
            isinstance(tree, dict) and not isinstance(tree.get(key), (dict, list))
        ):
            tree[key] = {}
        tree = tree[key]
    if isinstance(tree, dict):
        tree[path[-1]] = value


def mutated(rng: random.Random, kind: str) -> dict[str, Any]:
    """A config with one to three mistakes, or what may be one."""
    tree = base(kind)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        stage = (
            rng.choice(list(tree["stages"]))
            if isinstance(tree.get("stages"), dict) and tree["stages"]
            else "source"
        )
        value = copy.deepcopy(rng.choice([*NONSENSE, *NAMES]))
        path = rng.choice(list(places(tree)))
        match rng.randrange(9):
            case 0 | 1:
                put(tree, path, value)
            case 2:
                put(tree, path, None)
            case 3:
                put(tree, (*path[:-1], rng.choice(["zzz", *KEYS])), value)
            case 4:
                part = rng.choice(list(OPTIONS["networks"]))
                put(tree, ("networks", part, rng.choice(OPTIONS["networks"][part])), value)
            case 5:
                key = rng.choice(["losses", "optimizer", "schedule", "augment", "options"])
                put(tree, ("stages", stage, key, rng.choice(OPTIONS[key])), value)
            case 6:
                put(tree, ("stages", stage, rng.choice(KEYS)), value)
            case 7:
                put(tree, (rng.choice(OPTIONS[""]),), value)
            case _ if isinstance(tree.get("stages"), dict):
                order = list(tree["stages"].items())
                rng.shuffle(order)
                tree["stages"] = dict(order)
    if rng.random() < 0.2:
        path = rng.choice(list(places(base(kind))))
        text = f"{'.'.join(map(str, path))}={rng.choice([*NONSENSE, *NAMES])}"
        tree = override(tree, [text])
    return tree


@contextmanager
def in_time(what: object) -> Iterator[None]:
    """Inside, nothing takes more than a minute."""

    def ring(*_: object) -> None:
        raise AssertionError(f"over {SECONDS} s: {what}")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def checked(rng: random.Random, kind: str) -> tuple[Config | None, Any]:
    """A mutated config, or None where it is refused, and what it was made of."""
    tree: Any = None
    try:
        tree = mutated(rng, kind)
        with in_time(tree):
            config = parse(tree)
            for stage in plan(config):
                rehearse(config, stage)
    except CycadaError as error:
        if not str(error).strip():
            raise AssertionError(f"an empty message: {tree}") from None
        return None, tree
    return config, tree


def through_check(count: int) -> int:
    """-> how many of `count` configs are sound."""
    sound, failures = 0, []
    for i in range(count):
        rng = random.Random(i)
        state = rng.getstate()
        try:
            sound += checked(rng, kind_of(i))[0] is not None
        except Exception as error:
            rng.setstate(state)
            failures.append(f"config {i}: {type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} of {count}:\n" + "\n".join(failures[:40])
    return sound


def through_run(count: int, folder: Path) -> tuple[int, int]:
    """Sound configs, trained. -> how many ended well, and how many with a sentence."""
    done, refused, failures, i = 0, 0, [], 10**6
    threads = torch.get_num_threads()
    while done + refused + len(failures) < count:
        i += 1
        tree: Any = None
        try:
            config, tree = checked(random.Random(i), kind_of(i))
            if config is None or any(s.steps > 5 or s.batch > 64 for s in config.stages.values()):
                continue
            tracking = config.tracking.model_copy(update={"kind": "none"})
            tiny = config.model_copy(update={"results": folder / str(i), "tracking": tracking, "threads": 1})
            with in_time(tree):
                summary = run(tiny)
            for stage in summary.stages:
                assert all(math.isfinite(n) for scores in stage.scores.values() for n in numbers(scores)), (
                    f"no number in scores: {tree}"
                )
            done += 1
        except CycadaError:
            refused += 1
        except Exception as error:
            failures.append(f"config {i}: {type(error).__name__}: {str(error)[:300]}")
    torch.set_num_threads(threads)
    assert not failures, f"{len(failures)} of {count}:\n" + "\n".join(failures[:40])
    return done, refused


def numbers(value: Any) -> Iterator[float]:
    """All floats of nested scores; a class without examples has none."""
    if isinstance(value, float):
        yield value
    for below in (
        value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    ):
        yield from numbers(below)


def test_check_refuses_or_understands_nonsense() -> None:
    assert 5 < through_check(150) < 145


def test_run_refuses_or_trains_nonsense(tmp_path: Path) -> None:
    assert sum(through_run(4, tmp_path)) == 4


@pytest.mark.slow
def test_check_refuses_or_understands_nonsense_3000_times() -> None:
    through_check(3000)


@pytest.mark.slow
def test_run_refuses_or_trains_nonsense_300_times(tmp_path: Path) -> None:
    through_run(300, tmp_path)
