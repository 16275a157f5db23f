"""The tables of `cycada list`: everything that a config may name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cycada.core.errors import CycadaError, nearest
from cycada.core.registry import needs, option_defaults
from cycada.data import SceneDomain, domains, scene_domains
from cycada.data.inspect import default_instance
from cycada.losses import losses
from cycada.methods import methods
from cycada.metrics import scores
from cycada.networks import NETWORKS

Rows = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""A table: its title, the heads of its columns, and its rows."""


def rows(what: str) -> Rows:
    """Return the table of one kind of entries.

    Args:
        what: "losses", "methods", "domains", "networks" or "scores".

    Raises:
        CycadaError: There is no such kind.
    """
    kinds: dict[str, Callable[[], Rows]] = {
        "losses": _losses,
        "methods": _methods,
        "domains": _domains,
        "networks": _networks,
        "scores": _scores,
    }
    if what not in kinds:
        raise CycadaError(f"cycada list: there is no list of '{what}'.{nearest(what, kinds)}")
    return kinds[what]()


def _first_line(entry: object) -> str:
    return (inspect.getdoc(entry) or "").split("\n")[0]


def _options(entry: Callable[..., Any]) -> str:
    def shown(default: object) -> str:
        return "" if default is inspect.Parameter.empty else f"={default}"

    return ", ".join(f"{name}{shown(default)}" for name, default in option_defaults(entry).items())


def _losses() -> Rows:
    rows: list[tuple[str, ...]] = [
        (name, ", ".join(needs(loss)), _options(loss), _first_line(loss)) for name, loss in losses.items()
    ]
    return "Losses", ("name", "needs", "options", "description"), rows


def _methods() -> Rows:
    rows: list[tuple[str, ...]] = []
    for name, method in methods.items():
        phases = "\n".join(
            f"{p.name}{f' ({p.repeat} times)' if p.repeat > 1 else ''}: "
            + ", ".join(f"{term} {weight:g}" for term, weight in p.terms.items())
            for p in method.phases
        )
        segmentation_defaults = {
            option: f" (segmentation: {value})" for option, value in method.options.on_scenes().items()
        }
        options = ", ".join(
            f"{f.name}={f.default}{segmentation_defaults.get(f.name, '')}"
            for f in method.options.__dataclass_fields__.values()
        )
        rows.append((name, phases, options, method.summary))
    return (
        "Methods, with each phase's losses and default weights",
        ("name", "phases", "options", "description"),
        rows,
    )


def _domains() -> Rows:
    rows: list[tuple[str, ...]] = []
    for name, domain in domains.items():
        size = f"{domain.channels} x {domain.size} x {domain.size}"
        flip = "yes" if domain.flip_safe else "no"
        rows.append(
            (name, size, flip, ", ".join(domain.files) or "none", _options(domain), _first_line(domain))
        )
    for name, domain_type in scene_domains.items():
        instance = default_instance(domain_type)
        # a domain whose options say which classes it has, has none yet
        classes = f", {len(instance.classes)} classes" if isinstance(instance, SceneDomain) else ""
        flip = "yes" if domain_type.flip_safe else "no"
        files = ", ".join(domain_type.files) or "none"
        rows.append(
            (
                name,
                f"images with masks{classes}",
                flip,
                files,
                _options(domain_type),
                _first_line(domain_type),
            )
        )
    return (
        "Domains",
        ("name", "images", "may be mirrored", "files under the data root", "options", "description"),
        rows,
    )


def _networks() -> Rows:
    rows: list[tuple[str, ...]] = []
    for kind, registry in NETWORKS.items():
        rows += [(kind, name, _options(net), _first_line(net)) for name, net in registry.items()]
    return "Networks, by the kind of role", ("kind", "name", "options", "description"), rows


def _scores() -> Rows:
    table: Mapping[str, Any] = scores
    return "Scores", ("name", "description"), [(name, _first_line(score)) for name, score in table.items()]
