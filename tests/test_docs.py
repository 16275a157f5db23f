"""The documentation is true: its blocks run, its commands and links exist, its lists are complete."""

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import yaml
from helpers.paths import ROOT
from PIL import Image

import cycada
from cycada.core.yaml_files import merge, read
from cycada.methods import methods
from cycada.sweeps.plan import plan_sweep

ALONE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "results/README.md", "configs/README.md")
PAGES = [
    *(ROOT / name for name in ALONE),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
SMALL = [f"stages.{name}.{part}" for name in ("source", "pixel", "both") for part in ("steps=2", "batch=8")]
TINY_DIGITS = ["tracking.kind=none", "data.source.train=60", "data.source.test=20"]


def load_hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hooks = load_hooks()


def name_of(page):
    return str(page.relative_to(ROOT))


def fenced(page, language):
    return [text for kind, text in FENCED.findall(page.read_text(encoding="utf-8")) if kind == language]


def with_blocks(language):
    return [pytest.param(page, id=name_of(page)) for page in PAGES if fenced(page, language)]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty folder with the recipes beside it, as a checkout's root is."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plugins(checkout, monkeypatch):
    """The modules of the page on plug-ins, in the current folder; what they register is gone afterwards."""
    monkeypatch.syspath_prepend(str(checkout))
    names = []
    for text in fenced(ROOT / "docs" / "guides" / "extend.md", "python"):
        name = re.match(r"# (\w+)\.py", text)[1]
        names.append(name)
        (checkout / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)  # another test's of the same name
    importlib.invalidate_caches()
    from cycada.data import domains
    from cycada.losses import losses
    from cycada.metrics import criteria, scores
    from cycada.networks import NETWORKS

    with ExitStack() as stack:
        for registry in (losses, scores, criteria, NETWORKS["g"], domains, methods):
            stack.enter_context(registry.temporary())
        yield names
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_yaml_blocks_are_sound(page, checkout, plugins):
    """An experiment is a file in the checkout's root; a part of one lies over the demo, or CycleGAN's."""
    for i, text in enumerate(fenced(page, "yaml")):
        data = yaml.safe_load(text)
        file = checkout / f"block{i}.yaml"
        file.write_text(text)
        if "experiment" in data:
            if "own_images" in data["experiment"]:  # its data are the reader's
                file.write_text(text.replace("configs/own_images.yaml", "configs/demo.yaml"))
            assert plan_sweep(file, TINY_DIGITS).cells
            continue
        if "uses" not in data:
            over = "configs/demo.yaml" if "data" not in data else "configs/translation/cyclegan.yaml"
            assert cycada.check(cycada.parse(merge(read(checkout / over), {"name": "block", **data})))
        else:
            assert cycada.check(cycada.load(file))


def test_the_plugins_of_the_guide_train_together(plugins, checkout):
    """What docs/guides/extend.md writes: a loss, a score, a network, a domain and a method in one run."""
    (text,) = fenced(ROOT / "docs" / "guides" / "extend.md", "yaml")
    (checkout / "extended.yaml").write_text(text)
    small = ["device=cpu", "networks.f.channels=4", "networks.f.width=16", "networks.d.channels=4"]
    small += [*TINY_DIGITS, *SMALL]
    summary = cycada.run(cycada.load(checkout / "extended.yaml", small))
    assert [stage.name for stage in summary.stages] == ["source", "align", "pixel", "both"]
    last = summary.stages[-1].folder
    from cycada.metrics import scores

    counts = torch.tensor(json.loads((last / "confusion.json").read_text())["target"])
    stored = summary.stages[-1].scores["target"]["worst_class_accuracy"]
    assert stored == pytest.approx(float(scores["worst_class_accuracy"](counts)), abs=1e-6)
    assert "selection/mean_confidence" in (last / "metrics.jsonl").read_text()
    assert "loss/entropy" in (last / "metrics.jsonl").read_text()
    assert "loss/brightness_t" in (summary.stages[2].folder / "metrics.jsonl").read_text()


RUN_ELSEWHERE = {"docs/guides/own_images.md", "docs/guides/extend.md"}
"""Pages whose blocks of Python are run word for word by a test of their own."""


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_blocks_run(page, checkout, finished, monkeypatch, capsys):
    """One after the other in one namespace, beside an exported generator and photos; trainings are tiny."""
    if name_of(page) in RUN_ELSEWHERE:
        pytest.skip("a test of its own runs them")
    stages = {stage.name: stage for stage in finished[0].stages}
    cycada.export(stages["pixel"].folder, "horse")
    Path("results/runs").mkdir(parents=True)
    Path("results/runs/digits").symlink_to(stages["task"].folder)
    Path("photos").mkdir()
    for photo in ("photo.jpg", "photos/a.jpg"):
        Image.new("RGB", (40, 32), (200, 90, 30)).save(photo)
    monkeypatch.setitem(cycada.__dict__, "run", lambda config: finished[0])
    net = torch.nn.Sequential()
    for layer in ("layer1", "layer2"):
        net.add_module(layer, torch.nn.Conv2d(3 if layer == "layer1" else 4, 4, 3, padding=1))
    space = {"content": torch.zeros(1, 3, 16, 16), "style": torch.ones(1, 3, 16, 16), "net": net}
    from cycada.losses import losses

    with losses.temporary():
        for text in fenced(page, "python"):
            exec(compile(text, name_of(page), "exec"), space)


def shell_lines(page, inline=True):
    """Lines of code blocks without a language, and inline code, that begin with a command of this project."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for kind, block in FENCED.findall(text) if kind in ("", "sh")]
    rest = FENCED.sub("", text)
    blocks += INDENTED.findall(rest) + (re.findall(r"`([^`\n]+)`", rest) if inline else [])
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(line.split(" #")[0].strip(), comments=False) if line.count("'") % 2 == 0 else []
        if words[:1] == ["torchrun"]:
            words = ["cycada", *words[words.index("cycada") + 1 :]] if "cycada" in words else []
        if words:
            words[0] = words[0].removeprefix(".venv/bin/")
        if words[:1] in (["cycada"], ["make"]) or words[:2] == ["python", "-m"]:
            yield line.strip(), words


COMMANDS = {path[1:]: command for path, command in hooks.commands(hooks.command_line())}
OPTIONS = {option for parameter in hooks.command_line().params for option in parameter.opts}
"""Options of `cycada` itself, such as --version."""


def check_command(words):
    """Raises where a command, an option or a recipe is not there."""
    if any(word in ("...", "|") for word in words):
        return
    if words[1] in OPTIONS:
        return
    path = next((tuple(words[1 : 1 + n]) for n in (2, 1) if tuple(words[1 : 1 + n]) in COMMANDS), None)
    if path is None and len(words) <= 2 and any(known[0] == words[-1] for known in COMMANDS):
        return  # a group such as `cycada data`
    assert path, f"there is no command {' '.join(words[:3])}"
    options = {option for p in COMMANDS[path].params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in words[1 + len(path) :]:
        if word.startswith("-"):
            assert word.split("=")[0] in options, f"{' '.join(path)} has no option {word}"


def test_commands_exist():
    """Commands and options of shell blocks and inline code, targets of make, modules, recipes."""
    makefile = (ROOT / "Makefile").read_text()
    seen = 0
    for page in PAGES:
        for line, words in shell_lines(page):
            where = f"{name_of(page)}: {line}"
            seen += 1
            for word in words:
                if re.fullmatch(r"configs/[\w/]+\.yaml", word):
                    assert (ROOT / word).exists() or "PAIR" in word or "METHOD" in word, where
            if words[0] == "make":
                targets = [word for word in words[1:] if word.islower()]
                assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), where
            elif words[0] == "python":
                if words[2].startswith("experiments."):
                    text = (ROOT / f"{words[2].replace('.', '/')}.py").read_text()
                    assert all(f'"{word}"' in text for word in words if word.startswith("--")), where
            elif len(words) > 1:
                try:
                    check_command(words)
                except AssertionError as error:
                    raise AssertionError(f"{where}: {error}") from None
    assert seen > 100


def parsed(words):
    """What the command line takes from the words of a command, as {parameter: value}; fails as it does."""
    n = next(n for n in (2, 1) if tuple(words[1 : 1 + n]) in COMMANDS)
    command = COMMANDS[tuple(words[1 : 1 + n])]
    given = [word.strip("[]") for word in words[1 + n :]]
    context = command.context_class(command)
    found, _, _ = command.make_parser(context).parse_args(given)
    missing = [p.name for p in command.params if p.required and not found.get(p.name)]
    assert not missing, f"{' '.join(words)}: without {missing}"
    return found


WRONG_ON_PURPOSE = {"semantik_t": "the page on the first run shows what a typing error is answered with"}
"""A word of a command -> why the command is shown although it fails."""
READERS_CONFIG = {"own_images.md": "own_images", "own_masks.md": "own_scenes"}
"""A page about the reader's own data -> the recipe that its settings in running text are for."""


def config_and_settings(page):
    """Every shipped config that a page runs or checks with settings, and the settings."""
    for line, words in shell_lines(page, inline=True):
        if words[1:2] in (["run"], ["check"]) and not any(w in line for w in (*WRONG_ON_PURPOSE, "PAIR")):
            name = words[2].removeprefix("configs/").removesuffix(".yaml") if len(words) > 2 else ""
            if (file := ROOT / "configs" / f"{name}.yaml").exists():
                yield file, [w for w in words[3:] if re.fullmatch(r"[\w.]+=.+(?<!=SEED)(?<!=S)", w)]
    if page.name in READERS_CONFIG:
        for code in re.findall(r"`'?((?:stages|networks|data)\.[^`]+=[^`]+?)'?`", page.read_text()):
            if "PATH" not in code:
                yield (
                    ROOT / "configs" / f"{READERS_CONFIG[page.name]}.yaml",
                    re.split(r"\s+(?=stages\.)", code),
                )


def test_commands_are_whole():
    """Commands of shell blocks have all arguments, options have values, and settings are sound."""
    seen = 0
    for page in PAGES:
        for line, words in shell_lines(page, inline=False):
            if words[0] == "cycada" and "..." not in line and words[1] not in OPTIONS:
                parsed(words)
        for file, settings in config_and_settings(page):
            try:
                cycada.check(cycada.load_config(file, settings))
            except cycada.CycadaError as error:
                raise AssertionError(f"{name_of(page)}: {file.stem} {settings}: {error}") from None
            seen += bool(settings)
    assert seen > 10


def test_links_lead_somewhere():
    """Every link of every page leads to a file of the site, and every page is in the site's menu."""
    for page in PAGES:
        source = name_of(page)
        hooks.links(page.read_text(encoding="utf-8"), source, hooks.site_path(source))
    hooks.links((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "CHANGELOG.md", "changelog.md")
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = [hooks.site_path(name_of(page)) for page in PAGES]
    assert [p for p in [*pages, *hooks.GENERATED] if p != "security.md" and f" {p}\n" not in menu] == []


def test_generated_pages_hold_everything():
    """Registries, commands, config keys and public functions are listed, and every method has a page."""
    assert {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")} == set(methods)
    pages = {uri: page() for uri, page in hooks.GENERATED.items()}
    assert all(f"`{name}`" in pages["methods/index.md"] for name in methods)
    assert all(f"::: cycada.{name}" in pages["reference/python.md"] for name in cycada.__all__)
    assert all(f"## cycada {' '.join(path)}" in pages["reference/command_line.md"] for path in COMMANDS)
    keys = ("seed", "crop_area", "head_lr", "scales", "uri")
    assert all(f"| `{key}` |" in pages["reference/config.md"] for key in keys)
    for name in methods:
        head = hooks.method_head(name)
        assert all(f"`{term}`" in head for phase in methods[name].phases for term in phase.terms)


def test_the_recipes_are_all_listed():
    folder = ROOT / "configs"
    listed = re.findall(
        r"^\| \[([\w/]+\.yaml)\]\(\1\) \| \S", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))


def test_the_readme_is_short():
    """120 lines, 40 numbers, and the first command in sight."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert len(re.findall(r"\d+(?:\.\d+)?", "\n".join(lines))) <= 40
    assert any(line.startswith("    make demo") for line in lines[:25])


def test_versions_agree():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{cycada.__version__}"' in text
    assert f"version: {cycada.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_scripts_beside_the_pages_are_python():
    for path in (ROOT / "docs").glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


ELSEWHERE = r"""=["']?(?:https?:)?//"""
LOADS = re.compile(
    rf"<(?:script|img|source|iframe|video|audio|embed)\b[^>]*\bsrc{ELSEWHERE}"
    rf"|<link\b(?![^>]*canonical)[^>]*href{ELSEWHERE}"
)


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "site").rglob("*"):
        if path.suffix == ".html":
            assert not LOADS.search(path.read_text(encoding="utf-8")), path
        if path.suffix == ".css":
            style = path.read_text(encoding="utf-8")
            assert not re.search(r"url\([\"']?https?:|@import [\"']https?:", style), path
