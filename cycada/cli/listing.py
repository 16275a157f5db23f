"""The lists of `cycada list`: everything that a config may name, and all that is known of one entry."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cycada.config import recipes
from cycada.core.errors import CycadaError, nearest
from cycada.core.registry import Registry, needs, option_defaults
from cycada.data import SegmentationDomain, domains, segmentation_domains
from cycada.data.inspect import default_instance
from cycada.losses import losses
from cycada.methods import Method, methods
from cycada.metrics import criteria, monitors, scores
from cycada.networks import NETWORKS
from cycada.train.schedule import Schedule

WIDTH = 80
"""Columns of a line where there is no terminal that says otherwise."""
MARGIN = 2
"""Columns between a name and its sentence."""


@dataclass(frozen=True)
class Entry:
    """One name that a config may use.

    Attributes:
        name: The name.
        sentence: What it is, in one sentence.
        text: All that its docstring says.
        facts: What else is known of it: a head, such as "files under the data root", to its lines.
        kind: What the name stands for, where a list holds several kinds, such as the kind of network.
    """

    name: str
    sentence: str
    text: str = ""
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    kind: str = ""


def entries(what: str) -> list[Entry]:
    """Return the entries of one kind, in the order of their names.

    Args:
        what: One of `LISTS`.

    Raises:
        CycadaError: There is no such kind.
    """
    if what not in LISTS:
        raise CycadaError(f"cycada list: there is no list of '{what}'.{nearest(what, LISTS)}")
    return LISTS[what]()


def print_list(what: str) -> None:
    """Print a line for each entry of a kind: its name, and what it is in one sentence.

    On a terminal a long sentence is broken between words; in a pipe or a file an entry is one line.
    """
    found = entries(what)
    if not found:
        print(f"There are no {what}. `--plugin MODULE` imports one.")
        return
    # One long name shall not push the sentences of all others out of a line.
    room = WIDTH - MARGIN - max(len(entry.sentence) for entry in found)
    longest = max(len(entry.name) for entry in found)
    column = (
        longest if longest <= room else max((len(e.name) for e in found if len(e.name) <= room), default=0)
    ) + MARGIN
    kind = ""
    for entry in found:
        if entry.kind != kind:
            print(("\n" if kind else "") + f"{entry.kind}:")
            kind = entry.kind
        print(_line((entry.name + " " * MARGIN).ljust(column), entry.sentence, column))


def print_entry(what: str, name: str) -> None:
    """Print all that is known of an entry: its docstring, its options with their defaults, and an example.

    Args:
        what: One of `LISTS`.
        name: The name of the entry.

    Raises:
        CycadaError: There is no such kind or entry.
    """
    found = entries(what)
    named = [entry for entry in found if entry.name == name]
    if not named:
        raise CycadaError(
            f"cycada list {what}: there is no '{name}'.{nearest(name, {e.name for e in found})}"
        )
    blocks = [block for entry in named for block in _blocks(entry)]
    print("\n\n".join(blocks))


def _line(head: str, text: str, indent: int) -> str:
    if not sys.stdout.isatty():
        return head + text
    width = max(shutil.get_terminal_size((WIDTH, 24)).columns, indent + 20)
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _blocks(entry: Entry) -> Iterator[str]:
    yield entry.name + (f" ({entry.kind})" if entry.kind else "")
    yield rewrap(entry.text or entry.sentence)
    for head, lines in entry.facts:
        if lines:
            yield "\n".join([f"{head}:", *(f"    {line}" for line in lines)])


def rewrap(doc: str, width: int = WIDTH) -> str:
    """Return a docstring in Google's form with its lines broken at another width, between words.

    Args:
        doc: The docstring, without its common indentation. Indented paragraphs, such as code, stay as they
            are; the items of a section such as `Args:` are wrapped one by one.
        width: The number of columns.
    """

    def fill(text: str, indent: str = "", hanging: str = "") -> str:
        return textwrap.fill(
            " ".join(text.split()),
            width,
            initial_indent=indent,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )

    paragraphs = []
    for paragraph in re.split(r"\n\n+", doc):
        first, _, rest = paragraph.partition("\n")
        if first.startswith(" "):
            paragraphs.append(paragraph)
        elif re.fullmatch(r"\w+:", first) and rest.startswith(" "):
            items = re.split(r"\n(?=\S)", textwrap.dedent(rest))
            paragraphs.append("\n".join([first, *(fill(item, " " * 4, " " * 8) for item in items)]))
        else:
            paragraphs.append(fill(paragraph))
    return "\n\n".join(paragraphs)


def _doc(entry: object) -> str:
    return inspect.getdoc(entry) or ""


def _first_line(entry: object) -> str:
    return _doc(entry).split("\n")[0]


def _options(entry: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(
        f"{name} (no default)" if default is inspect.Parameter.empty else f"{name} = {_yaml(default)}"
        for name, default in option_defaults(entry).items()
    )


def _yaml(value: object) -> str:
    """Return a default as YAML would write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, (tuple, list)) else str(value)


def _spec(name: str, entry: Callable[..., Any]) -> str:
    """Return an entry as a config names it, with the options that have no default."""
    missing = [o for o, default in option_defaults(entry).items() if default is inspect.Parameter.empty]
    return f"{{{', '.join([f'name: {name}', *(f'{o}: ...' for o in missing)])}}}" if missing else name


def _losses() -> list[Entry]:
    return [
        Entry(
            name,
            _first_line(loss),
            _doc(loss),
            (
                ("Tensors that it needs", tuple(needs(loss))),
                ("Options", _options(loss)),
                ("Example", (f"stages: {{STAGE: {{losses: {{{name}: 1}}}}}}",)),
            ),
        )
        for name, loss in losses.items()
    ]


def _methods() -> list[Entry]:
    return [
        Entry(
            name,
            _sentence(method.summary),
            "\n\n".join(filter(None, (_sentence(method.summary), method.details))),
            _method_facts(name, method),
        )
        for name, method in methods.items()
    ]


def _sentence(text: str) -> str:
    """Return a phrase as a sentence; a name with an underscore, such as f_t, keeps its small letter."""
    starts_with_name = re.match(r"[a-z]+_", text)
    return (text if starts_with_name else text[:1].upper() + text[1:]).removesuffix(".") + "."


def _method_facts(name: str, method: Method) -> tuple[tuple[str, tuple[str, ...]], ...]:
    phases = tuple(
        f"{p.name}{f' ({p.repeat} times a step)' if p.repeat > 1 else ''} trains {', '.join(p.trains)}: "
        + ", ".join(f"{weight:g} {term}" for term, weight in p.terms.items())
        for p in method.phases
    )
    for_masks = method.options.segmentation_defaults()
    options = tuple(
        f"{f.name} = {_yaml(f.default)}"
        + (f" (segmentation: {_yaml(for_masks[f.name])})" if f.name in for_masks else "")
        for f in dataclasses.fields(method.options)
    )
    return (
        ("Phases, with the weights of their losses", phases),
        ("Options", options),
        ("Example", (f"stages: {{STAGE: {{method: {name}, steps: 1000, batch: 32}}}}",)),
    )


def _domains() -> list[Entry]:
    images = [
        Entry(
            name,
            _first_line(domain),
            _doc(domain),
            _domain_facts(name, domain, f"{domain.channels} x {domain.size} x {domain.size}, one label each"),
            "images with one label each",
        )
        for name, domain in domains.items()
    ]
    with_masks = []
    for name, domain in segmentation_domains.items():
        instance = default_instance(domain)
        # default_instance returns a phrase for a domain whose classes depend on options without defaults.
        classes = f", {len(instance.classes)} classes" if isinstance(instance, SegmentationDomain) else ""
        facts = _domain_facts(name, domain, f"with masks{classes}" if domain.labelled else "without labels")
        with_masks.append(
            Entry(name, _first_line(domain), _doc(domain), facts, "images with masks, or to translate")
        )
    return images + with_masks


def _domain_facts(name: str, domain: Any, images: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("Images", (f"{images}; they may {'' if domain.flip_safe else 'not '}be mirrored",)),
        ("Files under the data root", tuple(domain.files) or ("none",)),
        ("Options", _options(domain)),
        ("Example", (f"data: {{source: {_spec(name, domain)}, target: ...}}",)),
    )


def _networks() -> list[Entry]:
    return [
        Entry(
            name,
            _first_line(net),
            _doc(net),
            (("Options", _options(net)), ("Example", (f"networks: {{{kind}: {_spec(name, net)}}}",))),
            f"{kind} ({registry.kind})",
        )
        for kind, registry in NETWORKS.items()
        for name, net in registry.items()
    ]


def _measures(registry: Mapping[str, Any]) -> list[Entry]:
    return [Entry(name, _first_line(entry), _doc(entry)) for name, entry in registry.items()]


def _schedules() -> list[Entry]:
    """Return the shapes of a learning rate's schedule, as the docstring of `Schedule` describes them."""
    meanings = {
        "constant": "The learning rate stays as it is.",
        "linear": "The learning rate falls in equal steps to 0 (CycleGAN).",
        "cosine": "The learning rate falls to 0 as half a cosine.",
        "poly": "The learning rate falls to 0 as `linear` to the power 0.9 (DeepLab).",
    }
    names = typing.get_args(typing.get_type_hints(Schedule)["name"])
    options = tuple(
        f"{f.name} = {_yaml(f.default)}" for f in dataclasses.fields(Schedule) if f.name != "name"
    )
    return [
        Entry(
            name,
            meanings[name],
            _doc(Schedule),
            (("Options", options), ("Example", (f"stages: {{STAGE: {{schedule: {{name: {name}}}}}}}",))),
        )
        for name in names
    ]


def _recipes() -> list[Entry]:
    remarks = recipes.remarks()
    return [
        Entry(
            name,
            _sentence(phrase),
            "\n\n".join(_sentence(text) for text in (phrase, remarks[name]) if text),
            facts=(
                ("File", tuple(recipes.recipes()[name].read_text(encoding="utf-8").splitlines())),
                ("Use", _use(name, phrase)),
            ),
        )
        for name, phrase in recipes.descriptions().items()
    ]


def _use(name: str, phrase: str) -> tuple[str, ...]:
    """Return what a recipe may be used for; a fragment is no experiment by itself."""
    if phrase.startswith("fragment"):
        return (f"uses: {name}",)
    command = "sweep" if name.startswith("sweeps/") else "run"
    return f"cycada {command} {name}", f"cycada init mine.yaml --from {name}", f"uses: {name}"


def _plugins() -> list[Entry]:
    """Return what plug-ins have registered."""
    registries: Sequence[Registry[Any]] = (
        losses, methods, domains, segmentation_domains, scores, criteria, monitors, *NETWORKS.values()
    )  # fmt: skip
    return [
        Entry(
            name,
            _sentence(entry.summary) if isinstance(entry, Method) else _first_line(entry),
            _doc(entry),
            (),
            registry.kind,
        )
        for registry in registries
        for name, entry in registry.items()
        if registry.source(name)
    ]


LISTS: Mapping[str, Callable[[], list[Entry]]] = {
    "losses": _losses,
    "methods": _methods,
    "domains": _domains,
    "networks": _networks,
    "scores": lambda: _measures(scores),
    "criteria": lambda: _measures(criteria),
    "monitors": lambda: _measures(monitors),
    "schedules": _schedules,
    "recipes": _recipes,
    "plugins": _plugins,
}
"""What `cycada list` can list, and the function that returns its entries."""
