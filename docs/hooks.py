"""Pages that are generated when the site is built, and links between the site and the rest of the repository.

A page is written by hand where it explains, and generated where it lists: config keys, commands, registries
and the head of every method's page come from the package itself, so that they cannot be out of date.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import posixpath
import re
import subprocess
import tomllib
import typing
from pathlib import Path

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import cycada
from cycada.data import domains, segmentation_domains
from cycada.losses import losses
from cycada.methods import methods
from cycada.metrics import criteria, monitors, scores
from cycada.networks import NETWORKS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "docs": "",
    "results/reports": "record/reports",
    "results/tables": "record/tables",
    "results/figures": "record/figures",
    "results/records/experiments": "record/experiments",
    "configs": "configs",
}
"""A folder of the repository -> where its files are on the site."""
FILES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "LICENSE": "license.txt",
    "CITATION.cff": "citation.txt",
    "configs/README.md": "reference/recipes.md",
    "results/README.md": "results/index.md",
}
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
CODE = re.compile(r"`[^`\n]+`")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
MATH = re.compile(r"^\$\$\n?(.*?)\$\$$", re.DOTALL | re.MULTILINE)


def cell(text: object) -> str:
    """Return a text for a cell of a Markdown table, in one line and with its bars escaped."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(heads: typing.Sequence[str], rows: typing.Iterable[typing.Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)]) + "\n"


def escaped(text: str) -> str:
    """Text of a docstring, in which `*`, `<` and `_` are no Markdown outside backquotes."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(p if p.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", p) for p in parts)


def sentence(entry: object) -> str:
    """The first paragraph of an entry's docstring."""
    return escaped((inspect.getdoc(entry) or "").split("\n\n")[0])


SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):\n((?:[ ]+.*\n?|\n)+)", re.MULTILINE)
"""A section of a docstring in Google style."""


def attributes_of(entry: object) -> dict[str, str]:
    """Return the text of each attribute in the Attributes section of an entry's docstring, by its name."""
    sections = {match[1]: match[2] for match in SECTION.finditer(inspect.getdoc(entry) or "")}
    items = re.split(r"\n(?=\S)", inspect.cleandoc("\n" + sections.get("Attributes", "")))
    named = (re.match(r"(\w+):\s*(.*)", item, re.DOTALL) for item in items)
    return {match[1]: escaped(match[2]) for match in named if match}


def text_of(entry: object) -> str:
    """Return an entry's docstring for a cell of a table, with its sections in lines of their own."""

    def section(match: re.Match[str]) -> str:
        items = re.split(r"\n(?=\S)", inspect.cleandoc("\n" + match[2]))
        names = match[1] not in ("Returns", "Yields")
        return f"<br>*{match[1]}:* " + "; ".join(
            re.sub(r"^([\w*]+):", r"`\1`:", escaped(item).removesuffix("."), count=1)
            if names
            else escaped(item)
            for item in items
        )

    doc = inspect.getdoc(entry) or ""
    return escaped(SECTION.sub("", doc)) + "".join(section(match) for match in SECTION.finditer(doc))


def parameters(entry: typing.Callable[..., object]) -> tuple[list[str], dict[str, object]]:
    """What the toolkit gives an entry, and the options that YAML may set, with their defaults."""
    found = inspect.signature(entry).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = [p.name for p in found if p.kind not in (keyword, *variable)]
    return given, {p.name: p.default for p in found if p.kind is keyword}


def described(entry: typing.Callable[..., object], **more: typing.Iterable[str]) -> str:
    """All that is known of an entry: its docstring, below it what `more` says, and its options."""

    def shown(name: str, default: object) -> str:
        return f"`{name}`" if default is inspect.Parameter.empty else f"`{name}={default}`"

    lines = {**more, "options": [shown(*pair) for pair in parameters(entry)[1].items()]}
    below = [f"*{name}:* {', '.join(words)}" for name, words in lines.items() if words]
    return "<br>".join([text_of(entry), *below])


def losses_page() -> str:
    """Return the page of all losses."""
    tensors = {name: [f"`{tensor}`" for tensor in parameters(loss)[0]] for name, loss in losses.items()}
    rows = [(f"`{name}`", described(loss, tensors=tensors[name])) for name, loss in losses.items()]
    return (
        "# Losses\n\nEvery loss is a pure function of tensors. Its weight in a stage is "
        "`losses: {NAME: WEIGHT}` or `{weight: ..., ramp: ..., OPTION: ...}`; a weight of 0 removes it and "
        "every forward pass that only it needed. "
        "[How to write one](../guides/extend.md).\n\n" + table(("name", "what it is"), rows)
    )


def networks_page() -> str:
    """Return the page of all networks."""
    lines = [
        "# Networks",
        "",
        "The networks of each kind. In a config: `networks: {f: lenet, g: {name: resnet, blocks: 2}}`.",
        "",
    ]
    for kind, registry in NETWORKS.items():
        lines += [f"## {kind}: {registry.kind}", ""]
        rows = [(f"`{name}`", described(net)) for name, net in registry.items()]
        lines += [table(("name", "what it is"), rows)]
    return "\n".join(lines)


def domains_page() -> str:
    """Return the page of all domains."""

    def rows(registry: typing.Mapping[str, type]) -> list[tuple[str, ...]]:
        files = {name: [f"`{file}`" for file in domain.files] for name, domain in registry.items()}
        return [(f"`{name}`", described(domain, files=files[name])) for name, domain in registry.items()]

    heads = ("name", "what it is")
    return (
        "# Domains\n\n`data: {source: mnist, target: {name: folder, train: photos, test: photos/test}}`. "
        "`cycada data list` shows which of their files exist.\n\n## Image labels\n\n"
        + table(heads, rows(domains))
        + "\n## Masks and translations\n\n"
        + table(heads, rows(segmentation_domains))
    )


def scores_page() -> str:
    """Return the page of scores, criteria and monitors."""
    kinds = (
        ("Scores", "Computed at every evaluation, on the test sets.", scores),
        (
            "Label-free criteria",
            "Computed from predictions for unlabelled target training images; higher is better.",
            criteria,
        ),
        ("Monitors", "Logged with the losses while a stage trains.", monitors),
    )
    lines = ["# Scores, criteria and monitors", ""]
    for title, what, registry in kinds:
        lines += [
            f"## {title}",
            "",
            what,
            "",
            table(("name", "what it is"), [(f"`{n}`", text_of(e)) for n, e in registry.items()]),
        ]
    return "\n".join(lines)


def models_of(annotation: object) -> list[type[BaseModel]]:
    """The models with settings of their own inside an annotation."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_of(part)]


NAMES = {
    "NoneType": "null",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "bool": "true or false",
    "Path": "path",
    "Any": "anything",
}


def type_name(annotation: object) -> str:  # noqa: PLR0911 (one for each kind)
    """An annotation as a reader of YAML would say it."""
    inner = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case typing.Annotated:
            return type_name(inner[0])
        case typing.Literal:
            return ", ".join(f"`{value}`" for value in inner)
        case origin if origin is tuple:
            return f"[{', '.join('...' if part is Ellipsis else type_name(part) for part in inner)}]"
        case origin if origin is list:
            return f"list of {type_name(inner[0])}"
        case origin if origin is dict:
            return f"mapping to {type_name(inner[1])}"
    if inner:
        return " or ".join(type_name(part) for part in inner)
    name = getattr(annotation, "__name__", str(annotation))
    return f"[{name}](#{name.lower()})" if models_of(annotation) else NAMES.get(name, name)


def default_of(field: typing.Any) -> str:
    """Return the default of a key of the config, as it is written in YAML."""
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    return (
        "its own defaults"
        if isinstance(value, BaseModel)
        else "`null`"
        if value is None
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def config_page() -> str:
    """All keys of a YAML file, from the models that read it."""
    start = typing.get_type_hints(cycada.load)["return"]
    todo, seen = [start], []
    while todo:
        model = todo.pop(0)
        if model in seen:
            continue
        seen.append(model)
        todo += [m for field in model.model_fields.values() for m in models_of(field.annotation)]
    lines = [
        "# Config keys",
        "",
        "Every key of an experiment's YAML file. A file overrides those that it names under `uses:`, every "
        "stage overrides `defaults:`, and `key.sub=value` on the command line overrides all. A key that is "
        "not listed is refused, and the message names the nearest one.",
        "",
    ]
    for model in seen:
        lines += [f"## {model.__name__}", "", escaped(inspect.getdoc(model) or ""), ""]
        rows = [
            (f"`{name}`", type_name(field.annotation), default_of(field), escaped(field.description or ""))
            for name, field in model.model_fields.items()
        ]
        described = any(row[3] for row in rows)
        heads = ("key", "type", "default", "meaning")[: 4 if described else 3]
        lines += [table(heads, [row[: len(heads)] for row in rows])]
        if model.model_config.get("extra") == "allow":
            lines += ["Further keys are options of the entry that is named, or of the loss.", ""]
    return "\n".join(lines)


def command_line() -> typing.Any:
    """The application that the script `cycada` starts."""
    place = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["cycada"]
    module, _, name = place.partition(":")
    main = getattr(importlib.import_module(module), name)
    apps = [value for value in inspect.unwrap(main).__globals__.values() if isinstance(value, typer.Typer)]
    app = next(value for value in apps if value.info.name == "cycada")
    return typer.main.get_command(app)


Commands = typing.Iterator[tuple[tuple[str, ...], typing.Any]]
"""The words of each command, and the command."""


def commands(group: typing.Any, path: tuple[str, ...] = ("cycada",)) -> Commands:
    """Return every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def metavar(parameter: typing.Any) -> str:
    """An argument as the usage line shows it."""
    return parameter.metavar or parameter.name.upper()


def command_line_page() -> str:
    """Return the page of all commands."""
    lines = [
        "# Command line",
        "",
        "Every command has `--help`. The exit code is 0 after success, 2 after an error, and 130 after "
        "Ctrl-C.",
        "",
    ]
    for path, command in commands(command_line()):
        usage = [metavar(p) for p in command.params if p.param_type_name == "argument"]
        lines += [
            f"## {' '.join(path)}",
            "",
            f"`{' '.join([*path, *usage, '[OPTIONS]'])}`",
            "",
            escaped(command.help or ""),
            "",
        ]
        rows = []
        for p in command.params:
            if getattr(p, "hidden", False) or p.name == "help":
                continue
            argument = p.param_type_name == "argument"
            name = metavar(p) if argument else ", ".join(p.opts)
            plain = p.default not in (None, False, ()) and not callable(p.default)
            shown = "required" if p.required else f"`{p.default}`" if plain else ""
            rows.append((f"`{name}`", escaped(p.help or ""), shown))
        lines += [table(("name", "what it is", "default"), rows)]
    return "\n".join(lines)


def python_page() -> str:
    """Return the page of what Python code may import."""
    lines = [
        "# Python",
        "",
        "The functions behind the command line. Registries are mappings: "
        "`cycada.losses.losses`, `cycada.methods.methods`, `cycada.data.domains`, "
        "`cycada.data.segmentation_domains`, `cycada.networks.NETWORKS`, `cycada.metrics.scores`. Every "
        "mistake in the input raises `cycada.CycadaError`.",
        "",
    ]
    order = [
        "load_config",
        "parse_config",
        "check",
        "run",
        "run_seeds",
        "compose_ablation",
        "compose_baselines",
        "save_sweep",
        "sweep",
        "report_on",
        "evaluate",
        "predict",
        "load_model",
        "export",
        "HubModel",
        "translate",
        "load_generator",
        "quality",
    ]
    earlier_names = ("load", "parse")
    for name in [*order, *(n for n in cycada.__all__ if n not in (*order, *earlier_names))]:
        lines += [f"::: cycada.{name}", ""]
    return "\n".join(lines)


def method_head(name: str) -> str:
    """What a method's page begins with: its phases, their networks and losses, and its options."""
    method = methods[name]
    rows = []
    for phase in method.phases:
        linked = {term: f"[`{term}`](../reference/losses.md)" for term in phase.terms}
        terms = ", ".join(f"{linked[term]} {weight:g}" for term, weight in phase.terms.items() if weight)
        off = ", ".join(linked[term] for term, weight in phase.terms.items() if not weight)
        often = f" ({phase.repeat} times per step)" if phase.repeat > 1 else ""
        networks = ", ".join(f"`{role}`" for role in phase.trains)
        rows.append((phase.name + often, networks, terms or "-", off or "-"))
    lines = [
        f"*{escaped(method.summary[0].upper() + method.summary[1:])}.* {escaped(method.details)}",
        "",
        table(
            ("phase", "trained networks", "losses and default weights", "further losses"),
            rows,
        ),
    ]
    fields = dataclasses.fields(method.options)
    if fields:
        meanings: dict[str, str] = {}
        for kind in reversed(method.options.__mro__[:-2]):  # without the base of all options, and object
            meanings |= attributes_of(kind)
        rows = [(f"`{f.name}`", f"`{f.default}`", meanings.get(f.name, "")) for f in fields]
        lines += ["Options (`options:` of the stage):", "", table(("option", "default", "meaning"), rows)]
    return "\n".join(lines)


def methods_page() -> str:
    """Return the page of all methods."""
    rows = [(f"[`{name}`]({name}.md)", escaped(m.label), escaped(m.summary)) for name, m in methods.items()]
    return (
        "# Methods\n\nAll methods share one training step and one loop; each is one file of the package. "
        "Tables show its label. [How to write a method](../guides/extend.md).\n\n"
        + table(("method", "label", "what it is"), rows)
    )


GENERATED = {
    "reference/losses.md": losses_page,
    "reference/networks.md": networks_page,
    "reference/domains.md": domains_page,
    "reference/scores.md": scores_page,
    "reference/config.md": config_page,
    "reference/command_line.md": command_line_page,
    "reference/python.md": python_page,
    "methods/index.md": methods_page,
}


def site_path(path: str) -> str | None:
    """Where a file of the repository is on the site, or None."""
    if path in FILES:
        return FILES[path]
    for folder, place in FOLDERS.items():
        if path.startswith(f"{folder}/"):
            return posixpath.join(place, path.removeprefix(f"{folder}/"))
    return None


def links(markdown: str, source: str, page: str) -> str:
    """Turn the links of a file of the repository into those of its page.

    Args:
        markdown: The file's text.
        source: Its path in the repository.
        page: Its path on the site.

    Returns:
        The text with other links.

    Raises:
        ValueError: A link leads to a file that does not exist or is not on the site.
    """

    def moved(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        in_code = any(code.start() < match.start(2) < code.end() for code in CODE.finditer(match.string))
        if in_code or re.match(r"[a-z]+:", target):
            return match.group()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = site_path(path)
        if place is None or not (place in GENERATED or (ROOT / path).exists()):
            raise ValueError(f"{source}: the link to {target} leads to no file of the site.")
        return before + posixpath.relpath(place, posixpath.dirname(page) or ".") + after

    parts, end = [], 0
    for fence in [*FENCE.finditer(markdown), None]:
        parts.append(LINK.sub(moved, markdown[end : fence.start() if fence else None]))
        if fence:
            parts.append(fence.group())
            end = fence.end()
    return "".join(parts)


def mathml(markdown: str) -> str:
    """`$$ ... $$` as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert

    def drawn(match: re.Match[str]) -> str:
        return f'<div class="math">{convert(match.group(1).strip(), display="block")}</div>'

    return MATH.sub(drawn, markdown)


def tracked() -> list[str]:
    """Files of the repository that git knows, or all where there is no git."""
    try:
        named = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        named = [str(p.relative_to(ROOT)) for folder in FOLDERS for p in (ROOT / folder).rglob("*")]
    return [name for name in named if name and (ROOT / name).is_file()]


def on_files(files: typing.Any, config: typing.Any) -> typing.Any:
    """Add what is not in docs/: generated pages, and files of the repository that pages link to."""
    from mkdocs.structure.files import File

    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    for name in tracked():
        place = site_path(name)
        if place and not name.startswith("docs/"):
            files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: typing.Any, config: typing.Any, files: typing.Any) -> str:
    """Put the head of a method into its page, draw equations, and turn links into those of the site."""
    uri = page.file.src_uri
    if uri in GENERATED:
        return markdown
    source = str(Path(page.file.abs_src_path).relative_to(ROOT))
    markdown = links(markdown, source, uri)
    if uri.startswith("methods/"):
        heading, _, rest = markdown.partition("\n")
        markdown = f"{heading}\n\n{method_head(Path(uri).stem)}\n{rest}"
    return mathml(markdown).replace(" ± ", "\u00a0±\u00a0")
